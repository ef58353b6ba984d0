--- What the playground knows of the session: each message to the script's workspace with what became of it, what the agent said
--- besides, and the script's own state. The oldest messages are forgotten, so that it stays bounded.

local host = require "molecule.emulator.host"
local json = require "molecule.json"
local changes = require "molecule.playground.changes"
local faults = require "molecule.emulator.faults"
local push = require "molecule.emulator.push"
local rows = require "molecule.emulator.rows"
local shown = require "molecule.playground.shown"
local store = require "molecule.emulator.store"
local summary = require "molecule.playground.summary"

local record = {}

local ITEMS_MAXIMUM, BYTES_MAXIMUM = 10000, 128 << 20
local FORGET_AT_ONCE = 200
local ROWS_KEPT_US = 15 * 60 * 1000000 -- the host reads back that far at most
local ATTEMPTS_MAXIMUM, LINES_MAXIMUM, POSTS_MAXIMUM, ASKED_MAXIMUM = 100, 1000, 50, 200
local TEXT_MAXIMUM = 2000                -- of what is asked of the host
local BODY_MAXIMUM, ANSWER_MAXIMUM = 65536, 16384
local ITEM_COST = 4000 -- bytes, a guess at what an item costs besides its texts
local UNCLAIMED_MAXIMUM = 200

local own, script           -- the id of the script's workspace; the script's path
local items, oldest, count  -- number -> item; the least number; how many
local by_id                 -- row id -> item
local bytes
local status                -- the item of the script's state
local unclaimed             -- what handlers told the human and was not seen on its way yet: {row_id, text}

---@return string? id of the script's workspace; nil: it serves no workspace, and has no playground
function record.workspace()
  return own
end

---@return string? path
function record.script()
  return script
end

local function forget_all()
  items, oldest, count, by_id, bytes, unclaimed = {}, 1, 0, {}, 0, {}
  changes.reset()
  status = { kind = "status", version = 0, script_version = status and status.script_version or 0,
    problem = status and status.problem, at = status and status.at or host.now_us() // 1000 }
  changes.touch(status)
end

function record.reset()
  if own then forget_all() end
end

---@param workspace string
---@param path string? the script's file
function record.start(workspace, path)
  own, script = workspace:lower(), path
  forget_all()
end

---@return Item
function record.status()
  return status
end

---@param id string
---@return Item?
function record.find(id) return by_id[id] end

---All items, in the order in which they began.
---@return fun(): Item?
function record.each()
  local number, last = oldest - 1, oldest + count - 1
  return function()
    number = number + 1
    return number <= last and items[number] or nil
  end
end

function record.touch_status()
  if own then changes.touch(status) end
end

-- Rows that were forgotten with their messages.
local function prune_rows()
  local before = math.min(items[oldest] and items[oldest].us or 0, host.now_us() - ROWS_KEPT_US)
  for _, workspace in ipairs(store.order) do
    local first = workspace.rows[1]
    if first and first.us < before then rows.prune(workspace, function(row) return row.us < before end) end
  end
end

local function forget_oldest()
  while count > 1 and (count > ITEMS_MAXIMUM or bytes > BYTES_MAXIMUM * 3 // 4) do
    local item = items[oldest]
    changes.remove(item)
    if item.id then by_id[item.id] = nil end
    bytes = bytes - item.bytes
    items[oldest] = nil
    oldest, count = oldest + 1, count - 1
  end
  prune_rows()
  changes.touch(status) -- it tells which is the oldest
end

local function weigh(item, more)
  if item.gone then return end
  item.bytes = item.bytes + more
  bytes = bytes + more
  if count > ITEMS_MAXIMUM + FORGET_AT_ONCE or bytes > BYTES_MAXIMUM then forget_oldest() end
end

local function add(item)
  local number = oldest + count
  item.n, item.us, item.bytes = number, host.now_us(), 0
  items[number], count = item, count + 1
  if item.id then by_id[item.id] = item end
  changes.touch(item)
  weigh(item, ITEM_COST)
  return item
end

local function new_message(id, from, text, files, row)
  local item = add { kind = "message", id = id, from = from, text = text, files = files, row = row, state = "waiting",
    attempts = {}, asked = {}, posts = {}, interim = {} }
  weigh(item, #text + (row and #row.text or 0))
  return item
end

local UNKEPT = { version = true, earlier = true, later = true, gone = true, row = true, n = true, bytes = true, since = true }

---What is kept of an item over a restart.
---@param item Item
---@return table
function record.save(item)
  local value = {}
  for name, field in pairs(item) do
    if not UNKEPT[name] then value[name] = field end
  end
  return value
end

---An item of an earlier run, in the order of their numbers.
---@param n integer
---@param value table see record.save
function record.load(n, value)
  local us = value.us
  if count == 0 then oldest = n end
  while oldest + count < n do add { kind = "log", level = "debug", text = "(not kept)", state = "done" } end
  local workspace = store.find(own)
  value.row = value.id and workspace and workspace.index[value.id] or nil
  for _, name in ipairs { "attempts", "asked", "posts", "interim", "files" } do
    if value[name] ~= nil then value[name] = { table.unpack(value[name]) } end
  end
  for _, attempt in ipairs(value.attempts or {}) do attempt.log = json.array(attempt.log or {}) end
  add(value)
  value.us = us
  weigh(value, #value.text + (value.row and #value.row.text or 0))
end

-- Of a message that an earlier run with this state left, too.
local function get(row_id)
  return by_id[row_id] or new_message(row_id, nil, "(a message from an earlier run)", {})
end

local heard = {}

function heard.message(event)
  if event.workspace.id ~= own then return end
  local text, files = shown.content(shown.parts(event.value))
  new_message(event.row.id, event.source, text, files, event.row)
end

function heard.script(event)
  status.problem, status.at = event.reason, host.now_us() // 1000
  status.place = shown.place(event.reason, script)
  if not event.reason and not status.same_script then status.script_version = status.script_version + 1 end
  status.same_script = false
  changes.touch(status)
end

-- The host was killed: what it had begun ends there.
local function interrupt(why)
  for item in record.each() do
    local attempt = item.kind == "message" and not item.outcome and item.attempts[#item.attempts]
    if attempt and not attempt.outcome then attempt.outcome, attempt.reason = "interrupted", why end
    if attempt and item.state ~= "sending" then item.state = "waiting" end
    if attempt then changes.touch(item) end
  end
end

function heard.host(event)
  local words = event.running and "the host runs again" or event.reason
  add { kind = "log", level = event.running and "info" or "warn", text = words, state = "done" }
  status.running = event.running
  if event.running then status.same_script = true else interrupt(event.reason) end
  changes.touch(status)
end

local function take_new(event)
  if by_id[event.row_id] or not (event.schedule or event.principal) then return end
  local text = event.schedule and ("(a run of %s)"):format(event.schedule) or event.text or ""
  new_message(event.row_id, event.schedule or event.principal, text, {}).client = event.principal and true
end

function heard.attempt(event)
  take_new(event)
  local item = get(event.row_id)
  if #item.attempts >= ATTEMPTS_MAXIMUM then table.remove(item.attempts, 1) end
  item.attempts[#item.attempts + 1] = { number = event.attempt, at = host.now_us() // 1000, log = json.array {},
    script_version = status.script_version }
  if item.outcome or not item.since then item.since = host.monotonic_ms() end -- a dead letter is retried
  item.state, item.outcome, item.reason, item.place = "running", nil, nil, nil
  changes.touch(item)
end

function heard.msg(event)
  local item = get(event.row_id)
  local attempt = item.attempts[#item.attempts]
  if not attempt then return end
  attempt.msg = event.text
  local msg = item.client and item.text == "" and json.decode(event.text) -- a large one is not read before
  if msg and type(msg.text) == "string" then item.text = msg.text end
  weigh(item, #event.text)
  changes.touch(item)
end

function heard.log(event)
  local item = event.row_id and get(event.row_id)
  if not item then
    add { kind = "log", level = event.level, text = event.text, state = "done" }
    return
  end
  local attempt = item.attempts[#item.attempts]
  if attempt and #attempt.log < LINES_MAXIMUM then
    attempt.log[#attempt.log + 1] = { at = host.now_us() // 1000, level = event.level, text = event.text }
    weigh(item, #event.text + 100)
    changes.touch(item)
  end
end

function heard.ended(event)
  local item = get(event.row_id)
  local attempt = item.attempts[#item.attempts]
  if not attempt then return end
  attempt.outcome, attempt.reason, attempt.traceback = event.outcome, event.reason, event.traceback
  attempt.wall_ms, attempt.cpu_ms, attempt.memory_bytes = event.wall_ms, event.cpu_ms, event.memory_bytes
  attempt.place = event.outcome == "failed" and shown.place(event.reason, script)
    or event.outcome == "failed" and shown.place(event.traceback, script) or nil
  item.place = attempt.place
  item.state = event.outcome == "replied" and "sending" or "waiting"
  weigh(item, #(event.traceback or ""))
  changes.touch(item)
end

function heard.later(event)
  local item = get(event.row_id)
  local attempt = item.attempts[#item.attempts]
  item.state = attempt and attempt.outcome == "asleep" and "asleep" or "retrying"
  item.reason, item.again_at = event.reason, host.now_us() // 1000 + event.again_ms
  changes.touch(item)
end

function heard.finished(event)
  take_new(event) -- an answer to a question
  local item = get(event.row_id)
  item.state, item.outcome, item.reason, item.again_at = "done", event.outcome, event.reason, nil
  item.took_ms = host.monotonic_ms() - (item.since or host.monotonic_ms())
  changes.touch(item)
end

-- What the agent says besides its replies belongs to the message whose handler says it. The host's word and the request itself
-- come in either order.
local function claim(item, said)
  item.interim[#item.interim + 1] = said
  changes.touch(item)
end

local function same(a, b)
  return a:match "^%s*(.-)%s*$" == b:match "^%s*(.-)%s*$"
end

local function unclaimed_said(text)
  for number = oldest + count - 1, math.max(oldest, oldest + count - 20), -1 do
    local item = items[number]
    if item.kind == "said" and not item.claimed and not item.to and same(item.text, text) then return item end
  end
  return nil
end

function heard.asked(event)
  local item = event.row_id and by_id[event.row_id]
  if not item then return end
  if #item.asked < ASKED_MAXIMUM then
    item.asked[#item.asked + 1] = { at = host.now_us() // 1000, what = event.what, key = event.key,
      took_ms = event.call and event.took_ms or nil, -- of the host's own answers it is told later
      text = event.text and (shown.cut(event.text, TEXT_MAXIMUM)) }
    weigh(item, 200 + math.min(#(event.text or ""), TEXT_MAXIMUM))
  end
  local to_client = event.what == "molecule.notify" or event.what == "molecule.send" and event.key == item.from
  if item.client and to_client and event.text then
    claim(item, { text = event.text, files = {} }) -- its task says so; the second is a question
  elseif event.what == "molecule.notify" and event.text then
    local said = unclaimed_said(event.text)
    if said then
      said.claimed = true
      changes.touch(said)
      claim(item, { text = said.text, files = said.files })
    else
      unclaimed[#unclaimed + 1] = { id = event.row_id, text = event.text }
      if #unclaimed > UNCLAIMED_MAXIMUM then table.remove(unclaimed, 1) end
    end
  end
  changes.touch(item)
end

function heard.told(event)
  local item = event.row_id and by_id[event.row_id]
  for i = item and #item.asked or 0, 1, -1 do
    local asked = item.asked[i]
    if asked.what == event.what and asked.key == event.key and not asked.took_ms then
      asked.took_ms, asked.problem = event.wall_ms, event.reason
      return changes.touch(item)
    end
  end
end

local function say(to, text, files)
  for i, one in ipairs(to == nil and unclaimed or {}) do
    if same(one.text, text) and by_id[one.id] then
      table.remove(unclaimed, i)
      return claim(by_id[one.id], { text = text, files = files })
    end
  end
  local item = add { kind = "said", to = to, text = text, files = files, state = "done" }
  weigh(item, #text)
end

local function reply(row_id, text, files)
  local item = get(row_id)
  local times = item.reply and item.reply.times or 0
  item.reply = { text = text, files = files, times = times + 1 }
  weigh(item, times == 0 and #text or 0)
  changes.touch(item)
end

function heard.notice(event)
  if event.workspace.id ~= own then return end
  local row_id, text, files = host.reply_to(event.body), shown.notice(event.value)
  if row_id then reply(row_id, text, files) else say(nil, text, files) end
end

function heard.sent(event)
  if event.source ~= own then return end
  local row_id, text, files = host.reply_to(event.body), shown.content(shown.parts(event.value))
  if row_id then reply(row_id, text, files) else say(event.target, text, files) end
end

-- The result of its task, which an A2A client gets.
function heard.answer(event)
  local item, parts = by_id[event.row_id], json.decode(event.text)
  if item and item.client and json.is_array(parts) then reply(event.row_id, shown.content(parts)) end
end

-- The platform's answer to a reply.
function heard.answered(event)
  local request = event.request
  if request.method ~= "POST" or not (request.path:find "/notify$" or request.path:find "/a2a$") then return end
  local row_id = host.reply_to(request.body)
  local item = row_id and get(row_id)
  if not item or #item.posts >= POSTS_MAXIMUM then return end
  local body, answer = shown.cut(request.body, BODY_MAXIMUM), shown.cut(event.body, ANSWER_MAXIMUM)
  item.posts[#item.posts + 1] = { at = host.now_us() // 1000, method = request.method, path = request.path, body = body,
    status = event.status, answer = answer, lost = event.lost or nil, fault = request.entry and request.entry.fault,
    took_ms = request.entry and host.monotonic_ms() - request.entry.at }
  weigh(item, #body + #answer)
  changes.touch(item)
end

-- A message was posted to the host, which has answered or not.
function heard.pushed(event)
  local item = by_id[event.row_id]
  if not item then return end
  local parts, late = push.parts(event.row_id, event.answer)
  local text, files = shown.content(parts or {})
  if parts and late then
    claim(item, { text = text, files = files })
  elseif parts then
    reply(event.row_id, text, files)
  end
  if #item.posts >= POSTS_MAXIMUM then return end
  local body, answer = shown.cut(event.body, BODY_MAXIMUM), shown.cut(event.answer or event.problem or "", ANSWER_MAXIMUM)
  item.posts[#item.posts + 1] = { at = host.now_us() // 1000, method = "POST", path = event.url:match "^%a+://[^/]+(/?.*)$",
    body = body, status = event.status or 0, answer = answer, pushed = true, took_ms = event.took_ms }
  weigh(item, #body + #answer)
  changes.touch(item)
end

function heard.changed()
  changes.touch(status)
end

---@param event table see watch.lua
function record.hear(event)
  local handler = heard[event.kind]
  if handler then handler(event) end
end

---The message is a repetition of another.
---@param id string
---@param of string
---@param edited boolean
function record.note_again(id, of, edited)
  local item = by_id[id]
  if not item then return end
  item.again_of, item.edited = of, edited
  changes.touch(item)
end

---A dead letter was dropped.
---@param item Item
function record.note_dropped(item)
  item.dropped = true
  changes.touch(item)
end

local name_of = summary.name_of

local function summary_of_status()
  local workspace = store.find(own)
  return { kind = "status", workspace = own, name = name_of(own), state = workspace and store.status(workspace), script = script,
    script_version = status.script_version, down = status.running == false or nil, problem = status.problem,
    place = status.place, at = status.at,
    profile = store.config.profile, peers = summary.peers(own), faults = json.array(faults.list()), oldest = oldest }
end

---What the page keeps of an item: no envelope, no log, and only the beginning of a long text.
---@param item Item
---@return table
function record.summary(item)
  return item.told or item.kind == "status" and summary_of_status() or summary.item(item)
end

---Everything about a message.
---@param item Item
---@return table
record.detail = summary.detail

return record
