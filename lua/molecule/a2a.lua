--- molecule.a2a: a client of A2A agents (Agent2Agent protocol 1.0 and 0.3), over molecule.http's connections.
--
-- local agent = molecule.a2a("https://agent.example", {token = …}); agent:send("hello") -> {text, parts, state, task_id, …}.
-- Failures are nil, message, CODE: those of molecule.http; UNAUTHORIZED (401, 403), NOT_FOUND (no card), UNAVAILABLE, REFUSED;
-- what the agent's error says (TASK_NOT_FOUND, UNSUPPORTED_OPERATION, …; PEER: nothing that is known); INVALID_AGENT_RESPONSE.
local card = require "molecule.a2a.card"
local check_options = require "molecule.options"
local core = require "molecule.core"
local json = require "molecule.json"
local misuse = require "molecule.misuse"
local parts = require "molecule.a2a.parts"
local shapes = require "molecule.a2a.shapes"
local transport = require "molecule.a2a.transport"

local SEND_TIMEOUT, STREAM_TIMEOUT, ASK_TIMEOUT = 60, 3600, 30 -- seconds
local PAUSE, PAUSE_MAXIMUM = 0.25, 10 -- seconds between two looks at a task
local TIMEOUT_MAXIMUM = 86400

-- What another look at a task may change.
local TRANSIENT = {TIMEOUT = true, RESOLVE = true, CONNECT = true, NETWORK = true, UNAVAILABLE = true, INTERNAL_ERROR = true}

local Agent = {}
Agent.__index = Agent
Agent.__name = "molecule.a2a"

-- The agent's card, from the first time on the one that was fetched.
local function get_card(self)
  if self.known_card then return self.known_card end
  local value, problem, code = card.fetch(self)
  if not value then return nil, problem, code end
  self.known_card = value
  return value
end

-- The interface to ask.
local function interface_of(self)
  if self.interface then return self.interface end
  local value, problem, code = get_card(self)
  local chosen
  if value then
    chosen, problem, code = card.choose(self, value)
  elseif code == "NOT_FOUND" and self.version then
    chosen = {url = self.url, binding = "JSONRPC", version = self.version}
  end
  self.interface = chosen
  return chosen, problem, code
end

local function ask(self, name, params, timeout)
  local interface, problem, code = interface_of(self)
  if not interface then return nil, problem, code end
  return transport.call(self, interface, name, params, timeout or self.timeout or ASK_TIMEOUT)
end

local function check_timeout(what, timeout)
  if timeout and not (timeout > 0 and timeout <= TIMEOUT_MAXIMUM) then
    misuse(what .. ": timeout must be above 0 and at most 86400 s")
  end
end

local function check_count(what, name, value, least)
  if value == nil then return end
  if math.type(value) ~= "integer" or value < least or value > 1000000 then
    misuse(("%s: %s must be an integer from %d to 1000000"):format(what, name, least))
  end
end

local function check_id(what, id)
  if type(id) ~= "string" or id == "" then misuse(what .. ": the first argument must be the id of a task") end
end

local MESSAGE = {text = "string", parts = "table", context_id = "string", task_id = "string", metadata = "table",
  message_id = "string"}

-- A script's message, checked: {parts, context_id, task_id, metadata, message_id}.
local function check_message(what, given)
  if type(given) == "string" then given = {text = given} end
  if type(given) ~= "table" then misuse(("%s: a text or a table expected, not a %s"):format(what, type(given))) end
  local message = check_options(what, given, MESSAGE)
  local list = {}
  if message.text and message.text ~= "" then list[1] = {text = message.text} end
  for _, part in ipairs(message.parts or {}) do list[#list + 1] = part end
  message.parts = list
  parts.write(what, list, "1.0")
  local _, problem = json.encode {list, message.metadata}
  if problem then misuse(("%s: parts and metadata must be JSON: %s"):format(what, problem)) end
  message.message_id = message.message_id or core.ask_id("a2a")
  return message
end

-- Params of a send, for the wire.
local function compose(what, message, options, interface)
  local new = interface.version == "1.0"
  local sent = {messageId = message.message_id, role = new and "ROLE_USER" or "user", kind = not new and "message" or nil,
    parts = parts.write(what, message.parts, interface.version), contextId = message.context_id, taskId = message.task_id,
    metadata = message.metadata}
  local configuration = {historyLength = options.history}
  if options.wait ~= nil and new then configuration.returnImmediately = not options.wait end
  if options.wait ~= nil and not new then configuration.blocking = options.wait end
  if options.push then
    configuration[new and "taskPushNotificationConfig" or "pushNotificationConfig"] = {url = options.push.url,
      token = options.push.token}
  end
  return {message = sent, configuration = next(configuration) and configuration or nil}
end

local function check_push(what, push)
  if not push then return end
  push = check_options(what .. ": push", push, {url = "string", token = "string"})
  if not push.url then misuse(what .. ": push needs a url") end
end

local function time_out(result, timeout)
  return nil, ("a2a: task %s is still %s after %g s"):format(result.task_id, result.state, timeout), "TIMEOUT", result
end

-- Looks at a task that is under way until it is not, or the time is up.
local function await(self, result, options, ends)
  local pause = PAUSE
  while result.task and shapes.is_under_way(result.state) do
    local left = ends - core.elapsed()
    if left <= 0 then return time_out(result, options.timeout) end
    core.sleep(math.min(pause, left))
    pause = math.min(pause * 2, PAUSE_MAXIMUM)
    left = ends - core.elapsed()
    if left <= 0 then return time_out(result, options.timeout) end
    local value, problem, code = ask(self, "task", {id = result.task_id, historyLength = options.history}, left)
    local newer = value and shapes.result {task = value}
    if newer then
      result = newer
    elseif not TRANSIENT[code or ""] then
      return nil, problem or "a2a: the answer is not a task", code or "INVALID_AGENT_RESPONSE", result
    end
  end
  return result
end

-- Sends, and waits -> the result as it came: {kind = value} for shapes.result to read again.
local function send(self, message, options)
  local ends = core.elapsed() + options.timeout
  local interface, problem, code = interface_of(self)
  if not interface then return nil, problem, code end
  local params = compose("a2a: send", message, options, interface)
  local value
  value, problem, code = transport.call(self, interface, "send", params, math.max(ends - core.elapsed(), 0.001))
  if code == "TIMEOUT" then
    problem = ("%s: no answer within %g s; with wait = false an agent gives its task at once"):format(interface.url,
      options.timeout)
  end
  if not value then return nil, problem, code end
  local result = shapes.result(value)
  if not result then
    return nil, interface.url .. ": the answer is neither a task nor a message", "INVALID_AGENT_RESPONSE"
  end
  if not options.wait then return result end
  return await(self, result, options, ends)
end

-- The files in what was recorded are plain tables.
local function dress(result)
  local files = require "molecule.files"
  local function each(one)
    if type(one) == "table" and one.files then files.adopt(one.files) end
  end
  each(result)
  each(result.message)
  if not result.task then return result end
  each(result.task)
  each(result.task.message)
  for _, list in ipairs {result.task.artifacts, result.task.history or {}} do
    for _, one in ipairs(list) do each(one) end
  end
  return result
end

--- Sends a message and waits for the answer -> {text, parts, files, state, context_id, task_id, task, message}. A task under
--- way is asked for again, until it ends or asks for something; TIMEOUT has what there is so far as a fourth value.
function Agent:send(message, options)
  local what = "a2a: send"
  options = check_options(what, options, {timeout = "duration", wait = "boolean", history = "number", step = "string",
    push = "table"})
  check_timeout(what, options.timeout)
  check_count(what, "history", options.history, 0)
  check_push(what, options.push)
  local plain = check_message(what, message)
  if #plain.parts == 0 then return nil, "a2a: nothing to send", "EMPTY" end
  options.timeout, options.wait = options.timeout or self.timeout or SEND_TIMEOUT, options.wait ~= false
  if not options.step then return send(self, plain, options) end
  local given = {url = self.url, parts = plain.parts, context_id = plain.context_id, task_id = plain.task_id}
  local result, problem, code, partial = require "molecule.once"("a2a", options.step, given,
    function() return send(self, plain, options) end)
  if not result then return nil, problem, code, partial end
  return dress(result)
end

-- Raised at the line of the loop; a script that wants to know finds the CODE at the end.
local function fail(problem, code) error(("a2a: %s [%s]"):format(problem, code), 3) end

-- An agent without streams is asked without: its answer is the one event.
local function send_alone(self, message, options)
  local given = {timeout = math.min(options.timeout, TIMEOUT_MAXIMUM), wait = true, push = options.push}
  local result, problem, code = send(self, message, given)
  if not result then return nil, problem, code end
  result.kind, result.final = result.task and "task" or "message", true
  return result
end

-- The iterator of a loop, its state, and what closes the connection at the loop's end. `open` -> a stream, or an event that
-- is all there is.
local function events(open)
  local state = {}
  local guard = setmetatable({}, {__close = function() if state.stream then state.stream:close() end end})
  local function next_event()
    if state.ended then return nil end
    if not state.stream then
      local stream, problem, code = open()
      if problem then return nil, problem, code end
      if stream.kind then
        state.ended = true
        return stream
      end
      state.stream = stream
    end
    while true do
      local value, problem, code = state.stream:next()
      if problem then return nil, problem, code end
      if not value then return nil end
      local event, is_last = shapes.event(value)
      state.ended = is_last -- some agents leave the connection open
      if event then return event end
    end
  end
  return function()
    local event, problem, code = next_event()
    state.ended = state.ended or not event
    if state.ended and state.stream then state.stream:close() end
    if problem then fail(problem, code) end
    return event
  end, nil, nil, guard
end

--- Sends a message and iterates what the agent does about it: for event in agent:stream("…") do … end. A failure raises. The end
--- of the loop, by any way, closes the connection.
function Agent:stream(message, options)
  local what = "a2a: stream"
  options = check_options(what, options, {timeout = "duration", history = "number", push = "table"})
  check_timeout(what, options.timeout)
  check_count(what, "history", options.history, 0)
  check_push(what, options.push)
  local plain = check_message(what, message)
  if #plain.parts == 0 then misuse(what .. ": nothing to send") end
  options.timeout = options.timeout or STREAM_TIMEOUT
  return events(function()
    local interface, problem, code = interface_of(self)
    if not interface then return nil, problem, code end
    local able = parts.map(self.known_card and self.known_card.capabilities)
    if self.known_card and not (able and able.streaming == true) then return send_alone(self, plain, options) end
    return transport.open(self, interface, "stream", compose(what, plain, options, interface), options.timeout)
  end)
end

--- Iterates what comes of a task that is under way; first the task as it is.
function Agent:subscribe(id, options)
  check_id("a2a: subscribe", id)
  options = check_options("a2a: subscribe", options, {timeout = "duration"})
  check_timeout("a2a: subscribe", options.timeout)
  return events(function()
    local interface, problem, code = interface_of(self)
    if not interface then return nil, problem, code end
    return transport.open(self, interface, "subscribe", {id = id}, options.timeout or STREAM_TIMEOUT)
  end)
end

-- A task in an answer.
local function read_task(value, problem, code)
  if not value then return nil, problem, code end
  local result = shapes.result {task = parts.map(value.task) or value}
  if not result then return nil, "a2a: the answer is not a task", "INVALID_AGENT_RESPONSE" end
  return result.task
end

--- A task as it is now; `history`: with so many of its messages.
function Agent:task(id, options)
  check_id("a2a: task", id)
  options = check_options("a2a: task", options, {history = "number"})
  check_count("a2a: task", "history", options.history, 0)
  return read_task(ask(self, "task", {id = id, historyLength = options.history}))
end

--- Cancels a task -> the task.
function Agent:cancel(id)
  check_id("a2a: cancel", id)
  return read_task(ask(self, "cancel", {id = id}))
end

--- The tasks that we may see, the latest first -> {tasks, next_page_token, total}.
function Agent:tasks(options)
  local what = "a2a: tasks"
  options = check_options(what, options, {context_id = "string", state = "string", page_size = "number", page_token = "string"})
  check_count(what, "page_size", options.page_size, 1)
  if options.state and not shapes.STATES[options.state] then
    misuse(("%s: state must be a task's state, as \"working\", not %q"):format(what, options.state))
  end
  local interface, problem, code = interface_of(self)
  if not interface then return nil, problem, code end
  if interface.version ~= "1.0" then
    return nil, interface.url .. ": A2A 0.3 has no list of tasks", "UNSUPPORTED_OPERATION"
  end
  local value
  value, problem, code = ask(self, "tasks", {contextId = options.context_id, pageSize = options.page_size,
    pageToken = options.page_token, status = options.state and shapes.write_state(options.state) or nil})
  if not value then return nil, problem, code end
  local list = json.array {}
  for i, one in ipairs(parts.map(value.tasks) or {}) do list[i] = shapes.task(one) end
  local token = parts.text(value.nextPageToken)
  return {tasks = list, next_page_token = token ~= "" and token or nil, total = math.tointeger(value.totalSize)}
end

--- The agent's card, as it wrote it; fetched once, or again with refresh = true.
function Agent:card(options)
  options = check_options("a2a: card", options, {refresh = "boolean"})
  if options.refresh then self.known_card, self.interface = nil, nil end
  return get_card(self)
end

local function call_tool(self, arguments, options)
  local message = parts.text(parts.map(arguments) and arguments.message)
  if not message or not message:find "%S" then return nil, "the argument `message` must be a text", "EMPTY" end
  local result, problem, code = self:send(message, options)
  if not result then return nil, problem, code end
  if result.state == "failed" or result.state == "rejected" or result.state == "canceled" then
    return nil, ("the task %s: %s"):format(result.state == "failed" and "failed" or "was " .. result.state,
      result.text or "no reason given"), "PEER"
  end
  return result.text or ""
end

--- The agent as a tool for a language model -> {name, description, parameters, call}; nil, message, CODE without its card.
function Agent:tool(options)
  options = check_options("a2a: tool", options, {timeout = "duration"})
  check_timeout("a2a: tool", options.timeout)
  local value, problem, code = get_card(self)
  if not value then return nil, problem, code end
  local name = (parts.text(value.name) or ""):gsub("[^%w_-]+", "_"):gsub("^_+", ""):gsub("_+$", ""):sub(1, 64)
  return {
    name = name ~= "" and name or "agent",
    description = parts.text(value.description) or "asks another agent",
    parameters = {type = "object", required = json.array {"message"}, properties = {
      message = {type = "string", description = "what to ask the agent, complete: it does not remember earlier calls"}}},
    call = core.public(function(arguments) return call_tool(self, arguments, {timeout = options.timeout}) end),
  }
end

for _, name in ipairs {"send", "stream", "subscribe", "task", "cancel", "tasks", "card", "tool"} do
  Agent[name] = core.public(Agent[name])
end

local function check_headers(given)
  local headers = {}
  for name, value in pairs(given or {}) do
    if type(name) ~= "string" or type(value) ~= "string" and type(value) ~= "number" then
      misuse "a2a: headers must be a table of name = value"
    elseif tostring(value):find "[\r\n\0]" or name:find "[\r\n\0:]" then
      misuse(("a2a: header %s holds a line break or a zero byte"):format(name))
    end
    headers[name] = tostring(value)
  end
  return headers
end

--- An agent at a URL: where its card is below /.well-known/, or its endpoint. Nothing is fetched yet.
return core.public(function(url, options)
  if type(url) ~= "string" or not url:lower():find "^https?://[^/?#]" then
    misuse "a2a: the first argument must be the agent's URL, https://…"
  end
  options = check_options("a2a", options, {token = "string", headers = "table", timeout = "duration", version = "string"})
  check_timeout("a2a", options.timeout)
  if options.version and options.version ~= "1.0" and options.version ~= "0.3" then
    misuse(("a2a: version must be \"1.0\" or \"0.3\", not %q"):format(options.version))
  end
  if options.token and options.token:find "[%c%s]" then misuse "a2a: the token holds a blank or a line break" end
  return setmetatable({url = url, token = options.token, headers = check_headers(options.headers), timeout = options.timeout,
    version = options.version}, Agent)
end)
