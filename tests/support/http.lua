--- A small HTTP client, for tests, on the loop that also reads the children's output: while one waits, the other goes
--- on. One connection a request. Broken answers are told exactly: how far they came and what ended them.

local uv = require "luv"
local cjson = require "cjson"
local loop = require "tests.support.loop"

---@class Exchange
---@field status integer? once the head of the answer is there
---@field headers table<string, string> names in lower case
---@field body string so far
---@field problem string? "ECONNRESET", "EOF" (an orderly end too early), "ECONNREFUSED", "timeout"
---@field done boolean
local Exchange = {}
Exchange.__index = Exchange

local http = { null = cjson.null }

local function encode_chunks(self)
  while true do
    local line_end, from = self.input:find("\r\n", 1, true)
    local size = line_end and tonumber(self.input:match "^%x+", 16)
    if not size or #self.input < from + size + 2 then return end
    if size == 0 then
      self.done = true
      return
    end
    self.pieces[#self.pieces + 1] = self.input:sub(from + 1, from + size)
    self.input = self.input:sub(from + size + 3)
  end
end

local function parse_head(self)
  local head_end, from = self.input:find("\r\n\r\n", 1, true)
  if not head_end then return false end
  local head = self.input:sub(1, head_end + 1)
  self.status = math.tointeger(tonumber(head:match "^HTTP/1%.%d (%d%d%d)"))
  for name, value in head:gmatch "\r\n([^:\r\n]+):%s*([^\r\n]*)" do self.headers[name:lower()] = value end
  self.input = self.input:sub(from + 1)
  self.expected = tonumber(self.headers["content-length"])
  self.chunked = self.headers["transfer-encoding"] == "chunked"
  return true
end

local function take(self, bytes)
  self.received = self.received + #bytes
  if self.status and not self.chunked then
    self.pieces[#self.pieces + 1] = bytes
    self.length = self.length + #bytes
  else
    self.input = self.input .. bytes
    if not self.status then
      if not parse_head(self) then return end
      if not self.chunked then
        self.pieces[1], self.length, self.input = self.input, #self.input, ""
      end
    end
    if self.chunked then encode_chunks(self) end
  end
  if self.status == 204 or self.expected and self.length >= self.expected then self.done = true end
end

function Exchange.__index(self, key)
  if key == "body" then
    local text = table.concat(self.pieces)
    self.pieces = { text }
    return text
  elseif key == "json" then
    local fine, value = pcall(cjson.decode, self.body)
    return fine and value or nil
  end
  return Exchange[key]
end

function Exchange:close()
  if not self.socket:is_closing() then self.socket:close() end
end

local function fail(self, problem)
  if not self.done then self.problem = problem end
  self.done = true
end

local function finish(self)
  if self.done then self:close() end
end

local function connected(self, text)
  self.socket:read_start(function(err, bytes)
    if err then
      fail(self, (err:match "^E%u+"))
    elseif not bytes then
      -- libuv reports a reset that comes together with data as an end; but then the socket has no peer any more.
      if not self.socket:getpeername() then
        fail(self, "ECONNRESET")
      elseif self.status and not self.expected and not self.chunked then self.done = true else fail(self, "EOF") end
    else
      take(self, bytes)
    end
    finish(self)
  end)
  self.socket:write(text, function(err)
    if err then self.write_problem = err end
  end)
end

---Sends bytes as they are and reads an answer.
---@param port integer
---@param text string
---@return Exchange running
function http.raw(port, text)
  local self = setmetatable({ headers = {}, pieces = {}, input = "", length = 0, received = 0, done = false,
    started = loop.now() }, Exchange)
  self.socket = uv.new_tcp()
  self.socket:connect("127.0.0.1", port, function(err)
    if err then
      fail(self, (err:match "^E%u+"))
      return finish(self)
    end
    connected(self, text)
  end)
  return self
end

local function escape(text)
  return (tostring(text):gsub("[^%w%-%._~]", function(character) return ("%%%02X"):format(character:byte()) end))
end

---@param path string
---@param query table<string, any>?
---@return string
function http.target(path, query)
  local list = {}
  for name, value in pairs(query or {}) do list[#list + 1] = escape(name) .. "=" .. escape(value) end
  table.sort(list)
  return #list > 0 and path .. "?" .. table.concat(list, "&") or path
end

---Starts a request; the answer arrives while anything waits.
---@param options {port: integer, method: string?, path: string, query: table?, headers: table<string, string>?,
---  body: string?, json: any, token: string?}
---@return Exchange
function http.start(options)
  local body = options.body or options.json ~= nil and cjson.encode(options.json) or ""
  local headers = { Host = "127.0.0.1:" .. options.port, Connection = "close" }
  if options.json ~= nil then headers["Content-Type"] = "application/json" end
  if options.token then headers.Authorization = "Bearer " .. options.token end
  if #body > 0 or (options.method or "GET") ~= "GET" then headers["Content-Length"] = tostring(#body) end
  for name, value in pairs(options.headers or {}) do headers[name] = value end
  local lines = { ("%s %s HTTP/1.1"):format(options.method or "GET", http.target(options.path, options.query)) }
  for name, value in pairs(headers) do lines[#lines + 1] = name .. ": " .. value end
  return http.raw(options.port, table.concat(lines, "\r\n") .. "\r\n\r\n" .. body)
end

---Waits for the end of the answer, however it ends. After the timeout the connection is dropped.
---@param timeout_ms integer?
---@return Exchange
function Exchange:wait(timeout_ms)
  if not loop.wait(function() return self.done end, timeout_ms) then fail(self, "timeout") end
  self.seconds = (loop.now() - self.started) / 1000
  self:close()
  loop.flush()
  return self
end

---Waits until the body so far has the text.
---@param text string
---@param timeout_ms integer?
---@return string body
function Exchange:wait_body(text, timeout_ms)
  loop.wait(function() return self.done or self.body:find(text, 1, true) end, timeout_ms)
  if not self.body:find(text, 1, true) then
    error(("%q did not come (%s): %s"):format(text, self.problem or "no end yet", self.body), 2)
  end
  return self.body
end

---A request from start to end.
---@return Exchange
function http.request(options)
  return http.start(options):wait(options.timeout_ms)
end

return http
