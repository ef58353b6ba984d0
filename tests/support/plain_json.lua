--- JSON read into a tree that loses nothing (numbers as they were written, [] and {} apart) and written in one form: members by
--- name, ", " and ": " between them, only what must be escaped. So two texts can be compared.

local plain_json = {}

local ESCAPED = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }
local ESCAPES = { ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ['"'] = '\\"',
  ["\\"] = "\\\\" }

local function fail(at) error({ at = at }, 0) end

local function code_at(text, at)
  return tonumber(text:match("^\\u(%x%x%x%x)", at) or fail(at), 16)
end

local function read_escape(text, at)
  local letter = text:sub(at + 1, at + 1)
  if letter ~= "u" then return ESCAPED[letter] or letter, at + 2 end
  local code = code_at(text, at)
  if code >= 0xD800 and code < 0xDC00 and text:sub(at + 6, at + 7) == "\\u" then
    return utf8.char(0x10000 + ((code - 0xD800) << 10) + code_at(text, at + 6) - 0xDC00), at + 12
  end
  return utf8.char(code), at + 6
end

local function read_string(text, at)
  local pieces, from = {}, at + 1
  while true do
    local stop = text:find('["\\]', from) or fail(at)
    pieces[#pieces + 1] = text:sub(from, stop - 1)
    if text:sub(stop, stop) == '"' then return table.concat(pieces), stop + 1 end
    pieces[#pieces + 1], from = read_escape(text, stop)
  end
end

local read_value

local function skip(text, at) return (text:find("[^ \t\r\n]", at)) or fail(at) end

local function read_list(text, at, close, read_item)
  at = skip(text, at + 1)
  if text:sub(at, at) == close then return at + 1 end
  while true do
    at = skip(text, read_item(at))
    local mark = text:sub(at, at)
    if mark == close then return at + 1 end
    if mark ~= "," then fail(at) end
    at = skip(text, at + 1)
  end
end

local function read_object(text, at)
  local members = {}
  return { members = members }, read_list(text, at, "}", function(from)
    if text:sub(from, from) ~= '"' then fail(from) end
    local name, colon = read_string(text, from)
    colon = skip(text, colon)
    if text:sub(colon, colon) ~= ":" then fail(colon) end
    local stop
    members[name], stop = read_value(text, skip(text, colon + 1))
    return stop
  end)
end

local function read_array(text, at)
  local items = {}
  return { items = items }, read_list(text, at, "]", function(from)
    local stop
    items[#items + 1], stop = read_value(text, from)
    return stop
  end)
end

function read_value(text, at)
  local mark = text:sub(at, at)
  if mark == "{" then return read_object(text, at) end
  if mark == "[" then return read_array(text, at) end
  if mark == '"' then
    local value, stop = read_string(text, at)
    return { string = value }, stop
  end
  local word = text:match("^[%w+.-]+", at) or fail(at)
  if not tonumber(word) and word ~= "null" and word ~= "true" and word ~= "false" then fail(at) end
  return { word = word }, at + #word
end

---@param text string
---@return table? tree {members} | {items} | {string} | {word}; nil: it is no JSON
function plain_json.read(text)
  local fine, tree, stop = pcall(function() return read_value(text, skip(text, 1)) end)
  if not fine or text:find("[^ \t\r\n]", stop) then return nil end
  return tree
end

---The string or the children below a way of names; nil when there is none.
---@param tree table?
---@param ... string
---@return any
function plain_json.at(tree, ...)
  for _, name in ipairs { ... } do tree = tree and tree.members and tree.members[name] end
  return tree and (tree.string or tree.items)
end

---@param tree table
---@return string[] names of its members, sorted
function plain_json.names(tree)
  local names = {}
  for name in pairs(tree.members) do names[#names + 1] = name end
  table.sort(names)
  return names
end

local function quoted(text)
  return '"' .. text:gsub('[%c"\\]', function(character)
    return ESCAPES[character] or character ~= "\127" and ("\\u%04x"):format(character:byte()) or character
  end) .. '"'
end

---@param tree table
---@return string
function plain_json.write(tree)
  if tree.string then return quoted(tree.string) end
  if tree.word then return tree.word end
  local list = {}
  if tree.items then
    for i, item in ipairs(tree.items) do list[i] = plain_json.write(item) end
    return "[" .. table.concat(list, ", ") .. "]"
  end
  for i, name in ipairs(plain_json.names(tree)) do
    list[i] = quoted(name) .. ": " .. plain_json.write(tree.members[name])
  end
  return "{" .. table.concat(list, ", ") .. "}"
end

return plain_json
