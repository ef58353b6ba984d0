--- Many workspaces in one process: molecule fleet, and molecule connect with several ids.

local cjson = require "cjson"
local uv = require "luv"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local process = require "tests.support.process"

local COUNTER = [[
local count = 0
return function(msg, ctx)
  count = count + 1
  return ("%s %d: %s"):format(ctx.options.word or "heard", count, msg.text)
end]]

describe("a fleet", function()
  local platform, one, two, three, directory

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)
  before_each(function()
    platform:clear_faults()
    directory = host.directory()
    one, two, three = host.workspace(platform), host.workspace(platform), host.workspace(platform)
    host.write(directory .. "/agent.lua", COUNTER)
  end)
  after_each(host.clean_up)
  teardown(function() platform:stop() end)

  --- A Lua table with what each workspace adds to its id and token.
  local function entry(workspace, more)
    return ("{ id = %q, token = %q, %s },"):format(workspace.id, workspace.token, more or "")
  end

  local function write(entries, defaults)
    return host.write(directory .. "/fleet.lua", ("return {\n  defaults = { script = 'agent.lua', interval_ms = 20, %s },\n" ..
      "  workspaces = {\n    %s\n  },\n}\n"):format(defaults or "", table.concat(entries, "\n    ")))
  end

  local function start(args, env)
    local command = { "fleet", directory .. "/fleet.lua" }
    for _, word in ipairs(args or {}) do command[#command + 1] = word end
    return host.start { platform = platform, workspace = one, workspaces = { one, two, three }, command = command, bare = true,
      token = false, env = env }
  end

  local function registered(fleet, ...)
    for _, workspace in ipairs { ... } do fleet:log(workspace.id:gsub("%-", "%%-") .. ": registered as") end
    return fleet
  end

  --- What the canvas of a workspace is told next, after it said something.
  local function ask(workspace, text)
    local since = platform:mark()
    platform:message { to = workspace.id, text = text }
    local entries = platform:wait { path = ("/workspaces/%s/notify"):format(workspace.id), status = 200, since = since }
    return cjson.decode(entries[1].body).message
  end

  local function complaint(args)
    local command = { emulator.binary(), "fleet", directory .. "/fleet.lua" }
    for _, word in ipairs(args or {}) do command[#command + 1] = word end
    local child = process.spawn { command = command, env = { HOME = directory, MOLECULE_API_URL = platform.url } }
    local code = child:wait_exit()
    assert.equal(2, code, child:report())
    return child.stderr
  end

  it("answers for each of its workspaces from a Lua state of its own", function()
    write { entry(one), entry(two, "script_options = { word = 'other' }") }
    local fleet = registered(start(), one, two)
    assert.equal("heard 1: a", ask(one, "a"))
    assert.equal("heard 2: b", ask(one, "b"))
    assert.equal("other 1: c", ask(two, "c"))
    fleet:stop()
  end)

  it("asks in each of its workspaces, and each has its answer, also after kill -9", function()
    host.write(directory .. "/agent.lua", [[
      return function(msg, ctx) return "so: " .. ctx.ask("Sure of " .. msg.text .. "?").text end]])
    write({ entry(one), entry(two) }, ("state_dir = %q"):format(directory .. "/kept"))
    local fleet = registered(start(), one, two)
    assert.matches("^Sure of a%?", ask(one, "a"))
    assert.matches("^Sure of b%?", ask(two, "b"))
    fleet:kill()
    fleet = registered(start(), one, two)
    assert.equal("so: yes", ask(two, "yes"))
    assert.equal("so: no", ask(one, "no"))
    fleet:stop()
  end)

  it("continues with the others when one is removed from the platform", function()
    write({ entry(one), entry(two) }, "refusal_patience = '200ms'")
    local fleet = registered(start(), one, two)
    platform:order("remove", { workspace = one.id })
    fleet:log(one.id:gsub("%-", "%%-") .. ".*this workspace has ended .*exit code 77.* 1 other keeps running")
    assert.equal("heard 1: still", ask(two, "still"))
    fleet:stop()
  end)

  it("continues with the others when one is refused or its script does not load, and ends when all have ended", function()
    host.write(directory .. "/broken.lua", "return 1 +")
    write({ ("{ id = %q, token = 'wrong-token' },"):format(one.id), entry(two, "script = 'broken.lua'"), entry(three) },
      "refusal_patience = '200ms'")
    local fleet = registered(start(), three)
    fleet:log(two.id:gsub("%-", "%%-") .. ".*broken%.lua:1: unexpected symbol")
    fleet:log(one.id:gsub("%-", "%%-") .. ".*disabled until SIGHUP")
    assert.equal("heard 1: still", ask(three, "still"))
    platform:order("remove", { workspace = three.id })
    fleet:wait_exit(2)
  end)

  it("adds, removes and changes workspaces on SIGHUP, and leaves the rest as it is", function()
    write { entry(one), entry(two) }
    local fleet = registered(start(), one, two)
    assert.equal("heard 1: a", ask(one, "a"))
    write { entry(two, "script_options = { word = 'changed' }"), entry(three) }
    fleet.process:signal "sighup"
    fleet:log "1 new, 1 removed, 1 restarted with new options"
    registered(fleet, three)
    fleet:log(one.id:gsub("%-", "%%-") .. ": stopped")
    assert.equal("heard 1: b", ask(three, "b"))
    assert.equal(0, fleet:count_log(three.id:gsub("%-", "%%-") .. ": the script is reloaded")) -- it has just been loaded
    local _, at = fleet:log(two.id:gsub("%-", "%%-") .. ": stopped")
    fleet:log(two.id:gsub("%-", "%%-") .. ": registered as", { from = at })
    assert.equal("changed 1: c", ask(two, "c"))
    host.write(directory .. "/agent.lua", "return function() return 'new words' end")
    fleet.process:signal "sighup"
    fleet:log(three.id:gsub("%-", "%%-") .. ": the script is reloaded")
    assert.equal("new words", ask(three, "d"))
    write { entry(one), entry(two, "script_options = { word = 'changed' }"), entry(three) }
    fleet.process:signal "sighup"
    fleet:log "1 new, 0 removed, 0 restarted with new options, 0 retried, 2 unchanged"
    assert.equal("new words", ask(one, "e"))
    fleet:stop()
  end)

  it("continues when a workspace ends whose connection to its platform is still being made", function()
    local server, clients = uv.new_tcp(), {}
    assert(server:bind("127.0.0.1", 0))
    assert(server:listen(1, function() end)) -- nobody accepts: what does not fit into the queue is left waiting
    local port = server:getsockname().port
    for i = 1, 12 do
      clients[i] = uv.new_tcp()
      clients[i]:connect("127.0.0.1", port, function() end)
    end
    write { entry(one), entry(two, ("api_url = 'http://127.0.0.1:%d'"):format(port)) }
    local fleet = registered(start(), one)
    write { entry(one) }
    fleet.process:signal "sighup"
    fleet:log "0 new, 1 removed"
    fleet:log(two.id:gsub("%-", "%%-") .. ": stopped")
    assert.equal("heard 1: a", ask(one, "a"))
    fleet:stop()
    for _, client in ipairs(clients) do client:close() end
    server:close()
  end)

  it("changes nothing when the file has a mistake, and says the line", function()
    write { entry(one), entry(two) }
    local fleet = registered(start(), one, two)
    host.write(directory .. "/fleet.lua", "return {\n  workspaces = {\n")
    fleet.process:signal "sighup"
    fleet:log "nothing has changed: .*fleet%.lua:3: unexpected symbol"
    write { entry(one, "intervall_ms = 5") }
    fleet.process:signal "sighup"
    fleet:log "nothing has changed: .*fleet%.lua:4: .*unknown key \"intervall_ms\"; did you mean \"interval_ms\"%?"
    assert.equal("heard 1: a", ask(two, "a"))
    fleet:stop()
  end)

  it("says line and key of what is wrong in the file", function()
    local function wrong(pattern, entries, defaults)
      write(entries, defaults)
      local said = complaint()
      assert.truthy(said:find(pattern), said)
    end
    wrong("fleet%.lua:2: defaults: unknown key \"concurency\"; did you mean \"concurrency\"%?", { entry(one) },
      "concurency = 2")
    wrong("fleet%.lua:5: " .. two.id:gsub("%-", "%%-") .. ": \"interval_ms\" must be between 1 and 3600000 ms; got \"0\"",
      { entry(one), entry(two, "interval_ms = 0") })
    wrong("fleet%.lua:5: .* is given twice", { entry(one), entry(one) })
    wrong("fleet%.lua:4: .*\"bootstrap\" must be true or false", { entry(one, "bootstrap = 'yes'") })
    wrong("fleet%.lua:4: .*the variable NO_SUCH_TOKEN is not set",
      { ("{ id = %q, token_env = 'NO_SUCH_TOKEN' }"):format(one.id) })
    wrong("fleet%.lua:2: a token belongs to one workspace", { entry(one) }, "token = 'x'")
    wrong("fleet%.lua:2: a token belongs to one workspace", { entry(one) }, "token_env = 'TOKEN'")
    wrong("fleet%.lua:2: a default \"token_file\" needs {id} in its path", { entry(one) }, "token_file = 'token'")
    wrong("fleet%.lua:4: .* api_url http://example%.com: it would send the token unencrypted",
      { entry(one, "api_url = 'http://example.com'") })
    wrong("fleet%.lua:4: .*nothing to answer with", { entry(one) }, "script = nil")
    wrong("fleet%.lua:3: \"workspaces\" must be a list with at least one workspace", {})
    host.write(directory .. "/fleet.lua", "local n = 0\nwhile true do n = n + 1 end")
    assert.truthy(complaint():find "fleet%.lua:2: the fleet file runs for more than 5 s")
    host.write(directory .. "/fleet.lua", "return io.open '/etc/passwd'")
    assert.truthy(complaint():find "fleet%.lua:1: attempt to index a nil value %(global 'io'%)")
  end)

  it("prints what would run and starts nothing with --dry-run", function()
    write { entry(one), ("{ id = %q, backend = 'mock', token_file = 'tokens/{id}' },"):format(two.id) }
    assert(uv.fs_mkdir(directory .. "/tokens", 448))
    host.write(directory .. "/tokens/" .. two.id, two.token)
    local before = platform:mark()
    local fleet = start { "--dry-run" }
    fleet:wait_exit(0)
    local printed = fleet.process.stdout
    assert.truthy(printed:find(one.id .. "  script " .. directory .. "/agent.lua", 1, true), printed)
    assert.truthy(printed:find("token from " .. directory .. "/tokens/" .. two.id, 1, true), printed)
    assert.equal(before, platform:mark())
  end)

  it("is told by --dry-run what could not start", function()
    write { entry(one), entry(two, "script = 'broken.lua'"), ("{ id = %q, token_file = 'none/{id}' },"):format(three.id) }
    host.write(directory .. "/broken.lua", "return function(")
    local fleet = start { "--dry-run" }
    fleet:wait_exit(2)
    fleet:log(two.id:gsub("%-", "%%-") .. ": .*broken%.lua:1: ")
    fleet:log(three.id:gsub("%-", "%%-") .. ": there is no token in .*/none/")
  end)

  it("continues as before when the new options of a workspace could not begin", function()
    write { entry(one), entry(two) }
    local fleet = registered(start(), one, two)
    assert.equal("heard 1: a", ask(one, "a"))
    host.write(directory .. "/broken.lua", "return function(")
    write { entry(one, "script = 'broken.lua'"), entry(two, "backend_options = {}, backend = 'exek'") }
    fleet.process:signal "sighup"
    fleet:log(one.id:gsub("%-", "%%-") .. ": new options rejected, keeping the previous ones: .*broken%.lua:1:")
    fleet:log(two.id:gsub("%-", "%%-") .. ": new options rejected, keeping the previous ones: no backend \"exek\"")
    write({ entry(one), entry(two) }, "api_url = 'htp://127.0.0.1'")
    fleet.process:signal "sighup"
    fleet:log "nothing has changed: .*fleet%.lua:2: .* api_url htp://127.0.0.1: the URL does not begin with"
    assert.equal("heard 1: b", ask(one, "b")) -- its script was loaded anew
    assert.equal("heard 1: c", ask(two, "c"))
    fleet:stop()
  end)

  it("continues while its file does not end", function()
    write { entry(one), entry(two) }
    local fleet = registered(start(), one, two)
    local fine = host.read(directory .. "/fleet.lua")
    host.write(directory .. "/fleet.lua", "local x = ('a'):rep(40):find(('a*'):rep(40) .. 'b')\n" .. fine)
    fleet.process:signal "sighup"
    assert.equal("heard 1: a", ask(one, "a"))
    fleet.process:signal "sighup"
    fleet:log "the fleet file is still being reloaded"
    assert.equal("heard 1: b", ask(two, "b"))
    fleet:stop()
  end)

  it("handles every message though few files may be open", function()
    local all, entries = {}, {}
    for i = 1, 10 do
      all[i] = host.workspace(platform)
      entries[i] = entry(all[i], "insecure_http = false")
    end
    write(entries)
    local fleet = host.start { platform = platform, workspace = all[1], workspaces = all, bare = true, token = false,
      command = { "fleet", directory .. "/fleet.lua" }, under = { "sh", "-c", 'ulimit -n 64; exec "$@"', "sh" } }
    registered(fleet, table.unpack(all))
    for _, workspace in ipairs(all) do platform:message { to = workspace.id, text = "%n", count = 5 } end
    for _, workspace in ipairs(all) do
      fleet:wait { path = ("/workspaces/%s/notify"):format(workspace.id), status = 200, count = 5 }
    end
    fleet:stop()
  end)

  it("keeps a token that is nobody's from the scripts", function()
    host.write(directory .. "/agent.lua", [[
      local molecule = require "molecule"
      return function()
        return molecule.exec {cmd = "env; cat /proc/$PPID/environ"}.stdout:match "[^\n]*secret%-nobodys" or "nothing"
      end]])
    write { entry(one) }
    local fleet = registered(start({}, { MOLECULE_WORKSPACE_TOKEN = "secret-nobodys" }), one)
    fleet:log "MOLECULE_WORKSPACE_TOKEN belongs to one workspace and is ignored by a fleet"
    assert.equal("nothing", ask(one, "x"))
    fleet:stop()
  end)

  it("takes tokens from files named after the ids and from variables that scripts do not see", function()
    host.write(directory .. "/token-" .. one.id, one.token .. "\n")
    host.write(directory .. "/token-" .. two.id, two.token .. "\n")
    host.write(directory .. "/agent.lua", "return function() return tostring(os.getenv 'THIRD_TOKEN') end")
    write({ ("%q, %q,"):format(one.id, two.id), ("{ id = %q, token_env = 'THIRD_TOKEN' },"):format(three.id) },
      "token_file = 'token-{id}'")
    local fleet = registered(start({}, { THIRD_TOKEN = three.token }), one, two, three)
    assert.equal("nil", ask(three, "x"))
    assert.equal("nil", ask(two, "x"))
    fleet.process:signal "sighup"
    fleet:log "0 new, 0 removed, 0 restarted with new options, 0 retried, 3 unchanged"
    fleet:stop()
  end)

  it("is not held up by a script that is stuck on another worker, until it ends with 75", function()
    host.write(directory .. "/stuck.lua",
      "return function(msg, ctx) ctx.log.info 'going in'\n" ..
      "return string.find(string.rep('a', 300), string.rep('a?', 150) .. string.rep('a', 300)) end")
    write({ entry(one, "script = 'stuck.lua'"), entry(two), entry(three) }, "stuck_after = '4s', cpu_limit = '1s'")
    local fleet = registered(start { "--workers", "2" }, one, two, three)
    platform:message { to = one.id, text = "get stuck" }
    fleet:log "going in"
    platform:message { to = three.id, text = "wait for the worker" }
    fleet:log(one.id:gsub("%-", "%%-") .. ".*stuck in C code")
    assert.equal("heard 1: a", ask(two, "a"))
    assert.equal("heard 2: b", ask(two, "b"))
    fleet:log(three.id:gsub("%-", "%%-") .. ".*the script of workspace " .. one.id:gsub("%-", "%%-") .. ".* is stuck in C code")
    fleet:wait_exit(75)
  end)

  it("registers a few at a time", function()
    local entries, workspaces = {}, {}
    for i = 1, 60 do
      workspaces[i] = host.workspace(platform)
      entries[i] = entry(workspaces[i])
    end
    platform:fault({ kind = "delay", ms = 300 }, { path = "/registry/register" }, { times = 60 })
    write(entries, "wake = 'poll', interval_ms = 1000")
    local fleet = start()
    local came = fleet:wait { path = "/registry/register", status = 200, count = 60 }
    local most, events = 0, {}
    for _, each in ipairs(came) do
      events[#events + 1] = { at = each.at, step = 1 }
      events[#events + 1] = { at = each.at + 200, step = -1 } -- at least so long it was under way
    end
    table.sort(events, function(a, b) return a.at == b.at and a.step < b.step or a.at < b.at end)
    local now = 0
    for _, event in ipairs(events) do
      now = now + event.step
      most = math.max(most, now)
    end
    assert.is_true(most <= 20, most .. " at once")
    fleet:stop()
  end)

  it("raises the limit of open files and says so", function()
    write { entry(one), entry(two) }
    local child = process.spawn { command = { "sh", "-c", 'ulimit -Sn 256; exec "$0" "$@"', emulator.binary(), "fleet",
      directory .. "/fleet.lua", "--api-url", platform.url, "--state-dir", directory .. "/state" }, env = { HOME = directory } }
    child:wait_line("raised the limit from 256 to %d+ for 2 workspaces", { stream = "stderr" })
    child:wait_line("registered as", { stream = "stderr" })
    child:signal "sigterm"
    assert.equal(0, (child:wait_exit()))
  end)

  it("tells how each workspace fares", function()
    write { entry(one), entry(two) }
    local fleet = registered(start(), one, two)
    for _, workspace in ipairs { one, two } do
      local child = process.spawn { command = { emulator.binary(), "status", workspace.id, "--state-dir", fleet.state_dir } }
      assert.equal(0, (child:wait_exit()), child:report())
      assert.truthy(child.stdout:find("workspace       " .. workspace.id, 1, true), child.stdout)
      assert.truthy(child.stdout:find("pid             " .. fleet.process.pid, 1, true), child.stdout)
      assert.truthy(child.stdout:find "state           running", child.stdout)
    end
    fleet:stop()
    for _, name in ipairs(host.list(fleet.state_dir)) do assert.is_nil(name:find "%.sock$", name) end
  end)
end)

describe("connect with several ids", function()
  local platform, one, two, directory

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)
  before_each(function()
    directory = host.directory()
    one, two = host.workspace(platform), host.workspace(platform)
  end)
  after_each(host.clean_up)
  teardown(function() platform:stop() end)

  local function start(args, token)
    return host.start { platform = platform, workspace = one, workspaces = { one, two }, token = token or false,
      command = { "connect", one.id, two.id }, script = COUNTER, args = args }
  end

  it("answers for both alike, with the token file of each", function()
    for _, workspace in ipairs { one, two } do host.write(directory .. "/" .. workspace.id .. ".secret", workspace.token) end
    local both = start { "--token-file", directory .. "/{id}.secret" }
    for _, workspace in ipairs { one, two } do
      platform:message { to = workspace.id, text = "hello" }
      local told = both:wait { path = ("/workspaces/%s/notify"):format(workspace.id), status = 200 }
      assert.equal("heard 1: hello", cjson.decode(told[1].body).message)
    end
    both:stop()
  end)

  it("wants a token for each", function()
    local both = start({}, one.token)
    both:wait_exit(2)
    local words = "a token belongs to one workspace, but there are 2 ids: give --token-file tokens/{id}"
    assert.truthy(both.process.stderr:find(words, 1, true), both.process.stderr)
  end)
end)
