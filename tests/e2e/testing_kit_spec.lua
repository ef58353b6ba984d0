--- The testing kit says what the host says: the same scripts and messages go through molecule.testing and through the program
--- (`molecule try`, and `molecule connect` against the emulator); replies, outcomes, interim words and log lines are compared.
package.path = "./lua/?.lua;./lua/?/init.lua;" .. package.path

local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local preload = require "tests.support.preload"
local process = require "tests.support.process"
local server = require "tests.support.server"
local t = require "molecule.testing"

-- name -> {a script, messages…}
local SCENARIOS = {
  ["strings, tables, parts"] = { [[
local molecule = require "molecule"
return function(msg)
  local answers = {
    string = "a string", empty = "", ["true"] = true, table = {text = "of a table"}, none = {text = ""}, noparts = {parts = {}},
    parts = {parts = {{kind = "text", text = "one"}, {kind = "text", text = "two"}}}, ptype = {parts = {{type = "text",
      text = "t"}}},
    both = {text = "lost", parts = {{kind = "text", text = "kept"}}}, before = {text = "before", parts = {{kind = "data",
      data = {1}}}},
    data = {parts = {{kind = "data", data = {a = 1}}}}, nokind = {parts = {{foo = 1}}}, notpart = {parts = {"x"}},
    number = 5, float = 1.5, ["false"] = false, fn = print, misspelt = {txt = "x"}, nothing = {foo = 1}, textnumber = {text = 5},
    partsstring = {parts = "x"}, partsobject = {parts = {a = 1}}, cyclic = {parts = {print}}, utf8 = "a\xFFb", zero = "a\0b",
    long = ("x"):rep(2000), newline = "a\nb\r\nc",
  }
  if msg.text == "failure" then return nil, "why not" end
  return answers[msg.text]
end]], "string", "empty", "true", "table", "none", "noparts", "parts", "ptype", "both", "before", "data", "nokind", "notpart",
  "number",
    "float", "false", "fn", "misspelt", "nothing", "textnumber", "partsstring", "partsobject", "utf8", "zero", "long", "newline",
    "failure", "nil" },

  ["verdicts"] = { [[
local molecule = require "molecule"
return function(msg)
  if msg.text == "skip" then return molecule.skip("not mine") end
  if msg.text == "plain" then return molecule.skip() end
  if msg.text == "dead" then return molecule.dead("never") end
  if msg.text == "plaindead" then return molecule.dead() end
  if msg.text == "reject" then return molecule.reject("not my job") end
  if msg.text == "plainreject" then return molecule.reject() end
  if msg.text == "badreject" then local v = molecule.reject(5) return v end
  if msg.text == "badskip" then local v = molecule.skip(5) return v end
  if msg.text == "badretry" then local v = molecule.retry {afer = 3} return v end
  if msg.text == "badtime" then local v = molecule.retry {after = "soon"} return v end
end]], "skip", "plain", "dead", "plaindead", "reject", "plainreject", "badreject", "badskip", "badretry", "badtime" },

  ["artifacts, elsewhere than in a task"] = { [=[
local molecule = require "molecule"
local data = {kind = "data", data = {1}}
local replies = {
  text = {text = "with", artifacts = {{name = "x", text = "one"}, {parts = {{kind = "text", text = "two"}, data}}}},
  alone = {artifacts = {{text = "alone", description = "d", metadata = {a = 1}}}},
  parts = {parts = {{kind = "text", text = "parts"}}, artifacts = {{text = "more"}}}, message = {text = "m", as_message = true},
  none = {artifacts = {}}, empty = {text = "t", artifacts = {}}, string = {text = "t", artifacts = "x"},
  object = {text = "t", artifacts = {a = 1}}, both = {artifacts = {{text = "t", parts = {data}}}},
  neither = {artifacts = {{}}}, item = {artifacts = {"t"}}, name = {artifacts = {{text = "t", name = 5}}},
  metadata = {artifacts = {{text = "t", metadata = "x"}}},
  kind = {artifacts = {{text = "fine"}, {parts = {{foo = 1}}}}}, part = {artifacts = {{parts = {"x"}}}},
  notext = {artifacts = {{text = ""}}}, noparts = {artifacts = {{parts = {}}}}, misspelt = {text = "x", artefacts = {}},
}
local pieces = {piece = {text = "x"}, nothing = {text = ""}, nopart = {parts = {}}, neither2 = {},
  both2 = {text = "x", parts = {}}, typo = {text = "x", nane = "y"}, notable = "x",
  fn = {text = "x", metadata = {print}}}
return function(msg, ctx)
  if replies[msg.text] then return replies[msg.text] end
  local added, problem, code = ctx.artifact(pieces[msg.text])
  return msg.text == "fn" and code or ("%s %s %s"):format(added, problem, code)
end]=], "text", "alone", "parts", "message", "none", "empty", "string", "object", "both", "neither", "item", "name", "metadata",
    "kind", "part", "notext", "noparts", "misspelt", "piece", "nothing", "nopart", "neither2", "both2", "typo", "notable", "fn" },

  ["errors"] = { [[
local molecule = require "molecule"
local kinds = {}
function kinds.index() local x = nil; return x.y end
function kinds.text() error("plain", 0) end
function kinds.level() error("here") end
function kinds.number() error(42) end
kinds["nil"] = function() error(nil) end
function kinds.table() error({code = 7}) end
function kinds.empty() error({}) end
function kinds.object() error(setmetatable({}, {__tostring = function() return "I am an object" end})) end
function kinds.assert() assert(nil, "asserted") end
function kinds.assert_plain() assert(false) end
function kinds.caught() return tostring(select(2, pcall(error, "inner", 0))) end
function kinds.xpcall() return tostring(select(2, xpcall(error, function(e) return "handled " .. e end, "x"))) end
function kinds.exit() os.exit(1) end
function kinds.yield() coroutine.yield(1) end
function kinds.require() require "no.such.module" end
return function(msg) local value = kinds[msg.text]() return value end]], "index", "text", "level", "number", "nil", "table",
  "empty",
    "object", "assert", "assert_plain", "caught", "xpcall", "exit", "yield" },

  ["the message"] = { [[
return function(msg, ctx)
  if msg.text == "keys" then
    local keys = {}
    for key, value in pairs(msg) do keys[#keys + 1] = key .. ":" .. type(value) end
    table.sort(keys)
    return table.concat(keys, " ")
  elseif msg.text == "conversation" then
    return (msg.conversation:gsub("%x+%-%x+%-%x+%-%x+%-%x+", "ID"))
  elseif msg.text == "metadata" then
    return require "molecule".json.encode(msg.metadata, {sort = true})
  elseif msg.text == "context" then
    local keys = {}
    for key, value in pairs(ctx) do keys[#keys + 1] = key .. ":" .. type(value) end
    table.sort(keys)
    return table.concat(keys, " ") .. " " .. ctx.attempt .. " " .. tostring(ctx.redelivered) .. " " .. ctx.options.k
  elseif msg.text == "raw" then
    return require "molecule".json.decode(msg.raw).params.message.parts[1].text .. #msg.parts .. msg.from .. msg.method
  end
  return #msg.text .. msg.text
end]], "keys", "conversation", "metadata", "context", "raw", "", "ünï", "a\tb\\\"'" },

  ["log and interim words"] = { [[
local molecule = require "molecule"
return function(msg, ctx)
  molecule.log("plain")
  molecule.log.info("%d of %s", 3, "x")
  molecule.log.warn("100%")
  ctx.log.error("bad")
  local told, problem, code = ctx.progress("working")
  molecule.notify("noticed")
  local _, empty, why = ctx.progress("")
  local fine, misuse = pcall(ctx.progress, 5)
  local _, format = pcall(molecule.log.info, "%d", "x")
  return table.concat({tostring(told), empty, why, misuse:match("[^:]*$"), format:match("log.info.*")}, "|")
end]], "go" },

  ["the store"] = { [[
local molecule = require "molecule"
local store = molecule.store
local steps = {
  set = function() return tostring(store.set("a", {1, "x", {}})) end,
  get = function() return molecule.json.encode(store.get("a")) end,
  missing = function() return tostring(store.get("b")) end,
  incr = function() return store.incr("n") .. " " .. store.incr("n", 2) .. " " .. store.incr("n", 0.5) end,
  incrtext = function() store.set("t", "x") local v, p, c = store.incr("t") return p .. c end,
  append = function() local l for i = 1, 4 do l = store.append("l", i, {max = 3}) end return molecule.json.encode(l) end,
  update = function() return molecule.json.encode(store.update("u", function(v) return (v or 0) + 5 end)) end,
  updatewait = function() local ok, p = pcall(store.update, "u",
    function() molecule.sleep(1) end) return p:match("[^:]*:[^:]*$") end,
  fail = function() store.set("gone", 1) error("undone", 0) end,
  gone = function() return tostring(store.get("gone")) end,
  keys = function() return table.concat(store.keys(), ",") .. "|" .. table.concat(store.keys("l"), ",") end,
  delete = function() store.delete("a") return table.concat(store.keys("", {limit = 2}), ",") end,
  nilset = function() store.set("n", nil) return tostring(store.get("n")) end,
  badkey = function() local v = store.get("") return v end,
  badvalue = function() local v = store.set("x", print) return v end,
  badoption = function() local v = store.set("x", 1, {tll = 3}) return v end,
  large = function() local v, p, c = store.set("x", ("x"):rep(1024 * 1024)) return p .. c end,
}
return function(msg) local value = steps[msg.text]() return value end]], "set", "get", "missing", "incr", "incr", "incrtext",
  "append",
    "append", "update", "update", "updatewait", "fail", "gone", "keys", "delete", "nilset", "badkey", "badvalue", "badoption",
      "large" },

  ["json and small things"] = { [[
local molecule = require "molecule"
local json = molecule.json
local steps = {
  encode = function() return json.encode({a = {1, 2.0, 1.5, -3, 1e100}, b = json.null, c = molecule.array(), d = {},
    e = "ü\n\"\\\1/"}, {sort = true}) end,
  indent = function() return json.encode({a = {1, {b = true}}, c = {}}, {sort = true, indent = 2}) end,
  decode = function()
    local v = json.decode('{"a":[1,2.5,-0,12345678901234567],"s":"\\u00fc\\ud83d\\ude00\\n","e":[],"n":null}')
    return table.concat({math.type(v.a[1]), math.type(v.a[2]), v.a[4], v.s, tostring(json.is_array(v.e)),
      tostring(v.n == molecule.null)}, " ")
  end,
  bad = function() local v, p, c = json.decode("{") return tostring(v) .. c end,
  fn = function() local v, p, c = json.encode(print) return tostring(v) .. c end,
  mixed = function() local v, p, c = json.encode({1, a = 2}) return tostring(v) .. c end,
  uuid = function() return (molecule.uuid():gsub("%x", "x")) end,
  now = function() return math.type(molecule.now()) end,
  env = function() return molecule.env("MOLECULE_NO_SUCH", "default") .. tostring(molecule.env("MOLECULE_NO_SUCH")) end,
  badenv = function() local v = molecule.env(5) return v end,
  sleep = function() molecule.sleep("10ms") molecule.sleep(0.01) return "slept" end,
  badsleep = function() local v = molecule.sleep("soon") return v end,
  sortsleep = function() table.sort({2, 1}, function(a, b) molecule.sleep(0.001) return a < b end) end,
  own = function()
    local co = coroutine.wrap(function() for i = 1, 3 do molecule.sleep(0.001) coroutine.yield(i) end end)
    return co() .. co() .. co()
  end,
  globals = function() kit_global = (kit_global or 0) + 1 return kit_global end,
  again = function() kit_global = (kit_global or 0) + 1 return tostring(kit_global) end,
  pairs = function() local n = {} for k in pairs(molecule) do n[#n + 1] = k end table.sort(n) return table.concat(n, " ") end,
  cjson = function() local cjson = require "cjson" return cjson.encode({1,
    cjson.null}) .. tostring(cjson.null == molecule.null) end,
}
return function(msg) local value = steps[msg.text]() return value end]], "encode", "indent", "decode", "bad", "fn", "mixed",
  "uuid", "now",
    "env", "badenv", "sleep", "badsleep", "sortsleep", "own", "globals", "again", "pairs", "cjson" },

  ["functions that run at once"] = { [[
local molecule = require "molecule"
local path = require "molecule.core".branch_path
local all, map, race = molecule.all, molecule.map, molecule.race
local function later(value, time) return function() molecule.sleep(time or 0.01) return value end end
local function fail() molecule.sleep(0.01) error "failed here" end
local function never() molecule.sleep(1000) end
local steps = {}
function steps.order()
  local r = all {later("a", 0.03), later(nil), later("c"), function() return nil, "x", "CODE" end}
  return ("%d %s %s %s %s"):format(r.n, r[1], r[2], r[3], r[4])
end
function steps.none() return all {}.n .. " " .. map({}, error).n end
function steps.error() all {never, fail} end
function steps.table() return tostring(select(2, pcall(all, {never, function() error({1}) end}))[1]) end
function steps.caught() return tostring(select(2, pcall(map, {1, 2}, fail))) end
function steps.yield() all {function() coroutine.yield(1) end} end
function steps.race()
  local value, which = race {never, later "won", fail}
  local none, first = race {later(nil), never}
  return value .. which .. tostring(none) .. first
end
function steps.map()
  local now, most = 0, 0
  local r = map({1, 2, 3, 4, 5, 6, 7}, function(item, index)
    now = now + 1
    most = math.max(most, now)
    molecule.sleep(0.02 - item / 1000)
    now = now - 1
    return item * index
  end, {concurrency = 3})
  return table.concat(r, " ") .. " " .. most
end
function steps.path()
  local r = all {path, function() return map({"x", "y", "x"}, path, {key = function(item) return "k" .. item end}) end}
  return table.concat({r[1], r[2][1], r[2][2], r[2][3], race {path}, tostring(path())}, " ")
end
function steps.nested()
  local ended = {}
  local function close(name) return setmetatable({}, {__close = function() ended[#ended + 1] = name end}) end
  local fine = pcall(all, {
    function() local _ <close> = close "outer" return race {never, function() local _ <close> = close "inner" never() end} end,
    function() local _ <close> = close "failing" fail() end,
  })
  return tostring(fine) .. " " .. table.concat(ended, " ")
end
function steps.own()
  local co = coroutine.wrap(function()
    coroutine.yield(all {later "a"}[1])
    return map({"b"}, function(b) return later(b)() end)[1]
  end)
  return co() .. co()
end
function steps.stored()
  map({1, 2, 3, 4}, function(i) molecule.sleep(0.001 * i) molecule.store.update("sum", function(s) return (s or 0) + i end) end)
  pcall(all, {function() molecule.store.set("kept", true) never() end, fail})
  return ("%d %s"):format(molecule.store.get "sum", molecule.store.get "kept")
end
function steps.many()
  local list = {}
  for i = 1, 500 do list[i] = i % 2 == 0 and function() return i end or later(i) end
  local r = all(list)
  return r.n .. " " .. r[1] .. " " .. r[500]
end
function steps.deep()
  local function nest(depth) return depth == 0 and "bottom" or all {function() return nest(depth - 1) end}[1] end
  return nest(20) .. select(2, pcall(nest, 101))
end
steps["not functions"] = function() all {print, 5} end
steps["not a list"] = function() all(print) end
steps["no list"] = function() map(5, print) end
steps["no function"] = function() map({}, "x") end
steps.concurrency = function() map({1}, print, {concurrency = 0}) end
steps.option = function() map({1}, print, {concurency = 2}) end
steps.key = function() map({1}, print, {key = function() end}) end
steps["empty race"] = function() race {} end
steps["in an update"] = function() molecule.store.update("x", function() all {print} end) end
return function(msg) local value = steps[msg.text]() return value end]], "order", "none", "error", "table", "caught", "yield",
  "race", "map", "path", "nested", "own", "stored", "many", "deep", "not functions", "not a list", "no list", "no function",
  "concurrency", "option", "key", "empty race", "in an update" },

  ["a router"] = { [[
local molecule = require "molecule"
local router = molecule.router {name = "r", allow = {"canvas"}}
router:on("^deploy (%S+)$", "deploy <name>", function(msg, ctx, name) return "deploying " .. name end)
router:on("^bare$", function() return "bare" end)
return router]], "deploy x", "  bare ", "what?" },

  ["misuse of http and exec"] = { [[
local molecule = require "molecule"
local steps = {
  nourl = function() local v = molecule.http.get() return v end,
  typo = function() local v = molecule.http.get("http://127.0.0.1:1/", {hedaers = {}}) return v end,
  body = function() local v = molecule.http.post("http://127.0.0.1:1/", {text = "x"}) return v end,
  method = function() local v = molecule.http.request {url = "http://127.0.0.1:1/", method = "get"} return v end,
  exec = function() local v = molecule.exec {argv = {"ls"}, cmd = "ls"} return v end,
  exectypo = function() local v = molecule.exec {comand = "ls"} return v end,
  every = function() local v = molecule.every("x", print) return v end,
  after = function() local v = molecule.after(1, 5) return v end,
  cancel = function() local timer = molecule.after(1000, print) return tostring(timer:cancel()) .. tostring(timer:cancel()) end,
  notify = function() local v = molecule.notify("") return v end,
  send = function() local v = molecule.send({}, "x") return v end,
  empty = function() local v, p, c = molecule.send("11111111-1111-1111-1111-111111111111", "") return c end,
}
return function(msg) local value = steps[msg.text]() return value end]], "nourl", "typo", "body", "method", "exec",
  "exectypo", "every",
    "after", "cancel", "notify", "send", "empty" },

  ["misuse of schedules"] = { [[
local molecule = require "molecule"
local steps = {
  hour = function() local v = molecule.cron("0 25 * * *", print) return v end,
  number = function() local v = molecule.cron(8, print) return v end,
  fn = function() local v = molecule.cron("* * * * *") return v end,
  zone = function() local v = molecule.cron("* * * * *", print, {timezone = "Europe/Berlim"}) return v end,
  typo = function() local v = molecule.cron("* * * * *", print, {nane = "x"}) return v end,
  type = function() local v = molecule.cron("* * * * *", print, {catch_up = "no"}) return v end,
  name = function() local v = molecule.cron("* * * * *", print, {name = "a\nb"}) return v end,
  taken = function() local v = molecule.cron("* * * * *", print, {name = "a"}) return v end,
  late = function() local v = molecule.cron("* * * * *", print, {name = "b", timezone = "Europe/Berlin"}) return v end,
}
local name = molecule.cron("0  0 1 1 *", print, {name = "a"})
local second = molecule.cron("@yearly", print, {timezone = "UTC"}) .. molecule.cron("@yearly", print, {timezone = "UTC"})
return function(msg)
  if msg.text == "names" then return name .. "|" .. second end
  local value = steps[msg.text]()
  return value
end]], "hour", "number", "fn", "zone", "typo", "type", "name", "taken", "late", "names" },
}

describe("the testing kit", function()
  local platform

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)
  after_each(function()
    t.reset()
    server.stop_all()
    host.clean_up()
  end)
  teardown(function() platform:stop() end)

  local function try(path, words)
    local command = { emulator.binary(), "try", path, "--json", "--script-opt", "k=v" }
    for _, word in ipairs(words) do command[#command + 1] = word end
    local one = process.spawn { command = command }
    one:wait_exit()
    local results = {}
    for line in one.stdout:gmatch "[^\n]+" do
      local fine, value = pcall(cjson.decode, line)
      results[#results + 1] = fine and value or error(one:report())
    end
    return results, one
  end

  -- What both say, as one text each.
  local function described(text, result, logs)
    local lines = { text .. " -> " .. tostring(result.outcome), "reply: " .. tostring(result.reply),
      "reason: " .. tostring(result.reason):gsub("/[%w%-/]+/agent", "agent"), "progress: " .. table.concat(result.progress, "|"),
      "log: " .. table.concat(logs, "|") }
    return table.concat(lines, "\n")
  end

  local function compare(scenario)
    local path = host.write(host.directory() .. "/agent.lua", scenario[1])
    local words = { table.unpack(scenario, 2) }
    local results, one = try(path, words)
    if #results ~= #words then error(("%d results for %d messages\n%s"):format(#results, #words, one:report())) end
    local a = t.agent(path, { options = { k = "v" }, max_attempts = 1 })
    for i, word in ipairs(words) do
      local theirs, logs = results[i], {}
      for j, line in ipairs(theirs.log) do logs[j] = line.level .. ": " .. line.text end
      local ours = a:send(word)
      assert.equal(described(word, theirs, logs), described(word, ours, ours.log))
    end
  end

  for name, scenario in pairs(SCENARIOS) do
    it("agrees with the program about " .. name, function() compare(scenario) end)
  end

  -- A host that is connected, and an agent of the kit with the same script.
  local function both(script, options)
    options = options or {}
    local workspace = host.workspace(platform)
    local args = {}
    for name, value in pairs(options.options or {}) do
      args[#args + 1], args[#args + 2] = "--script-opt", name .. "=" .. value
    end
    local one = host.connect { platform = platform, workspace = workspace, script = script, args = args }
    local a = t.agent(one.script_path, { options = options.options, workspace = workspace.id })
    return one, a, workspace
  end

  local function ask(one, workspace, text)
    local before = #one:told_canvas()
    platform:message { to = workspace.id, text = text }
    return one:canvas(before + 1)[before + 1]
  end

  it("records steps as the program does, over errors and sleeps, and forgets what was stored outside of them", function()
    local script = [[
local molecule = require "molecule"
return function(msg, ctx)
  local order = ctx.step("order", function(step, what)
    molecule.log("orders %s, %s", what, step.key)
    molecule.store.incr "orders"
    return {what = what, attempt = ctx.attempt}
  end, "tea")
  molecule.store.incr "outside"
  local fine = ctx.step("fine", function() if ctx.attempt == 1 then return nil, "later", "BUSY" end return true end)
  if not fine then error "again" end
  ctx.sleep(0.05)
  return ("%s %d %d %d %d"):format(order.what, order.attempt, ctx.attempt, molecule.store.get "orders",
    molecule.store.get "outside")
end]]
    local one, a, workspace = both(script)
    local theirs = ask(one, workspace, "x")
    assert.equal("tea 1 2 1 1", theirs)
    local result = a:send "x"
    assert.equal("failed", result.outcome)
    a:settle()
    assert.equal(theirs, result.reply)
    assert.same({ { key = "order#1", result = { what = "tea", attempt = 1 } }, { key = "fine#1", result = true } }, result.steps)
    assert.same({ "info: orders tea, order#1" }, result.log)
    one:stop()
  end)

  it("sleeps for days, over a crash and a reload, as the same attempt", function()
    local a = t.agent("sleeper.lua", { source = [[
      return function(msg, ctx)
        local began = ctx.step("began", function() return 1 end)
        ctx.sleep("72h", {hold = msg.text == "hold"})
        return ("%d %d"):format(began, ctx.attempt)
      end]] })
    local result = a:send "hold"
    assert.equal("asleep", result.outcome)
    assert.equal(72 * 3600, result.again_in)
    local behind = a:post "behind"
    assert.is_nil(behind.outcome)
    t.clock:advance "71h"
    a:restart()
    a:reload()
    assert.equal("asleep", result.outcome)
    t.clock:advance "1h"
    assert.equal("1 1", result.reply)
    assert.equal("asleep", behind.outcome)
    a:settle()
    assert.equal("1 1", behind.reply)
  end)

  it("makes a dead letter of a step whose arguments differ, as the program does", function()
    local script = [[
return function(msg, ctx)
  ctx.step("item", function(_, n) return n end, ctx.attempt)
  error "again"
end]]
    local one, a, workspace = both(script)
    platform:message { to = workspace.id, text = "x" }
    local _, line = one:log "REPLAY: (step item#1 was recorded with other arguments)"
    assert(line)
    local result = a:send "x"
    a:settle()
    assert.equal("dead", result.outcome)
    assert(result.reason:find "REPLAY: step item#1 was recorded with other arguments", result.reason)
    one:stop()
  end)

  it("retries what fails with the same attempts, and undoes what it stored", function()
    local script = [[
local molecule = require "molecule"
return function(msg, ctx)
  local count = molecule.store.incr("n")
  if ctx.attempt < 3 then error "once more" end
  return ("%d %s %d"):format(ctx.attempt, tostring(ctx.redelivered), count)
end]]
    local one, a, workspace = both(script)
    local result = a:send "go"
    assert.failed(result, "agent.lua:4: once more")
    assert.same({ 1, 0.5 }, { result.attempts, result.again_in })
    a:settle()
    assert.replied(result, ask(one, workspace, "go"))
    assert.equal("3 true 1", result.reply)
    one:stop()
  end)

  it("keeps order where a retry holds its conversation, and passes where it does not", function()
    local script = [[
local molecule = require "molecule"
return function(msg, ctx)
  local hold = msg.text:sub(1, 4) == "hold"
  if msg.text:find "first" and ctx.attempt == 1 then return molecule.retry {after = 0.1, hold = hold, reason = "later"} end
  molecule.notify(msg.text .. ctx.attempt)
end]]
    local one, a, workspace = both(script)
    for _, text in ipairs { "hold first", "hold second", "pass first", "pass second" } do
      platform:message { to = workspace.id, text = text }
      a:post(text)
    end
    a:settle()
    assert.same({ "hold first2", "hold second1", "pass second1", "pass first2" }, a.progress)
    assert.same(a.progress, one:canvas(4))
    one:stop()
  end)

  it("runs timers", function()
    local one, a = both [[
local molecule = require "molecule"
return {
  start = function(ctx)
    local n, timer = 0, nil
    timer = molecule.every("20ms", function(inner)
      n = n + 1
      molecule.store.incr("ticks")
      molecule.notify(("%d %s %s"):format(n, tostring(inner.attempt), tostring(inner.workspace == ctx.workspace)))
      if n == 3 then timer:cancel() end
    end)
    molecule.after(0, function() molecule.store.set("after", true) error "broken" end)
  end,
  handle = function() end,
}]]
    t.clock:advance("1m")
    assert.same({ "1 nil true", "2 nil true", "3 nil true" }, a.progress)
    assert.same({ ticks = 3 }, a.store:all())
    assert.same(a.progress, one:canvas(3))
    local line = a.log[1]:match "a timer's function failed: .*broken"
    one:log((line:gsub("[%-%.]", "%%%0")))
    one:stop()
  end)

  it("runs schedules when they are due, as messages", function()
    local directory = host.directory()
    local workspace = host.workspace(platform)
    local eight = (os.time() // 86400 + 1) * 86400 + 8 * 3600 -- tomorrow, UTC
    local function set_clock(time)
      host.write(directory .. "/clock.new", ("%d"):format(time - os.time()))
      assert(os.rename(directory .. "/clock.new", directory .. "/clock"))
    end
    set_clock(eight - 3600)
    local one = host.connect { platform = platform, workspace = workspace, args = { "-v" },
      env = { LD_PRELOAD = preload.build("tests/fault/shim.c", directory), FAULT_SHIM = directory }, script = [[
local molecule = require "molecule"
return {
  start = function()
    molecule.cron("0 8 * * *", function(run, ctx)
      molecule.store.incr("attempts")
      if ctx.attempt == 1 then error "once more" end
      local told = ctx.progress(("%s|%s|%s|%s|%d|%s|%d|%s"):format(run.name, run.spec, run.timezone, run.scheduled_at, #run.id,
        math.type(run.scheduled_at), ctx.attempt, tostring(ctx.redelivered)))
      molecule.log("told: %s", tostring(told))
      return {anything = true}
    end, {timezone = "Europe/Berlin", name = "early"})
    molecule.cron("0 8 * * *", function(run, ctx)
      if ctx.attempt == 1 then return molecule.retry {after = 0.1} end
      ctx.progress(run.name .. ctx.attempt)
      return molecule.skip "enough"
    end, {timezone = "UTC"})
  end,
  handle = function(msg) return "stored " .. molecule.store.get "attempts" end,
}]] }
    t.clock:set(os.date("!%Y-%m-%dT%H:%M:%SZ", eight - 3600))
    local a = t.agent(one.script_path, { workspace = workspace.id, error_reply = "sorry" })
    one:log "UTC #1 is due next at"
    t.clock:advance "30s"
    assert.same({}, a.runs)
    t.clock:advance "1h"
    set_clock(eight)
    assert.equal(a.progress[#a.progress], one:canvas(#a.progress)[#a.progress])
    assert.same({ { "0 8 * * * UTC #1", "skipped", "enough", 2 } },
      { { a.runs[#a.runs].name, a.runs[#a.runs].outcome, a.runs[#a.runs].reason, a.runs[#a.runs].attempts } })
    one:log "from cron/0 8 %* %* %* UTC #1: skipped: enough"
    -- 8:00 in Berlin is 6:00 or 7:00 UTC: due on the next day
    set_clock(eight + 86400 - 1800)
    t.clock:set(os.date("!%Y-%m-%dT%H:%M:%SZ", eight + 86400 - 1800))
    local before = #a.progress
    assert.equal(a.progress[before], one:canvas(before)[before])
    assert.same({ "early", "no_reply", 2 }, { a.runs[2].name, a.runs[2].outcome, a.runs[2].attempts })
    assert.truthy(a.runs[2].error:find("once more", 1, true))
    one:log "cron/early: the handler failed %(attempt 1 of 5"
    one:log "told: true"
    assert.replied(a:send "x", "stored 1")
    one:stop()
  end)

  it("hands over again what a crash interrupted", function()
    local script = [[
local molecule = require "molecule"
return function(msg, ctx)
  if ctx.attempt == 1 then
    molecule.store.set("lost", 1)
    molecule.log("sleeps")
    molecule.sleep(1000)
  end
  return ("%d %s %s"):format(ctx.attempt, tostring(ctx.redelivered), tostring(molecule.store.get("lost")))
end]]
    local one, a, workspace = both(script)
    platform:message { to = workspace.id, text = "go" }
    one:log "sleeps"
    one:kill()
    local two = host.connect { platform = platform, workspace = workspace, script_path = one.script_path,
      state_dir = one.state_dir }
    local result = a:post "go"
    assert.is_nil(result.outcome)
    a:restart()
    assert.replied(result, two:canvas(1)[1])
    assert.equal("2 true nil", result.reply)
    two:stop()
  end)

  it("lets handlers wait for each other's keys, and tells one of two that would wait for ever", function()
    local one, a, workspace = both [[
local molecule = require "molecule"
local store = molecule.store
local function add(value) return (value or 0) + 1 end
return {concurrency = 4, handle = function(msg)
  local first, second = msg.text:match "(%w) (%w)"
  if not first then
    local sum = store.update(msg.text, add)
    molecule.sleep(0.1)
    return "sum " .. sum
  end
  store.update(first, add)
  molecule.sleep(0.2)
  local sum, _, code = store.update(second, add)
  return sum and "fine" or code
end}]]
    local function say(texts)
      local from, results = #one:told_canvas(), {}
      for i, text in ipairs(texts) do
        platform:message { to = workspace.id, text = text, context_id = "c" .. i }
        results[i] = a:post { text = text, context_id = "c" .. i }
      end
      a:settle()
      local ours, theirs = {}, one:canvas(from + #texts)
      for i, result in ipairs(results) do ours[i] = result.reply end
      theirs = table.move(theirs, from + 1, #theirs, 1, {})
      table.sort(ours)
      table.sort(theirs)
      assert.same(theirs, ours)
      return ours
    end
    assert.same({ "sum 1", "sum 2", "sum 3" }, say { "n", "n", "n" })
    assert.same({ "DEADLOCK", "fine" }, say { "x y", "y x" })
    one:stop()
  end)

  it("orders messages by the agent's own conversations, and hides replies from those that do not want them", function()
    local script = [[
local molecule = require "molecule"
local function name(msg) return msg.text:match "^%%w+" end
return {concurrency = 4, answers_replies = %s, conversation = name, handle = function(msg)
  if msg.text:find "slow" then molecule.sleep(0.3) end
  molecule.notify(msg.text)
end}]]
    local one, a, workspace = both(script:format "false")
    for i, text in ipairs { "a slow", "b quick", "a quick" } do
      platform:message { to = workspace.id, text = text, context_id = "c" .. i }
      a:post { text = text, context_id = "c" .. i }
    end
    a:settle()
    assert.same({ "b quick", "a slow", "a quick" }, a.progress)
    assert.same(a.progress, one:canvas(3))
    one:stop()
    local reply = { text = "an answer", from = "peer", in_reply_to = "m1" }
    assert.equal("answer", a:send(reply).outcome)
    assert.no_reply(t.agent("agent.lua", { source = script:format "true" }):send(reply))
  end)

  it("ends a handler at its time limit", function()
    local a = t.agent("agent.lua", { timeout = "5s", max_attempts = 1, source = [[
local molecule = require "molecule"
return function(msg)
  molecule.sleep(10)
  return "too late"
end]] })
    assert.dead(a:send "go", "took longer than its time limit (--timeout), at agent.lua:3")
  end)

  it("reloads: the version before stops, and stays where the new one does not load", function()
    local a = t.agent("agent.lua", { source = [[
local molecule = require "molecule"
return {stop = function() molecule.log("stopped") end, handle = function() return "one" end}]] })
    local loaded, problem = a:reload "return {"
    assert.is_false(loaded)
    assert(problem:find("agent.lua:1:", 1, true), problem)
    assert.replied(a:send "go", "one")
    assert.is_true(a:reload "return function() return 'two' end")
    assert.replied(a:send "go", "two")
    assert.same({ "info: stopped" }, a.log)
  end)

  local TALK = [[
local molecule = require "molecule"
return function(msg, ctx)
  local found = assert(molecule.peers {q = "the%-friend"}) or {}
  if msg.text == "send" then
    local answer = assert(molecule.send(ctx.options.peer, "how are you?"))
    answer.id, answer.message_id = nil, nil
    return molecule.json.encode(answer, {sort = true})
  elseif msg.text == "fail" then
    local answer, problem, code = molecule.send(ctx.options.broken, "how are you?")
    return tostring(answer) .. code .. problem:match "^molecule.send: "
  elseif msg.text == "queue" then
    return tostring(assert(molecule.send(ctx.options.silent, "x", {timeout = 0})).queued)
  elseif msg.text == "delegate" then
    local task = assert(molecule.delegate(ctx.options.peer, "build", {timeout = 5}))
    return task.status .. task.text
  end
end]]

  it("talks to peers", function()
    local function peer(answer)
      return host.workspace(platform, { delivery_mode = "push", url = "https://agent.example/",
        push_answer = { body = answer } }).id
    end
    local good = peer { jsonrpc = "2.0", id = "1", result = { parts = { { kind = "text", text = "fine" } } } }
    local broken = peer { jsonrpc = "2.0", id = "1", error = { code = -32000, message = "no" } }
    local silent = host.workspace(platform).id
    local one, a, workspace = both(TALK, { options = { peer = good, broken = broken, silent = silent } })
    a:peer(good, function(text) return (text == "how are you?" or text == "build") and "fine" end)
    a:peer(broken, function() return nil, "no" end)
    a:peer(silent, function() end)
    for _, text in ipairs { "send", "fail", "queue", "delegate" } do
      assert.replied(a:send(text), ask(one, workspace, text))
    end
    assert.same({ kind = "send", to = good, text = "how are you?" }, a.calls[1])
    one:stop()
  end)

  local WEB = [[
local molecule = require "molecule"
local http, json = molecule.http, molecule.json
return function(msg, ctx)
  local url = ctx.options.url
  if msg.text == "get" then
    local answer = assert(http.get(url .. "/a", {query = {b = "c d", a = 1}, headers = {["X-One"] = "1"}}))
    return ("%d %s %s %s"):format(answer.status, answer.headers["x-seen"], answer.body, tostring(answer:json()))
  elseif msg.text == "post" then
    local answer = assert(http.post(url .. "/json", {json = {list = molecule.array()}}))
    return answer:json().echo.body .. answer:json().echo.method
  elseif msg.text == "missing" then
    return tostring(assert(http.get(url .. "/missing")).status)
  elseif msg.text == "stream" then
    local pieces = {}
    local answer = assert(http.get(url .. "/a", {stream = function(chunk) pieces[#pieces + 1] = chunk end}))
    return answer.status .. table.concat(pieces) .. answer.body
  elseif msg.text == "sse" then
    local seen = {}
    for event in http.sse {url = url .. "/sse"} do
      seen[#seen + 1] = event.event .. ":" .. event.data .. ":" .. tostring(event.id)
    end
    return table.concat(seen, "|")
  elseif msg.text == "exec" then
    local r = assert(molecule.exec {argv = {"sh", "-c", "cat; echo err >&2; exit 3"}, stdin = "in"})
    return ("%d %s %s %s %s"):format(r.code, r.stdout, r.stderr, tostring(r.signal), tostring(r.truncated))
  elseif msg.text == "missing program" then
    local r, p, c = molecule.exec {argv = {"no-such-program"}}
    return tostring(r) .. c
  elseif msg.text == "popen" then
    local pipe = io.popen("printf 'a\\nb\\n'")
    local lines = {}
    for line in pipe:lines() do lines[#lines + 1] = line end
    return table.concat(lines, ",") .. tostring(pipe:close())
  elseif msg.text == "execute" then
    return table.concat({tostring((os.execute("exit 3"))), select(2, os.execute("exit 3"))}, " ")
  end
end]]

  it("asks the web and programs", function()
    local sse = "event: one\ndata: 1\ndata: 2\nid: 7\n\ndata: last\n\n"
    local function answer(request)
      if request.path == "/missing" then return 404, "not here" end
      if request.path == "/sse" then return 200, sse end
      if request.path == "/json" then return 200, cjson.encode { echo = { body = request.body, method = request.method } } end
      return 200, request.method .. (request.headers["x-one"] or "") .. "!"
    end
    local web = server.start(function(request, reply)
      local status, body = answer(request)
      reply(status, body, { ["X-Seen"] = "yes" })
    end)
    local one, a, workspace = both(WEB, { options = { url = web.url } })
    a:http("*", web.url .. "/*", function(request)
      local headers = {}
      for name, value in pairs(request.headers) do headers[name:lower()] = value end
      local status, body = answer { path = request.url:match "//[^/]*(/[^?]*)", method = request.method, body = request.body,
        headers = headers }
      return { status = status, body = body, headers = { ["X-Seen"] = "yes" } }
    end)
    a:exec("sh -c cat*", { code = 3, stdout = "in", stderr = "err\n" })
    a:exec("no-such-program", { error = "ENOENT" })
    a:exec("printf*", "a\nb\n")
    a:exec("exit 3", { code = 3 })
    for _, text in ipairs { "get", "post", "missing", "stream", "sse", "exec", "missing program", "popen", "execute" } do
      assert.replied(a:send(text), ask(one, workspace, text))
    end
    assert.equal(web.url .. "/a?a=1&b=c%20d", a.calls[1].url)
    one:stop()
  end)

  it("carries files both ways", function()
    local path = host.write(host.directory() .. "/note.txt", "one two\n")
    local command = { emulator.binary(), "try", "examples/files.lua", "--json", "--file", path }
    local one = process.spawn { command = command }
    one:wait_exit()
    local theirs = cjson.decode(one.stdout)
    local ours = t.agent("examples/files.lua"):send { files = { path } }
    assert.replied(ours, theirs.reply)
    assert.same({ theirs.files[1].name, theirs.files[1].size, theirs.files[1].mimeType },
      { ours.files[1].name, ours.files[1].size, ours.files[1].mime_type })
    ours = t.agent("examples/files.lua"):send { from = "peer", files = { { name = "b.txt", data = "x" } } }
    assert.replied(ours, "b.txt: 1 lines, 1 words, 1 bytes")
    assert.equal("b.txt: 1 lines, 1 words, 1 bytes\n", ours.files[1].data)
  end)

  it("fails the test for what is not stubbed, even where the script catches it", function()
    local a = t.agent("agent.lua", { source = [[
local molecule = require "molecule"
return function(msg)
  if msg.text == "http" then pcall(molecule.http.get, "https://example.com/x") end
  if msg.text == "exec" then pcall(molecule.exec, {argv = {"rm", "-rf"}}) end
  if msg.text == "send" then pcall(molecule.send, "someone", "x") end
  if msg.text == "later" then molecule.after(5, function() os.execute "reboot" end) end
  return "caught"
end]] })
    for text, words in pairs {
      http = 'molecule.http GET https://example.com/x is not stubbed; add a:http("GET", "https://example.com/x"',
      exec = 'molecule.exec "rm -rf" is not stubbed', send = "molecule.send to someone is not stubbed",
    } do
      local fine, problem = pcall(a.send, a, text)
      assert.is_false(fine)
      assert(problem:find(words, 1, true), problem)
      assert(problem:find "testing_kit_spec%.lua:%d+: " or problem:find "agent.lua:%d: ", problem)
    end
    a:send "later"
    local fine, problem = pcall(t.clock.advance, t.clock, "10s")
    assert.is_false(fine)
    assert(problem:find('os.execute "reboot" is not stubbed', 1, true), problem)
  end)

  it("says what is wrong with a test", function()
    local a = t.agent("examples/echo.lua")
    for _, case in ipairs { { "did you mean 'text'", a.send, a, { txt = "x" } }, { "send takes a text or a table", a.send, a, 5 },
      { "did you mean 'options'", t.agent, "examples/echo.lua", { option = {} } }, { "clock:advance takes", t.clock.advance,
        t.clock, "x" },
      { "does not load", t.agent, "no-such.lua" }, { "unknown field 'satus'", a.http, a, "GET", "x", { satus = 1 } } } do
      local fine, problem = pcall(table.unpack(case, 2))
      assert.is_false(fine)
      assert(problem:find(case[1], 1, true), problem)
    end
    local result = a:send "hello"
    local fine, problem = pcall(function() assert.replied(result, "bye") end)
    assert.is_false(fine)
    assert(tostring(problem):find("you said: hello", 1, true), tostring(problem))
    assert.is_not.dead(result)
  end)

  -- Answers with every name that a script can reach, a line each: as tests/e2e/reference_spec.lua does in the program.
  local WALK = assert(host.read "tests/e2e/reference_spec.lua"):match "local WALK = %[%[\n(.-)%]%]"

  it("has everything that lua/molecule/types.lua describes", function()
    local pipe = assert(io.popen "cmake/api-reference --names")
    local names = pipe:read "a"
    assert(pipe:close())
    local a = t.agent("walk.lua", { source = WALK, options = { url = "http://x/" } })
    a:http("GET", "*", "body")
    a:exec("*", { signal = 9 })
    local there = {}
    local function add(result)
      for name in result.reply:gmatch "[^\n]+" do there[name] = true end
    end
    add(a:send { text = "x", from = "peer", context_id = "c", task_id = "t", in_reply_to = "m", metadata = { a = 1 },
      history = { { role = "user" } }, files = { { name = "a.txt", data = "x" } } })
    add(a:send { files = { { name = "a.txt", data = "x" } } })
    add(a:send { text = "x", principal = "alice" })
    local cron = t.agent("cron.lua", { source = [[
local molecule = require "molecule"
molecule.cron("* * * * *", function(run) for name in pairs(run) do molecule.log(name) end end)
return function() end]] })
    t.clock:advance "1m"
    for _, line in ipairs(cron.log) do there["CronRun." .. line:match "^info: (.*)"] = true end
    local asks = t.agent("ask.lua", { source = [[
local molecule = require "molecule"
return function(msg, ctx)
  for name in pairs(ctx.ask("?", {choices = {"yes"}})) do molecule.log(name) end
end]] })
    asks:send "x"
    asks:answer { text = "yes", files = { { name = "a.txt", data = "x" } } }
    for _, line in ipairs(asks.log) do there["Answer." .. (line:match "^info: (.*)" or "?")] = true end
    local missing = {}
    for name in names:gmatch "[^\n]+" do
      local is_given = name:find "^Agent%." or name:find "^%w+Options%." or name:find "^A2a%w+%."
        or name:find "^ArtifactPiece%." or name:find "^AgentCard%."
      if not there[name] and not is_given then missing[#missing + 1] = name end
    end
    assert.same({}, missing)
  end)
end)
