--- `molecule connect` as a fixture: a real process with a state directory of its own, against the emulator.
---
---     local workspace = host.workspace(platform)
---     local one = host.start { platform = platform, workspace = workspace, script = host.ECHO }
---     one:answer_to(platform:message { to = workspace.id, text = "hello" }[1])
---     one:stop()
---
--- Whenever a process ends, it is looked at what it left behind: a temporary file, a child, a sanitizer's report or the
--- workspace's token in its output fail the test. Call host.clean_up in after_each (or teardown).

local uv = require "luv"
local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local loop = require "tests.support.loop"
local process = require "tests.support.process"

---@class Host
---@field process Process
---@field workspace {id: string, token: string}
---@field directory string holds the script; removed by host.clean_up
---@field state_dir string
---@field state_path string
---@field script_path string?
local Host = {}
Host.__index = Host

local host = {}

host.ECHO = [[return function(msg) return "echo: " .. msg.text end]]

local count, directories, running = 0, {}, {}

local function remove(path)
  local status = uv.fs_lstat(path)
  if not status then return end
  if status.type == "directory" then
    for name in uv.fs_scandir_next, assert(uv.fs_scandir(path)) do remove(path .. "/" .. name) end
    uv.fs_rmdir(path)
  else
    uv.fs_unlink(path)
  end
end

---A directory that host.clean_up removes.
---@return string
function host.directory()
  local path = assert(uv.fs_mkdtemp((os.getenv "TMPDIR" or "/tmp") .. "/e2e-XXXXXX"))
  directories[#directories + 1] = path
  return path
end

---@param path string
---@return string?
function host.read(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read "a"
  file:close()
  return text
end

---@param path string
---@param text string
---@return string path
function host.write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
  return path
end

---A mode's permissions, as in "600".
---@param path string
---@return string
function host.mode(path)
  return ("%o"):format(assert(uv.fs_stat(path)).mode & 511)
end

---@param path string
---@return string[]
function host.list(path)
  local names, stream = {}, uv.fs_scandir(path)
  if not stream then return names end
  for name in uv.fs_scandir_next, stream do names[#names + 1] = name end
  table.sort(names)
  return names
end

---A poll workspace that the platform knows, with a token that the test knows.
---@param platform Emulator
---@param fields table? as Emulator:workspace
---@return {id: string, token: string}
function host.workspace(platform, fields)
  local value = { id = emulator.uuid(), token = "secret-" .. emulator.uuid():gsub("-", "") }
  for name, field in pairs(fields or {}) do value[name] = field end
  platform:workspace(value)
  return { id = value.id, token = value.token }
end

---A time so many seconds ago, as the platform writes it.
---@param seconds number
---@return string
function host.ago(seconds)
  return os.date("!%Y-%m-%dT%H:%M:%S.000000Z", math.floor(os.time() - seconds)) --[[@as string]]
end

---@param bytes string
---@return string
function host.base64(bytes)
  local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
  local padding = (3 - #bytes % 3) % 3
  local text = (bytes .. ("\0"):rep(padding)):gsub("...", function(three)
    local number = string.unpack(">I3", three)
    return (("x"):rep(4):gsub("()x", function(at)
      local digit = number >> (24 - 6 * at) & 63
      return alphabet:sub(digit + 1, digit + 1)
    end))
  end)
  return text:sub(1, #text - padding) .. ("="):rep(padding)
end

local function append(list, more)
  for _, item in ipairs(more or {}) do list[#list + 1] = item end
end

---Starts the program; options.args come last. By default the token is in the environment and intervals are short.
---@param options {platform: Emulator, workspace: table, script: string?, script_path: string?, args: string[]?,
---  env: table?, state_dir: string?, api_url: string?, token: string|false|nil, bare: boolean?, command: string[]?,
---  workspaces: table[]?, under: string[]?}
---  token false: none; bare: no arguments but the id, --state-dir, --api-url and args; command: instead of connect and the
---  id; workspaces: all whose tokens must not be seen; under: words in front of the program
---@return Host
function host.start(options)
  count = count + 1
  local self = setmetatable({ platform = options.platform, workspace = options.workspace,
    directory = host.directory(), mark = ("%d-%d"):format(uv.os_getpid(), count), secrets = {} }, Host)
  self.state_dir = options.state_dir or self.directory .. "/state"
  self.state_path = ("%s/%s.json"):format(self.state_dir, self.workspace.id)
  local command = { table.unpack(options.under or {}) }
  command[#command + 1] = emulator.binary()
  append(command, options.command or { "connect", self.workspace.id })
  append(command, { "--state-dir", self.state_dir, "--api-url", options.api_url or self.platform.url })
  if options.script then
    self.script_path = host.write(self.directory .. "/agent.lua", options.script)
  else
    self.script_path = options.script_path
  end
  if self.script_path then append(command, { "--script", self.script_path }) end
  if not options.bare then append(command, { "--interval-ms", "20" }) end
  append(command, options.args)
  local env = { HOME = self.directory, MOLECULE_E2E = self.mark, MOLECULE_API_URL = false, MOLECULE_STATE_DIR = false,
    MOLECULE_ORG_ID = false, MOLECULE_WORKSPACE_TOKEN_FILE = false, STATE_DIRECTORY = false,
    MOLECULE_WORKSPACE_TOKEN = options.token == nil and self.workspace.token or options.token or false }
  for name, value in pairs(options.env or {}) do env[name] = value end
  self.secrets[1] = self.workspace.token
  self.secrets[2] = options.token or nil
  for _, each in ipairs(options.workspaces or {}) do self.secrets[#self.secrets + 1] = each.token end
  self.process = process.spawn { command = command, env = env }
  running[self] = true
  return self
end

---Starts `molecule serve`, for tests.support.served: with a state directory of its own, and what it is to leave behind as
---it is with host.start.
---@param words string[] of the command line
---@param options {state_dir: string?, secrets: string[]?, env: table?, directory: string?}
---@return Host
function host.serve(words, options)
  count = count + 1
  local self = setmetatable({ workspace = { id = "agent" }, directory = options.directory or host.directory(),
    mark = ("%d-%d"):format(uv.os_getpid(), count), secrets = options.secrets or {} }, Host)
  self.state_dir = options.state_dir or self.directory .. "/state"
  self.state_path = self.state_dir .. "/agent.json"
  local command = { emulator.binary(), "serve" }
  append(command, words)
  append(command, { "--state-dir", self.state_dir })
  local env = { HOME = self.directory, MOLECULE_E2E = self.mark, MOLECULE_AUTH_TOKEN_FILE = false, STATE_DIRECTORY = false,
    MOLECULE_STATE_DIR = false }
  for name, value in pairs(options.env or {}) do env[name] = value end
  self.process = process.spawn { command = command, env = env }
  running[self] = true
  return self
end

---Starts it and waits until it has registered.
---@return Host
function host.connect(options)
  local self = host.start(options)
  self:log "registered as"
  return self
end

---Runs it to its end.
---@param options table as host.start
---@param code integer expected
---@return Host
function host.run(options, code)
  local self = host.start(options)
  self:wait_exit(code)
  return self
end

-- Processes that carry our mark in their environment: the host's children, theirs, and itself.
local function marked(self)
  local found, wanted = {}, "MOLECULE_E2E=" .. self.mark .. "\0"
  for name in uv.fs_scandir_next, assert(uv.fs_scandir "/proc") do
    local environment = name:match "^%d+$" and host.read("/proc/" .. name .. "/environ")
    if environment and environment:find(wanted, 1, true) then
      found[#found + 1] = name .. " " .. (host.read("/proc/" .. name .. "/cmdline") or ""):gsub("%z", " ")
    end
  end
  return found
end

-- A killed child is gone a moment after its parent.
local function wait_unmarked(self)
  local left = marked(self)
  if #left == 0 then return left end
  local timer = uv.new_timer()
  timer:start(10, 10, function() left = marked(self) end)
  loop.wait(function() return #left == 0 end)
  timer:close()
  loop.flush()
  return left
end

function Host:problem()
  local output = self.process.stdout .. self.process.stderr
  for _, sign in ipairs { "Sanitizer", "runtime error:" } do
    if output:find(sign, 1, true) then return "a sanitizer reports" end
  end
  for _, secret in pairs(self.secrets) do
    if output:find(secret, 1, true) then return "the token is in the output" end
  end
  for _, name in ipairs(host.list(self.state_dir)) do
    if name:find(".tmp-", 1, true) then return "a temporary file was left behind: " .. name end
  end
  local left = wait_unmarked(self)
  if #left > 0 then return "children were left behind: " .. table.concat(left, ", ") end
  return nil
end

---Waits for its end, looks at what it left behind, and fails unless it ended with this code.
---@param code integer
---@param timeout_ms integer?
function Host:wait_exit(code, timeout_ms)
  local ended, signal = self.process:wait_exit(timeout_ms)
  running[self] = nil
  local problem = self:problem()
  if not problem and (ended ~= code or signal ~= 0) then problem = ("exit code %d expected"):format(code) end
  if problem then error(problem .. "\n" .. self.process:report(), 2) end
end

---@param signal string? "sigterm"
---@param code integer? 0
function Host:stop(signal, code)
  self.process:signal(signal or "sigterm")
  self:wait_exit(code or 0)
end

-- Rows of the workspace's own words follow the message that they answer: the cursor may have passed them, or not.
local function is_at(self, cursor, row_id)
  local seen = false
  for _, row in ipairs(cursor == row_id and {} or self.platform:rows(self.workspace.id)) do
    if seen and row.method ~= "notify" then return false end
    if seen and row.id == cursor then return true end
    seen = seen or row.id == row_id
  end
  return cursor == row_id
end

---Stops it and looks how far the state file says it came.
---@param row_id string
function Host:stop_at(row_id)
  self:stop()
  local state = self:state()
  if not state or not is_at(self, state.last_since_id, row_id) then
    error(("the cursor is not %s\n%s\n%s"):format(row_id, host.read(self.state_path) or "no state file",
      self.process:report()), 2)
  end
end

---Ends it without a chance to clean up.
function Host:kill()
  self.process:kill()
  running[self] = nil
end

---Waits for a log line.
---@param pattern string
---@param options {from: integer?, timeout_ms: integer?}?
---@return string line, integer number
function Host:log(pattern, options)
  options = options or {}
  return self.process:wait_line(pattern, { stream = "stderr", from = options.from,
    timeout_ms = options.timeout_ms })
end

---Waits for a line about this message.
---@param row_id string
---@param pattern string
---@return string line
function Host:log_of(row_id, pattern)
  return (self:log(row_id:gsub("%-", "%%-") .. ".*" .. pattern))
end

---@return integer count of log lines that match
function Host:count_log(pattern)
  local found = 0
  for _, line in ipairs(self.process.lines.stderr) do
    if line:find(pattern) then found = found + 1 end
  end
  return found
end

---@return table? the state file
function Host:state()
  local text = host.read(self.state_path)
  return text and cjson.decode(text)
end

---Waits until the state file says that everything up to this row is finished.
---@param row_id string
function Host:wait_cursor(row_id)
  local function reached()
    local state = uv.fs_stat(self.state_dir) and self:state()
    return state and state.last_since_id == row_id
  end
  local watcher = uv.new_fs_event()
  watcher:start(self.state_dir, {}, function() end)
  local done = loop.wait(reached)
  watcher:stop()
  watcher:close()
  loop.flush()
  if not done then
    error(("the cursor did not reach %s\n%s\n%s"):format(row_id, host.read(self.state_path) or "no state file",
      self.process:report()), 2)
  end
end

---Waits until the platform took so many requests for the path; shows the log when it does not.
---@param filter table as Emulator:wait
---@return table[] entries
function Host:wait(filter)
  local fine, entries = pcall(self.platform.wait, self.platform, filter)
  if not fine then error(entries .. "\n" .. self.process:report(), 2) end
  return entries
end

---Waits until the canvas was told so many replies; returns all that it was told so far, in order.
---@param expected integer
---@return string[]
function Host:canvas(expected)
  self:wait { path = ("/workspaces/%s/notify"):format(self.workspace.id), status = 200, count = expected }
  return self:told_canvas()
end

---What the canvas was told so far.
---@return string[]
function Host:told_canvas()
  local texts = {}
  for _, entry in ipairs(self:posts "/notify") do
    if entry.status == 200 then texts[#texts + 1] = cjson.decode(entry.body).message end
  end
  return texts
end

---Every request of ours to a path that ends so, whatever became of it.
---@param ending string "/notify": to the canvas; "/a2a": to peers
---@param since integer?
---@return table[] entries of the journal
function Host:posts(ending, since)
  local found = {}
  for _, entry in ipairs(self.platform:journal(since)) do
    local ours = entry.workspace == self.workspace.id or entry.headers["x-workspace-id"] == self.workspace.id
      or (entry.path:find("^/registry/") and entry.body:find(self.workspace.id, 1, true))
    if ours and entry.path:sub(-#ending) == ending then found[#found + 1] = entry end
  end
  return found
end

---Waits until a peer was sent so many messages; returns their texts.
---@param peer string
---@param expected integer
---@return string[] texts, table[] entries
function Host:peer(peer, expected)
  local entries = self:wait { path = ("/workspaces/%s/a2a"):format(peer), status = 200, count = expected }
  local texts = {}
  for i, entry in ipairs(entries) do texts[i] = cjson.decode(entry.body).params.message.parts[1].text end
  return texts, entries
end

---Kills what still runs and removes every directory.
function host.clean_up()
  for one in pairs(running) do one:kill() end
  for _, path in ipairs(directories) do remove(path) end
  directories = {}
end

return host
