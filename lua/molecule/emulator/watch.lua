--- Observers of what is said through the emulator, such as its terminal.
---
--- Events: {kind = "message", workspace, source? (an id; nil: the canvas), row, value} a message came into an inbox;
--- {kind = "notice", workspace, body, value} a workspace said something to the human; {kind = "sent", source, target, body,
--- value} a workspace sent something to another, whether that has an inbox here or not.

local watch = {}

local watchers = {}

---@param watcher fun(event: table)
function watch.add(watcher)
  watchers[#watchers + 1] = watcher
end

---@param event table
function watch.tell(event)
  for _, watcher in ipairs(watchers) do watcher(event) end
end

return watch
