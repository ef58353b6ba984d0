--- Messages from one workspace, or from the canvas, to another (§1.10).

local host = require "molecule.emulator.host"
local json = require "molecule.json"
local auth = require "molecule.emulator.auth"
local envelope = require "molecule.emulator.envelope"
local rows = require "molecule.emulator.rows"
local store = require "molecule.emulator.store"

local a2a = {}

local BODY_MAXIMUM = { t1 = 1 << 20, latest = 16 << 20 }
local DENIED = "access denied: workspaces cannot communicate per hierarchy rules"

local function method_of(value)
  return type(value.method) == "string" and value.method or ""
end

local function insert(target, caller, value)
  local method = method_of(value)
  local columns = { activity_type = "a2a_receive", source_id = caller, target_id = target.id,
    method = method ~= "" and method or nil, request_body = value,
    summary = ("%s → %s (queued for poll)"):format(method, target.name) }
  if caller and not host.uuid_valid(caller) then return false end
  if not rows.storable(assert(json.encode(value))) then return false end
  rows.insert(target, columns)
  return true
end

---Puts an envelope into a poll workspace's inbox the way the profile does it: at T1 a while later and at most once by
---luck, later at once and once a messageId (§1.10).
---@param target Workspace
---@param caller string?
---@param value table
---@return boolean stored
function a2a.deliver(target, caller, value)
  if not store.latest() then
    host.after(store.config.insert_delay_ms, function()
      if store.find(target.id) == target then insert(target, caller, value) end
    end)
    return true
  end
  local id = envelope.message_id(value)
  if id and target.by_message[id] then return true end
  local stored = insert(target, caller, value)
  if stored and id then target.by_message[id] = true end
  return stored
end

local function proxy(request, target)
  local answer = target.push_answer
  if not answer then
    if target.url == "" then
      return request:fail(503, "workspace has no URL", { status = store.status(target) })
    end
    return request:fail(502, "failed to reach workspace agent", { delivery_confirmed = false })
  end
  local body = answer.body
  if type(body) ~= "string" then body = assert(json.encode(body == nil and {} or body)) end
  host.after(answer.delay_ms or 0, function()
    request.extra["Content-Type"] = "application/json; charset=utf-8"
    request:respond(answer.status or 200, body, answer.headers)
  end)
end

local function send(request)
  local latest, maximum = store.latest(), BODY_MAXIMUM[store.config.profile]
  local target = store.find(request.parameters.id)
  if latest and #request.body > maximum then
    return request:fail(413, "request body too large", { truncated = true, max_bytes = maximum })
  end
  local allowed, caller = auth.caller(request, request.parameters.id:lower())
  if not allowed then return end
  if not target or target.status == "removed" then return request:fail(404, "workspace not found") end
  if caller and not auth.may_talk(caller, target) then return request:fail(403, DENIED) end
  local value, problem = envelope.normalise(request.body:sub(1, maximum))
  if not value then return request:json(400, problem) end
  if target.delivery_mode ~= "poll" then return proxy(request, target) end
  if not a2a.deliver(target, caller, value) then return request:fail(500, "failed to store message") end
  request:json(200, { status = "queued", delivery_mode = "poll", method = method_of(value) })
end

local function queue_item(request)
  request:fail(404, "queue item not found", store.latest() and { retryable = true } or nil)
end

---@param router table see router.new
function a2a.routes(router)
  router:add("POST", "/workspaces/:id/a2a", send)
  router:add("GET", "/workspaces/:id/a2a/queue/:queue_id", queue_item)
end

return a2a
