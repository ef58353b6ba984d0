--- How regularly the platform hears from a host.
---
---     local since = beats.listen(one)
---     ... what must not delay a heartbeat ...
---     assert(beats.longest_gap(one, since) < 500)

local beats = {}

local PATH = "/registry/heartbeat"

---Waits for a heartbeat: gaps are measured from this one on.
---@param one Host
---@return integer since
function beats.listen(one)
  local before = one.platform:mark()
  local entries = one:wait { path = PATH, since = before, count = 1, body = one.workspace.id }
  return entries[1].n - 1
end

---Waits for one more heartbeat and looks at all since.
---@param one Host
---@param since integer
---@return number ms the longest time between two
function beats.longest_gap(one, since)
  one:wait { path = PATH, since = one.platform:mark(), count = 1, body = one.workspace.id }
  local longest, last = 0, nil
  for _, entry in ipairs(one:posts(PATH, since)) do
    longest = math.max(longest, entry.at - (last or entry.at))
    last = entry.at
  end
  return longest
end

return beats
