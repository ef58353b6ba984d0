--- molecule.cron: functions that run by a schedule, each run a message of the ledger. What a schedule means is in
--- schedule.lua, the rest is the host's.

local core = require "molecule.core"
local check_options = require "molecule.options"
local misuse = require "molecule.misuse"
local schedule = require "molecule.schedule"
local zone = require "molecule.zone"

local NAME_MAXIMUM = 100 -- bytes

local zones = {} -- name -> its Zone, as read once
local specs = {} -- name of a schedule -> its spec
local ordinals = {} -- spec and zone -> how many have them

local function open_zone(name)
  if not zones[name] then
    local opened, problem = zone.open(name, core.zone)
    if not opened then misuse("cron: " .. problem) end
    zones[name] = opened
  end
  return zones[name]
end

local function check_name(name)
  if #name == 0 or #name > NAME_MAXIMUM or not utf8.len(name) or name:find("%c") then
    misuse(("cron: the name must be text of 1 to %d bytes in one line, not %q"):format(NAME_MAXIMUM, name))
  end
  if specs[name] then
    misuse(("cron: the name \"%s\" is taken by another schedule (\"%s\"); give this one another"):format(name, specs[name]))
  end
  return name
end

local function make_name(spec, zone_name)
  local form = spec .. " " .. zone_name
  ordinals[form] = (ordinals[form] or 0) + 1
  return ("%s #%d"):format(form, ordinals[form])
end

return core.public(function(spec, fn, options)
  if type(spec) ~= "string" then
    misuse(("cron: the schedule must be a string like \"0 8 * * 1-5\", not a %s"):format(type(spec)))
  elseif type(fn) ~= "function" then
    misuse(("cron: the second argument must be a function(run, ctx), not a %s"):format(type(fn)))
  end
  options = check_options("cron", options, {name = "string", timezone = "string", catch_up = "boolean"})
  local one, problem = schedule.read(spec)
  if not one then misuse("cron: " .. problem) end
  local where = open_zone(options.timezone or "local")
  local name = check_name(options.name or make_name(one.spec, where.name))
  core.cron(name, one.spec, where.name, options.catch_up ~= false, fn, function(since, now)
    return one:latest(where, since, now), one:next(where, math.max(since, now))
  end)
  specs[name] = one.spec
  return name
end)
