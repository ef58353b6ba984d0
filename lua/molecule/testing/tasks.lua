--- Tasks of A2A clients under test: what src/doors/tasks_door.c and src/wire/artifacts.c do in the host. A message with a
--- `principal` or a `task` begins one; one whose task_id is that of a task that asks is the answer.

local outcome = require "molecule.testing.outcome"
local words = require "molecule.testing.words"

local tasks = {}

local ANYONE = "anonymous"
local DOCUMENT_MAXIMUM = 16 * 1024 * 1024 -- of all artifacts of a task, as JSON

--- What a test says of a message's task: {id, context_id, principal}; nil: it has none. Raises what is wrong with it.
---@param given table
---@return {id: string, context_id: string, principal: string, continues: string?}? task continues: the one that it is for
function tasks.of_message(given)
  local task, principal = given.task, given.principal
  if task == nil and principal == nil then return nil end
  if task ~= nil and task ~= true and type(task) ~= "table" then
    error(("send: task is true or {id =, context_id =}, not a %s"):format(type(task)), 5)
  end
  if principal ~= nil and type(principal) ~= "string" then
    error(("send: principal is a name, not a %s"):format(type(principal)), 5)
  end
  if given.from then error("send: a message of a task has a principal, and no `from`", 5) end
  task = type(task) == "table" and task or {}
  return {continues = given.task_id, id = task.id or given.task_id or words.uuid(),
    context_id = task.context_id or given.context_id or words.uuid(),
    principal = principal or ANYONE}
end

-- Into what the client has: one artifact for each name, and one for those without.
local function put(list, piece)
  for _, one in ipairs(list) do
    if one.name == piece.name then
      if not piece.append then one.text, one.parts = "", {} end
      one.text = one.text .. piece.text
      for _, part in ipairs(piece.parts) do table.insert(one.parts, part) end
      one.description, one.metadata = piece.description or one.description, piece.metadata or one.metadata
      one.last = piece.last or nil
      return
    end
  end
  list[#list + 1] = {name = piece.name, text = piece.text, parts = {table.unpack(piece.parts)}, description = piece.description,
    metadata = piece.metadata, last = piece.last or nil}
end

--- The artifacts of a reply, each one more, after the pieces that its handler gave before.
---@param agent table
---@param entry table
---@param artifacts table[]?
function tasks.add(agent, entry, artifacts)
  for _, artifact in ipairs(artifacts or {}) do
    local piece = {last = true}
    for name, value in pairs(artifact) do piece[name] = value end
    table.insert(agent.artifacts, piece)
    table.insert(entry.result.artifacts, piece)
  end
end

--- Whether a handler that runs again has said this before: it says the same at the same places.
---@param version {running: table?, branch: table?}
---@return boolean
function tasks.was_said(version)
  local branch, entry = version.branch, version.running and version.running.entry
  if not branch or not entry or not entry.row.task then return false end
  branch.said = (branch.said or 0) + 1
  local place = ("%d/%s"):format(entry.retries or 0, branch.path or "")
  entry.said = entry.said or {}
  if branch.said <= (entry.said[place] or 0) then return true end
  entry.said[place] = branch.said
  return false
end

---@param api table molecule.core
---@param version table
function tasks.install(api, version)
  local agent = version.agent
  function api.artifact(text)
    api.check_await("ctx.artifact")
    local entry = version.running.entry
    if not entry or not entry.row.task then
      return nil, "ctx.artifact: the message came with no task: only A2A clients have some", "NO_TASK"
    end
    local piece = assert(agent.json.decode(text))
    local artifact, problem = outcome.artifact(agent.json, piece)
    if not artifact then return nil, "ctx.artifact: " .. problem, "BAD_PARTS" end
    local bytes = #agent.json.encode(artifact)
    if bytes > DOCUMENT_MAXIMUM - (entry.artifact_bytes or 0) then
      return nil, "ctx.artifact: the task's artifacts would be larger than 16 MiB", "TOO_LARGE"
    end
    if tasks.was_said(version) then return true end
    entry.artifact_bytes = (entry.artifact_bytes or 0) + bytes
    artifact.append, artifact.last = piece.append or nil, piece.last or nil
    table.insert(agent.artifacts, artifact)
    put(entry.result.artifacts, artifact)
    return true
  end
end

return tasks
