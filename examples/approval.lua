--- Approval before a dangerous command: a peer asks to restart a service, and nothing happens until the human in the canvas
--- says yes. The question survives restarts of the host, and its answer is used once. The command is a step: once its result is
--- recorded it does not run again, whatever happens to the host.
---
---   from a peer, or in the canvas:   restart web
---   then, in the canvas:             yes      no      (or "K7QD yes", if more than one question is open)
---   or from the shell:               molecule answer <workspace-id> K7QD yes
---
---   molecule connect <workspace-id> --script examples/approval.lua --script-opt services=web,db
local molecule = require "molecule"

local PATIENCE = "1h" -- until a question expires

local function is_known(service, ctx)
  for name in (ctx.options.services or "web"):gmatch "[^,%s]+" do
    if name == service then return true end
  end
  return false
end

local function restart(service)
  local result, problem = molecule.exec {argv = {"systemctl", "restart", service}, timeout = "60s", step = "restart"}
  if not result then return ("%s could not be restarted: %s"):format(service, problem) end
  if result.code ~= 0 then return ("restarting %s failed with code %d: %s"):format(service, result.code, result.stderr) end
  return ("%s was restarted"):format(service)
end

local router = molecule.router {name = "approval", description = "restarts services, if a human agrees"}

router:on("^[Rr]estart (%S+)$", "restart <service>", function(msg, ctx, service)
  if not is_known(service, ctx) then return ("I may not restart %s."):format(service) end
  local who = msg.peer and (msg.peer.name or msg.from) .. " asks" or "You ask"
  local answer, _, code = ctx.ask(("%s to restart %s. May I?"):format(who, service),
    {from = "canvas", choices = {"yes", "no"}, timeout = PATIENCE})
  if code == "TIMEOUT" then return ("%s stays as it is: nobody agreed within %s."):format(service, PATIENCE) end
  if not answer then return ("%s stays as it is: nobody could be asked (%s)."):format(service, code) end
  if answer.choice == "no" then return ("%s stays as it is: the answer was no."):format(service) end
  return restart(service)
end)

return router
