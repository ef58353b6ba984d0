--- Deleting workspaces: what must be confirmed first, and what goes with it (§1.13).

local json = require "molecule.json"
local auth = require "molecule.emulator.auth"
local host = require "molecule.emulator.host"
local store = require "molecule.emulator.store"

local removal = {}

local CHILDREN = "This workspace has sub-workspaces. Delete with ?confirm=true to cascade delete."

local function children_of(workspace)
  local found = {}
  for _, other in ipairs(store.order) do
    if other.parent_id == workspace.id and other.status ~= "removed" then found[#found + 1] = other end
  end
  return found
end

local function descendants_of(workspace, found)
  for _, child in ipairs(children_of(workspace)) do
    found[#found + 1] = child
    descendants_of(child, found)
  end
  return found
end

-- The newer version wants the name repeated; answers if it is not.
local function confirmed(request, workspace)
  if not store.latest() or request.headers["x-confirm-name"] == workspace.name then return true end
  request:fail(400, "destructive_action_requires_confirmation", { workspace_name = workspace.name,
    active_tasks = workspace.active_tasks, child_count = #descendants_of(workspace, {}),
    hint = "Re-send the same request with header X-Confirm-Name: " .. workspace.name })
  return false
end

local function delete(request)
  if not auth.admin(request) then return end
  local id = request.parameters.id
  if not host.uuid_valid(id) then return request:fail(400, "invalid workspace ID") end
  local workspace = store.find(id)
  if not workspace then return request:fail(404, "workspace not found") end
  if store.latest() and workspace.status == "removed" then
    return request:fail(410, "workspace removed", { id = workspace.id })
  end
  if not confirmed(request, workspace) then return end
  local children = children_of(workspace)
  if #children > 0 and request.query.confirm ~= "true" then
    local named = json.array {}
    for i, child in ipairs(children) do named[i] = { id = child.id, name = child.name } end
    return request:json(409, { status = "confirmation_required", message = CHILDREN, children = named,
      children_count = #children })
  end
  local below = descendants_of(workspace, {})
  for _, one in ipairs(below) do store.remove(one) end
  store.remove(workspace)
  request:json(200, { status = "removed", cascade_deleted = #below })
end

---@param router table see router.new
function removal.routes(router)
  router:add("DELETE", "/workspaces/:id", delete)
end

return removal
