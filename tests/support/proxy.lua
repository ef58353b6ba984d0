--- A TCP proxy in front of the emulator, on the tests' loop, that misbehaves as told.
---
---     local between = proxy.start { port = platform.port, intercept = { ["/events/stream"] = function(client, close) … end } }
---     host.start { api_url = between.url, … }
---     between:hole()   -- connections that exist swallow everything from now on; new ones work
---     between:stop()

local uv = require "luv"

local Proxy = {}
Proxy.__index = Proxy

local proxy = {}

local function keep(self, handle)
  self.open[handle] = true
  return handle
end

local function close(self, handle)
  self.open[handle] = nil
  if not handle:is_closing() then handle:close() end
end

local function find_interceptor(self, line)
  for path, behave in pairs(self.intercept) do
    if line:find(path, 1, true) then return path, behave end
  end
end

-- The connection is the interceptor's from now on.
local function intercept(self, client, path, behave)
  self.intercepted[path] = (self.intercepted[path] or 0) + 1
  client:read_start(function(_, more) if not more then close(self, client) end end)
  behave(client, function() close(self, client) end)
end

local function pump(self, pair, from, to, is_up)
  from:read_start(function(_, bytes)
    local path, behave
    if is_up and bytes and not pair.hole then path, behave = find_interceptor(self, bytes:match "^(.-)\r\n" or "") end
    if behave then
      close(self, to)
      intercept(self, from, path, behave)
      return
    end
    if pair.hole then
      if bytes then self.swallowed = self.swallowed .. bytes end
      return
    end
    if bytes and not to:is_closing() then to:write(bytes) end
    if not bytes then close(self, from) close(self, to) end
  end)
end

local function join(self, client, first)
  local upstream = keep(self, uv.new_tcp())
  upstream:connect("127.0.0.1", self.target, function(problem)
    if problem then close(self, client) return close(self, upstream) end
    upstream:write(first)
    local pair = {}
    self.pairs[#self.pairs + 1] = pair
    pump(self, pair, client, upstream, true)
    pump(self, pair, upstream, client)
  end)
end

local function accept(self)
  local client, text = keep(self, uv.new_tcp()), ""
  self.listener:accept(client)
  client:read_start(function(_, bytes)
    if not bytes then return close(self, client) end
    text = text .. bytes
    local line = text:match "^(.-)\r\n"
    if not line then return end
    client:read_stop()
    local path, behave = find_interceptor(self, line)
    if not behave then return join(self, client, text) end
    intercept(self, client, path, behave)
  end)
end

---@param options {port: integer, intercept: table<string, fun(client, close: fun())>?, address: string?, own_port: integer?,
---  room: integer?} intercept: by what a request line contains; that connection is the function's then; address, own_port:
---  where it listens; room: bytes that the kernel takes in of what the proxy does not read
---@return {url: string, intercepted: table<string, integer>, swallowed: string}
function proxy.start(options)
  local self = setmetatable({ target = options.port, intercept = options.intercept or {}, intercepted = {}, open = {},
    pairs = {}, swallowed = "", listener = uv.new_tcp() }, Proxy)
  assert(self.listener:bind(options.address or "127.0.0.1", options.own_port or 0))
  if options.room then assert(self.listener:recv_buffer_size(options.room)) end
  assert(self.listener:listen(64, function() accept(self) end))
  self.url = ("http://%s:"):format(options.address or "127.0.0.1") .. self.listener:getsockname().port
  return self
end

function Proxy:hole()
  for _, pair in ipairs(self.pairs) do pair.hole = true end
  self.pairs = {}
end

function Proxy:stop()
  if not self.listener:is_closing() then self.listener:close() end
  for handle in pairs(self.open) do close(self, handle) end
  uv.run "nowait"
end

return proxy
