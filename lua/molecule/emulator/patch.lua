--- Changing a workspace: its name, role, tier, runtime and parent (§12).

local host = require "molecule.emulator.host"
local json = require "molecule.json"
local auth = require "molecule.emulator.auth"
local store = require "molecule.emulator.store"

local patch = {}

local INFRASTRUCTURE = { "tier", "parent_id", "runtime", "workspace_dir", "compute" }
local NOTE = "memories written under the old team namespace stay there and remain readable by the former siblings; "
  .. "they are NOT moved"
local CODE = "WORKSPACE_REPARENT_"

local function root_of(workspace)
  local seen = {}
  while workspace.parent_id and store.find(workspace.parent_id) and not seen[workspace] do
    seen[workspace] = true
    workspace = store.find(workspace.parent_id)
  end
  return workspace
end

local function below(workspace, other)
  local seen = {}
  while other and not seen[other] do
    if other == workspace then return true end
    seen[other] = true
    other = store.find(other.parent_id)
  end
  return false
end

local function has_children(workspace)
  for _, other in ipairs(store.order) do
    if other.parent_id == workspace.id and other.status ~= "removed" then return true end
  end
  return false
end

-- Why the newer version does not move the workspace there: a status, the end of a code and a sentence.
local function refusal(workspace, wanted)
  if wanted == json.null then
    if not workspace.parent_id then return nil end
    return 422, "ROOT_PROMOTION_FORBIDDEN", "promoting a workspace to org root is not permitted"
  end
  if not host.uuid_valid(wanted) then return 400, "INVALID_PARENT_ID", "parent_id must be a UUID" end
  local target = store.find(wanted)
  if target == workspace then return 422, "SELF", "a workspace cannot be its own parent" end
  if not target then return 422, "PARENT_NOT_FOUND", "target parent workspace does not exist" end
  if target.status == "removed" then return 422, "PARENT_NOT_FOUND", "target parent workspace has been removed" end
  if below(workspace, target) then return 422, "CYCLE", "target parent is a descendant of this workspace" end
  if root_of(workspace) ~= root_of(target) and (workspace.parent_id or has_children(workspace)) then
    return 422, "CROSS_ORG", "cross-org re-parent is not permitted: the target parent belongs to a different org root"
  end
  return nil
end

-- Moves the workspace and returns what that changes.
local function move(workspace, target)
  local old, root, team = workspace.parent_id, root_of(target), workspace.parent_id or workspace.id
  local lost, gained = json.array { "team:" .. team }, json.array { "team:" .. target.id }
  if not old then
    lost[2] = ("org:%s (writable)"):format(workspace.id)
    gained[2] = ("org:%s (read-only)"):format(root.id)
  end
  workspace.parent_id = target.id
  return { old_parent_id = old or "", new_parent_id = target.id, org_root_id = root.id, adopted_into_org = old == nil,
    namespaces_lost = lost, namespaces_gained = gained, memories_migrated = false, memories_migrated_note = NOTE }
end

-- Sets the parent. True, and what the answer says about it; false if already answered.
local function reparent(request, workspace, wanted)
  if not store.latest() then
    workspace.parent_id = type(wanted) == "string" and wanted:lower() or nil
    return true
  end
  local status, code, problem = refusal(workspace, wanted)
  if status then
    request:fail(status, problem, { code = CODE .. code })
    return false
  end
  local target = store.find(wanted)
  if not target or workspace.parent_id == target.id then return true end
  return true, move(workspace, target)
end

local function forbidden(request, value)
  if not store.latest() or auth.is_admin(request) then return false end
  local fields = json.array {}
  for _, name in ipairs(INFRASTRUCTURE) do
    if value[name] ~= nil then fields[#fields + 1] = name end
  end
  if #fields == 0 then return false end
  request:fail(403, "workspace infrastructure fields require admin or verified control-plane authentication",
    { code = "WORKSPACE_INFRASTRUCTURE_AUTH_REQUIRED", fields = fields })
  return true
end

local function update(request)
  local value, workspace = request:object(), request.workspace
  if not value then return request:fail(400, "invalid request body") end
  if forbidden(request, value) then return end
  local moved
  if value.parent_id ~= nil then
    if store.latest() and value.name ~= nil then
      return request:fail(400, "parent_id and name cannot be changed in the same request; issue them as two PATCHes",
        { code = CODE .. "AMBIGUOUS_WITH_RENAME" })
    end
    local done
    done, moved = reparent(request, workspace, value.parent_id)
    if not done then return end
  end
  for _, name in ipairs { "name", "role", "runtime" } do
    if type(value[name]) == "string" then workspace[name] = value[name] end
  end
  if math.type(value.tier) == "integer" then workspace.tier = value.tier end
  request:json(200, { status = "updated", reparented = moved, needs_restart = moved ~= nil or nil })
end

---@param router table see router.new
function patch.routes(router)
  router:add("PATCH", "/workspaces/:id", update, { auth = true })
end

return patch
