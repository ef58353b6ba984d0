--- Requests to an A2A agent: JSON-RPC of 1.0 and 0.3, and HTTP+JSON of 1.0. Their answers, whole or in events.
local core = require "molecule.core"
local json = require "molecule.json"
local parts = require "molecule.a2a.parts"
local problems = require "molecule.a2a.problems"

local map = parts.map

local transport = {}

local ANSWER_MAXIMUM = 64 * 1024 * 1024 -- bytes
local STREAM_MAXIMUM = 1 << 40

--- The headers of a request; `interface` is nil for the card.
function transport.headers(agent, interface)
  local headers, has_authorization = {Accept = "application/json"}, false
  for name, value in pairs(agent.headers) do
    headers[name] = value
    has_authorization = has_authorization or name:lower() == "authorization"
  end
  if agent.token and not has_authorization then headers.Authorization = "Bearer " .. agent.token end
  if interface and interface.version == "1.0" then headers["A2A-Version"] = "1.0" end
  return headers
end

-- Where HTTP+JSON has what is done to a task.
local function task_path(ending)
  return function(params) return "/tasks/" .. transport.escape(params.id) .. ending end
end

local OPERATIONS = {
  send = {new = "SendMessage", old = "message/send", rest = "POST", path = "/message:send"},
  stream = {new = "SendStreamingMessage", old = "message/stream", rest = "POST", path = "/message:stream"},
  task = {new = "GetTask", old = "tasks/get", rest = "GET", path = task_path ""},
  cancel = {new = "CancelTask", old = "tasks/cancel", rest = "POST", path = task_path ":cancel"},
  subscribe = {new = "SubscribeToTask", old = "tasks/resubscribe", rest = "POST", path = task_path ":subscribe"},
  tasks = {new = "ListTasks", rest = "GET", path = "/tasks"},
}

--- For a path or a query.
function transport.escape(value)
  return (tostring(value):gsub("[^%w%-%._~]", function(byte) return ("%%%02X"):format(byte:byte()) end))
end

local function with_query(url, params)
  local list = {}
  for name, value in pairs(params) do
    if name ~= "id" and name ~= "tenant" then list[#list + 1] = name .. "=" .. transport.escape(value) end
  end
  table.sort(list)
  return #list > 0 and url .. "?" .. table.concat(list, "&") or url
end

local function rest_request(interface, operation, params)
  local path = type(operation.path) == "function" and operation.path(params) or operation.path
  local tenant = interface.tenant and "/" .. transport.escape(interface.tenant) or ""
  local url = interface.url:gsub("/$", "") .. tenant .. path
  if operation.rest == "GET" then return {url = with_query(url, params), method = "GET"} end
  return {url = url, method = "POST", body = params.message and json.encode(params) or "{}"}
end

local function rpc_request(interface, operation, params)
  return {url = interface.url, method = "POST", body = json.encode {jsonrpc = "2.0", id = "1",
    method = interface.version == "1.0" and operation.new or operation.old, params = params}}
end

-- What core.http takes.
local function request_of(agent, interface, name, params, timeout)
  local operation = OPERATIONS[name]
  if interface.tenant then params.tenant = interface.tenant end
  local make = interface.binding == "HTTP+JSON" and rest_request or rpc_request
  local request = make(interface, operation, params)
  request.headers = transport.headers(agent, interface)
  if request.body then request.headers["Content-Type"] = "application/json" end
  request.timeout, request.max_bytes = timeout, ANSWER_MAXIMUM
  return request
end

-- The result in a JSON text: of JSON-RPC what `result` holds, of HTTP+JSON all of it.
local function unwrap(interface, url, body)
  local value = json.decode(body)
  if not map(value) then return problems.of_answer(url, body) end
  if map(value.error) then return problems.of_error(url, value.error) end
  if interface.binding == "HTTP+JSON" then return value end
  if not map(value.result) then return problems.of_answer(url, body) end
  return value.result
end

--- Asks -> the result, a table; nil, message, CODE.
function transport.call(agent, interface, name, params, timeout)
  local request = request_of(agent, interface, name, params, timeout)
  request.headers.Accept = "application/json"
  local answer, problem, code = core.http(request)
  if not answer then return nil, problem, code end
  if answer.status < 200 or answer.status > 299 then return problems.of_status(request.url, answer.status, answer.body) end
  return unwrap(interface, request.url, answer.body)
end

local stream = {}
stream.__index = stream

--- Asks for events -> an object with next() and close().
function transport.open(agent, interface, name, params, timeout)
  local request = request_of(agent, interface, name, params, timeout)
  request.headers.Accept, request.max_bytes = "text/event-stream", STREAM_MAXIMUM
  local connection, problem, code = core.http_stream(request)
  if not connection then return nil, problem, code end
  return setmetatable({connection = connection, interface = interface, url = request.url, reader = core.sse(), events = {},
    at = 0}, stream)
end

-- Reads an answer that is not made of events to its end.
local function read_whole(self, first)
  local pieces, size = {first}, #first
  while true do
    local chunk, problem, code = self.connection:read()
    if problem then return nil, problem, code end
    if not chunk then return table.concat(pieces) end
    size = size + #chunk
    if size > ANSWER_MAXIMUM then return nil, self.url .. ": the answer is larger than 64 MiB", "TOO_LARGE" end
    pieces[#pieces + 1] = chunk
  end
end

-- An error before the first event, and the answer of an agent that has no events, come as plain JSON.
local function read_plain(self, first)
  local body, problem, code = read_whole(self, first)
  if not body then return nil, problem, code end
  local status = self.connection:status()
  if status < 200 or status > 299 then return problems.of_status(self.url, status, body) end
  self.ended = true
  return unwrap(self.interface, self.url, body)
end

local function read_event(self, event)
  if not event.data:find "%S" then return nil end
  local value = json.decode(event.data)
  if event.event == "error" and map(value) and not map(value.error) then return problems.of_error(self.url, value) end
  return unwrap(self.interface, self.url, event.data)
end

--- The next value; nil at the end; nil, message, CODE.
function stream:next()
  while not self.ended do
    self.at = self.at + 1
    local event = self.events[self.at]
    if event then
      local value, problem, code = read_event(self, event)
      if value or problem then return value, problem, code end
    else
      local chunk, problem, code = self.connection:read()
      if problem then return nil, problem, code end
      local status = self.connection:status()
      if not self.begun and (status < 200 or status > 299 or chunk and chunk:find "^%s*{") then
        return read_plain(self, chunk or "")
      end
      if not chunk then return nil end
      self.begun = true
      self.events, self.at = self.reader:feed(chunk), 0
    end
  end
end

function stream:close() self.connection:close() end

return transport
