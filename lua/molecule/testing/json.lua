--- molecule.json in Lua, where the program's own is not there: in a plain busted. Integers keep 64 bits, `[]` stays `[]`.

local json = {}

local ARRAY = {__name = "molecule.array"}
local DEPTH_MAXIMUM = 1000

local has_cjson, cjson = pcall(require, "cjson")
json.null = has_cjson and type(cjson) == "table" and cjson.null or setmetatable({}, {
  __name = "null", __tostring = function() return "null" end})

function json.array(list)
  return setmetatable(list or {}, ARRAY)
end

function json.is_array(value)
  return type(value) == "table" and getmetatable(value) == ARRAY
end

local ESCAPES = {['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t"}

local function fail(state, at, problem)
  local before = state.text:sub(1, at - 1)
  local _, lines = before:gsub("\n", "")
  error({problem = ("line %d, column %d: %s"):format(lines + 1, #before:match("[^\n]*$") + 1, problem)}, 0)
end

local function skip(state) state.at = state.text:match("^[ \t\r\n]*()", state.at) end

local function unescape(state, from, to)
  local text, at, pieces = state.text, from, {}
  while at <= to do
    local found = text:find("\\", at, true)
    local stop = found and found <= to and found or to + 1
    if stop > at then
      pieces[#pieces + 1], at = text:sub(at, stop - 1), stop
    else
      local letter = text:sub(at + 1, at + 1)
      if letter == "u" then
        local code = tonumber(text:match("^%x%x%x%x", at + 2) or fail(state, at, "invalid escape"), 16)
        at = at + 6
        local low = code >= 0xD800 and code < 0xDC00 and tonumber(text:match("^\\u([dD][c-fC-F]%x%x)", at) or "", 16)
        if low then code, at = 0x10000 + (code - 0xD800 << 10) + (low - 0xDC00), at + 6 end
        pieces[#pieces + 1] = utf8.char(code >= 0xD800 and code < 0xE000 and 0xFFFD or code)
      else
        pieces[#pieces + 1] = ESCAPES[letter] or fail(state, at, "invalid escape")
        at = at + 2
      end
    end
  end
  return table.concat(pieces)
end

local function read_string(state)
  local at = state.at + 1
  while true do
    local found = state.text:find('["\\%c]', at)
    if not found then fail(state, #state.text + 1, "premature end of input") end
    local byte = state.text:byte(found)
    if byte == 34 then
      local from = state.at + 1
      state.at = found + 1
      return unescape(state, from, found - 1)
    elseif byte == 92 then
      at = found + 2
    elseif byte < 32 then
      fail(state, found, "control character in a string")
    else
      at = found + 1
    end
  end
end

local read_value

local function read_array(state, depth)
  local list = json.array {}
  state.at = state.at + 1
  skip(state)
  if state.text:sub(state.at, state.at) == "]" then state.at = state.at + 1 return list end
  while true do
    list[#list + 1] = read_value(state, depth)
    skip(state)
    local mark = state.text:sub(state.at, state.at)
    state.at = state.at + 1
    if mark == "]" then return list end
    if mark ~= "," then fail(state, state.at - 1, "']' expected") end
  end
end

local function read_object(state, depth)
  local object = {}
  state.at = state.at + 1
  skip(state)
  if state.text:sub(state.at, state.at) == "}" then state.at = state.at + 1 return object end
  while true do
    skip(state)
    if state.text:sub(state.at, state.at) ~= '"' then fail(state, state.at, "string or '}' expected") end
    local name = read_string(state)
    skip(state)
    if state.text:sub(state.at, state.at) ~= ":" then fail(state, state.at, "':' expected") end
    state.at = state.at + 1
    object[name] = read_value(state, depth)
    skip(state)
    local mark = state.text:sub(state.at, state.at)
    state.at = state.at + 1
    if mark == "}" then return object end
    if mark ~= "," then fail(state, state.at - 1, "'}' expected") end
  end
end

function read_value(state, depth)
  skip(state)
  local text, at = state.text, state.at
  local first = text:sub(at, at)
  if depth > DEPTH_MAXIMUM then fail(state, at, "too many levels") end
  if first == "{" then return read_object(state, depth + 1) end
  if first == "[" then return read_array(state, depth + 1) end
  if first == '"' then return read_string(state) end
  for word, value in pairs {["true"] = true, ["false"] = false, null = json.null} do
    if text:sub(at, at + #word - 1) == word then state.at = at + #word return value end
  end
  local number, after = text:match("^(%-?%d+%.?%d*[eE]?[+-]?%d*)()", at)
  if not number or not tonumber(number) then fail(state, at, first == "" and "premature end of input" or "invalid token") end
  state.at = after
  return math.tointeger(number) and not number:find("[.eE]") and math.tointeger(number) or tonumber(number)
end

---@param text string
---@return any value, string? problem, string? code
function json.decode(text, options)
  if type(text) ~= "string" then error("bad argument #1 to 'decode' (string expected)", 2) end
  if options and options.strict and not utf8.len(text) then return nil, "not UTF-8", "JSON" end
  local state = {text = text, at = 1}
  local fine, value = pcall(function()
    local read = read_value(state, 0)
    skip(state)
    if state.at <= #text then fail(state, state.at, "end of file expected") end
    return read
  end)
  if fine then return value end
  if type(value) ~= "table" then error(value, 0) end
  return nil, value.problem, "JSON"
end

local QUOTED = {['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\b"] = "\\b",
  ["\f"] = "\\f"}

local function quote(text)
  return '"' .. text:gsub('[%c"\\]', function(letter)
    return QUOTED[letter] or letter == "\127" and letter or ("\\u%04X"):format(letter:byte())
  end) .. '"'
end

local function cannot(problem) error({problem = problem}, 0) end

local write

-- The length of a list without holes; nil: not a list.
local function list_length(value)
  local count = 0
  for key in pairs(value) do
    if math.type(key) ~= "integer" then return nil end
    count = count + 1
  end
  return count == #value and count or nil
end

local function write_table(value, options, depth)
  if depth > DEPTH_MAXIMUM then cannot "a table nested too deeply, or in itself" end
  local length = list_length(value)
  local pieces, indent = {}, options.indent and options.indent > 0 and "\n" .. (" "):rep(options.indent * (depth + 1))
  local function close(first, last)
    if #pieces == 0 then return first .. last end
    if not indent then return first .. table.concat(pieces, ",") .. last end
    return first .. indent .. table.concat(pieces, "," .. indent) .. "\n" .. (" "):rep(options.indent * depth) .. last
  end
  if json.is_array(value) or length and length > 0 then
    for i = 1, #value do pieces[i] = write(value[i], options, depth + 1) end
    return close("[", "]")
  end
  local names = {}
  for name in pairs(value) do
    if type(name) ~= "string" then cannot "a table with keys that are neither all strings nor a list" end
    names[#names + 1] = name
  end
  table.sort(names)
  for i, name in ipairs(names) do
    pieces[i] = quote(name) .. (indent and ": " or ":") .. write(value[name], options, depth + 1)
  end
  return close("{", "}")
end

function write(value, options, depth)
  local kind = type(value)
  if value == json.null then return "null" end
  if kind == "string" then return quote(value) end
  if kind == "boolean" then return tostring(value) end
  if kind == "table" then return write_table(value, options, depth) end
  if kind ~= "number" then cannot(("a %s cannot be JSON"):format(kind)) end
  if math.type(value) == "integer" then return ("%d"):format(value) end
  if value ~= value or value == math.huge or value == -math.huge then cannot "a number that is not finite cannot be JSON" end
  local text = ("%.14g"):format(value)
  if tonumber(text) ~= value then text = ("%.17g"):format(value) end
  text = text:gsub("e%+?(%-?)0*(%d)", "e%1%2")
  return text:find("[.e]") and text or text .. ".0"
end

---@param value any
---@return string? text, string? problem, string? code
function json.encode(value, options)
  local fine, text = pcall(write, value, options or {}, 0)
  if fine then return text end
  if type(text) ~= "table" then error(text, 0) end
  return nil, text.problem, "JSON"
end

return json
