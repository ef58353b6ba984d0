--- For specs of questions (ctx.ask): a host whose script asks, whoever answers, and which questions are open.

local cjson = require "cjson"
local uv = require "luv"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local loop = require "tests.support.loop"

---@class Asking what follows refers to this workspace and these files
---@field platform Emulator
---@field workspace {id: string, token: string}
---@field state_dir string
local Asking = {}
Asking.__index = Asking

local asking = {}

---@param platform Emulator
---@return Asking with a new workspace and an empty state directory
function asking.new(platform)
  return setmetatable({ platform = platform, workspace = host.workspace(platform), state_dir = host.directory() .. "/state" },
    Asking)
end

-- The body sees msg, ctx, molecule. A message that begins with "ask" is asked about; others are repeated.
local function script(body)
  return ([[
      local molecule = require "molecule"
      return function(msg, ctx)
        if not msg.text:find "^ask" then return "heard " .. msg.text end
        %s
      end]]):format(body)
end

---@param body string of the handler
---@param more table? options of host.connect
---@return Host
function Asking:connect(body, more)
  local options = { platform = self.platform, workspace = self.workspace, state_dir = self.state_dir, script = script(body) }
  for name, value in pairs(more or {}) do options[name] = value end
  return host.connect(options)
end

---@param text string from the canvas, if `more` does not say who
---@param more table? fields as of Emulator:message
---@return string row_id
function Asking:say(text, more)
  local message = { to = self.workspace.id, text = text }
  for name, value in pairs(more or {}) do message[name] = value end
  return self.platform:message(message)[1]
end

--- An A2A message of a peer.
---@param peer string
---@param id string messageId
---@param text string
---@param in_reply_to string? messageId of ours
function Asking:from_peer(peer, id, text, in_reply_to)
  local message = { role = "user", messageId = id, parts = { { kind = "text", text = text } } }
  if in_reply_to then message.metadata = { molecule = { in_reply_to = in_reply_to, hops = 1 } } end
  local body = { jsonrpc = "2.0", id = id, method = "message/send", params = { message = message } }
  self:say(text, { from = peer, request_body = body })
end

---@param words string of the command line, without the state directory
---@return string output, boolean? fine
function Asking:molecule(words)
  local pipe = assert(io.popen(("%s %s --state-dir %s 2>&1"):format(emulator.binary(), words, self.state_dir)))
  local text = pipe:read "a"
  local fine = pipe:close()
  return text, fine
end

---@return table[] as `molecule status --json` has them
function Asking:open()
  return cjson.decode((self:molecule("status " .. self.workspace.id .. " --json"))).questions
end

--- Waits until so many are open and posted.
---@return table[]
function Asking:wait_open(count)
  local list
  asking.eventually(function()
    list = self:open()
    local posted = 0
    for _, one in ipairs(list) do posted = posted + (one["until"] ~= cjson.null and 1 or 0) end
    return #list == count and posted == count
  end)
  return list
end

---@param done fun(): any
function asking.eventually(done)
  assert(loop.wait(done), "it did not come to be in time")
end

--- Lets time pass; only where time is what is tested.
function asking.pause(ms)
  local timer, over = uv.new_timer(), false
  timer:start(ms, 0, function() over = true end)
  loop.wait(function() return over end)
  timer:close()
end

---@param one Host
function asking.kill(one)
  one.process:signal "sigkill"
  one.process:wait_exit()
end

return asking
