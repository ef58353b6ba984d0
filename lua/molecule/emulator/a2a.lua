--- Messages from one workspace, or from the canvas, to another (§1.10).

local host = require "molecule.emulator.host"
local json = require "molecule.json"
local addresses = require "molecule.emulator.addresses"
local auth = require "molecule.emulator.auth"
local envelope = require "molecule.emulator.envelope"
local inbox = require "molecule.emulator.inbox"
local push = require "molecule.emulator.push"
local store = require "molecule.emulator.store"
local watch = require "molecule.emulator.watch"

local a2a = {}

local BODY_MAXIMUM = { t1 = 1 << 20, latest = 16 << 20 }
local DENIED = "access denied: workspaces cannot communicate per hierarchy rules"

local function configured(target, done)
  local answer = target.push_answer
  local body = answer.body
  if type(body) ~= "string" then body = assert(json.encode(body == nil and {} or body)) end
  local status = answer.status or 200
  host.after(answer.delay_ms or 0, function()
    done(status, answer.agent and push.relay(status, body) or body, answer.headers)
  end)
end

-- The caller of an agent that is busy is told that the message is queued.
local function post(target, caller, value, done)
  push.send(target, caller, value, function(status, answer, sent)
    if status then return done(status >= 300 and status or 200, push.relay(status, answer)) end
    if not sent then return done(502, { error = "failed to reach workspace agent", delivery_confirmed = false }) end
    local queued = { status = "queued", delivery_mode = "push", method = envelope.method(value) }
    done(202, assert(json.encode(queued, { sort = true })))
  end)
end

-- What a push workspace's agent answers, or would answer, as configured.
local function proxy(target, caller, value, done)
  if target.push_answer then return configured(target, done) end
  if target.url == "" then
    return done(503, { error = "workspace has no URL", status = store.status(target) })
  elseif not store.config.push_loopback and not addresses.routable(target.url) then
    return done(502, { error = "workspace URL is not publicly routable" })
  end
  post(target, caller, value, done)
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
  if target.delivery_mode ~= "poll" then return proxy(target, caller, value, done) end
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
