--- What the world answers to a script under test: http, programs, peers. What is not stubbed fails the test.

local words = require "molecule.testing.words"

local stubs = {}

---@class Stubs
local Stubs = {}
Stubs.__index = Stubs

function stubs.new(agent)
  return setmetatable({agent = agent, http = {}, exec = {}, failures = {}, calls = {}}, Stubs)
end

-- Where in the script the running handler is.
local function place(agent)
  for level = 3, 60 do
    local info = debug.getinfo(level, "Sl")
    if not info then break end
    if info.currentline > 0 and not agent.is_ours(info.source) then return ("%s:%d: "):format(info.short_src,
      info.currentline) end
  end
  return ""
end

--- The call fails, and so does the test, even if the script catches the error.
function Stubs:refuse(what, remedy)
  local text = ("%s%s is not stubbed; add %s"):format(place(self.agent), what, remedy)
  self.failures[#self.failures + 1] = text
  if self.agent.active then self.agent.active.misuse = text end -- no further attempt
  error(text, 0)
end

-- One of several answers in a row; the last stays.
local function next_answer(stub)
  stub.used = stub.used + 1
  return stub.answers[math.min(stub.used, #stub.answers)]
end

local function add(list, stub, answer)
  local is_list = type(answer) == "table" and answer[1] ~= nil
  stub.answers, stub.used = is_list and answer or {answer}, 0
  table.insert(list, 1, stub) -- the newest counts
end

local HTTP_ANSWER = {status = true, json = true, body = true, headers = true, after = true, error = true, problem = true,
  chunks = true}
local EXEC_ANSWER = {stdout = true, stderr = true, code = true, signal = true, after = true, error = true, problem = true}

local function check(what, answer, known)
  if type(answer) ~= "table" then return end
  for name in pairs(answer) do
    if type(name) == "string" and not known[name] then error(("%s: unknown field '%s' in the answer"):format(what, name), 3) end
  end
end

---@param method string "GET", or "*" for any
---@param url string * in it stands for anything
---@param answer table|string|fun(request: table): any {status, json | body | chunks, headers, after, error, problem}, a list of
---  them to be given in turn, a body, or a function(request)
function Stubs:add_http(method, url, answer)
  if type(method) ~= "string" or type(url) ~= "string" or answer == nil then
    error("http takes a method, a URL and an answer", 3)
  end
  check("http", answer, HTTP_ANSWER)
  add(self.http, {method = method:upper(), url = words.glob(url)}, answer)
end

---@param command string the words of the command; * in it stands for anything
---@param answer table|string|fun(request: table): any {stdout, stderr, code, signal, after, error, problem}, a list of them, the
---  standard output, or a function(request)
function Stubs:add_exec(command, answer)
  if type(command) ~= "string" then error("exec takes a command and an answer", 3) end
  check("exec", answer, EXEC_ANSWER)
  add(self.exec, {command = words.glob(command)}, answer == nil and "" or answer)
end

local function answer_of(stub, request)
  local answer = next_answer(stub)
  if type(answer) == "function" then return answer(request) end
  return answer
end

--- What a request is answered: {status, headers, body, chunks?, after?}; or nil, problem, code, after.
function Stubs:answer_http(request)
  self.calls[#self.calls + 1] = {kind = "http", method = request.method, url = request.url, headers = request.headers,
    body = request.body}
  for _, stub in ipairs(self.http) do
    if (stub.method == "*" or stub.method == request.method) and request.url:find(stub.url) then
      local seen = {method = request.method, url = request.url, headers = request.headers, body = request.body,
        json = request.body and self.agent.json.decode(request.body) or nil}
      local answer = answer_of(stub, seen)
      if type(answer) == "string" then answer = {body = answer} end
      if type(answer) ~= "table" then answer = {} end
      if answer.error then return nil, answer.problem or request.url .. ": " .. answer.error, answer.error, answer.after end
      local headers = {}
      for name, value in pairs(answer.headers or {}) do headers[name:lower()] = tostring(value) end
      local body = answer.body
      if answer.json ~= nil then
        body = assert(self.agent.json.encode(answer.json))
        headers["content-type"] = headers["content-type"] or "application/json"
      end
      return {status = answer.status or 200, headers = headers, body = body or table.concat(answer.chunks or {}),
        chunks = answer.chunks, after = answer.after}
    end
  end
  self:refuse(("molecule.http %s %s"):format(request.method, request.url),
    ("a:http(%q, %q, {…})"):format(request.method, request.url))
end

--- {code, stdout, stderr, signal?, truncated, after?}; or nil, problem, code.
function Stubs:answer_exec(what, request)
  local command = request.argv and table.concat(request.argv, " ") or request.cmd
  self.calls[#self.calls + 1] = {kind = "exec", command = command, stdin = request.stdin, cwd = request.cwd, env = request.env}
  for _, stub in ipairs(self.exec) do
    if command:find(stub.command) then
      local answer = answer_of(stub, {command = command, argv = request.argv, cmd = request.cmd, stdin = request.stdin,
        env = request.env, cwd = request.cwd})
      if type(answer) == "string" then answer = {stdout = answer} end
      if type(answer) ~= "table" then answer = {} end
      if answer.error then
        return nil, answer.problem or ("cannot run %s: %s"):format(command:match("^%S+") or "?", answer.error), answer.error
      end
      return {code = answer.signal and -1 or answer.code or 0, signal = answer.signal, stdout = answer.stdout or "",
        stderr = answer.stderr or "", truncated = false}, nil, nil, answer.after
    end
  end
  self:refuse(("%s %q"):format(what, command), ("a:exec(%q, {stdout = …})"):format(command))
end

--- What a peer says: a text, a table, or nil, problem, code.
function Stubs:answer_peer(what, id, text, said)
  self.calls[#self.calls + 1] = {kind = what, to = id, text = text}
  local peer = self.agent.peers[id]
  if not peer then self:refuse(("molecule.%s to %s"):format(what, id), ("a:peer(%q, function(text) … end)"):format(id)) end
  if type(peer.answer) ~= "function" then return peer.answer end
  return peer.answer(text, said)
end

return stubs
