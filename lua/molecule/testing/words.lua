--- Texts as the host reads and writes them: durations, near misses of names, base64.

local words = {}

local UNITS = {ms = 0.001, s = 1, m = 60, h = 3600, d = 86400}
local DURATION_MAXIMUM = 10 * 365 * 86400

--- Seconds of a number or a text like "1m30s"; nil: it is not a duration.
function words.seconds(value)
  if type(value) == "number" then return value == value and value or nil end
  if type(value) ~= "string" or value == "" then return nil end
  if value:find("^[%d.]+$") then return tonumber(value) end
  local total, at = 0, 1
  while at <= #value do
    local number, unit, after = value:match("^([%d.]+)(%l+)()", at)
    if not number or not UNITS[unit] or not tonumber(number) then return nil end
    total, at = total + tonumber(number) * UNITS[unit], after
  end
  return total <= DURATION_MAXIMUM and math.floor(total * 1000 + 0.5) / 1000 or nil
end

local function folded(text) return text:lower():gsub("_", "-") end

-- Letters that are missing, too many, wrong, or swapped with the next one.
local function distance(a, b)
  local rows = {[0] = {}}
  for j = 0, #b do rows[0][j] = j end
  for i = 1, #a do
    local row, before = {[0] = i}, rows[i - 1]
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j)
      row[j] = math.min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (same and 0 or 1))
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        row[j] = math.min(row[j], rows[i - 2][j - 2] + 1)
      end
    end
    rows[i] = row
  end
  return rows[#a][#b]
end

--- The one that may have been meant, as src/base/nearest.c finds it.
---@param word string
---@param candidates string[]
---@return string? best, integer? distance
function words.nearest(word, candidates)
  local best, least
  for _, candidate in ipairs(candidates) do
    if #word > 0 and #word <= 64 and #candidate <= 64 then
      local found = distance(folded(word), folded(candidate))
      local most = #word < 3 and 1 or (#word + 1) // 3
      local begins = #word >= 3 and #candidate > #word and folded(candidate):sub(1, #word) == folded(word)
      if found > most and begins then found = most end
      if found <= most and found < math.min(#word, #candidate) and not (best and found >= least) then
        best, least = candidate, found
      end
    end
  end
  return best, least
end

local DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

---@param bytes string
---@return string
function words.base64_encode(bytes)
  local padding = (3 - #bytes % 3) % 3
  local text = (bytes .. ("\0"):rep(padding)):gsub("...", function(three)
    local number = string.unpack(">I3", three)
    local letters = {}
    for i = 1, 4 do
      local digit = number >> (24 - 6 * i) & 63
      letters[i] = DIGITS:sub(digit + 1, digit + 1)
    end
    return table.concat(letters)
  end)
  return text:sub(1, #text - padding) .. ("="):rep(padding)
end

---@param text string
---@return string? bytes, string? problem
function words.base64_decode(text)
  local letters = text:gsub("%s", ""):gsub("=+$", ""):gsub("-", "+"):gsub("_", "/")
  if letters:find("[^%w+/]") or #letters % 4 == 1 then return nil, "not base64" end
  local pieces = {}
  for four in letters:gmatch("..?.?.?") do
    local number = 0
    for i = 1, 4 do
      local at = i <= #four and DIGITS:find(four:sub(i, i), 1, true) or 1
      number = number << 6 | at - 1
    end
    pieces[#pieces + 1] = string.pack(">I3", number):sub(1, #four - 1)
  end
  return table.concat(pieces)
end

--- A Lua pattern for a text in which * stands for anything.
---@param glob string
---@return string
function words.glob(glob)
  return "^" .. glob:gsub("[%^%$%(%)%%%.%[%]%+%-%?]", "%%%0"):gsub("%*", ".*") .. "$"
end

--- A UUID of the next number: the same at every run.
local count = 0
function words.uuid()
  count = count + 1
  return ("00000000-0000-4000-8000-%012x"):format(count)
end

return words
