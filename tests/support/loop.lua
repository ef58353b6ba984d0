--- Waiting, for tests: the one libuv loop turns until something is true or a deadline is over. Nothing ever sleeps.

local uv = require "luv"

local loop = {}

--- How long anything is waited for, in milliseconds. It only ends a hang: no test depends on how fast a machine is.
loop.LIMIT_MS = 180000

---@param done fun(): any looked at after every event
---@param timeout_ms integer? loop.LIMIT_MS
---@return any what `done` returned last
function loop.wait(done, timeout_ms)
  timeout_ms = timeout_ms or loop.LIMIT_MS
  local result, expired = done(), false
  if result then return result end
  local timer = uv.new_timer()
  -- it repeats: run "once" calls due timers first and then waits for an event all the same
  timer:start(timeout_ms, math.max(timeout_ms, 1), function() expired = true end)
  while not result and not expired do
    uv.run "once"
    result = done()
  end
  timer:stop()
  timer:close()
  loop.flush()
  return result
end

---Lets handles finish closing: luv crashes when the Lua state closes before they have.
function loop.flush()
  uv.run "nowait"
end

---Milliseconds of a clock that never goes back.
---@return number
function loop.now()
  return uv.hrtime() / 1e6
end

--- Called when Ctrl-C ends the process, which closes nothing: what must not stay behind is ended here.
loop.at_interrupt = {} ---@type fun()[]

local interrupt = uv.new_signal()
interrupt:start("sigint", function()
  for _, call in ipairs(loop.at_interrupt) do pcall(call) end
  io.stderr:write "interrupted\n"
  os.exit(130, false)
end)
interrupt:unref()

-- A write to a peer that has gone is an error, not the end of the tests.
local pipe = uv.new_signal()
pipe:start("sigpipe", function() end)
pipe:unref()

return loop
