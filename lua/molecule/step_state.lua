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
    state.total = state.total or #list
    state.recorded = state.recorded or found -- another branch may have been faster
  end
  return state.recorded
end

--- The key of the next step of this name; branches of the handler count their own.
function step_state.next_key(state, name)
  local branch = core.branch_path()
  name = branch and branch .. "/" .. name or name
  local count = (state.counts[name] or 0) + 1
  state.counts[name] = count
  return ("%s#%d"):format(name, count)
end

function step_state.check_total(state, key)
  if state.total >= STEPS_MAXIMUM then
    misuse(("ctx.step: step %s is one too many: a message has at most %d steps"):format(key, STEPS_MAXIMUM))
  end
end

--- It was recorded just now.
function step_state.add(state, key, kind, digest, value)
  state.total = state.total + 1
  state.recorded[key] = { kind = kind, digest = digest, value = value }
end

return step_state
