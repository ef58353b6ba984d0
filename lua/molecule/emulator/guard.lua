--- What precedes every route: the rate limit and the tenant guard (§1.1).

local host = require "molecule.emulator.host"
local store = require "molecule.emulator.store"

local guard = {}

local WINDOW_MS = 60000
local OPEN = { ["/health"] = true, ["/buildinfo"] = true, ["/metrics"] = true, ["/registry/register"] = true,
  ["/registry/heartbeat"] = true }
local OPEN_LATEST = { ["/uploads/limits"] = true }

local windows = {}

---Everyone starts over.
function guard.reset()
  windows = {}
end

local function bucket_of(request)
  if not store.latest() then return "ip" end
  return request.headers["x-molecule-org-id"] or request:bearer() or "ip"
end

---Counts the request; answers 429 and returns true when it is one too many.
---@param request Request
---@return boolean
function guard.limited(request)
  local limit = store.config.rate_limit
  if limit <= 0 then
    request.extra["X-RateLimit-Limit"] = "unlimited"
    return false
  end
  local now, key = host.monotonic_ms(), bucket_of(request)
  local window = windows[key]
  if not window or now >= window.ends then
    window = { used = 0, ends = now + WINDOW_MS }
    windows[key] = window
  end
  window.used = window.used + 1
  local seconds = math.max(1, (window.ends - now + 999) // 1000)
  request.extra["X-RateLimit-Limit"] = tostring(limit)
  request.extra["X-RateLimit-Remaining"] = tostring(math.max(0, limit - window.used))
  request.extra["X-RateLimit-Reset"] = tostring(seconds)
  if window.used <= limit then return false end
  request:fail(429, "rate limit exceeded", { retry_after = seconds }, { ["Retry-After"] = tostring(seconds) })
  return true
end

local function same_origin(headers)
  local authority = headers.host
  if not authority then return false end
  for _, scheme in ipairs { "https://", "http://" } do
    local base = scheme .. authority
    local referer = headers.referer
    if headers.origin == base or referer == base or referer and referer:sub(1, #base + 1) == base .. "/" then
      return true
    end
  end
  return false
end

---Answers and returns true when the request does not show which tenant it is for.
---@param request Request
---@return boolean
function guard.foreign(request)
  local org, path, headers = store.config.org_id, request.path, request.headers
  if org == "" or OPEN[path] or path:sub(1, 4) == "/cp/" or store.latest() and OPEN_LATEST[path] then return false end
  local header, replay = headers["x-molecule-org-id"], headers["fly-replay-src"]
  if header == org or replay and replay:find("state=" .. org, 1, true) or same_origin(headers) then return false end
  if store.latest() and not header then
    request:fail(400, "missing tenant routing header",
      { code = "TENANT_ORG_HEADER_REQUIRED", required_header = "X-Molecule-Org-Id" })
  else
    request:respond(404, "")
  end
  return true
end

return guard
