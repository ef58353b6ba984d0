--- The fault matrix; see tests/fault/matrix. Each kind runs in a process of its own, several at a time.

package.path = "./?.lua;" .. package.path

local uv = require "luv"
local host = require "tests.support.host"
local loop = require "tests.support.loop"
local process = require "tests.support.process"
local stage = require "tests.fault.stage"

local KIND_MS = 240000
local WIDTHS = { 68, 86, 9, 5, 4 }

local kinds = {}
for _, group in ipairs { "answers", "inbox", "machine" } do
  for _, kind in ipairs(require("tests.fault.kinds_" .. group)) do kinds[#kinds + 1] = kind end
end

local function usage()
  io.stderr:write "usage: tests/fault/matrix [--only PATTERN] [--jobs N] [--list]\n"
  os.exit(2)
end

local function parse(arguments)
  local options = { only = "", jobs = 12 }
  local i = 1
  while arguments[i] do
    local name, value = arguments[i]:match "^%-%-(%a+)$", arguments[i + 1]
    if name == "list" then
      options.list = true
    elseif name == "only" and value then
      options.only, i = value, i + 1
    elseif (name == "jobs" or name == "one") and math.tointeger(tonumber(value)) then
      options[name], i = math.tointeger(tonumber(value)), i + 1
    else
      usage()
    end
    i = i + 1
  end
  return options
end

-- A log line without its time and its workspace.
local function shorten(line)
  line = (line or "-"):gsub("^%S+ (%a+) +%S+: ", "%1: "):gsub("%x+%-%x+%-%x+%-%x+%-%x+", "…"):gsub("%s+", " ")
  return #line > WIDTHS[2] and line:sub(1, WIDTHS[2] - 1):gsub("[\xC2-\xF4][\x80-\xBF]*$", "") .. "…" or line
end

local function run_kind(kind)
  local t = stage.new()
  local fine, problem = xpcall(kind.run, debug.traceback, t)
  local skipped = fine and problem
  if fine and not t.ended and not skipped then fine, problem = xpcall(t.close, debug.traceback, t) end
  local answered, twice = t:count()
  if t.host and not fine then problem = ("%s\n%s"):format(problem, t.host.process:report()) end
  process.kill_all()
  host.clean_up()
  return { log = skipped or shorten(t.notes[1]), answered = answered, sent = t.sent, twice = twice,
    ok = fine and answered == t.sent and twice == 0, problem = not fine and problem or nil }
end

-- In the child: one line for the parent, everything else to standard error.
local function run_one(number)
  local result = run_kind(kinds[number])
  print(table.concat({ result.log, result.answered, result.sent, result.twice, result.ok and "yes" or "NO" }, "\t"))
  if result.problem then io.stderr:write(result.problem, "\n") end
  os.exit(result.ok and 0 or 1, true)
end

local function pad(text, width)
  return text .. (" "):rep(width - (utf8.len(text) or #text))
end

local function row(...)
  local cells = {}
  for i, text in ipairs { ... } do cells[i] = pad(text, WIDTHS[i]) end
  io.write(table.concat(cells, " | "), "\n")
  io.flush()
end

local function start(number)
  return process.spawn { command = { "lua5.4", "tests/fault/matrix.lua", "--one", tostring(number) } }
end

local function read_result(child)
  local log, answered, sent, twice, ok = child.stdout:match "([^\n]*)\t(%d+)\t(%d+)\t(%d+)\t(%a+)\n$"
  if not log then return { log = "-", answered = "?", sent = "?", twice = "?", ok = "NO", problem = child:report() } end
  return { log = log, answered = answered, sent = sent, twice = twice, ok = ok, problem = ok ~= "yes" and child.stderr }
end

-- The slow ones first, so that the last to end is not one of them.
local function queue_of(pattern)
  local queue = {}
  for _, slow in ipairs { true, false } do
    for number, kind in ipairs(kinds) do
      if (kind.slow or false) == slow and kind.name:find(pattern) then queue[#queue + 1] = number end
    end
  end
  return queue
end

local function run_all(options)
  local queue, running, results, active = queue_of(options.only), {}, {}, 0
  local next_shown, shown = 1, {}
  for _, number in ipairs(queue) do shown[#shown + 1] = number end
  table.sort(shown)
  local began, failed = loop.now(), 0
  row("injected", "what the log said", "answered", "twice", "ok")
  while next_shown <= #shown do
    while active < options.jobs and #queue > 0 do
      local number = table.remove(queue, 1)
      running[number] = { child = start(number), deadline = loop.now() + KIND_MS }
      active = active + 1
    end
    loop.wait(function()
      for number, one in pairs(running) do
        if loop.now() > one.deadline then one.child:signal "sigterm" end
        if one.child:settle() then
          results[number], running[number], active = read_result(one.child), nil, active - 1
          return true
        end
      end
      return false
    end, 1000)
    while next_shown <= #shown and results[shown[next_shown]] do
      local result = results[shown[next_shown]]
      row(kinds[shown[next_shown]].name, result.log, ("%s/%s"):format(result.answered, result.sent), result.twice, result.ok)
      if result.ok ~= "yes" then
        failed = failed + 1
        io.write((result.problem or ""):gsub("[^\n]+", "    %0"), "\n")
      end
      next_shown = next_shown + 1
    end
  end
  print(("%d kinds in %d s, %d failed"):format(#shown, math.floor((loop.now() - began) / 1000), failed))
  return #shown > 0 and failed == 0
end

local pipes = uv.new_signal()
pipes:start("sigpipe", function() end) -- a peer that hangs up is one of the kinds
pipes:unref()

local options = parse(arg)
if options.one then run_one(options.one) end
if options.list then
  for _, kind in ipairs(kinds) do print(kind.name) end
  os.exit(0)
end
uv.disable_stdio_inheritance()
local fine = run_all(options)
process.kill_all()
os.exit(fine and 0 or 1, true)
