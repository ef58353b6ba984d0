--- Messages from one workspace, or from the canvas, to another (§1.10).

local host = require "molecule.emulator.host"
local json = require "molecule.json"
local addresses = require "molecule.emulator.addresses"
local auth = require "molecule.emulator.auth"
local envelope = require "molecule.emulator.envelope"
local inbox = require "molecule.emulator.inbox"
local store = require "molecule.emulator.store"
local watch = require "molecule.emulator.watch"

local a2a = {}

local BODY_MAXIMUM = { t1 = 1 << 20, latest = 16 << 20 }
local DENIED = "access denied: workspaces cannot communicate per hierarchy rules"

local STATUS_TEXTS = { [300] = "Multiple Choices", [302] = "Found", [400] = "Bad Request", [404] = "Not Found",
  [500] = "Internal Server Error", [501] = "Not Implemented", [503] = "Service Unavailable" }

-- What becomes of an agent's answer on its way to the caller (a2a_proxy.go): 300 and above is reported in the platform's
-- words, an empty 200 is an error to the newer version.
local function relay(status, body)
  if status >= 300 then
    local said = json.decode(body)
    said = type(said) == "table" and type(said.error) == "string" and said.error ~= "" and said.error
    return { error = said or STATUS_TEXTS[status] or "" }
  elseif body == "" and store.latest() then
    return { error = "agent returned empty response body" }
  end
  return body
end

-- How long the platform waits for an agent's answer (§12): T1 for the head of it.
local PATIENCE_MS = { t1 = 60000, latest = 1800000 }

local function configured(target, done)
  local answer = target.push_answer
  local body = answer.body
  if type(body) ~= "string" then body = assert(json.encode(body == nil and {} or body)) end
  local status = answer.status or 200
  host.after(answer.delay_ms or 0, function()
    done(status, answer.agent and relay(status, body) or body, answer.headers)
  end)
end

-- T1 proves nothing; later versions show the secret to names and public addresses.
local function headers_for(target)
  local headers = { "Content-Type: application/json" }
  if store.latest() and not target.url:match "^%a+://[%d.]+[:/]" then
    headers[2] = "Authorization: Bearer " .. target.secret
  end
  return headers
end

-- Posted to the workspace's URL as it is. A connection that breaks, and a T1 that waits too long, is a busy agent: the caller is
-- told that it is queued, and the message is posted again after the next heartbeat.
local function post(target, value, done)
  local body = assert(json.encode(value))
  host.post(target.url, headers_for(target), body, PATIENCE_MS[store.config.profile], function(status, answer, sent)
    if status then return done(status >= 300 and status or 200, relay(status, answer)) end
    if not sent then return done(502, { error = "failed to reach workspace agent", delivery_confirmed = false }) end
    target.pushes = target.pushes or {}
    target.pushes[#target.pushes + 1] = value
    local queued = { status = "queued", delivery_mode = "push", method = envelope.method(value) }
    done(202, assert(json.encode(queued, { sort = true })))
  end)
end

-- What a push workspace's agent answers, or would answer, as configured.
local function proxy(target, value, done)
  if target.push_answer then return configured(target, done) end
  if target.url == "" then
    return done(503, { error = "workspace has no URL", status = store.status(target) })
  elseif not store.config.push_loopback and not addresses.routable(target.url) then
    return done(502, { error = "workspace URL is not publicly routable" })
  end
  post(target, value, done)
end

---After a heartbeat: what could not be answered then is posted again, and nobody waits for its answer.
---@param target Workspace
function a2a.push_again(target)
  local waiting = target.pushes
  target.pushes = nil
  for _, value in ipairs(waiting or {}) do post(target, value, function() end) end
end

---Sends an envelope for someone, and calls back with the answer: a refusal is a table, an answer a text.
---@param target_id string
---@param caller string? nil: nobody bound by the hierarchy
---@param text string
---@param canvas boolean the human in the canvas speaks
---@param done fun(status: integer, body: table|string, headers: table<string, string>?)
function a2a.send(target_id, caller, text, canvas, done)
  local target = store.find(target_id)
  if caller and not canvas and not auth.may_talk(caller, target_id) then return done(403, { error = DENIED }) end
  local value, problem = envelope.normalise(text, canvas and target_id or nil)
  if not value then return done(400, problem --[[@as table]]) end
  if not target then return done(404, { error = "workspace not found" }) end
  if caller then watch.tell { kind = "sent", source = caller, target = target_id, body = text, value = value } end
  if target.delivery_mode ~= "poll" then return proxy(target, value, done) end
  inbox.receive(target, caller, value)
  done(200, assert(json.encode({ status = "queued", delivery_mode = "poll", method = envelope.method(value) },
    { sort = true })))
end

local function serve(request)
  local maximum, target = BODY_MAXIMUM[store.config.profile], request.parameters.id:lower()
  if store.latest() and #request.body > maximum then
    return request:fail(413, "request body too large", { truncated = true, max_bytes = maximum })
  end
  local allowed, caller, canvas = auth.caller(request, target)
  if not allowed then return end
  a2a.send(target, caller, request.body:sub(1, maximum), canvas, function(status, body, headers)
    if type(body) == "table" then return request:json(status, body) end
    request.extra["Content-Type"] = "application/json"
    request:respond(status, body, headers)
  end)
end

local function queue_item(request)
  request:fail(404, "queue item not found", store.latest() and { retryable = true } or nil)
end

---@param router table see router.new
function a2a.routes(router)
  router:add("POST", "/workspaces/:id/a2a", serve)
  router:add("GET", "/workspaces/:id/a2a/queue/:queue_id", queue_item)
end

return a2a
