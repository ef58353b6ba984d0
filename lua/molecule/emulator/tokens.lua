--- A workspace's own tokens: list, mint, revoke, rotate (§1.17).

local json = require "molecule.json"
local connection = require "molecule.emulator.connection"
local store = require "molecule.emulator.store"
local time = require "molecule.emulator.time"

local tokens = {}

local LIVE_MAXIMUM = 50

local function list(request)
  local found = json.array {}
  for _, token in pairs(request.workspace.tokens) do
    found[#found + 1] = { id = token.id, prefix = token.prefix, created_at = time.format(token.created_us),
      last_used_at = json.null }
  end
  table.sort(found, function(a, b) return a.created_at < b.created_at end)
  request:json(200, { tokens = found, count = #found })
end

local function mint(request)
  local live = 0
  for _ in pairs(request.workspace.tokens) do live = live + 1 end
  if live >= LIVE_MAXIMUM then return request:fail(429, "too many active tokens") end
  request:json(201, { auth_token = store.mint(request.workspace), workspace_id = request.workspace.id,
    message = "Save this token now — it cannot be retrieved again." })
end

local function revoke(request)
  for text, token in pairs(request.workspace.tokens) do
    if token.id == request.parameters.token then
      store.revoke(request.workspace, text)
      return request:json(200, { status = "revoked" })
    end
  end
  request:fail(404, "token not found")
end

-- These are for workspaces that the platform does not run itself. Answers for others.
local function external(request, action)
  local runtime = request.workspace.runtime
  if runtime == "external" then return true end
  request:fail(400, action .. " is only valid for external/BYO-compute workspaces", { runtime = runtime,
    hint = "use POST /workspaces/:id/restart for container-backed runtimes" })
  return false
end

local function rotate(request)
  if not external(request, "rotate") then return end
  store.revoke(request.workspace)
  request:json(200, { connection = connection.described(request, request.workspace, store.mint(request.workspace)) })
end

local function show(request)
  if not external(request, "connection") then return end
  request:json(200, { connection = connection.described(request, request.workspace, "") })
end

---@param router table see router.new
function tokens.routes(router)
  router:add("GET", "/workspaces/:id/tokens", list, { auth = true })
  router:add("POST", "/workspaces/:id/tokens", mint, { auth = true })
  router:add("DELETE", "/workspaces/:id/tokens/:token", revoke, { auth = true })
  router:add("POST", "/workspaces/:id/external/rotate", rotate, { auth = true, latest = true })
  router:add("GET", "/workspaces/:id/external/connection", show, { auth = true, latest = true })
end

return tokens
