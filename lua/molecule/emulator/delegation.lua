--- Tasks that one workspace hands to another (§1.15).

local host = require "molecule.emulator.host"
local json = require "molecule.json"
local a2a = require "molecule.emulator.a2a"
local auth = require "molecule.emulator.auth"
local store = require "molecule.emulator.store"

local delegation = {}

local function message_of(id, task)
  local part = store.latest() and { kind = "text", text = task } or { type = "text", text = task }
  return { jsonrpc = "2.0", id = host.uuid(), method = "message/send", params = { message = { role = "user",
    messageId = id, parts = json.array { part }, metadata = { delegation_id = id } } } }
end

local function delegate(request)
  local value, workspace = request:object(), request.workspace
  if not value or not host.uuid_valid(value.target_id) or type(value.task) ~= "string" or value.task == "" then
    return request:fail(400, "invalid request body")
  end
  local target = store.find(value.target_id)
  if target == workspace then return request:fail(400, "self-delegation is not allowed") end
  if not target or not auth.may_talk(workspace.id, target) then
    return request:fail(403, "access denied: workspaces cannot communicate per hierarchy rules")
  end
  local key = type(value.idempotency_key) == "string" and value.idempotency_key or nil
  for _, earlier in ipairs(workspace.delegations) do
    if key and earlier.key == key then
      return request:json(200, { delegation_id = earlier.id, status = "delegated", target_id = earlier.target_id,
        idempotent_hit = true })
    end
  end
  local id = host.uuid()
  -- A poll target's acknowledgement counts as its answer (§1.15).
  workspace.delegations[#workspace.delegations + 1] = { id = id, key = key, target_id = target.id, task = value.task,
    status = target.delivery_mode == "poll" and "completed" or "delegated" }
  if target.delivery_mode == "poll" then a2a.deliver(target, workspace.id, message_of(id, value.task)) end
  request:json(202, { delegation_id = id, status = "delegated", target_id = target.id })
end

local function list(request)
  local found = json.array {}
  for i, one in ipairs(request.workspace.delegations) do
    found[i] = { delegation_id = one.id, source_id = request.workspace.id, target_id = one.target_id,
      status = one.status, summary = one.task }
  end
  request:json(200, found)
end

---@param router table see router.new
function delegation.routes(router)
  router:add("POST", "/workspaces/:id/delegate", delegate, { auth = true })
  router:add("GET", "/workspaces/:id/delegations", list, { auth = true })
end

return delegation
