--- Who else there is, and who may talk to whom (§1.14).

local json = require "molecule.json"
local auth = require "molecule.emulator.auth"
local store = require "molecule.emulator.store"

local peers = {}

local function described(workspace)
  return { id = workspace.id, name = workspace.name, role = workspace.role or json.null, tier = workspace.tier,
    status = store.status(workspace), url = workspace.url, parent_id = workspace.parent_id or json.null,
    active_tasks = workspace.active_tasks, agent_card = workspace.agent_card or json.null }
end

local function list(request)
  local workspace = store.find(request.parameters.id)
  if not workspace then return request:fail(404, "workspace not found") end
  if not auth.lazy(request, workspace) then return end
  local wanted, found = (request.query.q or ""):lower(), json.array {}
  for _, other in ipairs(store.order) do
    if other ~= workspace and other.status ~= "removed" and auth.may_talk(workspace.id, other)
      and other.name:lower():find(wanted, 1, true) then
      found[#found + 1] = described(other)
    end
  end
  request:json(200, found)
end

local function discover(request)
  local caller = request.headers["x-workspace-id"]
  if not caller or caller == "" then return request:fail(400, "X-Workspace-ID header is required") end
  local from, target = store.find(caller), store.find(request.parameters.id)
  if not auth.lazy(request, from) then return end
  if not target or target.status == "removed" then return request:fail(404, "workspace not found") end
  if not auth.may_talk(caller:lower(), target) then
    return request:fail(403, "access denied: workspaces cannot communicate per hierarchy rules")
  end
  if target.url == "" then return request:fail(503, "workspace has no URL", { status = store.status(target) }) end
  request:json(200, { id = target.id, url = target.url, name = target.name })
end

local function check_access(request)
  local value = request:object()
  local target = value and store.find(value.target_id)
  if not value or type(value.caller_id) ~= "string" then return request:fail(400, "invalid request body") end
  request:json(200, { allowed = target ~= nil and auth.may_talk(value.caller_id:lower(), target) })
end

---@param router table see router.new
function peers.routes(router)
  router:add("GET", "/registry/:id/peers", list)
  router:add("GET", "/registry/discover/:id", discover)
  router:add("POST", "/registry/check-access", check_access)
end

return peers
