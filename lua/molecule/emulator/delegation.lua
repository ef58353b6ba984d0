--- Tasks that one workspace delegates to another (§1.15). Each is a row of the delegating workspace, and another row once its
--- answer is there; a poll workspace's acknowledgment counts as its answer.

local host = require "molecule.emulator.host"
local json = require "molecule.json"
local a2a = require "molecule.emulator.a2a"
local events = require "molecule.emulator.events"
local rows = require "molecule.emulator.rows"
local store = require "molecule.emulator.store"
local time = require "molecule.emulator.time"

local delegation = {}

local SELF = "self-delegation not permitted"
local SELF_EXTRAS = {
  reason = "the source workspace and target workspace are the same; you cannot delegate a task to yourself",
  hint = "do the work yourself, or pick a different peer via list_peers — retrying with the same target_id will fail every time",
}
local LIST_MAXIMUM, PREVIEW_MAXIMUM, SUMMARY_MAXIMUM, EVENT_MAXIMUM = 50, 300, 80, 200

local function cut(text, maximum)
  if #text <= maximum then return text end
  maximum = maximum - #"…"
  while maximum > 0 and text:byte(maximum + 1) & 0xC0 == 0x80 do maximum = maximum - 1 end
  return text:sub(1, maximum) .. "…"
end

local function message_of(id, task)
  local part = { type = "text", text = task }
  return assert(json.encode { method = "message/send", params = { message = { role = "user", messageId = id,
    parts = json.array { part }, metadata = { delegation_id = id } } } })
end

local function texts_of(parts)
  local texts = {}
  for _, part in ipairs(json.is_array(parts) and parts or {}) do
    if type(part) == "table" and type(part.text) == "string" then texts[#texts + 1] = part.text end
  end
  return #texts > 0 and table.concat(texts, "\n") or nil
end

-- The words in an agent's answer; the answer itself when it has none.
local function text_of(body)
  local value = json.decode(body)
  local result = type(value) == "table" and value.result
  if type(result) == "string" then return result end
  if type(result) ~= "table" then return body end
  local artifacts = json.is_array(result.artifacts) and type(result.artifacts[1]) == "table" and result.artifacts[1] or {}
  return texts_of(result.parts) or texts_of(artifacts.parts) or body
end

local function insert(workspace, columns)
  columns.activity_type, columns.source_id = "delegation", workspace.id
  return rows.insert(workspace, columns, { silent = true, keep = true })
end

-- With the platform's DELEGATION_RESULT_INBOX_PUSH=1, which is off by default, the answer also comes into the inbox.
local function tell_inbox(workspace, id, text, problem)
  if not store.latest() or not store.config.delegation_inbox then return end
  rows.insert(workspace, { activity_type = "a2a_receive", method = "delegate_result", source_id = workspace.id,
    summary = problem and "Delegation failed" or "Delegation result delivered", request_body = { delegation_id = id },
    response_body = { text = text, delegation_id = id }, status = problem and "error" or "ok", error_detail = problem },
    { silent = true })
end

local function fail(workspace, row, id, target_id, problem)
  rows.amend(row, { status = "failed", error_detail = problem })
  insert(workspace, { method = "delegate_result", target_id = target_id, summary = "Delegation failed", status = "failed",
    error_detail = problem, response_body = store.latest() and { delegation_id = id } or nil })
  events.publish(workspace, "DELEGATION_FAILED", { delegation_id = id, target_id = target_id, error = problem })
  tell_inbox(workspace, id, "", problem)
end

local function complete(workspace, row, id, target_id, text)
  insert(workspace, { method = "delegate_result", target_id = target_id, status = "completed",
    summary = ("Delegation completed (%s)"):format(cut(text, SUMMARY_MAXIMUM)),
    response_body = { text = text, delegation_id = id } })
  rows.amend(row, { status = "completed" })
  events.publish(workspace, "DELEGATION_COMPLETE", { delegation_id = id, target_id = target_id,
    response_preview = cut(text, EVENT_MAXIMUM) })
  tell_inbox(workspace, id, text)
end

local function execute(workspace, row, id, target_id, task)
  rows.amend(row, { status = "dispatched" })
  events.publish(workspace, "DELEGATION_STATUS", { delegation_id = id, target_id = target_id, status = "dispatched" })
  a2a.send(target_id, workspace.id, message_of(id, task), false, function(status, body)
    if type(body) == "table" then return fail(workspace, row, id, target_id, body.error) end
    if status < 200 or status > 299 then return fail(workspace, row, id, target_id, body) end
    complete(workspace, row, id, target_id, text_of(body))
  end)
end

local function earlier(workspace, key)
  for _, row in ipairs(workspace.rows) do
    if key and row.key == key and row.columns.status ~= "failed" then return row end
  end
  return nil
end

local function delegate(request)
  local value, workspace = request:object(), request.workspace
  if not value or type(value.target_id) ~= "string" or value.target_id == "" or type(value.task) ~= "string"
    or value.task == "" then
    return request:fail(400, "invalid delegation request")
  end
  local target_id, task = value.target_id:lower(), value.task
  if not host.uuid_valid(target_id) then return request:fail(400, "target_id must be a valid UUID") end
  if target_id == workspace.id then return request:fail(400, SELF, store.latest() and SELF_EXTRAS or nil) end
  local key = type(value.idempotency_key) == "string" and value.idempotency_key ~= "" and value.idempotency_key or nil
  local known = earlier(workspace, key)
  if known then
    return request:json(200, { delegation_id = known.columns.request_body.delegation_id, status = known.columns.status,
      target_id = known.target_id, idempotent_hit = true })
  end
  local id = host.uuid()
  local row = insert(workspace, { method = "delegate", target_id = target_id, summary = "Delegating to " .. target_id,
    status = "pending", request_body = { task = task, delegation_id = id },
    response_body = store.latest() and { delegation_id = id } or nil })
  row.key = key
  events.publish(workspace, "DELEGATION_SENT", { delegation_id = id, target_id = target_id, task_preview = cut(task, 100) })
  request:json(202, { delegation_id = id, status = "delegated", target_id = target_id })
  host.after(0, function()
    if store.find(workspace.id) == workspace then execute(workspace, row, id, target_id, task) end
  end)
end

-- As PostgreSQL writes an object of one member.
local function preview_of(body)
  if not body then return nil end
  return cut(body.text or ('{"delegation_id": "%s"}'):format(body.delegation_id), PREVIEW_MAXIMUM)
end

local function described(row)
  local columns = row.columns
  local body = columns.response_body
  return { id = row.id, type = "delegation", source_id = columns.source_id, target_id = columns.target_id,
    direction = store.latest() and "sent" or nil, summary = columns.summary, status = columns.status,
    created_at = time.format(row.us), delegation_id = (columns.request_body or body or {}).delegation_id,
    error = columns.error_detail ~= json.null and columns.error_detail or nil, response_preview = preview_of(body) }
end

local function list(request)
  local all, found = request.workspace.rows, json.array {}
  for i = #all, 1, -1 do
    if all[i].type == "delegation" and all[i].columns and #found < LIST_MAXIMUM then found[#found + 1] = described(all[i]) end
  end
  request:json(200, found)
end

---@param router table see router.new
function delegation.routes(router)
  router:add("POST", "/workspaces/:id/delegate", delegate, { auth = true })
  router:add("GET", "/workspaces/:id/delegations", list, { auth = true })
end

return delegation
