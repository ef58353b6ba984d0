--- Creating, describing and deleting workspaces (§1.13, §1.17).

local host = require "molecule.emulator.host"
local json = require "molecule.json"
local auth = require "molecule.emulator.auth"
local store = require "molecule.emulator.store"
local time = require "molecule.emulator.time"

local workspaces = {}

---What `connection` says in the answers that hand out a token.
---@param request Request
---@param workspace Workspace
---@param token string
---@return table
function workspaces.connection(request, workspace, token)
  local url = "http://" .. (request.headers.host or "127.0.0.1")
  return { workspace_id = workspace.id, platform_url = url, auth_token = token,
    registry_endpoint = url .. "/registry/register", heartbeat_endpoint = url .. "/registry/heartbeat" }
end

---@param workspace Workspace
---@return table
function workspaces.described(workspace)
  return { id = workspace.id, name = workspace.name, role = workspace.role or json.null, tier = workspace.tier,
    status = store.status(workspace), url = workspace.url, parent_id = workspace.parent_id or json.null,
    runtime = workspace.runtime, agent_card = workspace.agent_card or json.null,
    active_tasks = workspace.active_tasks, current_task = workspace.current_task,
    last_error_rate = workspace.error_rate, last_sample_error = workspace.sample_error,
    uptime_seconds = workspace.uptime_seconds, monthly_spend = workspace.monthly_spend,
    created_at = time.format(workspace.created_us) }
end

local function admin(request)
  if store.config.admin_token == "" or auth.is_admin(request) then return true end
  request:fail(401, request:bearer() and "invalid admin auth token" or "missing admin auth token")
  return false
end

local function list(request)
  if not admin(request) then return end
  local found = json.array {}
  for _, workspace in ipairs(store.order) do
    if workspace.status ~= "removed" then found[#found + 1] = workspaces.described(workspace) end
  end
  request:json(200, found)
end

local function create(request)
  if not admin(request) then return end
  local value = request:object()
  if not value or type(value.name) ~= "string" or value.name == "" then
    return request:fail(400, "invalid request body")
  end
  local workspace = store.create(host.uuid())
  workspace.name, workspace.status = value.name, "awaiting_agent"
  workspace.role = type(value.role) == "string" and value.role or nil
  workspace.parent_id = type(value.parent_id) == "string" and value.parent_id:lower() or nil
  if value.delivery_mode == "poll" then workspace.delivery_mode = "poll" end
  request:json(201, { id = workspace.id, external = true, status = "awaiting_agent",
    connection = workspaces.connection(request, workspace, store.mint(workspace)) })
end

local function show(request)
  local id = request.parameters.id
  if not host.uuid_valid(id) then return request:fail(400, "invalid workspace id") end
  local workspace = store.find(id)
  if not workspace then return request:fail(404, "workspace not found") end
  if workspace.status == "removed" and request.query.include_removed ~= "true" then
    return request:fail(410, "workspace removed", { id = workspace.id, removed_at = time.format(workspace.removed_us),
      hint = "register a new workspace" })
  end
  request:json(200, workspaces.described(workspace))
end

local function delete(request)
  if not admin(request) then return end
  local workspace = store.find(request.parameters.id)
  if not workspace then return request:fail(404, "workspace not found") end
  store.remove(workspace)
  request:json(200, { status = "removed" })
end

local function state(request)
  local workspace = request.workspace
  if workspace.status == "removed" then
    return request:json(404, { workspace_id = workspace.id, deleted = true, status = "removed" })
  end
  local status = store.status(workspace)
  request:json(200, { workspace_id = workspace.id, status = status, paused = status == "paused", deleted = false })
end

---@param router table see router.new
function workspaces.routes(router)
  router:add("GET", "/workspaces", list)
  router:add("POST", "/workspaces", create)
  router:add("GET", "/workspaces/:id", show)
  router:add("DELETE", "/workspaces/:id", delete)
  router:add("GET", "/workspaces/:id/state", state, { auth = true })
end

return workspaces
