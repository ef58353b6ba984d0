--- The event stream GET /workspaces/:id/events/stream (§1.18): a hint that something happened, nothing more.

local host = require "molecule.emulator.host"
local json = require "molecule.json"
local journal = require "molecule.emulator.journal"
local store = require "molecule.emulator.store"

local events = {}

local streams = {} -- handle -> workspace

---@return integer
function events.count()
  local count = 0
  for _ in pairs(streams) do count = count + 1 end
  return count
end

---@param handle userdata
function events.forget(handle)
  streams[handle] = nil
end

---Ends every stream.
function events.close_all()
  for handle in pairs(streams) do handle:finish() end
  streams = {}
end

---Aborts every stream, as when a server ends.
function events.cut_all()
  for handle in pairs(streams) do handle:reset() end
  streams = {}
end

---@param workspace Workspace
---@param kind string such as "ACTIVITY_LOGGED"
---@param data table
function events.publish(workspace, kind, data)
  if store.config.events_mute then return end
  local frame
  for handle, owner in pairs(streams) do
    if owner == workspace then
      frame = frame or ("data: %s\n\n"):format(assert(json.encode(
        { type = kind, timestamp = host.now_us() // 1000, data = data }, { sort = true })))
      if not handle:send(frame) then
        handle:finish()
        streams[handle] = nil
      end
    end
  end
end

local function stream(request)
  if not store.config.events then return request:text(404, "404 page not found") end
  request.extra["Content-Type"] = "text/event-stream"
  request.extra["Cache-Control"] = "no-cache"
  journal.finish(request.entry, 200)
  if request.handle:stream(200, request.extra) then
    request.handle:send ": ping\n\n"
    streams[request.handle] = request.workspace
  end
end

---@param router table see router.new
function events.routes(router)
  router:add("GET", "/workspaces/:id/events/stream", stream, { auth = true })
end

return events
