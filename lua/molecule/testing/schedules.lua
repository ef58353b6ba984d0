--- molecule.cron for a script under test: what is due by the test's clock becomes an entry among the agent's messages, as in the
--- host (src/messages/schedules.c).

local words = require "molecule.testing.words"

local MOST = 100
local WAITING_MOST = 10
local ZONES = "/usr/share/zoneinfo"

local schedules = {}

local function read_zone(path)
  local file = io.open(path, "rb")
  local bytes = file and file:read "a"
  if file then file:close() end
  return bytes and bytes:sub(1, 4) == "TZif" and bytes or nil
end

--- core.zone
function schedules.zone(name)
  local directory = os.getenv "TZDIR"
  directory = directory and directory ~= "" and directory or ZONES
  if name then return not name:find("..", 1, true) and read_zone(directory .. "/" .. name) or nil end
  local own = os.getenv "TZ"
  if not own then return read_zone "/etc/localtime" end
  own = own:gsub("^:", "")
  return read_zone(own:sub(1, 1) == "/" and own or directory .. "/" .. own), own
end

--- core.cron of one version of a script.
function schedules.add(version, name, spec, zone, catch_up, fn, times)
  if version.schedules_fixed then
    version.core.misuse("cron: schedules are made while the script loads or in its start, and not later; molecule.every and "
      .. "molecule.after can be called any time")
  elseif #version.schedules >= MOST then
    version.core.misuse(("cron: there are %d schedules already, and no more are taken"):format(MOST))
  end
  table.insert(version.schedules, {name = name, spec = spec, zone = zone, catch_up = catch_up, fn = fn, times = times})
end

local function has_room(agent, source, at)
  local count = 0
  for _, entry in ipairs(agent.entries) do count = count + (entry.row.from == source and 1 or 0) end
  if count < WAITING_MOST then return true end
  agent:note("log", ("warn: %s: the run of %s is left out: %d earlier ones are not finished"):format(source,
    os.date("!%Y-%m-%dT%H:%M:%S.000Z", at), count))
  return false
end

local function add_run(agent, one, at)
  local source = "cron/" .. one.name
  if not has_room(agent, source, at) then return end
  local run = {id = words.uuid(), name = one.name, spec = one.spec, timezone = one.zone, scheduled_at = at}
  local result = {id = run.id, name = one.name, scheduled_at = at, attempts = 0, progress = {}, log = {}, sent = {}, files = {},
    steps = {}, questions = {}}
  table.insert(agent.runs, result)
  table.insert(agent.entries, {row = {id = run.id, from = source, conversation = source, run = run}, result = result,
    state = "queued", attempts = 0, failures = 0, since = agent.clock:now(), steps = {}})
end

local function look(version, one)
  local agent = version.agent
  local now = agent.clock:now() // 1
  local due, next_at = one.times(agent.last_runs[one.name].at, now)
  one.event = next_at and agent.clock:at(next_at, function() look(version, one) end)
  if not due then return end
  agent.last_runs[one.name].at = due
  add_run(agent, one, due)
  agent:pump()
end

--- The version has taken over: no other schedules can be made.
function schedules.go(version)
  local agent = version.agent
  version.schedules_fixed = true
  for _, one in ipairs(version.schedules) do
    local form = one.spec .. " " .. one.zone
    local last = agent.last_runs[one.name]
    if not last or last.form ~= form then agent.last_runs[one.name] = {form = form, at = agent.clock:now() // 1} end
    look(version, one)
  end
end

function schedules.stop(version)
  version.schedules_fixed = true
  for _, one in ipairs(version.schedules) do
    if one.event then one.event.cancelled = true end
  end
end

--- Calls the function of a due run, as its handler.
function schedules.call(version, run, ctx)
  for _, one in ipairs(version.schedules) do
    if one.name == run.name then
      local results = table.pack(one.fn(run, ctx))
      local value = results[1]
      if value ~= nil and getmetatable(value) ~= version.verdict then return nil end -- sent to nobody
      return table.unpack(results, 1, results.n)
    end
  end
  return version.globals.require("molecule").skip(("the script has no schedule \"%s\" any more"):format(run.name))
end

return schedules
