--- The benchmark; see tests/bench/run.

package.path = "./?.lua;" .. package.path

local uv = require "luv"
local sheet = require "tests.bench.table"
local stage = require "tests.bench.stage"
local drain = require "tests.bench.drain"
local times = require "tests.bench.times"
local costs = require "tests.bench.costs"
local questions = require "tests.bench.questions"

local BASELINE = "tests/bench/baseline"

local MODES = {
  normal = { runs = 3, messages = 10000, requests = 30000, seconds = 2, waits = 200, added = 1000, starts = 30, counts = 1,
    instructions = 500, switches = 2000, idle_seconds = 20, growth = 100000 },
  quick = { runs = 1, messages = 5000, requests = 15000, seconds = 1, waits = 60, added = 300, starts = 10, counts = 1,
    instructions = 500, switches = 1000, idle_seconds = 6, growth = 100000 },
  full = { runs = 5, messages = 20000, requests = 50000, seconds = 3, waits = 600, added = 3000, starts = 30, counts = 3,
    instructions = 500, switches = 1000, idle_seconds = 60, growth = 1000000 },
}
MODES.check = { runs = 1, counts = 1, instructions = 500, switches = 1000, idle_seconds = 5, growth = 100000 }

local FIGURES = {
  { name = "drain-one", run = drain.one },
  { name = "drain-many", run = drain.many },
  { name = "steps", run = drain.steps },
  { name = "alone", run = drain.alone },
  { name = "wait", run = times.wait },
  { name = "added", run = times.added },
  { name = "start", run = times.start },
  { name = "instructions", run = costs.instructions, checked = true },
  { name = "switches", run = costs.switches },
  { name = "idle", run = function(options) return { ["idle-kib"] = times.idle(options) } end, checked = true },
  { name = "fleet", run = times.fleet },
  { name = "growth", run = costs.growth, checked = true },
  { name = "questions", run = questions.run },
}

local function names()
  local list = {}
  for i, figure in ipairs(FIGURES) do list[i] = figure.name end
  return table.concat(list, ", ")
end

local function misuse(problem)
  io.stderr:write(problem, "\nusage: tests/bench/run [--quick|--full|--check|--baseline] [--only NAME]\n  NAME: ", names(), "\n")
  os.exit(2)
end

local function parse(arguments)
  local options, i = { mode = "normal" }, 1
  while arguments[i] do
    local word = arguments[i]
    if word == "--quick" or word == "--full" or word == "--check" then
      options.mode = word:sub(3)
    elseif word == "--baseline" then
      options.mode, options.write = "check", true
    elseif word == "--only" and names():find(arguments[i + 1] or ",", 1, true) then
      i = i + 1
      options.only = arguments[i]
    else
      misuse("what is " .. word .. "?")
    end
    i = i + 1
  end
  options.check = options.mode == "check" and not options.write
  return options
end

---Lines of "name value tolerance-in-percent".
local function read_baseline()
  local baseline = {}
  for line in io.lines(BASELINE) do
    local name, value, tolerance = line:match "^([%w-]+)%s+(%d+)%s+(%d+)"
    if name then
      baseline[#baseline + 1] = { name = name, value = tonumber(value), tolerance = tonumber(tolerance) }
    end
  end
  return baseline
end

local function compare(found)
  sheet.section "beside tests/bench/baseline"
  for _, line in ipairs(read_baseline()) do
    local value = found[line.name]
    if value then
      sheet.row { name = ("%s, more than the baseline's %d"):format(line.name, line.value), unit = "%",
        values = { math.max(0, value / line.value * 100 - 100) }, under = line.tolerance,
        target = ("< %d %%"):format(line.tolerance) }
    end
  end
end

local function write_baseline(found)
  local kept = {}
  for line in io.lines(BASELINE) do
    local name, tolerance = line:match "^([%w-]+)%s+%d+%s+(%d+)"
    if name and found[name] then line = ("%-20s %10.0f %4d"):format(name, found[name], tolerance) end
    kept[#kept + 1] = line
  end
  local file = assert(io.open(BASELINE, "w"))
  file:write(table.concat(kept, "\n"), "\n")
  file:close()
end

local function measure(options)
  local found, broken = {}, 0
  print(stage.machine())
  sheet.head()
  for _, figure in ipairs(FIGURES) do
    if (not options.only or options.only == figure.name) and (options.mode ~= "check" or figure.checked) then
      local fine, values = xpcall(figure.run, debug.traceback, MODES[options.mode])
      if not fine then
        print(("\n%s could not be measured: %s"):format(figure.name, values))
        broken = broken + 1
      else
        for name, value in pairs(values or {}) do found[name] = value end
      end
      stage.clean_up()
    end
  end
  return found, broken
end

local options = parse(arg)
uv.disable_stdio_inheritance()
local found, broken = measure(options)
if options.write then write_baseline(found) end
if options.check then
  sheet.failed = 0 -- the targets are not what is checked
  compare(found)
end
print(("\n%d of the figures with a target missed it, %d could not be measured"):format(sheet.failed, broken))
os.exit(broken == 0 and (not options.check or sheet.failed == 0) and 0 or 1, true)
