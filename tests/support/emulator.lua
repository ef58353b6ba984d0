--- The emulator as a fixture: a real process, reached over real HTTP.
---
---     local platform = emulator.start { profile = "t1" }
---     local id, token = platform:register()
---     platform:message { to = id, text = "hello" }
---     platform:wait { path = "/notify", count = 1 }
---     platform:stop()

local http = require "tests.support.http"
local loop = require "tests.support.loop"
local process = require "tests.support.process"

---@class Emulator
---@field port integer
---@field url string
---@field process Process
local Emulator = {}
Emulator.__index = Emulator

local emulator = { ADMIN = "the-admin-token-of-the-tests" }

---The binary under test.
---@return string
function emulator.binary()
  return os.getenv "MOLECULE" or error "set MOLECULE to the path of the binary under test"
end

local counter = 0

---A UUID that no other test of this run uses.
---@return string
function emulator.uuid()
  counter = counter + 1
  return ("7f1d%04x-0000-4000-8000-%012x"):format(counter % 65536, counter)
end

---@param options {profile: string?, port: integer?, args: string[]?, env: table?}?
---@return Emulator
function emulator.start(options)
  options = options or {}
  local command = { emulator.binary(), "dev", "--headless", "--port", tostring(options.port or 0), "--profile",
    options.profile or "latest", "--admin-token", emulator.ADMIN }
  for _, argument in ipairs(options.args or {}) do command[#command + 1] = argument end
  local child = process.spawn { command = command, env = options.env }
  local line = child:wait_line("^emulator listening on ", { timeout_ms = options.timeout_ms })
  local url, port = line:match "(http://127%.0%.0%.1:(%d+)) "
  return setmetatable({ process = child, url = url, port = math.tointeger(tonumber(port)) }, Emulator)
end

---Ends it and fails unless it ended well and silently (a sanitizer's report is neither).
function Emulator:stop()
  self.process:signal "sigterm"
  local code = self.process:wait_exit()
  if code ~= 0 or self.process.stderr ~= "" then
    error("the emulator did not end well\n" .. self.process:report(), 2)
  end
end

---@param method string
---@param path string
---@param options table? as http.start
---@return Exchange
function Emulator:start_request(method, path, options)
  local all = { port = self.port, method = method, path = path }
  for name, value in pairs(options or {}) do all[name] = value end
  return http.start(all)
end

---@return Exchange
function Emulator:request(method, path, options)
  return self:start_request(method, path, options):wait(options and options.timeout_ms)
end

---@return Exchange
function Emulator:get(path, options)
  return self:request("GET", path, options)
end

---@return Exchange
function Emulator:post(path, json, options)
  local all = { json = json }
  for name, value in pairs(options or {}) do all[name] = value end
  return self:request("POST", path, all)
end

---As the human in the canvas, or an operator.
---@return Exchange
function Emulator:admin(method, path, json)
  return self:request(method, path, { json = json, token = emulator.ADMIN })
end

---A call of the control API; fails unless it is answered with 200.
---@param method string
---@param name string what follows /__emulator/
---@param options table? as http.start
---@return any
function Emulator:control(method, name, options)
  local answer = self:request(method, "/__emulator/" .. name, options)
  if answer.status ~= 200 then
    error(("control %s %s: %s %s\n%s"):format(method, name, answer.status or answer.problem, answer.body,
      self.process:report()), 3)
  end
  return answer.json
end

---@param value table {id?, name?, token?, delivery_mode?, status?, parent_id?, deny?, push_answer?}
---@return table described
function Emulator:workspace(value)
  return self:control("POST", "workspaces", { json = value })
end

---A poll workspace with a live token. All that are made so, and by Emulator:workspace, are siblings.
---@param fields table?
---@return string id, string token
function Emulator:register(fields)
  local value = { id = emulator.uuid(), delivery_mode = "poll", agent_card = { name = "agent" } }
  for name, field in pairs(fields or {}) do value[name] = field end
  self:workspace { id = value.id }
  local answer = self:post("/registry/register", value)
  assert(answer.status == 200, answer.body)
  return value.id, answer.json.auth_token
end

---@param value table {to, from?, text?, parts?, request_body?, row?, raw_row?, raw_row_base64?, created_at?, count?}
---@return string[] ids
function Emulator:message(value)
  return self:control("POST", "messages", { json = value, }).ids
end

---@param name string late, tie, duplicate, prune, revoke, remove, events, config
---@param value table
---@return table
function Emulator:order(name, value)
  return self:control("POST", name, { json = value })
end

---@param action table {kind, ...}
---@param match table? {method?, path?, workspace?}
---@param more {times: integer?, skip: integer?}?
function Emulator:fault(action, match, more)
  more = more or {}
  return self:control("POST", "faults", { json = { action = action, match = match, times = more.times,
    skip = more.skip } })
end

function Emulator:clear_faults()
  self:control("DELETE", "faults")
end

---@param id string
---@param count integer? wait for that many
---@return table[]
function Emulator:rows(id, count)
  return self:control("GET", "rows", { query = { workspace = id, count = count,
    timeout_ms = loop.LIMIT_MS } })
end

---@return table
function Emulator:state()
  return self:control("GET", "state")
end

---@param id string
---@return table? described
function Emulator:state_of(id)
  for _, workspace in ipairs(self:state().workspaces) do
    if workspace.id == id then return workspace end
  end
  return nil
end

---@param since integer?
---@return table[] entries
function Emulator:journal(since)
  return self:control("GET", "journal", { query = { since = since or 0 } }).entries
end

---The number of the last request so far, for `since`.
---@return integer
function Emulator:mark()
  return math.tointeger(self:state().journal.last)
end

---Waits until the platform has received what is described; fails when nothing more of it came for the whole timeout, and
---shows what came instead.
---@param filter {path: string?, method: string?, count: integer?, status: integer?, body: string?, workspace: string?,
---  since: integer?, timeout_ms: integer?}
---@return table[] entries
function Emulator:wait(filter)
  local query = {}
  for name, value in pairs(filter) do query[name] = value end
  query.timeout_ms = filter.timeout_ms or loop.LIMIT_MS
  local answer, before
  repeat
    before = answer and answer.json and #answer.json.entries or 0
    answer = self:get("/__emulator/wait", { query = query, timeout_ms = query.timeout_ms + loop.LIMIT_MS })
    if answer.status == 200 then return answer.json.entries end
  until not answer.json or not answer.json.entries or #answer.json.entries <= before
  local seen = {}
  for _, entry in ipairs(self:journal(filter.since)) do
    seen[#seen + 1] = ("%d %s %s -> %s"):format(entry.n, entry.method, entry.path, entry.status or "no answer")
  end
  error(("waiting for %s: %s, %d matched\nreceived (last 60):\n%s"):format(http.target("", query),
    answer.status or answer.problem, answer.json and answer.json.entries and #answer.json.entries or 0,
    table.concat(seen, "\n", math.max(1, #seen - 59))), 2)
end

---An empty platform.
function Emulator:reset()
  self:control("POST", "reset")
end

return emulator
