--- Every request that the platform received, and who waits for one to arrive.

local host = require "molecule.emulator.host"
local json = require "molecule.json"

local ENTRIES_MAXIMUM = 200000
local BYTES_MAXIMUM = 256 << 20
local BODY_MAXIMUM = 65536
local ENTRY_COST = 2000 -- bytes, a guess at what an entry costs besides its body

local journal = {}

local entries, first, last, bytes = {}, 1, 0, 0
local waiters = {}

---Forgets the entries; the numbering continues.
function journal.reset()
  entries, first, bytes = {}, last + 1, 0
end

---@return integer entries, integer last
function journal.size()
  return last - first + 1, last
end

---@param request Request
---@return table entry
function journal.add(request)
  last = last + 1
  local body = request.body
  local entry = {
    n = last, at = host.monotonic_ms(), method = request.method, path = request.path, query = request.query,
    headers = request.headers, body = body,
    workspace = request.path:match "^/workspaces/([^/]+)" or request.path:match "^/registry/([^/]+)/",
  }
  if #body > BODY_MAXIMUM then
    entry.body, entry.body_length = body:sub(1, BODY_MAXIMUM), #body
  end
  request.entry = entry
  entries[last] = entry
  bytes = bytes + #entry.body + ENTRY_COST
  while last - first >= ENTRIES_MAXIMUM or bytes > BYTES_MAXIMUM and first < last do
    bytes = bytes - #entries[first].body - ENTRY_COST
    entries[first] = nil
    first = first + 1
  end
  return entry
end

local function matches(filter, entry)
  if entry.n <= filter.since then return false end
  if filter.method and entry.method ~= filter.method then return false end
  if filter.status and entry.status ~= filter.status then return false end
  if filter.workspace and entry.workspace ~= filter.workspace then return false end
  if filter.path and not journal.path_matches(entry.path, filter.path) then return false end
  return not filter.body or entry.body:find(filter.body, 1, true) ~= nil
end

---@param path string
---@param wanted string a plain part of it, or a Lua pattern
---@return boolean
function journal.path_matches(path, wanted)
  if path:find(wanted, 1, true) then return true end
  local fine, found = pcall(string.find, path, wanted)
  return fine and found ~= nil
end

local function answer(waiter, status)
  waiter.done = true
  waiter.request:json(status, { entries = json.array(waiter.matched), last = last })
  waiter.matched, waiter.request = nil, nil
end

---Shows an entry to those who wait. An entry may be offered twice: before it has a status, and after.
---@param entry table
function journal.offer(entry)
  if #waiters == 0 then return end
  local left = {}
  for _, waiter in ipairs(waiters) do
    if not waiter.done and not waiter.seen[entry.n] and matches(waiter.filter, entry) then
      waiter.seen[entry.n] = true
      waiter.matched[#waiter.matched + 1] = entry
      if #waiter.matched >= waiter.count then answer(waiter, 200) end
    end
    if not waiter.done then left[#left + 1] = waiter end
  end
  waiters = left
end

---The request was answered, or its answer was withheld (status 0).
---@param entry table
---@param status integer
function journal.finish(entry, status)
  entry.status = status
  entry.done_at = host.monotonic_ms()
  journal.offer(entry)
end

---@param since integer
---@return table[] entries those with a greater number
function journal.after(since)
  local found = {}
  for n = math.max(since + 1, first), last do found[#found + 1] = entries[n] end
  return found
end

---Answers the request with {entries, last} as soon as `count` entries match; with 408 after the timeout.
---@param request Request
---@param filter {since: integer, method: string?, path: string?, status: integer?, body: string?, workspace: string?}
---@param count integer
---@param timeout_ms integer
function journal.wait(request, filter, count, timeout_ms)
  local waiter = { request = request, handle = request.handle, filter = filter, count = count, matched = {}, seen = {} }
  for n = math.max(filter.since + 1, first), last do
    local entry = entries[n]
    if matches(filter, entry) then
      waiter.matched[#waiter.matched + 1] = entry
      waiter.seen[n] = true
    end
  end
  if #waiter.matched >= count then return answer(waiter, 200) end
  waiters[#waiters + 1] = waiter
  host.after(timeout_ms, function()
    if not waiter.done then answer(waiter, 408) end
  end)
end

---The client of a wait went away.
---@param handle userdata
function journal.forget(handle)
  for _, waiter in ipairs(waiters) do
    if waiter.handle == handle then waiter.done = true end
  end
end

return journal
