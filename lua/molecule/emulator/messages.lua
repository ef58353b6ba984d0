--- The control API's messages: rows as a test or a person wants them, wire-true or broken.

local host = require "molecule.emulator.host"
local json = require "molecule.json"
local envelope = require "molecule.emulator.envelope"
local inbox = require "molecule.emulator.inbox"
local push = require "molecule.emulator.push"
local store = require "molecule.emulator.store"
local time = require "molecule.emulator.time"

local messages = {}

local COUNT_MAXIMUM = 100000

local function raw_of(message)
  if message.raw_row_base64 then
    local raw = host.base64_decode(message.raw_row_base64)
    if not raw then return nil, "raw_row_base64 is not base64" end
    return raw
  end
  return message.raw_row
end

local function numbered(message, number)
  if not message.text or (message.count or 1) == 1 then return message end
  local copy = {}
  for name, value in pairs(message) do copy[name] = value end
  copy.text = message.text:gsub("%%n", tostring(number))
  return copy
end

local function body_of(target, message)
  if message.request_body ~= nil then return message.request_body end
  return envelope.build(message.from, target.id, message)
end

local function insert(target, message, options)
  local from, body = message.from, body_of(target, message)
  options.method = type(body) == "table" and type(body.method) == "string" and body.method or "message/send"
  options.response_body = message.response_body
  return inbox.place(target, from, body, options)
end

local ROW_FIELDS = { "id", "created_at", "row", "raw_row", "raw_row_base64", "response_body" }

-- To a workspace that gets its messages pushed: there is no row that could be special.
local function queue(target, message, place)
  local ids = json.array {}
  for _, name in ipairs(ROW_FIELDS) do
    if message[name] ~= nil then return nil, name .. " is about a row, but messages are pushed to this workspace" end
  end
  if place then return nil, "this is about rows, but messages are pushed to this workspace" end
  for number = 1, message.count or 1 do
    local problem
    ids[number], problem = push.queue(target, message.from, body_of(target, numbered(message, number)))
    if problem then return nil, problem end
  end
  return ids
end

local function check(message)
  if message.count ~= nil and (math.type(message.count) ~= "integer" or message.count < 1
    or message.count > COUNT_MAXIMUM) then
    return "count must be from 1 to 100000"
  end
  if message.created_at ~= nil and not time.parse(message.created_at) then return "created_at is not an RFC 3339 time" end
  if message.row ~= nil and type(message.row) ~= "table" then return "row must be an object" end
  if message.from ~= nil and not host.uuid_valid(message.from) then return "from must be a UUID" end
  if message.id ~= nil and not host.uuid_valid(message.id) then return "id must be a UUID" end
  return nil
end

---Inserts the rows that the message describes.
---@param target Workspace
---@param message table see POST /__emulator/messages
---@param place {us: integer?, seq: integer?}?
---@return string[]? ids, string? problem
function messages.insert(target, message, place)
  if type(message) ~= "table" then return nil, "a message must be an object" end
  if message.from == json.null then message.from = nil end
  local problem = check(message)
  if problem then return nil, problem end
  if push.queues(target) then return queue(target, message, place) end
  local raw, raw_problem = raw_of(message)
  if raw_problem then return nil, raw_problem end
  local override = message.row and {}
  for name, value in pairs(message.row or {}) do
    if name ~= "omit" then override[name] = value end
  end
  place = place or {}
  local ids = json.array {}
  for number = 1, message.count or 1 do
    local id = message.id or raw and raw:match '"id"%s*:%s*"(%x%x%x%x%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x+)"'
    local row = insert(target, numbered(message, number), {
      id = number == 1 and id and id:lower() or nil,
      us = place.us or time.parse(message.created_at), seq = place.seq,
      override = override, omit = message.row and message.row.omit, raw = raw })
    ids[number] = row.id
  end
  return ids
end

---The workspace that a control request names, or nil after a 404.
---@param request Request
---@param id any
---@return Workspace?
function messages.target(request, id)
  local workspace = store.find(id)
  if not workspace then
    request:json(404, { error = ("no workspace %s; create it with POST /__emulator/workspaces"):format(tostring(id)) })
  end
  return workspace
end

return messages
