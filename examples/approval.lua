--- Approval before a dangerous command: a peer asks to restart a service, and nothing happens until the human in the canvas
--- says yes. What waits is in molecule.store, so that it survives a restart of the host; a question is asked once, and a yes
--- is used up by what it allows. The command is a step: once its result is recorded it does not run again, whatever happens to
--- the host.
---
---   from a peer:      restart web
---   in the canvas:    yes 7F3K      no 7F3K      waiting
---
---   molecule connect <workspace-id> --script examples/approval.lua --script-opt services=web,db
local molecule = require "molecule"
local store = molecule.store

local PATIENCE = 3600 -- seconds until a question expires

local function is_known(service, ctx)
  for name in (ctx.options.services or "web"):gmatch "[^,%s]+" do
    if name == service then return true end
  end
  return false
end

--- Four letters and digits that a human can type: the same for a message however often it is handled.
local function code_of(id)
  return id:gsub("%-", ""):sub(1, 4):upper()
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
  local code = code_of(msg.id)
  store.set("waiting:" .. code, {service = service, from = msg.from, name = msg.peer and msg.peer.name}, {ttl = PATIENCE})
  local who = msg.peer and (msg.peer.name or msg.from) .. " asks" or "You ask"
  molecule.notify(("%s to restart %s. Answer `yes %s` or `no %s` within an hour."):format(who, service, code, code))
  return ("A human has been asked (%s)."):format(code)
end)

--- What waits under this code, which is used up by it; nil and the reason.
local function take(msg, code)
  if msg.from ~= "canvas" then return nil, "Only the human in the canvas decides." end
  local key = "waiting:" .. code:upper()
  local asked = store.get(key)
  if not asked then return nil, ("Nothing waits under %s: it was decided, or it expired."):format(code:upper()) end
  store.delete(key)
  return asked
end

local function tell(asked, text)
  if asked.from ~= "canvas" then molecule.send(asked.from, text, {timeout = 0}) end
  return text
end

router:on("^[Yy]es (%w+)$", "yes <code>", function(msg, _, code)
  local asked, problem = take(msg, code)
  if not asked then return problem end
  return tell(asked, restart(asked.service))
end)

router:on("^[Nn]o (%w+)$", "no <code>", function(msg, _, code)
  local asked, problem = take(msg, code)
  if not asked then return problem end
  return tell(asked, ("%s stays as it is: the human said no."):format(asked.service))
end)

router:on("^[Ww]aiting$", "waiting", function()
  local lines = {}
  for _, key in ipairs(store.keys "waiting:") do
    local asked = store.get(key)
    if asked then lines[#lines + 1] = ("%s: restart %s"):format(key:sub(#"waiting:" + 1), asked.service) end
  end
  return #lines > 0 and table.concat(lines, "\n") or "Nothing waits."
end)

return router
