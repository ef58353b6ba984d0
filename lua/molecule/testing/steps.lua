--- What a handler under test has done for good: the host's side of lua/molecule/steps.lua. The records belong to the message, and
--- last over errors, sleeps, a.restart and a.reload.

local branches = require "molecule.testing.branches"
local environment = require "molecule.testing.environment"
local words = require "molecule.testing.words"

local steps = {}

-- A number of 64 bits for a text (FNV-1a).
local function hash(text, seed)
  local value = 0xcbf29ce484222325 ~ seed
  for i = 1, #text do value = (value ~ text:byte(i)) * 0x100000001b3 end
  return value
end

-- Shaped like a UUID, and the same for the same text.
local function uuid_of(text)
  local a, b = hash(text, 0), hash(text, 0x9e3779b9)
  return ("%08x-%04x-5%03x-%04x-%012x"):format(a >> 32, a >> 16 & 0xffff, a & 0xfff, b >> 48 & 0x3fff | 0x8000,
    b & 0xffffffffffff)
end

---@param api table molecule.core
---@param version table
function steps.add(api, version)
  local agent = version.agent
  function api.step_state(existing)
    local run = version.running
    if not run or not run.entry or run.may_not_wait or existing and not run.steps then return nil end
    run.steps = run.steps or { counts = {}, unread = #run.entry.steps > 0 }
    return run.steps
  end
  function api.steps_load()
    api.check_await("ctx.step")
    return { table.unpack(version.running.entry.steps) }
  end
  function api.replay_since() return agent.changed_ms end
  function api.step_id(key) return uuid_of(version.running.entry.row.id .. "/step/" .. key) end
  api.digest = uuid_of
  function api.ask_id(what)
    local run, branch = version.running, version.branch
    if not run or not run.entry or not branch then return words.uuid() end
    local inside = branches.in_step(branch)
    local counter = inside and inside.step or branch
    counter.asked = (counter.asked or 0) + 1
    return uuid_of(("%s/%s/%d/%s"):format(run.entry.row.id, what, counter.asked, inside and inside.step.key or branch.path or ""))
  end
  function api.step_inside()
    local branch = branches.in_step(version.branch)
    return branch and branch.step.key
  end
  function api.step_check(what)
    if coroutine.running() ~= version.branch.co then
      api.misuse(what .. " cannot be used in a coroutine that the script has made; to do several things at once use molecule.all")
    end
  end
  function api.step_begin(key)
    version.branch.step = { key = key, changes = {}, values = {}, bytes = 0 }
  end
  function api.step_drop()
    local branch = version.branch
    if not branch or not branch.step then return end
    local step = branch.step
    branch.step = nil
    agent.locks:release(step)
  end
  function api.step_record(key, kind, digest, value)
    api.check_await("ctx.step")
    local run = version.running
    table.insert(run.entry.steps, { key, kind, digest, value, math.floor(agent.clock:now() * 1000) })
    if kind == "step" then table.insert(run.entry.result.steps, { key = key, result = agent.json.decode(value) }) end
    local step = version.branch.step
    if step then agent.store:apply(step.changes) end
    api.step_drop()
    run.entry.failures = 0
    return true
  end
  function api.defer(epoch, hold, reason, asks)
    api.check_await(asks and "ctx.ask" or "ctx.sleep")
    coroutine.yield(environment.WAIT, function()
      return { deferral = { epoch = epoch, hold = hold, reason = reason, asks = asks } }
    end)
  end
end

return steps
