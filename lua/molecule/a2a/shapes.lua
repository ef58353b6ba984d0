--- Tasks, messages and events of A2A: on the wire of 1.0 and of 0.3, and as scripts see them.
local json = require "molecule.json"
local parts = require "molecule.a2a.parts"

local text, map = parts.text, parts.map

local shapes = {}

--- The states of a task, as scripts see them.
shapes.STATES = {submitted = true, working = true, ["input-required"] = true, ["auth-required"] = true, completed = true,
  canceled = true, failed = true, rejected = true}
local ENDED = {completed = true, canceled = true, failed = true, rejected = true}
local UNDER_WAY = {submitted = true, working = true, unknown = true}

--- Whether the agent still works on it: it has not ended and does not ask for anything.
function shapes.is_under_way(state) return UNDER_WAY[state] == true end

-- "TASK_STATE_INPUT_REQUIRED" and "input-required" -> "input-required"
local function read_state(value)
  local word = (text(value) or ""):lower():gsub("^task_state_", ""):gsub("_", "-")
  if word == "cancelled" then word = "canceled" end
  return shapes.STATES[word] and word or "unknown"
end

--- "input-required" -> "TASK_STATE_INPUT_REQUIRED"
function shapes.write_state(state) return "TASK_STATE_" .. state:upper():gsub("%-", "_") end

local function read_role(value) return text(value) and (value:lower():gsub("^role_", "")) or nil end

--- A message -> {message_id, role, parts, text, files, context_id, task_id, metadata}; nil: it is none.
function shapes.message(value)
  if not map(value) then return nil end
  local list = parts.read(value.parts)
  return {message_id = text(value.messageId), role = read_role(value.role), parts = list, text = parts.join(list, "\n"),
    files = parts.files(list), context_id = text(value.contextId), task_id = text(value.taskId), metadata = map(value.metadata)}
end

--- An artifact -> {id, name, description, parts, text, files, metadata}. Its texts may be pieces of one: nothing comes between.
function shapes.artifact(value)
  local list = parts.read(value.parts)
  return {id = text(value.artifactId), name = text(value.name), description = text(value.description), parts = list,
    text = parts.join(list, ""), files = parts.files(list), metadata = map(value.metadata)}
end

local function list_of(values, read)
  local list = json.array {}
  for _, value in ipairs(map(values) or {}) do list[#list + 1] = map(value) and read(value) or nil end
  return list
end

-- The parts and the text of all artifacts.
local function join_artifacts(artifacts)
  local all, texts = json.array {}, {}
  for _, artifact in ipairs(artifacts) do
    for _, part in ipairs(artifact.parts) do all[#all + 1] = part end
    texts[#texts + 1] = artifact.text
  end
  return all, #texts > 0 and table.concat(texts, "\n") or nil
end

local ANSWERED = {completed = true, submitted = true, working = true, unknown = true}

-- What a task says: its result is in the artifacts; why it failed, or what it asks, in the status message.
local function say(task)
  local made, made_text = join_artifacts(task.artifacts)
  local said, said_text = task.message and task.message.parts or json.array {}, task.message and task.message.text
  if not ANSWERED[task.state] then made, made_text, said, said_text = said, said_text, made, made_text end
  if #made > 0 then return made, made_text end
  return said, said_text
end

--- A task -> {id, context_id, state, text, parts, files, artifacts, message, history, metadata, updated_at}.
function shapes.task(value)
  local status = map(value.status) or {}
  local task = {id = text(value.id), context_id = text(value.contextId), state = read_state(status.state),
    message = shapes.message(status.message), artifacts = list_of(value.artifacts, shapes.artifact),
    history = map(value.history) and list_of(value.history, shapes.message) or nil, metadata = map(value.metadata),
    updated_at = text(status.timestamp)}
  task.parts, task.text = say(task)
  task.files = parts.files(task.parts)
  return task
end

-- What an answer or an event is, in either version -> "task", "message", "status" or "artifact", and its value; nil: none.
local KINDS = {task = "task", message = "message", ["status-update"] = "status", ["artifact-update"] = "artifact"}
local MEMBERS = {task = "task", message = "message", statusUpdate = "status", artifactUpdate = "artifact"}
local function kind_of(value)
  if not map(value) then return nil end
  for member, kind in pairs(MEMBERS) do
    if map(value[member]) and not text(value.kind) then return kind, value[member] end
  end
  if value.kind == nil and text(value.id) and map(value.status) then return "task", value end
  if value.kind == nil and text(value.messageId) and map(value.parts) then return "message", value end
  return KINDS[value.kind], value
end

--- The answer of a send -> {text, parts, files, state, context_id, task_id, task, message}; nil: it is neither task nor message.
function shapes.result(value)
  local kind, inner = kind_of(value)
  if kind == "task" then
    local task = shapes.task(inner)
    if not task.id then return nil end
    return {text = task.text, parts = task.parts, files = task.files, state = task.state, context_id = task.context_id,
      task_id = task.id, task = task, message = task.message}
  elseif kind == "message" then
    local message = shapes.message(inner)
    return {text = message.text, parts = message.parts, files = message.files, context_id = message.context_id,
      task_id = message.task_id, message = message}
  end
  return nil
end

local function status_event(value)
  local status = map(value.status) or {}
  local message, state = shapes.message(status.message), read_state(status.state)
  return {kind = "status", state = state, message = message, text = message and message.text, parts = message and message.parts,
    files = message and message.files, task_id = text(value.taskId), context_id = text(value.contextId),
    metadata = map(value.metadata), final = value.final == true or not shapes.is_under_way(state)},
    value.final == true or ENDED[state]
end

local function artifact_event(value)
  local artifact = shapes.artifact(map(value.artifact) or {})
  return {kind = "artifact", artifact = artifact, text = artifact.text, parts = artifact.parts, files = artifact.files,
    append = value.append == true, last = value.lastChunk == true, task_id = text(value.taskId),
    context_id = text(value.contextId), metadata = map(value.metadata), final = false}
end

--- What a stream brings -> an event as scripts see it, and whether nothing can follow; nil: nothing that is known.
function shapes.event(value)
  local kind, inner = kind_of(value)
  if kind == "status" then return status_event(inner) end
  if kind == "artifact" then return artifact_event(inner) end
  local event = kind and shapes.result(value)
  if not event then return nil end
  event.kind = kind
  event.final = kind == "message" or not shapes.is_under_way(event.state)
  return event, kind == "message" or ENDED[event.state]
end

return shapes
