--- Files both ways: what came with a message, and what goes out with a reply.
--
-- Incoming: msg.files[i] has name, mime_type, size, uri, and the methods read() -> bytes and save(path) -> true; failures
-- are nil, message, CODE (NOT_FOUND: expired; UNAVAILABLE: out of reach; TOO_LARGE; FORBIDDEN: not https, or
-- not a public address (--allow-file-host); FILE: writing failed).
-- A staged upload is acknowledged once the handler's outcome stands; the platform forgets it an hour later.
-- Outgoing: {"path", {name =, mime_type =, data = bytes}, {path =, name =, mime_type =}}. The canvas gets them as uploads, a
-- peer gets the bytes inside the message. How many, and how large, is up to the platform (contract §1.2, §1.10).
local core = require "molecule.core"
local json = require "molecule.json"
local misuse = require "molecule.misuse"

local files = {}

local FILE_BYTES, REQUEST_BYTES = 25 * 1024 * 1024, 50 * 1024 * 1024 -- if the platform does not say (contract §1.16)
local COUNT = 10
local ENVELOPE_BYTES = 64 * 1024 -- of a message to a peer, besides its files

local FIELDS = {path = true, name = true, mime_type = true, data = true}
local TYPES = {
  txt = "text/plain", log = "text/plain", md = "text/markdown", csv = "text/csv", html = "text/html",
  json = "application/json", pdf = "application/pdf", zip = "application/zip", gz = "application/gzip",
  png = "image/png", jpg = "image/jpeg", jpeg = "image/jpeg", gif = "image/gif", svg = "image/svg+xml",
  webp = "image/webp", mp3 = "audio/mpeg", wav = "audio/wav", mp4 = "video/mp4", xml = "application/xml",
  lua = "text/x-lua", yaml = "application/yaml", yml = "application/yaml",
}

local file = {}
file.__index = file
file.__name = "molecule.file"

--- The bytes.
function file:read()
  if type(self.bytes) == "string" then
    local bytes, problem = core.base64_decode(self.bytes)
    if not bytes then return nil, ("file %s: its bytes are %s"):format(self.name or "?", problem), "UNAVAILABLE" end
    return bytes
  end
  local uri = self.uri or ""
  local id = uri:match("^platform%-pending:[^/]*/([%w%-]+)$")
  if id then return core.file_fetch(id) end
  local pushed = uri:match("^workspace:/workspace/%.molecule/chat%-uploads/([^/]+)$")
  if pushed then return core.file_pushed(pushed) end
  if uri:find("^https?://") then
    -- the sender chose the address: public ones only, with https, or those of --allow-file-host
    local answer, problem, code = core.http {url = uri, max_bytes = 100 * 1024 * 1024, timeout = 300, public = true}
    if not answer then return nil, ("file %s: %s"):format(self.name or "?", problem), code end
    if answer.status ~= 200 then
      return nil, ("file %s: %s answered %d"):format(self.name or "?", uri, answer.status), "UNAVAILABLE"
    end
    return answer.body
  end
  return nil, ("file %s: %s cannot be read from here"):format(self.name or "?",
    uri == "" and "without uri or bytes it" or uri), "UNAVAILABLE"
end

--- Writes it to `path`: whole, or not at all.
function file:save(path)
  if type(path) ~= "string" then misuse(("file:save: the path must be a string, not a %s"):format(type(path))) end
  local bytes, problem, code = self:read()
  if not bytes then return nil, problem, code end
  return core.file_write(path, bytes)
end

file.read, file.save = core.public(file.read), core.public(file.save)

--- Gives the files of a message their methods.
function files.adopt(list)
  for _, one in ipairs(list) do setmetatable(one, file) end
  return list
end

local function clean_name(name)
  name = name:match("[^/\\]*$"):gsub("[%c\"]", "_")
  return name ~= "" and name or "file"
end

-- What the platform accepts: {file, request, count, message}: bytes, and how many files at once.
local function limits()
  local told = core.file_limits()
  if type(told) ~= "table" then told = {} end
  return {file = tonumber(told.per_file_bytes) or FILE_BYTES, request = tonumber(told.per_request_bytes) or REQUEST_BYTES,
    count = tonumber(told.max_attachments_per_message) or COUNT, message = tonumber(told.message_bytes) or 1024 * 1024}
end

local function size_text(bytes)
  if bytes >= 1024 * 1024 then return ("%.4g MiB"):format(bytes / 1024 / 1024) end
  return ("%.4g KiB"):format(bytes / 1024)
end

--- One outgoing file -> {name, mime_type, data}; raises what is wrong with it. At most a byte over `maximum` is read.
local function load_one(given, position, maximum)
  if type(given) == "string" then given = {path = given} end
  if type(given) ~= "table" then
    misuse(("files[%d] must be a path or {name =, mime_type =, data =}, not a %s"):format(position, type(given)))
  end
  for key in pairs(given) do
    if not FIELDS[key] then core.refuse_field(("files[%d]"):format(position), key, {"path", "name", "mime_type", "data"}) end
  end
  local data, name = given.data, given.name
  if type(given.path) == "string" and data == nil then
    local handle, problem = io.open(given.path, "rb")
    if not handle then error(("files[%d]: %s"):format(position, problem), 0) end
    data, problem = handle:read(maximum + 1)
    handle:close()
    if problem then error(("files[%d]: %s: %s"):format(position, given.path, problem), 0) end
    data = data or ""
    name = name or given.path
  end
  if type(data) ~= "string" then
    misuse(("files[%d] needs a path, or data as a string"):format(position))
  end
  name = clean_name(type(name) == "string" and name or "file")
  local ending = name:match("%.(%w+)$")
  return {name = name, data = data,
    mime_type = given.mime_type or ending and TYPES[ending:lower()] or "application/octet-stream"}
end

local function load_all(list, allowed)
  local loaded = {}
  if type(list) ~= "table" then misuse("files must be a list of paths or {name =, mime_type =, data =}") end
  for key in pairs(list) do
    if math.type(key) ~= "integer" then
      misuse(("files must be a list, not a table with the field `%s`"):format(tostring(key)))
    end
  end
  if #list > allowed.count then misuse(("%d files, a message takes at most %d"):format(#list, allowed.count)) end
  for position = 1, #list do loaded[position] = load_one(list[position], position, allowed.file) end
  return loaded
end

local function extend(parts)
  local extended = json.array {}
  for i, part in ipairs(parts or {}) do extended[i] = part end
  return extended
end

--- `parts` with the files appended, uploaded to our workspace. nil, message, CODE if that fails.
function files.for_canvas(list, parts)
  local allowed = limits()
  local loaded, boundary, body, total = load_all(list, allowed), "molecule-" .. core.uuid(), {}, 0
  local extended = extend(parts)
  if #loaded == 0 then return extended end
  for _, one in ipairs(loaded) do
    total = total + #one.data
    if #one.data > allowed.file then
      return nil, ("file %s is larger than the platform accepts, %s"):format(one.name, size_text(allowed.file)), "TOO_LARGE"
    elseif total > allowed.request then
      return nil, ("file %s: the files are more than the platform accepts at once, %s"):format(one.name,
        size_text(allowed.request)), "TOO_LARGE"
    end
    body[#body + 1] = ('--%s\r\nContent-Disposition: form-data; name="files"; filename="%s"\r\nContent-Type: %s\r\n\r\n')
      :format(boundary, one.name, tostring(one.mime_type):gsub("[%c]", ""))
    body[#body + 1] = one.data
    body[#body + 1] = "\r\n"
  end
  body[#body + 1] = "--" .. boundary .. "--\r\n"
  local uploaded, problem, code = core.file_upload(table.concat(body), boundary)
  if not uploaded then return nil, problem, code end
  for _, one in ipairs(uploaded) do extended[#extended + 1] = {kind = "file", file = one} end
  return extended
end

--- `parts` with the files appended, bytes included.
function files.for_peer(list, parts)
  local extended, total, allowed = extend(parts), 0, limits()
  local maximum = (allowed.message - ENVELOPE_BYTES) * 3 // 4 -- base64
  allowed.file = maximum
  for _, one in ipairs(load_all(list, allowed)) do
    total = total + #one.data
    if total > maximum then
      return nil, ("file %s: more than %s of files in a message to a peer, which carries their bytes"):format(one.name,
        size_text(maximum)), "TOO_LARGE"
    end
    extended[#extended + 1] = {kind = "file",
      file = {name = one.name, mimeType = one.mime_type, bytes = core.base64_encode(one.data)}}
  end
  return extended
end

-- The text is sent as it is, followed by a note of what is missing.
local function note_missing(list, problem)
  local names = {}
  for i, given in ipairs(type(list) == "table" and list or {}) do
    local name = type(given) == "table" and (given.name or given.path) or given
    names[i] = clean_name(type(name) == "string" and name or "file")
  end
  return ("[%s could not be sent: %s]"):format(table.concat(names, ", "), problem)
end

--- What a handler returned, its `files` turned into parts. A file that cannot be read raises: that may pass. Files that cannot
--- be sent to the receiver do not: the text goes out with a note of what is missing.
function files.attach(reply, to_canvas, row_id)
  if reply.text ~= nil and type(reply.text) ~= "string" or reply.parts ~= nil and type(reply.parts) ~= "table" then
    return reply -- the host reports what is wrong with it
  end
  local parts, problem = (to_canvas and files.for_canvas or files.for_peer)(reply.files, reply.parts)
  if parts then return {text = reply.text, parts = parts} end
  core.log("warn", ("message %s: the reply goes out without its files: %s"):format(row_id or "?", problem))
  local note = note_missing(reply.files, (problem:gsub("^molecule%.files: ", "")))
  local text = reply.text and reply.text ~= "" and reply.text .. "\n\n" .. note or note
  if not reply.parts then return {text = text} end
  local extended = extend(reply.parts)
  extended[#extended + 1] = {kind = "text", text = note}
  return {text = reply.text, parts = extended}
end

return files
