--- What a handler returned -> its outcome, and the reply as it reaches its receiver. src/script/outcome.c and src/wire/reply.c do
--- the same in the host; tests/e2e/testing_kit_spec.lua compares them.

local words = require "molecule.testing.words"

local outcome = {}

local ALLOWED = "a string, {text=…}, {parts={…}}, nil, molecule.skip(), molecule.retry{} or molecule.dead()"
local KINDS = {skip = "skipped", retry = "retry", dead = "dead", failed = "failed"}
local NOTHING = "the reply has neither a text nor a file with uri and name, which is all that the canvas can show"
local BODY_MAXIMUM = 1024 * 1024

local function wrong(what)
  return {kind = "failed", hopeless = true, reason = ("the handler returned %s; allowed are %s"):format(what, ALLOWED)}
end

-- A field of the table that is nearly one that a reply has.
local function mistyped(value)
  for key in pairs(value) do
    if type(key) == "string" then
      local best, distance = words.nearest(key, {"text", "parts", "files"})
      if best and distance > 0 then
        return wrong(("a table with the unknown field '%s' (did you mean '%s'?)"):format(key, best))
      end
    end
  end
end

local function is_list(json, value)
  if json.is_array(value) then return true end
  for key in pairs(value) do
    if math.type(key) ~= "integer" then return false end
  end
  return #value > 0
end

local function read_reply(json, value)
  local text, parts = rawget(value, "text"), rawget(value, "parts")
  if text ~= nil and type(text) ~= "string" then return wrong(("a table whose `text` is a %s"):format(type(text))) end
  if type(parts) == "table" and next(parts) ~= nil then
    local fine, problem = json.encode(parts)
    if not fine then return wrong("`parts` that cannot be sent: " .. problem) end
    if not is_list(json, parts) then return wrong "a table whose `parts` is not a list" end
  elseif parts ~= nil and type(parts) ~= "table" then
    return wrong(("a table whose `parts` is a %s"):format(type(parts)))
  end
  local misnamed = mistyped(value)
  if misnamed then return misnamed end
  if text == nil and parts == nil then return wrong "a table without `text` or `parts`" end
  local has_parts = parts and next(parts) ~= nil
  if not has_parts and (text == nil or text == "") then return {kind = "no_reply"} end
  return {kind = "replied", text = text, parts = has_parts and parts or nil}
end

---@param json table molecule.json
---@param verdict table the metatable of molecule.skip and its like
---@param value any what the handler returned
---@param second any the value after it
---@return {kind: string, text: string?, parts: table?, reason: string?, hopeless: boolean?, after: number?, hold: boolean?}
function outcome.read(json, verdict, value, second)
  if value == nil then
    if type(second) == "string" then return {kind = "failed", reason = second} end
    return {kind = "no_reply"}
  elseif value == true then
    return {kind = "no_reply"}
  elseif value == false then
    return wrong "false"
  elseif type(value) == "string" then
    return value == "" and {kind = "no_reply"} or {kind = "replied", text = value}
  elseif type(value) ~= "table" then
    return wrong("a " .. type(value))
  elseif getmetatable(value) == verdict then
    local kind = KINDS[value.kind] or "skipped"
    return {kind = kind, hopeless = kind == "failed", reason = value.reason, after = value.after, hold = value.hold}
  end
  return read_reply(json, value)
end

-- Without zero bytes, and with U+FFFD for what is not UTF-8.
local function repaired(text)
  text = text:gsub("%z", "")
  local _, bad = utf8.len(text)
  while bad do
    text = text:sub(1, bad - 1) .. "\u{FFFD}" .. text:sub(bad + 1)
    _, bad = utf8.len(text, bad)
  end
  return text
end

local function kind_of(part)
  return part.kind or part.type or part.text and "text" or (part.file or part.raw or part.url) and "file" or part.data and "data"
end

-- {name, mime_type, uri, bytes, size} of a part, in any spelling.
function outcome.file_of(part)
  local file = type(part.file) == "table" and part.file or part
  return {name = file.name or file.filename, mime_type = file.mimeType or file.mime_type or file.mediaType or file.media_type,
    uri = file.uri or file.url, bytes = file.bytes or file.raw or nil, size = file.size}
end

local function check_part(part, position)
  local where = ("part %d of the reply "):format(position)
  if type(part) ~= "table" then return where .. "is not an object" end
  local kind = kind_of(part)
  if not kind then return where .. "has no kind (text, file or data)" end
  if kind == "text" and type(part.text) ~= "string" then return where .. "is a text part without a text" end
end

--- The reply as its receiver reads it; or nil and why it cannot be sent.
---@return {text: string?, parts: table, files: table[]}? reply, string? problem
function outcome.deliver(json, read, to_canvas)
  local parts, has_text = json.array {}, false
  for i, part in ipairs(read.parts or {}) do
    local problem = check_part(part, i)
    if problem then return nil, problem end
    local copy = {}
    for key, value in pairs(part) do copy[key] = value end
    copy.kind, copy.type = kind_of(part), nil
    if type(copy.text) == "string" then copy.text = repaired(copy.text) end
    has_text = has_text or copy.kind == "text"
    parts[#parts + 1] = copy
  end
  if read.text and read.text ~= "" and not has_text then table.insert(parts, 1, {kind = "text", text = repaired(read.text)}) end
  local texts, files, names = {}, {}, {}
  for _, part in ipairs(parts) do
    if part.kind == "text" then texts[#texts + 1] = part.text end
    local file = part.kind == "file" and outcome.file_of(part)
    if file then
      files[#files + 1] = file
      if (file.name or "") ~= "" and (file.uri or "") ~= "" then names[#names + 1] = file.name end
    end
  end
  local text = table.concat(texts)
  if #text > BODY_MAXIMUM then
    return nil, ("the reply's text is %d bytes, the platform takes at most %d"):format(#text, BODY_MAXIMUM)
  end
  if to_canvas and text == "" then
    text = table.concat(names, ", ")
    if text == "" then return nil, NOTHING end
  end
  return {text = text, parts = parts, files = files}
end

return outcome
