--- The time in a test: it stands still until the test moves it, or until a handler that is waited for sleeps.

local words = require "molecule.testing.words"

local START = 1767225600 -- 2026-01-01T00:00:00Z

---@class TestClock
local Clock = {}
Clock.__index = Clock

local clock = {}

---@return TestClock
function clock.new()
  return setmetatable({time = START, events = {}, count = 0}, Clock)
end

--- Epoch seconds.
---@return number
function Clock:now() return self.time + 0.0 end

--- "2026-03-01T09:00:00Z", or epoch seconds.
---@param time string|number
function Clock:set(time)
  if type(time) == "string" then
    local y, mo, d, h, mi, s, fraction = time:match("^(%d%d%d%d)%-(%d%d)%-(%d%d)T(%d%d):(%d%d):(%d%d)(%.?%d*)Z$")
    if not y then error(("clock:set takes a time like \"2026-03-01T09:00:00Z\", not %q"):format(time), 2) end
    -- days since 1970-01-01, by the civil calendar
    local year, month = math.tointeger(y), math.tointeger(mo)
    if month <= 2 then year, month = year - 1, month + 12 end
    local days = 365 * year + year // 4 - year // 100 + year // 400 + (153 * (month - 3) + 2) // 5 + math.tointeger(d) - 719469
    time = ((days * 24 + h) * 60 + mi) * 60 + s + (tonumber("0" .. fraction) or 0)
  end
  if time < self.time then error("clock:set cannot go back: what was due has run", 2) end
  self:advance(time - self.time)
end

--- Calls `run` at that time. Returns the event, whose `cancelled` may be set.
---@param at number
---@param run fun()
function Clock:at(at, run)
  self.count = self.count + 1
  local event = {at = math.max(at, self.time), number = self.count, run = run}
  self.events[#self.events + 1] = event
  return event
end

-- The next event that is due until then, taken out of the list.
local function take(self, latest)
  local best, place
  for i = #self.events, 1, -1 do
    local event = self.events[i]
    if event.cancelled then
      table.remove(self.events, i)
      if place then place = place - 1 end
    elseif event.at <= latest and (not best or event.at < best.at or event.at == best.at and event.number < best.number) then
      best, place = event, i
    end
  end
  return best and table.remove(self.events, place)
end

--- Runs the next event, wherever it is. false: nothing is left to run.
function Clock:step()
  local event = take(self, math.huge)
  if not event then return false end
  self.time = math.max(self.time, event.at)
  event.run()
  return true
end

--- Lets this time pass: what becomes due runs in order, at its time.
---@param duration number|string
function Clock:advance(duration)
  local seconds = words.seconds(duration)
  if not seconds or seconds < 0 then error(("clock:advance takes a duration like \"1h\", not %s"):format(tostring(duration)),
    2) end
  local latest = self.time + seconds
  local event = take(self, latest)
  while event do
    self.time = math.max(self.time, event.at)
    event.run()
    event = take(self, latest)
  end
  self.time = latest
  if self.passed then self.passed() end
end

return clock
