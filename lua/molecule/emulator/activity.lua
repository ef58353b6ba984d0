--- /workspaces/:id/activity: the inbox, self-reports and the acknowledged mark (§1.6 to §1.8).

local host = require "molecule.emulator.host"
local json = require "molecule.json"
local rows = require "molecule.emulator.rows"
local store = require "molecule.emulator.store"
local time = require "molecule.emulator.time"

local activity = {}

local GONE = "since_id cursor not found (row may have been pruned or belongs to a different workspace); "
  .. "omit since_id to reset"
local LIMIT_DEFAULT, LIMIT_MAXIMUM, SINCE_MAXIMUM = 100, 500, 2592000
local TYPES = { "a2a_send", "a2a_receive", "task_update", "agent_log", "skill_promotion", "memory_write", "error" }

local function whole(text)
  return text and text:match "^%-?%d+$" and math.tointeger(tonumber(text)) or nil
end

local function read_filters(request, reading)
  local query = request.query
  if query.source and query.source ~= "" then
    if query.source ~= "canvas" and query.source ~= "agent" then return "source must be 'canvas' or 'agent'" end
    reading.source = query.source
  end
  if query.since_secs and query.since_secs ~= "" then
    local seconds = whole(query.since_secs)
    if not seconds or seconds <= 0 then return "since_secs must be a positive integer" end
    reading.since_us = host.now_us() - math.min(seconds, SINCE_MAXIMUM) * 1000000
  end
  if not store.latest() then return nil end
  if query.peer_id and query.peer_id ~= "" then
    if not host.uuid_valid(query.peer_id) then return "peer_id must be a UUID" end
    reading.peer = query.peer_id:lower()
  end
  if query.before_ts and query.before_ts ~= "" then
    reading.before_us = time.parse(query.before_ts)
    if not reading.before_us then return "before_ts must be an RFC3339 timestamp (e.g. 2026-05-01T00:00:00Z)" end
  end
  return nil
end

local function attachments_of(row)
  local list = json.array {}
  local message = row.request_body.params.message
  for _, part in ipairs(message.parts) do
    if part.kind == "file" then
      local file = type(part.file) == "table" and part.file or part
      list[#list + 1] = { kind = "file", uri = file.uri, mime_type = file.mimeType, name = file.name }
    end
  end
  return #list > 0 and list or nil
end

local function with_peer(request, row)
  local value = json.decode(row.text, { strict = true })
  if type(value) ~= "table" then return row.text end
  local peer = row.source_id and store.find(row.source_id)
  if peer then value.peer_name, value.peer_role = peer.name, peer.role end
  if row.source_id then
    value.agent_card_url = ("http://%s/registry/discover/%s"):format(request.headers.host or "", row.source_id)
  end
  local fine, attachments = pcall(attachments_of, value)
  value.attachments = fine and attachments or nil
  return assert(json.encode(value, { sort = true }))
end

local function list(request)
  local query, reading = request.query, { type = request.query.type }
  if reading.type == "" then reading.type = nil end
  local limit = whole(query.limit)
  reading.limit = limit and limit > 0 and math.min(limit, LIMIT_MAXIMUM) or LIMIT_DEFAULT
  local problem = read_filters(request, reading)
  if problem then return request:fail(400, problem) end
  local cursor = query.since_id
  if cursor and cursor ~= "" then
    if not host.uuid_valid(cursor) then return request:fail(500, "cursor lookup failed") end
    reading.cursor = request.workspace.index[cursor:lower()]
    if not reading.cursor then return request:fail(410, GONE) end
  end
  local texts, peers = {}, store.latest() and query.include == "peer_info"
  for i, row in ipairs(rows.page(request.workspace, reading)) do
    texts[i] = peers and with_peer(request, row) or row.text
  end
  request.extra["Content-Type"] = "application/json; charset=utf-8"
  request:respond(200, "[" .. table.concat(texts, ",") .. "]")
end

local function report(request)
  local value, workspace = request:object(), request.workspace
  if not value or type(value.activity_type) ~= "string" then return request:fail(400, "invalid request body") end
  local allowed = false
  for _, name in ipairs(TYPES) do allowed = allowed or name == value.activity_type end
  if not allowed then return request:fail(400, "invalid activity_type, must be one of: " .. table.concat(TYPES, ", ")) end
  local source = type(value.source_id) == "string" and value.source_id:lower() or ""
  if source ~= "" and source ~= workspace.id then
    return request:fail(403, "source_id must match authenticated workspace")
  end
  local body = value.request_body
  if body == nil then body = value.metadata end
  local columns = { activity_type = value.activity_type, method = value.method, summary = value.summary,
    target_id = value.target_id, source_id = workspace.id, status = value.status, error_detail = value.error_detail,
    duration_ms = value.duration_ms, request_body = body, response_body = value.response_body }
  if rows.storable(assert(json.encode(columns))) then rows.insert(workspace, columns) end
  request:json(200, { status = "logged" })
end

local function ack(request)
  local value, workspace = request:object(), request.workspace
  local seq = value and value.acked_seq
  if math.type(seq) ~= "integer" then return request:fail(400, "acked_seq is required") end
  if seq < 0 then return request:fail(400, "acked_seq must be >= 0") end
  workspace.last_acked_seq = math.max(workspace.last_acked_seq, seq)
  request:json(200, { last_acked_seq = workspace.last_acked_seq })
end

---@param router table see router.new
function activity.routes(router)
  router:add("GET", "/workspaces/:id/activity", list, { auth = true })
  router:add("POST", "/workspaces/:id/activity", report, { auth = true })
  router:add("POST", "/workspaces/:id/activity/ack", ack, { auth = true, latest = true })
end

return activity
