--- The activity log of a workspace: rows ordered by (created_at, seq), found by id, read as pages (§2, §4).
---
--- A row keeps the text that a page shows and the few columns that pages are filtered by.

local host = require "molecule.emulator.host"
local json = require "molecule.json"
local events = require "molecule.emulator.events"
local store = require "molecule.emulator.store"
local time = require "molecule.emulator.time"

local rows = {}

local SEQ_STEP = 10 -- a sequence has gaps; late rows fit into them
local NULLABLE = { "source_id", "target_id", "method", "summary", "duration_ms", "error_detail" }
local last_seq = 0

function rows.reset()
  last_seq = 0
end

---Whether PostgreSQL could store the JSON text: it has no U+0000 (§9.14).
---@param text string
---@return boolean
function rows.storable(text)
  local from = 1
  while true do
    local at = text:find("\\u0000", from, true)
    if not at then return true end
    local slashes = text:sub(1, at):match "\\+$"
    if #slashes % 2 == 1 then return false end
    from = at + 1
  end
end

---The first position whose row is not before (us, seq).
local function lower_bound(list, us, seq)
  local low, high = 1, #list + 1
  while low < high do
    local middle = (low + high) // 2
    local row = list[middle]
    if row.us < us or row.us == us and row.seq < seq then low = middle + 1 else high = middle end
  end
  return low
end

local function place(workspace, row)
  local list = workspace.rows
  local last = list[#list]
  if not last or last.us < row.us or last.us == row.us and last.seq < row.seq then
    list[#list + 1] = row
  else
    table.insert(list, lower_bound(list, row.us, row.seq), row)
  end
  workspace.index[row.id] = row
end

local function text_of(columns, omit)
  for _, name in ipairs(NULLABLE) do
    if columns[name] == nil then columns[name] = json.null end
  end
  for _, name in ipairs(omit or {}) do columns[name] = nil end
  return assert(json.encode(columns, { sort = true }))
end

local function known(value)
  return value ~= json.null and value or nil
end

---Tells the event stream about a row, which it does not name (§1.18).
---@param workspace Workspace
---@param columns table
---@param message_id string?
function rows.announce(workspace, columns, message_id)
  events.publish(workspace, "ACTIVITY_LOGGED", {
    activity_type = columns.activity_type, method = columns.method, summary = columns.summary,
    status = columns.status, source_id = columns.source_id, target_id = columns.target_id,
    duration_ms = columns.duration_ms, tool_trace = columns.tool_trace, request_body = columns.request_body,
    response_body = columns.response_body, error_detail = known(columns.error_detail), message_id = message_id,
  })
end

---Adds a row and announces it on the event stream.
---@param workspace Workspace
---@param columns table those of §2.1 except id, workspace_id, created_at and seq; owned from then on
---@param options {id: string?, us: integer?, seq: integer?, override: table?, omit: string[]?, raw: string?,
---  message_id: string?, silent: boolean?, keep: boolean?}? message_id: for the event; silent: there is none; keep: for amend
---@return table row
function rows.insert(workspace, columns, options)
  options = options or {}
  last_seq = last_seq + SEQ_STEP
  local row = { id = options.id or host.uuid(), us = options.us or time.now(), seq = options.seq or last_seq,
    copies = 1 }
  columns.id, columns.workspace_id, columns.created_at = row.id, workspace.id, time.format(row.us)
  columns.status = columns.status or "ok"
  if store.latest() then columns.seq = row.seq end
  for name, value in pairs(options.override or {}) do columns[name] = value end
  row.type, row.source_id, row.target_id = columns.activity_type, known(columns.source_id), known(columns.target_id)
  row.text = options.raw or text_of(columns, options.omit)
  row.columns = options.keep and columns or nil
  place(workspace, row)
  if not options.silent then rows.announce(workspace, columns, options.message_id) end
  for check in pairs(workspace.row_waiters or {}) do check() end
  return row
end

---Puts a row back that an earlier run had.
---@param workspace Workspace
---@param row table
function rows.restore(workspace, row)
  last_seq = math.max(last_seq, row.seq)
  place(workspace, row)
end

---Changes columns of a row that was inserted with `keep`.
---@param row table
---@param changes table
function rows.amend(row, changes)
  for name, value in pairs(changes) do row.columns[name] = value end
  row.text = text_of(row.columns)
end

---Calls back once the workspace has that many rows (true), or after the timeout (false).
---@param workspace Workspace
---@param count integer
---@param timeout_ms integer
---@param done fun(reached: boolean)
function rows.wait(workspace, count, timeout_ms, done)
  local waiters = workspace.row_waiters or {}
  workspace.row_waiters = waiters
  local check
  function check(expired)
    if not waiters[check] or #workspace.rows < count and not expired then return end
    waiters[check] = nil
    done(#workspace.rows >= count)
  end
  waiters[check] = true
  check()
  if waiters[check] then host.after(timeout_ms, function() check(true) end) end
end

---@class Reading
---@field limit integer
---@field cursor table? a row: what comes strictly after it, oldest first; without one newest first
---@field type string?
---@field source "canvas"|"agent"|nil
---@field since_us integer?
---@field before_us integer?
---@field peer string?

local function wanted(row, reading)
  return (not reading.type or row.type == reading.type)
    and (not reading.source or (reading.source == "canvas") == (row.source_id == nil))
    and (not reading.since_us or row.us >= reading.since_us)
    and (not reading.before_us or row.us < reading.before_us)
    and (not reading.peer or row.source_id == reading.peer or row.target_id == reading.peer)
end

---@param workspace Workspace
---@param reading Reading
---@return table[] rows
function rows.page(workspace, reading)
  local list, page = workspace.rows, {}
  local from, to, step = #list, 1, -1
  local cursor = reading.cursor
  if cursor then
    -- T1 compares created_at alone, so rows in the cursor's microsecond are never seen (§4.2).
    from = lower_bound(list, cursor.us, store.latest() and cursor.seq + 1 or math.maxinteger)
    to, step = #list, 1
  end
  for i = from, to, step do
    local row = list[i]
    if step < 0 and reading.since_us and row.us < reading.since_us then break end
    if wanted(row, reading) then
      for _ = 1, row.copies do
        if #page < reading.limit then page[#page + 1] = row end
      end
      if #page >= reading.limit then break end
    end
  end
  return page
end

---A place before the last row, for a row that was stamped before it became visible.
---@param workspace Workspace
---@return integer? us, integer? seq
function rows.before_last(workspace)
  local last = workspace.rows[#workspace.rows]
  if not last then return nil end
  workspace.late = (workspace.late or 0) % (SEQ_STEP - 1) + 1
  return last.us - 1, last.seq - workspace.late
end

---@param workspace Workspace
---@param doomed fun(row: table): boolean
---@return integer removed
function rows.prune(workspace, doomed)
  local kept, removed = {}, 0
  for _, row in ipairs(workspace.rows) do
    if doomed(row) then
      removed = removed + 1
      workspace.index[row.id] = nil
    else
      kept[#kept + 1] = row
    end
  end
  workspace.rows = kept
  return removed
end

return rows
