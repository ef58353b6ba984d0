--- Texts and Markdown as mdoc(7), the language of manual pages.
local mdoc = {}

local WIDTH = 78 -- bytes of a line of filled text

--- A text in which nothing has a meaning to roff. `literal`: its hyphens are those that one types.
function mdoc.escape(text, literal)
  text = text:gsub("\\", "\\e"):gsub("…", "..."):gsub("(%w)%(%)", "%1\\&()")
  text = text:gsub("[\xC2-\xF4][\x80-\xBF]+", function(character) return ("\\[u%04X]"):format(utf8.codepoint(character)) end)
  if literal then return (text:gsub("%-", "\\-")) end
  return (text:gsub("%f[%-%w]%-%-?%f[%w][%w-]+", function(option) return (option:gsub("%-", "\\-")) end))
end

local function unquote(text)
  return (text:gsub("%*%*(.-)%*%*", "\\fB%1\\fR"):gsub("%f[%w*]%*(%w[^*]*)%*", "\\fI%1\\fR"))
end

--- A line of Markdown: links become their text, code is bold.
function mdoc.inline(text)
  text = text:gsub("%[([^%]`]*)%]%([^)%s]+%)", "%1"):gsub("%[(`[^`]*`)%]%([^)%s]+%)", "%1")
  local parts = {}
  for prose, code in (text .. "``"):gmatch "(.-)`(.-)`" do
    parts[#parts + 1] = unquote(mdoc.escape(prose:gsub("\\([|<>*])", "%1"), false))
    if code ~= "" then parts[#parts + 1] = "\\fB" .. mdoc.escape(code, true) .. "\\fR" end
  end
  return table.concat(parts)
end

--- Lines of filled text as roff takes it: a sentence begins a line, and no line is a request.
function mdoc.fill(text)
  local lines = {}
  text = text:gsub("%s+", " "):gsub("([.!?]\\?f?R?) (\\?f?B?%u)", "%1\n%2")
  for sentence in text:gmatch "[^\n]+" do
    local line = ""
    for word in sentence:gmatch "%S+" do
      if line ~= "" and #line + 1 + #word > WIDTH then
        lines[#lines + 1] = line
        line = ""
      end
      line = line == "" and word or line .. " " .. word
    end
    lines[#lines + 1] = line:gsub("^([.'])", "\\&%1")
  end
  return (table.concat(lines, "\n"):gsub("\n([.'])", "\n\\&%1"))
end

--- An argument of a macro that is one word to it.
function mdoc.word(text) return '"' .. text:gsub('"', "\\(dq") .. '"' end

--- Lines that stay as they are.
function mdoc.display(text)
  local lines = {".Bd -literal -offset indent"}
  for line in text:gsub("\n*$", "\n"):gmatch "([^\n]*)\n" do
    lines[#lines + 1] = mdoc.escape(line, true):gsub("^([.'])", "\\&%1")
  end
  lines[#lines + 1] = ".Ed"
  return table.concat(lines, "\n")
end

--- "| a | b |" -> its cells
local function cells_of(line)
  local cells = {}
  for cell in line:gsub("^|", ""):gsub("|%s*$", ""):gsub("\\|", "\0"):gmatch "[^|]*" do
    cells[#cells + 1] = cell:gsub("%z", "|"):match "^%s*(.-)%s*$"
  end
  return cells
end

local function render_table(add, rows)
  add ".Bl -tag -width Ds"
  for i = 3, #rows do -- after the heading and its line
    local cells, rest = cells_of(rows[i]), {}
    add(".It %s", mdoc.word(mdoc.inline(cells[1])))
    for column = 2, #cells do
      if cells[column] ~= "" then rest[#rest + 1] = mdoc.fill(mdoc.inline(cells[column])) end
    end
    if #rest > 0 then add("%s", table.concat(rest, "\n.br\n")) end
  end
  add ".El"
end

-- Lists are flat in the pages, or their items have lists that read as text.
local function render_list(add, lines)
  local items, numbered = {}, lines[1]:find "^%d"
  for _, line in ipairs(lines) do
    local text = line:match "^%-%s+(.*)" or line:match "^%d+%.%s+(.*)"
    if text then items[#items + 1] = text else items[#items] = items[#items] .. " " .. line:match "^%s*(.*)" end
  end
  add(".Bl %s", numbered and "-enum" or "-bullet")
  for _, item in ipairs(items) do add(".It\n%s", mdoc.fill(mdoc.inline(item))) end
  add ".El"
end

local function is_contents(lines)
  for _, line in ipairs(lines) do
    if line:gsub("%[[^%]]*%]%([^)]*%)", ""):find "%.%s" or not line:find "%]%(#" then return false end
  end
  return true
end

--- What a block of lines without an empty one is, and how it is rendered.
local function render_block(add, lines, level)
  local first = lines[1]
  local depth, title = first:match "^(#+) (.*)$"
  if first:find "^<!%-%-" or depth == "#" then return end
  if depth then
    local is_section = #depth <= level
    if is_section then title = title:gsub("`", ""):upper() end
    add(is_section and ".Sh %s" or ".Ss %s", mdoc.word(mdoc.inline(title)))
  elseif first:find "^|" then render_table(add, lines)
  elseif first:find "^%-%s" or first:find "^%d+%.%s" then
    if not is_contents(lines) then render_list(add, lines) end
  else
    add(".Pp\n%s", mdoc.fill(mdoc.inline(table.concat(lines, " "))))
  end
end

--- A page of Markdown, or a part of one. `level`: headings up to this depth are sections.
function mdoc.markdown(text, level)
  local out, block, fence = {}, {}, nil
  local function add(...) out[#out + 1] = string.format(...) end
  local function flush()
    if #block > 0 then render_block(add, block, level) end
    block = {}
  end
  for line in (text .. "\n\n"):gmatch "([^\n]*)\n" do
    if line:find "^```" and fence then
      add("%s", mdoc.display(table.concat(fence, "\n")))
      fence = nil
    elseif line:find "^```" then
      flush()
      fence = {}
    elseif fence then fence[#fence + 1] = line
    elseif line == "" then flush()
    else
      local starts_list = (line:find "^%-%s" or line:find "^%d+%.%s") and block[1] and not block[1]:find "^[%-%d]"
      if starts_list or (block[1] or ""):find "^#" then flush() end
      block[#block + 1] = line
    end
  end
  -- no paragraph begins right after a heading
  return (("\n" .. table.concat(out, "\n")):gsub("(\n%.S[hs] [^\n]*)\n%.Pp", "%1"):gsub("^\n%.Pp\n", "\n"):sub(2))
end

return mdoc
