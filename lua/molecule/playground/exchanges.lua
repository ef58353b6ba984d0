--- What the emulator posted to the host in push mode, with what the host answered: A2A as it is on the wire. The secret is not in
--- it. The oldest are forgotten.

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

function exchanges.reset()
  entries, first = {}, last + 1 -- the numbering continues
end

---@param event table see watch.lua
function exchanges.hear(event)
  if event.kind ~= "pushed" then return end
  last = last + 1
  local body, body_cut = shown.cut(event.body, TEXT_MAXIMUM)
  local answer, answer_cut = shown.cut(event.answer or "", TEXT_MAXIMUM)
  entries[last] = { n = last, at = host.now_us() // 1000, id = event.row_id, url = event.url, headers = json.array(event.headers),
    body = body, status = event.status, answer = answer, problem = event.problem, again = event.again, ms = event.took_ms,
    cut = body_cut or answer_cut or nil }
  if last - first >= KEPT then
    entries[first] = nil
    first = first + 1
  end
end

local function line_of(entry)
  return { n = entry.n, at = entry.at, id = entry.id, url = entry.url, status = entry.status, problem = entry.problem,
    again = entry.again, ms = entry.ms }
end

---@param request Request
function exchanges.list(request)
  local since, lines = math.tointeger(tonumber(request.query.since or 0)), json.array {}
  if not since then return request:json(400, { error = "since must be a whole number" }) end
  for n = math.max(since + 1, first, last - LISTED + 1), last do lines[#lines + 1] = line_of(entries[n]) end
  local workspace = store.find(record.workspace())
  request:json(200, { pushed = workspace ~= nil and push.queues(workspace), entries = lines, last = last })
end

---@param request Request
function exchanges.one(request)
  local entry = entries[math.tointeger(tonumber(request.parameters.n)) or 0]
  if not entry then return request:json(404, { error = "no such exchange; it may be older than what is kept" }) end
  request:json(200, entry)
end

return exchanges
