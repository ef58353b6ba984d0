--- Who is asking: the checks of §1.1 (workspace routes), §1.3 (registration) and §1.10 (a2a).

local store = require "molecule.emulator.store"

local auth = {}

local SYSTEM_CALLERS = { "webhook:", "system:", "test:", "channel:" }

local function live_owner(token)
  local owner = token and store.owners[token]
  return owner and owner.status ~= "removed" and owner or nil
end

---@param request Request
---@return boolean
function auth.is_admin(request)
  local token = request:bearer()
  return token ~= nil and token ~= "" and token == store.config.admin_token
end

---Checks the bearer against the workspace of the path. Answers 401 and returns false, or sets request.workspace.
---@param request Request
---@return boolean
function auth.workspace(request)
  local id, token = request.parameters.id:lower(), request:bearer()
  if not token then
    request:fail(401, "missing workspace auth token")
    return false
  end
  local owner = live_owner(token)
  if auth.is_admin(request) then
    owner = store.find(id)
    if not owner then
      request:fail(404, "workspace not found")
      return false
    end
  end
  if not owner or owner.id ~= id then
    request:fail(401, "invalid workspace auth token")
    return false
  end
  request.workspace = owner
  return true
end

---Whether the administrator asks; answers 401 if not.
---@param request Request
---@return boolean
function auth.admin(request)
  if auth.is_admin(request) then return true end
  request:fail(401, request:bearer() and "invalid admin auth token" or "admin auth required")
  return false
end

---Registration and heartbeat: a bearer is needed once the workspace has a live token. Answers 401 itself.
---@param request Request
---@param workspace Workspace?
---@return boolean
function auth.lazy(request, workspace)
  if not workspace or next(workspace.tokens) == nil then return true end
  local token = request:bearer()
  if token and workspace.tokens[token] then return true end
  request:fail(401, token and "invalid workspace auth token" or "missing workspace auth token")
  return false
end

local function caller_latest(request, claimed, token)
  if not token then
    request:fail(401, "missing caller auth token")
    return false
  end
  local owner = live_owner(token)
  if not owner then
    request:fail(401, "invalid caller auth token")
    return false
  end
  if claimed and claimed ~= owner.id then
    request:fail(401, "caller ID does not match workspace auth token")
    return false
  end
  return true, owner.id, false
end

local function caller_t1(request, claimed, token, target)
  if not claimed then
    local owner = live_owner(token)
    return true, owner and owner.id, owner == nil
  end
  local caller = store.find(claimed)
  if claimed ~= target and caller and next(caller.tokens) and not (token and caller.tokens[token]) then
    request:fail(401, token and "invalid caller auth token" or "missing caller auth token")
    return false
  end
  return true, claimed, false
end

---The caller of /a2a: its workspace id, or nil for the human in the canvas, who shows the administrator's token (not needed at
---T1). Answers the refusals itself.
---@param request Request
---@param target string
---@return boolean ok, string? caller, boolean? canvas
function auth.caller(request, target)
  local claimed, token = request.headers["x-workspace-id"], request:bearer()
  if claimed == "" then claimed = nil end
  for _, prefix in ipairs(SYSTEM_CALLERS) do
    if claimed and claimed:sub(1, #prefix) == prefix then
      request:fail(403, "invalid caller ID")
      return false
    end
  end
  claimed = claimed and claimed:lower()
  if not store.latest() then return caller_t1(request, claimed, token, target) end
  if auth.is_admin(request) then return true, claimed, true end
  return caller_latest(request, claimed, token)
end

local function ancestor_of(above, below)
  local seen = {}
  while below and below.parent_id and not seen[below] do
    if below.parent_id == above.id then return true end
    seen[below] = true
    below = store.find(below.parent_id)
  end
  return false
end

---Whether the hierarchy lets one workspace talk to another (§1.10): siblings, and those above or below each other. T1 treats
---two workspaces without parents as siblings.
---@param caller string
---@param target string
---@return boolean
function auth.may_talk(caller, target)
  if caller == target then return true end
  local from, to = store.find(caller), store.find(target)
  if not from or not to or to.deny[from.id] then return false end
  if from.parent_id == to.parent_id and (from.parent_id ~= nil or not store.latest()) then return true end
  return ancestor_of(from, to) or ancestor_of(to, from)
end

return auth
