--- What `molecule try` says to a script, one message after the other, and what it prints of each:
---
---   log info: counted 2 files
---   … still counting                       interim words: ctx.progress, molecule.notify
---   -> billing: how much?                  molecule.send and delegate
---   3 files.                               the reply
---   replied · 12 ms
---
--- With `json` it prints one JSON object per message instead. The C half is src/commands/try.c.

local host = require "molecule.emulator.host"
local json = require "molecule.json"
local attachment = require "molecule.emulator.attachment"
local messages = require "molecule.emulator.messages"
local store = require "molecule.emulator.store"
local watch = require "molecule.emulator.watch"

local trial = {}

local own            -- the id of the workspace that the script serves
local settings       -- {command, from?, context_id?, files?: string[], json?: boolean, echo?: boolean, records?, update?, color?}
local replay         -- molecule.emulator.replay, with `records`
local queue = {}     -- what is still to be said: parameters of messages.insert
local current        -- what the message that is under way has led to so far
local ended = false  -- nothing more will be said
local over = false

local function shown(text)
  return (text:gsub("%z", "\\0"):gsub("\r\n", "\n"))
end

local function say(text)
  if not settings.json and not settings.records then host.print(shown(text)) end
end

local function find_peer(name)
  if name == nil or name == "canvas" then return nil end
  for _, workspace in ipairs(store.order) do
    if workspace.id == name:lower() or workspace.name:lower() == name:lower() then return workspace.id end
  end
  local workspace = store.create(host.uuid_valid(name) and name:lower() or host.uuid())
  if not host.uuid_valid(name) then workspace.name = name end
  workspace.delivery_mode, workspace.parent_id = "poll", store.family()
  return workspace.id
end

local function name_of(id)
  local workspace = store.find(id)
  return workspace and workspace.name ~= workspace.id and workspace.name or id
end

local function file_text(file)
  local size = math.tointeger(file.size)
  return ("[file: %s%s]"):format(tostring(file.name or file.uri or "without a name"), size and (", %d bytes"):format(size) or "")
end

local function parts_of(value)
  local message = type(value.params) == "table" and value.params.message
  local parts = type(message) == "table" and message.parts
  return json.is_array(parts) and parts or {}
end

-- The words of an envelope, and its files.
local function read(value)
  local texts, files = {}, json.array {}
  for _, part in ipairs(parts_of(value)) do
    if type(part) == "table" and type(part.text) == "string" then
      texts[#texts + 1] = part.text
    elseif type(part) == "table" and type(part.file) == "table" then
      files[#files + 1] = part.file
    elseif type(part) == "table" then
      texts[#texts + 1] = json.encode(part)
    end
  end
  return table.concat(texts, "\n"), files
end

local function words(text, files)
  local lines = { text ~= "" and text or nil }
  for _, file in ipairs(files) do lines[#lines + 1] = file_text(file) end
  return table.concat(lines, "\n")
end

-- What the script says: the reply, which the host announces before it is posted, or something else.
local function said(body, text, files, whom)
  if not current then return end
  if host.reply_to(body) then
    current.reply, current.files, current.body = text, files, body
    return say(words(text, files))
  elseif whom then
    table.insert(current.sent, { to = whom, text = text, files = #files > 0 and files or nil })
    return say(("-> %s: %s"):format(name_of(whom), words(text, files)))
  end
  table.insert(current.progress, text)
  say("… " .. words(text, files))
end

local function heard(event)
  if event.kind == "notice" and event.workspace.id == own then
    said(event.body, event.value.message, json.is_array(event.value.attachments) and event.value.attachments or json.array {})
  elseif event.kind == "sent" and event.source == own then
    local text, files = read(event.value)
    said(event.body, text, files, event.target)
  end
end

local function quit_if_done()
  if ended and not current and #queue == 0 and not over then
    over = true
    host.quit()
  end
end

local function parts_with_files(text)
  local parts = json.array {}
  if text and (text ~= "" or not settings.files) then parts[1] = { kind = "text", text = text } end
  for _, path in ipairs(settings.files or {}) do
    local file, _, problem = attachment.open('"' .. path .. '"')
    if not file then return nil, problem end
    local part
    part, problem = attachment.part(store.find(own), settings.from, file)
    if not part then return nil, problem end
    parts[#parts + 1] = part
  end
  settings.files = nil -- with the first message only
  return parts
end

local function say_next()
  local message = table.remove(queue, 1)
  if not message then return quit_if_done() end
  if settings.echo and message.words then say("> " .. message.words) end
  current = { progress = json.array {}, log = json.array {}, sent = json.array {}, words = message.words,
    line = message.line }
  message.words, message.line = nil, nil
  local ids, problem = messages.insert(store.find(own), message)
  if not ids then error(problem, 0) end
  current.row = ids[1]
  local calls = current.line and current.line.record.calls
  if current.line then host.play(current.row, calls and assert(json.encode(calls)) or nil) end
end

local function complain(problem)
  io.stderr:write("molecule ", settings.command, ": ", problem, "\n")
  return false
end

---Says a text, after those before it were answered.
---@param text string?
---@return boolean fine false: it was not taken, and the reason was printed
function trial.say(text)
  if text and not utf8.len(text) then return complain "a message that is not UTF-8 was not sent" end
  local parts, problem = parts_with_files(text)
  if not parts then return complain(problem) end
  queue[#queue + 1] = { from = settings.from, parts = parts, context_id = settings.context_id, words = text }
  if not current then say_next() end
  return true
end

---The next messages come from this peer.
---@param name string "canvas", or a peer's name or id
---@return boolean fine
function trial.speak(name)
  if not utf8.len(name) or name:find "%c" then return complain "a name is UTF-8 without control characters" end
  settings.from = find_peer(name)
  host.print("speaking as " .. (settings.from and name_of(settings.from) or "the canvas"))
  return true
end

---Prints what the prompt has to show.
---@param text string? nil: nothing
function trial.show(text)
  if text then host.print(text) end
end

---Says an envelope.
---@param text string JSON
---@param row_id string? instead of a new one
---@param from string? instead of the setting
---@return boolean fine
function trial.envelope(text, row_id, from)
  local value, problem = json.decode(text)
  if type(value) ~= "table" or json.is_array(value) then
    return complain("the envelope is not a JSON object" .. (problem and ": " .. problem or ""))
  end
  if value.params == nil and (value.parts ~= nil or value.content ~= nil) then value = { message = value } end
  if value.params == nil and value.message ~= nil then
    value = { jsonrpc = "2.0", id = host.uuid(), method = "message/send", params = value }
  end
  local sender = settings.from
  if from then sender = find_peer(from) end
  queue[#queue + 1] = { request_body = value, from = sender, id = row_id, words = (read(value)) }
  if not current then say_next() end
  return true
end

local replayed = {} -- row ids, which are given once

---Says a recorded message.
---@param text string a line of the recording
---@return boolean fine
function trial.record(text)
  local line, number = replay.read(text)
  if not line then
    return complain(("%s:%d: this line is not a recorded message, as molecule connect --record writes them")
      :format(settings.records, number))
  end
  local record = line.record
  if not record then return true end
  local id = type(record.row_id) == "string" and host.uuid_valid(record.row_id) and not replayed[record.row_id] and record.row_id
  if id then replayed[id] = true end
  local from = type(record.from) == "string" and record.from or "canvas"
  queue[#queue + 1] = { request_body = record.envelope, from = find_peer(from), id = id or nil, words = (read(record.envelope)),
    line = line }
  if not current then say_next() end
  return true
end

---Whether everything was as recorded, or the recording is now.
---@return boolean fine
function trial.replayed()
  local fine, problem = replay.finish(settings.records, settings.update)
  if problem then complain(problem) end
  return fine
end

---Nothing more will be said.
function trial.done()
  ended = true
  quit_if_done()
end

---A line of the script's log.
---@param level string
---@param text string
function trial.log(level, text)
  if current then table.insert(current.log, { level = level, text = text }) end
  say(("log %s: %s"):format(level, text))
end

local function print_json(outcome, reason, traceback, ms)
  host.print(assert(json.encode({ text = current.words, outcome = outcome, reason = reason, traceback = traceback,
    reply = current.reply, files = current.files and #current.files > 0 and current.files or nil,
    progress = current.progress, sent = #current.sent > 0 and current.sent or nil, log = current.log, ms = ms },
    { sort = true })))
end

-- Frames of the script only: what called its handler is the host's.
local function tidy(traceback)
  return (traceback:gsub("^\n*stack traceback:\n", "stack traceback:\n"):gsub("\n\t%[C%]: in %?%s*$", ""))
end

---The message has its outcome.
---@param row_id string
---@param outcome string
---@param reason string?
---@param traceback string?
---@param ms integer how long its handler ran
---@return boolean? done it was the one that is under way
function trial.finished(row_id, outcome, reason, traceback, ms)
  if not current or current.row ~= row_id then return end
  if current.line then
    replay.compare(current.line, { words = current.words, outcome = outcome, reason = reason, body = current.body,
      traceback = traceback and tidy(traceback), calls = host.played(row_id) }, settings.color)
  elseif settings.json then
    print_json(outcome, reason, traceback, ms)
  else
    if traceback then say(reason .. "\n" .. tidy(traceback)) end
    say(("%s · %d ms%s"):format(outcome, ms, reason and not traceback and ": " .. reason or ""))
  end
  current = nil
  say_next()
  return true
end

---@param workspace string the id of the script's workspace
---@param text string JSON: the settings
function trial.start(workspace, text)
  own, settings = workspace:lower(), assert(json.decode(text))
  if settings.records then replay = require "molecule.emulator.replay" end
  settings.from = find_peer(settings.from)
  watch.add(heard)
end

return trial
