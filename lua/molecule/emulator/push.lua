--- Messages to a workspace that wants them pushed: posted to its URL as they are (§5).
---
--- A connection that breaks, and a T1 that waits too long, is a busy agent: the message is posted again after the next heartbeat.
--- What a person types to `molecule dev`, and what the control API sends to its workspace, also waits until that listens; one
--- follows another of the same sender when that has begun, so that they arrive in the order in which they were sent.

local host = require "molecule.emulator.host"
local json = require "molecule.json"
local envelope = require "molecule.emulator.envelope"
local rows = require "molecule.emulator.rows"
local store = require "molecule.emulator.store"
local watch = require "molecule.emulator.watch"

local push = {}

-- How long the platform waits for an agent's answer (§12): T1 for the head of it.
local PATIENCE_MS = { t1 = 60000, latest = 1800000 }
local BEGUN_MS = 200 -- the host has it by then, though it may not begin yet
local STATUS_TEXTS = { [300] = "Multiple Choices", [302] = "Found", [400] = "Bad Request", [404] = "Not Found",
  [500] = "Internal Server Error", [501] = "Not Implemented", [503] = "Service Unavailable" }

local states = setmetatable({}, { __mode = "k" }) -- workspace -> {lanes, paused}
local unbegun = {}                                -- row id -> function: the next of its sender may follow

---What becomes of an agent's answer on its way to the caller (a2a_proxy.go): 300 and above is reported in the platform's words,
---an empty 200 is an error to the newer version.
---@param status integer
---@param body string
---@return string|table
function push.relay(status, body)
  if status >= 300 then
    local said = json.decode(body)
    said = type(said) == "table" and type(said.error) == "string" and said.error ~= "" and said.error
    return { error = said or STATUS_TEXTS[status] or "" }
  elseif body == "" and store.latest() then
    return { error = "agent returned empty response body" }
  end
  return body
end

-- T1 proves nothing; later versions show the secret to names and public addresses.
local function headers_for(target, hidden)
  local headers = { "Content-Type: application/json" }
  if store.latest() and not target.url:match "^%a+://[%d.]+[:/]" then
    headers[2] = "Authorization: Bearer " .. (hidden or target.secret)
  end
  return headers
end

-- Whether this is the workspace that `molecule dev` serves: only it is watched.
local function watched(target)
  return store.first ~= nil and target.id == store.first:lower()
end

local function columns_of(target, source, value)
  local method = envelope.method(value)
  return { activity_type = "a2a_receive", source_id = source, target_id = target.id, method = method, request_body = value,
    summary = ("%s → %s"):format(method, target.name) }
end

-- The platform's own note of it, under the id that the message has in the host.
local function introduce(target, entry)
  local row = rows.insert(target, columns_of(target, entry.source, entry.value), { id = entry.id, silent = true, keep = true })
  watch.tell { kind = "message", workspace = target, source = entry.source, row = row, value = entry.value, pushed = true }
end

local function answered(target, entry, status, answer)
  local row = target.index[entry.id]
  local value = status and json.decode(answer)
  if row and row.columns and type(value) == "table" then rows.amend(row, { response_body = value }) end
end

local function tell(target, entry, told)
  if not watched(target) then return end
  told.kind, told.workspace, told.row_id, told.source = "pushed", target, entry.id, entry.source
  told.url, told.headers, told.body = target.url, headers_for(target, "(hidden)"), entry.body
  watch.tell(told)
end

local function state_of(target)
  local state = states[target]
  if not state then
    state = { lanes = {}, under_way = {} }
    states[target] = state
  end
  return state
end

-- Those of one sender that are not posted yet, by number.
local function wait(target, number, entry)
  local lanes, name = state_of(target).lanes, entry.source or "canvas"
  local lane = lanes[name] or { first = 1, last = 0 }
  lanes[name] = lane
  lane.last = lane.last + 1
  local at = lane.last
  while at > lane.first and lane[at - 1].number > number do
    lane[at] = lane[at - 1]
    at = at - 1
  end
  lane[at] = { number = number, entry = entry }
end

local pump

-- Posts it. `done` gets the answer; without one it is nobody's but the canvas's, and must get there.
local function post(target, number, entry, done)
  local under_way, at = state_of(target).under_way, host.monotonic_ms()
  under_way[number] = entry
  entry.body = assert(json.encode(entry.value))
  host.post(target.url, headers_for(target), entry.body, PATIENCE_MS[store.config.profile], function(status, answer, sent)
    local took_ms = host.monotonic_ms() - at
    under_way[number] = nil
    local again = not status and (sent or not done)
    if status then answered(target, entry, status, answer) end
    if not again then
      target.pushes[tostring(number)] = nil
    else
      target.pushes = target.pushes or {}
      target.pushes[tostring(number)] = { id = entry.id, source = entry.source, value = entry.value }
      state_of(target).paused = true
      wait(target, number, entry)
    end
    tell(target, entry, { status = status, answer = status and answer or nil, problem = not status and answer or nil,
      took_ms = took_ms, again = again or nil })
    if unbegun[entry.id] then unbegun[entry.id]() end
    if done then done(status, answer, sent) end
  end)
end

-- One that the next of its sender follows.
local function post_in_order(target, lane, number, entry)
  local over = false
  lane.busy = true
  local function begun()
    if over then return end
    over, unbegun[entry.id] = true, nil
    lane.busy = false
    pump(target)
  end
  unbegun[entry.id] = begun
  host.after(BEGUN_MS, begun)
  post(target, number, entry)
end

function pump(target)
  local state = state_of(target)
  if target.url == "" or target.delivery_mode ~= "push" or state.paused then return end
  for _, lane in pairs(state.lanes) do
    local next_one = not lane.busy and lane[lane.first]
    if next_one then
      lane[lane.first] = nil
      lane.first = lane.first + 1
      post_in_order(target, lane, next_one.number, next_one.entry)
    end
  end
end

watch.add(function(event)
  local begun = (event.kind == "attempt" or event.kind == "finished") and unbegun[event.row_id]
  if begun then begun() end
end)

local function number_of(target)
  target.push_number = (target.push_number or 0) + 1
  return target.push_number
end

local function entry_of(source, value)
  return { id = host.pushed_id(assert(json.encode(value))), source = source, value = value }
end

---Posts a message of somebody who waits for the answer: nil and a problem, and whether it was sent, if there is none.
---@param target Workspace
---@param source string? nil: the human in the canvas
---@param value table
---@param done fun(status: integer?, answer: string, sent: boolean?)
function push.send(target, source, value, done)
  local entry = entry_of(source, value)
  if watched(target) and not target.index[entry.id] then introduce(target, entry) end
  target.pushes = target.pushes or {}
  post(target, number_of(target), entry, done)
end

---Whether messages to it are pushed by push.queue.
---@param target Workspace
---@return boolean
function push.queues(target)
  return watched(target) and target.delivery_mode == "push"
end

---Posts a message that nobody waits for, now or once the workspace listens.
---@param target Workspace
---@param source string?
---@param value any an envelope
---@return string? id in the host, string? problem
function push.queue(target, source, value)
  local normal, problem = envelope.normalise(assert(json.encode(value)), not source and target.id or nil)
  if not normal then return nil, (problem or {}).error end
  local entry = entry_of(source, normal)
  if target.index[entry.id] then
    return nil, "a message with this messageId was pushed before: the host would answer it as it did then"
  end
  local number = number_of(target)
  target.pushes = target.pushes or {}
  target.pushes[tostring(number)] = { id = entry.id, source = source, value = normal }
  introduce(target, entry)
  wait(target, number, entry)
  pump(target)
  return entry.id
end

-- What an earlier run of the emulator left.
local function recover(target)
  local state, left = state_of(target), {}
  if state.recovered then return end
  state.recovered = true
  local known = {}
  for _, lane in pairs(state.lanes) do
    for i = lane.first, lane.last do known[lane[i].number] = true end
  end
  for key, entry in pairs(target.pushes or {}) do
    local number = math.tointeger(tonumber(key))
    if number and not known[number] and not state.under_way[number] then left[#left + 1] = { number, entry } end
  end
  for _, one in ipairs(left) do wait(target, one[1], one[2]) end
end

---After a heartbeat, and when the host of `molecule dev` registers: what could not be answered then is posted again.
---@param target Workspace
function push.again(target)
  if not target.pushes then return end
  recover(target)
  state_of(target).paused = nil
  pump(target)
end

---The parts of an agent's answer to a pushed message.
---@param row_id string
---@param answer string?
---@return table[]? parts nil: it says nothing, boolean late the reply follows in the canvas
function push.parts(row_id, answer)
  local value = answer and json.decode(answer)
  local result = type(value) == "table" and value.result
  local parts = type(result) == "table" and result.parts
  if not json.is_array(parts) then return nil, false end
  return parts, result.messageId == row_id .. "/late"
end

return push
