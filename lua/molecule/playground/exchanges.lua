--- A2A as it is on the wire: what the emulator posted to the host in push mode, and what A2A clients asked it, each with what the
--- host answered. Secrets are not in it. The oldest are forgotten.

local host = require "molecule.emulator.host"
local json = require "molecule.json"
local push = require "molecule.emulator.push"
local record = require "molecule.playground.record"
local shown = require "molecule.playground.shown"
local store = require "molecule.emulator.store"

local exchanges = {}

local KEPT, LISTED = 1000, 500
local TEXT_MAXIMUM = 65536 -- bytes of a request, and of an answer

local entries, first, last = {}, 1, 0
local streams = {} -- the host's number of an exchange -> its entry, while pieces of its answer may follow

function exchanges.reset()
  entries, first, streams = {}, last + 1, {} -- the numbering continues
end

local function add(entry)
  last = last + 1
  local body, body_cut = shown.cut(entry.body, TEXT_MAXIMUM)
  local answer, answer_cut = shown.cut(entry.answer or "", TEXT_MAXIMUM)
  entry.n, entry.at, entry.headers = last, host.now_us() // 1000, json.array(entry.headers)
  entry.body, entry.answer, entry.cut = body, answer, body_cut or answer_cut or nil
  entries[last] = entry
  if last - first >= KEPT then
    if entries[first].stream then streams[entries[first].stream] = nil end
    entries[first] = nil
    first = first + 1
  end
end

local function add_piece(entry, piece)
  if not entry or entry.cut then return end
  entry.answer, entry.cut = shown.cut(entry.answer .. piece, TEXT_MAXIMUM)
  entry.cut = entry.cut or nil
end

---@param event table see watch.lua
function exchanges.hear(event)
  if event.kind == "pushed" then
    add { id = event.row_id, method = "POST", url = event.url, headers = event.headers, body = event.body, status = event.status,
      answer = event.answer, problem = event.problem, again = event.again, ms = event.took_ms, pushed = true }
  elseif event.kind == "host" then -- another one counts from 1
    for _, entry in pairs(streams) do entry.stream = false end
    streams = {}
  elseif event.kind == "exchange" then
    local told = json.decode(event.text)
    if not told.method then return add_piece(streams[told.n], told.answer) end
    local entry = { method = told.method, url = told.url, headers = told.headers, body = told.body, status = told.status,
      answer = told.answer, ms = told.took_ms, stream = told.streams and told.n or nil }
    if entry.stream then streams[entry.stream] = entry end
    add(entry)
  end
end

local function line_of(entry)
  return { n = entry.n, at = entry.at, id = entry.id, method = entry.method, url = entry.url, status = entry.status,
    problem = entry.problem, again = entry.again, ms = entry.ms, pushed = entry.pushed, streams = entry.stream ~= nil or nil }
end

---@param request Request
function exchanges.list(request)
  local since, lines = math.tointeger(tonumber(request.query.since or 0)), json.array {}
  if not since then return request:json(400, { error = "since must be a whole number" }) end
  for n = math.max(since + 1, first, last - LISTED + 1), last do lines[#lines + 1] = line_of(entries[n]) end
  local workspace = store.find(record.workspace())
  request:json(200, { pushed = workspace ~= nil and push.queues(workspace), served = store.serves, entries = lines, last = last })
end

---@param request Request
function exchanges.one(request)
  local entry = entries[math.tointeger(tonumber(request.parameters.n)) or 0]
  if not entry then return request:json(404, { error = "no such exchange; it may be older than what is kept" }) end
  request:json(200, entry)
end

return exchanges
