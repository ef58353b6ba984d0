--- Characters that a service cuts in two between the events of an answer: half a surrogate pair ("\ud83d", then "\ude00") in
--- escapes, or some bytes of a UTF-8 sequence. A private character stands for each half until the pieces are together.
local halves = {}

local SURROGATE, BYTE = 0x10F000, 0x10F800 -- plane 16, private use
local FIRST, HIGH_LAST, LOW_FIRST = 0xD800, 0xDBFF, 0xDC00
local ANY_SURROGATE = "\xF4\x8F[\x80-\x9F][\x80-\xBF]"
local PAIR = "\xF4\x8F[\x80-\x8F][\x80-\xBF]\xF4\x8F[\x90-\x9F][\x80-\xBF]"
local ANY_BYTE = "\xF4\x8F[\xA0-\xA3][\x80-\xBF]"

local function mark_escapes(text)
  local out, at = {}, 1
  while true do
    local slash = text:find("\\", at, true)
    if not slash then break end
    local unit = tonumber(text:match("^u([dD][89a-fA-F]%x%x)", slash + 1) or "", 16)
    local whole = unit and unit <= HIGH_LAST and text:find("^\\u[dD][c-fC-F]%x%x", slash + 6)
    local length = whole and 12 or unit and 6 or 2
    out[#out + 1] = unit and not whole and text:sub(at, slash - 1) .. utf8.char(SURROGATE + unit - FIRST)
      or text:sub(at, slash + length - 1)
    at = slash + length
  end
  return table.concat(out) .. text:sub(at)
end

--- Replaces each byte that is not UTF-8.
local function each_bad_byte(text, replacement)
  local out, at = {}, 1
  while true do
    local length, bad = utf8.len(text, at)
    if length then break end
    out[#out + 1] = text:sub(at, bad - 1) .. replacement(text:byte(bad))
    at = bad + 1
  end
  return table.concat(out) .. text:sub(at)
end

--- JSON with its halves as private characters, and whether there are any.
---@param text string
---@return string text, boolean marked
function halves.mark(text)
  local marked = text
  if text:find("\\u[dD][89a-fA-F]") then marked = mark_escapes(marked) end
  if not utf8.len(marked) then marked = each_bad_byte(marked, function(byte) return utf8.char(BYTE + byte) end) end
  return marked, marked ~= text
end

--- The pieces together, their halves joined; a half without its other one becomes U+FFFD.
---@param text string
---@return string
function halves.join(text)
  text = text:gsub(PAIR, function(pair)
    local high, low = utf8.codepoint(pair, 1, -1)
    return utf8.char(0x10000 + ((high - SURROGATE) << 10) + (low - SURROGATE - (LOW_FIRST - FIRST)))
  end)
  text = text:gsub(ANY_SURROGATE, "\u{FFFD}")
  text = text:gsub(ANY_BYTE, function(mark) return string.char(utf8.codepoint(mark) - BYTE) end)
  return (each_bad_byte(text, function() return "\u{FFFD}" end))
end

return halves
