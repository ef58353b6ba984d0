--- What a script may use, read from the type definitions (lua/molecule/types.lua): the fields of each class.

local known = {}

---@alias Classes table<string, table<string, string|true>> class -> field -> the class of its value, or true

-- The class that a type's text names; true: another type.
local function class_of(type)
  local name = type and type:match "^([%a_][%w_.]*)%??$"
  return name or true
end

---@param types string the text of types.lua
---@return Classes
function known.classes(types)
  local classes, current = {}, nil
  local function class(name)
    classes[name] = classes[name] or {}
    return classes[name]
  end
  local function define(path, value)
    local owner, field = path:match "^(.*)[.:]([%w_]+)$"
    if owner then class(owner)[field] = value end
  end
  for line in types:gmatch "[^\n]+" do
    local name, parent = line:match "^%-%-%-@class ([%w_.]+):? ?([%w_.]*)"
    local field, type = line:match "^%-%-%-@field ([%w_]+) (%S+)"
    if name then
      current = class(name)
      if parent ~= "" then current[1] = parent end
    elseif field and current then
      current[field] = class_of(type)
    end
    local path = line:match "^function ([%w_.:]+)%("
    if path then define(path, true) end
    path = line:match "^([%w_.]+) = "
    if path then
      define(path, line:find "= {}$" and path or true)
      if line:find "= {}$" then class(path) end
    end
  end
  for _, fields in pairs(classes) do
    for field, value in pairs(fields) do
      if field ~= 1 and value ~= true and not classes[value] then fields[field] = true end
    end
  end
  return classes
end

---@param classes Classes
---@param name string
---@param field string
---@return string|true|nil
function known.field(classes, name, field)
  local fields = classes[name]
  if not fields then return true end
  return fields[field] or fields[1] and known.field(classes, fields[1], field) or nil
end

---@param classes Classes
---@param name string
---@return string[]
function known.fields(classes, name)
  local list = {}
  for field in pairs(classes[name]) do
    if field ~= 1 then list[#list + 1] = field end
  end
  table.sort(list)
  return list
end

return known
