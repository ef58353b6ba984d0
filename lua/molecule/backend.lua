--- Finds a backend by name and opens it with its options: a module that returns function(options) -> agent.
-- First molecule.backends.<name> (in the binary), then <name> on the Lua path.
local core = require "molecule.core"
local molecule = require "molecule"

local backend = {}

local function find(name)
  for _, module in ipairs {"molecule.backends." .. name, name} do
    if package.preload[module] or package.searchpath(module, package.path) or core.embedded(module) then
      return require(module)
    end
  end
  error(("no backend %q: the binary has %s; your own backend is a file %s.lua on LUA_PATH"):format(
    name, core.backends, name), 0)
end

--- Options as given on the command line (strings) or by a script (also numbers and booleans), checked against what the
--- backend knows.
--- `known` maps each name to its default: a string, a number, a boolean, or false for "none".
function backend.options(name, given, known)
  local options, names = {}, {}
  for key, default in pairs(known) do
    options[key] = default or nil
    names[#names + 1] = key
  end
  table.sort(names)
  for key, value in pairs(given) do
    if known[key] == nil then
      error(("backend %s has no option %q; it knows %s"):format(name, key, table.concat(names, ", ")), 0)
    end
    options[key] = value
  end
  return options
end

--- "true" and its like -> boolean.
function backend.boolean(name, key, value)
  if value == true or value == "true" or value == "1" or value == "yes" then return true end
  if value == false or value == nil or value == "false" or value == "0" or value == "no" then return false end
  error(("backend %s: option %s must be true or false, not %q"):format(name, key, value), 0)
end

--- "60s", "5m", "1m30s" -> checked, as molecule.exec takes it.
---@return string? nil: 0, no separate limit
function backend.duration(name, key, value)
  value = tostring(value)
  local rest = value:gsub("%d+%.?%d*(%a+)", function(unit)
    return (unit == "ms" or unit == "s" or unit == "m" or unit == "h") and "" or nil
  end)
  if value == "" or (rest ~= "" and not tonumber(value)) then
    error(("backend %s: option %s must be a duration like 60s or 5m, not %q"):format(name, key, value), 0)
  end
  return value:find "[1-9]" and value or nil
end

--- "60s", "1m30s", "5" -> seconds.
function backend.seconds(name, key, value)
  local scale, total = {ms = 0.001, s = 1, m = 60, h = 3600}, 0
  if not backend.duration(name, key, value) then return 0 end
  if tonumber(value) then return tonumber(value) end
  for number, unit in value:gmatch("(%d+%.?%d*)(%a+)") do total = total + tonumber(number) * scale[unit] end
  return total
end

--- "0.7" -> 0.7, checked to be between `least` and `most`; nil stays nil. `whole`: only integers.
function backend.number(name, key, value, least, most, whole)
  if value == nil then return nil end
  local number = tonumber(value)
  if number and whole then number = math.tointeger(number) end
  if not number or not (number >= least and number <= most) then
    error(("backend %s: option %s must be a %s from %s to %s, not %q"):format(name, key, whole and "whole number" or "number",
      least, most, tostring(value)), 0)
  end
  return number
end

--- The value of the environment's variable that option `key` names; nil: not set. Raises in the sandbox, which has none.
function backend.secret(name, key, variable)
  if core.sandbox then
    error(("backend %s: option %s reads the environment, which --sandbox forbids: use one or the other"):format(name,
      key), 0)
  end
  local value = os.getenv(variable)
  return value and backend.clean_secret(name, variable, value)
end

--- A secret without what gets around it on its way through files: line ends, blanks, quotes, a BOM, "Bearer "; nil: it is
--- empty. Raises if blanks inside show that it is not a secret.
function backend.clean_secret(name, variable, value)
  value = value:gsub("^\xEF\xBB\xBF", ""):match("^%s*(.-)%s*$")
  value = value:match('^"(.*)"$') or value:match("^'(.*)'$") or value
  value = value:gsub("^[Bb]earer%s+", ""):match("^%s*(.-)%s*$")
  if value:find("[%s%c]") then
    error(("backend %s: the variable %s contains blanks, line breaks or control characters, so it is not a key"):format(name,
      variable), 0)
  end
  return value ~= "" and value or nil
end

local function size_text(bytes)
  if bytes < 1024 then return ("%d bytes"):format(bytes) end
  if bytes < 1024 * 1024 then return ("%.0f KB"):format(bytes / 1024) end
  return ("%.1f MB"):format(bytes / 1024 / 1024)
end

--- One line for a file: "[file: report.pdf, application/pdf, 12 KB]".
local function file_line(file)
  local bytes = tonumber(file.size)
  if not bytes and type(file.bytes) == "string" then bytes = #file.bytes:gsub("[^%w+/_-]", "") * 3 // 4 end
  local words = {}
  for _, word in ipairs {file.name or file.uri or "unnamed", file.mime_type or "", bytes and size_text(bytes) or ""} do
    word = tostring(word):gsub("%c", " "):sub(1, 200)
    if word ~= "" then words[#words + 1] = word end
  end
  return ("[file: %s]"):format(table.concat(words, ", "))
end

--- The files of a message, a line each, and its data as JSON.
local function describe_rest(msg, lines)
  for _, file in ipairs(msg.files or {}) do lines[#lines + 1] = file_line(file) end
  for _, part in ipairs(msg.parts or {}) do
    local data = type(part) == "table" and part.data
    if data and data ~= molecule.null and part.text == nil and part.file == nil and part.kind ~= "file"
        and not (type(data) == "string" and part.filename) then
      lines[#lines + 1] = ("[data: %s]"):format(type(data) == "string" and data or molecule.json.encode(data))
    end
  end
  return table.concat(lines, "\n")
end

--- A message for programs that take text: its text; where it has none, a line for each file and its data as JSON.
function backend.text(msg)
  return msg.text:find("%S") and msg.text or describe_rest(msg, {})
end

--- A message for models, which should also know about files and data that come with a text.
function backend.text_with_files(msg)
  return describe_rest(msg, {msg.text:find("%S") and msg.text or nil})
end

--- What a handler returns instead of raising an error that another attempt would only repeat: the message is set aside at
--- once, and --error-reply tells the sender.
function backend.hopeless(reason)
  return setmetatable({kind = "failed", reason = reason}, core.verdict)
end

--- Without their bytes, which the parts have.
local function list_files(files)
  local list = molecule.array {}
  for i, file in ipairs(files or {}) do
    list[i] = {name = file.name, mime_type = file.mime_type, size = file.size, uri = file.uri}
  end
  return list
end

--- What the other side gets of a message, as a value for JSON.
function backend.describe(msg, ctx)
  return {
    id = msg.id,
    message_id = msg.message_id,
    text = msg.text,
    parts = msg.parts,
    files = list_files(msg.files),
    metadata = msg.metadata,
    from = msg.from,
    peer = msg.peer,
    conversation = msg.conversation,
    context_id = msg.context_id,
    created_at = msg.created_at,
    workspace = ctx.workspace,
    attempt = ctx.attempt,
  }
end

local MONTHS = {Jan = 1, Feb = 2, Mar = 3, Apr = 4, May = 5, Jun = 6, Jul = 7, Aug = 8, Sep = 9, Oct = 10, Nov = 11, Dec = 12}

--- Seconds from `now` (epoch) to a date as HTTP writes it: "Sun, 06 Nov 1994 08:49:37 GMT".
local function seconds_until(date, now)
  local day, month, year, hour, minute, second = date:match("(%d%d?) (%a+) (%d%d%d%d) (%d%d):(%d%d):(%d%d) GMT")
  if not MONTHS[month] then return nil end
  local here = os.time()
  local ahead = os.difftime(here, os.time(os.date("!*t", here))) -- of the local clock, in any time zone
  local utc = os.time {year = year, month = MONTHS[month], day = day, hour = hour, min = minute, sec = second, isdst = false}
  return utc + ahead - now
end

--- What an answer's Retry-After asks for, in seconds (1 to a day); nil: nothing, or "at once", which would hammer a service
--- that has just said it cannot.
function backend.retry_after(headers)
  local milliseconds = tonumber(headers["retry-after-ms"])
  local given = milliseconds and milliseconds > 0 and tostring(milliseconds / 1000) or headers["retry-after"]
  local now = headers.date and seconds_until(headers.date, 0) or core.now() -- the date is by the server's clock
  local seconds = given and (tonumber(given) or seconds_until(given, now))
  return seconds and seconds > 0 and math.max(1, math.min(seconds, 86400)) or nil
end

local QUOTED = 500 -- bytes of an invalid answer

--- What came, for an error: the beginning of a text, or of a value as JSON.
function backend.quote(value)
  local text = type(value) == "string" and value or molecule.json.encode(value) or tostring(value)
  return #text > QUOTED and text:sub(1, QUOTED) .. "…" or text
end

--- The text and parts of what a service or a program answered -> {text, parts}; or nil and what is wrong with it.
function backend.read_reply(answer)
  local text, parts = answer.text, answer.parts
  if text == molecule.null then text = nil end
  if parts == molecule.null then parts = nil end
  if text ~= nil and type(text) ~= "string" then return nil, "its `text` is not a string" end
  if parts ~= nil and not molecule.json.is_array(parts) then return nil, "its `parts` are not a list" end
  for _, part in ipairs(parts or {}) do
    if type(part) ~= "table" then return nil, "its `parts` are not a list of objects" end
  end
  return {text = text, parts = parts}
end

--- A key of molecule.store for a conversation, whatever its name is made of.
function backend.key(prefix, conversation)
  local key = prefix .. (utf8.len(conversation) and conversation:gsub("[%c%%]", function(byte)
    return ("%%%02X"):format(byte:byte())
  end) or conversation:gsub("[^%w%-._~:]", function(byte) return ("%%%02X"):format(byte:byte()) end))
  if #key <= 512 then return key end
  local hash = 0xcbf29ce484222325 -- FNV-1a, 64 bits
  for i = 1, #key do hash = (hash ~ key:byte(i)) * 0x100000001b3 end
  return prefix .. ("%016x"):format(hash)
end

function backend.open(name, options)
  local open = find(name)
  if type(open) ~= "function" then
    error(("backend %s: its module must return a function(options), not a %s"):format(name, type(open)), 0)
  end
  return open(options)
end

return backend
