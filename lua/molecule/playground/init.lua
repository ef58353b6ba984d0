--- The playground: the web page of the emulator, and the routes it is made of. Everything that the page does is one of these, or
--- one of lua/molecule/emulator/control.lua's; docs/emulator.md has them for people.
---
--- GET  playground                            the page;  GET playground/NAME.css|js: its files
--- GET  playground/events                     the event stream: hello {run}, then item …, whole {} (see stream.lua)
--- GET  playground/messages  ?text&outcome&from&limit   the newest that match, newest first -> {messages}
--- GET  playground/messages/:id               everything about it: envelope, attempts with log lines, requests with answers
--- POST playground/messages/:id/again  {from?, envelope?}   the same as a new message: from someone else, or changed -> {id}
--- POST playground/messages/:id/retry, …/drop  a dead letter
--- GET  playground/messages/:id/ledger        what the ledger has -> {message: {state, …} or null, cursor, passed?, steps}
--- GET  playground/messages/:id/test          the message and its outcome as a busted test
--- GET  playground/messages/:id/files/:n  ?of=reply|<number of an interim word>   a file that came with it
--- POST playground/files  ?name&from          the body is a file -> {part} for the parts of POST messages
--- GET  playground/wire  ?since               the platform's requests, at most 500 -> {entries, last}
--- GET  playground/wire/:n                    one of them, whole
--- GET  playground/card                       the agent card as molecule serve shows it -> {all, only_1_0}
--- GET  playground/a2a  ?since                what was pushed to the host, at most 500 -> {pushed, entries, last}
--- GET  playground/a2a/:n                     one of them, whole
--- GET  playground/export                     the session as JSON lines
--- GET  playground/store  ?prefix             -> {values: [{key, value (JSON text)}], more}
--- POST playground/store  {key, value}, POST playground/store/delete {key}
--- GET  playground/timers                     -> {timers: [{id, every_ms (0: once), due_ms, running, place}]}
--- POST playground/timers/:id/run             at once; its period stays as it is
--- GET  playground/questions                  the open ones of ctx.ask
---                                            -> {questions: [{code, text, choices, to, message, asked, until}]}
--- POST playground/questions/:code/answer {text}, POST playground/questions/:code/cancel

local host = require "molecule.emulator.host"
local json = require "molecule.json"
local attachment = require "molecule.emulator.attachment"
local envelope = require "molecule.emulator.envelope"
local exchanges = require "molecule.playground.exchanges"
local export = require "molecule.playground.export"
local journal = require "molecule.emulator.journal"
local live = require "molecule.playground.live"
local messages = require "molecule.emulator.messages"
local questions = require "molecule.playground.questions"
local record = require "molecule.playground.record"
local store = require "molecule.emulator.store"
local stream = require "molecule.playground.stream"
local watch = require "molecule.emulator.watch"

local playground = {}

local TYPES = { html = "text/html", css = "text/css", js = "text/javascript" }
local POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
  .. "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
local LIMIT, LIMIT_MAXIMUM = 100, 1000
local WIRE_MAXIMUM = 500
local SECRET_HEADERS = { authorization = true, cookie = true }

local function static(request, name)
  local ending = name:match "^[%l%d_%-]+%.(%l+)$"
  local text = ending and TYPES[ending] and host.embedded("molecule/playground/" .. name)
  if not text then return request:json(404, { error = "the playground has no such file" }) end
  request:respond(200, text, { ["Content-Type"] = TYPES[ending] .. "; charset=utf-8" })
end

local function bad(request, problem) request:json(400, { error = problem }) end

local function found(request)
  local item = record.find(request.parameters.id:lower())
  if not item then request:json(404, { error = "no such message; it may be older than what is kept" }) end
  return item
end

-- Wraps a handler of a message's route.
local function with_message(handler)
  return function(request)
    local item = found(request)
    if item then handler(request, item) end
  end
end

local function matches(item, query)
  if item.kind ~= "message" then return false end
  if query.outcome and query.outcome ~= (item.outcome or item.state) then return false end
  if query.from and query.from ~= (item.from or "canvas") then return false end
  if not query.text then return true end
  local text = query.text:lower()
  return item.text:lower():find(text, 1, true) ~= nil
    or item.reply ~= nil and item.reply.text:lower():find(text, 1, true) ~= nil
    or item.reason ~= nil and item.reason:lower():find(text, 1, true) ~= nil
end

local function list(request)
  local limit = math.tointeger(tonumber(request.query.limit or LIMIT))
  if not limit or limit < 1 or limit > LIMIT_MAXIMUM then
    return bad(request, ("limit must be from 1 to %d"):format(LIMIT_MAXIMUM))
  end
  local all, result = {}, json.array {}
  for item in record.each() do
    if matches(item, request.query) then all[#all + 1] = item end
  end
  for i = #all, math.max(1, #all - limit + 1), -1 do result[#result + 1] = record.summary(all[i]) end
  request:json(200, { messages = result, total = #all })
end

local function detail(request, item)
  request:json(200, record.detail(item))
end

-- A new message gets new ids, unless whoever changed the envelope chose some.
local function renew(value, before)
  local params = type(value.params) == "table" and value.params
  local message = params and type(params.message) == "table" and params.message
  if message and message.messageId == envelope.message_id(before) then message.messageId = host.uuid() end
  if value.id == before.id then value.id = host.uuid() end
end

local function again(request, item)
  local value, row = request.body == "" and {} or request:object(), item.row and json.decode(item.row.text)
  local before = row and row.request_body
  if not value then return bad(request, "the body must be a JSON object") end
  if type(before) ~= "table" then return bad(request, "this message has no envelope to send again") end
  local edited = value.envelope ~= nil
  local given = edited and value.envelope or json.decode(json.encode(before))
  if type(given) ~= "table" or json.is_array(given) then return bad(request, "envelope must be a JSON object") end
  local from = value.from
  if from == nil then from = item.from end
  if from == "canvas" or from == json.null then from = nil end
  renew(given, before)
  local ids, problem = messages.insert(store.find(record.workspace()), { from = from, request_body = given })
  if not ids then return bad(request, problem) end
  record.note_again(ids[1], item.id, edited)
  request:json(200, { id = ids[1] })
end

local function change_dead(retry)
  return function(request, item)
    live.ask(request, { ["do"] = retry and "dead retry" or "dead drop", row_id = item.id }, function(answer)
      if not answer.found then return request:json(409, { error = "that is not a dead letter" }) end
      if not retry then record.note_dropped(item) end
      request:json(200, { ok = true })
    end)
  end
end

local function test(request, item)
  request:text(200, export.test(item))
end

-- The bytes of a file: inside the message, or staged at the platform.
local function content_of(file)
  if file.bytes then return host.base64_decode(file.bytes) end
  local id = file.uri and file.uri:match "([%x%-]+)$"
  for _, workspace in ipairs(store.order) do
    local staged = id and workspace.uploads[id:lower()]
    if staged then return staged.content end
  end
  return nil
end

local function file(request, item)
  local of, from = request.query.of, item
  if of then from = of == "reply" and item.reply or item.interim[math.tointeger(tonumber(of))] end
  local one = from and from.files[math.tointeger(tonumber(request.parameters.n))]
  local content = one and content_of(one)
  if not content then return request:json(404, { error = "this file is not here" }) end
  local name = (one.name or "file"):gsub("[%c\"\\/]", "_")
  local escaped = name:gsub("[^%w%-%._]", function(character) return ("%%%02X"):format(character:byte()) end)
  request:respond(200, content, { ["Content-Type"] = "application/octet-stream",
    ["Content-Disposition"] = ("attachment; filename*=UTF-8''%s"):format(escaped) })
end

local function upload(request)
  local name, from = request.query.name, request.query.from
  if not name or name == "" or not utf8.len(name) then return bad(request, "name is needed") end
  local part, problem = attachment.part(store.find(record.workspace()), from, { name = name, content = request.body })
  if not part then return bad(request, problem) end
  request:json(200, { part = part })
end

local function wire_line(entry)
  return { n = entry.n, method = entry.method, path = entry.path, status = entry.status, fault = entry.fault,
    ms = entry.done_at and entry.done_at - entry.at, length = entry.body_length or #entry.body }
end

local function wire(request)
  local since, lines, _, last = math.tointeger(tonumber(request.query.since or 0)), json.array {}, journal.size()
  if not since then return bad(request, "since must be a whole number") end
  for i, entry in ipairs(journal.after(math.max(since, last - WIRE_MAXIMUM))) do lines[i] = wire_line(entry) end
  request:json(200, { entries = lines, last = last })
end

local function wire_entry(request)
  local n = math.tointeger(tonumber(request.parameters.n))
  local entry = n and n > 0 and journal.after(n - 1)[1]
  if not entry or entry.n ~= n then return request:json(404, { error = "no such request" }) end
  local result, headers = wire_line(entry), {}
  for name, value in pairs(entry.headers) do headers[name] = SECRET_HEADERS[name] and "(hidden)" or value end
  result.query, result.headers, result.body = entry.query, headers, entry.body
  request:json(200, result)
end

local function listen(request)
  stream.serve(request)
  questions.look()
end

local function export_lines(request)
  request:respond(200, export.lines(), { ["Content-Type"] = "application/jsonl; charset=utf-8",
    ["Content-Disposition"] = 'attachment; filename="messages.jsonl"' })
end

-- Only `molecule dev` with a script has a playground. No page of another origin may read or show any of it.
local function guarded(handler)
  return function(request)
    local headers = request.extra
    headers["Content-Security-Policy"], headers["X-Content-Type-Options"] = POLICY, "nosniff"
    headers["Cross-Origin-Resource-Policy"], headers["Referrer-Policy"] = "same-origin", "no-referrer"
    headers["Cache-Control"] = "no-store"
    if not record.workspace() then
      return request:json(404, { error = "there is a playground only with a script: molecule dev agent.lua" })
    end
    handler(request)
  end
end

---@param router table see router.new
function playground.routes(router)
  local function add(method, path, handler) router:add(method, "/__emulator/playground" .. path, guarded(handler)) end
  add("GET", "", function(request) static(request, "index.html") end)
  add("GET", "/:file", function(request) static(request, request.parameters.file) end)
  add("GET", "/events", listen)
  add("GET", "/messages", list)
  add("GET", "/messages/:id", with_message(detail))
  add("POST", "/messages/:id/again", with_message(again))
  add("POST", "/messages/:id/retry", with_message(change_dead(true)))
  add("POST", "/messages/:id/drop", with_message(change_dead(false)))
  add("GET", "/messages/:id/ledger", with_message(live.ledger))
  add("GET", "/messages/:id/test", with_message(test))
  add("GET", "/messages/:id/files/:n", with_message(file))
  add("POST", "/files", upload)
  add("GET", "/wire", wire)
  add("GET", "/wire/:n", wire_entry)
  add("GET", "/card", live.card)
  add("GET", "/a2a", exchanges.list)
  add("GET", "/a2a/:n", exchanges.one)
  add("GET", "/export", export_lines)
  add("GET", "/store", live.store)
  add("POST", "/store", live.set)
  add("POST", "/store/delete", live.delete)
  add("GET", "/timers", live.timers)
  add("POST", "/timers/:id/run", live.run_timer)
  add("GET", "/questions", questions.list)
  add("POST", "/questions/:code/answer", questions.answer)
  add("POST", "/questions/:code/cancel", questions.cancel)
end

---The client of a stream went away.
---@param handle userdata
function playground.forget(handle)
  stream.forget(handle)
end

---Everything was reset.
function playground.reset()
  record.reset()
  stream.restart()
  questions.reset()
  exchanges.reset()
end

---@param workspace string the id of the script's workspace
---@param script string? the script's file
function playground.start(workspace, script)
  record.start(workspace, script)
  watch.add(record.hear)
  watch.add(exchanges.hear)
  questions.start()
end

return playground
