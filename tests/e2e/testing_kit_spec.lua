--- The testing kit says what the host says: the same scripts and messages go through molecule.testing and through the program
--- (`molecule try`, and `molecule connect` against the emulator), and replies, outcomes, interim words and log lines are compared.
package.path = "./lua/?.lua;./lua/?/init.lua;" .. package.path

local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local process = require "tests.support.process"
local t = require "molecule.testing"

-- name -> {a script, messages…}
local SCENARIOS = {
  ["strings, tables, parts"] = { [[
local molecule = require "molecule"
return function(msg)
  local answers = {
    string = "a string", empty = "", ["true"] = true, table = {text = "of a table"}, none = {text = ""}, noparts = {parts = {}},
    parts = {parts = {{kind = "text", text = "one"}, {kind = "text", text = "two"}}}, ptype = {parts = {{type = "text", text = "t"}}},
    both = {text = "lost", parts = {{kind = "text", text = "kept"}}}, before = {text = "before", parts = {{kind = "data", data = {1}}}},
    data = {parts = {{kind = "data", data = {a = 1}}}}, nokind = {parts = {{foo = 1}}}, notpart = {parts = {"x"}},
    number = 5, float = 1.5, ["false"] = false, fn = print, misspelt = {txt = "x"}, nothing = {foo = 1}, textnumber = {text = 5},
    partsstring = {parts = "x"}, partsobject = {parts = {a = 1}}, cyclic = {parts = {print}}, utf8 = "a\xFFb", zero = "a\0b",
    long = ("x"):rep(2000), newline = "a\nb\r\nc",
  }
  if msg.text == "failure" then return nil, "why not" end
  return answers[msg.text]
end]], "string", "empty", "true", "table", "none", "noparts", "parts", "ptype", "both", "before", "data", "nokind", "notpart", "number",
    "float", "false", "fn", "misspelt", "nothing", "textnumber", "partsstring", "partsobject", "utf8", "zero", "long", "newline",
    "failure", "nil" },

  ["verdicts"] = { [[
local molecule = require "molecule"
return function(msg)
  if msg.text == "skip" then return molecule.skip("not mine") end
  if msg.text == "plain" then return molecule.skip() end
  if msg.text == "dead" then return molecule.dead("never") end
  if msg.text == "plaindead" then return molecule.dead() end
  if msg.text == "badskip" then local v = molecule.skip(5) return v end
  if msg.text == "badretry" then local v = molecule.retry {afer = 3} return v end
  if msg.text == "badtime" then local v = molecule.retry {after = "soon"} return v end
end]], "skip", "plain", "dead", "plaindead", "badskip", "badretry", "badtime" },

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
return function(msg) local value = kinds[msg.text]() return value end]], "index", "text", "level", "number", "nil", "table", "empty",
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
  updatewait = function() local ok, p = pcall(store.update, "u", function() molecule.sleep(1) end) return p:match("[^:]*:[^:]*$") end,
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
return function(msg) local value = steps[msg.text]() return value end]], "set", "get", "missing", "incr", "incr", "incrtext", "append",
    "append", "update", "update", "updatewait", "fail", "gone", "keys", "delete", "nilset", "badkey", "badvalue", "badoption", "large" },

  ["json and small things"] = { [[
local molecule = require "molecule"
local json = molecule.json
local steps = {
  encode = function() return json.encode({a = {1, 2.0, 1.5, -3, 1e100}, b = json.null, c = molecule.array(), d = {}, e = "ü\n\"\\\1/"}, {sort = true}) end,
  indent = function() return json.encode({a = {1, {b = true}}, c = {}}, {sort = true, indent = 2}) end,
  decode = function()
    local v = json.decode('{"a":[1,2.5,-0,12345678901234567],"s":"\\u00fc\\ud83d\\ude00\\n","e":[],"n":null}')
    return table.concat({math.type(v.a[1]), math.type(v.a[2]), v.a[4], v.s, tostring(json.is_array(v.e)), tostring(v.n == molecule.null)}, " ")
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
  cjson = function() local cjson = require "cjson" return cjson.encode({1, cjson.null}) .. tostring(cjson.null == molecule.null) end,
}
return function(msg) local value = steps[msg.text]() return value end]], "encode", "indent", "decode", "bad", "fn", "mixed", "uuid", "now",
    "env", "badenv", "sleep", "badsleep", "sortsleep", "own", "globals", "again", "pairs", "cjson" },

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
return function(msg) local value = steps[msg.text]() return value end]], "nourl", "typo", "body", "method", "exec", "exectypo", "every",
    "after", "cancel", "notify", "send", "empty" },
}

describe("the testing kit", function()
  local platform

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)
  after_each(function()
    t.reset()
    process.kill_all()
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
end)
