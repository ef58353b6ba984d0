--- The questions that the platform's own server was asked, in the same order, and their answers in the same form: ids, tokens and
--- times as placeholders, JSON with sorted names, long texts cut. What it answered is in t1.json and latest.json beside this
--- file: lists of [name, status, content type, text]. A status of 0 is something looked at in the answers.

local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local plain_json = require "tests.support.plain_json"

local questions = {}

-- A container's name holds the first twelve characters of B; so it is the same as on that server.
local A, B = "6f098605-aec0-4000-8000-00000000000a", "60cb0dc3-18b0-4000-8000-00000000000b"
local C, D = "75a9200b-3760-4000-8000-00000000000c", "0d0d0d0d-0d0d-4000-8000-00000000000d"

local HEX = "[0-9a-f]"
local UUID = table.concat({ HEX:rep(8), HEX:rep(4), HEX:rep(4), HEX:rep(4), HEX:rep(12) }, "%-")
local TIME = "%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d"
local EMPTY_LIST = "an empty list, which a table cannot be"
local ROW_MAXIMUM, TEXT_MAXIMUM, NOTICE_MAXIMUM = 5000, 2000, 700

-- Below A, or another workspace.
local function path_of(rest, id) return ("/workspaces/%s%s"):format(id or A, rest) end

local function plain(text, wanted, instead)
  return (text:gsub(wanted:gsub("%p", "%%%0"), instead))
end

local function normalised(text, names)
  local tree = plain_json.read(text)
  if tree then text = plain_json.write(tree) end
  for name, id in pairs(names) do text = plain(text, id, "<" .. name .. ">") end
  for _, name in ipairs { "auth_token", "platform_inbound_secret" } do
    text = text:gsub('"' .. name .. '": "[^"]*"', '"' .. name .. '": "TOK"')
  end
  text = text:gsub(UUID, "<uuid>")
  for _, zone in ipairs { "%.%d+Z", "Z", "%.%d+[+-]%d%d:%d%d", "[+-]%d%d:%d%d" } do text = text:gsub(TIME .. zone, "<ts>") end
  text = text:gsub("127%.0%.0%.1:%d+", "HOST")
  for _, name in ipairs { "seq", "uptime_seconds", "last_acked_seq", "updated_at", "generation" } do
    text = text:gsub('"' .. name .. '": %d+', '"' .. name .. '": N')
  end
  return text
end

local function first(text, count)
  local stop = utf8.offset(text, count + 1)
  return stop and text:sub(1, stop - 1) or text
end

local function shortened(text)
  local length = utf8.len(text)
  if not length or length <= TEXT_MAXIMUM then return text end
  return ("%s...(%d bytes)"):format(first(text, TEXT_MAXIMUM // 2), length)
end

---@class Asking
local Asking = {}
Asking.__index = Asking

function Asking:note(name, text, status, kind)
  self.answers[#self.answers + 1] = { name, status or 0, kind or "", shortened(text) }
end

-- Keeps an answer; its text only when it is to be compared.
function Asking:keep(name, answer, unseen)
  self:note(name, unseen and "(body not compared)" or normalised(answer.body, self.names), answer.status,
    answer.headers["content-type"])
  return answer
end

function Asking:ask(method, path, options)
  if options.json ~= nil then
    options.body, options.json = cjson.encode(options.json):gsub('"' .. EMPTY_LIST .. '"', "[]"), nil
    options.headers = options.headers or {}
    options.headers["Content-Type"] = "application/json"
  end
  return self.platform:request(method, path, options)
end

function Asking:get(path, token) return self:ask("GET", path, { token = token }) end
function Asking:post(path, json, token) return self:ask("POST", path, { json = json, token = token }) end
function Asking:admin(method, path, json) return self:ask(method, path, { json = json, token = emulator.ADMIN }) end

function Asking:activity(query, token, id)
  return self:get(path_of("/activity" .. (query or ""), id), token or self.token_a)
end

-- The rows of an inbox, oldest first, as trees.
function Asking:rows(query, token, id)
  local items, turned = plain_json.read(self:activity(query or "?type=a2a_receive&limit=500", token, id).body).items, {}
  for i, row in ipairs(items) do turned[#items + 1 - i] = row end
  return turned
end

local function message(text, more)
  local value = { role = "user", messageId = emulator.uuid(), parts = { { kind = "text", text = text } } }
  for name, field in pairs(more or {}) do value[name] = field end
  return { jsonrpc = "2.0", id = "1", method = "message/send", params = { message = value } }
end

function Asking:send(to, json, token, from)
  return self:ask("POST", path_of("/a2a", to), { json = json, token = token, headers = { ["X-Workspace-ID"] = from } })
end

-- From B, with what is right about it, to A.
function Asking:from_b(name, json)
  self:keep(name, self:send(A, json, self.token_b, B))
end

function Asking:from_b_raw(name, body)
  self:keep(name, self:ask("POST", path_of "/a2a", { body = body, token = self.token_b,
    headers = { ["X-Workspace-ID"] = B, ["Content-Type"] = "application/json" } }))
end

local function registration(id, more)
  local value = { id = id, delivery_mode = "poll", agent_card = { name = "a" } }
  for name, field in pairs(more or {}) do value[name] = field end
  return value
end

local function registrations(self)
  local function register(name, value, token) return self:keep(name, self:post("/registry/register", value, token)) end
  local function push(url) return { id = emulator.uuid(), delivery_mode = "push", url = url, agent_card = { name = "x" } } end
  self.token_a = register("register poll", registration(A)).json.auth_token
  self.token_b = register("register poll B", registration(B, { agent_card = { name = "b" } })).json.auth_token
  register("register again no token", registration(A))
  register("register again wrong token", registration(A), self.token_b)
  register("register again token", registration(A), self.token_a)
  register("register non-uuid", registration "ws_1")
  register("register no card", { id = emulator.uuid(), delivery_mode = "poll" })
  register("register no mode no url", { id = emulator.uuid(), agent_card = { name = "x" } })
  register("register empty", {})
  self:keep("register garbage", self:ask("POST", "/registry/register", { body = "{nope",
    headers = { ["Content-Type"] = "application/json" } }))
  register("register card string", registration(emulator.uuid(), { agent_card = "x" }))
  register("register push loopback", push "http://127.0.0.1:9/x")
  register("register push no url", push())
  register("register push ftp", push "ftp://h/x")
  local by_name = push "http://localhost:9/x"
  by_name.id = C
  register("register push localhost", by_name)
end

local function heartbeats(self)
  local function beat(name, value, token) self:keep(name, self:post("/registry/heartbeat", value, token)) end
  beat("heartbeat", { workspace_id = A, uptime_seconds = 3, active_tasks = 0, error_rate = 0 }, self.token_a)
  beat("heartbeat no token", { workspace_id = A })
  beat("heartbeat wrong", { workspace_id = A }, self.token_b)
  beat("heartbeat unknown ws", { workspace_id = emulator.uuid() })
  beat("heartbeat empty", {}, self.token_a)
  local card = { workspace_id = A, agent_card = { name = "a2" } }
  self:keep("update-card", self:post("/registry/update-card", card, self.token_a))
  self:keep("update-card no token", self:post("/registry/update-card", card))
end

local function looks(self)
  self:keep("ws show", self:get(path_of ""), true)
  self:keep("ws show unknown", self:get(path_of("", D)))
  self:keep("ws show bad", self:get(path_of("", "xyz")))
  self:keep("state", self:get(path_of "/state", self.token_a))
  self:keep("state no token", self:get(path_of "/state"))
  local peers = "/registry/" .. A .. "/peers"
  self:keep("peers", self:get(peers, self.token_a))
  self:keep("peers no token", self:get(peers))
  self:keep("peers wrong", self:get(peers, self.token_b))
  self:keep("peers unknown", self:get("/registry/" .. D .. "/peers", self.token_a))
end

local function relations(self)
  self:from_b("a2a unrelated root", message "unrelated")
  self:keep("PATCH parent", self:admin("PATCH", path_of("", B), { parent_id = A }))
  self:keep("PATCH name by self", self:ask("PATCH", path_of("", B), { json = { name = "bb" }, token = self.token_b }))
  self:from_b("a2a child->parent", message "hi")
  local peers, found = "/registry/" .. A .. "/peers", "/registry/discover/" .. B
  self:keep("peers related", self:get(peers, self.token_a))
  self:keep("peers q", self:get(peers .. "?q=zz", self.token_a))
  self:keep("discover", self:ask("GET", found, { token = self.token_a, headers = { ["X-Workspace-ID"] = A } }))
  self:keep("discover no hdr", self:get(found, self.token_a))
  self:keep("check-access", self:post("/registry/check-access", { caller_id = A, target_id = B }))
end

local function callers(self)
  local function send(name, to, text, token, from) self:keep(name, self:send(to, message(text), token, from)) end
  send("a2a no auth, no caller", A, "anon")
  send("a2a caller hdr without token", A, "x", nil, B)
  send("a2a caller hdr, wrong token", A, "x", self.token_a, B)
  send("a2a bearer only", A, "bearer only", self.token_b)
  send("a2a bad bearer", A, "x", "nonsense")
  send("a2a self", A, "self", self.token_a, A)
  send("a2a system: caller", A, "x", self.token_b, "system:x")
  send("a2a unknown target", D, "x", self.token_b, B)
  send("a2a non-uuid target", "nonsense", "x", self.token_b, B)
end

local function shapes(self)
  self:from_b_raw("a2a garbage", "{")
  self:from_b("a2a no parts", { jsonrpc = "2.0", id = 1, method = "message/send", params = { message = { role = "user" } } })
  self:from_b("a2a content str", { method = "message/send", params = { message = { role = "user", content = "content text" } } })
  self:from_b("a2a content num", { method = "message/send", params = { message = { role = "user", content = 3 } } })
  self:from_b("a2a no params", { jsonrpc = "2.0", id = 1, method = "tasks/get" })
  self:from_b("a2a no method", { jsonrpc = "2.0", id = 1,
    params = { message = { parts = { { kind = "text", text = "nomethod" } } } } })
  self:from_b("a2a array", { 1 })
  self:from_b("a2a parts empty", message("", { parts = EMPTY_LIST }))
  self:from_b("a2a nul", message "a\0b")
  self:from_b_raw("a2a surrogate", (cjson.encode(message "S"):gsub('"S"', '"\\ud83d x"')))
  self:from_b("a2a 1.2MB", message(("x"):rep(1200000)))
  self:from_b("a2a stream", { jsonrpc = "2.0", id = "s", method = "message/stream", params = { message = { role = "user",
    messageId = "ms", parts = { { type = "text", text = "streamed" } } } } })
  self:from_b("a2a dup 1", message("dup", { messageId = "dup-1" }))
  self:from_b("a2a dup 2", message("dup", { messageId = "dup-1" }))
end

-- The human: on T1 the page itself, later the administrator's token.
local function canvas(self)
  self:keep("a2a to push unreachable", self:send(C, message "x", self.token_a, A))
  self:keep("PATCH C parent", self:admin("PATCH", path_of("", C), { parent_id = A }))
  self:keep("a2a to push unreachable rel", self:send(C, message "x", self.token_a, A))
  local words = { role = "user", messageId = emulator.uuid(), parts = { { kind = "text", text = "from canvas" },
    { kind = "file", file = { name = "f", mimeType = "text/plain", uri = "workspace:/x", size = 1 } } } }
  local value = { method = "message/send", params = { message = words } }
  if self.profile == "latest" then
    words.contextId = "conv-" .. A
    self:keep("canvas msg", self:admin("POST", path_of "/a2a", value))
  else
    value.params.metadata = { history = EMPTY_LIST }
    local here = self.platform.url
    self:keep("canvas msg", self:ask("POST", path_of "/a2a", { json = value, headers = { Origin = here,
      Referer = here .. "/" } }))
  end
end

local function text_of(row)
  local texts = {}
  for i, part in ipairs(plain_json.at(row, "request_body", "params", "message", "parts") or {}) do
    texts[i] = plain_json.at(part, "text") or ""
  end
  return table.concat(texts)
end

-- The different (activity_type, method) as Python writes them.
local function kinds(self)
  local seen, list = {}, {}
  for _, row in ipairs(self:rows "?limit=500") do
    local method = row.members.method.string
    local kind = ("('%s', %s)"):format(row.members.activity_type.string, method and "'" .. method .. "'" or "None")
    if not seen[kind] then list[#list + 1] = kind end
    seen[kind] = true
  end
  table.sort(list)
  return "[" .. table.concat(list, ", ") .. "]"
end

local function inbox(self)
  self.platform:rows(A, self.messages)
  self:keep("activity no token", self:get(path_of "/activity"))
  self:keep("activity wrong", self:activity("", self.token_b))
  self:keep("activity garbage token", self:activity("", "zz"))
  for _, row in ipairs(self:rows()) do
    local big = #plain_json.write(row) > ROW_MAXIMUM
    local text = text_of(row)
    if big then row.members.request_body = { string = "(big)" } end
    self:note("row " .. (big and "big" or text ~= "" and text or row.members.method.string),
      normalised(plain_json.write(row), self.names))
  end
  self:note("activity types all", kinds(self))
end

local function queries(self)
  local function keep(name, query) self:keep(name, self:activity(query)) end
  local function items(query) return plain_json.read(self:activity(query).body).items end
  self:note("activity limit=1", ("[%d]"):format(#items "?type=a2a_receive&limit=1"))
  self:note("activity limit=0", ("[%s]"):format(#items "?type=a2a_receive&limit=0" > 3))
  keep("activity unknown type", "?type=zzz")
  keep("activity source=bad", "?source=bad")
  local methods = {}
  for i, row in ipairs(items "?source=canvas&type=a2a_receive") do methods[i] = row.members.method end
  self:note("activity source=canvas", plain_json.write { items = methods })
  keep("since_secs=0", "?since_secs=0")
  keep("since_secs=x", "?since_secs=x")
  keep("since_id bad", "?since_id=abc")
  keep("since_id unknown", "?since_id=" .. emulator.uuid())
  local rows = self:rows()
  keep("since_id newest", "?type=a2a_receive&since_id=" .. rows[#rows].members.id.string)
  keep("peer_id bad", "?peer_id=zz")
  keep("before_ts bad", "?before_ts=zz")
  local lists = {}
  for i, row in ipairs(items "?type=a2a_receive&include=peer_info&limit=500") do
    local names = plain_json.names(row)
    for j, name in ipairs(names) do names[j] = { string = name } end
    lists[i] = { items = names }
  end
  self:note("include peer_info", plain_json.write { items = lists })
end

local function reports(self)
  local function report(name, value) self:keep(name, self:post(path_of "/activity", value, self.token_a)) end
  self:keep("ack", self:post(path_of "/activity/ack", { acked_seq = 1 }, self.token_a))
  self:keep("ack neg", self:post(path_of "/activity/ack", { acked_seq = -1 }, self.token_a))
  report("report", { activity_type = "agent_log", summary = "s" })
  report("report bad", { activity_type = "zzz" })
  report("report spoof", { activity_type = "a2a_receive", source_id = B })
  report("report a2a_receive", { activity_type = "a2a_receive", summary = "selfreport" })
end

local function notices(self)
  local function notify(name, value, token) self:keep(name, self:post(path_of "/notify", value, token)) end
  local own = self.token_a
  notify("notify", { message = "hello human" }, own)
  notify("notify empty", { message = "" }, own)
  notify("notify none", {}, own)
  notify("notify attach", { message = "att", attachments = { { uri = "workspace:/x", name = "x" } } }, own)
  notify("notify attach bad", { message = "att", attachments = { { name = "x" } } }, own)
  notify("notify wrong token", { message = "x" }, self.token_b)
  notify("notify no token", { message = "x" })
  notify("notify cut80", { message = ("a"):rep(79) .. "ü and" }, own)
  notify("notify emoji", { message = ("😀"):rep(30) }, own)
  notify("notify 200k", { message = ("y"):rep(200000) }, own)
  notify("notify nul", { message = "a\0b" }, own)
  for _, row in ipairs(self:rows()) do
    if row.members.method.string == "notify" or row.members.summary.string == "selfreport" then
      self:note("row notify " .. first(plain_json.at(row, "response_body", "result") or "None", 12),
        first(normalised(plain_json.write(row), self.names), NOTICE_MAXIMUM))
    end
  end
end

local function delegations(self)
  local function delegate(name, target, key)
    self:keep(name, self:post(path_of "/delegate", { target_id = target, task = key and "do" or "x", idempotency_key = key },
      self.token_a))
  end
  local before = #self.platform:rows(A)
  delegate("delegate", B, "k1")
  self.platform:rows(A, before + 2)
  self.platform:rows(B, 1)
  delegate("delegate idem", B, "k1")
  delegate("delegate self", A)
  delegate("delegate bad", "zz")
  delegate("delegate unknown", D)
  self.platform:rows(A, before + 4)
  self:keep("delegations", self:get(path_of "/delegations", self.token_a))
  for _, row in ipairs(self:rows(nil, self.token_b, B)) do
    self:note("B row", normalised(plain_json.write(row), self.names))
  end
  self:note("A activity types after", kinds(self))
end

local function tokens(self)
  self:keep("token mint", self:post(path_of "/tokens", {}, self.token_a))
  self:keep("token list", self:get(path_of "/tokens", self.token_a), true)
  self:keep("rotate non external", self:post(path_of "/external/rotate", {}, self.token_a))
  self:keep("connection", self:get(path_of "/external/connection", self.token_a), true)
end

local function staged(self, id)
  local path, other = path_of("/pending-uploads/" .. id), path_of("/pending-uploads/" .. emulator.uuid())
  local content = self:keep("content", self:get(path .. "/content", self.token_a))
  self:note("content disposition", content.headers["content-disposition"] or "")
  self:keep("content bad", self:get(path_of "/pending-uploads/zz/content", self.token_a))
  self:keep("content unknown", self:get(other .. "/content", self.token_a))
  self:keep("uack", self:post(path .. "/ack", {}, self.token_a))
  self:keep("uack again", self:post(path .. "/ack", {}, self.token_a))
  self:keep("content after ack", self:get(path .. "/content", self.token_a))
  for _, row in ipairs(self:rows()) do
    if row.members.method.string == "chat_upload_receive" then
      self:note("row upload", normalised(plain_json.write(row), self.names))
    end
  end
end

local function files(self)
  local body = table.concat({ "--xx", 'Content-Disposition: form-data; name="files"; filename="ä b/..c.txt"',
    "Content-Type: text/plain", "", "hello", "--xx--", "" }, "\r\n")
  local function upload(name, token)
    return self:keep(name, self:ask("POST", path_of "/chat/uploads", { token = token, body = body,
      headers = { ["Content-Type"] = "multipart/form-data; boundary=xx" } }))
  end
  local taken = upload("upload", self.token_a)
  self:keep("upload none", self:ask("POST", path_of "/chat/uploads", { token = self.token_a, body = "",
    headers = { ["Content-Type"] = "text/plain" } }))
  upload("upload wrong token", self.token_b)
  if taken.status == 200 then staged(self, taken.json.files[1].uri:match "[^/]*$") end
  self:keep("queue item unknown", self:get(path_of("/a2a/queue/" .. emulator.uuid()), self.token_a))
end

-- The names of an object's members as Python writes a list.
local function names_of(body, ...)
  local tree = plain_json.read(body)
  for _, name in ipairs { ... } do tree = tree.members[name] end
  local names = plain_json.names(tree)
  for i, name in ipairs(names) do names[i] = "'" .. name .. "'" end
  return "[" .. table.concat(names, ", ") .. "]"
end

local function creations(self)
  self:keep("create no admin", self:post("/workspaces", { name = "x" }))
  local made = self:keep("create external poll", self:admin("POST", "/workspaces", { name = "emu x", runtime = "external",
    external = true, delivery_mode = "poll", tier = 1 }), true)
  self:note("create keys", names_of(made.body) .. names_of(made.body, "connection"))
  local id, token = made.json.id, made.json.connection.auth_token
  self.names.E = id
  local shown = self:keep("created show", self:get(path_of("", id)), true)
  self:note("show keys", names_of(shown.body))
  self:note("created status", '"' .. shown.json.status .. '"')
  self:keep("rotate external", self:post(path_of("/external/rotate", id), {}, token), true)
end

local function removals(self)
  self:keep("delete no confirm hdr", self:admin("DELETE", path_of ""))
  self:keep("delete with children", self:ask("DELETE", path_of "?confirm=true", { token = emulator.ADMIN,
    headers = { ["X-Confirm-Name"] = "a2" } }))
  self:keep("show deleted", self:get(path_of ""))
  self:keep("show deleted incl", self:get(path_of "?include_removed=true"), true)
  self:keep("activity deleted", self:activity())
  self:keep("heartbeat deleted", self:post("/registry/heartbeat", { workspace_id = A }, self.token_a))
  self:keep("register deleted", self:post("/registry/register", registration(A), self.token_a))
  self:keep("register deleted no token", self:post("/registry/register", registration(A)))
  self:keep("notify deleted", self:post(path_of "/notify", { message = "x" }, self.token_a))
  self:keep("a2a deleted", self:send(A, message "x", self.token_b, B))
  self:keep("state deleted", self:get(path_of "/state", self.token_a))
  self:keep("B after", self:get(path_of("/state", B), self.token_b))
end

---Asks a fresh platform everything.
---@param platform Emulator
---@param profile string
---@param messages integer so many will be in A's inbox when it is read for the first time
---@return table[] answers each {name, status, content type, text}
function questions.ask(platform, profile, messages)
  local self = setmetatable({ platform = platform, profile = profile, messages = messages, answers = {},
    names = { A = A, B = B, C = C, D = D } }, Asking)
  self:keep("health", self:get "/health")
  self:keep("uploads/limits", self:get "/uploads/limits")
  self:keep("unknown route", self:get "/nope")
  for _, part in ipairs { registrations, heartbeats, looks, relations, callers, shapes, canvas, inbox, queries, reports,
    notices, delegations, tokens, files, creations, removals } do
    part(self)
  end
  return self.answers
end

return questions
