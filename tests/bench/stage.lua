--- Where the benchmark plays: the stand-in platform on one core, what is measured on the other, each in a process of its
--- own whose output goes to a file (reading a line for each message would cost the machine more than writing it).

local uv = require "luv"
local http = require "tests.support.http"
local loop = require "tests.support.loop"
local support = require "tests.support.host"

local BIN = "build/release/tests/bench/"
local WORKSPACE = "00000000-0000-4000-8000-000000000001"
local ROW_ZERO = "00000000-0000-4000-a000-000000000000"
local EXIT_MS, START_MS = 30000, 20000

local stage = { SCRIPT = [[return function(msg) return "done: " .. msg.text end]] }

local running, directories = {}, {}
stage.sentinel = setmetatable({}, { __gc = function() for one in pairs(running) do uv.kill(one.pid, "sigkill") end end })

---The first two cores that this process may use: for what is measured, and for the server.
---@return integer, integer
local function find_cores()
  local list = support.read "/proc/self/status":match "Cpus_allowed_list:%s*(%S+)"
  local cores = {}
  for from, to in list:gmatch "(%d+)%-?(%d*)" do
    for core = tonumber(from), tonumber(to) or tonumber(from) do cores[#cores + 1] = core end
  end
  return math.tointeger(cores[1]), math.tointeger(cores[2] or cores[1])
end
stage.core, stage.server_core = find_cores()

---@param place "disk"|"memory"
---@return string path removed by stage.clean_up
function stage.directory(place)
  local base = place == "memory" and "/dev/shm/molecule-bench-" or "build/bench/run-"
  local path = assert(uv.fs_mkdtemp(base .. "XXXXXX"))
  directories[#directories + 1] = path
  return path
end

local function remove(path)
  for _, name in ipairs(support.list(path)) do uv.fs_unlink(path .. "/" .. name) end
  for _, name in ipairs(support.list(path)) do remove(path .. "/" .. name) end
  uv.fs_rmdir(path)
end

---@class Child
---@field pid integer
---@field log string path of what it printed
---@field ended {code: integer, signal: integer}?
local Child = {}
Child.__index = Child

---@param command string[]
---@param log string
---@param core integer? which core it is held on
---@return Child
function stage.spawn(command, log, core)
  local self = setmetatable({ log = log, began_ns = 0 }, Child)
  if core then command = { "taskset", "-c", tostring(core), table.unpack(command) } end
  local output = assert(uv.fs_open(log, "w", 384))
  local environment = { "MOLECULE_WORKSPACE_TOKEN=bench", "PATH=" .. os.getenv "PATH", "HOME=" .. os.getenv "HOME" }
  local arguments = { args = { table.unpack(command, 2) }, env = environment, stdio = { nil, output, output } }
  self.began_ns = uv.hrtime()
  local handle, pid = uv.spawn(command[1], arguments, function(code, signal)
    self.ended = { code = code, signal = signal }
    self.handle:close()
    running[self] = nil
  end)
  uv.fs_close(output)
  if not handle then error(("cannot start %s: %s"):format(command[1], tostring(pid)), 2) end
  self.handle, self.pid = handle, pid
  running[self] = true
  return self
end

function Child:report()
  return ("%s\n%s"):format(self.log, (support.read(self.log) or ""):sub(-2000))
end

---Waits for its end; any code but 0 is an error.
---@param timeout_ms integer?
---@return string output
function Child:wait(timeout_ms)
  if not loop.wait(function() return self.ended end, timeout_ms or EXIT_MS) then
    error("it did not end in time: " .. self:report(), 2)
  end
  if self.ended.code ~= 0 then error(("it ended with code %d: %s"):format(self.ended.code, self:report()), 2) end
  return support.read(self.log)
end

function Child:stop()
  if not self.ended then self.handle:kill "sigterm" end
  return self:wait()
end

---Processor time of all its threads so far.
---@return integer nanoseconds
function Child:cpu_ns()
  local sum = 0
  for _, thread in ipairs(support.list(("/proc/%d/task"):format(self.pid))) do
    local text = support.read(("/proc/%d/task/%s/schedstat"):format(self.pid, thread))
    sum = sum + (text and math.tointeger(tonumber(text:match "%d+")) or 0)
  end
  return sum
end

---How often its threads waited for something so far, and which of them, by name.
---@return integer switches, table<string, integer>
function Child:switches()
  local sum, by_thread = 0, {}
  for _, thread in ipairs(support.list(("/proc/%d/task"):format(self.pid))) do
    local folder = ("/proc/%d/task/%s/"):format(self.pid, thread)
    local status, name = support.read(folder .. "status"), support.read(folder .. "comm")
    local count = status and math.tointeger(tonumber(status:match "\nvoluntary_ctxt_switches:%s+(%d+)")) or 0
    name = name and name:match "%S+" or "gone"
    by_thread[name] = (by_thread[name] or 0) + count
    sum = sum + count
  end
  return sum, by_thread
end

---@return integer KiB that are its alone
function Child:private_kib()
  local text = support.read(("/proc/%d/smaps_rollup"):format(self.pid)) or error("it is gone: " .. self:report(), 2)
  return math.tointeger(tonumber(text:match "Private_Dirty:%s+(%d+)"))
end

---@class Platform: Child
---@field port integer
local Platform = setmetatable({}, { __index = Child })
Platform.__index = Platform

---@param options {rows: integer?, peers: integer?, workspaces: integer?, stream: boolean?}
---@return Platform
function stage.platform(options)
  local command = { BIN .. "bench_platform", "--rows", tostring(options.rows or 0), "--peers", tostring(options.peers or 1),
    "--workspaces", tostring(options.workspaces or 1) }
  if not options.stream then command[#command + 1] = "--no-stream" end
  local self = stage.spawn(command, stage.directory "memory" .. "/platform.log", stage.server_core)
  setmetatable(self, Platform)
  local text, deadline = nil, loop.now() + START_MS
  while not text and not self.ended and loop.now() < deadline do
    loop.wait(function() return self.ended end, 1)
    text = support.read(self.log):match "listening on (%d+)"
  end
  if not text then error("the platform did not start: " .. self:report(), 2) end
  self.port = math.tointeger(tonumber(text))
  self.url = "http://127.0.0.1:" .. self.port
  return self
end

---One of its own routes (platform.c).
---@param path string
---@param timeout_ms integer?
---@return table|string
function Platform:ask(path, timeout_ms)
  local answer = http.request { port = self.port, path = "/bench/" .. path, timeout_ms = timeout_ms }
  if answer.status ~= 200 then
    error(("the platform did not answer /bench/%s: %s"):format(path, answer.problem or answer.body), 2)
  end
  return answer.json or answer.body
end

---@param options {platform: Platform, place: "disk"|"memory"|nil, script: string?, args: string[]?, under: string[]?,
---  free: boolean?, behind: boolean?, again: Child?}
---  under: a command that runs it; free: on any core; behind: its cursor stands before the first row; again: one that has
---  ended, whose state and script it has
---@return Child
function stage.host(options)
  local directory = options.again and options.again.directory or stage.directory(options.place or "disk")
  local state = directory .. "/state"
  if not options.again then assert(uv.fs_mkdir(state, 448)) end
  if options.behind ~= false and not options.again then
    local path = support.write(("%s/%s.json"):format(state, WORKSPACE),
      ('{"workspace_id": "%s", "last_since_id": "%s"}'):format(WORKSPACE, ROW_ZERO))
    uv.fs_chmod(path, 384)
  end
  local script = directory .. "/agent.lua"
  if not options.again then support.write(script, options.script or stage.SCRIPT) end
  local command = { table.unpack(options.under or {}) }
  for _, word in ipairs { "build/release/molecule", "connect", WORKSPACE, "--script", script, "--api-url",
    options.platform.url, "--state-dir", state } do command[#command + 1] = word end
  for _, word in ipairs(options.args or {}) do command[#command + 1] = word end
  local self = stage.spawn(command, directory .. "/host.log", not options.free and stage.core or nil)
  self.state, self.directory = state, directory
  return self
end

---Which machine this is, and what it charges.
---@return string
function stage.machine()
  local model = (support.read "/proc/cpuinfo" or ""):match "model name%s*:%s*([^\n]+)" or "an unknown processor"
  return ("%s, %d processors; %s"):format(model, uv.available_parallelism(), stage.run({ stage.program "bench_machine" }, 60000)
    :gsub("%s+$", ""))
end

---Runs a program to its end on the core of what is measured.
---@param command string[]
---@param timeout_ms integer?
---@return string output
function stage.run(command, timeout_ms)
  return stage.spawn(command, stage.directory "memory" .. "/output", stage.core):wait(timeout_ms or 60000)
end

---@param name string of a program of the benchmark
---@return string
function stage.program(name)
  return BIN .. name
end

---The last reply as the platform read it, for the ceilings to send again.
---@param platform Platform
---@return {path: string, head: string, body: string, file: string}
function stage.reply(platform)
  local text = platform:ask "request"
  local head, body = text:match "^(.-)\r\n\r\n(.*)$"
  return { path = head:match "^POST (%S+)", head = head, body = body,
    file = support.write(stage.directory "memory" .. "/request", text) }
end

---Lets time pass; only where the measurement is of time that passes.
---@param seconds number
function stage.pass(seconds)
  loop.wait(function() return false end, math.floor(seconds * 1000))
end

---Ends what still runs and removes every directory.
function stage.clean_up()
  for one in pairs(running) do one.handle:kill "sigkill" end
  loop.wait(function() return next(running) == nil end, EXIT_MS)
  for _, path in ipairs(directories) do remove(path) end
  directories = {}
end

return stage
