--- How a message comes into a poll workspace's inbox, and what the event stream says about it (§1.10, §1.18, §12).

local host = require "molecule.emulator.host"
local json = require "molecule.json"
local envelope = require "molecule.emulator.envelope"
local events = require "molecule.emulator.events"
local rows = require "molecule.emulator.rows"
local store = require "molecule.emulator.store"
local watch = require "molecule.emulator.watch"

local inbox = {}

local INGEST, QUEUED = "ingest", "queued for poll"

local function columns_of(target, source, value, method, state)
  return { activity_type = "a2a_receive", source_id = source, target_id = target.id, method = method, request_body = value,
    summary = ("%s → %s (%s)"):format(method, target.name, state) }
end

-- What the human's other devices draw: the text and the files.
local function announce_user(target, id, value)
  local texts, files = {}, json.array {}
  local message = value.params.message
  for _, part in ipairs(json.is_array(message.parts) and message.parts or {}) do
    if type(part) == "table" and part.kind == "text" and type(part.text) == "string" then texts[#texts + 1] = part.text end
    if type(part) == "table" and part.kind == "file" and type(part.file) == "table" then files[#files + 1] = part.file end
  end
  local text = table.concat(texts)
  if text == "" and #files == 0 then return end
  events.publish(target, "USER_MESSAGE", { message_id = id, content = text, workspace_id = target.id,
    attachments = #files > 0 and files or nil })
end

-- The newer version writes a message at once and then notes that it waits: one row, two events.
local function announce_again(target, source, value, id)
  if source == nil then announce_user(target, id, value) end
  rows.announce(target, columns_of(target, source, value, "message/send", QUEUED), id)
end

---A row for an envelope, with the events that go with it.
---@param target Workspace
---@param source string? nil: the human in the canvas
---@param value any the stored body
---@param options table? as rows.insert; method: instead of the body's; response_body
---@return table row
function inbox.place(target, source, value, options)
  options = options or {}
  local method, id = options.method or envelope.method(value), envelope.message_id(value)
  local durable = store.latest() and method == "message/send" and id ~= nil
  options.message_id = store.latest() and id or nil
  local columns = columns_of(target, source, value, method, durable and INGEST or QUEUED)
  columns.response_body = options.response_body
  local row = rows.insert(target, columns, options)
  watch.tell { kind = "message", workspace = target, source = source, row = row, value = value }
  if durable then announce_again(target, source, value, id) end
  return row
end

local function insert(target, source, value)
  if source and not host.uuid_valid(source) then return end
  if rows.storable(assert(json.encode(value))) then inbox.place(target, source, value) end
end

---Takes what was sent through the platform the way the profile does it: T1 a while later and as often as it is sent, later
---versions at once and once per messageId. What PostgreSQL cannot store is lost, though the sender is told "queued" (§9.14).
---@param target Workspace
---@param source string?
---@param value table
function inbox.receive(target, source, value)
  if not store.latest() then
    host.after(store.config.insert_delay_ms, function()
      if store.find(target.id) == target then insert(target, source, value) end
    end)
    return
  end
  local id = envelope.message_id(value)
  if not id then return insert(target, source, value) end
  if target.by_message[id] then
    if envelope.method(value) == "message/send" then announce_again(target, source, value, id) end
    return
  end
  target.by_message[id] = true
  insert(target, source, value)
end

return inbox
