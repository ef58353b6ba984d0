--- Creating and describing workspaces (§1.13, §1.17).

local host = require "molecule.emulator.host"
local json = require "molecule.json"
local auth = require "molecule.emulator.auth"
local connection = require "molecule.emulator.connection"
local store = require "molecule.emulator.store"
local time = require "molecule.emulator.time"

local workspaces = {}

local HINTS = {
  t1 = "Regenerate workspace + token from the canvas → Tokens tab",
  latest = "Create a replacement workspace in Canvas, then open Settings → Workspace Tokens → + New Token",
}
local TIER = 3

-- As Go writes a number: without a point when it is whole.
local function plain(number)
  return math.tointeger(number) or number
end

local function time_of(us)
  return us and time.format(us) or json.null
end

-- What everyone may see; the newer version shows more.
local function described(workspace)
  local value = { id = workspace.id, name = workspace.name, role = workspace.role or json.null, tier = workspace.tier,
    status = store.status(workspace), url = workspace.url, parent_id = workspace.parent_id or json.null,
    runtime = workspace.runtime, agent_card = workspace.agent_card or json.null, active_tasks = workspace.active_tasks,
    max_concurrent_tasks = 1, last_error_rate = plain(workspace.error_rate), last_outbound_at = json.null,
    uptime_seconds = workspace.uptime_seconds, collapsed = false, x = 0, y = 0 }
  if not store.latest() then return value end
  value.last_heartbeat_at, value.last_sample_error = time_of(workspace.last_heartbeat_us), workspace.sample_error
  value.kind, value.compute, value.wedged, value.mcp_surface = "workspace", {}, false, json.null
  value.loaded_mcp_tools, value.broadcast_enabled, value.talk_to_user_enabled = json.array {}, false, true
  return value
end

-- What only the administrator also sees.
local function described_fully(workspace)
  local value = described(workspace)
  value.current_task, value.last_sample_error = workspace.current_task, workspace.sample_error
  value.monthly_spend = workspace.monthly_spend
  return value
end

local function list(request)
  if not auth.admin(request) then return end
  local found = json.array {}
  for _, workspace in ipairs(store.order) do
    if workspace.status ~= "removed" then found[#found + 1] = described_fully(workspace) end
  end
  request:json(200, found)
end

local function create(request)
  if not auth.admin(request) then return end
  local value = request:object()
  if not value or type(value.name) ~= "string" or value.name == "" then
    return request:fail(400, "invalid workspace payload")
  end
  local mode = value.delivery_mode
  if mode ~= nil and mode ~= "" and mode ~= "push" and mode ~= "poll" then
    return request:fail(400, "delivery_mode must be 'push' or 'poll'")
  end
  local external = value.external == true or value.runtime == "external"
  local workspace = store.create(host.uuid(), not external and type(value.runtime) == "string" and value.runtime or nil)
  workspace.name, workspace.tier = value.name, math.tointeger(value.tier) or TIER
  workspace.role = type(value.role) == "string" and value.role ~= "" and value.role or nil
  workspace.parent_id = type(value.parent_id) == "string" and value.parent_id:lower() or nil
  if mode == "poll" then workspace.delivery_mode = "poll" end
  if not external then return request:json(201, { id = workspace.id, status = workspace.status }) end
  if type(value.url) == "string" and value.url ~= "" then
    workspace.url, workspace.status = value.url, "online"
    return request:json(201, { id = workspace.id, external = true, status = "online" })
  end
  workspace.status = "awaiting_agent"
  request:json(201, { id = workspace.id, external = true, status = "awaiting_agent",
    connection = connection.described(request, workspace, store.mint(workspace)) })
end

local function show(request)
  local id = request.parameters.id
  if not host.uuid_valid(id) then return request:fail(400, "invalid workspace ID") end
  local workspace = store.find(id)
  if not workspace then return request:fail(404, "workspace not found") end
  if workspace.status == "removed" and request.query.include_removed ~= "true" then
    return request:fail(410, "workspace removed", { id = workspace.id, removed_at = time.format(workspace.removed_us),
      hint = HINTS[store.config.profile] })
  end
  request:json(200, described(workspace))
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
  router:add("GET", "/workspaces/:id/state", state, { auth = true })
end

return workspaces
