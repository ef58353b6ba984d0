--- What a model thinks aloud in its answer: <think>…</think> and its like, which are not for whoever asked.
--
-- Taken out are blocks at the beginning of the answer and at the beginning of later lines, and all before a closing tag
-- on a separate line if the template has swallowed the opening one. Code fences stay as they are.
local thinking = {}

local TAGS = {
  {"<think>", "</think>"}, {"<thinking>", "</thinking>"}, {"<thought>", "</thought>"}, {"<reasoning>", "</reasoning>"},
  {"<seed:think>", "</seed:think>"}, {"[think]", "[/think]"}, {"◁think▷", "◁/think▷"},
}

local function opening_at(lower, at)
  for _, tag in ipairs(TAGS) do
    if lower:sub(at, at + #tag[1] - 1) == tag[1] then return tag end
  end
end

--- Whether an odd number of lines that begin with ``` precede `at`.
local function is_fenced(text, at)
  local _, count = ("\n" .. text:sub(1, at - 1)):gsub("\n%s*```", "")
  return count % 2 == 1
end

--- Where the block that begins at `at` ends; nil: it is not closed.
local function after_block(lower, at, tag)
  local _, last = lower:find(tag[2], at + #tag[1], true)
  return last and last + 1
end

--- Whether text:sub(first, last) has a line to itself.
local function is_alone(text, first, last)
  local before = text:sub(1, first - 1)
  return (before:find("^%s*$") or before:find("\n[ \t]*$")) and (last == #text or text:find("^[ \t\r]*\n", last + 1))
end

--- Without what precedes a closing tag that nothing has opened; nil: none.
local function after_swallowed(text)
  local lower = text:lower()
  for _, tag in ipairs(TAGS) do
    local first, last = lower:find(tag[2], 1, true)
    if first and is_alone(text, first, last) and not is_fenced(text, first)
        and not lower:sub(1, first):find(tag[1], 1, true) then
      return text:sub(last + 1)
    end
  end
end

--- Without the first block that begins a line; nil: none.
local function without_block(text)
  local lower, at = text:lower(), 1
  while at do
    local first = lower:match("^%s*()", at)
    local tag = opening_at(lower, first)
    if tag and not is_fenced(text, first) then
      local last = after_block(lower, first, tag)
      return text:sub(1, at - 1) .. (last and text:sub(last):gsub("^%s+", "") or "")
    end
    at = lower:match("\n()", first)
  end
end

---@param text string
---@return string text without the thoughts; as it was where there are none
function thinking.strip(text)
  local rest = after_swallowed(text) or text
  local found = #rest < #text
  while true do
    local shorter = without_block(rest)
    if not shorter then break end
    rest, found = shorter, true
  end
  return found and rest:match("^%s*(.*)$") or text
end

--- For a growing answer: without what may turn out to be a thought.
---@param text string
---@return string
function thinking.strip_partial(text)
  local rest = thinking.strip(text)
  local before, line = rest:match("^(.*\n)%s*(.-)$")
  if not before then before, line = "", rest:match("^%s*(.-)$") end
  for _, tag in ipairs(line ~= "" and TAGS or {}) do
    if #line < #tag[1] and tag[1]:sub(1, #line) == line:lower() then return before end
  end
  return rest
end

return thinking
