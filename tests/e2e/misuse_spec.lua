--- Mistakes in scripts: each is an error at the script's line, also in a tail call, that says what was meant.

local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local process = require "tests.support.process"

-- {a body of a function, a part of the error}
local CASES = {
  -- options: unknown fields
  { "return molecule.sned('x', 'y')", "attempt to call a nil value (field 'sned'); did you mean 'send'?" },
  { "return molecule.http.gett('http://x')", "attempt to call a nil value (field 'gett'); did you mean 'get'?" },
  { "return molecule.store.whatever()", "attempt to call a nil value (field 'whatever')" },
  { "return molecule.retry {afer = 3}", "retry: unknown field 'afer'; did you mean 'after'?" },
  { "return molecule.retry {3}", "retry: unknown field [1]" },
  { "return molecule.retry {zzz = 3}", "retry: unknown field 'zzz'; known fields: after, hold, reason" },
  { "return molecule.send(msg.id, 'x', {timeuot = 1})", "send: unknown field 'timeuot'; did you mean 'timeout'?" },
  { "return molecule.send(msg.id, {txt = 'x'})", "send: unknown field 'txt'; did you mean 'text'?" },
  { "return molecule.notify('x', {file = {}})", "notify: unknown field 'file'; did you mean 'files'?" },
  { "return molecule.peers {query = 'x'}", "peers: unknown field 'query'; known fields: q" },
  { "return molecule.delegate {taget = 'x', task = 'y'}", "delegate: unknown field 'taget'; did you mean 'target'?" },
  { "return molecule.store.set('k', 1, {tll = 1})", "store.set: unknown field 'tll'; did you mean 'ttl'?" },
  { "return molecule.store.append('k', 1, {maxx = 1})", "store.append: unknown field 'maxx'; did you mean 'max'?" },
  { "return molecule.http.get('http://127.0.0.1:1/', {timout = 1})", "http: unknown field 'timout'; did you mean 'timeout'?" },
  { "return molecule.http.get('http://127.0.0.1:1/', {header = {}})", "http: unknown field 'header'; did you mean 'headers'?" },
  { "return molecule.http.post('http://127.0.0.1:1/', {text = 'x'})",
    "unknown field 'text'; known fields: json, body; a table here holds options: the body is json" },
  { "return molecule.http.post('http://127.0.0.1:1/', {customer = 7})", "a table here holds options: the body is json" },
  { "return molecule.http.post('http://127.0.0.1:1/', {1, 2})", "a table here holds options: the body is json" },
  { "return molecule.http.sse {url = 'http://127.0.0.1:1/', max_byte = 1}",
    "http: unknown field 'max_byte'; did you mean 'max_bytes'?" },
  { "return molecule.exec {cmd = 'true', tmeout = 1}", "exec: unknown field 'tmeout'; did you mean 'timeout'?" },
  { "return molecule.router {alow = {}}", "molecule.router: unknown field 'alow'; did you mean 'allow'?" },
  { "return molecule.notify('x', {files = {{nmae = 'x', data = 'y'}}})", "files[1]: unknown field 'nmae'; did you mean 'name'?" },
  { "return {text = 'x', files = {{dta = 'y'}}}", "files[1]: unknown field 'dta'; did you mean 'data'?", anywhere = true },
  -- what newcomers write
  { "return molecule.exec {'ls'}",
    [[exec: takes a table that says what to run: exec {cmd = "ls"} for a shell, or exec {argv = {"ls"}}]] },
  { "return molecule.exec 'ls -l'", [[exec {cmd = "ls -l"}]] },
  { "return molecule.exec(nil)", "exec: takes a table" },
  { "return molecule.exec {argv = 'ls'}", "exec: argv must be a list of strings, not a string" },
  { "return molecule.http.get()", "http: the url must be a string, not a nil" },
  { "return molecule.env()", "env: the name must be a string, not a nil" },
  -- other misuse in a tail call
  { "return molecule.skip {}", "skip: the reason must be a string, not a table" },
  { "return molecule.dead(1)", "dead: the reason must be a string, not a number" },
  { "return molecule.retry {after = 'soon'}",
    [[retry: after must be a number of seconds or a duration like "10s" or "5m", not "soon"]] },
  { "return molecule.retry {after = -1}", "retry: `after` must be between 0 seconds and 366 days" },
  { "return molecule.sleep('soon')", [[sleep: a number of seconds or a duration like "10s" or "5m" expected, not "soon"]] },
  { "return ctx.progress {}", "ctx.progress: the text must be a string, not a table" },
  { "return molecule.sleep(-1)", "sleep: the time must be between" },
  { "return molecule.every('x', print)", "every: a number of seconds" },
  { "return molecule.after('1s')", "after: the second argument must be a function(ctx)" },
  { "return molecule.store.get(1)", "store.get: a key must be" },
  { "return molecule.send('x', 'y', {timeout = {}})", "send: timeout must be a number of seconds or a duration like" },
  { "return molecule.log('%d', 'x')", "log.info: bad argument #2" },
  { "return msg.files and molecule.router():on('(', print)", "router:on: the pattern" },
  -- and what is returned
  { "return {txt = 'hello'}", "a table with the unknown field 'txt' (did you mean 'text'?)", anywhere = true },
  { "return {text = 'hello', file = {}}", "a table with the unknown field 'file' (did you mean 'files'?)", anywhere = true },
  { "error {code = 42, message = 'it broke', deep = {}}", "the error object is a table: {", anywhere = true },
  { "error {code = 42}", "the error object is a table: {code = 42}", anywhere = true },
  { "error(setmetatable({}, {__tostring = function() return 'my words' end}))", "my words", anywhere = true },
}

describe("a mistake in a script", function()
  local platform, workspace, one

  setup(function()
    platform = emulator.start { args = { "--rate-limit", "-1" } }
    workspace = host.workspace(platform)
    local lines = { [[local molecule = require "molecule" local cases = {}]] }
    for i, case in ipairs(CASES) do lines[i + 1] = ("cases[%d] = function(msg, ctx) %s end"):format(i, case[1]) end
    lines[#lines + 1] = "return function(msg, ctx) return cases[tonumber(msg.text)](msg, ctx) end"
    one = host.connect { platform = platform, workspace = workspace, script = table.concat(lines, "\n"),
      args = { "--max-attempts", "1" } }
  end)

  teardown(function()
    one:stop()
    host.clean_up()
    platform:stop()
  end)

  for i, case in ipairs(CASES) do
    it("is told with its line: " .. case[1], function()
      local row = platform:message { to = workspace.id, text = tostring(i), context_id = "case-" .. i }[1]
      local line = one:log_of(row, "the handler failed")
      assert(line:find(case[2], 1, true), line)
      if not case.anywhere then assert(line:find(("agent.lua:%d: "):format(i + 1), 1, true), line) end
    end)
  end

  it("in a call that may wait does not keep one that is right from waiting", function()
    local row = platform:message { to = workspace.id, text = "1", context_id = "again" }[1]
    one:log_of(row, "the handler failed")
    assert.equal(0, one:count_log "cannot wait")
  end)
end)

describe("lengths of time", function()
  it("are taken as numbers and as texts by every function", function()
    local platform = emulator.start { args = { "--rate-limit", "-1" } }
    local workspace = host.workspace(platform)
    local one = host.connect { platform = platform, workspace = workspace, script = [[
      local molecule = require "molecule"
      return function(msg)
        if molecule.store.get "again" then return "all taken" end
        molecule.store.set("again", true, {ttl = "1h"})
        for _, time in ipairs {"10ms", 0.01, "0.01s", "0.01"} do
          molecule.sleep(time)
          molecule.after(time, function() end)
          molecule.every(time, function() end):cancel()
          assert(molecule.exec {cmd = "true", timeout = "1m"})
          molecule.store.set("k", 1, {ttl = time})
          local none, _, code = molecule.http.get("http://127.0.0.1:1/", {timeout = "10s"})
          assert(none == nil and code == "CONNECT", code)
        end
        molecule.send("7f1d0000-0000-4000-8000-00000000ffff", "x", {timeout = "1s"})
        return molecule.retry {after = "10ms"}
      end]] }
    platform:message { to = workspace.id, text = "go" }
    assert.same({ "all taken" }, one:canvas(1))
    one:stop()
    host.clean_up()
    platform:stop()
  end)
end)

describe("an agent", function()
  after_each(host.clean_up)

  local function dry_run(script)
    local path = host.write(host.directory() .. "/agent.lua", script)
    local child = process.spawn { command = { emulator.binary(), "connect", emulator.uuid(), "--script", path, "--dry-run",
      "--state-dir", host.directory(), "--api-url", "http://127.0.0.1:9" }, env = { MOLECULE_WORKSPACE_TOKEN = "some-token" } }
    return child:wait_exit(), child.stderr
  end

  for script, words in pairs {
    ["return {handle = print, concurency = 2}"] = "has an unknown field 'concurency'; did you mean 'concurrency'?",
    ["return {hanlde = print}"] = "has an unknown field 'hanlde'; did you mean 'handle'?",
    ["return {handle = print, helper = print}"] = "has an unknown field 'helper'; keep the script's own data in a local",
    ["return {print}"] = "returned a table with the field [1]",
    ["return {handle = print, skills = {'a'}}"] = "item 1 is a string: skills = {{id = ",
    ["return {handle = print, skills = {id = 'a'}}"] = "has the field 'id'",
    ["return {handle = print, skills = {{id = 'a', name = 1}}}"] = "the name of an item must be a string, not a number",
    ["return {handle = print, stop = 1}"] = "the agent's `stop` must be a function, not a number",
    ["return {}"] = "whose `handle` is a nil, not a function(msg, ctx)",
    ["error {reason = 'no'}"] = [[the error object is a table: {reason = "no"}]],
  } do
    it("is refused with what was meant: " .. script, function()
      local code, said = dry_run(script)
      assert.equal(2, code, said)
      assert(said:find(words, 1, true), said)
    end)
  end

  it("may keep what is its own in fields that begin with '_', and behind a metatable", function()
    local code, said = dry_run [[
      local base = {helper = print}
      return setmetatable({handle = print, _count = 0, skills = {{id = "a", tags = {"x"}}}}, {__index = base})]]
    assert.equal(0, code, said)
  end)
end)
