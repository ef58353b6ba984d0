--- What does not depend on how busy the machine is: instructions a message, and memory after many.

local uv = require "luv"
local http = require "tests.support.http"
local loop = require "tests.support.loop"
local support = require "tests.support.host"
local sheet = require "tests.bench.table"
local stage = require "tests.bench.stage"

local DRAIN_MS = 1800000
local SAMPLE_MS = 25

local costs = {
  CASES = {
    { name = "one", title = "one conversation", peers = 1 },
    { name = "many", title = "64 conversations, --concurrency 16", peers = 64, args = { "--concurrency", "16" } },
  },
}

local function total(profile)
  local text = support.read(profile)
  return math.tointeger(tonumber(text:match "\ntotals: (%d+)" or text:match "\nsummary: (%d+)"))
end

---Instructions of one such post through libcurl alone.
local function alone(options)
  local platform = stage.platform { rows = 100, peers = 64 }
  local host = stage.host { platform = platform, place = "memory" }
  platform:ask("wait?replies=100", DRAIN_MS)
  host:stop()
  local reply = stage.reply(platform)
  local function run(count)
    local profile = "build/bench/callgrind.multi." .. count
    stage.run({ "valgrind", "--tool=callgrind", "--callgrind-out-file=" .. profile, stage.program "bench_multi",
      platform.url .. reply.path, reply.file, "16", tostring(count) }, 300000)
    return total(profile)
  end
  local once, twice = run(options.instructions), run(options.instructions * 2)
  platform:stop()
  return (twice - once) / options.instructions
end

---Instructions of a whole run that answers so many messages.
local function instructions(case, messages, profile)
  local platform = stage.platform { rows = messages, peers = case.peers }
  local args = { "--interval-ms", "3600000", table.unpack(case.args or {}) }
  local host = stage.host { platform = platform, place = "memory", args = args,
    under = { "valgrind", "--tool=callgrind", "--callgrind-out-file=" .. profile } }
  platform:ask("wait?replies=" .. messages, DRAIN_MS)
  host:stop()
  platform:stop()
  return total(profile)
end

---@param profile string
---@return table<string, number> instructions by the library that they are in
local function by_library(profile)
  local pipe = assert(io.popen("callgrind_annotate --threshold=100 --auto=no " .. profile))
  local found = {}
  for line in pipe:lines() do
    local count, where = line:match "^%s*([%d,]+) %(.-%)%s+(.+)$"
    local library = where and (where:match "%[.*/([^/]+)%]$" or where:find ":" and "libc.so")
    if library then
      library = library:match "^[%w_+-]+"
      found[library] = (found[library] or 0) + tonumber((count:gsub(",", "")))
    end
  end
  assert(pipe:close())
  return found
end

---Where they are: the largest first.
local function show_libraries(profile, options)
  local once, twice, names = by_library(profile .. ".once"), by_library(profile .. ".twice"), {}
  for name in pairs(twice) do names[#names + 1] = name end
  local function per(name) return (twice[name] - (once[name] or 0)) / options.instructions end
  table.sort(names, function(a, b) return per(a) > per(b) end)
  for i = 1, math.min(#names, 8) do
    sheet.row { name = ("    of these in %s"):format(names[i]), unit = "", values = { per(names[i]) } }
  end
end

local function per_message(options, case)
  local values = {}
  for i = 1, options.counts do
    local profile = ("build/bench/callgrind.%s"):format(case.name)
    local once = instructions(case, options.instructions, profile .. ".once")
    local twice = instructions(case, options.instructions * 2, profile .. ".twice")
    values[i] = (twice - once) / options.instructions
  end
  local median = sheet.row { name = case.title, unit = "", values = values }
  show_libraries(("build/bench/callgrind.%s"):format(case.name), options)
  return median
end

-- What a run of so many messages took of something that `count` tells of a host that is still there.
local function counted(case, messages, count, under)
  local platform = stage.platform { rows = messages, peers = case.peers }
  local args = { "--interval-ms", "3600000", table.unpack(case.args or {}) }
  local host = stage.host { platform = platform, place = "memory", args = args, under = under }
  platform:ask("wait?replies=" .. messages, DRAIN_MS)
  local before = count(host)
  host:stop()
  local value = before or count(host)
  platform:stop()
  return value
end

-- Of 2N messages less of N: what the start and the stop take cancels out.
local function each(case, messages, count, under)
  return (counted(case, messages * 2, count, under) - counted(case, messages, count, under)) / messages
end

local function system_calls(case, messages)
  local path = stage.directory "memory" .. "/calls"
  local function count(host)
    if not host.ended then return nil end
    local function sum() return (support.read(path) or ""):match "(%d+)%s+%d*%s*total" end
    local deadline = loop.now() + DRAIN_MS
    while not sum() and loop.now() < deadline do loop.wait(function() return false end, SAMPLE_MS) end
    local calls = tonumber(sum())
    uv.fs_unlink(path)
    return calls
  end
  return each(case, messages, count, { "strace", "-D", "-f", "-c", "-o", path }) -- it writes the sum after the end
end

---@param options {switches: integer}
---@return table<string, number> for the baseline
function costs.switches(options)
  sheet.section(("waits and system calls a message: %d messages less %d"):format(options.switches * 2, options.switches))
  for _, case in ipairs(costs.CASES) do
    sheet.row { name = case.title .. ", voluntary context switches", unit = "",
      values = { each(case, options.switches, function(host) return (host:switches()) end) } }
    for thread, name in pairs { molecule = "network", worker = "worker", disk = "disk" } do
      sheet.row { name = "    of these in the thread " .. name, unit = "",
        values = { each(case, options.switches, function(host) return select(2, host:switches())[thread] or 0 end) } }
    end
    sheet.row { name = case.title .. ", system calls", unit = "", values = { system_calls(case, options.switches // 4) } }
  end
  return {}
end

---@param options {counts: integer, instructions: integer}
---@return table<string, number> for the baseline
function costs.instructions(options)
  sheet.section(("instructions a message: callgrind, %d messages less %d"):format(options.instructions * 2,
    options.instructions))
  sheet.row { name = "beside it: such a post through libcurl alone, 16 in flight", unit = "", values = { alone(options) } }
  return {
    ["instructions-one"] = per_message(options, costs.CASES[1]),
    ["instructions-many"] = per_message(options, costs.CASES[2]),
  }
end

---The most private memory until so many replies came; looked at every 25 ms, since it goes up and down with each page.
local function most_until(platform, host, replies)
  local most, reached = 0
  local exchange = http.start { port = platform.port, path = "/bench/wait?replies=" .. replies }
  local deadline = loop.now() + DRAIN_MS
  while not reached and loop.now() < deadline do
    most = math.max(most, host:private_kib())
    reached = loop.wait(function() return exchange.done end, SAMPLE_MS)
  end
  exchange:close()
  loop.flush()
  if not reached or exchange.status ~= 200 then error("the replies did not come: " .. host:report()) end
  return most
end

---@param options {growth: integer}
---@return table<string, number> for the baseline
function costs.growth(options)
  local platform = stage.platform { rows = options.growth, peers = 64 }
  local host = stage.host { platform = platform, args = { "--concurrency", "16" } }
  local most = {}
  for _, part in ipairs { 5, 10, 45, 50, 95, 100 } do
    most[part] = most_until(platform, host, options.growth * part // 100)
  end
  local figures, database = platform:ask "stats", 0
  for _, name in ipairs(support.list(host.state)) do
    if name:find "%.db" then database = database + uv.fs_stat(host.state .. "/" .. name).size end
  end
  host:stop()
  platform:stop()
  sheet.section(("private memory while %d messages go through one process (the most in each stretch)"):format(options.growth))
  sheet.row { name = "5 to 10 %", unit = "KiB", values = { most[10] } }
  sheet.row { name = "45 to 50 %", unit = "KiB", values = { most[50] } }
  sheet.row { name = "95 to 100 %", unit = "KiB", values = { most[100] }, of = most[50] }
  sheet.row { name = "more at the end than halfway", unit = "%", values = { math.max(0, most[100] / most[50] * 100 - 100) },
    under = 5, target = "< 5 %" }
  sheet.row { name = "the ledger's files at the end, before the stop", unit = "KiB", values = { database / 1024 } }
  sheet.row { name = "replies out of order, or twice", unit = "", values = { figures.out_of_order + figures.duplicates },
    under = 1, target = "none" }
  return { ["loaded-kib"] = most[100] }
end

return costs
