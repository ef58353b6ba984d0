--- Parts of A2A messages and artifacts: on the wire of 1.0 and of 0.3, and as scripts see them.
--
-- Scripts see one shape whatever the agent speaks, the one that replies have: {kind = "text", text =}, {kind = "file", file =
-- {name, mimeType, bytes or uri}}, {kind = "data", data =}. They may write either version's shape.
local core = require "molecule.core"
local files = require "molecule.files"
local json = require "molecule.json"
local misuse = require "molecule.misuse"

local parts = {}

-- A value if it is of the type; JSON's null and what does not belong there are nothing.
local function text(value) return type(value) == "string" and value or nil end
local function map(value) return type(value) == "table" and value or nil end
parts.text, parts.map = text, map

-- {name, mimeType, bytes, uri} of a part in any spelling; nil: it is not a file.
local function file_of(part)
  local file = map(part.file)
  if file then
    return {name = text(file.name), mimeType = text(file.mimeType), size = math.type(file.size) and file.size or nil,
      bytes = text(file.bytes) or text(file.fileWithBytes), uri = text(file.uri) or text(file.fileWithUri)}
  end
  local bytes, uri = text(part.raw), text(part.url)
  if not bytes and not uri then return nil end
  return {name = text(part.filename), mimeType = text(part.mediaType), bytes = bytes, uri = uri}
end

-- A part of either version -> as scripts see it; nil: it holds nothing that is known.
local function read(part)
  local metadata = map(part.metadata)
  if text(part.text) then return {kind = "text", text = part.text, metadata = metadata} end
  local file = file_of(part)
  if file then return {kind = "file", file = file, metadata = metadata} end
  if part.data ~= nil then return {kind = "data", data = part.data, metadata = metadata} end
  return nil
end

--- What came: a list of parts as scripts see them.
function parts.read(list)
  local found = json.array {}
  for _, part in ipairs(map(list) or {}) do
    found[#found + 1] = type(part) == "table" and (read(part) or part) or nil
  end
  return found
end

--- The texts of parts, with `between` between them; nil: none of them is a text.
function parts.join(list, between)
  local texts = {}
  for _, part in ipairs(list) do texts[#texts + 1] = text(part.text) end
  if #texts == 0 then return nil end
  return table.concat(texts, between)
end

--- The files among parts, with their methods (molecule.files).
function parts.files(list)
  local found = {}
  for _, part in ipairs(list) do
    local file = map(part.file)
    if file then
      found[#found + 1] = {name = file.name, mime_type = file.mimeType, size = file.size, bytes = file.bytes, uri = file.uri}
    end
  end
  return files.adopt(found)
end

-- As 1.0 writes it: the member's name tells what it is.
local function write_new(part)
  local file = part.file
  if not file then return {text = part.text, data = part.data, metadata = part.metadata} end
  return {raw = file.bytes, url = not file.bytes and file.uri or nil, filename = file.name, mediaType = file.mimeType,
    metadata = part.metadata}
end

--- What a script gives, as a list for the wire; misuse raises at its line.
---@param what string the function's name, for errors
---@param given table
---@param version "1.0"|"0.3"
function parts.write(what, given, version)
  local list = json.array {}
  for i, part in ipairs(given) do
    local known = type(part) == "table" and read(part)
    if not known or known.file and not (known.file.bytes or known.file.uri) then
      misuse(("%s: parts[%d] must be a table with text, data, or a file with bytes or a uri"):format(what, i))
    end
    if known.file and known.file.bytes and not core.base64_decode(known.file.bytes) then
      misuse(("%s: the bytes of parts[%d] must be base64"):format(what, i))
    end
    list[i] = version == "1.0" and write_new(known) or known
  end
  return list
end

return parts
