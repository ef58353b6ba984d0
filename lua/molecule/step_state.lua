--- What a handler's run knows of its steps: which were recorded by earlier runs, and how many of each name this one has met.
local core = require "molecule.core"
local misuse = require "molecule.misuse"

local step_state = {}

local STEPS_MAXIMUM = 1000

--- The state of this run; an error outside of a message's handler, and inside a step.
---@param what string the function's name, for errors
function step_state.begin(what)
  local state = core.step_state()
  if not state then misuse(what .. ": only a message's handler has steps") end
  local inside = core.step_inside()
  if inside then misuse(("%s cannot be used inside the step %q"):format(what, inside)) end
  return state
end

--- What earlier runs recorded, and this one: key -> {kind, digest, value}.
function step_state.recorded(state)
  if not state.recorded then
    local list = {}
    if state.unread then
      local problem
      list, problem = core.steps_load()
      if not list then error(problem, 0) end
    end
    local found = {}
    for _, one in ipairs(list) do found[one[1]] = { kind = one[2], digest = one[3], value = one[4] } end
    state.total, state.list = state.total or #list, state.list or list
    state.recorded = state.recorded or found -- another branch may have been faster
  end
  return state.recorded
end

-- The recorded steps of a branch, in order; those of other branches have a longer path.
local function order_of(state, branch)
  step_state.recorded(state)
  state.orders = state.orders or {}
  if state.orders[branch] then return state.orders[branch] end
  local order, since = { at = 1 }, core.replay_since()
  for _, one in ipairs(since and state.list or {}) do
    local rest = one[1]:sub(1, #branch) == branch and one[1]:sub(#branch + 1)
    if rest and rest:find "^/?[^/#]+#%d+$" and one[5] >= since then order[#order + 1] = one[1] end
  end
  state.orders[branch] = order
  return order
end

-- --replay-check: recorded steps are met in the order in which they were recorded.
local function check_order(state, branch, key)
  local order = order_of(state, branch)
  state.met = state.met or {}
  state.met[key] = true
  if order[order.at] == key then
    order.at = order.at + 1
  elseif order[order.at] and state.recorded and state.recorded[key] then
    misuse(("REPLAY: step %s comes where %s came when they were recorded; what decides which step is next must be the same in "
      .. "every run (--replay-check)"):format(key, order[order.at]))
  end
end

--- --replay-check, at the end of the handler: what earlier runs recorded should have been met.
function step_state.finish()
  local state = core.step_state(true)
  local since, missed = core.replay_since(), {}
  for _, one in ipairs(state and since and state.list or {}) do
    if not state.met[one[1]] and not one[1]:find "/%l+$" and one[5] >= since then missed[#missed + 1] = one[1] end
  end
  if #missed == 0 then return end
  core.log("warn", ("steps that an earlier run recorded were not reached: %s (--replay-check)"):format(
    table.concat(missed, ", ")))
end

--- The key of the next step of this name; branches of the handler count their own.
function step_state.next_key(state, name)
  local branch = core.branch_path()
  branch = branch and branch .. "/" or ""
  local count = (state.counts[branch .. name] or 0) + 1
  state.counts[branch .. name] = count
  local key = ("%s%s#%d"):format(branch, name, count)
  if core.replay_since() then check_order(state, branch, key) end
  return key
end

function step_state.check_total(state, key)
  if state.total >= STEPS_MAXIMUM then
    misuse(("ctx.step: step %s is one too many: a message has at most %d steps"):format(key, STEPS_MAXIMUM))
  end
end

--- What functions asked that ran at once and have ended before their answers came: nobody waits for those any longer, and no
--- message is to be taken for one. The branch that calls this runs, so that none of its functions does.
function step_state.abandon(state)
  local own, left = core.branch_path(), {}
  own = own and own .. "/" or ""
  for key, path in pairs(state.open or {}) do
    if #path > #own and path:sub(1, #own) == own then left[#left + 1] = key end
  end
  for _, key in ipairs(left) do
    state.open[key] = nil
    local closed, problem = core.ask_close(key, "its function had ended", "CANCELLED")
    if closed == nil then error(problem, 0) end
  end
end

--- It was recorded just now.
function step_state.add(state, key, kind, digest, value)
  state.total = state.total + 1
  state.recorded[key] = { kind = kind, digest = digest, value = value }
end

return step_state
