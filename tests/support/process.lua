--- Child processes, for tests. Their output is read as it comes; a wait that fails shows it. A child that is left over
--- is killed by process.kill_all (call it in after_each or teardown), at the latest when the tests' Lua state closes.

local uv = require "luv"
local loop = require "tests.support.loop"

---@class Process
---@field pid integer
---@field stdout string all of it so far
---@field stderr string
---@field lines {stdout: string[], stderr: string[]} complete lines so far
---@field exit {code: integer, signal: integer}? set once it has ended and its output was read to the end
local Process = {}
Process.__index = Process

local process = {}
local live = {}

local function environment(changes)
  local merged, list = uv.os_environ(), {}
  merged.MOLECULE_LOG_FORMAT = "text" -- whatever reads the log here
  merged.MOLECULE_CONFIG, merged.CREDENTIALS_DIRECTORY = nil, nil -- those of who runs the tests
  for name, value in pairs(changes or {}) do merged[name] = value or nil end
  for name, value in pairs(merged) do list[#list + 1] = name .. "=" .. value end
  return list
end

local function read_into(self, pipe, name)
  local rest = ""
  self.open = self.open + 1
  pipe:read_start(function(_, bytes)
    if not bytes then
      if rest ~= "" then self.lines[name][#self.lines[name] + 1] = rest end
      pipe:close()
      self.open = self.open - 1
      return
    end
    self.pieces[name][#self.pieces[name] + 1] = bytes
    rest = rest .. bytes
    local from, at = 1, rest:find("\n", 1, true) -- a pattern would be slow with a very long line
    while at do
      self.lines[name][#self.lines[name] + 1] = rest:sub(from, at - 1)
      from = at + 1
      at = rest:find("\n", from, true)
    end
    rest = rest:sub(from)
  end)
end

function Process.__index(self, key)
  if key == "stdout" or key == "stderr" then
    local text = table.concat(self.pieces[key])
    self.pieces[key] = { text }
    return text
  end
  return Process[key]
end

---@param options {command: string[], env: table<string, string|false>?, cwd: string?, stdin: string?}
---@return Process
function process.spawn(options)
  local self = setmetatable({ command = options.command, pieces = { stdout = {}, stderr = {} },
    lines = { stdout = {}, stderr = {} }, open = 0 }, Process)
  local input, output, errors = uv.new_pipe(false), uv.new_pipe(false), uv.new_pipe(false)
  local handle, pid = uv.spawn(options.command[1], { args = { table.unpack(options.command, 2) },
    env = environment(options.env), cwd = options.cwd, stdio = { input, output, errors } },
    function(code, signal)
      self.ended = { code = code, signal = signal }
      self.handle:close()
      live[self] = nil
    end)
  if not handle then
    input:close() output:close() errors:close()
    error(("cannot start %s: %s"):format(options.command[1], tostring(pid)), 2)
  end
  self.handle, self.pid, self.stdin = handle, pid, input
  live[self] = true
  read_into(self, output, "stdout")
  read_into(self, errors, "stderr")
  if options.stdin then self:write(options.stdin) end
  if options.stdin ~= false and not options.keep_stdin then self:close_stdin() end
  return self
end

---@param text string to its standard input (spawn it with keep_stdin = true)
function Process:write(text)
  self.stdin:write(text)
end

function Process:close_stdin()
  local pipe = self.stdin
  if pipe:is_closing() then return end
  pipe:shutdown(function() if not pipe:is_closing() then pipe:close() end end)
end

---What it has said, for a failure's message.
---@return string
function Process:report()
  local status = self.exit and ("ended: code %d, signal %d"):format(self.exit.code, self.exit.signal) or "still running"
  return ("%s\n--- %s ---\n--- stdout ---\n%s\n--- stderr ---\n%s\n---"):format(
    table.concat(self.command, " "), status, self.stdout, self.stderr)
end

function Process:settle()
  if self.ended and self.open == 0 then self.exit = self.ended end
  return self.exit
end

---Waits for a line that matches; fails when the process ends or the time is over before it.
---@param pattern string a Lua pattern
---@param options {stream: "stdout"|"stderr"|nil, timeout_ms: integer?, from: integer?}? from: the first line looked at
---@return string line, integer number of the line
function Process:wait_line(pattern, options)
  options = options or {}
  local lines, at = self.lines[options.stream or "stdout"], options.from or 1
  local found = loop.wait(function()
    while at <= #lines do
      if lines[at]:find(pattern) then return at end
      at = at + 1
    end
    return self:settle() and -1
  end, options.timeout_ms)
  if not found or found == -1 then
    error(("no line matched %q in time\n%s"):format(pattern, self:report()), 2)
  end
  return lines[found], found
end

---@param name string|integer "sigterm", "sigint", ...
function Process:signal(name)
  if not self.ended then self.handle:kill(name) end
end

---@param timeout_ms integer?
---@return integer code, integer signal
function Process:wait_exit(timeout_ms)
  if not loop.wait(function() return self:settle() end, timeout_ms) then
    error("it did not end in time\n" .. self:report(), 2)
  end
  return self.exit.code, self.exit.signal
end

function Process:kill()
  if self.ended then return end
  self:signal "sigkill"
  loop.wait(function() return self.ended end)
end

---@return boolean
function Process:running()
  uv.run "nowait"
  return self.ended == nil
end

---Kills every child but those of the given list.
---@param but Process[]?
function process.kill_all(but)
  local spared = {}
  for _, one in ipairs(but or {}) do spared[one] = true end
  local doomed = {}
  for one in pairs(live) do doomed[#doomed + 1] = one end
  for _, one in ipairs(doomed) do
    if not spared[one] then one:kill() end
  end
end

local function kill_live()
  for one in pairs(live) do uv.kill(one.pid, "sigkill") end
end

process.sentinel = setmetatable({}, { __gc = kill_live })
table.insert(loop.at_interrupt, kill_live)

return process
