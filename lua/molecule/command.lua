--- What backends that run a command share.
local molecule = require "molecule"

local command = {}

local STDERR_SHOWN = 1024 -- bytes quoted of what a failing command complained about

--- The variables a command may want to know of a message.
function command.meta(msg, ctx)
  return {
    MOLECULE_WORKSPACE_ID = ctx.workspace,
    MOLECULE_CALLER_ID = msg.peer and msg.peer.id or "",
    MOLECULE_MESSAGE_ID = msg.message_id or msg.id,
    MOLECULE_TASK_ID = msg.task_id or "",
    MOLECULE_METHOD = msg.method or "",
  }
end

--- Runs `request` (as molecule.exec takes it) and returns its output; raises an error that quotes the end of stderr.
function command.run(what, request)
  local result, problem, code, partial = molecule.exec(request)
  local stderr = (result or partial or {stderr = ""}).stderr
  local quoted = stderr:sub(-STDERR_SHOWN):gsub("%s+$", "")
  if quoted ~= "" then quoted = "; its standard error ends with:\n" .. quoted end
  if not result then error(("%s: %s [%s]%s"):format(what, problem, code, quoted), 0) end
  if result.signal then error(("%s: ended by signal %d%s"):format(what, result.signal, quoted), 0) end
  if result.code ~= 0 then error(("%s: exit code %d%s"):format(what, result.code, quoted), 0) end
  if result.truncated then error(what .. ": its output is larger than a reply can be", 0) end
  return result.stdout
end

return command
