--- What a handler does once, however often it runs: ctx.step, ctx.sleep, ctx.sleep_until.
--
-- A handler may run again: after an error, a crash, a reload, `molecule dead retry`, and after a long sleep. Each step has a key,
-- made of its name and how many steps of that name came before it in this run; what is recorded under the key is not done again.
local core = require "molecule.core"
local json = require "molecule.json"
local misuse = require "molecule.misuse"
local step_state = require "molecule.step_state"
local check_options = require "molecule.options"

local steps = {}

local begin, recorded = step_state.begin, step_state.recorded
local next_key, check_total = step_state.next_key, step_state.check_total

local NAME_MAXIMUM, RESULT_MAXIMUM = 128, 1 << 20
local SHORT = 30 -- seconds; a longer sleep ends this run

local function check_name(name)
  if type(name) ~= "string" or name == "" or #name > NAME_MAXIMUM or not utf8.len(name) or name:find "[%c/#]" then
    misuse(("ctx.step: the name must be 1 to %d bytes of UTF-8 without control characters, \"/\" and \"#\", not %s"):format(
      NAME_MAXIMUM, type(name) == "string" and ("%q"):format(name:sub(1, 40)) or "a " .. type(name)))
  end
end

local function digest_of(key, ...)
  local count = select("#", ...)
  if count == 0 then return "" end
  local texts = {}
  for i = 1, count do
    local given = select(i, ...)
    local text, problem = "null", nil
    if given ~= nil then text, problem = json.encode(given, { sort = true }) end
    if not text then misuse(("ctx.step: step %s: argument %d after the function must be JSON: %s"):format(key, i, problem)) end
    texts[i] = text
  end
  return core.digest(table.concat(texts, "\n"))
end

-- The result of an earlier run, decoded.
local function replay(key, found, digest)
  if found.digest ~= digest then
    misuse(("REPLAY: step %s was recorded with other arguments than it has now; give steps of different things different names")
      :format(key))
  end
  if found.kind == "failed" then misuse(found.value) end
  local value = json.decode(found.value)
  if value == json.null then return nil end
  return value
end

-- Why a result cannot be recorded, or nil and its text.
local function result_text(key, result)
  if result == nil then return nil, "null" end
  local text, problem = json.encode(result)
  if not text then return ("ctx.step: the result of step %s cannot be recorded: %s"):format(key, problem) end
  if #text > RESULT_MAXIMUM then
    return ("ctx.step: the result of step %s cannot be recorded: it has %d bytes as JSON, of at most 1 MiB"):format(key, #text)
  end
  return nil, text
end

local function record(state, key, kind, digest, value)
  local done, problem = core.step_record(key, kind, digest, value)
  if not done then error(problem, 0) end
  step_state.add(state, key, kind, digest, value)
end

local guard = {
  __close = function() core.step_drop() end, -- unless it is being recorded
}

local function run(state, key, name, digest, fn, ...)
  local result, message, code
  do
    local _ <close> = setmetatable({}, guard)
    core.step_begin(key)
    result, message, code = fn({ id = core.step_id(key), key = key, name = name }, ...)
    if result == nil and message ~= nil then return result, message, code end
    local problem, text = result_text(key, result)
    if problem then
      core.step_drop()
      record(state, key, "failed", digest, problem)
      misuse(problem)
    end
    record(state, key, "step", digest, text)
    return replay(key, state.recorded[key], digest)
  end
end

--- Runs `fn(step, ...)` and records its first result, a JSON value; in a later run of the same message that result is returned,
--- and `fn` is not run. `step.id` is the same in every run. nil, message[, CODE] from `fn` passes through and is not recorded.
function steps.step(name, fn, ...)
  local state = begin "ctx.step"
  core.step_check "ctx.step"
  check_name(name)
  if type(fn) ~= "function" then
    misuse(("ctx.step: the second argument must be a function(step, ...), not a %s"):format(type(fn)))
  end
  local known, key = recorded(state), next_key(state, name)
  local digest = digest_of(key, ...)
  if known[key] then return replay(key, known[key], digest) end
  check_total(state, key)
  return run(state, key, name, digest, fn, ...)
end

--- Of molecule.race: what `run()` returns, the winner's value and number, is recorded as a step. In a later run of the same
--- message it is returned, and `skip()` is called instead.
function steps.race(run_race, skip)
  local state = not core.step_inside() and core.step_state()
  if not state then return run_race() end
  local known, key = recorded(state), next_key(state, "/race")
  if known[key] then
    skip()
  else
    check_total(state, key)
    local value, which = run_race()
    local text, problem = json.encode {value = value, which = which}
    if not text or #text > RESULT_MAXIMUM then
      misuse(("race: the result of function %d cannot be recorded: %s"):format(which,
        problem or "it has more than 1 MiB as JSON"))
    end
    record(state, key, "step", "race", text)
    step_state.abandon(state)
  end
  local won = replay(key, state.recorded[key], "race")
  return won.value, won.which
end

-- Until then: in this run if it is soon, else in a later one.
local function sleep_until(epoch, hold)
  local left = epoch - core.now()
  if left <= 0 then return end
  if left <= SHORT then return core.sleep(left) end
  core.defer(epoch, hold, ("asleep until %s"):format(os.date("!%Y-%m-%dT%H:%M:%SZ", math.ceil(epoch))))
end

local function sleep(what, epoch_of, options)
  local state = begin(what)
  options = check_options(what, options, { hold = "boolean" })
  step_state.abandon(state)
  local known, key = recorded(state), next_key(state, "/sleep")
  local found = known[key]
  if found and found.kind ~= "sleep" then
    misuse(("REPLAY: %s was a step when it was recorded, and is a sleep now"):format(key))
  end
  local epoch = found and json.decode(found.value) or epoch_of()
  if not found and epoch - core.now() <= SHORT then return sleep_until(epoch) end
  if not found then record(state, key, "sleep", "", json.encode(epoch)) end
  sleep_until(epoch, options.hold ~= false)
end

local YEAR = 366 * 86400

--- Sleeps; for more than 30 s the handler ends, and runs again when it is due: what it did in steps is not done again. With
--- `hold = false` later messages of the conversation are handled meanwhile.
function steps.sleep(seconds, options)
  local length = core.seconds(seconds)
  if not length or not (length >= 0 and length <= 10 * YEAR) then
    misuse("ctx.sleep: the first argument must be a number of seconds or a duration like \"2h\", from 0 to ten years")
  end
  return sleep("ctx.sleep", function() return core.now() + length end, options)
end

--- The same until a time: seconds since the epoch.
function steps.sleep_until(epoch, options)
  if type(epoch) ~= "number" or epoch ~= epoch or epoch > core.now() + 10 * YEAR then
    misuse("ctx.sleep_until: the first argument must be seconds since the epoch, at most ten years from now")
  end
  return sleep("ctx.sleep_until", function() return epoch end, options)
end

for name, call in pairs(steps) do steps[name] = core.public(call) end

return steps
