--- A script under test: its messages in order, their attempts and outcomes. src/messages does the same in the host.

local environment = require "molecule.testing.environment"
local handler = require "molecule.testing.handler"
local locks = require "molecule.testing.locks"
local message = require "molecule.testing.message"
local outcome = require "molecule.testing.outcome"
local questions = require "molecule.testing.questions"
local schedules = require "molecule.testing.schedules"
local store = require "molecule.testing.store"
local stubs = require "molecule.testing.stubs"
local tasks = require "molecule.testing.tasks"
local version = require "molecule.testing.version"
local words = require "molecule.testing.words"

local FAILURE_BASE, FAILURE_CAP = 0.5, 60 -- seconds between attempts; the host takes a random part of it
local OPTIONS = {options = "table", env = "table", source = "string", workspace = "string", timeout = "any",
  max_attempts = "number",
  error_reply = "string", reply_ttl = "any", concurrency = "number", store = "table"}

---@class TestAgent
local Agent = {}
Agent.__index = Agent

local agent = {}

local function check_options(given)
  local names = {}
  for name in pairs(OPTIONS) do names[#names + 1] = name end
  for name, value in pairs(given) do
    if not OPTIONS[name] then
      local best = words.nearest(tostring(name), names)
      error(("agent: unknown option '%s'%s"):format(name, best and ("; did you mean '%s'?"):format(best) or ""), 4)
    elseif OPTIONS[name] ~= "any" and type(value) ~= OPTIONS[name] then
      error(("agent: the option %s is a %s, not a %s"):format(name, OPTIONS[name], type(value)), 4)
    end
  end
end

--- Loads a script.
---@param shared {clock: TestClock, json: table, version: string}
---@param path string
---@param given table?
---@return TestAgent
function agent.new(shared, path, given)
  given = given or {}
  check_options(given)
  local self = setmetatable({path = path, clock = shared.clock, json = shared.json, version_text = shared.version,
    options = {options = given.options or {}, env = given.env or {}, source = given.source},
    workspace = given.workspace or words.uuid(), timeout = words.seconds(given.timeout or 300),
    max_attempts = given.max_attempts or 5, error_reply = given.error_reply, reply_ttl = words.seconds(given.reply_ttl or 86400),
    concurrency = given.concurrency, entries = {}, uploads = {}, peers = {}, peer_list = {}, log = {}, progress = {}, sent = {},
    artifacts = {}, runs = {}, last_runs = {}, questions = {}, asked = {}, question_count = 0, dead = {}, locks = locks.new(),
    is_ours = environment.is_ours}, Agent)
  self.store = store.new(shared.json, shared.clock)
  for key, value in pairs(given.store or {}) do self.store:set(key, value) end
  self.stubs = stubs.new(self)
  self.calls = self.stubs.calls
  local loaded, problem = version.load(self)
  if not loaded then error("the script does not load: " .. problem, 3) end
  self.version = loaded
  schedules.go(loaded)
  return self
end

--- Adds to what the running message led to, and to what the agent did in all.
function Agent:note(kind, value, parts)
  table.insert(self[kind], value)
  local entry = self.active and self.active.entry
  if entry then
    table.insert(entry.result[kind], value)
    for _, part in ipairs(parts or {}) do
      if kind == "progress" and part.kind == "file" then table.insert(entry.result.files, outcome.file_of(part)) end
    end
  end
end

function Agent.add_timer(_, one, ...) return version.add_timer(one, ...) end

-- --- stubs ---

--- Answers to requests: see lua/molecule/testing/stubs.lua.
function Agent:http(method, url, answer) self.stubs:add_http(method, url, answer) return self end
function Agent:exec(command, answer) self.stubs:add_exec(command, answer) return self end

--- A workspace that the agent may talk to.
---@param id string
---@param answer string|table|fun(text: string, said: table): any nil: it is left in its inbox; nil, problem, code: it failed
---@param about {name: string?, role: string?}?
function Agent:peer(id, answer, about)
  local peer = {id = id, answer = answer, name = about and about.name, role = about and about.role}
  if not self.peers[id] then self.peer_list[#self.peer_list + 1] = peer end
  self.peers[id] = peer
  return self
end

-- --- outcomes ---

local function finish(self, entry, kind, reason)
  entry.state, entry.said = "finished", nil
  self.dead[entry.result] = kind == "dead" and entry or nil
  questions.forget(self, entry)
  entry.result.outcome, entry.result.reason, entry.result.again_in = kind, reason, nil
  self:pump()
end

local function give_up(self, entry, reason)
  if self.error_reply and not entry.row.run then entry.result.reply = self.error_reply end
  finish(self, entry, "dead", reason)
end

local function later(self, entry, kind, delay, hold, reason, epoch)
  entry.state, entry.hold = "later", hold
  entry.result.outcome, entry.result.reason, entry.result.again_in = kind, reason, delay
  entry.due = self.clock:at(epoch or self.clock:now() + delay, function()
    if entry.state == "later" then entry.state = "queued" end
    self:pump()
  end)
  self:pump()
end

-- Until it is due, or its question has an answer.
local function sleep(self, entry, ended)
  local is_over = false
  for _, key in ipairs(ended.asks) do is_over = is_over or not questions.find(self, entry, key) end
  local delay = is_over and 0 or math.max(ended.epoch - self.clock:now(), 0)
  entry.attempts, entry.since, entry.asks = entry.attempts - 1, entry.since + delay, ended.asks[1] and ended.asks
  later(self, entry, "asleep", delay, ended.hold, ended.reason, ended.epoch)
  if delay > 0 then return end
  self:wake(entry)
  self:pump()
end

--- What it waits for has happened: it is handled when it is its turn.
function Agent:wake(entry)
  if entry.state ~= "later" then return end
  local left = math.max(entry.due.at - self.clock:now(), 0)
  if entry.result.outcome == "asleep" then entry.since = entry.since - left end
  entry.state, entry.due.cancelled = "queued", true
end

local function failure_delay(failures)
  return math.min(FAILURE_BASE * 2 ^ (failures - 1), FAILURE_CAP)
end

local applied = {}

function applied.failed(self, entry, read)
  entry.failures = entry.failures + 1
  entry.result.error, entry.result.traceback = read.reason, read.traceback
  if read.hopeless or entry.failures >= self.max_attempts then return give_up(self, entry, read.reason) end
  later(self, entry, "failed", failure_delay(entry.failures), true, read.reason)
end

function applied.retry(self, entry, read)
  local delay = read.after or failure_delay(entry.attempts)
  if delay < 0.1 and entry.attempts > 3 then delay = 0.1 end
  local reason = read.reason or "the script asked for a retry"
  entry.retries = (entry.retries or 0) + 1
  if self.reply_ttl > 0 and self.clock:now() - entry.since > self.reply_ttl then return give_up(self, entry, reason) end
  later(self, entry, "retry", delay, read.hold, reason)
end

function applied.dead(self, entry, read) finish(self, entry, "dead", read.reason or "dead-lettered by the script") end

-- Elsewhere than in a task the reason is the reply.
function applied.rejected(self, entry, read)
  if entry.row.task or entry.row.run or not read.reason then return finish(self, entry, "rejected", read.reason) end
  entry.result.reply = read.reason
  finish(self, entry, "replied")
end

function applied.replied(self, entry, read)
  local reply, result = read.reply, entry.result
  result.reply, result.parts, result.as_message = reply.text, reply.parts, entry.row.task and read.as_message
  if entry.row.task then tasks.add(self, entry, read.artifacts) end
  for _, file in ipairs(reply.files) do
    local id = file.uri and file.uri:match("^platform%-pending:[^/]*/([%w%-]+)$")
    file.data = file.bytes and words.base64_decode(file.bytes) or id and self.uploads[id]
    file.size = file.size or file.data and #file.data
    table.insert(result.files, file)
  end
  finish(self, entry, "replied")
end

local function apply(self, entry, one, ended)
  local read
  if ended.asleep then
    return sleep(self, entry, ended)
  elseif ended.fine then
    read = outcome.read(self.json, one.version.verdict, ended.results[2], ended.results[3])
  else
    read = {kind = "failed", reason = ended.reason, traceback = ended.traceback, hopeless = ended.misuse}
  end
  if read.kind == "replied" then
    local reply, problem = outcome.deliver(self.json, read, entry.row.task and "task"
      or entry.row.from == "canvas" and "canvas" or "peer")
    if not reply then return finish(self, entry, "dead", problem) end
    read.reply = reply
  end
  if read.kind ~= "failed" then self.store:apply(one.changes) end
  local known = applied[read.kind]
  if known then return known(self, entry, read) end
  finish(self, entry, read.kind, read.reason)
end

-- --- attempts ---

local function handle(self, entry, one)
  if entry.row.run then return schedules.call(one, entry.row.run, version.context(one, entry)) end
  local msg = message.read(self, entry.row)
  local ctx = version.context(one, entry)
  if #msg.files > 0 then one.globals.require("molecule.files").adopt(msg.files) end
  local results = table.pack(one.agent_table.handle(msg, ctx))
  local value = results[1]
  if type(value) == "table" and rawget(value, "files") ~= nil then
    results[1] = one.globals.require("molecule.files").attach(value, entry.row.from == "canvas", entry.row.id)
  end
  if one.running.steps then one.globals.require("molecule.step_state").finish() end
  return table.unpack(results, 1, results.n)
end

local function start(self, entry)
  local one = self.version
  entry.state, entry.attempts, entry.asks = "running", entry.attempts + 1, nil
  entry.result.attempts = entry.attempts
  handler.start(one, {entry = entry, timeout = self.timeout, body = function() return handle(self, entry, one) end,
    done = function(run, ended) apply(self, entry, run, ended) end})
end

-- An earlier message of its conversation that has to be over first; nil.
local function find_blocking(self, entry)
  for _, other in ipairs(self.entries) do
    if other == entry then return nil end
    local waits = other.state == "running" or other.state == "queued" or other.state == "later" and other.hold
    if waits and other.row.conversation == entry.row.conversation then return other end
  end
end

local function next_entry(self)
  local running, chosen = 0, nil
  for _, entry in ipairs(self.entries) do
    if entry.state == "running" then running = running + 1 end
    if not chosen and entry.state == "queued" and not find_blocking(self, entry) then chosen = entry end
  end
  local most = self.concurrency or self.version.agent_table.concurrency or 1
  return running < most and chosen or nil
end

--- Starts what may run.
function Agent:pump()
  if self.pumping then return end
  self.pumping = true
  for entry in next_entry, self do start(self, entry) end
  self.pumping = false
  for i = #self.entries, 1, -1 do
    if self.entries[i].state == "finished" then table.remove(self.entries, i) end
  end
end

local function name_conversation(self, row)
  local one = self.version
  local name = one.agent_table.conversation
  if not name then return end
  local key
  handler.start(one, {may_not_wait = "conversation(msg)", body = function() return name(message.read(self, row)) end,
    done = function(_, ended)
      if not ended.fine then
        self:note("log", "warn: conversation(msg) failed: " .. ended.reason)
      elseif ended.results[2] ~= nil then
        key = ended.results[2]
      end
    end})
  if key ~= nil and (type(key) ~= "string" or key == "" or #key > 512 or key:find("%z")) then
    self:note("log", "warn: conversation(msg) must return a string of 1 to 512 bytes or nil")
  elseif key then
    row.conversation = key
  end
end

--- Fails the test for what was not stubbed.
function Agent:check(level)
  local problem = table.remove(self.stubs.failures, 1)
  self.stubs.failures = {}
  if problem then error(problem, level + 1) end
end

-- --- what a test does ---

-- Whom a message that answers none tells what would be an answer.
local function give_hint(self, row, result, hint)
  local kind = row.from == "canvas" and "progress" or "sent"
  local told = kind == "sent" and {to = row.from, text = hint, in_reply_to = message.read(self, row).message_id} or hint
  for _, list in ipairs {self[kind], result[kind]} do list[#list + 1] = told end
end

-- The message's result, and the entry whose handler it starts.
local function post(self, given)
  local row = message.row(self, given)
  local result = {attempts = 0, progress = {}, log = {}, sent = {}, files = {}, steps = {}, questions = {}, artifacts = {},
    task = row.task and {id = row.task.id, context_id = row.task.context_id}, id = row.id}
  local question, answer, hint = questions.match(self, row)
  if question then
    result.outcome = "answer"
    questions.close(self, question, answer)
    return result, question.entry
  end
  if hint then give_hint(self, row, result, hint) end
  if row.task and row.task.continues then -- what it says is none of the choices
    result.outcome = "answer"
    return result, {state = "finished"}
  end
  name_conversation(self, row)
  local entry = {row = row, result = result, state = "queued", attempts = 0, failures = 0, since = self.clock:now(), steps = {}}
  if row.in_reply_to and not self.version.agent_table.answers_replies then
    entry.state, result.outcome = "finished", "answer"
    return result, entry
  end
  table.insert(self.entries, entry)
  self:pump()
  return result, entry
end

-- Lets the time pass that its handler takes. One that is behind a question nobody has answered waits on.
local function await(self, entry)
  while entry.state == "running" or entry.state == "queued" do
    local blocking = entry.state == "queued" and find_blocking(self, entry)
    if blocking and blocking.state == "later" and blocking.asks then break end
    self:check(3)
    if not self.clock:step() then error("the handler waits for something that does not come", 3) end
  end
  self:check(3)
end

--- A message that the test does not wait for: its result fills as the clock moves.
---@param given string|table a text, or {text, from, files, parts, context_id, …}
---@return table result
function Agent:post(given)
  local result = post(self, given)
  self:check(2)
  return result
end

--- A message, and the time that its handler takes. Ends when the message has its outcome, or is to be handled again later.
---@param given string|table
---@return table result {outcome, reply, reason, progress, log, sent, files, steps, questions, parts, attempts, again_in, error,
---  traceback}
function Agent:send(given)
  local result, entry = post(self, given)
  await(self, entry)
  return result
end

--- Answers a question, as whom it asked, and lets its handler run.
---@param given string|{text: string, files: table?}
---@param options {code: string?, from: string?}? from: "operator" answers as `molecule answer` does
---@return table result of the message whose handler asked
function Agent:answer(given, options)
  local question, value = questions.answered(self, given, options)
  questions.close(self, question, value)
  await(self, question.entry)
  return question.entry.result
end

--- Cancels a question, as `molecule answer --cancel` does, and lets its handler run.
---@param code string? needed where several are open
---@return table result of the message whose handler asked
function Agent:cancel_question(code)
  local question, value = questions.canceled(self, code)
  questions.close(self, question, value)
  await(self, question.entry)
  return question.entry.result
end

--- Hands a dead letter to the script again, as `molecule dead retry` does. What its steps recorded stays.
---@param result table of the message
---@return table result the same
function Agent:retry(result)
  local entry = self.dead[result] or error("retry takes the result of a dead letter", 2)
  self.dead[result], result.outcome, result.reason, result.reply = nil, nil, nil, nil
  entry.state, entry.attempts, entry.failures, entry.since = "queued", 0, 0, self.clock:now()
  table.insert(self.entries, entry)
  self:pump()
  await(self, entry)
  return result
end

--- Lets the time pass until every message has its final outcome.
function Agent:settle()
  while #self.entries > 0 do
    self:check(2)
    if not self.clock:step() then error("a handler waits for something that does not come", 2) end
  end
  self:check(2)
end

--- The process is killed and starts again: what was under way is handled again, what a handler changed in the store is gone.
function Agent:restart()
  version.close(self.version, true)
  local loaded, problem = version.load(self)
  if not loaded then error("the script does not load: " .. problem, 2) end
  self.version, self.pumping = loaded, false
  for _, entry in ipairs(self.entries) do
    if entry.state == "running" then entry.state = "queued" end
  end
  schedules.go(loaded)
  self:pump()
  self:check(2)
end

--- Loads the script's file again, or the text that is given. What runs ends with the version that it began with.
---@param source string?
---@return boolean loaded, string? problem false: the version before stays
function Agent:reload(source)
  local before, text = self.version, self.options.source
  self.options.source = source or text
  local loaded, problem = version.load(self)
  if not loaded then
    self.options.source = text
    return false, problem
  end
  self.version = loaded
  version.close(before)
  local stop = before.agent_table.stop
  if stop then version.call(before, function() stop(version.context(before)) end, 5) end
  schedules.go(loaded)
  self:pump()
  self:check(2)
  return true
end

--- Stops it: its `stop` is called, its timers end.
function Agent:stop()
  local stop = self.version.agent_table.stop
  local fine, problem = true, nil
  if stop then fine, problem = version.call(self.version, function() stop(version.context(self.version)) end, 5) end
  self:close()
  return fine, problem
end

--- It is gone, without a word.
function Agent:close()
  version.close(self.version, true)
  for _, entry in ipairs(self.entries) do
    if entry.due then entry.due.cancelled = true end
  end
  self.entries, self.asked, self.questions, self.dead = {}, {}, {}, {}
end

return agent
