--- Timestamps: microseconds since the epoch inside, RFC 3339 in UTC with six fractional digits outside (§2.1).

local host = require "molecule.emulator.host"

local time = {}

local last = 0
local cached_second, cached_text

---The wall clock in microseconds; never the same twice, so that rows tie only on request.
---@return integer
function time.now()
  local now = host.now_us()
  if now <= last then now = last + 1 end
  last = now
  return now
end

---@param us integer
---@return string
function time.format(us)
  local second = us // 1000000
  if second ~= cached_second then
    cached_second, cached_text = second, os.date("!%Y-%m-%dT%H:%M:%S", second)
  end
  return ("%s.%06dZ"):format(cached_text, us % 1000000)
end

---@param value any an RFC 3339 text
---@return integer? microseconds
function time.parse(value)
  return type(value) == "string" and host.parse_time(value) or nil
end

return time
