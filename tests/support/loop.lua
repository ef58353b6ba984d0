--- Waiting, for tests: the one libuv loop turns until something is true or a deadline is over. Nothing ever sleeps.

local uv = require "luv"

local loop = {}

--- How long anything is waited for, in milliseconds. It only ends a hang: no test depends on how fast a machine is.
loop.LIMIT_MS = 180000

-- What no event tells of, such as files and processes, is looked at as often, in milliseconds.
local LOOK_MS = 20

---@param done fun(): any looked at after every event, and every 20 ms
---@param timeout_ms integer? loop.LIMIT_MS
---@return any what `done` returned last
function loop.wait(done, timeout_ms)
  timeout_ms = timeout_ms or loop.LIMIT_MS
  local result, expired = done(), false
  if result then return result end
  local timer, began_ms, look_ms = uv.new_timer(), loop.now(), math.max(math.min(timeout_ms, LOOK_MS), 1)
  -- it repeats: run "once" calls due timers first and then waits for an event all the same
  timer:start(look_ms, look_ms, function() expired = loop.now() - began_ms >= timeout_ms end)
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
