--- How often the platform hears from a host. Counted, never timed: how long a heartbeat takes is the machine's affair,
--- but one that waited for a script is not there before the script lets go.

local beats = {}

local PATH = "/registry/heartbeat"

---Waits until the platform heard from the host so many times from now on. One heartbeat may be on its way already, so
---`count` of 2 and more shows that the host goes on.
---@param one Host
---@param count integer
function beats.wait(one, count)
  one:wait { path = PATH, since = one.platform:mark(), count = count, body = one.workspace.id }
end

---@param one Host
---@param from integer journal number: heartbeats after it count
---@param to integer journal number: heartbeats before it count
---@return integer
function beats.between(one, from, to)
  local found = 0
  for _, entry in ipairs(one:posts(PATH, from)) do
    if entry.n < to then found = found + 1 end
  end
  return found
end

return beats
