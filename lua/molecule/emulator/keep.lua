--- What `molecule dev --keep DIR` knows over a restart: the platform's workspaces with their tokens, rows and files, and what the
--- playground shows of the session. A file of JSON lines, to which changes are added; a line replaces an earlier one of the same
--- name, and one without a value removes it. At the start it is read and written again without what was replaced.
---
---   {"workspace": id, "value": {…}}    {"row": id, "value": {…}}    {"file": id, "value": {…}}    {"item": n, "value": {…}}
---   {"family": id}                     the parent of the workspaces that were made here

local host = require "molecule.emulator.host"
local json = require "molecule.json"
local rows = require "molecule.emulator.rows"
local store = require "molecule.emulator.store"

local keep = {}

local SAVE_MS = 500
local COMPACT_LEAST = 32 << 20 -- bytes that are added before the file is written again
-- of a workspace: kept apart, or of the moment
local APART = { rows = true, index = true, by_message = true, uploads = true, row_waiters = true, heartbeats = true,
  last_heartbeat_us = true, active_tasks = true, uptime_seconds = true, registrations = true, current_task = true }

local path
local written = {}       -- "row <id>" -> the text of its last line
local before, known = {}, {}
local items              -- the playground's record: {each(), save(item) -> table, load(n, table)}
local planned, broken = false, false
local whole, added = 0, 0 -- bytes: as it was last written again, and since then; huge: something is not there

local function value_of_workspace(workspace)
  local value = {}
  for name, field in pairs(workspace) do
    if not APART[name] and type(field) ~= "function" then value[name] = field end
  end
  value.by_message = next(workspace.by_message) and workspace.by_message or nil
  return value
end

local function value_of_row(workspace, row)
  return { workspace = workspace.id, us = row.us, seq = row.seq, copies = row.copies, type = row.type, source_id = row.source_id,
    target_id = row.target_id, text = row.text, columns = row.columns }
end

local function value_of_file(workspace, file)
  return { workspace = workspace.id, name = file.name, mime = file.mime, acked = file.acked,
    content = host.base64_encode(file.content) }
end

-- Adds the line unless it stands already. `same`: a cheaper sign than the text that nothing has changed.
local function note(lines, kind, id, value, same)
  local name = kind .. " " .. id
  known[name] = true
  if same and written[name] == same then return end
  local text = assert(json.encode({ [kind] = id, value = value() }, { sort = true }))
  if written[name] == (same or text) then return end
  written[name] = same or text
  lines[#lines + 1] = text .. "\n"
end

local function collect()
  local lines = {}
  before, known = known, {}
  if store.parent_id then note(lines, "family", store.parent_id, function() return true end, "family") end
  for place, workspace in ipairs(store.order) do
    note(lines, "workspace", workspace.id, function()
      local value = value_of_workspace(workspace)
      value.place = place
      return value
    end)
    for _, row in ipairs(workspace.rows) do
      local same = row.copies == 1 and row.text or row.text .. row.copies
      note(lines, "row", row.id, function() return value_of_row(workspace, row) end, same)
    end
    for id, file in pairs(workspace.uploads) do
      note(lines, "file", id, function() return value_of_file(workspace, file) end, tostring(file.acked))
    end
  end
  for item in items.each() do
    note(lines, "item", item.n, function() return items.save(item) end, "version " .. item.version)
  end
  for name in pairs(before) do
    if not known[name] then
      local kind, id = name:match "^(%l+) (.*)$"
      written[name] = nil
      lines[#lines + 1] = json.encode { [kind] = kind == "item" and math.tointeger(tonumber(id)) or id } .. "\n"
    end
  end
  return table.concat(lines)
end

-- The file may end in half a line: the next time all of it is written.
local function complain(problem)
  added = math.huge
  if not broken then host.print(("-- the session cannot be kept in %s: %s"):format(path, problem)) end
  broken = true
end

-- Writes all of it.
local function rewrite(to)
  written, known = {}, {}
  local text = collect()
  local done, problem = host.replace_file(to, text)
  whole, added = #text, done and 0 or math.huge
  return done, problem
end

---Writes what has changed.
function keep.save()
  if not path then return end
  if added > math.max(COMPACT_LEAST, whole) then
    local done, problem = rewrite(path)
    if not done then return complain(problem) end
    if broken then host.print(("-- the session is kept in %s again"):format(path)) end
    broken = false
    return
  end
  local text = collect()
  if text == "" then return end
  added = added + #text
  local file, problem = io.open(path, "r+b") -- it is there, and stays private
  if not file then return complain(problem) end
  file:seek "end"
  local done, why = file:write(text)
  local closed, reason = file:close()
  if not done or not closed then return complain(why or reason) end
  broken = false
end

-- Polls and heartbeats change nothing that is kept.
local function matters(event)
  return event.kind ~= "answered" or event.request.method ~= "GET" and event.request.path ~= "/registry/heartbeat"
end

---Something has happened, see watch.lua: what it changed is written soon.
---@param event table
function keep.hear(event)
  if planned or not matters(event) then return end
  planned = true
  host.after(SAVE_MS, function()
    planned = false
    keep.save()
  end)
end

local restore = {}

function restore.family(id)
  store.parent_id = id
end

function restore.workspace(id, value)
  local workspace = store.find(id) or store.create(id)
  value.place = nil
  for name, field in pairs(value) do workspace[name] = field end
  for text in pairs(workspace.tokens) do store.owners[text] = workspace end
end

function restore.row(id, value)
  local workspace = store.find(value.workspace)
  if not workspace then return end
  value.id, value.workspace = id, nil
  rows.restore(workspace, value)
end

function restore.file(id, value)
  local workspace = store.find(value.workspace)
  if workspace then
    workspace.uploads[id] = { name = value.name, mime = value.mime, acked = value.acked,
      content = host.base64_decode(value.content) or "" }
  end
end

function restore.item(n, value)
  items.load(n, value)
end

local KINDS = { "family", "workspace", "row", "file", "item" }

-- The last value of everything, by kind: lists of {id, value}, in the order in which they first came.
local function read(file)
  local found, place = {}, {}
  for _, kind in ipairs(KINDS) do found[kind] = {} end
  for line in file:lines() do
    local value = json.decode(line) -- nil: cut off where the process was killed
    for _, kind in ipairs(type(value) == "table" and KINDS or {}) do
      local id = value[kind]
      local name = id and kind .. " " .. id
      if name and value.value == nil and place[name] then
        place[name].value, place[name] = nil, nil
      elseif name and place[name] then
        place[name].value = value.value
      elseif name and value.value ~= nil then
        place[name] = { id = id, value = value.value }
        table.insert(found[kind], place[name])
      end
    end
  end
  return found
end

local function restore_all(file_path)
  local file = io.open(file_path, "rb")
  if not file then return end -- the first run
  local found = read(file)
  file:close()
  table.sort(found.item, function(a, b) return a.id < b.id end)
  for _, kind in ipairs(KINDS) do
    for _, one in ipairs(found[kind]) do
      if one.value ~= nil then restore[kind](one.id, one.value) end
    end
  end
end

---Reads what an earlier run kept, and keeps this one.
---@param file_path string
---@param record {each: (fun(): fun(): Item?), save: (fun(item: Item): table), load: fun(n: integer, value: table)}
---@return boolean done, string? problem
function keep.start(file_path, record)
  items = record
  local fine, why = pcall(restore_all, file_path)
  if not fine then
    return false, ("%s cannot be read: %s; move it away to begin without the earlier session"):format(file_path, why)
  end
  local done, problem = rewrite(file_path)
  if not done then return false, problem end
  path = file_path
  return true
end

return keep
