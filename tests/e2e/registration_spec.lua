local cjson = require "cjson"
local uv = require "luv"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"

describe("registration", function()
  local platform, workspace

  setup(function()
    platform = emulator.start { profile = "latest", args = { "--rate-limit", "-1" } }
  end)

  before_each(function()
    workspace = host.workspace(platform)
  end)

  after_each(function()
    host.clean_up()
    platform:clear_faults()
  end)

  teardown(function()
    platform:stop()
  end)

  local function options(more)
    local all = { platform = platform, workspace = workspace, script = host.ECHO }
    for name, value in pairs(more or {}) do all[name] = value end
    return all
  end

  local function registrations()
    local found = 0
    for _, entry in ipairs(platform:journal()) do
      if entry.path == "/registry/register" and entry.body:find(workspace.id, 1, true) then found = found + 1 end
    end
    return found
  end

  local function answers(one)
    platform:message { to = workspace.id, text = "hello" }
    assert.same({ "echo: hello" }, one:canvas(1))
  end

  it("says who we are: poll mode, no address, the card's name and description", function()
    local one = host.connect(options { args = { "--name", "My Laptop", "--description", "for tests" } })
    local body = cjson.decode(one:posts("/registry/register")[1].body)
    one:stop()
    assert.equal(workspace.id, body.id)
    assert.equal("poll", body.delivery_mode)
    assert.equal("My Laptop", body.agent_card.name)
    assert.equal("for tests", body.agent_card.description)
    assert.is_nil(body.url)
  end)

  it("a wrong token ends it with code 77 and says what to check; it never reaches the registration", function()
    local one = host.start(options { token = "wrong-token-of-nobody", args = { "--refusal-patience", "1s" } })
    one:wait_exit(77)
    assert.equal(0, registrations())
    assert(one:count_log "check of the token: HTTP 401: invalid workspace auth token" >= 3)
    one:log "error.*check that the token belongs to this workspace and was not revoked"
  end)

  it("a refusal that was none (T1 answers 401 while its database is down) is survived", function()
    platform:fault({ kind = "status", status = 401, body = { error = "invalid workspace auth token" } },
      { path = "/registry/register", workspace = workspace.id })
    local one = host.connect(options())
    assert.equal(2, registrations())
    answers(one)
    one:stop()
  end)

  it("refusals by the platform itself end it after --refusal-patience, not before", function()
    platform:fault({ kind = "status", status = 403, body = { error = "not yours" } },
      { path = "/registry/register", workspace = workspace.id }, { times = 1000 })
    local one = host.start(options { args = { "--refusal-patience", "2s" } })
    one:wait_exit(77)
    assert(registrations() >= 3)
    one:log "registration: HTTP 403: not yours %(%d+ times within [2-9]%d* s, %-%-refusal%-patience%)"
  end)

  local HTML = "<!DOCTYPE html><html><head><title>Just a moment...</title></head></html>"
  for name, action in pairs {
    ["404 of an ingress"] = { kind = "status", status = 404, body = { error = "not found" } },
    ["404 without a body"] = { kind = "garbage", status = 404, body = "" },
    ["405 of an ingress"] = { kind = "status", status = 405 },
    ["421 of an edge"] = { kind = "garbage", status = 421, body = HTML },
    ["403 of an edge"] = { kind = "garbage", status = 403, body = HTML },
    ["401 of an edge"] = { kind = "garbage", status = 401, body = HTML },
    ["400 of an edge"] = { kind = "garbage", status = 400, body = HTML },
    ["401 in another's JSON"] = { kind = "garbage", status = 401, body = '{"message":"Unauthorized"}' },
  } do
    it("a " .. name .. " is waited for like a 5xx", function()
      platform:fault(action, { path = "/registry/register", workspace = workspace.id }, { times = 3 })
      local one = host.start(options { args = { "--refusal-patience", "0" } })
      one:log("registration: HTTP " .. action.status .. ".*retrying")
      one:log("registered as")
      assert.equal(4, registrations())
      answers(one)
      one:stop()
    end)

    it("a " .. name .. " that stays is given up after --register-attempts, with code 1", function()
      platform:fault(action, { path = "/registry/register", workspace = workspace.id }, { times = 1000 })
      host.run(options { args = { "--refusal-patience", "0", "--register-attempts", "3" } }, 1)
      assert.equal(3, registrations())
    end)
  end

  it("a platform that is not ready yet is asked again", function()
    platform:fault({ kind = "status", status = 503 }, { path = "/registry/register", workspace = workspace.id })
    local one = host.connect(options())
    one:log "registration: HTTP 503.*retrying"
    assert.equal(2, registrations())
    one:stop()
  end)

  it("a registration that the platform cannot accept ends it at once, with the platform's words", function()
    platform:fault({ kind = "status", status = 400, body = { error = "delivery_mode must be 'push' or 'poll'" } },
      { path = "/registry/register", workspace = workspace.id }, { times = 9 })
    local one = host.run(options(), 1)
    one:log "registration: HTTP 400: delivery_mode must be 'push' or 'poll'"
    assert.equal(1, registrations())
  end)

  it("--register-attempts bounds the tries, and the message says where it knocked", function()
    platform:fault({ kind = "status", status = 503 }, { path = "/registry/register", workspace = workspace.id },
      { times = 9 })
    local one = host.run(options { args = { "--register-attempts", "2" } }, 1)
    one:log("giving up after 2 attempts %(%-%-register%-attempts%); is %-%-api%-url " .. platform.url:gsub("%p", "%%%0"))
    assert.equal(2, registrations())
  end)

  it("a platform that is not there ends it likewise", function()
    local one = host.run(options { api_url = "http://127.0.0.1:1", args = { "--register-attempts", "2" } }, 1)
    one:log "registration: not sent .*giving up after 2 attempts"
  end)

  describe("--bootstrap", function()
    before_each(function()
      workspace = { id = emulator.uuid(), token = "no-token-is-configured" }
    end)

    it("keeps the token that the platform mints and uses it from then on", function()
      local state_dir = host.directory() .. "/state"
      local one = host.connect(options { token = false, state_dir = state_dir, args = { "--bootstrap" } })
      local path = ("%s/%s.token"):format(state_dir, workspace.id)
      one:log "minted a token; it is kept in "
      answers(one)
      local kept = host.read(path)
      one.secrets[#one.secrets + 1] = kept
      one:stop()
      assert.equal("600", host.mode(path))
      assert.equal(43, #kept)
      local two = host.start(options { token = false, state_dir = state_dir })
      two.secrets[#two.secrets + 1] = kept
      two:log "registered as"
      platform:message { to = workspace.id, text = "again" }
      two:canvas(2)
      two:stop()
      for _, post in ipairs(two:posts "/notify") do
        assert.equal("Bearer " .. kept, post.headers.authorization)
      end
      assert.equal(1, platform:state_of(workspace.id).tokens)
    end)

    it("the kept token is tried when the configured one is refused", function()
      local state_dir = host.directory() .. "/state"
      host.connect(options { token = false, state_dir = state_dir, args = { "--bootstrap" } }):stop()
      local two = host.connect(options { token = "wrong-token-of-nobody", state_dir = state_dir })
      two:log "trying the token that the platform minted earlier instead"
      answers(two)
      two:stop()
    end)
  end)

  describe("without --bootstrap, when every token was revoked,", function()
    local function kept(one)
      return host.read(("%s/%s.token"):format(one.state_dir, workspace.id))
    end

    it("none is minted for a host that runs: it does not register, and says what to do", function()
      local one = host.connect(options())
      assert.equal(1, registrations())
      platform:order("revoke", { workspace = workspace.id })
      one:log("error.*401.*3 times in a row.*without %-%-bootstrap the platform is not asked to mint one")
      one:wait { path = "/workspaces/" .. workspace.id .. "/state", status = 401, count = 1 }
      assert.equal(0, platform:state_of(workspace.id).tokens)
      assert.equal(1, registrations())
      one:stop()
      assert.is_nil(kept(one))
    end)

    it("none is minted for a host that starts: code 77, and what to do", function()
      platform:order("revoke", { workspace = workspace.id })
      local one = host.start(options { args = { "--refusal-patience", "500ms" } })
      one:wait_exit(77)
      one:log "issue a token on the platform and put it into %-%-token%-file.*start with %-%-bootstrap"
      assert.equal(0, platform:state_of(workspace.id).tokens)
      assert.is_nil(kept(one))
    end)

    it("nor at a reload", function()
      local one = host.connect(options { args = { "--heartbeat-ms", "60000", "--interval-ms", "3600000", "--wake", "poll" } })
      platform:order("revoke", { workspace = workspace.id })
      host.write(one.script_path, [[return {name = "other", handle = print}]])
      platform:message { to = workspace.id, text = "hello" }
      one.process:signal "sighup"
      one:wait { path = "/workspaces/" .. workspace.id .. "/state", status = 401, count = 1 }
      assert.equal(0, platform:state_of(workspace.id).tokens)
      assert.equal(1, registrations())
      one:stop()
      assert.is_nil(kept(one))
    end)

    it("a platform that mints all the same is not taken at its word", function()
      platform:order("revoke", { workspace = workspace.id })
      platform:fault({ kind = "status", status = 404 }, { path = "/workspaces/" .. workspace.id .. "/state" }, { times = 1 })
      local one = host.start(options { args = { "--refusal-patience", "500ms" } })
      one:log "error.*the platform minted a token, because every token.*it is not used without %-%-bootstrap"
      one:wait_exit(77)
      assert.is_nil(kept(one))
    end)

    it("with --bootstrap the minted one is kept", function()
      local one = host.connect(options { args = { "--bootstrap" } })
      platform:order("revoke", { workspace = workspace.id })
      one:log("the platform minted a token; it is kept in")
      one.secrets[#one.secrets + 1] = kept(one)
      answers(one)
      one:stop()
    end)
  end)

  describe("a token that changes while it runs", function()
    it("is read again from its file after a refusal", function()
      local file = host.write(host.directory() .. "/token", workspace.token .. "\n")
      local one = host.connect(options { token = false, args = { "--token-file", file } })
      platform:order("revoke", { workspace = workspace.id, replace = true })
      one:log "401.*re%-reading the token and continuing"
      one.secrets[2] = "fresh-" .. workspace.token:reverse()
      host.write(file, one.secrets[2] .. "\n")
      platform:workspace { id = workspace.id, token = one.secrets[2] }
      one:log "trying the token now in the token file"
      answers(one)
      one:stop()
    end)

    it("is asked for loudly while none works, and the inbox continues as soon as it is accepted again", function()
      local one = host.connect(options())
      platform:order("revoke", { workspace = workspace.id, replace = true })
      one:log "error.*401.*3 times in a row.*check the token on the platform"
      platform:workspace { id = workspace.id, token = workspace.token }
      one:log "accepts our token again"
      answers(one)
      one:stop()
    end)
  end)

  it("a workspace that is removed on the platform ends it with code 77", function()
    local one = host.connect(options { args = { "--refusal-patience", "200ms" } })
    platform:order("remove", { workspace = workspace.id })
    one:wait_exit(77)
    one:log "this workspace was removed on the platform"
  end)

  it("one request at a time: a reload meets a registration that is tried again", function()
    local path = "/registry/register"
    local function script(name) return ([[return {name = %q, handle = function() end}]]):format(name) end
    local one = host.connect(options { script = script "a", args = { "-v" } })
    local mark = platform:mark()
    platform:fault({ kind = "status", status = 503, headers = { ["Retry-After"] = "1" } }, { path = path })
    host.write(one.script_path, script "b")
    one.process:signal "sighup"
    one:wait { path = path, since = mark, count = 1 }
    one:log "registration: HTTP 503"
    -- the timer of that attempt would fire while the next one is under way
    platform:fault({ kind = "delay", ms = 2000 }, { path = path }, { times = 1 })
    host.write(one.script_path, script "c")
    one.process:signal "sighup"
    one:log("registered again as c")
    local found = one:posts(path, mark)
    assert.equal(2, #found)
    one:stop()
  end)

  it("a card that changes while the first registration is under way is told as well", function()
    local path = "/registry/register"
    local function script(name) return ([[return {name = %q, handle = function() end}]]):format(name) end
    platform:fault({ kind = "delay", ms = 1500 }, { path = path, workspace = workspace.id })
    local one = host.start(options { script = script "a" })
    one:wait { path = "/workspaces/" .. workspace.id .. "/state", status = 200, count = 1 }
    one:wait { path = path, workspace = workspace.id, count = 1 }
    host.write(one.script_path, script "b")
    one.process:signal "sighup"
    one:log("registered again as b")
    local found = one:posts(path)
    assert.equal("b", cjson.decode(found[#found].body).agent_card.name)
    one:stop()
  end)

  it("a card that changes while a registration is under way is told as well", function()
    local path = "/registry/register"
    local function script(name) return ([[return {name = %q, handle = function() end}]]):format(name) end
    local one = host.connect(options { script = script "a" })
    local mark = platform:mark()
    platform:fault({ kind = "delay", ms = 1500 }, { path = path })
    host.write(one.script_path, script "b")
    one.process:signal "sighup"
    one:log "the script is reloaded"
    host.write(one.script_path, script "c")
    one.process:signal "sighup"
    one:log("registered again as c")
    local found = one:posts(path, mark)
    assert.equal("c", cjson.decode(found[#found].body).agent_card.name)
    one:stop()
  end)

  describe("wrong usage", function()
    -- Ends with code 2 and this message before anything was created or sent.
    local function refuses(more, pattern)
      local mark = platform:mark()
      local one = host.run(options(more), 2)
      one:log(pattern)
      assert.same({}, host.list(one.state_dir))
      assert.is_nil(uv.fs_stat(one.state_dir))
      assert.equal(mark, platform:mark())
      return one
    end

    it("no script and no backend: says which options give one", function()
      refuses({ script = false }, "nothing to answer with: give %-%-script FILE or %-%-backend NAME %(.*mock")
    end)

    it("a script and a backend: says that they cannot be combined", function()
      refuses({ args = { "--backend", "mock" } }, "%-%-script and %-%-backend cannot be combined")
    end)

    it("no token: says where it may come from", function()
      refuses({ token = false }, "no token: set MOLECULE_WORKSPACE_TOKEN or %-%-token%-file, or use %-%-bootstrap")
    end)

    it("an empty token file: says which file", function()
      local file = host.write(host.directory() .. "/token", "\n")
      refuses({ token = false, args = { "--token-file", file } }, "the token file .*/token is empty")
    end)

    it("a token file that is not there: says which file", function()
      refuses({ token = false, args = { "--token-file", "/nowhere/token" } },
        "the token file /nowhere/token cannot be read: No such file")
    end)

    it("a script that is not there: says which", function()
      refuses({ script = false, script_path = "/nowhere/agent.lua" },
        "the script /nowhere/agent%.lua cannot be read: No such file")
    end)

    for _, id in ipairs { "../x", "a/b", "", ".hidden", "a b", ("x"):rep(129) } do
      it(("%q is no workspace id"):format(id:sub(1, 10)), function()
        workspace = { id = id, token = "some-token" }
        local one = host.run(options(), 2)
        one:log "cannot be a workspace id"
        assert.is_nil(uv.fs_stat(one.state_dir))
      end)
    end

    it("no workspace id: says so", function()
      local process = require("tests.support.process").spawn {
        command = { emulator.binary(), "connect", "--backend", "mock" } }
      assert.equal(2, (process:wait_exit()))
      assert.matches("missing workspace id", process.stderr)
    end)

    for _, url in ipairs { "http://192.0.2.1", "http://example.com:8080", "http://[2001:db8::1]" } do
      it("plain http to " .. url .. " is refused: the token would travel readable", function()
        refuses({ api_url = url }, "would send the token unencrypted to another machine; use https")
      end)
    end

    for _, url in ipairs { "ftp://127.0.0.1", "localhost:8080", "http://", "http://127.0.0.1:0x50" } do
      it(url .. " is no platform's address", function()
        refuses({ api_url = url }, "%-%-api%-url " .. url:gsub("%p", "%%%0"))
      end)
    end

    it("--mode push: needs the URL at which the platform reaches it", function()
      refuses({ args = { "--mode", "push" } }, "%-%-mode push needs %-%-public%-url")
    end)

    it("a length of time: is taken with a unit, and without one in the option's own", function()
      for _, args in ipairs { { "--interval-ms", "10s" }, { "--interval-ms", "250" }, { "--heartbeat-ms", "1m10s" },
        { "--since-secs", "5m" }, { "--since-secs", "30" }, { "--timeout", "90" }, { "--timeout", "1.5h" } } do
        args[#args + 1] = "--dry-run"
        host.run({ platform = platform, workspace = workspace, script = host.ECHO, args = args }, 0)
      end
      refuses({ args = { "--interval-ms", "2h" } }, '%-%-interval%-ms must be between 1 and 3600000 ms; got "2h"')
      refuses({ args = { "--since-secs", "40d" } }, '%-%-since%-secs must be between 1 and 2592000 s; got "40d"')
      refuses({ args = { "--interval-ms", "1.5" } }, 'a plain number means milliseconds; got "1.5"')
    end)

    it("a mistyped option: names the one that was meant", function()
      refuses({ args = { "--scrpt", "x" } }, "unknown option %-%-scrpt; did you mean %-%-script%?")
      refuses({ args = { "--interval_ms=3" } }, "unknown option %-%-interval_ms=3; did you mean %-%-interval%-ms%?")
    end)

    it("an unknown option: names it", function()
      refuses({ args = { "--intervall-ms", "5" } }, "unknown option %-%-intervall%-ms")
    end)

    it("an invalid value: says what is accepted", function()
      refuses({ args = { "--interval-ms", "fast" } },
        '%-%-interval%-ms takes a duration like 250ms, 30s or 5m; a plain number means milliseconds; got "fast"')
    end)

    it("--dry-run loads the script, tells what it would do, sends nothing and writes nothing", function()
      local mark = platform:mark()
      local one = host.run(options { args = { "--dry-run" },
        script = [[return {name = "rehearsed", handle = print, start = function() error("started") end}]] }, 0)
      assert.matches("workspace  " .. workspace.id:gsub("%-", "%%-"), one.process.stdout)
      assert.matches("agent      rehearsed", one.process.stdout)
      assert.matches("nothing was sent, nothing was written", one.process.stdout)
      assert.is_nil(uv.fs_stat(one.state_dir))
      assert.equal(mark, platform:mark())
    end)

    it("--dry-run of a script that does not load ends with code 2 and the line", function()
      local one = refuses({ args = { "--dry-run" }, script = "return function(" }, "does not load: .*agent%.lua:1:")
      assert.equal("", one.process.stdout)
    end)
  end)

  describe("a script that does not load ends it with code 2 before anything is sent:", function()
    local function refuses(more, pattern)
      local mark = platform:mark()
      local one = host.run(options(more), 2)
      one:log(pattern)
      assert.equal(mark, platform:mark())
      assert.is_nil(one:state())
    end

    it("a syntax error, with its line", function()
      refuses({ script = "local x = 1\nreturn functio(msg) end" }, "the script does not load: .*agent%.lua:2: ")
    end)

    it("an error at its top level, with its line", function()
      refuses({ script = "\n\nerror('not today')" }, "the script does not load: .*agent%.lua:3: not today")
    end)

    it("an error in start, with its line", function()
      refuses({ script = "return {handle = print,\n start = function() error('no model') end}" },
        "the script does not load: .*agent%.lua:2: no model")
    end)

    it("no function, with what it returned instead", function()
      refuses({ script = "return 42" }, "agent%.lua returned a number; it must return a function")
    end)

    it("a module that is not there", function()
      refuses({ script = "require 'nosuchmodule'" }, "module 'nosuchmodule' not found")
    end)

    it("an unknown backend, with those there are", function()
      refuses({ script = false, args = { "--backend", "mok" } },
        'no backend "mok": the binary has claude%-code, exec, http, mock')
    end)

    it("an unknown option of a backend, with those there are", function()
      refuses({ script = false, args = { "--backend", "mock", "--backend-opt", "replly=x" } },
        'backend mock has no option "replly"; it knows reply')
    end)
  end)

  it("a flag beats the environment: --token-file is used though MOLECULE_WORKSPACE_TOKEN is set", function()
    local file = host.write(host.directory() .. "/token", workspace.token)
    local one = host.connect(options { token = "wrong-token-of-nobody", args = { "--token-file", file } })
    assert.equal(1, registrations())
    answers(one)
    one:stop()
  end)

  it("variables configure it where no flag does", function()
    local state_dir = host.directory() .. "/elsewhere"
    local process = require("tests.support.process").spawn {
      command = { emulator.binary(), "connect", workspace.id:upper(), "--backend", "mock", "--interval-ms", "20" },
      env = { MOLECULE_API_URL = platform.url .. "/", MOLECULE_WORKSPACE_TOKEN = workspace.token,
        MOLECULE_STATE_DIR = state_dir, MOLECULE_ORG_ID = "org-1" } }
    process:wait_line("registered as", { stream = "stderr" })
    platform:message { to = workspace.id, text = "hello" }
    platform:wait { path = ("/workspaces/%s/notify"):format(workspace.id), status = 200, body = "echo: hello" }
    process:signal "sigterm"
    assert.equal(0, (process:wait_exit()))
    local names = host.list(state_dir)
    assert.truthy(table.concat(names, " "):find(workspace.id .. ".json", 1, true))
    for _, entry in ipairs(platform:journal()) do
      if entry.path:find(workspace.id, 1, true) then assert.equal("org-1", entry.headers["x-molecule-org-id"]) end
    end
  end)
end)
