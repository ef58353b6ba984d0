--- What `molecule replay` makes of a recorded message's new outcome: a difference that is shown, and the recording's new line.
--- lua/molecule/emulator/trial.lua says the messages.

local host = require "molecule.emulator.host"
local json = require "molecule.json"

local replay = {}

local RED, GREEN, BOLD = 31, 32, 1
local ORDER = { "at", "workspace", "row_id", "from", "envelope", "outcome", "reason", "reply", "calls" } -- of a line's members

local lines = {} -- of the recording: {text, record?}
local same, different = 0, 0
local changed = 0      -- of the different ones: those with another outcome or reply
local other_calls = 0  -- messages whose handlers asked for other things: --update cannot record these
local other_bodies = 0 -- calls that were answered though their body is not the recorded one

---Reads a line of a recording.
---@param text string
---@return table? line {text, record?} nothing to say without a record; nil: it is not a recorded message
---@return integer number of the line
function replay.read(text)
  local record = text:find "%S" and json.decode(text)
  local is_record = type(record) == "table" and type(record.envelope) == "table" and type(record.outcome) == "string"
  local number = #lines + 1
  if text:find "%S" and not is_record then return nil, number end
  local line = { text = text, number = number }
  -- the answer to a question of the script's, or one that somebody stopped: there is nothing to compare
  if record and record.outcome ~= "answer" and record.outcome ~= "canceled" then line.record = record end
  lines[number] = line
  return line, number
end

local function parts_of(body)
  local params = type(body.params) == "table" and body.params
  local message = params and type(params.message) == "table" and params.message
  return message and json.is_array(message.parts) and message.parts or {}
end

-- A reply's text and the names of its files: what does not change from run to run.
local function text_of(body)
  if type(body) ~= "table" then return nil end
  local texts, files = { type(body.message) == "string" and body.message or nil }, {}
  for _, part in ipairs(parts_of(body)) do
    if type(part.text) == "string" then texts[#texts + 1] = part.text end
    if type(part.file) == "table" then files[#files + 1] = part.file end
    if part.data ~= nil then texts[#texts + 1] = json.encode(part.data, { sort = true }) end
  end
  for _, file in ipairs(json.is_array(body.attachments) and body.attachments or {}) do files[#files + 1] = file end
  for _, file in ipairs(files) do texts[#texts + 1] = ("[file: %s]"):format(tostring(file.name)) end
  return table.concat(texts, "\n")
end

local function print_line(mark, text, color)
  host.print(mark .. text, color)
end

local function split(text)
  local list = {}
  for line in (text .. "\n"):gmatch "([^\n]*)\n" do list[#list + 1] = line end
  return list
end

-- Lines at the beginning and at the end that are the same are shown once.
local function print_difference(before, after, paint)
  local old, new = before and split(before) or {}, after and split(after) or {}
  local first, last = 0, 0
  while first < math.min(#old, #new) and old[first + 1] == new[first + 1] do first = first + 1 end
  while last < math.min(#old, #new) - first and old[#old - last] == new[#new - last] do last = last + 1 end
  for i = 1, first do print_line("  ", old[i]) end
  for i = first + 1, #old - last do print_line("- ", old[i], paint and RED) end
  for i = first + 1, #new - last do print_line("+ ", new[i], paint and GREEN) end
  for i = #old - last + 1, #old do print_line("  ", old[i]) end
end

local function outcome_text(outcome, reason)
  return reason and ("%s: %s"):format(outcome, tostring(reason):match "[^\n]*") or outcome
end

-- With the members in the order in which they are recorded.
local function encode(record)
  local pieces, known = {}, {}
  for _, name in ipairs(ORDER) do
    known[name] = true
    if record[name] ~= nil then pieces[#pieces + 1] = ("%q:%s"):format(name, assert(json.encode(record[name]))) end
  end
  local others = {}
  for name in pairs(record) do
    if not known[name] then others[#others + 1] = name end
  end
  table.sort(others)
  for _, name in ipairs(others) do pieces[#pieces + 1] = json.encode(name) .. ":" .. assert(json.encode(record[name])) end
  return "{" .. table.concat(pieces, ",") .. "}"
end

-- What is no longer asked, and what is not in the recording.
local function print_calls(calls, paint)
  for _, text in ipairs(calls.gone) do print_line("- ", "no longer asked: " .. text, paint and RED) end
  for _, text in ipairs(calls.added) do print_line("+ ", "asked, but not recorded: " .. text, paint and GREEN) end
end

local function read_calls(text)
  local calls = text and json.decode(text) or { gone = {}, added = {}, other = 0 }
  other_bodies = other_bodies + calls.other
  calls.differ = #calls.gone + #calls.added > 0
  if calls.differ then other_calls = other_calls + 1 end
  return calls
end

---@param line table of replay.read
---@param new {words: string?, outcome: string, reason: string?, traceback: string?, body: string?, calls: string?} body: the
---  reply's request; calls: what was asked differently, see host.played
---@param paint boolean
function replay.compare(line, new, paint)
  local record = line.record
  local reply = new.body and json.decode(new.body)
  local before, after = text_of(record.reply), text_of(reply)
  local calls = read_calls(new.calls)
  local as_recorded = record.outcome == new.outcome and before == after
  if as_recorded and not calls.differ then
    same = same + 1
    return
  end
  different = different + 1
  host.print(("[%d] %s: %s"):format(line.number, tostring(record.from), new.words or ""), paint and BOLD)
  print_calls(calls, paint)
  if record.outcome ~= new.outcome then
    print_line("- ", outcome_text(record.outcome, record.reason), paint and RED)
    print_line("+ ", outcome_text(new.outcome, new.reason), paint and GREEN)
  end
  if before ~= after then print_difference(before, after, paint) end
  if as_recorded then return end
  if new.traceback then host.print(new.traceback) end
  changed = changed + 1
  record.outcome, record.reason, record.reply = new.outcome, new.reason, reply
  line.text = encode(record)
end

local function write(path)
  local texts = {}
  for i, line in ipairs(lines) do texts[i] = line.text end
  texts[#texts + 1] = ""
  return host.replace_file(path, table.concat(texts, "\n"))
end

---The last message has its outcome.
---@param path string of the recording
---@param update boolean
---@return boolean fine nothing differs, or it was written
---@return string? problem
function replay.finish(path, update)
  local wanted, written, problem = update and changed > 0, false, nil
  if wanted then written, problem = write(path) end
  host.print(("%d as recorded, %d different%s"):format(same, different, written and "; updated" or ""))
  if other_bodies > 0 then
    host.print(("%d %s another body than recorded, and got the recorded answer"):format(other_bodies,
      other_bodies == 1 and "call has" or "calls have"))
  end
  if update and other_calls > 0 then
    host.print(("%d %s for other things than recorded; --update does not know the answers: record again"):format(other_calls,
      other_calls == 1 and "message asks" or "messages ask"))
  end
  return different == 0 or written and other_calls == 0, problem
end

return replay
