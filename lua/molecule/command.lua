--- What backends that run a command share.
local core = require "molecule.core"
local molecule = require "molecule"

local command = {}

local QUOTED = 1024 -- bytes of a failing command's standard error

--- Raises an error where the sandbox would refuse every message.
function command.check_sandbox(name)
  if core.sandbox then
    error(("backend %s runs programs, which --sandbox forbids: use one or the other"):format(name), 0)
  end
end

--- The variables that tell a command about a message.
function command.meta(msg, ctx)
  return {
    MOLECULE_WORKSPACE_ID = ctx.workspace,
    MOLECULE_CALLER_ID = msg.peer and msg.peer.id or "",
    MOLECULE_MESSAGE_ID = msg.message_id or msg.id,
    MOLECULE_TASK_ID = msg.task_id or "",
    MOLECULE_METHOD = msg.method or "",
  }
end

local function quote(name, text)
  text = text:sub(-QUOTED):gsub("%s+$", "")
  return text ~= "" and ("; its standard %s ends with:\n%s"):format(name, text) or ""
end

--- Runs `request` (as molecule.exec takes it) and returns its output; or nil, what is wrong, with the end of its standard
--- error, and the output anyway. `last_word`: if it keeps running after printing this, it is ended soon.
function command.try(what, request, last_word)
  local result, problem, code, partial
  if last_word then
    result, problem, code, partial = core.exec_until(request, last_word)
  else
    result, problem, code, partial = molecule.exec(request)
  end
  local said = result or partial or {stderr = "", stdout = ""}
  local quoted = quote("error", said.stderr)
  if quoted == "" then quoted = quote("output", said.stdout) end
  if not result then return nil, ("%s: %s [%s]%s"):format(what, problem, code, quoted), said.stdout end
  if result.signal then return nil, ("%s: ended by signal %d%s"):format(what, result.signal, quoted), said.stdout end
  if result.code ~= 0 then return nil, ("%s: exit code %d%s"):format(what, result.code, quoted), said.stdout end
  if result.truncated then return nil, what .. ": its output is larger than a reply can be", said.stdout end
  return result.stdout
end

--- The same, but raises the error.
function command.run(what, request)
  local output, problem = command.try(what, request)
  if not output then error(problem, 0) end
  return output
end

return command
