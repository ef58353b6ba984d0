--- A small HTTP server, for tests, on their loop: what scripts fetch from. One request a connection unless it is kept.
---
---     local web = server.start(function(request, reply) reply(200, "hello", {["X-Name"] = "value"}) end)
---     web.url, web.requests (all so far: method, path, query, headers, body), web.connections, web:stop()
---
--- The handler may also use reply.raw(bytes), reply.queued() (bytes that the client has not taken yet), reply.finish() and
--- reply.reset() for answers in pieces, and reply.on_close(callback) to hear that the client has closed.

local uv = require "luv"

local server = {}
local running = {}

local function parse(text)
  local head_end, body_start = text:find("\r\n\r\n", 1, true)
  if not head_end then return nil end
  local request = { headers = {} }
  request.method, request.path, request.query = text:match "^(%u+) ([^ ?]*)%??([^ ]*) HTTP"
  for name, value in text:sub(1, head_end + 1):gmatch "\r\n([^:\r\n]+):%s*([^\r\n]*)" do
    request.headers[name:lower()] = value
  end
  local length = tonumber(request.headers["content-length"] or 0)
  if #text - body_start < length then return nil end
  request.body = text:sub(body_start + 1, body_start + length)
  return request, text:sub(body_start + length + 1)
end

local function serve(self, client)
  local text, on_close = "", function() end
  local reply = setmetatable({
    raw = function(bytes) if not client:is_closing() then client:write(bytes) end end,
    queued = function() return client:is_closing() and 0 or client:get_write_queue_size() end,
    finish = function()
      if client:is_closing() then return end
      client:shutdown(function() if not client:is_closing() then client:close() end end)
    end,
    on_close = function(callback) on_close = callback end,
    reset = function() if not client:is_closing() then client:close_reset() end end,
  }, { __call = function(reply, status, body, headers)
    local lines = { ("HTTP/1.1 %d X"):format(status), "Content-Length: " .. #body }
    for name, value in pairs(headers or {}) do lines[#lines + 1] = name .. ": " .. value end
    reply.raw(table.concat(lines, "\r\n") .. "\r\n\r\n" .. body)
  end })
  client:read_start(function(err, bytes)
    if err or not bytes then
      on_close()
      if not client:is_closing() then client:close() end
      return
    end
    text = text .. bytes
    while true do
      local request, rest = parse(text)
      if not request then return end
      text = rest
      self.requests[#self.requests + 1] = request
      self.handler(request, reply)
    end
  end)
end

---@param handler fun(request: table, reply: table)
---@return {url: string, port: integer, requests: table[], connections: integer, stop: fun(self)}
function server.start(handler)
  local self = { requests = {}, connections = 0, handler = handler, clients = {} }
  self.socket = uv.new_tcp()
  assert(self.socket:bind("127.0.0.1", 0))
  assert(self.socket:listen(128, function()
    local client = uv.new_tcp()
    self.socket:accept(client)
    self.connections = self.connections + 1
    self.clients[#self.clients + 1] = client
    serve(self, client)
  end))
  self.port = self.socket:getsockname().port
  self.url = "http://127.0.0.1:" .. self.port
  self.stop = function()
    for _, client in ipairs(self.clients) do
      if not client:is_closing() then client:close() end
    end
    if not self.socket:is_closing() then self.socket:close() end
    running[self] = nil
  end
  running[self] = true
  return self
end

function server.stop_all()
  for one in pairs(running) do one:stop() end
end

return server
