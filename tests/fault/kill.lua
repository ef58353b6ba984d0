--- The kill loop; see tests/fault/kill.

package.path = "./?.lua;" .. package.path

local uv = require "luv"
local cjson = require "cjson"
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
-- Five steps, each of which leaves a line outside when it begins, and one once it is recorded.
local STEPS, STEPS_SCRIPT = 5, [[
local molecule = require "molecule"
local outside = assert(io.open(%q, "a"))
outside:setvbuf "no"
return function(msg, ctx)
  local number = msg.text:match("%%d+")
  for i = 1, %d do
    ctx.step("s" .. i, function(step)
      outside:write(("begin %%s %%d %%s\n"):format(number, i, step.id))
      molecule.sleep(0.002)
    end)
    outside:write(("after %%s %%d\n"):format(number, i))
  end
  return "answer " .. number
end]]
-- Asks its sender, and leaves a line outside with the answer.
local QUESTION_SCRIPT = [[
local outside = assert(io.open(%q, "a"))
outside:setvbuf "no"
return function(msg, ctx)
  local number = msg.text:match("%%d+")
  if not msg.text:find "^question" then outside:write(("seen %%s\n"):format(msg.text)) return end
  local answer = ctx.ask("sure " .. number .. "?", {choices = {"yes " .. number, "no"}})
  outside:write(("used %%s %%s\n"):format(number, answer.choice))
  return "answer " .. number
end]]
local OUTAGE_MS = 3000 -- at most
local SETTLE_MS = 180000 -- only ends a hang

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

--- A platform with a workspace, its peers, and a state directory of its own. Who writes: 20 peers and the canvas in turn, the
--- canvas alone, every other message the canvas, or the peers alone.
---@param profile string?
---@param writers "all"|"canvas"|"half"|"peers"|nil
---@param script string?
local function stage(profile, writers, script)
  local self = { platform = emulator.start { profile = profile or "t1", args = { "--rate-limit", "-1" } },
    writers = writers or "all" }
  self.id, self.token = emulator.uuid(), "secret-of-the-kill-loop"
  self.platform:workspace { id = self.id, token = self.token }
  self.peers = {}
  for i = 1, PEERS do
    self.peers[i] = emulator.uuid()
    self.platform:workspace { id = self.peers[i] }
  end
  self.directory = assert(uv.fs_mkdtemp "/tmp/molecule-kill-XXXXXX")
  local file = assert(io.open(self.directory .. "/agent.lua", "w"))
  file:write(script and script:format(self.directory .. "/outside", STEPS) or SCRIPT)
  file:close()
  self.tally = tally.new(self.platform, { id = self.id })
  self.sent = 0
  return self
end

-- nil: the canvas
local function writer(self)
  if self.writers == "canvas" or self.writers == "half" and self.sent % 2 == 0 then return nil end
  if self.writers == "peers" then return self.peers[self.sent % PEERS + 1] end
  return self.peers[self.sent % (PEERS + 1)] -- of all, one in 21 is the canvas's
end

local function send(self, count)
  for _ = 1, count do
    self.sent = self.sent + 1
    local peer = writer(self)
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

-- Those that the ledger holds once the host has ended.
local function dead_letters(self)
  local list = process.spawn { command = { emulator.binary(), "dead", "list", self.id, "--json", "--state-dir",
    self.directory .. "/state" } }
  assert(list:wait_exit() == 0, list:report())
  return #cjson.decode(list.stdout)
end

--- Lets the host finish everything, then looks.
---@param disturb fun()? what happens to it meanwhile
local function settle(self, disturb)
  local host = start(self)
  if disturb then disturb() end
  local deadline = loop.now() + SETTLE_MS
  repeat
    self.tally:read()
    if self.watch then self:watch() end
    if self.tally:answered(self.sent) == self.sent then break end
    wait_ms(20)
  until loop.now() > deadline
  host:signal "sigterm"
  host:wait_exit(20000)
  self.tally:read()
  local report = self.tally:report(self.sent)
  report.dead = dead_letters(self)
  return report
end

local function strike(self)
  self.platform:stop()
  os.execute("rm -rf " .. self.directory)
end

local function row(...)
  print(("%-46s %6s %8s %6s %8s %6s %8s %8s"):format(...))
end

local broken = false

local function judge(name, kills, report, sent)
  local bound = kills * (CONCURRENCY + 1) -- conversations in flight at a kill
  local repeats = report.repeats + report.canvas_repeats
  row(name, kills, sent, report.lost, report.two_ids, report.dead, repeats, report.out_of_order)
  if report.lost + report.two_ids + report.dead + report.out_of_order > 0 or repeats > bound then
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

-- What the file outside says of the steps: how often one began again, how often after it was recorded, how many had two ids,
-- and how many never began.
local function count_steps(self)
  local began, ids, done = {}, {}, {}
  local counts = { repeats = 0, again = 0, two_ids = 0, missing = 0 }
  for line in io.lines(self.directory .. "/outside") do
    local what, number, step, id = line:match "^(%l+) (%d+) (%d+) ?(%S*)$"
    local name = what and number .. " " .. step
    if what == "begin" then
      if began[name] then counts.repeats = counts.repeats + 1 end
      if done[name] then counts.again = counts.again + 1 end
      if ids[name] and ids[name] ~= id then counts.two_ids = counts.two_ids + 1 end
      began[name], ids[name] = true, id
    elseif what == "after" then
      done[name] = true
    end
  end
  for number = 1, self.sent do
    for step = 1, STEPS do
      if not began[number .. " " .. step] then counts.missing = counts.missing + 1 end
    end
  end
  return counts
end

local function step_kills(options)
  local self = stage(nil, nil, STEPS_SCRIPT)
  local each = math.max(options.messages // options.runs // 4, 1)
  for run = 1, options.runs do
    send(self, each)
    local host = start(self)
    wait_ms(math.random(1, run % 10 == 0 and 400 or 120))
    host:kill()
    self.tally:read()
  end
  local report = settle(self)
  judge(("SIGKILL, handlers of %d steps"):format(STEPS), options.runs, report, self.sent)
  local counts = count_steps(self)
  print(("  %d steps: %d began again, %d of them after they were recorded, %d under two ids, %d never began"):format(
    self.sent * STEPS, counts.repeats, counts.again, counts.two_ids, counts.missing))
  if counts.again + counts.two_ids + counts.missing > 0 or counts.repeats > options.runs * CONCURRENCY then
    broken = true
    print "  BROKEN: a step is done once it is recorded, and begins again at most once for each kill"
  end
  strike(self)
end

-- Peers answer the questions that have come since the last look, each once.
local function answer_questions(self)
  for _, entry in ipairs(self.platform:journal(self.answered_to or 0)) do
    if not entry.status then break end
    self.answered_to = entry.n
    local peer = entry.status == 200 and entry.path:match "^/workspaces/([^/]+)/a2a$"
    local message = peer and cjson.decode(entry.body).params.message
    local number = message and message.parts[1].text:match "^sure (%d+)"
    if number and not self.asked[number] then
      self.asked[number] = message.messageId
      local answer = { role = "user", messageId = emulator.uuid(), parts = { { kind = "text", text = "yes " .. number } },
        metadata = { molecule = { in_reply_to = message.messageId, hops = 1 } } }
      self.platform:message { to = self.id, from = peer, request_body = { jsonrpc = "2.0", id = answer.messageId,
        method = "message/send", params = { message = answer } } }
    elseif number and self.asked[number] ~= message.messageId then
      self.two_ids = self.two_ids + 1
    end
  end
end

-- What the file outside says of answers: how many messages used another one than was given, and how many answers a handler saw.
local function count_answers(self)
  local counts = { wrong = 0, seen = 0 }
  for line in io.lines(self.directory .. "/outside") do
    local number, choice = line:match "^used (%d+) (.*)$"
    if not number then
      counts.seen = counts.seen + 1
    elseif choice ~= "yes " .. number then
      counts.wrong = counts.wrong + 1
    end
  end
  return counts
end

local function question_kills(options)
  local self = stage(nil, "peers", QUESTION_SCRIPT)
  self.asked, self.two_ids, self.watch = {}, 0, answer_questions
  local each = math.max(options.messages // options.runs // 4, 1)
  for run = 1, options.runs do
    send(self, each)
    local host = start(self)
    wait_ms(math.random(1, run % 10 == 0 and 200 or 60))
    answer_questions(self)
    wait_ms(math.random(1, run % 10 == 0 and 200 or 60))
    host:kill()
    self.tally:read()
    if run % 2 == 0 then answer_questions(self) end -- while no host runs
  end
  local report = settle(self)
  judge("SIGKILL, handlers that ask their sender", options.runs, report, self.sent)
  local counts = count_answers(self)
  print(("  %d questions: %d under two ids, %d with another's answer; %d answers came to a handler"):format(self.sent,
    self.two_ids, counts.wrong, counts.seen))
  if self.two_ids + counts.wrong + counts.seen > 0 then
    broken = true
    print "  BROKEN: a question is asked under one id, and its answer is used once, by it alone"
  end
  strike(self)
end

-- The database of the platform goes away before or after the host starts, for up to some seconds; the host is killed in the
-- middle of that, or while it recovers, or is not killed but left to live through it.
local function kill_in_outage(self)
  local host
  if math.random(2) == 1 then host = start(self) wait_ms(math.random(1, 80)) end
  self.platform:fault({ kind = "database" }, {}, { times = -1 })
  if not host then host = start(self) end
  wait_ms(math.random(1, OUTAGE_MS))
  if math.random(2) == 1 then host:kill() end
  self.platform:clear_faults()
  wait_ms(math.random(1, 400))
  host:kill()
end

local function outages(options, profile, writers, name)
  local self = stage(profile, writers)
  local runs = math.max(options.runs // 5, 10)
  local each = math.ceil(options.messages / 5 / runs)
  for run = 1, runs do
    send(self, each)
    if run % 3 == 0 then
      kill_in_outage(self)
    else
      local host = start(self)
      wait_ms(math.random(1, 120))
      host:kill()
    end
    self.tally:read()
  end
  send(self, each)
  local report = settle(self, function() -- the last one, through which the host lives
    wait_ms(math.random(1, 80))
    self.platform:fault({ kind = "database" }, {}, { times = -1 })
    send(self, each)
    wait_ms(OUTAGE_MS)
    self.platform:clear_faults()
  end)
  judge(name, runs, report, self.sent)
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
row("what happened to the host", "times", "messages", "lost", "two ids", "dead", "repeats", "disorder")
random_kills(options)
step_kills(options)
question_kills(options)
outages(options, "t1", "canvas", "SIGKILL, database outages, the canvas alone")
outages(options, "t1", "half", "SIGKILL, database outages, canvas and peers")
outages(options, "latest", "half", "the same, newest version of the platform")
if options.calls then
  for _, call in ipairs(KILLED_CALLS) do kills_at(call, 12) end
  for _, failure in ipairs(FAILURES) do failing(failure) end
end
process.kill_all()
if broken then
  print "a promise is broken"
  os.exit(1)
end
print "nothing lost, nothing answered under two ids, no dead letter, order kept"
print "repeats within one per conversation in flight at a kill; no step again after it was recorded"
