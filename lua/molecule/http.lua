--- molecule.http: requests that wait without blocking: other conversations continue meanwhile.
--
-- http.get(url [, options]), http.post(url, {json = value}), http.post(url, body), put, patch, delete, head,
-- http.request(options), and every one of them with options = {url = ...} alone
--   -> {status, headers, body, json()}, or nil, message, CODE
-- Options: headers, query, json, body, timeout (seconds, 30), follow (true), max_bytes (16 MiB), stream (function(chunk)),
-- step (a name: the request is made once, see ctx.step).
-- CODE: TIMEOUT, RESOLVE, CONNECT, TLS, TOO_LARGE, URL, REDIRECTS, FORBIDDEN, NETWORK; JSON from json().
-- http.sse(options) iterates the server-sent events of an answer: for event in http.sse {url = ...} do ... end
local core = require "molecule.core"
local json = require "molecule.json"
local check_options = require "molecule.options"
local misuse = require "molecule.misuse"

local http = {}

local KNOWN = {url = "string", method = "string", headers = "table", query = "table", json = "any", body = "string",
  timeout = "duration", follow = "boolean", max_bytes = "number", stream = "function", step = "string"}
local NAMES = {}
for name in pairs(KNOWN) do NAMES[#NAMES + 1] = name end
table.sort(NAMES)
local WITH_BODY = {POST = true, PUT = true, PATCH = true}
local BODIES = {text = true, data = true, payload = true, content = true, form = true, params = true}

--- A body may have been given in place of the options.
local function refuse_body(name)
  local _, problem = pcall(core.refuse_field, "http", name, BODIES[name] and {"json", "body"} or NAMES)
  if not problem:find("did you mean", 1, true) then
    problem = problem .. "; a table here holds options: the body is json = {…} or body = \"…\""
  end
  error(problem, 0)
end

local function escape(text)
  return (tostring(text):gsub("[^%w%-%._~]", function(byte) return ("%%%02X"):format(byte:byte()) end))
end

local function with_query(url, query)
  if not query then return url end
  local pairs_of = {}
  for name, value in pairs(query) do
    if type(value) ~= "string" and type(value) ~= "number" and type(value) ~= "boolean" then
      misuse(("http: query.%s must be a string, a number or a boolean, not a %s"):format(tostring(name), type(value)))
    end
    pairs_of[#pairs_of + 1] = escape(name) .. "=" .. escape(value)
  end
  table.sort(pairs_of)
  local base, fragment = url:match("^([^#]*)(#?.*)$")
  return base .. (base:find("?", 1, true) and "&" or "?") .. table.concat(pairs_of, "&") .. fragment
end

local function has_header(headers, wanted)
  for name in pairs(headers) do
    if name:lower() == wanted then return true end
  end
  return false
end

local function check_headers(options)
  local headers = {}
  for name, value in pairs(options.headers or {}) do
    if type(name) ~= "string" or type(value) ~= "string" and type(value) ~= "number" then
      misuse("http: headers must be a table of name = value")
    elseif tostring(value):find("[\r\n\0]") or name:find("[\r\n\0:]") then
      misuse(("http: header %s holds a line break or a zero byte"):format(name))
    end
    headers[name] = tostring(value)
  end
  return headers
end

--- What core.http takes, made of what scripts give; misuse raises at the script's line.
local function prepare(options)
  if type(options) ~= "table" or type(options.url) ~= "string" then misuse("http: `url` is required") end
  for name in pairs(options) do
    if not KNOWN[name] and (BODIES[name] or WITH_BODY[options.method]) then refuse_body(name) end
  end
  options = check_options("http", options, KNOWN)
  local headers, body = check_headers(options), options.body
  if options.json ~= nil then
    local problem
    body, problem = json.encode(options.json)
    if not body then misuse("http: json: " .. problem) end
    if not has_header(headers, "content-type") then headers["Content-Type"] = "application/json" end
    if not has_header(headers, "accept") then headers.Accept = "application/json" end
  end
  if not (options.method or "GET"):match("^%u+$") then misuse("http: method must be upper-case letters") end
  local timeout = options.timeout
  if timeout and not (timeout > 0 and timeout <= 86400) then misuse("http: timeout must be above 0 and at most 86400 s") end
  return {
    url = with_query(options.url, options.query),
    method = options.method or (body and "POST" or "GET"),
    headers = headers,
    body = body,
    timeout = timeout,
    redirects = options.follow == false and 0 or nil,
    max_bytes = options.max_bytes,
  }
end

local answer = {}
answer.__index = answer

--- The body as JSON, or nil, message, "JSON".
function answer:json()
  return json.decode(self.body)
end

local function request(options)
  local prepared = prepare(options)
  if options.step then
    if options.stream then misuse("http: a step has its whole result: use either step or stream") end
    local given = {method = prepared.method, url = prepared.url, body = prepared.body}
    local result, problem, code = require "molecule.once"("http", options.step, given, function() return core.http(prepared) end)
    if not result then return nil, problem, code end
    return setmetatable(result, answer)
  end
  if not options.stream then
    local result, problem, code = core.http(prepared)
    if not result then return nil, problem, code end
    return setmetatable(result, answer)
  end
  local stream <close>, refusal, reason = core.http_stream(prepared)
  if not stream then return nil, refusal, reason end
  while true do
    local chunk, problem, code = stream:read()
    if problem then return nil, problem, code end
    if not chunk then break end
    options.stream(chunk)
  end
  return setmetatable({status = stream:status(), headers = stream:headers(), body = ""}, answer)
end

http.request = core.public(request)

--- A function (options), (url [, options]) or (url, body [, options]).
local function method(name)
  return core.public(function(first, second, third)
    if type(first) ~= "string" and type(first) ~= "table" then
      misuse(("http: the url must be a string, not a %s"):format(type(first)))
    end
    if second ~= nil and type(second) ~= "string" and type(second) ~= "table" then
      misuse(("http: what follows the url must be a body or a table of options, not a %s"):format(type(second)))
    elseif third ~= nil and type(third) ~= "table" then
      misuse(("http: the options must be a table, not a %s"):format(type(third)))
    end
    local given = type(first) == "table" and first or type(second) == "table" and second or third or {}
    local options = {}
    for key, value in pairs(given) do options[key] = value end
    if type(first) ~= "table" then options.url = first end
    if type(second) == "string" then options.body = second end
    options.method = name
    return request(options)
  end)
end

http.get = method("GET")
http.head = method("HEAD")
http.delete = method("DELETE")
http.post = method("POST")
http.put = method("PUT")
http.patch = method("PATCH")

--- Iterates server-sent events: {event, data, id}. Raises when the connection fails or the status is not 200. The end of the
--- loop, by any way, closes the connection.
http.sse = core.public(function(options)
  local prepared = prepare(options)
  if options.step then misuse("http.sse: a stream cannot be a step; read it inside of ctx.step") end
  if not has_header(prepared.headers, "accept") then prepared.headers.Accept = "text/event-stream" end
  local stream, refusal = core.http_stream(prepared)
  if not stream then error("http.sse: " .. refusal, 2) end
  local reader, events, at = core.sse(), {}, 0
  return function()
    while true do
      at = at + 1
      if events[at] then return events[at] end
      at = 0
      local chunk, problem = stream:read()
      if problem then error("http.sse: " .. problem, 2) end
      if stream:status() ~= 200 then
        stream:close()
        error(("http.sse: %s answered %d: %s"):format(prepared.url, stream:status(), (chunk or "no body"):sub(1, 200)), 2)
      end
      if not chunk then return nil end
      events = reader:feed(chunk)
    end
  end, nil, nil, stream
end)

return http
