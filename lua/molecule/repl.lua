--- The prompt of `molecule repl`: runs what was typed, and makes values and names readable. src/script/script_evaluate.c calls
--- these functions, each in a handler with the limits of a message.
local molecule = require "molecule"
local cjson = require "cjson"

-- A line may replace these.
local find, sub, rep, format, byte, gsub = string.find, string.sub, string.rep, string.format, string.byte, string.gsub
local load, pcall, type, tostring, next, pairs = load, pcall, type, tostring, next, pairs
local rawget, rawlen, getmetatable, setmetatable, ipairs = rawget, rawlen, getmetatable, setmetatable, ipairs
local concat, sort, pack, strings = table.concat, table.sort, table.pack, string
local globals, utf8_length, integer = _G, utf8.len, math.type

local repl = {}

local DEPTH = 3          -- tables within tables
local ENTRIES = 50       -- of one table
local WIDTH = 100        -- a table that is wider gets a line for each entry
local STRING = 2000      -- bytes of a string within a table
local MAXIMUM = 65536    -- bytes of all that a line shows
local KEYS = 1000        -- of the store in one list
local NAMES = 200        -- that are offered to complete a word

local KEYWORDS = { "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in", "local", "nil",
  "not", "or", "repeat", "return", "then", "true", "until", "while" }
local is_keyword = {}
for _, word in ipairs(KEYWORDS) do is_keyword[word] = true end

-- What is typed sees the script's globals, and these two, which the script itself has to require.
local extra = { molecule = molecule, cjson = cjson }
local environment = setmetatable({}, {
  __index = function(_, name)
    local value = globals[name]
    if value == nil then return extra[name] end
    return value
  end,
  __newindex = function(_, name, value) globals[name] = value end,
})

--- values ---

local ESCAPES = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ['"'] = '\\"', ["\\"] = "\\\\" }

local function escape(character)
  return ESCAPES[character] or format("\\x%02x", byte(character))
end

-- As one would type it; long ones are cut between two characters.
local function quoted(text, most)
  local rest = #text - most
  if rest > 0 then
    while most > 0 and byte(text, most + 1) & 0xc0 == 0x80 do most = most - 1 end
    text = sub(text, 1, most)
  end
  local bytes = utf8_length(text) and '[%c"\\\127]' or '[%c"\\\127-\255]'
  return '"' .. gsub(text, bytes, escape) .. '"' .. (rest > 0 and format("… (%d bytes more)", rest) or "")
end

local function is_name(key)
  return type(key) == "string" and find(key, "^[%a_][%w_]*$") and not is_keyword[key]
end

local show

local function before(a, b)
  local first, second = type(a), type(b)
  if first ~= second then return first < second end
  if first == "number" or first == "string" then return a < b end
  return false
end

-- Its keys besides 1 to `count`, sorted, and how many there are.
local function keys_of(value, count)
  local keys, all = {}, 0
  for key in next, value do
    if not (integer(key) == "integer" and key >= 1 and key <= count) then
      all = all + 1
      if all <= KEYS then keys[all] = key end
    end
  end
  sort(keys, before)
  return keys, all
end

local function entries_of(value, depth, path)
  local entries, count = {}, rawlen(value)
  for i = 1, count < ENTRIES and count or ENTRIES do entries[i] = show(rawget(value, i), depth + 1, path) end
  local keys, all = keys_of(value, count)
  for _, key in next, keys do
    if #entries >= ENTRIES then break end
    local name = is_name(key) and key or "[" .. show(key, DEPTH, path) .. "]"
    entries[#entries + 1] = name .. " = " .. show(rawget(value, key), depth + 1, path)
  end
  if count + all > #entries then entries[#entries + 1] = format("… (%d more)", count + all - #entries) end
  return entries
end

local function lay_out(entries, depth)
  local width, lines = 2 * depth, false
  for _, entry in next, entries do
    width = width + (utf8_length(entry) or #entry) + 2
    lines = lines or find(entry, "\n", 1, true)
  end
  if width <= WIDTH and not lines then return "{" .. concat(entries, ", ") .. "}" end
  local indent = "\n" .. rep("  ", depth + 1)
  return "{" .. indent .. concat(entries, "," .. indent) .. "\n" .. rep("  ", depth) .. "}"
end

local function show_table(value, depth, path)
  if path[value] then return "<itself, further out>" end
  if next(value) == nil then return "{}" end
  if depth >= DEPTH then return "{…}" end
  path[value] = true
  local text = lay_out(entries_of(value, depth, path), depth)
  path[value] = nil
  return text
end

local function clean(text)
  return (gsub(text, "[%z\1-\9\11-\31\127]", escape))
end

function show(value, depth, path)
  local kind = type(value)
  if kind == "string" then return quoted(value, depth == 0 and MAXIMUM or STRING) end
  if value == molecule.null then return "null" end
  if kind == "function" and depth > 0 then return "<function>" end
  local metatable = (kind == "table" or kind == "userdata") and getmetatable(value)
  if type(metatable) == "table" and rawget(metatable, "__tostring") then
    local fine, text = pcall(tostring, value)
    return fine and clean(text) or "<" .. kind .. " whose __tostring fails: " .. clean(tostring(text)) .. ">"
  end
  if kind == "table" then return show_table(value, depth, path) end
  return clean(tostring(value))
end

local function readable(value)
  return show(value, 0, {})
end

local function cut(text)
  if #text <= MAXIMUM then return text end
  local most = MAXIMUM
  while byte(text, most + 1) & 0xc0 == 0x80 do most = most - 1 end
  return format("%s\n… (%d bytes more)", sub(text, 1, most), #text - most)
end

local function shown(...)
  local values = pack(...)
  if values.n == 0 then return nil end
  for i = 1, values.n do values[i] = readable(values[i]) end
  return cut(concat(values, ", "))
end

--- Runs a line, or several.
---@param given string a name, the number of the first line, a line end, the code
---@return string? result what it shows
---@return string? word "incomplete": it has no end yet; "failed": it is not Lua
function repl.run(given)
  local _, last, name, line = find(given, "^(%S+) (%d+)\n")
  local code, blank = sub(given, last + 1), rep("\n", line - 1)
  local chunk, unfinished, problem = load(blank .. "return " .. code, "=" .. name, "t", environment)
  if not chunk then chunk, problem = load(blank .. code, "=" .. name, "t", environment) end
  if not chunk and find(problem, "<eof>$") then return problem, "incomplete" end
  if not chunk and find(unfinished, "<eof>$") then return unfinished, "incomplete" end
  if not chunk then return problem, "failed" end
  return shown(chunk())
end

--- What is stored: everything, or one value.
---@param key string "": everything
---@return string result
---@return string? word "failed": it is not there
function repl.store(key)
  local store = molecule.store
  if key ~= "" then
    local value, problem = store.get(key)
    if value ~= nil then return cut(readable(value)) end
    return problem or "nothing is stored under " .. quoted(key, STRING), "failed"
  end
  local keys, problem = store.keys("", { limit = KEYS })
  if not keys then return problem, "failed" end
  if #keys == 0 then return "nothing is stored" end
  local lines = {}
  for i, each in next, keys do lines[i] = each .. " = " .. readable(store.get(each)) end
  if #keys == KEYS then lines[#lines + 1] = format("the first %d keys; :store KEY shows any of them", KEYS) end
  return cut(concat(lines, "\n"))
end

--- names ---

-- Calls `take` with each key and value that is found in it, also by way of its metatable; runs no code of the script.
local function each_name(value, take)
  for _ = 1, 10 do
    if type(value) == "string" then value = strings end
    if type(value) ~= "table" then return end
    if value == molecule then for _ in pairs(molecule) do end end -- it loads what it has not needed yet
    for key, content in next, value do
      if type(key) == "string" then take(key, content) end
    end
    local metatable = getmetatable(value)
    value = type(metatable) == "table" and rawget(metatable, "__index")
  end
end

local function field(value, name)
  local found
  each_name(value, function(key, content)
    if found == nil and key == name then found = content end
  end)
  return found
end

local function each_global(take)
  each_name(globals, take)
  each_name(extra, take)
end

local function resolve(path)
  local value, first = nil, true
  for name in path:gmatch "[^.:]+" do
    if first then
      value = rawget(globals, name)
      if value == nil then value = extra[name] end
    else
      value = field(value, name)
    end
    first = false
  end
  return value
end

local function candidates(path, separator, word)
  local names, seen = {}, {}
  local function take(name, content)
    if seen[name] or sub(name, 1, #word) ~= word or not is_name(name) then return end
    if separator == ":" and type(content) ~= "function" then return end
    seen[name] = true
    names[#names + 1] = name
  end
  if separator == "" then
    each_global(take)
    for _, name in next, KEYWORDS do
      if sub(name, 1, #word) == word then names[#names + 1] = name end
    end
  else
    each_name(resolve(path), take)
  end
  sort(names)
  return names
end

local function common_start(names)
  local start = names[1] or ""
  for _, name in next, names do
    while sub(name, 1, #start) ~= start do start = sub(start, 1, -2) end
  end
  return start
end

--- How the word at the end of `text` may continue.
---@param text string what is typed, up to the cursor
---@return string? result what to insert, and the names that are possible, a line each
function repl.complete(text)
  local from = find(text, "[%w_.:]*$")
  local expression = sub(text, from)
  local path, separator, word = expression:match "^(.*)([.:])([%w_]*)$"
  if not path then path, separator, word = "", "", expression end
  if (separator ~= "" and not find(path, "^[%a_]")) or find(word, "^%d") then return nil end
  local names = candidates(path, separator, word)
  if #names == 0 then return nil end
  local insert = sub(common_start(names), #word + 1)
  if #names > NAMES then names[NAMES + 1] = format("… (%d more)", #names - NAMES) end
  return insert .. "\n" .. concat(names, "\n", 1, #names > NAMES and NAMES + 1 or #names)
end

return repl
