--- One version of a script, loaded: its globals, its modules, its agent, its timers. src/script/agent.c checks the same.

local core = require "molecule.testing.core"
local environment = require "molecule.testing.environment"
local handler = require "molecule.testing.handler"
local schedules = require "molecule.testing.schedules"
local words = require "molecule.testing.words"

local version = {}

local FIELDS = {handle = "function", start = "function", stop = "function", conversation = "function", name = "string",
  description = "string", skills = "table", concurrency = "number", answers_replies = "boolean",
  card = "table", finds_repeats = "boolean"}

local function refuse(source, name)
  if type(name) ~= "string" then
    error(("%s returned a table with the field [%s], which an agent does not have: it must return a function(msg, ctx), or a "
      .. "table with `handle`"):format(source, tostring(name)), 0)
  end
  local names = {}
  for field in pairs(FIELDS) do names[#names + 1] = field end
  table.sort(names)
  local best = words.nearest(name, names)
  error(best and ("the agent returned by %s has an unknown field '%s'; did you mean '%s'?"):format(source, name, best)
    or ("the agent returned by %s has an unknown field '%s'; keep the script's own data in a local variable, or in a field whose "
      .. "name starts with '_'"):format(source, name), 0)
end

local function check(source, agent)
  if type(agent) == "function" then agent = {handle = agent} end
  if type(agent) ~= "table" then
    error(("%s returned a %s; it must return a function(msg, ctx), or a table with `handle`"):format(source, type(agent)), 0)
  end
  for name in pairs(agent) do
    if type(name) ~= "string" or not FIELDS[name] and name:sub(1, 1) ~= "_" then refuse(source, name) end
  end
  for name, wanted in pairs(FIELDS) do
    local given = type(agent[name])
    if name == "handle" and given ~= wanted then
      error(("%s returned a table whose `handle` is a %s, not a function(msg, ctx)"):format(source, given), 0)
    elseif given ~= wanted and given ~= "nil" then
      error(("%s: the agent's `%s` must be a %s, not a %s"):format(source, name, wanted, given), 0)
    end
  end
  local count = agent.concurrency
  if count and (math.type(count) ~= "integer" or count < 1 or count > 1000) then
    error("the agent's `concurrency` must be an integer from 1 to 1000", 0)
  end
  return agent
end

--- Runs a function of the script that is not about a message to its end, and applies what it stored.
---@return boolean fine, string? problem
function version.call(self, body, timeout)
  local agent, over, problem = self.agent, false, nil
  handler.start(self, {body = body, timeout = timeout, done = function(one, ended)
    over, problem = true, not ended.fine and ended.reason or nil
    if ended.fine then agent.store:apply(one.changes) end
  end})
  while not over do
    if not agent.clock:step() then return false, "it waits for something that does not come" end
  end
  return problem == nil, problem
end

-- Since when the script is as it is: what is recorded since then it must reach in the same order.
local function note_change(agent)
  local text = agent.options.source
  if not text then
    local file = io.open(agent.path, "rb")
    text = file and file:read "a"
    if file then file:close() end
  end
  if text == agent.text then return end
  agent.text, agent.changed_ms = text, math.floor(agent.clock:now() * 1000)
end

--- Loads a script and calls its `start`. nil and why not: nothing of it is left.
function version.load(agent)
  local self = {agent = agent, handlers = {}, timers = {}, schedules = {}, directory = agent.path:match("^(.*)/[^/]*$") or "."}
  self.core = core.make(self)
  environment.install(self)
  note_change(agent)
  local fine, problem = version.call(self, function()
    local chunk, refusal
    if agent.options.source then
      chunk, refusal = load(agent.options.source, "@" .. agent.path, "t", self.globals)
    else
      chunk, refusal = loadfile(agent.path, "t", self.globals)
    end
    if not chunk then error(refusal, 0) end
    self.agent_table = check(agent.path, chunk())
  end)
  self.verdict = self.core.verdict
  if fine and self.agent_table.start then
    fine, problem = version.call(self, function() self.agent_table.start(version.context(self)) end)
  end
  if fine then return self end
  version.close(self)
  return nil, problem
end

--- `ctx`.
function version.context(self, one)
  local agent = self.agent
  local molecule = self.globals.require "molecule"
  local ctx = {workspace = agent.workspace, options = {}, log = molecule.log, progress = self.core.progress,
    artifact = self.globals.require("molecule.artifacts").artifact}
  for name, value in pairs(agent.options.options) do ctx.options[name] = value end
  if one then
    ctx.attempt, ctx.redelivered = one.attempts, one.attempts > 1
    ctx.deadline = agent.timeout > 0 and agent.clock:now() + agent.timeout or nil
    for _, name in ipairs {"step", "sleep", "sleep_until"} do ctx[name] = self.globals.require("molecule.steps")[name] end
    for _, name in ipairs {"ask", "auth_required"} do ctx[name] = self.globals.require("molecule.questions")[name] end
  end
  return ctx
end

--- Its timers end, and its handlers too if it was killed.
function version.close(self, killed)
  schedules.stop(self)
  for timer in pairs(self.timers) do timer.cancelled = true end
  self.timers = {}
  local left = {}
  for one in pairs(self.handlers) do left[#left + 1] = one end
  for _, one in ipairs(killed and left or {}) do handler.abandon(one) end
end

--- molecule.every and molecule.after.
function version.add_timer(self, seconds, fn, repeats)
  local agent, timer = self.agent, {}
  local function run()
    timer.event = nil
    if timer.cancelled then return end
    local due = agent.clock:now()
    handler.start(self, {body = function() fn(version.context(self)) end, timeout = agent.timeout, done = function(one, ended)
      if ended.fine then
        agent.store:apply(one.changes)
      else
        agent:note("log", ("error: a timer's function failed%s: %s"):format(repeats and " (it runs again when due)" or "",
          ended.reason))
      end
      local now = agent.clock:now()
      due = due + seconds
      if due < now then due = now + seconds - (now - due) % seconds end -- missed runs are skipped
      if repeats and not timer.cancelled then timer.event = agent.clock:at(due, run) else self.timers[timer] = nil end
    end})
  end
  timer.event = agent.clock:at(agent.clock:now() + seconds, run)
  self.timers[timer] = true
  return {cancel = function()
    local was_due = timer.event ~= nil and not timer.cancelled
    timer.cancelled = true
    if timer.event then timer.event.cancelled = true end
    self.timers[timer] = nil
    return was_due
  end}
end

return version
