--- What the playground's page is told of: items, each with the version of its last change, in the order of these.
---
--- An item that changes moves to the end, so whoever knows all up to a version needs only what comes after it, and no history is
--- kept.

local host = require "molecule.emulator.host"

local changes = {}

local FLUSH_MS = 10 -- what changes often is told once

local first, last       -- the list, linked by `earlier` and `later`
local version = 0
local planned, listeners = false, {}

---@class Item
---@field version integer
---@field earlier Item?
---@field later Item?
---@field gone boolean? it was removed

local function unlink(item)
  if item.earlier then item.earlier.later = item.later elseif first == item then first = item.later end
  if item.later then item.later.earlier = item.earlier elseif last == item then last = item.earlier end
  item.earlier, item.later = nil, nil
end

local function flush()
  planned = false
  for _, listener in ipairs(listeners) do listener() end
end

---The item is new, or has changed.
---@param item Item
function changes.touch(item)
  if item.gone then return end
  unlink(item)
  version = version + 1
  item.version = version
  item.earlier, last = last, item
  if item.earlier then item.earlier.later = item else first = item end
  if not planned then
    planned = true
    host.after(FLUSH_MS, flush)
  end
end

---@param item Item
function changes.remove(item)
  item.gone = true
  unlink(item)
end

---Forgets all items; the numbering continues.
function changes.reset()
  first, last = nil, nil
end

---@return integer version the last one
function changes.version()
  return version
end

---@param since integer
---@return Item? item the first one that changed after this version
function changes.after(since)
  if not last or last.version <= since then return nil end
  if since == 0 then return first end
  local item = last
  while item.earlier and item.earlier.version > since do item = item.earlier end
  return item
end

---@param listener fun() called soon after a change
function changes.listen(listener)
  listeners[#listeners + 1] = listener
end

return changes
