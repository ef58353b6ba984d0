--- The soak; see tests/fault/soak.

package.path = "./?.lua;" .. package.path

local uv = require "luv"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local loop = require "tests.support.loop"
local process = require "tests.support.process"

local PEERS = 20
local BATCH_MS, FAULT_MS, SAMPLE_MS, PRINT_MS = 250, 400, 2000, 15000
local BEAT_GAP_MS = 60000 -- the platform calls a workspace stale after 90 s
local SETTLE_MS = 180000

local SCRIPT = [[
local molecule = require "molecule"
local seen = {}
return function(msg, ctx)
  local number = math.tointeger(tonumber(msg.text:match "%d+"))
  local kind = number % 20
  if kind == 1 and ctx.attempt < 3 then error({ "a table as an error", number }) end
  if kind == 2 and ctx.attempt < 2 then local nothing; return nothing.field end
  if kind == 3 and not seen[number] then
    seen[number] = true
    return molecule.retry { after = 0.2, reason = "not yet" }
  end
  seen[number] = nil
  if kind == 4 then return "answer " .. assert(molecule.exec { argv = { "echo", tostring(number) } }).stdout:match "%d+" end
  if kind == 5 then molecule.exec { cmd = "sleep 5", timeout = 0.05 } end
  if kind == 6 then molecule.exec { argv = { "/no/such/program" } } end
  if kind == 7 then molecule.sleep(0.1) end
  if kind == 8 then
    local words = {}
    for i = 1, 20000 do words[i] = { text = "word " .. i } end
    assert(molecule.json.decode(molecule.json.encode(words)))
  end
  if kind == 9 then
    return { parts = { { kind = "text", text = "answer " .. number }, { kind = "data", data = { a = 1 } } } }
  end
  if kind == 10 then pcall(molecule.json.decode, ("["):rep(300)) end
  return "answer " .. number
end]]

local ACTIONS = {
  { kind = "status", status = 429, headers = { ["Retry-After"] = "1" }, body = { error = "rate limit exceeded" } },
  { kind = "status", status = 500, body = { error = "query failed" } },
  { kind = "status", status = 503, body = { error = "busy", retry_after = 0.3 } },
  { kind = "status", status = 404, body = "" },
  { kind = "status", status = 401, body = { error = "invalid workspace auth token" } },
  { kind = "html502" }, { kind = "reset" }, { kind = "reset_after" }, { kind = "cut", bytes = 1 },
  { kind = "garbage", body = "%%%" }, { kind = "delay", ms = 300 }, { kind = "slow", piece = 2, every_ms = 2 },
  { kind = "hang", only = "/activity" }, { kind = "hang", only = "/registry/heartbeat" },
}
local PATHS = { "/activity", "/registry/heartbeat", "/notify", "/a2a", "/a2a", "/notify" }

local function parse(arguments)
  local options = { minutes = 5, rate = 20, seed = 1 }
  for i = 1, #arguments, 2 do
    local name, value = arguments[i]:match "^%-%-(%a+)$", tonumber(arguments[i + 1])
    if not options[name] or not value or value <= 0 then
      io.stderr:write "usage: tests/fault/soak [--minutes N] [--rate N] [--seed N]\n"
      os.exit(2)
    end
    options[name] = value
  end
  return options
end

---@return {at: number, kib: integer, descriptors: integer, threads: integer}?
local function sample(pid)
  local memory, status = host.read(("/proc/%d/smaps_rollup"):format(pid)), host.read(("/proc/%d/status"):format(pid))
  if not memory or not status then return nil end
  return { at = loop.now(), kib = math.tointeger(tonumber(memory:match "Private_Dirty:%s+(%d+)")),
    threads = math.tointeger(tonumber(status:match "\nThreads:%s+(%d+)")),
    descriptors = #host.list(("/proc/%d/fd"):format(pid)) }
end

local function say(self, count)
  for _ = 1, count do
    self.sent = self.sent + 1
    local peer = self.peers[self.sent % (PEERS + 1)] -- one in 21 is the canvas's
    self.platform:message { to = self.workspace.id, from = peer and peer.id, text = "question " .. self.sent }
  end
end

local function order_fault(self)
  local action, path = ACTIONS[math.random(#ACTIONS)], PATHS[math.random(#PATHS)]
  if action.kind == "hang" and math.random(8) > 1 then return end
  self.platform:fault(action, { path = action.only or path }, { times = math.random(2), skip = math.random(0, 3) })
  self.faults = self.faults + 1
end

local function count(self)
  local told = {}
  local function note(text, row_id)
    local number = type(text) == "string" and tonumber(text:match "^answer (%d+)$")
    if number then
      told[number] = told[number] or {}
      told[number][row_id] = true
    end
  end
  for _, peer in ipairs(self.peers) do
    for _, row in ipairs(self.platform:rows(peer.id)) do note(row.request_body.params.message.parts[1].text, row.id) end
  end
  for _, row in ipairs(self.platform:rows(self.workspace.id)) do
    if row.method == "notify" then note(row.response_body.result, row.id) end
  end
  local lost, twice = 0, 0
  for number = 1, self.sent do
    local times = 0
    for _ in pairs(told[number] or {}) do times = times + 1 end
    if times == 0 then lost = lost + 1 end
    if times > 1 then twice = twice + 1 end
  end
  return lost, twice
end

local function note_beats(self)
  for _, entry in ipairs(self.platform:journal(self.last_entry)) do
    self.last_entry = entry.n
    if entry.path == "/registry/heartbeat" then
      self.longest_gap = math.max(self.longest_gap, entry.at - (self.last_beat or entry.at))
      self.last_beat = entry.at
    end
  end
end

local function row(...)
  print(("%-24s %10s %12s %8s %10s %8s"):format(...))
  io.stdout:flush()
end

local function show(self, name, one)
  row(name, ("%.0f s"):format((one.at - self.began) / 1000), ("%.1f MiB"):format(one.kib / 1024), one.descriptors,
    one.threads, self.sent)
end

-- Timers run their course one by one, whenever the loop has time: none of them is a wait.
local function flow(self, minutes, rate)
  local ends = self.began + minutes * 60000
  local due = { batch = self.began, fault = self.began, sample = self.began, print = self.began }
  local function is_due(name, every_ms)
    if loop.now() < due[name] then return false end
    due[name] = math.max(due[name] + every_ms, loop.now() - 1000)
    return true
  end
  while loop.now() < ends and self.host.process:running() do
    if is_due("batch", BATCH_MS) then say(self, math.ceil(rate * BATCH_MS / 1000)) end
    if is_due("fault", FAULT_MS) then order_fault(self) end
    if is_due("sample", SAMPLE_MS) then
      self.samples[#self.samples + 1] = sample(self.host.process.pid)
      note_beats(self)
      if is_due("print", PRINT_MS) then show(self, "under load", self.samples[#self.samples]) end
    end
    loop.wait(function() return false end, 20) -- the next batch is what is waited for
  end
end

local function settle(self)
  self.platform:clear_faults()
  local deadline = loop.now() + SETTLE_MS
  while true do
    local lost, twice = count(self)
    if lost == 0 or not self.host.process:running() or loop.now() > deadline then return lost, twice end
    loop.wait(function() return self.host.process.ended end, 500)
  end
end

local function maximum(samples, name, from, to)
  local most = 0
  for _, one in ipairs(samples) do
    if one.at >= from and one.at <= to then most = math.max(most, one[name]) end
  end
  return most
end

local function judge(self, lost, twice)
  local first, last = self.samples[1].at, self.samples[#self.samples].at
  local warm = first + (last - first) / 5
  local third = (last - warm) / 3
  local bad = {}
  local function flat(name, factor, slack, unit)
    local early, late = maximum(self.samples, name, warm, warm + third), maximum(self.samples, name, last - third, last)
    print(("%s: at most %d %s in the first third after the warm-up, %d in the last"):format(name, early, unit, late))
    if late > early * factor + slack then bad[#bad + 1] = name .. " grew" end
  end
  flat("kib", 1.25, 4096, "KiB")
  flat("descriptors", 1, 8, "open")
  flat("threads", 1, 4, "running") -- libuv's pool of four begins with the first checkpoint of the ledger
  print(("longest time between two heartbeats: %.1f s"):format(self.longest_gap / 1000))
  print(("%d messages, %d faults: %d answered, %d lost, %d twice"):format(self.sent, self.faults, self.sent - lost, lost,
    twice))
  if self.longest_gap > BEAT_GAP_MS then bad[#bad + 1] = "heartbeats were late" end
  if lost > 0 then bad[#bad + 1] = "messages were lost" end
  if twice > 0 then bad[#bad + 1] = "messages were answered twice" end
  return bad
end

local function run(options)
  math.randomseed(math.tointeger(options.seed) or 1)
  local self = { platform = emulator.start { profile = "latest", args = { "--rate-limit", "-1" } }, peers = {}, sent = 0,
    faults = 0, samples = {}, last_entry = 0, longest_gap = 0 }
  self.workspace = host.workspace(self.platform)
  for i = 1, PEERS do self.peers[i] = host.workspace(self.platform) end
  self.host = host.connect { platform = self.platform, workspace = self.workspace, script = SCRIPT, args = {
    "--interval-ms", "50", "--heartbeat-ms", "500", "--concurrency", "8", "--max-attempts", "20" } }
  self.began = loop.now()
  row("", "after", "memory", "open", "threads", "messages")
  flow(self, options.minutes, options.rate)
  local lost, twice = settle(self)
  local idle = sample(self.host.process.pid)
  local last = self.samples[#self.samples]
  for _, one in ipairs { { "first", self.samples[1] }, { "last", last }, { "idle afterwards", idle } } do
    if one[2] then show(self, one[1], one[2]) end
  end
  local most = { at = self.samples[#self.samples].at }
  for _, name in ipairs { "kib", "descriptors", "threads" } do most[name] = maximum(self.samples, name, 0, math.huge) end
  show(self, "most", most)
  local bad = judge(self, lost, twice)
  if self.host.process.ended then
    bad[#bad + 1] = "the host ended\n" .. self.host.process:report():sub(-4000)
  else
    self.host:stop()
  end
  if lost > 0 then host.write("build/soak.log", self.host.process.stderr) end
  self.platform:stop()
  return bad
end

uv.disable_stdio_inheritance()
local bad = run(parse(arg))
process.kill_all()
host.clean_up()
for _, problem in ipairs(bad) do print("BROKEN: " .. problem) end
if #bad == 0 then print "flat; nothing lost, nothing answered twice" end
os.exit(#bad == 0 and 0 or 1, true)
