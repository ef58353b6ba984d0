--- One host between one platform, a peer and the canvas, for faults: numbered questions go in, answers are counted where
--- they arrive, in the peer's inbox and in what the canvas was told.

local uv = require "luv"
local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local loop = require "tests.support.loop"
local proxy = require "tests.fault.proxy"

local SCRIPT = [[
return function(msg)
  return "answer " .. msg.text:match "%d+"
end]]
local TICK_MS = 300 -- an answer that was delayed is not announced a second time: look again after so long

---@class Stage
---@field platform Emulator
---@field host Host
---@field workspace {id: string, token: string}
---@field peer {id: string, token: string}
---@field sent integer
local Stage = {}
Stage.__index = Stage

local stage = {}

stage.host, stage.loop = host, loop

---@param options {profile: string?, args: string[]?}?
---@return Stage
function stage.new(options)
  options = options or {}
  local self = setmetatable({ options = options, sent = 0, told = {}, notes = {}, servers = {} }, Stage)
  self:open_platform()
  self.workspace, self.peer = host.workspace(self.platform), host.workspace(self.platform)
  return self
end

---@param port integer?
function Stage:open_platform(port)
  self.platform = emulator.start { profile = self.options.profile or "latest", port = port,
    args = self.options.args or { "--rate-limit", "-1" } }
  if self.host then self.host.platform = self.platform end
end

---The platform's end, and another one in its place that knows nothing.
function Stage:replace_platform()
  local port = self.platform.port
  self:account()
  self.platform:stop()
  return function() self:open_platform(port) end
end

---What a platform that starts again is told about us.
function Stage:introduce()
  self.platform:workspace { id = self.workspace.id, token = self.workspace.token }
  self.platform:workspace { id = self.peer.id, token = self.peer.token }
end

---A man in the middle, until the host has ended.
---@param port integer?
---@return Proxy
function Stage:proxy(port)
  local one = proxy.start(self.platform.port, port)
  self.servers[#self.servers + 1] = one
  return one
end

---Somebody else, who counts who comes.
---@return Proxy
function Stage:witness()
  local one = proxy.witness()
  self.servers[#self.servers + 1] = one
  return one
end

---@param options table? as host.start
function Stage:connect(options)
  local all = { platform = self.platform, workspace = self.workspace, script = SCRIPT }
  for name, value in pairs(options or {}) do all[name] = value end
  all.args = { "--heartbeat-ms", "200", "--concurrency", "2", table.unpack(all.args or {}) }
  self.host = host.connect(all)
  return self.host
end

local function question(self, whom)
  self.sent = self.sent + 1
  return { to = self.workspace.id, from = whom == "peer" and self.peer.id or nil, text = "question " .. self.sent }
end

---A question from the peer and one from the canvas, or from one of them.
---@param whom "peer"|"canvas"|nil
---@param more table? further fields of the message
---@return string[] row ids
function Stage:say(whom, more)
  local ids = {}
  for _, name in ipairs(whom and { whom } or { "peer", "canvas" }) do
    local message = question(self, name)
    for key, value in pairs(more or {}) do message[key] = value end
    ids[#ids + 1] = self.platform:message(message)[1]
  end
  return ids
end

---The same to a platform that may not answer now.
function Stage:say_later()
  for _, name in ipairs { "peer", "canvas" } do
    self.platform:start_request("POST", "/__emulator/messages", { json = question(self, name), timeout_ms = 120000 })
  end
end

-- A row of the peer's inbox is an answer; so is the log of our own notify in ours.
local function note(self, row_id, text)
  local number = type(text) == "string" and tonumber(text:match "^answer (%d+)")
  if not number then return end
  self.told[number] = self.told[number] or {}
  self.told[number][row_id] = true
end

---Reads what has arrived so far. What was read stays known when the platform forgets it.
function Stage:account()
  for _, row in ipairs(self.platform:rows(self.peer.id)) do
    local body = row.request_body
    if type(body) == "table" and body.params then note(self, row.id, body.params.message.parts[1].text) end
  end
  for _, row in ipairs(self.platform:rows(self.workspace.id)) do
    local answer = type(row) == "table" and row.method == "notify" and row.response_body
    if type(answer) == "table" then note(self, row.id, answer.result) end
  end
end

---@return integer answered, integer twice
function Stage:count()
  local answered, twice = 0, 0
  for number = 1, self.sent do
    local times = 0
    for _ in pairs(self.told[number] or {}) do times = times + 1 end
    if times > 0 then answered = answered + 1 end
    if times > 1 then twice = twice + 1 end
  end
  return answered, twice
end

---Waits until every question was answered, the host ended, or the time is over.
---@param timeout_ms integer?
---@return boolean
function Stage:settle(timeout_ms)
  local deadline = loop.now() + (timeout_ms or 60000)
  while true do
    self:account()
    if self:count() == self.sent then return true end
    local left = math.floor(math.min(deadline - loop.now(), TICK_MS))
    if left <= 0 or not self.host.process:running() then return false end
    self.platform:get("/__emulator/wait", { timeout_ms = left + 20000, query = { method = "POST",
      path = "^/workspaces/", since = self.platform:mark(), timeout_ms = left } })
  end
end

---Waits for a line of the host's log and keeps it for the table.
---@param pattern string
---@param timeout_ms integer?
---@return string line
function Stage:log(pattern, timeout_ms)
  local line = self.host:log(pattern, { timeout_ms = timeout_ms or 30000 })
  self.notes[#self.notes + 1] = line
  return line
end

---Waits until so many requests for the path have arrived.
---@param path string
---@param count integer?
---@param timeout_ms integer?
function Stage:arrived(path, count, timeout_ms)
  return self.host:wait { path = path, method = "POST", count = count or 1, since = self.since or 0,
    timeout_ms = timeout_ms or 30000 }
end

---What journal entries are counted from.
function Stage:mark()
  self.since = self.platform:mark()
end

---Waits until no fault is left on the platform.
---@param timeout_ms integer?
function Stage:spent(timeout_ms)
  local deadline = loop.now() + (timeout_ms or 30000)
  while #self.platform:state().faults > 0 do
    if loop.now() > deadline then error("a fault was not met in time\n" .. self.host.process:report(), 2) end
    self.platform:get("/__emulator/wait", { query = { since = self.platform:mark(), timeout_ms = TICK_MS },
      timeout_ms = TICK_MS + 20000 })
  end
end

---Stops everything. Fails unless the host ended well, left nothing behind and kept the token to itself.
function Stage:close()
  self.host:stop()
  for _, one in ipairs(self.servers) do one:close() end
  self:account()
  self.platform:stop()
end

---@param path string
---@param text string
function stage.write(path, text)
  return host.write(path, text)
end

---How many descriptors a process has open, and the highest of them.
---@param pid integer
---@return integer count, integer highest
function stage.descriptors(pid)
  local count, highest = 0, 0
  for name in uv.fs_scandir_next, assert(uv.fs_scandir(("/proc/%d/fd"):format(pid))) do
    count = count + 1
    highest = math.max(highest, tonumber(name) --[[@as integer]])
  end
  return count, highest
end

stage.json = cjson

return stage
