--- A man in the middle, for faults that an emulator cannot make: a TCP server that reads each request whole and then
--- does what its rule says.
---
---     local middle = proxy.start(platform.port)
---     middle.rule = function(request) return request.path:find "/activity" and { send = "garbage", close = true } end
---
--- A rule returns nil to pass the request on, or
---   { send = bytes, close = boolean? }   to answer with exactly these bytes; without close the connection stays open
---   { endless = bytes }                  to send these bytes until the client goes away
---   { pass = true, swallow = true }      to pass it on and keep the answer to itself
---   { pass = true, instead = bytes }     to pass it on and answer with these bytes; with `endless`, then with those
---   { pass = true, cut = n }             to pass it on, and end the connection after n bytes of the answer

local uv = require "luv"

---@class Proxy
---@field url string
---@field port integer
---@field connections integer so far
---@field rule fun(request: {method: string, path: string, text: string}): table?
local Proxy = {}
Proxy.__index = Proxy

local proxy = {}

local function close(handle)
  if handle and not handle:is_closing() then handle:close() end
end

local function end_both(client)
  close(client.socket)
  close(client.upstream)
end

local function send_endlessly(client, bytes)
  if client.socket:is_closing() then return end
  client.socket:write(bytes, function(err)
    if err then end_both(client) else send_endlessly(client, bytes) end
  end)
end

local function on_answer(client, bytes)
  if not bytes then return end_both(client) end
  if client.swallow or client.socket:is_closing() then return end
  if client.instead then
    bytes, client.instead, client.swallow = client.instead, nil, true
    if client.endless then
      client.socket:write(bytes)
      return send_endlessly(client, client.endless)
    end
  end
  if client.cut then
    bytes = bytes:sub(1, client.cut)
    client.cut = client.cut - #bytes
  end
  client.socket:write(bytes, function()
    if client.cut == 0 then end_both(client) end
  end)
end

local function pass(client, text)
  if client.upstream then return client.upstream:write(text) end
  client.upstream = uv.new_tcp()
  client.upstream:connect("127.0.0.1", client.proxy.target, function(err)
    if err then return end_both(client) end
    client.upstream:read_start(function(_, bytes) on_answer(client, bytes) end)
    client.upstream:write(text)
  end)
end

local function serve(client, request)
  local action = client.proxy.rule(request) or { pass = true }
  if action.pass then
    client.swallow, client.cut, client.instead = action.swallow, action.cut, action.instead
    client.endless = action.endless
    pass(client, request.text)
  elseif action.endless then
    client.socket:write(action.send or "")
    send_endlessly(client, action.endless)
  elseif action.send then
    client.socket:write(action.send, action.close and function() end_both(client) end or nil)
  end
end

-- Whole requests from the front of what has come; there is never a second before the first is answered.
local function take(client)
  local head = client.input:match "^.-\r\n\r\n"
  if not head then return end
  local length = tonumber(head:lower():match "\r\ncontent%-length:%s*(%d+)") or 0
  if #client.input < #head + length then return end
  local text = client.input:sub(1, #head + length)
  client.input = client.input:sub(#head + length + 1)
  local method, path = head:match "^(%u+) (%S+)"
  serve(client, { method = method, path = path, text = text })
end

local function listen(self, on_client, port)
  self.server = uv.new_tcp()
  assert(self.server:bind("127.0.0.1", port or 0))
  assert(self.server:listen(128, function(err)
    assert(not err, err)
    local socket = uv.new_tcp()
    self.server:accept(socket)
    self.connections = self.connections + 1
    on_client(socket)
  end))
  self.port = self.server:getsockname().port
  self.url = "http://127.0.0.1:" .. self.port
end

---@param target integer the port behind it
---@param port integer?
---@return Proxy
function proxy.start(target, port)
  local self = setmetatable({ target = target, connections = 0, clients = {}, rule = function() end }, Proxy)
  listen(self, function(socket)
    local client = { proxy = self, socket = socket, input = "" }
    self.clients[client] = true
    socket:read_start(function(_, bytes)
      if not bytes then
        self.clients[client] = nil
        return end_both(client)
      end
      client.input = client.input .. bytes
      take(client)
    end)
  end, port)
  return self
end

---A server that counts who comes and hangs up on them.
---@return Proxy
function proxy.witness()
  local self = setmetatable({ connections = 0, clients = {} }, Proxy)
  listen(self, close)
  return self
end

---From now on a number of requests whose path matches meets the action; then they pass.
---@param path string a Lua pattern
---@param action table
---@param times integer
function Proxy:meet(path, action, times)
  self.met = 0
  self.rule = function(request)
    if self.met >= times or not request.path:find(path) then return nil end
    self.met = self.met + 1
    return action
  end
end

function Proxy:close()
  close(self.server)
  for client in pairs(self.clients) do end_both(client) end
end

return proxy
