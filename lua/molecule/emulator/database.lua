--- The platform while its database is down (§12): what it cannot look up it denies, as if it had looked.

local store = require "molecule.emulator.store"

local database = {}

local DENIED = "access denied: workspaces cannot communicate per hierarchy rules"
local UNAVAILABLE = "platform datastore unavailable — retry shortly"
local FAILED = { ["/registry/register"] = "registration failed", ["/registry/heartbeat"] = "failed to update" }

-- T1 lets any caller in, and then finds nobody that it may talk to; later versions do not find its token.
local function answer_a2a(request)
  if store.latest() then return request:fail(401, "invalid caller auth token") end
  local claimed = request.headers["x-workspace-id"]
  if claimed and claimed ~= "" and claimed:lower() ~= request.parameters.id:lower() then
    return request:fail(403, DENIED)
  end
  request:fail(500, "lookup failed")
end

---Answers like a server without its database, except where none is needed.
---@param request Request
---@param route table
---@param outage table the fault; it remembers that the newer version's first answer to a token is another
---@return boolean answered
function database.refused(request, route, outage)
  local path = request.path
  local a2a = path:find "^/workspaces/[^/]+/a2a$" ~= nil
  if path == "/health" or path == "/buildinfo" or path == "/uploads/limits" then return false end
  if store.latest() and not outage.noticed and (a2a or route.auth) then
    outage.noticed = true
    request:fail(500, "internal error")
  elseif a2a then
    answer_a2a(request)
  elseif FAILED[path] then
    request:fail(500, FAILED[path])
  elseif path:find "^/registry/" then
    request:fail(503, UNAVAILABLE, { code = "platform_unavailable" })
  elseif route.auth then
    request:fail(401, request:bearer() and "invalid workspace auth token" or "missing workspace auth token")
  else
    request:fail(500, "query failed")
  end
  return true
end

return database
