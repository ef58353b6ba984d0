--- What a test sends -> the row and the message that a script sees, as the platform's newest version carries it.

local outcome = require "molecule.testing.outcome"
local tasks = require "molecule.testing.tasks"
local words = require "molecule.testing.words"

local message = {}

local CANVAS = {source = "canvas_user", user_identity_status = "UNAUTHENTICATED"}
local KNOWN = {"text", "from", "files", "parts", "context_id", "task_id", "message_id", "metadata", "method", "history",
  "in_reply_to", "task", "principal"}
local TYPES = {txt = "text/plain", log = "text/plain", md = "text/markdown", csv = "text/csv", html = "text/html",
  json = "application/json", pdf = "application/pdf", png = "image/png", jpg = "image/jpeg", lua = "text/x-lua"}

local function check(given)
  if type(given) == "string" then given = {text = given} end
  if type(given) ~= "table" then error(("send takes a text or a table, not a %s"):format(type(given)), 4) end
  for name in pairs(given) do
    local known = false
    for _, one in ipairs(KNOWN) do known = known or one == name end
    if not known then
      local best = words.nearest(tostring(name), KNOWN)
      error(("send: unknown field '%s'; %s"):format(name, best and ("did you mean '%s'?"):format(best)
        or "known fields: " .. table.concat(KNOWN, ", ")), 4)
    end
  end
  return given
end

local function load_file(given)
  if type(given) == "string" then given = {path = given} end
  local data, name = given.data, given.name
  if given.path and not data then
    local file = assert(io.open(given.path, "rb"))
    data = file:read "a"
    file:close()
  end
  name = name or given.path and given.path:match("[^/]*$") or "file"
  local ending = name:match("%.(%w+)$")
  return name, data or "", given.mime_type or ending and TYPES[ending:lower()] or "application/octet-stream"
end

-- Staged for the human, inside the message for a peer.
local function file_part(agent, from, given)
  local name, data, mime_type = load_file(given)
  local file = {name = name, mimeType = mime_type, size = #data}
  if from == "canvas" then
    local id = words.uuid()
    agent.uploads[id] = data
    file.uri = ("platform-pending:%s/%s"):format(agent.workspace, id)
  else
    file.bytes = words.base64_encode(data)
  end
  return {kind = "file", file = file}
end

local function make_parts(agent, from, given)
  local parts = agent.json.array {}
  for i, part in ipairs(given.parts or {}) do parts[i] = part end
  if given.text or not given.parts and not given.files then
    table.insert(parts, 1, {kind = "text", text = given.text or ""})
  end
  for _, file in ipairs(given.files or {}) do parts[#parts + 1] = file_part(agent, from, file) end
  return parts
end

local function make_envelope(agent, from, given, task)
  local to_mark = given.in_reply_to and {molecule = {in_reply_to = given.in_reply_to, hops = 1}}
  local metadata = given.metadata or to_mark and {} or nil
  if to_mark then metadata.molecule = to_mark.molecule end
  local outer
  if from == "canvas" then
    outer = {}
    for name, value in pairs(CANVAS) do outer[name] = value end
  end
  if given.history then
    outer = outer or {}
    outer.history = given.history
  end
  return {jsonrpc = "2.0", id = words.uuid(), method = given.method or "message/send", params = {
    message = {role = "user", messageId = given.message_id or words.uuid(), parts = make_parts(agent, from, given),
      contextId = task and task.context_id or given.context_id or from == "canvas" and "canvas-" .. agent.workspace or nil,
      taskId = task and task.id or given.task_id,
      metadata = metadata},
    metadata = outer}}
end

local function text_of(parts)
  local texts = {}
  for _, part in ipairs(parts) do
    if type(part) == "table" and type(part.text) == "string" then texts[#texts + 1] = part.text end
  end
  return table.concat(texts)
end

local function files_of(json, parts)
  local files = json.array {}
  for _, part in ipairs(parts) do
    local is_file = type(part) == "table" and (part.kind == "file" or part.type == "file" or type(part.file) == "table"
      or part.kind == nil and (part.raw or part.url))
    if is_file then files[#files + 1] = outcome.file_of(part) end
  end
  return files
end

local function merged(outer, inner)
  local all = {}
  for name, value in pairs(outer or {}) do
    if name ~= "history" then all[name] = value end
  end
  for name, value in pairs(inner or {}) do all[name] = value end
  return next(all) ~= nil and all or nil
end

--- A new table each time: a handler may change what it is given.
function message.read(agent, row)
  local value = assert(agent.json.decode(row.raw))
  local params = value.params
  local said = params.message
  local mark = type(said.metadata) == "table" and said.metadata.molecule
  return {
    id = row.id, message_id = said.messageId, text = text_of(said.parts), parts = said.parts,
    files = files_of(agent.json, said.parts), from = row.from, peer = row.from ~= "canvas" and {id = row.from,
      name = row.peer_name} or nil,
    conversation = row.conversation, context_id = said.contextId, task_id = said.taskId, method = value.method,
    in_reply_to = mark and mark.in_reply_to or nil, created_at = row.created_at, metadata = merged(params.metadata,
      said.metadata),
    history = params.metadata and params.metadata.history, raw = row.raw, principal = row.task and row.task.principal,
    task = row.task and {id = row.task.id, context_id = row.task.context_id} or nil,
  }
end

---@param agent table
---@param given string|table what a test passes to send
---@return table row {id, from, raw, conversation, created_at}
function message.row(agent, given)
  given = check(given)
  local task = tasks.of_message(given)
  local from = task and task.principal or given.from or "canvas"
  local envelope = make_envelope(agent, from, given, task)
  local context = envelope.params.message.contextId
  local now = agent.clock:now()
  return {
    id = task and not given.task_id and task.id or words.uuid(), from = from, task = task,
    raw = assert(agent.json.encode(envelope)), in_reply_to = given.in_reply_to,
    peer_name = agent.peers[from] and agent.peers[from].name, conversation = from .. (context and "/" .. context or ""),
    created_at = os.date("!%Y-%m-%dT%H:%M:%S", math.floor(now)) .. (".%06dZ"):format(math.floor(now % 1 * 1000000)),
  }
end

return message
