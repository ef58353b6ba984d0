--- Finds a backend by name and opens it with its options: a module that returns function(options) -> agent.
-- First molecule.backends.<name> (in the binary), then <name> on the Lua path.
local core = require "molecule.core"

local backend = {}

local function find(name)
  for _, module in ipairs {"molecule.backends." .. name, name} do
    if package.preload[module] or package.searchpath(module, package.path) or core.embedded(module) then
      return require(module)
    end
  end
  error(("there is no backend %q: the binary has %s; a backend of your own is a file %s.lua on LUA_PATH"):format(
    name, core.backends, name), 0)
end

--- Options as given on the command line (strings), checked against what the backend knows.
--- `known` maps each name to its default: a string, a number, a boolean, or false for "none".
function backend.options(name, given, known)
  local options, names = {}, {}
  for key, default in pairs(known) do
    options[key] = default or nil
    names[#names + 1] = key
  end
  table.sort(names)
  for key, value in pairs(given) do
    if known[key] == nil then
      error(("backend %s has no option %q; it knows %s"):format(name, key, table.concat(names, ", ")), 0)
    end
    options[key] = value
  end
  return options
end

--- "true" and its like -> boolean.
function backend.boolean(name, key, value)
  if value == true or value == "true" or value == "1" or value == "yes" then return true end
  if value == false or value == nil or value == "false" or value == "0" or value == "no" then return false end
  error(("backend %s: option %s must be true or false, not %q"):format(name, key, value), 0)
end

--- "60s", "5m", "1m30s" -> checked, as molecule.exec takes it.
function backend.duration(name, key, value)
  local rest = value:gsub("%d+%.?%d*(%a+)", function(unit)
    return (unit == "ms" or unit == "s" or unit == "m" or unit == "h") and "" or nil
  end)
  if value == "" or (rest ~= "" and not tonumber(value)) then
    error(("backend %s: option %s must be a duration like 60s or 5m, not %q"):format(name, key, value), 0)
  end
  return value
end

--- "60s", "1m30s", "5" -> seconds.
function backend.seconds(name, key, value)
  local scale, total = {ms = 0.001, s = 1, m = 60, h = 3600}, 0
  backend.duration(name, key, value)
  if tonumber(value) then return tonumber(value) end
  for number, unit in value:gmatch("(%d+%.?%d*)(%a+)") do total = total + tonumber(number) * scale[unit] end
  return total
end

function backend.open(name, options)
  local open = find(name)
  if type(open) ~= "function" then
    error(("backend %s: its module must return a function(options), not a %s"):format(name, type(open)), 0)
  end
  return open(options)
end

return backend
