--- How long one message takes when nothing else is to be done, and how long a start takes.

local uv = require "luv"
local support = require "tests.support.host"
local sheet = require "tests.bench.table"
local stage = require "tests.bench.stage"
local drain = require "tests.bench.drain"

local REPLIES_MS = 300000
local WARM_UP = 20 -- messages before the ones that count: the first opens the ledger
local PEERS = 64   -- one that is answered at once and sends the next message ten times a second would meet --breaker

local times = {}

local function help_of(command)
  local child = stage.spawn({ "build/release/molecule", table.unpack(command) }, stage.directory "memory" .. "/help")
  return child:wait()
end
times.help_of = help_of

---Messages that become visible one by one; what the platform noted of them.
---@param case {stream: boolean, every_us: integer, messages: integer, args: string[]?}
---@return table figures, Platform
local function one_by_one(case)
  local platform = stage.platform { stream = case.stream, peers = PEERS }
  local host = stage.host { platform = platform, args = case.args }
  platform:ask "wait?polls=2"
  local count = case.messages + WARM_UP
  platform:ask(("add?rows=%d&every_us=%d"):format(count, case.every_us))
  local reply_time = count * case.every_us // 1000 + REPLIES_MS
  platform:ask("wait?replies=" .. count, reply_time)
  local figures = platform:ask("stats?skip=" .. WARM_UP)
  host:stop()
  return figures, platform
end

local function wait_row(options, title, stream, args, limits)
  local medians, worst = {}, {}
  for i = 1, options.runs do
    local figures, platform = one_by_one { stream = stream, every_us = 97000, messages = options.waits, args = args }
    platform:stop()
    medians[i], worst[i] = figures.from_visible.p50 / 1e6, figures.from_visible.p99 / 1e6
  end
  sheet.row { name = title .. ", p50", unit = "ms", values = medians, under = limits.p50,
    target = ("< %d ms"):format(limits.p50) }
  sheet.row { name = title .. ", p99", unit = "ms", values = worst, under = limits.p99,
    target = limits.p99 and ("< %d ms"):format(limits.p99) }
end

---@param options {runs: integer, waits: integer}
function times.wait(options)
  sheet.section "from visible at an idle platform to its reply posted, default options"
  wait_row(options, "polling, the platform has no stream", false, nil, { p50 = 1000 })
  if help_of { "connect", "--help" }:find("--wake", 1, true) then
    wait_row(options, "the platform has a stream", true, nil, { p50 = 5, p99 = 20 })
  else
    sheet.skip("the platform has a stream", "no --wake in this build")
  end
end

---@param options {runs: integer, added: integer}
function times.added(options)
  local p50, p99, bare = {}, {}, {}
  for i = 1, options.runs do
    local figures, platform = one_by_one { every_us = 13000, messages = options.added, args = { "--interval-ms", "5" } }
    local reply = stage.reply(platform)
    local _, trip = drain.multi(platform, reply, 1, 5000)
    platform:stop()
    bare[i] = trip
    p50[i], p99[i] = figures.from_sent.p50 / 1e3 - trip, figures.from_sent.p99 / 1e3 - trip
  end
  sheet.section "added by the host: from the page sent to the reply read, less the bare round trip; ledger on the disk"
  sheet.row { name = "added, p50", unit = "us", values = p50, under = 200, target = "< 200 us" }
  sheet.row { name = "added, p99", unit = "us", values = p99, under = 2000, target = "< 2,000 us" }
  sheet.row { name = "the bare round trip (libcurl multi, 1 in flight)", unit = "us", values = bare }
end

---@param options {starts: integer}
function times.start(options)
  local taken = {}
  for i = 1, options.starts do
    local platform = stage.platform {}
    local host = stage.host { platform = platform, free = true, behind = false }
    local figures = platform:ask "wait?registered=1"
    taken[i] = (figures.registered_ns - host.began_ns) / 1e6
    host:stop()
    platform:stop()
  end
  local directory = stage.directory "memory"
  stage.run { "strip", "-o", directory .. "/molecule", "build/release/molecule" }
  sheet.section "start and size"
  sheet.row { name = ("from exec to the registration read, %d times"):format(options.starts), unit = "ms", values = taken,
    under = 10, target = "< 10 ms" }
  sheet.row { name = "the binary, stripped", unit = "KiB", values = { uv.fs_stat(directory .. "/molecule").size / 1024 },
    under = 1536, target = "< 1,536 KiB" }
end

---@return boolean
function times.has_fleet()
  return help_of { "--help" }:find "\n  fleet%s" ~= nil
end

---What an idle process uses in a while.
---@param child Child
---@param seconds number
---@return number percent of a core, integer KiB
function times.idle_use(child, seconds)
  local before, began = child:cpu_ns(), uv.hrtime()
  stage.pass(seconds)
  return (child:cpu_ns() - before) / (uv.hrtime() - began) * 100, child:private_kib()
end

---@param options {runs: integer, idle_seconds: integer}
function times.idle(options)
  local cpu, memory = {}, {}
  for i = 1, options.runs do
    local platform = stage.platform {}
    local host = stage.host { platform = platform, behind = false }
    platform:ask "wait?polls=3"
    cpu[i], memory[i] = times.idle_use(host, options.idle_seconds / options.runs)
    host:stop()
    platform:stop()
  end
  sheet.section(("idle, one workspace, %d s, default options"):format(options.idle_seconds))
  sheet.row { name = "processor time", unit = "%", values = cpu, under = 0.1, target = "< 0.1 %" }
  return sheet.row { name = "private memory", unit = "KiB", values = memory, under = 3072, target = "< 3,072 KiB" }
end

local function fleet_file(directory, platform, count)
  support.write(directory .. "/agent.lua", stage.SCRIPT)
  local lines = { ("return { defaults = { script = 'agent.lua', api_url = %q, interval_ms = 10000 }, workspaces = {"):format(
    platform.url) }
  for i = 0, count - 1 do
    lines[#lines + 1] = ('{ id = "%08x-0000-4000-8000-000000000001", token = "bench" },'):format(i)
  end
  lines[#lines + 1] = "} }"
  return support.write(directory .. "/fleet.lua", table.concat(lines, "\n"))
end

---@param options {idle_seconds: integer}
function times.fleet(options)
  sheet.section "idle, many workspaces in one process, polling every 10 s"
  if not times.has_fleet() then
    sheet.skip("1, 100, 1,000 and 10,000 workspaces", "no fleet command in this build")
    return
  end
  local first
  for _, count in ipairs { 1, 100, 1000, 10000 } do
    local platform = stage.platform { workspaces = count }
    local directory = stage.directory "disk"
    local host = stage.spawn({ "build/release/molecule", "fleet", fleet_file(directory, platform, count), "--state-dir",
      directory .. "/state" }, directory .. "/host.log", stage.core)
    platform:ask(("wait?registered=%d&polls=%d"):format(count, count * 2), 120000)
    local cpu, memory = times.idle_use(host, math.max(options.idle_seconds, 20))
    host:stop()
    platform:stop()
    first = first or memory
    local name, whole = ("%d workspaces, "):format(count), count == 10000
    sheet.row { name = name .. "processor time", unit = "%", values = { cpu }, under = whole and 100,
      target = whole and "< 100 %" }
    sheet.row { name = name .. "private memory", unit = "MiB", values = { memory / 1024 }, under = whole and 600,
      target = whole and "< 600 MiB" }
    if count > 1 then
      sheet.row { name = name .. "each more costs", unit = "KiB", values = { (memory - first) / (count - 1) }, under = 60,
        target = "< 60 KiB" }
    end
  end
end

return times
