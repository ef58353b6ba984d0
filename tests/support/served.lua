--- `molecule serve` as a fixture, and what an A2A client says to it.
---
---     local one = served.start { script = served.WORDS }
---     local task = one:send("echo hello").task
---     local stream = one:stream "count"
---     for _, event in ipairs(stream:finish()) do … end
---     one:stop()

local cjson = require "cjson"
local uv = require "luv"
local host = require "tests.support.host"
local http = require "tests.support.http"
local loop = require "tests.support.loop"
local server = require "tests.support.server"

---@class Served
---@field host Host
---@field port integer? nil: only a unix socket
---@field url string
local Served = {}
Served.__index = Served

---@class Stream
---@field exchange Exchange
local Stream = {}
Stream.__index = Stream

local served = {}

--- An agent that does what the first word of a message says. `gate` waits until the test lets it go (served.gate).
served.WORDS = [[
local molecule = require "molecule"
local words = {}

function words.echo(_, _, rest) return "echo " .. rest end

function words.gate(_, ctx, rest)
  ctx.progress "at the gate"
  molecule.http.get(ctx.options.gate .. "/" .. rest)
  return "through"
end

function words.progress(_, ctx)
  ctx.progress "one"
  ctx.progress "two"
  return "done"
end

function words.count(_, ctx)
  ctx.artifact {name = "numbers", text = "1 "}
  ctx.artifact {name = "numbers", text = "2 ", append = true}
  ctx.artifact {name = "numbers", text = "3", append = true, last = true}
end

function words.pieces()
  return {text = "with pieces", artifacts = {{name = "first", text = "1"},
    {name = "second", parts = {{kind = "data", data = {n = 2}}}}}}
end

function words.message() return {text = "a message", as_message = true} end

function words.ask(_, ctx, rest)
  local choices = rest == "choices" and {"yes", "no"} or nil
  local answer, problem, code = ctx.ask("Which?", {choices = choices})
  return answer and ("answer " .. (answer.choice or answer.text)) or (code .. " " .. problem)
end

function words.login(_, ctx)
  local answer = ctx.auth_required "Log in first."
  return "logged in by " .. answer.text
end

function words.reject(_, _, rest) return molecule.reject(rest) end
function words.dead(_, _, rest) return molecule.dead(rest) end
function words.fail(_, _, rest) error("inner detail " .. rest) end
function words.skip() return molecule.skip "no need" end

return {
  name = "words",
  concurrency = 16,
  handle = function(msg, ctx)
    local word, rest = msg.text:match "^(%S+) ?(.*)$"
    return words[word](msg, ctx, rest)
  end,
}
]]

---@class Gate what scripts wait at
---@field url string
---@field names string[] of those that came, in order

---A web server whose answers come when the test says so: those who ask wait at it.
---@return Gate
function served.gate()
  local waiting, names, open = {}, {}, false
  local web = server.start(function(request, reply)
    names[#names + 1] = request.path:sub(2)
    if open then reply(200, "go") else waiting[#waiting + 1] = reply end
  end)
  local gate = { url = web.url, names = names }
  ---Waits until so many came.
  function gate.wait(count)
    assert(loop.wait(function() return #names >= count end), "nobody came to the gate")
  end
  ---Lets go who waits, and who comes later.
  function gate.open()
    open = true
    for _, reply in ipairs(waiting) do reply(200, "go") end
    waiting = {}
  end
  ---Lets go who waits now.
  function gate.pass()
    local now = waiting
    waiting = {}
    for _, reply in ipairs(now) do reply(200, "go") end
  end
  return gate
end

---Starts it on a free port and waits until it serves. By default everybody may ask.
---@param options {script: string?, scripts: table<string, string>?, args: string[]?, tokens: string?, state_dir: string?,
---  gate: Gate?, listen: string?, secrets: string[]?, env: table?}
---  scripts: several, by name; tokens: the text of --auth-token-file
---@return Served
function served.start(options)
  local self = setmetatable({ directory = host.directory(), count = 0 }, Served)
  local words, expected = {}, 1
  if options.scripts then
    expected = 0
    for name, text in pairs(options.scripts) do
      expected = expected + 1
      words[#words + 1] = host.write(("%s/%s.lua"):format(self.directory, name), text)
    end
  else
    words[1] = host.write(self.directory .. "/agent.lua", options.script or served.WORDS)
  end
  self.script_path = words[1]
  local function add(...)
    for _, word in ipairs { ... } do words[#words + 1] = word end
  end
  add("--listen", options.listen or "127.0.0.1:0")
  if options.gate then add("--script-opt", "gate=" .. options.gate.url) end
  if options.tokens then
    self.token_file = host.write(self.directory .. "/tokens", options.tokens)
    uv.fs_chmod(self.token_file, 384)
    add("--auth-token-file", self.token_file)
  else
    add "--no-auth"
  end
  add(table.unpack(options.args or {}))
  self.host = host.serve(words, { state_dir = options.state_dir, secrets = options.secrets, env = options.env,
    directory = self.directory })
  self.process = self.host.process
  self.url = self.host:log "listening at ":match "listening at (%S+)"
  self.port = math.tointeger(tonumber(self.url:match ":(%d+)$"))
  local from = 1
  for _ = 1, expected do
    local _, at = self.host:log(": serving ", { from = from })
    from = at + 1
  end
  return self
end

---@param signal string? "sigterm"
---@param code integer? 0
function Served:stop(signal, code) self.host:stop(signal, code) end

---Ends it without a chance to clean up.
function Served:kill() self.host:kill() end

-- --- requests ---

---Starts a call; `more` may have token, version ("1.0"; false: none), path, id and headers.
---@param method string
---@param params table
---@param more table?
---@return Exchange
function Served:start(method, params, more)
  more = more or {}
  self.count = self.count + 1
  local headers = {}
  if more.version ~= false then headers["A2A-Version"] = more.version or "1.0" end
  for name, value in pairs(more.headers or {}) do headers[name] = value end
  return http.start { port = self.port, method = "POST", path = more.path or "/", token = more.token, headers = headers,
    json = { jsonrpc = "2.0", id = more.id or self.count, method = method, params = params } }
end

---@return Exchange finished
function Served:call(method, params, more) return self:start(method, params, more):wait() end

local function told(exchange) return ("%s %s"):format(exchange.status or exchange.problem, exchange.body) end

---The result of a call; fails when there is none.
function Served:result(method, params, more)
  local exchange = self:call(method, params, more)
  local result = exchange.status == 200 and exchange.json and exchange.json.result
  return result or error(("%s: %s\n%s"):format(method, told(exchange), self.process:report()), 2)
end

---The error of a call: code, text. Fails when there is none.
---@return integer code, string text, table error
function Served:problem(method, params, more)
  local exchange = self:call(method, params, more)
  local problem = exchange.status == 200 and exchange.json and exchange.json.error
  if not problem then error(("%s was not refused: %s"):format(method, told(exchange)), 2) end
  return math.tointeger(problem.code), problem.message, problem
end

local messages = 0

---A message of A2A 1.0.
---@param text string
---@param more table? taskId, contextId, messageId
function served.message(text, more)
  messages = messages + 1
  local message = { messageId = ("m-%d-%d"):format(uv.os_getpid(), messages), role = "ROLE_USER", parts = { { text = text } } }
  for name, value in pairs(more or {}) do message[name] = value end
  return message
end

local function parameters(message, configuration)
  return { message = type(message) == "string" and served.message(message) or message, configuration = configuration }
end

---SendMessage; returns {task =} or {message =}.
---@param message string|table
---@param configuration table?
---@param more table? as of Served:start
function Served:send(message, configuration, more)
  return self:result("SendMessage", parameters(message, configuration), more)
end

---SendMessage with returnImmediately; returns the task.
function Served:begin(message, configuration, more)
  local all = { returnImmediately = true }
  for name, value in pairs(configuration or {}) do all[name] = value end
  return self:send(message, all, more).task
end

function Served:get(id, more) return self:result("GetTask", { id = id }, more) end

---Asks for the task until it is in this state.
function Served:wait_state(id, state, more)
  local deadline = loop.now() + loop.LIMIT_MS
  while true do
    local task = self:get(id, more)
    if task.status.state == "TASK_STATE_" .. state then return task end
    if loop.now() > deadline then
      error(("task %s is %s, not %s\n%s"):format(id, task.status.state, state, self.process:report()), 2)
    end
    loop.flush()
  end
end

---@return Stream
function Served:stream(message, configuration, more)
  return setmetatable({ exchange = self:start("SendStreamingMessage", parameters(message, configuration), more) }, Stream)
end

---@return Stream
function Served:subscribe(id, more)
  return setmetatable({ exchange = self:start("SubscribeToTask", { id = id }, more) }, Stream)
end

-- --- streams ---

---The events so far: the `result` of each.
---@return table[]
function Stream:events()
  local list = {}
  for block in self.exchange.body:gmatch "data: ([^\n]*)\n\n" do
    local value = cjson.decode(block)
    list[#list + 1] = value.result or value
  end
  return list
end

---Waits until so many events came.
---@param count integer
---@return table[] events
function Stream:wait(count)
  local events
  loop.wait(function()
    events = self:events()
    return #events >= count or self.exchange.done
  end)
  if #events < count then error(("%d events, not %d: %s"):format(#events, count, told(self.exchange)), 2) end
  return events
end

---Waits for its end.
---@return table[] events
function Stream:finish()
  self.exchange:wait()
  if self.exchange.status ~= 200 or self.exchange.problem then
    error("the stream: " .. (self.exchange.problem or "") .. " " .. told(self.exchange), 2)
  end
  return self:events()
end

function Stream:close()
  self.exchange:close()
  loop.flush()
end

-- --- what tasks hold ---

---The texts of parts, one after the other.
function served.text(parts)
  local texts = {}
  for _, part in ipairs(parts or {}) do texts[#texts + 1] = part.text end
  return table.concat(texts)
end

---"COMPLETED", and the texts of its artifacts.
---@return string state, string text
function served.outcome(task)
  local texts = {}
  for _, artifact in ipairs(task.artifacts or {}) do texts[#texts + 1] = served.text(artifact.parts) end
  return task.status.state:gsub("^TASK_STATE_", ""), table.concat(texts, "|")
end

---What an event says, in a word: "SUBMITTED", "WORKING one", "+numbers 2 ".
---@return string
function served.word(event)
  if event.task then return (event.task.status.state:gsub("^TASK_STATE_", "")) end
  if event.message then return "message " .. served.text(event.message.parts) end
  if event.statusUpdate then
    local status = event.statusUpdate.status
    local text = status.message and " " .. served.text(status.message.parts) or ""
    return status.state:gsub("^TASK_STATE_", "") .. text
  end
  local update = event.artifactUpdate
  return ("%s%s %s"):format(update.append and "+" or "", update.artifact.name or "reply", served.text(update.artifact.parts))
end

---@return string[]
function served.words(events)
  local list = {}
  for i, event in ipairs(events) do list[i] = served.word(event) end
  return list
end

---Kills what still runs and removes every directory.
function served.clean_up()
  server.stop_all()
  host.clean_up()
  loop.flush()
end

return served
