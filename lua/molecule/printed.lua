--- Finds the result in what a program printed: one JSON object among banners, notices, terminal sequences and other objects.
local molecule = require "molecule"

local printed = {}

local CANDIDATES = 100 -- failed candidates before the search gives up

--- Without a BOM and terminal sequences: OSC (titles), CSI (colors), and single ones.
local function without_sequences(text)
  if text:find("\27", 1, true) then
    text = text:gsub("\27%][^\7\27]*\7", ""):gsub("\27%][^\7\27]*\27\\", ""):gsub("\27%[[%d;?<=>]*[ -/]*[@-~]", "")
      :gsub("\27[@-Z\\^_=>78c]", "")
  end
  return (text:gsub("^\xEF\xBB\xBF", ""))
end

--- Where the JSON string that begins at `at` ends; nil: it does not.
local function string_end(text, at)
  while true do
    at = text:find('["\\]', at + 1)
    if not at then return nil end
    if text:byte(at) == 34 then return at end -- a quote
    at = at + 1 -- what is escaped
  end
end

--- Where the object that begins at `at` ends; nil: it does not.
local function object_end(text, at)
  local depth = 0
  while true do
    local byte = text:byte(at)
    if byte == 123 then -- {
      depth = depth + 1
    elseif byte == 125 then -- }
      depth = depth - 1
      if depth == 0 then return at end
    else
      at = string_end(text, at)
      if not at then return nil end
    end
    at = text:find('["{}]', at + 1)
    if not at then return nil end
  end
end

--- Iterates the JSON objects in a text, only the outermost: value; or false for one that is cut off.
local function objects(text)
  local at, tried = 1, 0
  return function()
    while tried < CANDIDATES do
      local first = text:find('{%s*"', at)
      if not first then return nil end
      local last = object_end(text, first)
      local value = last and molecule.json.decode(text:sub(first, last))
      at = value and last + 1 or first + 1
      if value then return value end
      tried = tried + 1
      if not last then return false end
    end
  end
end

--- Whether a text is such a result and nothing else.
---@param text string
---@return boolean
function printed.is_result(text)
  if not text:find('^[^\n]*{%s*"') then return false end
  local value = molecule.json.decode((without_sequences(text)))
  return type(value) == "table" and value.type == "result"
end

--- All objects: the last that calls itself a result, the last that is one without saying so, a session, the count, and whether
--- one is cut off.
local function read_objects(text)
  local found = {count = 0}
  for value in objects(without_sequences(text)) do
    if value then
      found.count = found.count + 1
      if value.type == "result" then found.result = value end
      if value.type == nil and value.result ~= nil then found.untyped = value end
      if type(value.session_id) == "string" and value.session_id ~= "" then found.session = value.session_id end
    else
      found.has_cut = true
    end
  end
  return found
end

--- The last result, and the session it belongs to; or nil, nil, and what the text is.
---@param text string
---@return table? result, string? session, string? problem
function printed.find_result(text)
  if not text:find("%S") then return nil, nil, "it printed nothing" end
  local found = read_objects(text)
  local result = found.result or found.count == 1 and not found.has_cut and found.untyped
  if result then return result, type(result.session_id) == "string" and result.session_id or found.session end
  return nil, nil, found.has_cut and "its JSON output is cut off" or found.count > 0 and "its JSON output has no result"
    or "it did not answer in JSON"
end

return printed
