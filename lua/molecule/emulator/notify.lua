--- A workspace's messages to the human in the canvas (§1.9). Each leaves an echo in the workspace's own inbox.

local json = require "molecule.json"
local events = require "molecule.emulator.events"
local rows = require "molecule.emulator.rows"
local store = require "molecule.emulator.store"
local watch = require "molecule.emulator.watch"

local notify = {}

local SUMMARY_LENGTH = 80

local function nonempty(value)
  return type(value) == "string" and value ~= ""
end

local function file_parts(attachments)
  if type(attachments) ~= "table" or #attachments == 0 then return nil end
  local parts = json.array {}
  for _, file in ipairs(attachments) do
    parts[#parts + 1] = { kind = "file", file = { uri = file.uri, name = file.name, mimeType = file.mimeType,
      size = file.size } }
  end
  return parts
end

-- T1 counts bytes, later versions characters (§12).
local function summary_of(message)
  local preview = message
  if not store.latest() then
    if #message > SUMMARY_LENGTH then preview = message:sub(1, SUMMARY_LENGTH) .. "…" end
  else
    local cut = utf8.offset(message, SUMMARY_LENGTH + 1)
    if cut and cut <= #message then preview = message:sub(1, cut - 1) .. "…" end
  end
  return "Agent message: " .. preview
end

local function send(request)
  local value, workspace = request:object(), request.workspace
  if not value or not nonempty(value.message) then return request:fail(400, "message is required") end
  if workspace.status == "removed" then return request:fail(404, "workspace not found") end
  local attachments = type(value.attachments) == "table" and value.attachments or {}
  for i, file in ipairs(attachments) do
    if type(file) ~= "table" or not nonempty(file.uri) or not nonempty(file.name) then
      return request:fail(400, ("attachment[%d]: uri and name are required"):format(i - 1))
    end
  end
  events.publish(workspace, "AGENT_MESSAGE", { message = value.message, workspace_id = workspace.id,
    name = workspace.name, attachments = #attachments > 0 and attachments or nil })
  watch.tell { kind = "notice", workspace = workspace, body = request.body, value = value }
  local summary = summary_of(value.message)
  -- PostgreSQL refuses a summary cut within a character (T1) and U+0000; the message was shown, its row is lost.
  if utf8.len(summary) and not value.message:find("\0", 1, true) then
    rows.insert(workspace, { activity_type = "a2a_receive", method = "notify", summary = summary,
      response_body = { result = value.message, parts = file_parts(attachments) } }, { silent = true })
  end
  request:json(200, { status = "sent" })
end

---@param router table see router.new
function notify.routes(router)
  router:add("POST", "/workspaces/:id/notify", send, { auth = true })
end

return notify
