--- The kill loop; see tests/fault/kill.

package.path = "./?.lua;" .. package.path

local uv = require "luv"
local emulator = require "tests.support.emulator"
local loop = require "tests.support.loop"
local process = require "tests.support.process"
local tally = require "tests.fault.tally"

local PEERS = 20
local CONCURRENCY = 4
local SCRIPT = [[
return function(msg)
  return "answer " .. msg.text:match("%d+")
end]]

-- system calls that change state, in the order in which a save meets them
local KILLED_CALLS = { "openat", "write", "pwrite64", "fsync", "fdatasync", "rename", "unlink", "ftruncate" }
local FAILURES = {
  { call = "pwrite64", error = "ENOSPC" }, { call = "pwrite64", error = "EIO" }, { call = "fsync", error = "EIO" },
  { call = "fdatasync", error = "EIO" }, { call = "rename", error = "ENOSPC" }, { call = "openat", error = "EMFILE" },
  { call = "openat", error = "EROFS" }, { call = "ftruncate", error = "EIO" },
}

local function parse(arguments)
  local options = { runs = 500, messages = 5000, calls = false, seed = 1 }
  local i = 1
  while arguments[i] do
    local name = arguments[i]:match("^%-%-(%a+)$")
    if name == "calls" then
      options.calls = true
    elseif options[name] and tonumber(arguments[i + 1]) then
      i = i + 1
      options[name] = math.tointeger(tonumber(arguments[i]))
    else
      io.stderr:write("usage: tests/fault/kill [--runs N] [--messages N] [--seed N] [--calls]\n")
      os.exit(2)
    end
    i = i + 1
  end
  return options
end

--- A platform with a workspace, its peers, and a state directory of its own.
local function stage()
  local self = { platform = emulator.start { profile = "t1", args = { "--rate-limit", "-1" } } }
  self.id, self.token = emulator.uuid(), "secret-of-the-kill-loop"
  self.platform:workspace { id = self.id, token = self.token }
  self.peers = {}
  for i = 1, PEERS do
    self.peers[i] = emulator.uuid()
    self.platform:workspace { id = self.peers[i] }
  end
  self.directory = assert(uv.fs_mkdtemp "/tmp/molecule-kill-XXXXXX")
  local file = assert(io.open(self.directory .. "/agent.lua", "w"))
  file:write(SCRIPT)
  file:close()
  self.tally = tally.new(self.platform, { id = self.id })
  self.sent = 0
  return self
end

local function send(self, count)
  for _ = 1, count do
    self.sent = self.sent + 1
    local peer = self.peers[self.sent % (PEERS + 1)] -- one in 21 is the canvas's
    self.platform:message { to = self.id, from = peer, text = ("question %d"):format(self.sent) }
  end
end

local function start(self, prefix)
  local command = { table.unpack(prefix or {}) }
  for _, word in ipairs { emulator.binary(), "connect", self.id, "--script", self.directory .. "/agent.lua", "--api-url",
    self.platform.url, "--state-dir", self.directory .. "/state", "--interval-ms", "5", "--concurrency", CONCURRENCY,
    "--max-attempts", "20", "--since-secs", "3600" } do
    command[#command + 1] = tostring(word)
  end
  return process.spawn { command = command, env = { MOLECULE_WORKSPACE_TOKEN = self.token } }
end

local function wait_ms(milliseconds)
  loop.wait(function() return false end, milliseconds) -- the kill's random instant is the thing waited for
end

--- Lets the host finish everything, then looks.
local function settle(self)
  local host = start(self)
  local deadline = loop.now() + 60000
  repeat
    self.tally:read()
    if self.tally:answered(self.sent) == self.sent then break end
    wait_ms(20)
  until loop.now() > deadline
  host:signal "sigterm"
  host:wait_exit(20000)
  self.tally:read()
  return self.tally:report(self.sent), host
end

local function strike(self)
  self.platform:stop()
  os.execute("rm -rf " .. self.directory)
end

local function row(...)
  print(("%-44s %8s %8s %8s %9s %9s %9s"):format(...))
end

local broken = false

local function judge(name, kills, report, sent)
  local bound = kills * (CONCURRENCY + 1) -- conversations in flight at a kill
  row(name, kills, sent, report.lost, report.two_ids, report.repeats + report.canvas_repeats, report.out_of_order)
  if report.lost > 0 or report.two_ids > 0 or report.out_of_order > 0 or report.repeats + report.canvas_repeats > bound then
    broken = true
    print("  BROKEN: " .. name)
  end
end

local function random_kills(options)
  local self = stage()
  local each = math.ceil(options.messages / options.runs)
  for run = 1, options.runs do
    send(self, math.min(each, options.messages - self.sent))
    local host = start(self)
    wait_ms(math.random(1, run % 10 == 0 and 400 or 120))
    host:kill()
    self.tally:read()
  end
  judge("SIGKILL at a random instant", options.runs, settle(self), self.sent)
  strike(self)
end

-- What runs below a wrapper like strace, by pid: other runs on this machine may serve workspaces of the same name.
local function note_children(child, known)
  local file = io.open(("/proc/%d/task/%d/children"):format(child.pid, child.pid))
  if not file then return end
  for pid in file:read("a"):gmatch "%d+" do known[math.tointeger(tonumber(pid))] = true end
  file:close()
end

local function kill_children(self, known)
  for pid in pairs(known) do
    local file = io.open(("/proc/%d/cmdline"):format(pid))
    local line = file and file:read "a" or ""
    if file then file:close() end
    if line:find(self.directory, 1, true) then uv.kill(pid, "sigkill") end
  end
end

--- Kills at the first, second, … execution of the call until a host survives it.
local function kills_at(call, most)
  local self = stage()
  local kills = 0
  for nth = 1, most do
    send(self, 3)
    local host = start(self, { "strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=" .. call, "-e",
      ("inject=%s:signal=KILL:when=%d"):format(call, nth) })
    local deadline, children = loop.now() + 1500, {}
    repeat
      note_children(host, children)
      self.tally:read()
      wait_ms(10)
      local done = self.tally:answered(self.sent) == self.sent and loop.now() > deadline - 1000
    until host.ended or done or loop.now() > deadline
    if host.ended then kills = kills + 1 end
    if not host.ended then
      host:signal "sigterm"
      loop.wait(function() return host.ended end, 3000)
      host:kill()
    end
    kill_children(self, children) -- of strace, should it go first
  end
  judge("SIGKILL at every " .. call, kills, settle(self), self.sent)
  strike(self)
end

local function failing(failure)
  local self = stage()
  for _, when in ipairs { "1..40", "5+7", "20..60" } do
    send(self, 10)
    local host = start(self, { "strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=" .. failure.call, "-e",
      ("inject=%s:error=%s:when=%s"):format(failure.call, failure.error, when) })
    local deadline, children = loop.now() + 3000, {}
    repeat
      note_children(host, children)
      self.tally:read()
      wait_ms(10)
    until host.ended or self.tally:answered(self.sent) == self.sent or loop.now() > deadline
    host:signal "sigterm"
    loop.wait(function() return host.ended end, 2000)
    host:kill()
    kill_children(self, children)
  end
  judge(("%s fails with %s"):format(failure.call, failure.error), 3, settle(self), self.sent)
  strike(self)
end

local options = parse(arg)
math.randomseed(options.seed)
row("what happened to the host", "times", "messages", "lost", "two ids", "repeats", "disorder")
random_kills(options)
if options.calls then
  for _, call in ipairs(KILLED_CALLS) do kills_at(call, 12) end
  for _, failure in ipairs(FAILURES) do failing(failure) end
end
process.kill_all()
if broken then
  print "a promise is broken"
  os.exit(1)
end
print "nothing lost, nothing answered under two ids, order kept; repeats within one per conversation in flight at a kill"
