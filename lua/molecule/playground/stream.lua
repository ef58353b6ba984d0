--- The event stream of the playground's page: every item that is new or has changed, once for many changes in a row. The id of an
--- event is the run and the item's version, so a page that comes back (Last-Event-ID) gets what it missed and nothing else.

local host = require "molecule.emulator.host"
local json = require "molecule.json"
local changes = require "molecule.playground.changes"
local record = require "molecule.playground.record"

local stream = {}

local STREAMS_MAXIMUM = 32
local BATCH = 200      -- items at once, then others have their turn
local AGAIN_MS = 50    -- to a reader that is slow

local run = host.uuid():sub(1, 8)
local streams = {} -- handle -> {handle, sent, planned}

local function frame(item)
  return ("id: %s-%d\nevent: item\ndata: %s\n\n"):format(run, item.version, assert(json.encode(record.summary(item))))
end

local pump

local function plan(one, ms)
  if one.planned then return end
  one.planned = true
  host.after(ms, function()
    one.planned = false
    if streams[one.handle] == one then pump(one) end
  end)
end

function pump(one)
  if one.planned then return end
  local item = changes.after(one.sent)
  for _ = 1, BATCH do
    if not item then break end
    if not one.handle:send(frame(item)) then return plan(one, AGAIN_MS) end
    one.sent = item.version
    item = item.later
  end
  if item then return plan(one, 0) end
  if not one.whole then -- all that there was
    one.whole = true
    one.handle:send "event: whole\ndata: {}\n\n"
  end
end

changes.listen(function()
  for _, one in pairs(streams) do pump(one) end
end)

---@return boolean whether a page is open
function stream.is_heard()
  return next(streams) ~= nil
end

---@param handle userdata
function stream.forget(handle)
  streams[handle] = nil
end

---A new session: pages begin again.
function stream.restart()
  run = host.uuid():sub(1, 8)
  for handle in pairs(streams) do handle:finish() end
  streams = {}
end

---@param request Request
function stream.serve(request)
  local count = 0
  for _ in pairs(streams) do count = count + 1 end
  if count >= STREAMS_MAXIMUM then return request:json(503, { error = "too many pages are open" }) end
  local given = request.headers["last-event-id"] or request.query.after or ""
  local known_run, version = given:match "^(%w+)%-(%d+)$"
  local sent = known_run == run and math.tointeger(tonumber(version)) or 0
  request.extra["Content-Type"] = "text/event-stream"
  request.extra["Cache-Control"] = "no-store"
  if not request.handle:stream(200, request.extra) then return end
  request.handle:send(("retry: 500\nevent: hello\ndata: %s\n\n"):format(json.encode { run = run, from = sent }))
  local one = { handle = request.handle, sent = sent }
  streams[request.handle] = one
  pump(one)
end

return stream
