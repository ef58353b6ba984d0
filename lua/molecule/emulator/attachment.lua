--- A local file as a part of a message, the way the platform carries it: staged for the human if it stages files, else inside
--- the message.

local host = require "molecule.emulator.host"
local store = require "molecule.emulator.store"
local uploads = require "molecule.emulator.uploads"

local attachment = {}

local INSIDE_MAXIMUM = { t1 = 700 << 10, latest = 11 << 20 } -- bytes; as base64 in a request that the platform accepts
local TYPES = { txt = "text/plain", log = "text/plain", lua = "text/x-lua", md = "text/markdown", csv = "text/csv",
  html = "text/html", json = "application/json", xml = "application/xml", pdf = "application/pdf", zip = "application/zip",
  png = "image/png", jpg = "image/jpeg", jpeg = "image/jpeg", gif = "image/gif", svg = "image/svg+xml", webp = "image/webp",
  mp3 = "audio/mpeg", wav = "audio/wav", mp4 = "video/mp4" }

local function read(path)
  path = path:gsub("^~/", (os.getenv "HOME" or "~") .. "/")
  local file, problem = io.open(path, "rb")
  if not file then return nil, problem end
  local content, failure = file:read(store.config.upload_maximum + 1)
  file:close()
  if content or not failure then return content or "" end
  return nil, ("%s: %s"):format(path, failure)
end

---Reads the file that the words begin with; its name may contain blanks, or be in quotes.
---@param words string
---@return {name: string, content: string}? file, string text what follows its name, or "", string? problem
function attachment.open(words)
  local quoted, after = words:match '^"([^"]+)"%s*(.*)$'
  if quoted then
    local content, problem = read(quoted)
    if content then return { name = quoted:match "[^/]*$", content = content }, after end
    return nil, "", "no file was sent: " .. problem
  end
  local path, first = words, nil
  while path do
    local content, problem = read(path)
    if content then return { name = path:match "[^/]*$", content = content }, words:sub(#path + 1):match "^%s*(.*)$" end
    first = first or problem
    path = path:match "^(.-)%s+%S+$"
  end
  return nil, "", "no file was sent: " .. first
end

---@param target Workspace?
---@param from string? nil: the canvas
---@param file {name: string, content: string}
---@return table? part, string? problem
function attachment.part(target, from, file)
  local size, mime = #file.content, TYPES[(file.name:match "%.(%w+)$" or ""):lower()] or "application/octet-stream"
  local staged = not from and store.latest() and target and target.delivery_mode == "poll"
  local maximum = staged and store.config.upload_maximum or INSIDE_MAXIMUM[store.config.profile]
  if size > maximum then
    return nil, ("%s was not sent: the platform takes at most %d bytes from %s"):format(file.name, maximum,
      from and "a peer" or "the canvas")
  end
  if staged then return { kind = "file", file = uploads.stage(target, file.name, mime, file.content) } end
  return { kind = "file", file = { name = file.name, mimeType = mime, size = size, bytes = host.base64_encode(file.content) } }
end

return attachment
