--- What a handler returned -> its outcome, and the reply as it reaches its receiver. src/script/outcome.c and src/wire/reply.c do
--- the same in the host; tests/e2e/testing_kit_spec.lua compares them.

local words = require "molecule.testing.words"

local outcome = {}

local ALLOWED = "a string, {text=…}, {parts={…}}, nil, molecule.skip(), molecule.retry{}, molecule.reject() or "
  .. "molecule.dead()"
local KINDS = {skip = "skipped", retry = "retry", dead = "dead", reject = "rejected", failed = "failed"}
local NOTHING = "the reply has neither a text nor a file with uri and name, which is all that the canvas can show"
local BODY_MAXIMUM = 1024 * 1024
local SHAPE = "an artifact is a table with either a `text` or a list of `parts`"

local function wrong(what)
  return {kind = "failed", hopeless = true, reason = ("the handler returned %s; allowed are %s"):format(what, ALLOWED)}
end

-- A field of the table that is nearly one that a reply has.
local function mistyped(value)
  for key in pairs(value) do
    if type(key) == "string" then
      local best, distance = words.nearest(key, {"text", "parts", "files", "artifacts", "as_message"})
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

-- Its parts as they go out, its text, its files, and the names of those that the canvas can show; or nil and a problem.
local function contents(json, read)
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
  local is_told = not has_text or read.joined
  if read.text and read.text ~= "" and is_told then table.insert(parts, 1, {kind = "text", text = repaired(read.text)}) end
  local texts, files, names = {}, {}, {}
  for _, part in ipairs(parts) do
    if part.kind == "text" then texts[#texts + 1] = part.text end
    local file = part.kind == "file" and outcome.file_of(part)
    if file then
      files[#files + 1] = file
      if (file.name or "") ~= "" and (file.uri or "") ~= "" then names[#names + 1] = file.name end
    end
  end
  return {text = table.concat(texts), parts = parts, files = files, names = names}
end

--- An artifact as its client gets it: {name, text, parts, description, metadata}; or nil and why it cannot be sent.
---@param json table molecule.json
---@param given any
---@return table? artifact, string? problem
function outcome.artifact(json, given)
  if type(given) ~= "table" then return nil, SHAPE end
  local has_text, has_parts = type(given.text) == "string", type(given.parts) == "table" and #given.parts > 0
  if has_text == has_parts or given.text ~= nil and not has_text or given.parts ~= nil and not has_parts
    or given.metadata ~= nil and type(given.metadata) ~= "table" then
    return nil, SHAPE
  end
  if given.text == "" then return nil, "the reply is empty" end
  local content, problem = contents(json, {text = given.text, parts = given.parts})
  if not content then return nil, problem end
  for _, name in ipairs {"name", "description"} do
    if given[name] ~= nil and type(given[name]) ~= "string" then return nil, ("its %s is no text"):format(name) end
  end
  return {name = given.name, text = content.text, parts = content.parts, description = given.description,
    metadata = given.metadata}
end

-- What a reply has as `artifacts`, as given; nil, an outcome: it cannot be sent.
local function read_artifacts(json, given)
  if given == nil or type(given) == "table" and next(given) == nil then return nil end
  if type(given) ~= "table" then return nil, wrong(("a table whose `artifacts` is a %s"):format(type(given))) end
  local fine, problem = json.encode(given)
  if not fine then return nil, wrong("`artifacts` that cannot be sent: " .. problem) end
  if not is_list(json, given) then return nil, wrong "`artifacts` that cannot be sent: they are no list" end
  local list = {}
  for i, one in ipairs(given) do
    list[i], problem = outcome.artifact(json, one)
    if not list[i] then return nil, wrong(("`artifacts` that cannot be sent: artifact %d: %s"):format(i, problem)) end
  end
  return list
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
  local artifacts, unsound = read_artifacts(json, rawget(value, "artifacts"))
  unsound = unsound or mistyped(value)
  if unsound then return unsound end
  local is_reply = text ~= nil or parts ~= nil or rawget(value, "artifacts") ~= nil
  if not is_reply then return wrong "a table without `text` or `parts`" end
  local has_parts = parts and next(parts) ~= nil
  if not has_parts and not artifacts and (text == nil or text == "") then return {kind = "no_reply"} end
  return {kind = "replied", text = text, parts = has_parts and parts or nil, artifacts = artifacts,
    as_message = rawget(value, "as_message") and true or nil}
end

---@param json table molecule.json
---@param verdict table the metatable of molecule.skip and its like
---@param value any what the handler returned
---@param second any the value after it
---@return {kind: string, text: string?, parts: table?, artifacts: table[]?, as_message: boolean?, reason: string?,
--- hopeless: boolean?, after: number?, hold: boolean?}
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

-- Where the message came with no task, artifacts are parts of the reply.
local function joined(read)
  if not read.artifacts then return read end
  local all = {text = read.text, parts = {}, joined = true}
  for _, part in ipairs(read.parts or {}) do table.insert(all.parts, part) end
  for _, artifact in ipairs(read.artifacts) do
    for _, part in ipairs(artifact.parts) do table.insert(all.parts, part) end
  end
  return all
end

--- The reply as its receiver reads it; or nil and why it cannot be sent.
---@param where string "canvas", "peer" or "task"
---@return {text: string?, parts: table, files: table[]}? reply, string? problem
function outcome.deliver(json, read, where)
  if where == "task" then return contents(json, read) end
  local reply, problem = contents(json, joined(read))
  if not reply then return nil, problem end
  if #reply.text > BODY_MAXIMUM then
    return nil, ("the reply's text is %d bytes, the platform takes at most %d"):format(#reply.text, BODY_MAXIMUM)
  end
  if where == "canvas" and reply.text == "" then
    reply.text = table.concat(reply.names, ", ")
    if reply.text == "" then return nil, NOTHING end
  end
  return reply
end

return outcome
