--- `molecule check`: mistakes are found before a message meets them, each at its line and column.

local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local process = require "tests.support.process"
local server = require "tests.support.server"

describe("molecule check", function()
  local directory

  before_each(function() directory = host.directory() end)
  after_each(function()
    process.kill_all()
    host.clean_up()
    server.stop_all()
  end)

  local function run(args, code)
    local command = { emulator.binary(), "check", table.unpack(args) }
    local child = process.spawn { command = command, cwd = directory, env = { HOME = directory, MOLECULE_API_URL = false } }
    assert.equal(code, child:wait_exit(), child.stdout .. child.stderr)
    return child.stdout, child.stderr
  end

  ---What it says of this script, the place cut off from each finding.
  local function check(script, code, name)
    host.write(directory .. "/" .. (name or "agent.lua"), script)
    return (run({ name or "agent.lua" }, code))
  end

  local function says(script, code, ...)
    local said = check(script, code)
    for _, words in ipairs { ... } do assert.truthy(said:find(words, 1, true), said) end
    return said
  end

  it("finds nothing in a script that is fine, and says so", function()
    assert.equal("no mistakes found\n", check([[
      local molecule = require "molecule"
      local http, log = molecule.http, molecule.log
      local function ask(msg) return http.get("https://example.com/?q=" .. msg.text) end
      return {handle = function(msg, ctx)
        if msg.metadata and msg.metadata.quiet then return molecule.skip "quiet" end
        ctx.progress "asking"
        local answer, problem = ask(msg)
        if not answer then log.warn("no answer: %s", problem) return end
        for name, value in pairs(answer.headers) do log.debug("%s: %s", name, value) end
        return {text = answer.body, files = {}}
      end, name = "fine", concurrency = 3}]], 0))
  end)

  it("finds nothing in the examples", function()
    local count = 0
    for _, name in ipairs(host.list "examples/") do
      if name:find "%.lua$" and not name:find "_spec%.lua$" then
        local child = process.spawn { command = { emulator.binary(), "check", "examples/" .. name } }
        assert.equal(0, child:wait_exit(), child.stdout .. child.stderr)
        assert.equal("no mistakes found\n", child.stdout)
        count = count + 1
      end
    end
    assert.truthy(count > 5)
  end)

  it("marks the place below the source line", function()
    assert.equal("agent.lua:2:31: error: molecule has no 'htpp'; did you mean 'http'?\n" ..
      "    return function(msg) molecule.htpp.get(msg.text) return \"\" end\n" ..
      "                                  ^~~~\n" ..
      "1 error, 0 warnings\n",
      check("local molecule = require \"molecule\"\nreturn function(msg) molecule.htpp.get(msg.text) return \"\" end\n", 2))
  end)

  it("counts columns in characters, also after umlauts and tabs", function()
    local said = says("\treturn function(msg) return 'äöü' .. msg.txt end", 2, "agent.lua:1:43: error: msg has no 'txt'")
    local source, mark = said:match "\n(    [^\n]*)\n( *)%^"
    assert.equal(utf8.len(source:match "^(.*msg%.)txt"), #mark)
  end)

  for _, case in ipairs {
    { "return function(msg) return msg.txt end", "1:33: error: msg has no 'txt'; did you mean 'text'?" },
    { "return function(msg, ctx) return ctx.option.x end", "ctx has no 'option'; did you mean 'options'?" },
    { "return {start = function(ctx) ctx.log.inof('x') end, handle = function(msg) return msg.text end}",
      "ctx.log has no 'inof'; did you mean 'info'?" },
    { "return function(msg) return mesage.text end", "the global 'mesage' is never set, so indexing it fails" },
    { "function answer() end\nreturn function(msg) return answr(msg) end",
      "2:29: error: the global 'answr' is never set, so calling it fails; did you mean 'answer'?" },
    { "return function(msg) return 42 end", "the handler returns a number" },
    { "return {handel = function(msg) return msg.text end}",
      "1:9: error: the agent has an unknown field 'handel'; did you mean 'handle'?" },
    { "return {\n  handle = function(msg) return msg.text end,\n  name = 7,\n}",
      "agent.lua:3:3: error: the agent's `name` must be a string" },
    { "local m = require 'molecule'\nlocal s = m.stroe\nreturn function() return s.get 'x' end",
      "2:13: error: molecule has no 'stroe'; did you mean 'store'?" },
    { "local molecule = require 'molecule'\nreturn function(msg) return molecule.all {print, 5}[1] end",
      "2:38: error: molecule.all takes a list of functions, but number 2 is a number" },
    { "local race = require 'molecule'.race\nreturn function(msg) return race(print, msg.text) and race(function() end) end",
      "molecule.race takes a list of functions, molecule.race {f, g}, not a function" },
    { "local molecule = require 'molecule'\nreturn function(msg) return molecule.map({msg.text}, 'upper')[1] end",
      "molecule.map: the second argument must be a function(item, index), not a string" },
    { "local store = require 'molecule'.store\nreturn function() return store.fetch 'x' end", "molecule.store has no 'fetch'" },
    { "return function(msg)\n  return (msg.text\nend", "agent.lua:3:1: error: ')' expected (to close '(' at line 2) near 'end'" },
    { "return 7", "error: the script returned a number; it must return a function(msg, ctx)" },
    { "error 'at once'", "agent.lua:1: error: at once" },
    { "local x = nil\nreturn x.y", "agent.lua:2" },
  } do
    it(("finds the mistake in %q"):format(case[1]), function() says(case[1], 2, case[2]) end)
  end

  it("warns of what may be meant, and exits with 0", function()
    says("return function(msg) if DEBUG then return 'x' end return msg.text end", 0,
      "1:25: warning: the global 'DEBUG' is never set, so this is nil",
      "0 errors, 1 warning")
    says("return function(msg) end", 0, "warning: the handler does nothing and returns nothing")
  end)

  it("does not take a name for unknown that the script sets, guards or reuses", function()
    for _, script in ipairs {
      "count = 0\nreturn function(msg) count = count + 1 return tostring(count) end",
      "return function(msg) msg.seen = true return tostring(msg.seen) end",
      "local m = require 'molecule'\nlocal x = m\n" ..
        "if os.time() > 0 then x = {other = 1} end\nreturn function() return tostring(x.other) end",
      "local m = require 'molecule'\n" ..
        "for _, x in ipairs {m.http, {foo = 1}} do local _ = x.foo end\nreturn function(msg) return msg.text end",
      "return function(msg, ctx) msg = {txt = 'x'} return msg.txt end",
      "if jit then jit.off() end\nreturn function(msg) return msg.text end",
      "local _ENV = setmetatable({}, {__index = _G})\nreturn function(msg) return msg.text end",
    } do assert.falsy(check(script, 0):find("error:", 1, true), script) end
  end)

  it("looks into the modules beside the script", function()
    host.write(directory .. "/helper.lua",
      "local molecule = require 'molecule'\nreturn {ask = function() return molecule.delegat('x') end}\n")
    local said = says("local helper = require 'helper'\nreturn function(msg) return helper.ask() end", 2,
      "helper.lua:2:42: error: molecule has no 'delegat'")
    assert.truthy(said:find("1 error, 0 warnings", 1, true), said)
  end)

  it("reaches no network, and calls no start", function()
    local web = server.start(function(_, reply) reply(200, "") end)
    says(([[local molecule = require "molecule"
      return {start = function() molecule.http.get(%q) error "start ran" end, handle = function(msg) return msg.text end}]])
      :format(web.url), 0, "no mistakes found")
    says(("local molecule = require 'molecule'\nmolecule.http.get(%q)\n" ..
      "return function(msg) return msg.text end"):format(web.url), 2,
      "agent.lua:2: error: http: a script that is only checked reaches no network")
    assert.equal(0, #web.requests)
  end)

  it("colors what it finds on a terminal, and where it is asked to", function()
    host.write(directory .. "/agent.lua", "return function(msg) return msg.txt end")
    assert.truthy(run({ "--color", "always" }, 2):find("\27[1;31merror:\27[0m msg has no 'txt'", 1, true))
    assert.falsy(run({}, 2):find("\27", 1, true))
    local function on_terminal(environment)
      local child = process.spawn { command = { "script", "-qec", emulator.binary() .. " check", "/dev/null" }, cwd = directory,
        env = environment }
      child:wait_exit()
      return child.stdout
    end
    assert.truthy(on_terminal({ TERM = "xterm", NO_COLOR = false }):find("\27[1;31m", 1, true))
    assert.falsy(on_terminal({ TERM = "xterm", NO_COLOR = "1" }):find("\27[1;31m", 1, true))
    local _, said = run({ "--color", "red" }, 2)
    assert.truthy(said:find("--color is auto, always or never", 1, true), said)
  end)

  it("prints JSON for programs", function()
    host.write(directory .. "/agent.lua", "return function(msg) return msg.txt end")
    local said = cjson.decode((run({ "--json" }, 2)))
    assert.is_false(said.ok)
    assert.same({ file = "agent.lua", line = 1, column = 33, level = "error", text = "msg has no 'txt'; did you mean 'text'?" },
      said.findings[1])
  end)

  it("checks a fleet file, and the scripts in it", function()
    host.write(directory .. "/one.lua", "return function(msg) return msg.txt end")
    host.write(directory .. "/fleet.lua",
      "return {workspaces = {{id = '7f1d0c9e-3a52-4a0e-9d0b-6f2b1f3f8a11', api_url = 'https://x.example', " ..
      "script = 'one.lua', token_file = 'x'}}}")
    local said = run({ "fleet.lua" }, 2)
    assert.truthy(said:find("one.lua:1:33: error: msg has no 'txt'", 1, true), said)
    host.write(directory .. "/fleet.lua",
      "return {workspaces = {\n  {id = '7f1d0c9e-3a52-4a0e-9d0b-6f2b1f3f8a11', scritp = 'one.lua'}}}")
    said = run({ "fleet.lua" }, 2)
    assert.truthy(said:find("fleet.lua:2", 1, true) and said:find("scritp", 1, true), said)
  end)

  it("tells a fleet file from a script by what it returns, and not by a word in it", function()
    says("-- routes between workspaces\nlocal workspaces = {}\n" ..
      "local function answer(m) return workspaces[m.text] or m.txt end\nreturn answer", 2, "agent.lua:3", "msg has no 'txt'")
    for _, script in ipairs {
      "-- handle with care\nlocal fleet = {defaults = {}}\nfleet.workspaces = {{id = 'x'}}\nreturn fleet",
      "local all = {}\nfor i = 1, 2 do all[i] = {id = 'x'} end\nreturn {workspaces = all}",
      "return {workspaces = (function() return {{id = 'x'}} end)()}",
    } do says(script, 2, '"x" cannot be a workspace id') end
  end)

  it("checks the options of a backend", function()
    local said = run({ "--backend", "http" }, 2)
    assert.truthy(said:find("http: error: backend http needs --backend-opt url=", 1, true), said)
    assert.equal("no mistakes found\n", (run({ "--backend", "http", "--backend-opt", "url=https://x.example/" }, 0)))
    said = run({ "--backend", "http", "--backend-opt", "url=https://x/", "--backend-opt", "timeuot=3" }, 2)
    assert.truthy(said:find("timeout", 1, true), said)
  end)

  describe("by way of connect and fleet", function()
    local platform, workspace

    before_each(function()
      platform = emulator.start()
      workspace = host.workspace(platform)
      host.write(directory .. "/agent.lua", "return function(msg) return msg.txt end")
      host.write(directory .. "/good.lua", "return function(msg) return msg.text end")
    end)
    after_each(function() platform:stop() end)

    local function connect(args, code)
      local command = { emulator.binary(), "connect", workspace.id, "--state-dir", directory .. "/state", table.unpack(args) }
      local child = process.spawn { command = command, cwd = directory, env = { HOME = directory, MOLECULE_API_URL = false,
        MOLECULE_WORKSPACE_TOKEN = false } }
      assert.equal(code, child:wait_exit(), child.stdout .. child.stderr)
      return child.stdout .. child.stderr
    end

    it("needs neither a token nor an address", function()
      local said = connect({ "--script", "agent.lua", "--check" }, 2)
      assert.truthy(said:find("agent.lua:1:33: error: msg has no 'txt'", 1, true), said)
      assert.equal("no mistakes found\n", connect({ "--script", "good.lua", "--check" }, 0))
    end)

    it("asks the platform with --online, and changes nothing there", function()
      local args = { "--script", "good.lua", "--check", "--online", "--api-url", platform.url, "--token" }
      args[#args + 1] = workspace.token
      assert.truthy(connect(args, 0):find("no mistakes found", 1, true))
      args[#args] = "another-token"
      local said = connect(args, 2)
      assert.truthy(said:find("does not take the token for the workspace", 1, true), said)
      assert.falsy(said:find("another-token", 1, true), said)
      said = connect({ "--script", "good.lua", "--check", "--online", "--api-url", platform.url }, 2)
      assert.truthy(said:find("no token", 1, true), said)
      said = connect({ "--script", "good.lua", "--check", "--online", "--api-url", "http://127.0.0.1:1", "--token", "x123" }, 2)
      assert.truthy(said:find("http://127.0.0.1:1", 1, true), said)
    end)

    it("finds mistakes in the scripts of a fleet", function()
      host.write(directory .. "/fleet.lua", ("return {workspaces = {{id = %q, api_url = %q, script = 'agent.lua'}}}")
        :format(workspace.id, platform.url))
      local child = process.spawn { command = { emulator.binary(), "fleet", "fleet.lua", "--check" }, cwd = directory }
      assert.equal(2, child:wait_exit(), child.stderr)
      assert.truthy(child.stdout:find("agent.lua:1:33: error: msg has no 'txt'", 1, true), child.stdout)
    end)
  end)

  it("names a file that is not there", function()
    local said = run({ "nope.lua" }, 2)
    assert.equal("nope.lua: error: No such file or directory\n1 error, 0 warnings\n", said)
    local long = ("d/"):rep(1500) .. "nope.lua"
    assert.equal(long .. ": error: No such file or directory\n1 error, 0 warnings\n", (run({ long }, 2)))
  end)
end)
