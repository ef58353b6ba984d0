--- What a person sees of a message: its words and its files; and of an error: the line of the file where it is.

local json = require "molecule.json"

local shown = {}

local SOURCE_MAXIMUM = 300 -- bytes of a source line

---The first bytes of a text, without half a character.
---@param text string
---@param maximum integer
---@return string text, boolean cut
function shown.cut(text, maximum)
  if #text <= maximum then return text, false end
  local from = maximum + 1
  while from > 1 and text:byte(from) & 0xC0 == 0x80 do from = from - 1 end
  return text:sub(1, from - 1), true
end

local function list(value)
  return json.is_array(value) and value or {}
end

---@param value any an envelope
---@return table[] parts
function shown.parts(value)
  local params = type(value) == "table" and value.params
  local message = type(params) == "table" and params.message
  return list(type(message) == "table" and message.parts)
end

local function text_or_nil(value)
  return type(value) == "string" and value or nil
end

local function described(file)
  return { name = text_or_nil(file.name), type = text_or_nil(file.mimeType), uri = text_or_nil(file.uri),
    size = math.tointeger(file.size), bytes = text_or_nil(file.bytes) }
end

---The words of the parts as one text, and their files. What is neither is shown as JSON.
---@param parts table[]
---@return string text, table[] files
function shown.content(parts)
  local texts, files = {}, {}
  for _, part in ipairs(parts) do
    if type(part) ~= "table" then
      texts[#texts + 1] = json.encode(part)
    elseif type(part.text) == "string" then
      texts[#texts + 1] = part.text
    elseif type(part.file) == "table" then
      files[#files + 1] = described(part.file)
    else
      texts[#texts + 1] = json.encode(part, { sort = true })
    end
  end
  return table.concat(texts, "\n"), files
end

---The same of a notice to the canvas.
---@param value table
---@return string text, table[] files
function shown.notice(value)
  local files = {}
  for _, file in ipairs(list(value.attachments)) do files[#files + 1] = described(file) end
  return value.message, files
end

---What the page is told of files: not their bytes.
---@param files table[]
---@return table[]
function shown.files(files)
  local result = json.array {}
  for i, file in ipairs(files) do
    result[i] = { name = file.name, type = file.type, size = file.size,
      uri = file.uri and file.uri:match "^https?://" and file.uri or nil, here = not (file.uri and file.uri:match "^https?://") }
  end
  return result
end

local function line_of(path, number)
  local file = io.open(path, "rb")
  if not file then return nil end
  local source
  for _ = 1, number do source = file:read "l" end
  file:close()
  return source and utf8.len(source) and (shown.cut(source:gsub("\r$", ""), SOURCE_MAXIMUM)) or nil
end

---Where an error of the script is: the first file:line in its text that names the script or a file beside it.
---@param reason string?
---@param script string? the script's path
---@return {file: string, line: integer, source: string?}?
function shown.place(reason, script)
  if not reason or not script then return nil end
  local directory = script:match "^(.*/)" or ""
  for path, number in reason:gmatch "([^\n:'\"]+%.lua):(%d+)" do
    path = path:match "^%s*(.-)$"
    local at = path:find(script, 1, true)
    path = at and path:sub(at) or path
    local beside = path == script or directory ~= "" and path:sub(1, #directory) == directory
      or directory == "" and not path:find("/", 1, true)
    local line = math.tointeger(tonumber(number))
    if beside and not path:find("..", 1, true) and line and line > 0 and line < 1000000 then
      return { file = path, line = line, source = line_of(path, line) }
    end
  end
  return nil
end

return shown
