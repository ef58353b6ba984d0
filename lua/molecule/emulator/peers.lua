--- Who else there is, and who may talk to whom (§1.14).

local json = require "molecule.json"
local addresses = require "molecule.emulator.addresses"
local auth = require "molecule.emulator.auth"
local store = require "molecule.emulator.store"

local peers = {}

local function described(workspace)
  return { id = workspace.id, name = workspace.name, role = workspace.role or json.null, tier = workspace.tier,
    status = store.status(workspace), url = workspace.url, parent_id = workspace.parent_id or json.null,
    active_tasks = workspace.active_tasks, agent_card = workspace.agent_card or json.null }
end

-- Siblings, children, the parent; at T1 also the other workspaces without parents are siblings.
local function family_of(workspace)
  local found, parent_id = {}, workspace.parent_id
  local function add(wanted)
    for _, other in ipairs(store.order) do
      if other ~= workspace and other.status ~= "removed" and not other.deny[workspace.id] and wanted(other) then
        found[#found + 1] = other
      end
    end
  end
  if parent_id or not store.latest() then add(function(other) return other.parent_id == parent_id end) end
  add(function(other) return other.parent_id == workspace.id end)
  if parent_id then add(function(other) return other.id == parent_id end) end
  return found
end

local function contains(text, wanted)
  return (text or ""):lower():find(wanted, 1, true) ~= nil
end

local function list(request)
  local workspace = store.find(request.parameters.id)
  if not workspace then return request:fail(404, "workspace not found") end
  if not auth.is_admin(request) and not auth.lazy(request, workspace) then return end
  local wanted, found = (request.query.q or ""):match "^%s*(.-)%s*$":lower(), json.array {}
  for _, other in ipairs(family_of(workspace)) do
    -- T1 fails on a null role (§12).
    if wanted ~= "" and not other.role and not store.latest() then return request:respond(500, "") end
    if contains(other.name, wanted) or contains(other.role, wanted) then found[#found + 1] = described(other) end
  end
  request:json(200, found)
end

-- Where a workspace without its own URL would be if it were one of the platform's containers.
local function internal_url(workspace)
  return ("http://ws-%s:8000"):format(store.latest() and workspace.id or workspace.id:sub(1, 12))
end

local function discover(request)
  local caller = request.headers["x-workspace-id"]
  if not caller or caller == "" then return request:fail(400, "X-Workspace-ID header is required") end
  local from, target = store.find(caller), store.find(request.parameters.id)
  if not auth.is_admin(request) and not auth.lazy(request, from) then return end
  if not target or not auth.may_talk(caller:lower(), target.id) then
    return request:fail(403, "not authorized to discover this workspace")
  end
  local status, url = store.status(target), target.url
  if target.runtime == "external" and url ~= "" then
    if not addresses.routable(url) then return request:fail(503, "workspace URL failed safety check") end
  elseif status == "online" or status == "degraded" then
    url = internal_url(target)
  else
    return request:fail(503, "workspace not available", { status = status })
  end
  request:json(200, { id = target.id, url = url, name = target.name })
end

local function check_access(request)
  local value = request:object()
  if not value or type(value.caller_id) ~= "string" or type(value.target_id) ~= "string" then
    return request:fail(400, "invalid request body")
  end
  request:json(200, { allowed = auth.may_talk(value.caller_id:lower(), value.target_id:lower()) })
end

---@param router table see router.new
function peers.routes(router)
  router:add("GET", "/registry/:id/peers", list)
  router:add("GET", "/registry/discover/:id", discover)
  router:add("POST", "/registry/check-access", check_access)
end

return peers
