--- Files that wait for a poll workspace to fetch them (§1.16, since 2026-05-05).

local host = require "molecule.emulator.host"
local json = require "molecule.json"
local multipart = require "molecule.emulator.multipart"
local rows = require "molecule.emulator.rows"
local store = require "molecule.emulator.store"

local uploads = {}

local NAME_MAXIMUM, ENDING_MAXIMUM = 100, 16

-- The last part of the path, safe for any file system; its extension is kept when it is cut.
local function sanitized(name)
  local base = name:gsub("/+$", ""):match "[^/]*$":gsub(utf8.charpattern, function(character)
    return character:match "^[%w._%-]$" or "_"
  end)
  if #base > NAME_MAXIMUM then
    local ending = base:match "%.[^.]*$" or ""
    if #ending > ENDING_MAXIMUM then ending = "" end
    base = base:sub(1, NAME_MAXIMUM - #ending) .. ending
  end
  return (base == "" or base == "." or base == "..") and "file" or base
end

---Stages a file and puts its row into the workspace's inbox.
---@param workspace Workspace
---@param name string
---@param mime string
---@param content string
---@return table described
function uploads.stage(workspace, name, mime, content)
  local id = host.uuid()
  name = sanitized(name)
  local uri = ("platform-pending:%s/%s"):format(workspace.id, id)
  workspace.uploads[id] = { name = name, mime = mime, content = content, acked = false }
  rows.insert(workspace, { activity_type = "a2a_receive", method = "chat_upload_receive",
    target_id = workspace.id, summary = "chat_upload_receive: " .. name,
    request_body = { file_id = id, name = name, mimeType = mime, size = #content, uri = uri } })
  return { uri = uri, name = name, mimeType = mime, size = #content }
end

local function upload(request)
  local workspace, maximum = request.workspace, store.config.upload_maximum
  if not store.latest() or workspace.delivery_mode ~= "poll" then
    return request:fail(503, "workspace url not registered yet")
  end
  local parts, problem = multipart.parse(request.headers["content-type"], request.body)
  if not parts then return request:fail(400, problem) end
  local files = json.array {}
  for _, part in ipairs(parts) do
    if part.name == "files" and part.filename and #part.content > maximum then
      return request:fail(413, "file exceeds per-file cap", { filename = part.filename, size = #part.content, max = maximum })
    end
  end
  for _, part in ipairs(parts) do
    if part.name == "files" and part.filename then
      files[#files + 1] = uploads.stage(workspace, part.filename, part.type or "application/octet-stream",
        part.content)
    end
  end
  if #files == 0 then return request:fail(400, "no files field in request") end
  request:json(200, { files = files })
end

local function find(request, gone)
  local id = request.parameters.file
  if not host.uuid_valid(id) then
    request:fail(400, "invalid file_id")
    return nil
  end
  local file = request.workspace.uploads[id:lower()]
  if not file then request:fail(404, gone) end
  return file
end

local function content(request)
  local file = find(request, "pending upload not found or expired")
  if not file then return end
  request:respond(200, file.content, { ["Content-Type"] = file.mime,
    ["Content-Disposition"] = ('attachment; filename="%s"; filename*=UTF-8\'\'%s'):format(file.name, file.name) })
end

local function ack(request)
  local file = find(request, "pending upload not found, expired, or already acked")
  if not file then return end
  file.acked = true
  request:json(200, { acked = true })
end

---@param router table see router.new
function uploads.routes(router)
  router:add("POST", "/workspaces/:id/chat/uploads", upload, { auth = true })
  router:add("GET", "/workspaces/:id/pending-uploads/:file/content", content, { auth = true, latest = true })
  router:add("POST", "/workspaces/:id/pending-uploads/:file/ack", ack, { auth = true, latest = true })
end

return uploads
