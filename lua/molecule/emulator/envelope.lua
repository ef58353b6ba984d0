--- A2A envelopes: what the platform makes of those it receives, and how the emulator writes its own (§1.10, §2.2, §2.3).

local host = require "molecule.emulator.host"
local json = require "molecule.json"
local store = require "molecule.emulator.store"

local envelope = {}

local NEITHER = "params.message must contain either 'parts' (v0.3) or 'content' (v0.2 compat)"
local NEITHER_HINT = [[v0.3 example: {"parts":[{"kind":"text","text":"..."}]}]]
local CONTENT_HINT = "content must be a string (v0.2 compat) or omitted in favour of parts (v0.3)"
local CANVAS = { source = "canvas_user", user_identity_status = "UNAUTHENTICATED" }

local function is_object(value)
  return type(value) == "table" and not json.is_array(value)
end

local function rename_types(parts)
  for _, part in ipairs(parts) do
    if is_object(part) and part.type ~= nil and part.kind == nil then
      part.kind, part.type = part.type, nil
    end
  end
end

local function normalise_message(message)
  if message.messageId == nil or message.messageId == "" then message.messageId = host.uuid() end
  if store.latest() and message.role == nil then message.role = "user" end
  local content = message.content
  if message.parts == nil then
    if content == nil then return nil, { error = NEITHER, hint = NEITHER_HINT } end
    if type(content) == "string" then
      message.parts = json.array { { kind = "text", text = content } }
    elseif json.is_array(content) then
      message.parts = content
    else
      return nil, { error = "invalid params.message.content type", hint = CONTENT_HINT }
    end
    message.content = nil
  end
  if store.latest() and json.is_array(message.parts) then rename_types(message.parts) end
  return true
end

-- What the newer version adds to the human's messages: the sender, and the conversation.
local function mark_canvas(value, target)
  if not is_object(value.params) then value.params = {} end
  local params = value.params
  if not is_object(params.metadata) then params.metadata = {} end
  for name, text in pairs(CANVAS) do params.metadata[name] = text end
  local message = params.message
  if value.method == "message/send" and is_object(message) and (message.contextId or "") == "" then
    message.contextId = "canvas-" .. target
  end
end

---@param text string a request body
---@param canvas_to string? the human in the canvas sends it to this workspace
---@return table? envelope, table? problem the body of a 400
function envelope.normalise(text, canvas_to)
  local value = json.decode(text)
  if not is_object(value) then return nil, { error = "invalid JSON" } end
  if value.jsonrpc == nil then
    value = { jsonrpc = "2.0", id = host.uuid(), method = value.method, params = value.params }
  end
  local message = is_object(value.params) and value.params.message
  if is_object(message) then
    local fine, problem = normalise_message(message)
    if not fine then return nil, problem end
  end
  if canvas_to and store.latest() then mark_canvas(value, canvas_to) end
  return value
end

---@param value any an envelope
---@return string? id
function envelope.message_id(value)
  local params = is_object(value) and value.params
  local message = is_object(params) and params.message
  local id = is_object(message) and message.messageId
  return type(id) == "string" and id or nil
end

---@param value any an envelope
---@return string method "" when it names none
function envelope.method(value)
  return is_object(value) and type(value.method) == "string" and value.method or ""
end

---An envelope as the canvas or a peer would send it.
---@param from string? the peer's workspace id; nil: the canvas
---@param to string
---@param message {text: string?, parts: table?, message_id: string?, context_id: string?, task_id: string?,
---  metadata: table?, method: string?, history: table?}
---@return table
function envelope.build(from, to, message)
  local parts = message.parts
  if parts == nil then parts = json.array { { kind = "text", text = message.text or "" } } end
  local context = message.context_id
  if not context and not from and store.latest() then context = "canvas-" .. to end
  local metadata = nil
  if not from and store.latest() then
    metadata = CANVAS
  elseif message.history then
    metadata = { history = message.history }
  end
  return { jsonrpc = "2.0", id = host.uuid(), method = message.method or "message/send", params = {
    message = { role = "user", messageId = message.message_id or host.uuid(), parts = parts, contextId = context,
      taskId = message.task_id, metadata = message.metadata },
    metadata = metadata } }
end

return envelope
