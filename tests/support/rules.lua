--- The rules of the house that no compiler knows: which folder may include which, circles of includes, and sizes.
---
---     lua5.4 tests/support/rules.lua [--shrink] [ROOT]
---
--- Prints what breaks a rule and is not in tests/lint.allow, and entries there that are no longer needed; exits with 1 if there
--- are any. tests/lint.allow lists what broke a rule when the rule was made. It may only shrink: --shrink removes what has been
--- fixed and lowers the numbers of what has become smaller. It never adds.

local LINES, FUNCTION_LINES, COLUMNS, CIRCLE = 450, 60, 100, 3
local ALLOWED = "tests/lint.allow"

-- An include leads to the own folder or to a lower floor.
local FLOORS = { main = 9, commands = 8, molecule = 7, host = 6, doors = 5, messages = 4, link = 3, journal = 3, script = 2,
  wire = 1, net = 1, state = 1, base = 0 }
local SHARED = { ["molecule/event.h"] = true, ["molecule/options.h"] = true } -- plain structs, for every floor
local FORBIDDEN = { ["script state"] = true } -- though it leads down

local shrink = arg[1] == "--shrink"
local root = (arg[shrink and 2 or 1] or ".") .. "/"

local function read(path)
  local file = io.open(root .. path, "rb")
  if not file then return nil end
  local text = file:read "a"
  file:close()
  return text
end

local function files()
  local list = {}
  local pipe = assert(io.popen(("cd '%s' && find src include lua examples tests -name '*.[ch]' -o -name '*.lua' 2>/dev/null")
    :format(root)))
  for path in pipe:lines() do list[#list + 1] = path end
  pipe:close()
  table.sort(list)
  return list
end

local found, order = {}, {} -- what breaks a rule: key -> number (true: there is none), and the keys in order
local function note(number, words, ...)
  local key = words:format(...)
  if not found[key] then order[#order + 1] = key end
  found[key] = number
end

-- "src/wire/page.c" -> "wire", "src/molecule.c" -> "molecule"; what is included in quotes starts below src/ or include/.
local function folder_of(path) return path:match "^src/(%l+)[/.]" or path:match "^(%l+)/" end

local function check_includes(paths)
  local graph = {} -- "src/wire/page" -> {["src/base/log"] = true}; a .c and its .h are one
  for _, path in ipairs(paths) do
    local from = path:match "^src/" and folder_of(path)
    for header in from and read(path):gmatch '#include "([^"\n]+)"' or function() end do
      local to, unit = folder_of(header), path:gsub("%.%a$", "")
      local leads_down = (FLOORS[from] or -1) > (FLOORS[to] or 99) and not FORBIDDEN[from .. " " .. to]
      local is_below = from == to or SHARED[header] or leads_down
      if not is_below then note(true, "floor %s %s", path, header) end
      graph[unit] = graph[unit] or {}
      graph[unit]["src/" .. header:gsub("%.h$", "")] = true
    end
  end
  return graph
end

local function reachable(graph, from)
  local reached, queue = {}, { from }
  while #queue > 0 do
    for unit in pairs(graph[table.remove(queue)] or {}) do
      if not reached[unit] then
        reached[unit] = true
        queue[#queue + 1] = unit
      end
    end
  end
  return reached
end

-- Units that reach each other are one circle; it is named after the first of them.
local function check_circles(graph)
  local reach, units, done = {}, {}, {}
  for unit in pairs(graph) do
    reach[unit] = reachable(graph, unit)
    units[#units + 1] = unit
  end
  table.sort(units)
  for _, unit in ipairs(units) do
    local size, members = 0, {}
    for _, other in ipairs(units) do
      if not done[unit] and reach[unit][other] and reach[other][unit] then
        size = size + 1
        members[#members + 1] = other
      end
    end
    for _, member in ipairs(members) do done[member] = true end
    if size > CIRCLE then note(size, "circle %s", unit) end
  end
end

local function check_sizes(path)
  local text = read(path)
  local is_c, number, wide, head, begin = path:find "%.[ch]$", 0, 0, nil, nil
  for line in text:gmatch "([^\n]*)\n" do
    number = number + 1
    if is_c and (utf8.len(line) or #line) > COLUMNS then wide = wide + 1 end
    if is_c and line:find "^[%a_].*%(" and not line:find ";$" then head = line:match "([%w_]+)%(" end
    if line == "{" then begin = number end
    if line == "}" and head and begin then
      if number - begin - 1 > FUNCTION_LINES then note(number - begin - 1, "function %s %s", path, head) end
      head, begin = nil, nil
    end
  end
  local is_list = path:find "^tests/" or path == "lua/molecule/types.lua" -- of tests, of declarations
  if number > LINES and not is_list then
    note(number, "lines %s", path)
  end
  if wide > 0 then note(wide, "columns %s", path) end
end

local EXPLAINED = {
  floor = "includes what is not below it; FLOORS in tests/support/rules.lua has the order",
  circle = ("so many files include each other in a circle, at most %d may"):format(CIRCLE),
  lines = ("so many lines, at most %d in a file"):format(LINES),
  ["function"] = ("so many lines, at most %d in a function"):format(FUNCTION_LINES),
  columns = ("so many lines are wider than %d columns"):format(COLUMNS),
}

local function split(line)
  line = line:gsub("%s+#.*$", "")
  local key, number = line:match "^(.-) (%d+)$"
  return key or line, tonumber(number) or true
end

local function complain(key, number)
  print(("%s%s   # %s"):format(key, number == true and "" or " " .. number, EXPLAINED[key:match "^%a+"]))
end

local paths = files()
check_circles(check_includes(paths))
for _, path in ipairs(paths) do check_sizes(path) end

local allowed, kept, fine = {}, {}, true
for line in (read(ALLOWED) or ""):gmatch "[^\n]+" do
  local key, number = split(line)
  if line:find "^#" then
    kept[#kept + 1] = line
  elseif shrink and found[key] then
    allowed[key] = number
    kept[#kept + 1] = number == true and key or key .. " " .. math.min(number, found[key])
  elseif not shrink then
    allowed[key] = number
    if not found[key] then
      fine = false
      print(("%s   # fixed, but still in %s: run tests/lint --shrink"):format(key, ALLOWED))
    end
  end
end
for _, key in ipairs(order) do
  if not allowed[key] or (allowed[key] ~= true and found[key] > allowed[key]) then
    fine = false
    complain(key, found[key])
  end
end
if shrink then
  local file = assert(io.open(root .. ALLOWED, "wb"))
  file:write(table.concat(kept, "\n"), "\n")
  file:close()
end
os.exit(fine)
