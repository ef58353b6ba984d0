--- What a handler does in a step it does once, however often the handler runs; and it may sleep longer than its process lives.

local cjson = require "cjson"
local uv = require "luv"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local loop = require "tests.support.loop"
local preload = require "tests.support.preload"

describe("a step", function()
  local platform, workspace, state_dir, outside

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)
  before_each(function()
    workspace = host.workspace(platform)
    state_dir = host.directory() .. "/state"
    outside = host.directory() .. "/outside"
  end)
  after_each(host.clean_up)
  teardown(function() platform:stop() end)

  -- The body sees msg, ctx, molecule, and note(text), which appends a line to a file.
  local function script(body)
    return ([[
      local molecule = require "molecule"
      local function note(text)
        local file = assert(io.open(%q, "a"))
        file:write(text, "\n")
        file:close()
      end
      return function(msg, ctx)
        %s
      end]]):format(outside, body)
  end

  local function connect(body, args, more)
    local options = { platform = platform, workspace = workspace, state_dir = state_dir, args = args, script = script(body) }
    for name, value in pairs(more or {}) do options[name] = value end
    return host.connect(options)
  end

  local function say(text, more)
    local message = { to = workspace.id, text = text or "x" }
    for name, value in pairs(more or {}) do message[name] = value end
    return platform:message(message)[1]
  end

  local function noted()
    local lines = {}
    for line in (host.read(outside) or ""):gmatch "[^\n]+" do lines[#lines + 1] = line end
    return lines
  end

  -- Waits until the file outside has so many lines.
  local function wait_noted(count)
    assert(loop.wait(function() return #noted() >= count end), table.concat(noted(), ", "))
  end

  local function kill(one)
    one.process:signal "sigkill"
    one.process:wait_exit()
  end

  local function ledger(sql)
    local pipe = assert(io.popen(("sqlite3 %s/%s.db %q"):format(state_dir, workspace.id, sql)))
    local text = pipe:read "a"
    pipe:close()
    return text
  end

  local function told(words)
    local pipe = assert(io.popen(("%s %s --state-dir %s 2>&1"):format(emulator.binary(), words, state_dir)))
    local text = pipe:read "a"
    pipe:close()
    return text
  end

  -- Waits until the ledger has a sleeper; what molecule status says.
  local function wait_asleep()
    local status
    loop.wait(function()
      status = cjson.decode(told("status " .. workspace.id .. " --json"))
      return #status.sleepers == 1
    end)
    return status
  end

  it("is not run again when the handler fails after it, and its result is the same", function()
    local one = connect [[
      local first = ctx.step("first", function()
        note "first"
        return {list = {1, 2, {deep = true}}, text = "ü", none = molecule.null}
      end)
      local nothing = ctx.step("nothing", function() note "nothing" end)
      local no = ctx.step("no", function() note "no" return false end)
      if ctx.attempt < 3 then error "not yet" end
      return ("%d %s %s %s %s"):format(first.list[2], first.list[3].deep, first.text, nothing, no)]]
    say()
    assert.same({ "2 true ü nil false" }, one:canvas(1))
    assert.same({ "first", "nothing", "no" }, noted())
    one:stop()
  end)

  it("is not run again after kill -9, and what was not yet recorded is run under the same id", function()
    local body = [[
      for i = 1, 3 do
        ctx.step("item", function(step) note("item " .. i .. " " .. step.id) end)
      end
      ctx.step("last", function(step)
        note("last " .. step.id)
        if not io.open(%q) then molecule.sleep(60) end
      end)
      return "done"]]
    local one = connect(body:format(outside .. ".go"))
    say()
    wait_noted(4)
    kill(one)
    host.write(outside .. ".go", "")
    one = connect(body:format(outside .. ".go"))
    assert.same({ "done" }, one:canvas(1))
    local lines = noted()
    assert.equal(5, #lines)
    assert.equal(lines[4], lines[5])
    local ids = {}
    for i = 1, 4 do ids[lines[i]:match "%S+$"] = true end
    local count = 0
    for _ in pairs(ids) do count = count + 1 end
    assert.equal(4, count)
    one:stop()
  end)

  it("is not run again when the host was stopped in the middle of the handler", function()
    local body = [[
      ctx.step("first", function() note "first" end)
      note "after"
      if not io.open(%q) then molecule.sleep(60) end
      return "done"]]
    local one = connect(body:format(outside .. ".go"), { "--drain", "50ms" })
    say()
    wait_noted(2)
    one:stop()
    host.write(outside .. ".go", "")
    one = connect(body:format(outside .. ".go"))
    assert.same({ "done" }, one:canvas(1))
    assert.same({ "first", "after", "after" }, noted())
    one:stop()
  end)

  it("is recorded once, with what it stored, when its Lua state is replaced while it is being written", function()
    local peer = host.workspace(platform)
    local one = connect(([[
      if msg.text == "explode" then
        local all = {}
        for i = 1, 1e9 do all[i] = ("x"):rep(1e6) .. i end
      end
      local result = ctx.step("s", function()
        molecule.store.incr "n"
        note("step " .. msg.text)
        while msg.text == "first" and not io.open(%q) do molecule.sleep(0.01) end
        return "made " .. msg.text
      end)
      return result .. " " .. molecule.store.get "n"]]):format(outside .. ".go"),
      { "--concurrency", "4", "--memory-limit", "32M", "--max-attempts", "1" })
    say("warm", { from = peer.id }) -- there is a ledger
    assert.same({ "made warm 1" }, (one:peer(peer.id, 1)))
    say "first"
    wait_noted(2)
    local other = assert(io.popen(("sqlite3 %s/%s.db"):format(state_dir, workspace.id), "w"))
    other:write "BEGIN IMMEDIATE;\n" -- commits wait
    other:flush()
    host.write(outside .. ".go", "")
    say("explode", { from = peer.id })
    one:log "the script's Lua state ran into %-%-memory%-limit and is replaced"
    other:write "COMMIT;\n.quit\n"
    other:close()
    assert.same({ "made first 2" }, one:canvas(1))
    one:stop()
    assert.equal("2\n", ledger "SELECT value FROM store WHERE key = 'n'")
  end)

  it("passes on nil with a message, and runs again the next time", function()
    local one = connect [[
      local value, problem, code = ctx.step("try", function(step, n)
        note "try"
        if ctx.attempt == 1 then return nil, "not now", "BUSY" end
        return n
      end, 7)
      if not value then note(problem .. " " .. code) error "again" end
      return tostring(value)]]
    say()
    assert.same({ "7" }, one:canvas(1))
    assert.same({ "try", "not now BUSY", "try" }, noted())
    one:stop()
  end)

  it("that raises is not recorded, and neither is what it stored", function()
    local one = connect [[
      molecule.store.set("outer", ctx.attempt)
      local fine, problem = pcall(ctx.step, "risky", function()
        molecule.store.set("inner", ctx.attempt)
        assert(molecule.store.get "inner" == ctx.attempt)
        if ctx.attempt == 1 then error "no" end
        return "fine"
      end)
      note(tostring(fine) .. " " .. tostring(molecule.store.get "inner"))
      if not fine then error(problem) end
      return problem .. molecule.store.get "inner"]]
    say()
    assert.same({ "fine2" }, one:canvas(1))
    assert.same({ "false nil", "true 2" }, noted())
    one:stop()
  end)

  it("keeps what it stored although its handler fails later", function()
    local one = connect [[
      ctx.step("count", function() molecule.store.incr "count" end)
      molecule.store.incr "outside"
      if ctx.attempt < 3 then error "no" end
      return ("%d %d"):format(molecule.store.get "count", molecule.store.get "outside")]]
    say()
    assert.same({ "1 1" }, one:canvas(1))
    one:stop()
  end)

  for name, case in pairs {
    ["is not JSON"] = { "return print", "a function cannot be JSON" },
    ["is larger than 1 MiB"] = { 'return ("x"):rep(1 << 20)', "of at most 1 MiB" },
  } do
    it("whose result " .. name .. " makes a dead letter at once, and is not run by a retry", function()
      local one = connect(([[
        ctx.step("bad", function() note "bad" %s end)
        return "done"]]):format(case[1]))
      local id = say()
      one:log(case[2])
      one:log "dead letter"
      os.execute(("%s dead retry %s %s --state-dir %s >/dev/null"):format(emulator.binary(), workspace.id, id, state_dir))
      local from = #one.process.lines.stderr
      one:log(case[2], { from = from })
      assert.same({ "bad" }, noted())
      one:stop()
    end)
  end

  it("refuses to give the result of other arguments", function()
    local one = connect [[
      local list = ctx.attempt == 1 and {"a", "b"} or {"z", "a", "b"}
      for _, item in ipairs(list) do ctx.step("item", function(_, which) note(which) return which end, item) end
      if ctx.attempt == 1 then error "again" end
      return "done"]]
    say()
    one:log "REPLAY: step item#1 was recorded with other arguments"
    one:log "dead letter"
    assert.same({ "a", "b" }, noted())
    one:stop()
  end)

  for name, case in pairs {
    ["another step"] = { 'ctx.step("inner", function() end)', 'ctx%.step cannot be used inside the step "outer#1"' },
    ["a sleep"] = { "ctx.sleep(60)", 'ctx%.sleep cannot be used inside the step "outer#1"' },
  } do
    it("may not contain " .. name, function()
      local one = connect(([[
        ctx.step("outer", function() %s end)
        return "done"]]):format(case[1]))
      say()
      one:log(case[2])
      one:log "dead letter"
      one:stop()
    end)
  end

  it("may not change a key that its handler changes, too", function()
    local one = connect [[
      if msg.text == "before" then molecule.store.set("key", 1) end
      ctx.step("change", function() molecule.store.set("key", 2) end)
      molecule.store.set("key", 3)
      return "done"]]
    local first, second = say "before", say "after"
    one:log('message ' .. first:gsub("%-", "%%-") .. '.*the step "change#1" changes "key", which its handler changed before')
    one:log('message ' .. second:gsub("%-", "%%-") .. '.*"key" was changed in the step "change#1"')
    one:stop()
  end)

  it("does not wait for a key that its own handler has locked", function()
    local one = connect([[
      molecule.store.update("key", function() return 1 end)
      ctx.step("change", function() molecule.store.update("key", function() return 2 end) end)
      return "done"]], { "--timeout", "60s" })
    say()
    one:log 'the step "change#1" changes "key", which its handler changed before'
    one:stop()
  end)

  it("does not wait for a key that a call of its handler locked and did not change", function()
    local one = connect([[
      pcall(molecule.store.update, "key", function() error "no" end)
      ctx.step("change", function() return molecule.store.set("key", 1) end)
      return "done"]], { "--timeout", "60s" })
    say()
    one:log 'the step "change#1" changes "key", which its handler has locked'
    one:stop()
  end)

  it("cannot begin in a coroutine of the script, which may never come back", function()
    local one = connect [[
      local co = coroutine.wrap(function() return pcall(ctx.step, "a", function() coroutine.yield(1) end) end)
      local fine, problem = co()
      molecule.store.set("kept", 1)
      return tostring(fine) .. tostring(problem):match ": (ctx.step cannot be used in a coroutine)"]]
    say()
    assert.same({ "falsectx.step cannot be used in a coroutine" }, one:canvas(1))
    one:stop()
    assert.equal("1\n", ledger "SELECT value FROM store WHERE key = 'kept'")
  end)

  it("is forgotten when its message is finished, and kept with a dead letter until that is", function()
    local one = connect [[
      ctx.step("one", function() note "one" end)
      if msg.text == "bad" then return molecule.dead "no" end
      return "done " .. msg.text]]
    say "good"
    one:canvas(1)
    local id = say "bad"
    one:log "dead letter: no"
    one:stop()
    assert.equal(id .. "\n", ledger "SELECT row_id FROM steps")
    one = connect [[
      ctx.step("one", function() note "one" end)
      return "done " .. msg.text]]
    os.execute(("%s dead retry %s %s --state-dir %s >/dev/null 2>&1"):format(emulator.binary(), workspace.id, id, state_dir))
    assert.same({ "done good", "done bad" }, one:canvas(2))
    one:stop()
    assert.same({ "one", "one" }, noted()) -- one for each message
    assert.equal("", ledger "SELECT row_id FROM steps")
  end)

  it("lets a handler end that is killed more often than --max-attempts, if it gets further each time", function()
    local body = [[
      for i = 1, 8 do
        ctx.step("item", function() return i end)
        local may_pass = io.open(%q .. i)
        note("item " .. i)
        if not may_pass then molecule.sleep(60) end
      end
      return "done"]]
    local one = connect(body:format(outside), { "--max-attempts", "2" })
    say()
    for i = 1, 8 do
      local name = "item " .. i
      assert(loop.wait(function() return noted()[#noted()] == name end))
      host.write(outside .. i, "")
      kill(one)
      one = connect(body:format(outside), { "--max-attempts", "2" })
    end
    assert.same({ "done" }, one:canvas(1))
    assert(#noted() >= 8)
    one:stop()
  end)

  it("is for the handlers of messages alone, and says so", function()
    local one = host.connect { platform = platform, workspace = workspace, state_dir = state_dir, script = [[
      local molecule = require "molecule"
      local kept
      return {
        start = function() molecule.every(0.05, function() if kept then kept.step("x", function() end) end end) end,
        handle = function(msg, ctx) kept = ctx return "done" end,
      }]] }
    say()
    one:log "a timer's function failed.*ctx%.step: only a message's handler has steps"
    one:stop()
  end)

  it("says what is wrong with its name and function", function()
    local one = connect [[
      for _, bad in ipairs {"", "a/b", "a#b", "a\nb", ("x"):rep(129), 5} do
        local fine, problem = pcall(ctx.step, bad, function() end)
        assert(not fine and problem:find "the name must be 1 to 128 bytes", problem)
      end
      local fine, problem = pcall(ctx.step, "x", "y")
      assert(not fine and problem:find "the second argument must be a function", problem)
      fine, problem = pcall(ctx.step, "x", function() end, print)
      assert(not fine and problem:find "argument 1 after the function must be JSON", problem)
      return "done"]]
    say()
    assert.same({ "done" }, one:canvas(1))
    one:stop()
  end)

  it("is one of at most 1000 in a message", function()
    local one = connect [[
      for i = 1, 1001 do ctx.step("s", function() return i end) end
      return "done"]]
    say()
    one:log "step s#1001 is one too many: a message has at most 1000 steps"
    one:stop()
  end)

  it("finds the ledger of an earlier version, and that version refuses the new one", function()
    local one = connect [[ return "done" ]]
    say()
    one:canvas(1)
    one:stop()
    ledger "DROP TABLE tasks; DROP TABLE notifications; DROP TABLE pieces"
    ledger "DROP TABLE steps; ALTER TABLE messages DROP COLUMN retries; PRAGMA user_version = 4"
    one = connect [[ return ctx.step("x", function() return "stepped" end) ]]
    say()
    assert.same({ "done", "stepped" }, one:canvas(2))
    one:stop()
    assert.equal("7\n", ledger "PRAGMA user_version")
  end)

  it("that tells the human something does not make what follows be told again", function()
    local one = connect [[
      ctx.step("tell", function() assert(molecule.notify "in the step") end)
      assert(molecule.notify "after it")
      if ctx.attempt < 3 then error "again" end
      return "done"]]
    say()
    assert.same({ "in the step", "after it", "done" }, one:canvas(3))
    one:stop()
  end)

  it("recorded in a later attempt does not make what was told in an earlier one be told again", function()
    local body = [[
      assert(molecule.notify "looking")
      if ctx.attempt == 1 then error "again" end
      ctx.step("second", function() return 2 end)
      if ctx.attempt < 4 then %s end
      return "done"]]
    local one = connect(body:format 'error "again"')
    say()
    assert.same({ "looking", "done" }, one:canvas(2))
    one:stop()
  end)

  it("keeps a request's answer whatever its headers are called", function()
    local server = uv.new_tcp()
    server:bind("127.0.0.1", 0)
    server:listen(8, function()
      local client = uv.new_tcp()
      server:accept(client)
      client:read_start(function()
        client:write("HTTP/1.1 200 OK\r\nbase64: aGk=\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi")
        client:read_stop()
      end)
    end)
    local one = connect(([[
      local answer = assert(molecule.http.get("http://127.0.0.1:%d/", {step = "get"}))
      return answer.headers.base64 .. " " .. answer.headers["content-type"] .. " " .. answer.body]]):format(
      server:getsockname().port))
    say()
    assert.same({ "aGk= text/plain hi" }, one:canvas(1))
    one:stop()
    server:close()
  end)

  it("may be a request or a program, by its name alone", function()
    local count = outside .. ".count"
    local one = connect(([[
      local result = molecule.exec {cmd = "echo x >>%s; printf 'a\\377b'; exit 3", step = "run"}
      local same = molecule.http.get(%q, {step = "fetch"})
      if ctx.attempt < 3 then error "again" end
      local failed, problem, code = molecule.http.get("http://127.0.0.1:9/", {step = "refused"})
      local bad, why = pcall(molecule.exec, {cmd = "true", step = 5})
      return ("%%d %%s %%s %%s %%s %%s %%s"):format(result.code, #result.stdout, result.stdout:byte(2), same.status,
        same:json().status, code, tostring(why):match "step must be a string")]]):format(count, platform.url .. "/health"))
    say()
    assert.same({ "3 3 255 200 ok CONNECT step must be a string" }, one:canvas(1))
    assert.equal("x\n", host.read(count))
    local fetched = 0
    for _, entry in ipairs(platform:journal()) do fetched = fetched + (entry.path == "/health" and 1 or 0) end
    assert.equal(1, fetched)
    one:stop()
  end)

  describe("that is reached in another order than it was recorded", function()
    local BODY = [[
      local order = ctx.attempt == 1 and {"a", "b", "c"} or {"b", "a"}
      for _, name in ipairs(order) do ctx.step(name, function() note(name) return name end) end
      if ctx.attempt == 1 then error "again" end
      return "done"]]

    it("is a mistake with --replay-check, and makes a dead letter at once", function()
      local one = connect(BODY, { "--replay-check" })
      say()
      one:log "attempt 2 of 2.*agent.lua:9: REPLAY: step b#1 comes where a#1 came when they were recorded"
      assert.same({ "a", "b", "c" }, noted())
      one:stop()
    end)

    it("is fine without, and where the script has changed since", function()
      local one = connect(BODY)
      say()
      assert.same({ "done" }, one:canvas(1))
      one:stop()
      one = connect([[
        local order = ctx.attempt == 1 and {"a", "b"} or {"b", "a"}
        for _, name in ipairs(order) do ctx.step(name, function() return name end) end
        if ctx.attempt == 1 then ctx.step("wait", function() note "ready" end) molecule.sleep(600) end
        return "changed"]], { "--replay-check" })
      say()
      wait_noted(4)
      kill(one)
      local again = connect([[
        for _, name in ipairs {"b", "a"} do ctx.step(name, function() return name end) end
        return "changed"]], { "--replay-check" })
      assert.equal("changed", again:canvas(2)[2])
      again:stop()
    end)

    it("or not at all, is told of at the end", function()
      local one = connect([[
        if ctx.attempt == 1 then ctx.step("a", print) ctx.step("b", print) error "again" end
        ctx.step("a", print)
        return "done"]], { "--replay-check" })
      say()
      assert.same({ "done" }, one:canvas(1))
      one:log "script: steps that an earlier run recorded were not reached: b#1 %(%-%-replay%-check%)"
      one:stop()
    end)
  end)

  describe("and a sleep", function()
    local SLEEPER = [[
      ctx.step("before", function() note "before" end)
      local lost = molecule.store.get "lost"
      molecule.store.set("lost", true)
      ctx.sleep(msg.text)
      note("after " .. ctx.attempt .. " " .. tostring(lost))
      return "slept " .. msg.text]]

    it("of seconds passes within the run", function()
      local one = connect(SLEEPER)
      say "50ms"
      assert.same({ "slept 50ms" }, one:canvas(1))
      assert.same({ "before", "after 1 nil" }, noted())
      one:stop()
    end)

    it("of days ends the run; it runs again when due, also after kill -9, as the same attempt", function()
      local directory = host.directory()
      local library = preload.build("tests/fault/shim.c", directory)
      local env = { LD_PRELOAD = library, FAULT_SHIM = directory }
      local one = connect(SLEEPER, { "-v" }, { env = env })
      say "72h"
      wait_asleep()
      kill(one)
      one = connect(SLEEPER, { "-v" }, { env = env })
      one:log "event stream: open" -- it serves, and sleeps still
      assert.same({ "before" }, noted())
      kill(one)
      host.write(directory .. "/clock", tostring(3 * 86400 + 5))
      one = connect(SLEEPER, nil, { env = env })
      assert.same({ "slept 72h" }, one:canvas(1))
      assert.same({ "before", "after 1 nil" }, noted()) -- what the run before the sleep stored is lost
      assert.is_nil(one.process.stderr:find "reply%-ttl")
      one:stop()
    end)

    it("of functions that run at once ends the run when none of them continues, until the first is due", function()
      local directory = host.directory()
      local env = { LD_PRELOAD = preload.build("tests/fault/shim.c", directory), FAULT_SHIM = directory }
      local body = [[
        local both = molecule.all {
          function() ctx.sleep "2h" note "two hours" return "b" end,
          function() molecule.sleep(0.1) return ctx.step("work", function() note "work" return "a" end) end,
          function() ctx.sleep "1h" ctx.step("hour", function() note "one hour" end) return "c" end,
        }
        return table.concat(both)]]
      local one = connect(body, { "-v" }, { env = env })
      say()
      wait_asleep()
      assert.same({ "work" }, noted())
      kill(one)
      host.write(directory .. "/clock", "3605")
      one = connect(body, { "-v" }, { env = env })
      wait_noted(2)
      wait_asleep()
      kill(one)
      host.write(directory .. "/clock", "7210")
      one = connect(body, nil, { env = env })
      assert.same({ "bac" }, one:canvas(1))
      assert.same({ "work", "one hour", "two hours" }, noted())
      one:stop()
    end)

    it("is told of by molecule status, and the steps of a dead letter by molecule dead show", function()
      local one = connect([[
        ctx.step("count", function() return {n = 5} end)
        if msg.text == "bad" then return molecule.dead "no" end
        ctx.sleep "1h"]], { "-v" })
      local sleeper = say "sleep"
      one:log "asleep until"
      local letter = say("bad", { from = host.workspace(platform).id })
      one:log "dead letter: no"
      local status = wait_asleep()
      assert.equal(sleeper, status.sleepers[1].row_id)
      assert(status.sleepers[1]["until"]:find "^%d%d%d%d%-%d%d%-%d%dT")
      assert(told("status " .. workspace.id):find "sleeping +1, the next until %d")
      assert(told(("dead show %s %s"):format(workspace.id, letter)):find('steps +step count#1 = {"n":5}'))
      one:stop()
      status = cjson.decode(told("status " .. workspace.id .. " --json"))
      assert.equal(sleeper, status.sleepers[1].row_id)
    end)

    it("holds its conversation, or not", function()
      local peer = host.workspace(platform)
      local one = connect([[
        if msg.text:find "^sleep" then ctx.sleep(3600, {hold = msg.text == "sleep"}) end
        return msg.text]], { "-v" })
      say("sleep on", { from = peer.id })
      say("after it", { from = peer.id })
      assert.same({ "after it" }, (one:peer(peer.id, 1)))
      say "sleep"
      say "held"
      one:log "asleep until"
      local other = host.workspace(platform)
      say("others go on", { from = other.id })
      assert.same({ "others go on" }, (one:peer(other.id, 1)))
      assert.same({}, one:told_canvas())
      one:stop()
    end)

    it("does not count as interrupted after a restart, whatever attempt it is", function()
      local body = [[
        if ctx.attempt == 1 then error "again" end
        ctx.sleep "1h"]]
      local one = connect(body)
      say()
      wait_asleep()
      one:stop()
      one = connect(body, { "-v" })
      one:log "event stream: open"
      one:stop()
      assert.is_nil(one.process.stderr:find("runs again, alone", 1, true))
    end)

    it("ends when the human cancels", function()
      local one = connect [[ ctx.sleep "1h" return "woken" ]]
      local id = say()
      wait_asleep()
      platform:message { to = workspace.id, method = "tasks/cancel",
        request_body = { jsonrpc = "2.0", id = "1", method = "tasks/cancel", params = {} } }
      one:log_of(id, "canceled")
      one:stop()
      assert.equal("0\n", ledger "SELECT count(*) FROM messages")
    end)

    it("says what is wrong with its length", function()
      local one = connect [[
        for _, bad in ipairs {-1, "soon", 0/0, 1e12} do
          local fine, problem = pcall(ctx.sleep, bad)
          assert(not fine and problem:find "a number of seconds or a duration", problem)
        end
        local fine, problem = pcall(ctx.sleep_until, "tomorrow")
        assert(not fine and problem:find "seconds since the epoch", problem)
        ctx.sleep_until(molecule.now() - 5)
        ctx.sleep_until(molecule.now() + 0.02)
        return "done"]]
      say()
      assert.same({ "done" }, one:canvas(1))
      one:stop()
    end)
  end)
end)
