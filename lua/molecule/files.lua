--- Files both ways: what came with a message, and what goes out with a reply.
--
-- Incoming: msg.files[i] has name, mime_type, size, uri, and the methods read() -> bytes and save(path) -> true; failures
-- are nil, message, CODE (NOT_FOUND: expired; UNAVAILABLE: it cannot be had from here; TOO_LARGE; FORBIDDEN: not https, or
-- not a public address (--allow-file-host); FILE: writing failed).
-- A staged upload is acknowledged once the handler's outcome stands; the platform forgets it an hour later.
-- Outgoing: {"path", {name =, mime_type =, data = bytes}, {path =, name =, mime_type =}}. The canvas gets them as uploads,
-- up to 25 MiB each; a peer gets the bytes inside the message, up to 700 KiB in all.
local core = require "molecule.core"
local json = require "molecule.json"
local misuse = require "molecule.misuse"

local files = {}

local UPLOAD_MAXIMUM = 25 * 1024 * 1024
local PEER_MAXIMUM = 700 * 1024
local COUNT_MAXIMUM = 10 -- of one message (contract §1.2)

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

--- One outgoing file -> {name, mime_type, data}; raises what is wrong with it.
local function load_one(given, position)
  if type(given) == "string" then given = {path = given} end
  if type(given) ~= "table" then
    error(("files[%d] must be a path or {name =, mime_type =, data =}, not a %s"):format(position, type(given)), 0)
  end
  for key in pairs(given) do
    if not FIELDS[key] then core.refuse_field(("files[%d]"):format(position), key, {"path", "name", "mime_type", "data"}) end
  end
  local data, name = given.data, given.name
  if type(given.path) == "string" and data == nil then
    local handle, problem = io.open(given.path, "rb")
    if not handle then error(("files[%d]: %s"):format(position, problem), 0) end
    data, problem = handle:read(UPLOAD_MAXIMUM + 1)
    handle:close()
    if problem then error(("files[%d]: %s: %s"):format(position, given.path, problem), 0) end
    data = data or ""
    name = name or given.path
  end
  if type(data) ~= "string" then
    error(("files[%d] needs a path, or data as a string"):format(position), 0)
  end
  name = clean_name(type(name) == "string" and name or "file")
  local ending = name:match("%.(%w+)$")
  return {name = name, data = data,
    mime_type = given.mime_type or ending and TYPES[ending:lower()] or "application/octet-stream"}
end

local function load_all(list)
  local loaded = {}
  if type(list) ~= "table" then error("files must be a list of paths or {name =, mime_type =, data =}", 0) end
  for key in pairs(list) do
    if math.type(key) ~= "integer" then
      error(("files must be a list, not a table with the field `%s`"):format(tostring(key)), 0)
    end
  end
  if #list > COUNT_MAXIMUM then error(("%d files, a message takes at most %d"):format(#list, COUNT_MAXIMUM), 0) end
  for position = 1, #list do loaded[position] = load_one(list[position], position) end
  return loaded
end

local function extend(parts)
  local extended = json.array {}
  for i, part in ipairs(parts or {}) do extended[i] = part end
  return extended
end

--- `parts` and the files behind them, uploaded to our workspace. nil, message, CODE where that fails.
function files.for_canvas(list, parts)
  local loaded, boundary, body = load_all(list), "molecule-" .. core.uuid(), {}
  local extended = extend(parts)
  if #loaded == 0 then return extended end
  for _, one in ipairs(loaded) do
    if #one.data > UPLOAD_MAXIMUM then
      return nil, ("file %s is larger than %d MiB"):format(one.name, UPLOAD_MAXIMUM >> 20), "TOO_LARGE"
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

--- `parts` and the files behind them, their bytes inside.
function files.for_peer(list, parts)
  local extended, total = extend(parts), 0
  for _, one in ipairs(load_all(list)) do
    total = total + #one.data
    if total > PEER_MAXIMUM then
      return nil, ("file %s: more than %d KiB of files in a message to a peer, which carries their bytes"):format(one.name,
        PEER_MAXIMUM >> 10), "TOO_LARGE"
    end
    extended[#extended + 1] = {kind = "file",
      file = {name = one.name, mimeType = one.mime_type, bytes = core.base64_encode(one.data)}}
  end
  return extended
end

--- What a handler returned, its `files` turned into parts. Raises where that fails: the message is tried again.
function files.attach(reply, to_canvas)
  if reply.text ~= nil and type(reply.text) ~= "string" or reply.parts ~= nil and type(reply.parts) ~= "table" then
    return reply -- the host says what is wrong with it
  end
  local parts, problem = (to_canvas and files.for_canvas or files.for_peer)(reply.files, reply.parts)
  if not parts then error("the reply's files: " .. problem, 0) end
  return {text = reply.text, parts = parts}
end

return files
