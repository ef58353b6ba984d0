--- Functions that run at once, in a script under test: core.at_once, as src/script/api_at_once.c has it. A handler is a branch,
--- too: `version.branch` is the one that runs, {handler, parent, path, calls, waiting, step}.

local environment = require "molecule.testing.environment"

local branches = {}

local DEPTH_MAXIMUM = 100

--- A handler's own branch, which is the handler itself.
function branches.root(handler)
  handler.handler, handler.calls, handler.depth = handler, {}, 0
end

--- It ends where it waits: what it waits for is canceled, and what its step stored is forgotten.
function branches.stop(branch)
  local waiting, step = branch.waiting, branch.step
  branch.waiting, branch.step = nil, nil
  if waiting then
    waiting.cancelled = true
    if waiting.cancel then waiting.cancel() end
  end
  if step then branch.handler.version.agent.locks:release(step) end
end

-- What the branch and its parts wait for, all of them for longer than a run should; nil: one of them continues.
local function deferrals(branch, list)
  local waiting = branch.waiting
  if not waiting then return nil end
  if waiting.deferral then list[#list + 1] = waiting.deferral end
  for _, part in ipairs(waiting.live or {}) do
    if not deferrals(part, list) then return nil end
  end
  return (waiting.deferral or waiting.live and waiting.live[1]) and list
end

-- The handler ends when nothing of it continues in this run.
local function rest(handler)
  local list = not handler.over and deferrals(handler, {})
  if not list then return end
  local ended = { asleep = true, epoch = math.huge, hold = false, asks = {} }
  for _, one in ipairs(list) do
    if one.epoch < ended.epoch then ended.epoch, ended.reason = one.epoch, one.reason end
    ended.hold = ended.hold or one.hold
    if one.asks then table.insert(ended.asks, one.asks) end
  end
  handler:finish(ended)
end

--- It has yielded with what begins its wait; `resume` ends that, and may be called before the beginning returns.
function branches.wait(branch, begin, resume)
  local over = false
  local waiting = begin(function(...)
    over = true
    resume(...)
  end)
  if over then return end
  branch.waiting = waiting
  rest(branch.handler)
end

--- The branch in whose step this one is; nil.
function branches.in_step(branch)
  while branch and not branch.step do branch = branch.parent end
  return branch
end

--- Where it stores: its step, or the one that it is a part of, or its handler.
function branches.scope(branch)
  local inside = branches.in_step(branch)
  return inside and inside.step or branch.handler
end

--- The coroutine that says where a handler is: of one of the branches that nothing else waits for.
function branches.innermost(handler)
  local branch = handler
  while branch.waiting and branch.waiting.live and branch.waiting.live[1] do branch = branch.waiting.live[1] end
  return branch.co
end

--- Where an error was raised: in the branch that it came from first.
---@param branch table
---@param problem any the error
---@param own string? the traceback of the branch itself
---@return string?
function branches.traceback(branch, problem, own)
  local raised = branch.raised
  if not raised or not rawequal(raised.problem, problem) or not raised.traceback then return own end
  return raised.traceback .. (own and own:gsub("^[^\n]*", "", 1) or "")
end

local function cancel_all(group)
  local live = group.wait.live
  group.wait.live = {}
  for i = #live, 1, -1 do
    live[i].over = true
    branches.stop(live[i])
  end
end

local function decide(group)
  group.decided = true
  cancel_all(group)
  group.resume()
end

local function leave(group, branch)
  local live = group.wait.live
  for i, one in ipairs(live) do
    if one == branch then
      table.remove(live, i)
      break
    end
  end
  branch.over = true
  branches.stop(branch)
  group.over = group.over + 1
end

-- It has returned {true, value}, raised {false, problem}, or yielded to nobody {}.
local function ended(group, branch, results)
  leave(group, branch)
  if not results[1] then
    group.failed = {index = branch.index, problem = results[2], traceback = branch.traceback, yielded = results[1] == nil}
    return decide(group)
  end
  group.values[branch.index] = results[2]
  if group.kind == "race" then
    group.winner = branch.index
    return decide(group)
  end
  group.pump()
  if not group.decided then rest(branch.handler) end
end

local function advance(group, branch, ...)
  local handler = branch.handler
  if branch.over or handler.over then return end
  local version, agent = handler.version, handler.version.agent
  local running, active, outer = version.running, agent.active, version.branch
  version.running, agent.active, version.branch, branch.waiting = handler, handler, branch, nil
  local results = table.pack(coroutine.resume(branch.co, ...))
  version.running, agent.active, version.branch = running, active, outer
  if branch.over or handler.over then return end
  if coroutine.status(branch.co) == "dead" then
    return ended(group, branch, results[1] and {results[2], results[3]} or {false, results[2]})
  elseif results[2] ~= environment.WAIT then
    return ended(group, branch, {})
  end
  branches.wait(branch, results[3], function(...) advance(group, branch, ...) end)
end

local function path_of(group, index)
  local outer = group.caller.path
  return ("%s%s#%d[%s]"):format(outer and outer .. "/" or "", group.kind, group.number, group.keys and group.keys[index] or index)
end

local function start(group, keep_traceback)
  group.started = group.started + 1
  local index, caller = group.started, group.caller
  local branch = {handler = caller.handler, parent = caller, index = index, calls = {}, depth = caller.depth + 1,
    path = path_of(group, index)}
  branch.co = coroutine.create(function()
    local function handle(problem)
      branch.traceback = branches.traceback(branch, problem, keep_traceback())
      return problem
    end
    if group.fn then return xpcall(group.fn, handle, group.list[index], index) end
    return xpcall(group.list[index], handle)
  end)
  table.insert(group.wait.live, branch)
  advance(group, branch)
end

local function make(kind, caller, list, count, fn, keys, most, keep_traceback)
  local group = {kind = kind, caller = caller, number = caller.calls[kind], list = list, count = count, fn = fn, keys = keys,
    started = 0, over = 0, values = {n = count}, wait = {live = {}}}
  function group.wait.cancel() cancel_all(group) end
  local pumping = false
  function group.pump()
    if pumping or group.decided then return end
    pumping = true
    while not group.decided and group.started < count and group.started - group.over < most do start(group, keep_traceback) end
    pumping = false
    if not group.decided and group.over == count then decide(group) end
  end
  return group
end

---@param api table molecule.core
---@param version table
---@param keep_traceback fun(): string? the script's frames of the error that is being raised
function branches.add(api, version, keep_traceback)
  function api.branch_path() return version.branch and version.branch.path end
  function api.at_once(kind, list, count, fn, keys, most)
    api.check_await("molecule." .. kind)
    local caller = version.branch
    if caller.depth >= DEPTH_MAXIMUM then
      api.misuse(("%s: functions that run at once are nested more than %d deep"):format(kind, DEPTH_MAXIMUM))
    end
    caller.calls[kind] = (caller.calls[kind] or 0) + 1
    if count == 0 then return {n = 0} end
    local group = make(kind, caller, list, count, fn, keys, most, keep_traceback)
    coroutine.yield(environment.WAIT, function(resume)
      group.resume = resume
      group.pump()
      return group.wait
    end)
    local failed = group.failed
    if failed and failed.yielded then
      api.raise(("%s: function %d called coroutine.yield outside a coroutine that it created"):format(kind, failed.index))
    elseif failed then
      caller.raised = failed
      error(failed.problem, 0)
    end
    if group.winner then return group.values[group.winner], group.winner end
    return group.values
  end
end

return branches
