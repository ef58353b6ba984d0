--- Runs the spec files, several at a time: each in a busted of its own, with a directory for what it writes (TMPDIR) and
--- ports that the system chooses. Prints a line for each file as it ends, and what failed with the command to run it alone.
---
---     lua5.4 tests/support/specs.lua --tally FILE [--jobs N] [--filter PATTERN] [--shuffle] [--seed N] [FILE|FOLDER…]
---
--- The binary under test is $MOLECULE. FILE receives "passed failed".

local uv = require "luv"
local cjson = require "cjson"
local loop = require "tests.support.loop"
local process = require "tests.support.process"

local FILE_LIMIT_MS = 1800000 -- for one file: only to end what hangs
local HISTORY = "build/spec-seconds.json" -- how long each file took: the longest begin first
local FOLDERS = { "tests/spec", "tests/e2e" }

local function usage()
  io.stderr:write "usage: specs.lua --tally FILE [--jobs N] [--filter PATTERN] [--shuffle] [--seed N] [FILE|FOLDER…]\n"
  os.exit(2)
end

local function parse(words)
  local options, i = { jobs = #uv.cpu_info() + 1, paths = {} }, 1
  local takes = { ["--tally"] = "tally", ["--jobs"] = "jobs", ["--filter"] = "filter", ["--seed"] = "seed" }
  while i <= #words do
    local word = words[i]
    if takes[word] then
      options[takes[word]] = words[i + 1] or usage()
      i = i + 1
    elseif word == "--shuffle" then options.shuffle = true
    elseif word:sub(1, 1) == "-" then usage()
    else options.paths[#options.paths + 1] = word end
    i = i + 1
  end
  if options.filter then
    local fine, problem = pcall(string.find, "", options.filter)
    if not fine then
      io.stderr:write(("--filter %q is not a Lua pattern: %s\n"):format(options.filter, problem))
      os.exit(2)
    end
  end
  options.jobs = math.tointeger(tonumber(options.jobs))
  if not options.tally or not options.jobs or options.jobs < 1 then usage() end
  if #options.paths == 0 then options.paths = FOLDERS end
  return options
end

local function find_specs(path, found)
  local status = uv.fs_stat(path)
  if not status then error("there is no " .. path, 0) end
  if status.type ~= "directory" then
    found[#found + 1] = path
    return found
  end
  for name, kind in uv.fs_scandir_next, assert(uv.fs_scandir(path)) do
    local child = path .. "/" .. name
    if kind == "directory" then find_specs(child, found)
    elseif name:find "_spec%.lua$" then found[#found + 1] = child end
  end
  return found
end

local function read(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read "a"
  file:close()
  return text
end

local function write(path, text)
  local file = io.open(path, "wb")
  if not file then return end
  file:write(text)
  file:close()
end

local function load_history()
  local fine, history = pcall(cjson.decode, read(HISTORY) or "{}")
  return fine and type(history) == "table" and history or {}
end

local function sort_longest_first(files, history)
  local function weight(path) return tonumber(history[path]) or uv.fs_stat(path).size / 1000 end
  table.sort(files, function(a, b)
    local left, right = weight(a), weight(b)
    if left == right then return a < b end
    return left > right
  end)
end

local function escape_pattern(text) return (text:gsub("[%^%$%(%)%%%.%[%]%*%+%-%?]", "%%%0")) end
local function quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end
local function indent(text) return "    " .. text:gsub("\n", "\n    ") end

local function remove(path)
  local status = uv.fs_lstat(path)
  if not status then return end
  if status.type ~= "directory" then return uv.fs_unlink(path) end
  for name in uv.fs_scandir_next, assert(uv.fs_scandir(path)) do remove(path .. "/" .. name) end
  uv.fs_rmdir(path)
end

local function start(run, path)
  run.started = run.started + 1
  local job = { path = path, began = loop.now(), directory = ("%s/%d"):format(run.directory, run.started) }
  job.report = job.directory .. ".report"
  assert(uv.fs_mkdir(job.directory, 448))
  local command = { "lua5.4", "tests/support/busted.lua", "--ignore-lua",
    "--helper=tests/support/helper.lua", "--lpath=./?.lua", "--pattern=_spec",
    "--output=tests/support/report.lua", "-Xoutput", job.report }
  if run.options.filter then command[#command + 1] = "--filter=" .. run.options.filter end
  if run.options.shuffle then command[#command + 1] = "--shuffle" end
  if run.options.seed then command[#command + 1] = "--seed=" .. run.options.seed end
  command[#command + 1] = path
  job.process = process.spawn { command = command, env = { TMPDIR = job.directory } }
  run.jobs[job] = true
end

local function failure(run, job, name, message, line)
  run.failed = run.failed + 1
  job.failed = job.failed + 1
  run.failures[#run.failures + 1] = { path = job.path, name = name, line = line }
  job.told[#job.told + 1] = ("  FAILED %s:%s %s\n%s"):format(job.path, line or "?", name or "", indent(message))
end

local function left_behind(job)
  local names = {}
  for name in uv.fs_scandir_next, assert(uv.fs_scandir(job.directory)) do names[#names + 1] = name end
  return #names > 0 and table.concat(names, ", ") or nil
end

-- Counts what the file's report says; a busted that ended otherwise than its tests did is a failure of its own.
local function finish(run, job)
  run.jobs[job] = nil
  job.passed, job.failed, job.told = 0, 0, {}
  for line in (read(job.report) or ""):gmatch "[^\n]+" do
    local test = cjson.decode(line)
    if test.result == "passed" then
      run.passed = run.passed + 1
      job.passed = job.passed + 1
    elseif test.result == "failed" then
      failure(run, job, test.name, test.message or "no message", math.tointeger(test.line))
    end
  end
  local exit = job.process.exit
  if not exit then
    job.process:kill()
    failure(run, job, nil, "it did not end within half an hour\n" .. job.process:report())
  elseif (exit.code ~= 0 or exit.signal ~= 0) and job.failed == 0 then
    failure(run, job, nil, "busted did not end well\n" .. job.process:report())
  elseif job.passed + job.failed == 0 and not run.options.filter then
    failure(run, job, nil, "no test ran\n" .. job.process:report())
  end
  local left = left_behind(job)
  if left and job.failed == 0 then failure(run, job, nil, "it left behind in TMPDIR: " .. left) end
  local seconds = (loop.now() - job.began) / 1000
  if not run.options.filter then run.history[job.path] = math.floor(seconds * 10) / 10 end
  run.ended = run.ended + 1
  if job.passed + job.failed > 0 then
    print(("[%2d/%d] %-46s %4d passed %3d failed %6.1f s"):format(run.ended, run.total, job.path, job.passed, job.failed,
      seconds))
  end
  for _, text in ipairs(job.told) do print(text) end
  io.stdout:flush()
end

local function ended_one(run)
  for job in pairs(run.jobs) do
    if job.process:settle() or loop.now() - job.began > FILE_LIMIT_MS then return job end
  end
end

local function run_all(options)
  local files = {}
  for _, path in ipairs(options.paths) do find_specs(path, files) end
  local run = { options = options, jobs = {}, started = 0, ended = 0, total = #files, passed = 0, failed = 0, failures = {},
    history = load_history(), directory = assert(uv.fs_mkdtemp "/tmp/mol-XXXXXX") }
  table.insert(loop.at_interrupt, function() remove(run.directory) end)
  sort_longest_first(files, run.history)
  local running = 0
  while #files > 0 or running > 0 do
    while running < options.jobs and #files > 0 do
      start(run, table.remove(files, 1))
      running = running + 1
    end
    local job = loop.wait(function() return ended_one(run) end, FILE_LIMIT_MS)
    if job then
      finish(run, job)
      running = running - 1
    end
  end
  remove(run.directory)
  write(HISTORY, cjson.encode(run.history))
  return run
end

local run = run_all(parse(arg))
if run.passed + run.failed == 0 then
  run.failed = 1
  print(run.options.filter and ("no test has a name that matches %q (a Lua pattern)"):format(run.options.filter)
    or "no test ran")
end
if #run.failures > 0 then
  print "\nfailed:"
  for _, one in ipairs(run.failures) do
    print(("  %s:%s %s"):format(one.path, one.line or "?", one.name or ""))
    local filter = one.name and " --filter " .. quote(escape_pattern(one.name)) or ""
    print(("      tests/run %s%s"):format(one.path, filter))
  end
end
write(run.options.tally, ("%d %d\n"):format(run.passed, run.failed))
os.exit(run.failed == 0 and 0 or 1, true)
