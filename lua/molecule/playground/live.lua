--- What the page asks of the host of `molecule dev` and of its files: a message in the ledger, dead letters, the store, timers.
--- Requests and answers are those of src/host/control.h and src/commands/dev_ask.h. The host may take its time, so an HTTP
--- request is answered later.

local host = require "molecule.emulator.host"
local json = require "molecule.json"
local record = require "molecule.playground.record"
local store = require "molecule.emulator.store"

local live = {}

local KEY_MAXIMUM, VALUE_MAXIMUM = 512, 1 << 20 -- of molecule.store

---Asks the host, and answers 409 with its reason where it does not.
---@param request Request
---@param question table
---@param done fun(answer: table)
function live.ask(request, question, done)
  host.ask(assert(json.encode(question)), function(answer, problem)
    local value = answer and json.decode(answer)
    if type(value) ~= "table" then return request:json(409, { error = problem or "the host's answer cannot be understood" }) end
    done(value)
  end)
end

-- Whether the cursor has passed the row; nil: one of them is no longer here.
local function passed(item, cursor)
  local workspace = store.find(record.workspace())
  local at = workspace and cursor and workspace.index[cursor]
  if not at or not item.row then return nil end
  return item.row.us < at.us or item.row.us == at.us and item.row.seq <= at.seq
end

---@param request Request
---@param item Item
function live.ledger(request, item)
  live.ask(request, { ["do"] = "message", row_id = item.id }, function(answer)
    request:json(200, { message = answer.message, cursor = answer.cursor, passed = passed(item, answer.cursor),
      steps = json.array(answer.steps or {}) })
  end)
end

---@param request Request
function live.store(request)
  live.ask(request, { ["do"] = "store", prefix = request.query.prefix or "" }, function(answer)
    request:json(200, { values = json.array(answer.values), more = answer.more })
  end)
end

local function key_problem(key)
  if type(key) ~= "string" or key == "" or #key > KEY_MAXIMUM or not utf8.len(key) or key:find "%c" then
    return ("a key is 1 to %d bytes of UTF-8 without control characters"):format(KEY_MAXIMUM)
  end
  return nil
end

-- Changes the store as {key, value} or {key} says.
local function change(verb)
  return function(request)
    local given = request:object()
    local problem = not given and "the body must be a JSON object" or key_problem(given.key)
    local text = given and verb == "store set" and json.encode(given.value, { sort = true })
    if not problem and verb == "store set" then
      if given.value == nil or given.value == json.null then
        problem = "value is needed; to forget the key, delete it"
      elseif #text > VALUE_MAXIMUM then
        problem = "the value would be larger than 1 MiB"
      end
    end
    if problem then return request:json(400, { error = problem }) end
    live.ask(request, { ["do"] = verb, key = given.key, value = text or nil }, function() request:json(200, { ok = true }) end)
  end
end

live.set, live.delete = change "store set", change "store delete"

---@param request Request
function live.card(request)
  local file = (record.script() or ""):match "([^/]*)$":gsub("%.lua$", "")
  live.ask(request, { ["do"] = "card", name = file ~= "" and file or nil }, function(answer)
    request:json(200, { all = answer.all, only_1_0 = answer.only_1_0 })
  end)
end

---@param request Request
function live.timers(request)
  live.ask(request, { ["do"] = "timers" }, function(answer) request:json(200, { timers = json.array(answer.timers) }) end)
end

---@param request Request
function live.run_timer(request)
  local id = math.tointeger(tonumber(request.parameters.id))
  if not id or id <= 0 then return request:json(400, { error = "a timer's id is a number" }) end
  live.ask(request, { ["do"] = "timer run", id = id }, function(answer)
    if answer.found then return request:json(200, { ok = true }) end
    request:json(409, { error = "there is no such timer now, or it runs already" })
  end)
end

return live
