--- Observers of what is said through the emulator: its terminal, the playground.
---
--- Events: {kind = "message", workspace, source? (an id; nil: the canvas), row, value} a message came into an inbox;
--- {kind = "notice", workspace, body, value} a workspace said something to the human; {kind = "sent", source, target, body,
--- value} a workspace sent something to another, whether that has an inbox here or not. {kind =
--- "pushed", workspace, row_id, source?, url, headers (without the secret), body, status?, answer?, problem?, took_ms, again?} a
--- message was posted to the workspace of `molecule dev --mode push` (again: it will be once more). {kind =
--- "answered", request, status, body, lost?} a request has its answer (lost: it is not delivered). {kind = "changed"} a control
--- request or a fault changed something.
---
--- What the host of `molecule dev` reports, as include/molecule/event.h explains it: {kind = "script", reason?},
--- {kind = "attempt", row_id, attempt, schedule?, principal?, text?}, {kind = "msg", row_id, text (JSON, may be cut)},
--- {kind = "log", row_id?, level, text},
--- {kind = "asked", row_id?, what, key?, text?, call? (JSON), took_ms}, {kind = "told", row_id?, what, key?, reason?, wall_ms},
--- {kind = "ended", row_id, attempt, outcome, reason?, traceback?, wall_ms, cpu_ms, memory_bytes}, {kind = "later", row_id,
--- again_ms, reason?}, {kind = "answer", row_id, text (JSON)}, {kind = "finished", row_id, outcome, reason?},
--- {kind = "exchange", text (JSON)}.
--- {kind = "host", running, reason?}: it was killed, or runs again.

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
