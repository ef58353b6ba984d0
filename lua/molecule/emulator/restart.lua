--- A restart of the platform's server (§12): it takes no more requests, waits for the open event streams, half a minute at
--- most, and is down for a moment. What it knows stays in its database.

local host = require "molecule.emulator.host"
local events = require "molecule.emulator.events"
local journal = require "molecule.emulator.journal"

local restart = {}

local DRAIN_MS, DOWN_MS = 30000, 100
local current -- the restart under way: {down_ms, phase}

---@return "draining"|"down"|nil
function restart.phase()
  return current and current.phase
end

---Forgets the restart.
function restart.forget()
  current = nil
end

local function go_down(one)
  if current ~= one or one.phase == "down" then return end
  one.phase = "down"
  events.cut_all()
  host.after(one.down_ms, function()
    if current == one then current = nil end
  end)
end

---A stream may have been closed.
function restart.look()
  if current and events.count() == 0 then go_down(current) end
end

---@param drain_ms integer?
---@param down_ms integer?
function restart.begin(drain_ms, down_ms)
  local one = { phase = "draining", down_ms = down_ms or DOWN_MS }
  current = one
  if events.count() == 0 then return go_down(one) end
  host.after(drain_ms or DRAIN_MS, function() go_down(one) end)
end

---Aborts the connection and returns true while the server takes no requests.
---@param request Request
---@return boolean
function restart.refuses(request)
  if not current then return false end
  request.entry.fault = "restart"
  journal.finish(request.entry, 0)
  request.handle:reset()
  return true
end

return restart
