--- A session as files: JSON lines like those of --record, and a message with its outcome as a test.

local json = require "molecule.json"
local record = require "molecule.playground.record"
local time = require "molecule.emulator.time"
local watch = require "molecule.emulator.watch"

local export = {}

local CALLS_MAXIMUM = 64 << 20 -- bytes of all calls that are kept; the oldest messages' are forgotten first
local MESSAGES_MAXIMUM = 10000 -- whose calls are kept

local calls = {} -- row id -> {bytes, and the calls of its last attempt, each as JSON}
local order, first, newest, bytes = {}, 1, 0, 0 -- row ids from first to newest, in the order in which their attempts began

local function forget_oldest()
  while order[first] and (bytes > CALLS_MAXIMUM or newest - first >= MESSAGES_MAXIMUM) do
    local id = order[first]
    bytes = bytes - (calls[id] and calls[id].bytes or 0)
    calls[id], order[first], first = nil, nil, first + 1
  end
end

local heard = {}

function heard.attempt(event)
  local id, before = event.row_id, calls[event.row_id]
  if before then
    bytes = bytes - before.bytes
  else
    newest = newest + 1
    order[newest] = id
  end
  calls[id] = { bytes = 0 }
  forget_oldest()
end

function heard.asked(event)
  local of = event.call and event.row_id and calls[event.row_id]
  if not of then return end
  of[#of + 1] = event.call
  of.bytes, bytes = of.bytes + #event.call, bytes + #event.call
  forget_oldest()
end

watch.add(function(event)
  if heard[event.kind] then heard[event.kind](event) end
end)

-- As --record has them, or nil if they were forgotten. A call without a result is not among them.
local function calls_of(id)
  local of = calls[id]
  if not of then return nil end
  local list = json.array {}
  for i, text in ipairs(of) do list[i] = json.decode(text) end
  return list
end

local function line_of(item)
  local detail = record.detail(item)
  local last = detail.posts[#detail.posts]
  local reply = last and not last.pushed and json.decode(last.body) or nil
  if last and last.pushed and item.reply then reply = { message = item.reply.text } end -- as the canvas would get it
  local line = { at = time.format(item.us), workspace = record.workspace(), row_id = item.id, from = item.from or "canvas",
    envelope = detail.envelope, outcome = item.outcome, reason = item.reason, reply = reply,
    calls = calls_of(item.id) }
  return assert(json.encode(line, { sort = true }))
end

---All messages that have their outcome, one JSON object a line.
---@return string
function export.lines()
  local lines = {}
  for item in record.each() do
    if item.kind == "message" and item.outcome and item.row then lines[#lines + 1] = line_of(item) .. "\n" end
  end
  return table.concat(lines)
end

local ESCAPES = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\\"] = "\\\\", ['"'] = '\\"' }

local function quoted(text)
  return '"' .. text:gsub('[%c\\"]', function(character)
    return ESCAPES[character] or ("\\x%02X"):format(character:byte())
  end) .. '"'
end

---A busted test that expects the outcome which the message had.
---@param item Item
---@return string
function export.test(item)
  local fields = { "text = " .. quoted(item.text) }
  if item.from then fields[#fields + 1] = (item.client and "principal = " or "from = ") .. quoted(item.from) end
  local script = record.script() or "agent.lua"
  local lines = { 'local t = require "molecule.testing"', "",
    ("describe(%s, function()"):format(quoted(script:match "[^/]*$")),
    ("  it(%s, function()"):format(quoted("answers " .. (item.text:match "[^\r\n]*"):sub(1, 60))),
    ("    local agent = t.agent(%s)"):format(quoted(script)),
    ("    local result = agent:send { %s }"):format(table.concat(fields, ", ")) }
  if item.outcome then lines[#lines + 1] = ("    assert.equal(%s, result.outcome)"):format(quoted(item.outcome)) end
  if item.reply then lines[#lines + 1] = ("    assert.equal(%s, result.reply)"):format(quoted(item.reply.text)) end
  lines[#lines + 1] = "  end)\nend)\n"
  return table.concat(lines, "\n")
end

return export
