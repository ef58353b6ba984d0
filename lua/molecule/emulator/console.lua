--- The terminal of `molecule dev`: every message to the script's workspace, its reply, outcome and duration, a line each;
--- and what a person types there.
---
---   [1] canvas: hello
---   [1] agent: you said: hello
---   [1] replied in 4 ms
---
--- The number is the message's. What the agent says besides its replies (molecule.notify, molecule.send) has none.

local host = require "molecule.emulator.host"
local json = require "molecule.json"
local attachment = require "molecule.emulator.attachment"
local messages = require "molecule.emulator.messages"
local push = require "molecule.emulator.push"
local shown = require "molecule.playground.shown"
local store = require "molecule.emulator.store"
local watch = require "molecule.emulator.watch"

local console = {}

local HELP = [[
a line is a message to the agent; /WORD is a command:
  /file PATH [TEXT]  send a file, optionally with a text
  /as NAME           speak as the peer of that name or id, which is created if missing; /as canvas: the human again
  /help              this list
  //TEXT             send a message that begins with a slash
  /quit              exit once everything typed is answered (so does Ctrl-D); Ctrl-C exits sooner]]
local LINE_TOO_LONG = "that line is longer than 1 MiB; it was not sent"

local own          -- the id of the workspace that the script serves
local speaker      -- the id of the peer that lines come from; nil: the canvas
local last = 0     -- the last number given
local open = {}    -- row id -> {number, since, typed, pushed, awaits: its push has no answer yet, reply: of that}
local finishing = {} -- what was pushed and is finished, in that order: its answers may come in another
local typed = 0    -- messages typed that have no outcome
local said = false -- anything was typed
local ending, over = false, false

local function show(number, text)
  local label = number and ("[%d] "):format(number) or "    "
  host.print(label .. text:gsub("%z", "\\0"):gsub("\r?\n", "\n" .. (" "):rep(#label)))
end

local function hint(text)
  host.print("-- " .. text:gsub("\n", "\n   "))
end

local function name_of(id)
  local workspace = store.find(id)
  if not id then return "canvas" end
  return workspace and workspace.name ~= workspace.id and workspace.name or id
end

local function parts_of(value)
  local params = type(value) == "table" and value.params
  local message = type(params) == "table" and params.message
  local parts = type(message) == "table" and message.parts
  return json.is_array(parts) and parts or {}
end

local function described_file(file)
  local size = math.tointeger(file.size)
  return ("<file %s%s>"):format(tostring(file.name or file.uri or "without a name"), size and (", %d bytes"):format(size) or "")
end

-- The words and files of a message as one text.
local function text_of(parts)
  local pieces = {}
  for _, part in ipairs(parts) do
    if type(part) == "table" then
      if type(part.text) == "string" then
        pieces[#pieces + 1] = part.text
      elseif type(part.file) == "table" then
        pieces[#pieces + 1] = described_file(part.file)
      else
        pieces[#pieces + 1] = json.encode(part)
      end
    end
  end
  return #pieces > 0 and table.concat(pieces, "\n") or "(empty)"
end

local function duration(ms)
  if ms < 1000 then return ("%d ms"):format(ms) end
  return ("%.1f s"):format(ms / 1000)
end

local function first_line(text)
  return text:match "[^\r\n]*"
end

local function arrived(event)
  last = last + 1
  open[event.row.id] = { number = last, since = host.monotonic_ms(), pushed = event.pushed, awaits = event.pushed }
  show(last, ("%s: %s"):format(name_of(event.source), text_of(parts_of(event.value))))
end

-- A message left by an earlier run with this state.
local function earlier(row_id)
  last = last + 1
  open[row_id] = { number = last, since = host.monotonic_ms() }
  show(last, ("(a message from an earlier run, %s)"):format(row_id))
  return open[row_id]
end

-- A run of a schedule begins, or begins again.
local function due(event)
  if open[event.row_id] then return end
  last = last + 1
  open[event.row_id] = { number = last, since = host.monotonic_ms() }
  show(last, ("(a run of %s)"):format(event.schedule))
end

-- A message of an A2A client is handled, perhaps once more.
local function asked(event)
  if open[event.row_id] then return end
  last = last + 1
  open[event.row_id] = { number = last, since = host.monotonic_ms(), client = event.principal }
  show(last, ("%s (A2A): %s"):format(event.principal, event.text ~= "" and event.text or "(no text)"))
end

-- What its task says meanwhile: progress, or a question.
local function said_to_client(event)
  local message = open[event.row_id]
  local to_client = event.what == "molecule.notify" or event.what == "molecule.send" and message and event.key == message.client
  if message and message.client and to_client and event.text then show(message.number, "agent: " .. event.text) end
end

-- What such a client gets.
local function answered(event)
  local message, parts = open[event.row_id], json.decode(event.text)
  if not message or not message.client or not json.is_array(parts) then return end
  local text, files = shown.content(parts)
  local pieces = { text ~= "" and text or nil }
  for _, file in ipairs(files) do pieces[#pieces + 1] = described_file(file) end
  show(message.number, "agent: " .. (#pieces > 0 and table.concat(pieces, "\n") or "(empty)"))
end

-- The number of the message that this is the reply to; nil: it is not a reply.
local function number_of(body)
  local row = host.reply_to(body)
  return row and (open[row] or earlier(row)).number
end

local function noticed(event)
  local pieces = { event.value.message }
  for _, file in ipairs(json.is_array(event.value.attachments) and event.value.attachments or {}) do
    pieces[#pieces + 1] = described_file(file)
  end
  show(number_of(event.body), "agent: " .. table.concat(pieces, "\n"))
end

local function sent(event)
  local number = number_of(event.body)
  local whom = number and "agent" or "agent to " .. name_of(event.target)
  show(number, ("%s: %s"):format(whom, text_of(parts_of(event.value))))
end

local function quit_if_done()
  if ending and typed == 0 and not over then
    over = true
    host.quit()
  end
end

local show_finished

-- What the host says became of a message.
local function told(event)
  if event.principal then asked(event) end -- an answer to a question
  local message = open[event.row_id] or earlier(event.row_id)
  if event.kind == "finished" and message.pushed then
    message.pushed = nil
    finishing[#finishing + 1] = event
    return show_finished()
  end
  local why = event.reason and ": " .. first_line(event.reason) or ""
  if event.outcome == "asleep" then -- it sleeps, or has asked
    if event.again_ms > 0 then show(message.number, event.reason) end
    return
  end
  if event.kind == "later" then
    return show(message.number, ("no outcome yet, retrying in %s%s"):format(duration(event.again_ms), why))
  end
  local is_answer = event.outcome == "answer" and event.reason
  show(message.number, is_answer or ("%s in %s%s"):format(event.outcome == "dead" and "dead letter" or event.outcome,
    duration(host.monotonic_ms() - message.since), why))
  open[event.row_id] = nil
  if message.typed then typed = typed - 1 end
  quit_if_done()
end

-- Once the platform has the answer, too.
function show_finished()
  while finishing[1] do
    local message = open[finishing[1].row_id]
    if message.awaits then return end
    if message.reply then show(message.number, message.reply) end
    told(table.remove(finishing, 1))
  end
end

-- A message was posted to the host.
local function pushed(event)
  local message = open[event.row_id]
  local parts, late = push.parts(event.row_id, event.answer)
  local words = parts and "agent: " .. text_of(parts)
  if not message or late then
    if words then show(message and message.number, words) end
  else
    message.reply = words
  end
  if not message or not event.status then return end
  message.awaits = nil
  show_finished()
end

-- A crash: what was under way is delivered again.
local function host_changed(event)
  hint(event.running and "the host runs again" or event.reason)
end

local function heard(event)
  if event.kind == "host" then return host_changed(event) end
  if event.kind == "message" and event.workspace.id == own then return arrived(event) end
  if event.kind == "notice" and event.workspace.id == own then return noticed(event) end
  if event.kind == "pushed" then return pushed(event) end
  if event.kind == "sent" and event.source == own then return sent(event) end
  if event.kind == "attempt" and event.schedule then return due(event) end
  if event.kind == "attempt" and event.principal then return asked(event) end
  if event.kind == "asked" then return said_to_client(event) end
  if event.kind == "answer" then return answered(event) end
  if event.kind == "later" or event.kind == "finished" then return told(event) end
end

-- Sends parts to the agent as whoever speaks.
local function send(parts)
  local target, from = store.find(own), speaker
  if not target then return hint(("the workspace %s is gone"):format(own)) end
  if from and not store.find(from) then
    speaker = nil
    return hint "that peer is gone; you are the human in the canvas again, and nothing was sent"
  end
  local ids, problem = messages.insert(target, { from = from, parts = parts })
  if not ids then return hint(problem or "that could not be sent") end
  if open[ids[1]] then
    open[ids[1]].typed = true
    typed = typed + 1
  end
end

local commands = {}

function commands.help() hint(HELP) end

function commands.quit()
  if typed > 0 and not ending then
    hint(("exiting once %s answered; Ctrl-C exits now"):format(
      typed == 1 and "the last message is" or ("%d messages are"):format(typed)))
  end
  ending = true
  quit_if_done()
end

local function find_peer(name)
  for _, workspace in ipairs(store.order) do
    if workspace.status ~= "removed" and (workspace.id == name:lower() or workspace.name:lower() == name:lower()) then
      return workspace
    end
  end
  if host.uuid_valid(name) then return store.create(name) end
  local workspace = store.create(host.uuid())
  workspace.name = name
  return workspace
end

commands["as"] = function(name)
  if name == "" then
    return hint(speaker and ("you are the peer %s (%s)"):format(name_of(speaker), speaker) or "you are the human in the canvas")
  elseif name == "canvas" or name == "human" then
    speaker = nil
    return hint "you are the human in the canvas"
  end
  local count = #store.order
  local peer = find_peer(name)
  if peer.id == own then return hint(("%s is the agent itself; /as takes someone else"):format(name)) end
  if #store.order > count then peer.delivery_mode, peer.parent_id = "poll", store.family() end
  speaker = peer.id
  hint(("you are the peer %s (%s); /as canvas: the human again"):format(name_of(peer.id), peer.id))
end

commands["file"] = function(rest)
  if rest == "" then return hint "which file? /file PATH [TEXT]" end
  local file, text, problem = attachment.open(rest)
  if not file then return hint(problem) end
  local part
  part, problem = attachment.part(store.find(own), speaker, file)
  if not part then return hint(problem) end
  local parts = json.array {}
  if text ~= "" then parts[1] = { kind = "text", text = text } end
  parts[#parts + 1] = part
  send(parts)
end

local function command(line)
  local word, rest = line:match "^/(%S*)%s*(.-)%s*$"
  local run = commands[word]
  if run then return run(rest) end
  local names = {}
  for name in pairs(commands) do names[#names + 1] = name end
  local near = host.nearest(word, names)
  hint(("unknown command /%s; %s. To send it as a message: /%s"):format(word,
    near and ("did you mean /%s? /help lists all"):format(near) or "/help lists all", line))
end

---A line that was typed, without its end; nil: it was too long.
---@param line string?
---@return integer unanswered messages typed that have no outcome so far
function console.type(line)
  if line and not line:find "%S" then return typed end
  said = true
  if not line then
    hint(LINE_TOO_LONG)
  elseif ending then
    hint "exiting: nothing more is sent"
  elseif not utf8.len(line) then
    hint "that line is not UTF-8; it was not sent"
  elseif line:find "^/" and not line:find "^//" then
    command(line)
  else
    send(json.array { { kind = "text", text = (line:gsub("^//", "/")) } })
  end
  return typed
end

---Nothing more can be typed.
---@param terminal boolean the person's wish (Ctrl-D), not the end of a pipe
function console.ended(terminal)
  if terminal or said then commands.quit() end -- otherwise there was no input at all
end

---@param workspace string the id of the script's workspace
function console.start(workspace)
  own = workspace:lower()
  watch.add(heard)
end

return console
