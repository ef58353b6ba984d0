--- The words of questions, as src/messages/question_words.c has them: codes, how a question is told, which choice an answer
--- names.

local question_words = {}

local LETTERS, DIGITS = "ABCDEFGHJKMNPQRSTUVWXYZ", "23456789"
local BOTH = LETTERS .. DIGITS
local PLACES = { LETTERS, DIGITS, BOTH, BOTH } -- neither a word nor a number
local CODES = 23 * 8 * 31 * 31
local STRIDE = 700001 -- has no divisor in common with CODES: none comes twice
local SHORT_BYTES = 60 -- of another question's text

--- The code of an agent's question of this number: the same at every run.
---@param number integer
---@return string
function question_words.code(number)
  local rest, letters = number * STRIDE % CODES, {}
  for i, place in ipairs(PLACES) do
    local at = rest % #place + 1
    letters[i], rest = place:sub(at, at), rest // #place
  end
  return table.concat(letters)
end

--- What follows the code in a text that begins with it; or nil.
function question_words.after_code(text, code)
  local first, rest = text:match("^%s*(" .. ("%w"):rep(#code) .. ")(.*)$")
  if not first or first:upper() ~= code:upper() then return nil end
  if rest ~= "" and not rest:find("^[:%s]") then return nil end
  return (rest:gsub("^:", ""):gsub("^%s+", ""))
end

local function plain(text) return (text:lower():gsub("%s+", "")) end

--- The choice that a text names, or the only one that begins so; or nil.
---@param choices string[]
---@param text string?
---@return string?
function question_words.choice(choices, text)
  local given, found, count = plain(text or ""), nil, 0
  if given == "" then return nil end
  for _, choice in ipairs(choices) do
    if plain(choice) == given then return choice end
    if plain(choice):sub(1, #given) == given then found, count = choice, count + 1 end
  end
  return count == 1 and found or nil
end

--- "Please answer a, b or c."
function question_words.hint(choices)
  local last = choices[#choices]
  local others = table.concat(choices, ", ", 1, #choices - 1)
  return ("Please answer %s%s."):format(others ~= "" and others .. " or " or "", last)
end

-- The first line of a text, or its beginning.
local function shortened(text)
  local line = text:match("^[^\n]*")
  if line == text and #line <= SHORT_BYTES then return text end
  local length = math.min(#line, SHORT_BYTES)
  while length < #line and line:byte(length + 1) & 0xC0 == 0x80 do length = length - 1 end
  return line:sub(1, length) .. "…"
end

local function list(open)
  local lines = {}
  for i, one in ipairs(open) do lines[i] = ("\n%s: %s"):format(one.code, shortened(one.text)) end
  return table.concat(lines)
end

--- How it is told. `code` nil: to a peer.
---@param others {code: string, text: string}[] that are open in the canvas, too
function question_words.announce(text, choices, code, others)
  local told = text .. (choices and "\n\n" .. question_words.hint(choices) or "")
  if not code then return told end
  return ("%s%s(Question %s%s)%s"):format(told, choices and " " or "\n\n", code,
    #others > 0 and ". Others are open too, so begin your answer with its code." or "", list(others))
end

function question_words.which(open)
  return "Several questions are open. Please begin your answer with the code of the one you mean:" .. list(open)
end

return question_words
