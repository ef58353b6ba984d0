--- What a broken platform says instead of what it should: mutated JSON, heads, framing, and noise for an event stream.
--- Everything comes from one generator, so that a seed gives the same noise again.

local cjson = require "cjson"

local noise = {}

local function pick(list) return list[math.random(#list)] end
local function chance(percent) return math.random(100) <= percent end

noise.pick, noise.chance = pick, chance

local NUMBERS = { "0", "-1", "1", "2147483648", "-9223372036854775808", "9223372036854775807", ("9"):rep(40), "1e308",
  "0x10", "nan",
  "", " ", "1.5", "many" }
local TIMES = { "Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "Mon, 99 Foo 2026 99:99:99 GMT",
  "Sunday, 06-Nov-94 08:49:37 GMT", "now", "" }
local STAMPS = { "1970-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "0000-00-00T00:00:00Z", "2026-13-45T99:99:99Z",
  "2026-05-01T20:14:07.123456789+14:00", "yesterday", "", 0, -1, 1e300, cjson.null }
local VALUES = { cjson.null, true, false, 0, -1, 1e300, "", "\0", ("x"):rep(70000), "\u{202e}\u{1b}[2J", {}, { {} },
  { a = { b = {} } } }

local function random_bytes(most)
  local bytes = {}
  for i = 1, math.random(most) do bytes[i] = string.char(math.random(0, 255)) end
  return table.concat(bytes)
end

-- Some bytes changed, taken out, doubled, cut.
local function mutate_bytes(text)
  for _ = 1, math.random(8) do
    local at = math.random(#text + 1)
    local kind = math.random(5)
    if kind == 1 then text = text:sub(1, at - 1) .. random_bytes(4) .. text:sub(at + math.random(0, 4))
    elseif kind == 2 then text = text:sub(1, at - 1) .. text:sub(at + math.random(200))
    elseif kind == 3 then text = text:sub(1, at) .. text:sub(math.max(1, at - math.random(300)))
    elseif kind == 4 then text = text:sub(1, at - 1) .. pick { "[", "{", "\\u0000", "\\ud800", "\"", "]", "1e999",
      "\xff\xfe" } .. text:sub(at)
    else text = text:sub(1, at) end
  end
  return text
end

-- A value somewhere below, but those of `kept` names.
local function mutate_value(value, kept)
  if type(value) ~= "table" or next(value) == nil or chance(10) then return pick(VALUES) end
  local names = {}
  for name in pairs(value) do
    if not kept[name] then names[#names + 1] = name end
  end
  if #names == 0 then return value end
  table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
  local name = pick(names)
  if chance(30) then value[name] = pick(VALUES) else value[name] = mutate_value(value[name], kept) end
  return value
end

local function random_id()
  return ("%08x-%04x-4000-8000-%012x"):format(math.random(0, 0xffffffff), math.random(0, 0xffff), math.random(0,
    0xffffffffffff))
end

-- A real row keeps its id, so that what is counted as an answer to it is one.
local function mutate_rows(rows)
  for i = 1, #rows do
    local row = rows[i]
    if type(row) == "table" and chance(25) then
      if chance(50) then row.created_at = pick(STAMPS) end
      rows[i] = mutate_value(row, { id = true })
      if rows[i] ~= row then rows[i] = row end
    end
  end
  for _ = 1, math.random(0, 3) do -- rows that nobody sent
    local copy = #rows > 0 and cjson.decode((cjson.encode(pick(rows)):gsub("question",
      "noise"))) or { activity_type = "a2a_receive" }
    if type(copy) == "table" then
      copy.id = chance(80) and random_id() or pick(VALUES)
      table.insert(rows, math.random(#rows + 1), mutate_value(copy, {}))
    end
  end
  if chance(20) then rows[#rows + 1] = pick(VALUES) end
  return rows
end

---A body that is not what the platform said, but like it.
function noise.body(body)
  local kind = math.random(10)
  if kind <= 5 then
    local fine, value = pcall(cjson.decode, body)
    if fine and type(value) == "table" then
      value = (#value > 0 or body:match "^%s*%[") and mutate_rows(value) or mutate_value(value, {})
      local encoded
      fine, encoded = pcall(cjson.encode, value)
      if fine then return encoded == "{}" and body:match "^%s*%[" and "[]" or encoded end
    end
    return body
  end
  body = body:gsub("question", "noise") -- ids may change: none of these is one of the questions
  if kind <= 8 then return mutate_bytes(body) end
  if kind == 9 then return pick { "", "null", "<html>down</html>", ("["):rep(5000), '{"a":',
    '{"error":"x","retry_after":-1}', "\0" } end
  return random_bytes(3000)
end

local STATUSES = { "200 OK", "200 OK", "200 OK", "204 No Content", "206 Partial", "304 Not Modified", "400 Bad",
  "404 Not Found",
  "405 Not", "408 Timeout", "413 Large", "418 X", "421 M", "425 Early", "429 Many", "500 X", "502 Bad Gateway", "503 X",
  "504 X", "520 X", "599 X", "999 X", "000 X", "099 X", "2000 X", "-1 X", "" }

---Lines of a head, without the end. `waits`: a Retry-After may be long.
function noise.head(waits)
  local odd = pick { "HTTP/1.1 ", "HTTP/1.1 ", "HTTP/1.1 ", "HTTP/1.0 ", "HTTP/3.7 ", "http/1.1 ", "" } .. pick(STATUSES)
  local lines = { chance(70) and "HTTP/1.1 200 OK" or odd }
  for _ = 1, math.random(0, 6) do
    local kind = math.random(10)
    local line = kind == 1 and "\tfolded " .. ("f"):rep(math.random(400))
      or kind == 2 and "Retry-After: " .. pick(waits and NUMBERS or { "0", "1", "-1", "", "x", "-9223372036854775808" })
      or kind == 3 and ("X-RateLimit-Limit: %s\r\nX-RateLimit-Remaining: %s\r\nX-RateLimit-Reset: %s"):format(pick(NUMBERS),
        pick(NUMBERS), waits and pick(NUMBERS) or pick { "0", "1", "-1", "x" })
      or kind == 4 and "Date: " .. pick(TIMES)
      or kind == 5 and "Content-Type: " .. pick { "text/html", "application/json; charset=utf-16", "", ("x"):rep(5000) }
      or kind == 6 and "Content-Encoding: " .. pick { "gzip", "br", "deflate", "identity", "x" }
      or kind == 7 and "Location: " .. pick { "/", "http://127.0.0.1:1/", "file:///etc/passwd", "//", "\1" }
      or kind == 8 and "X: " .. random_bytes(300):gsub("[\r\n]", "")
      or kind == 9 and "Set-Cookie: " .. ("c"):rep(math.random(9000))
      or pick { "Connection: close", "Connection: upgrade\r\nUpgrade: h2c", ": no name", "no colon",
        "Keep-Alive: timeout=0", "Trailer: X" }
    lines[#lines + 1] = line
  end
  return table.concat(lines, "\r\n") .. "\r\n"
end

local function chunked(body)
  local pieces, at = {}, 1
  while at <= #body do
    local size = math.random(1, math.max(1, #body // 2))
    local piece = body:sub(at, at + size - 1)
    pieces[#pieces + 1] = ("%x%s\r\n%s\r\n"):format(#piece, pick { "", "", ";a=b", ";" .. ("x"):rep(300) }, piece)
    at = at + size
  end
  return table.concat(pieces) .. pick { "0\r\n\r\n", "0\r\n\r\n", "0\r\nX: trailer\r\n\r\n", "0\r\n",
    "ffffffffffffffffff\r\n", "-1\r\n", "" }
end

---How the body is framed: the last lines of the head, its end, and the body.
function noise.frame(body)
  local kind = math.random(8)
  if kind <= 3 then return ("Content-Length: %d\r\n\r\n%s"):format(#body, body) end
  if kind == 4 then return "Transfer-Encoding: chunked\r\n\r\n" .. chunked(body) end
  if kind == 5 then return ("Content-Length: %s\r\n\r\n%s"):format(pick(NUMBERS), body) end
  if kind == 6 then return ("Content-Length: %d\r\nContent-Length: %d\r\n\r\n%s"):format(#body, #body + 1, body) end
  if kind == 7 then return ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n%s"):format(chunked(body)) end
  return "\r\n" .. body
end

---A piece of an event stream.
function noise.event()
  local kind = math.random(10)
  if kind == 1 then return (": comment\n\n"):rep(math.random(2000)) end
  if kind == 2 then return "data: "
    .. mutate_bytes '{"type":"ACTIVITY_LOGGED","data":{"activity_type":"a2a_receive","method":"x"}}' .. "\n\n" end
  if kind == 3 then return 'data: {"type":"ACTIVITY_LOGGED","data":{"activity_type":"a2a_receive"}}\n\n' end
  if kind == 4 then return "data: " .. ("x"):rep(math.random(70000)) end
  if kind == 5 then return ("data: [\n"):rep(math.random(5000)) .. "\n" end
  if kind == 6 then return "id: " .. random_bytes(50) .. "\nevent: " .. random_bytes(50) .. "\nretry: "
    .. pick(NUMBERS) .. "\n\n" end
  if kind == 7 then return pick { "\r", "\r\r\n\n\r", "\xef\xbb\xbf", "\0\0\n\n", "\n" } end
  if kind == 8 then return "data: " .. ('{"a":'):rep(3000) .. "\n\n" end
  return random_bytes(4000)
end

return noise
