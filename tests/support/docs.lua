--- The pages that people read, taken apart: links, headings, blocks of code, spans of code.
local host = require "tests.support.host"

local docs = {}

local function markdown_below(folder, found)
  for _, name in ipairs(host.list(folder)) do
    local path = folder .. "/" .. name
    if name:find "%.md$" then found[#found + 1] = path
    elseif not name:find "%." then markdown_below(path, found) end
  end
  return found
end

---@return string[] every page but the CHANGELOG, which tells of what was
function docs.pages()
  local found = markdown_below("docs", { "README.md", "CONTRIBUTING.md", "tests/bench/README.md" })
  assert(#found >= 10, "where are the pages?")
  return found
end

--- A page's blocks of code, in order, and its text without them.
---@return {language: string, text: string, line: integer}[] blocks, string prose
function docs.blocks(path)
  local blocks, prose, block, number = {}, {}, nil, 0
  for line in (host.read(path) .. "\n"):gmatch "([^\n]*)\n" do
    number = number + 1
    local fence = line:match "^```(%w*)$"
    if fence and not block then
      block = { language = fence, text = "", line = number + 1 }
    elseif fence then
      blocks[#blocks + 1] = block
      block = nil
    elseif block then
      block.text = block.text .. line .. "\n"
    else
      prose[#prose + 1] = line
    end
  end
  assert(not block, path .. ": a block of code does not end")
  return blocks, table.concat(prose, "\n")
end

--- Spans of code in the prose, without the backticks.
function docs.spans(path)
  local _, prose = docs.blocks(path)
  local list = {}
  for span in prose:gmatch "`([^`\n]+)`" do list[#list + 1] = span end
  return list
end

--- The anchors that a page has, as GitHub makes them of headings.
function docs.anchors(path)
  local _, prose = docs.blocks(path)
  local set, seen = {}, {}
  for heading in ("\n" .. prose):gmatch "\n#+ ([^\n]+)" do
    local slug = heading:lower():gsub("[^%w _-]", ""):gsub(" ", "-")
    local times = seen[slug]
    seen[slug] = (times or 0) + 1
    set[times and slug .. "-" .. times or slug] = true
  end
  return set
end

--- Links inside the project: {target =, anchor =}, the target relative to the root of the checkout.
function docs.links(path)
  local _, prose = docs.blocks(path)
  local folder = path:match "^(.*/)" or ""
  local list = {}
  for link in prose:gmatch "%]%(([^)%s]+)%)" do
    if not link:find "^%a+:" then
      local file, anchor = link:match "^([^#]*)#?(.*)$"
      local target = file == "" and path or folder .. file
      local before
      repeat -- "docs/../tests" is "tests"
        before = target
        target = target:gsub("[^/]+/%.%./", "", 1)
      until target == before
      list[#list + 1] = { shown = link, target = target, anchor = anchor ~= "" and anchor or nil }
    end
  end
  return list
end

--- A line of a shell into commands, each a list of words; quotes are taken off, a comment is left out.
---@return string[][]
function docs.commands(line)
  local list, words = {}, {}
  local at = 1
  while at <= #line do
    local blank = line:match("^%s+()", at)
    local separator = line:match("^&&()", at) or line:match("^[|;]()", at)
    if blank then
      at = blank
    elseif separator then
      if #words > 0 then list[#list + 1] = words end
      words, at = {}, separator
    elseif line:find("^#", at) then
      break
    else
      local word = ""
      repeat
        local quoted, after = line:match("^'([^']*)'()", at)
        if not quoted then quoted, after = line:match('^"([^"]*)"()', at) end
        if not quoted then quoted, after = line:match("^([^%s'\"|;]+)()", at) end
        word, at = word .. quoted, after
      until at > #line or line:find("^[%s|;]", at)
      words[#words + 1] = word
    end
  end
  if #words > 0 then list[#list + 1] = words end
  return list
end

return docs
