--- Whether a text is a Lua pattern. string.find does not tell: it reads a pattern only as far as the searched text leads it.

local CAPTURES_MAXIMUM = 32 -- LUA_MAXCAPTURES

-- By the character that they begin with: function(state, at) -> where the next item begins, or nil, message.
local items = {}

items["("] = function(state, at)
  if #state.closed == CAPTURES_MAXIMUM then return nil, "too many captures" end
  local is_position = state.pattern:sub(at + 1, at + 1) == ")"
  state.closed[#state.closed + 1] = is_position
  return at + (is_position and 2 or 1)
end

items[")"] = function(state, at)
  for capture = #state.closed, 1, -1 do
    if not state.closed[capture] then
      state.closed[capture] = true
      return at + 1
    end
  end
  return nil, "invalid pattern capture"
end

items["["] = function(state, at)
  local pattern = state.pattern
  at = at + (pattern:sub(at + 1, at + 1) == "^" and 2 or 1)
  repeat -- the first one stands for itself, also if it is a "]"
    if at > #pattern then return nil, "malformed pattern (missing ']')" end
    at = at + (pattern:sub(at, at) == "%" and 2 or 1)
  until pattern:sub(at, at) == "]"
  return at + 1
end

items["%"] = function(state, at)
  local pattern, kind = state.pattern, state.pattern:sub(at + 1, at + 1)
  if kind == "" then return nil, "malformed pattern (ends with '%')" end
  if kind == "b" then
    if at + 3 > #pattern then return nil, "malformed pattern (missing arguments to '%b')" end
    return at + 4
  elseif kind == "f" then
    if pattern:sub(at + 2, at + 2) ~= "[" then return nil, "missing '[' after '%f' in pattern" end
    return items["["](state, at + 2)
  elseif kind:find("%d") and not state.closed[tonumber(kind)] then
    return nil, "invalid capture index %" .. kind
  end
  return at + 2
end

local function anything(_, at) return at + 1 end

--- What is wrong with the pattern, in Lua's own words; nil: nothing.
---@param pattern string
---@return string?
return function(pattern)
  if not pattern:find("[%^%$%*%+%?%.%(%[%%%-]") then return nil end -- string.find takes it as plain text, even ")"
  local state, at = {pattern = pattern, closed = {}}, 1
  while at <= #pattern do
    local behind, problem = (items[pattern:sub(at, at)] or anything)(state, at)
    if problem then return problem end
    at = behind
  end
  for _, closed in ipairs(state.closed) do
    if not closed then return "unfinished capture" end
  end
end
