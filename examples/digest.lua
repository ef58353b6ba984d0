--- A morning digest: what peers report during the day is kept, and the human in the canvas gets it in one message at eight.
--- `now` sends it at once.
---
---   molecule connect <workspace-id> --script examples/digest.lua --script-opt "at=0 8 * * *" --script-opt timezone=Europe/Berlin
local molecule = require "molecule"
local store = molecule.store

local MOST = 200 -- reports kept for a digest

--- The digest's text, and nothing is kept any more; nil: nothing was reported.
local function collect()
  local reports = store.get "reports" or {}
  if #reports == 0 then return nil end
  store.delete "reports"
  local lines = {}
  for i, report in ipairs(reports) do lines[i] = ("- %s: %s"):format(report.from, report.text) end
  return ("%d report%s:\n%s"):format(#reports, #reports == 1 and "" or "s", table.concat(lines, "\n"))
end

local function tell_the_human()
  local text = collect()
  if not text then return molecule.skip "nothing was reported" end
  assert(molecule.notify("Good morning. " .. text)) -- else the reports stay, and it is told again
end

return {
  name = "digest",
  description = "keeps reports and tells them in the morning",

  start = function(ctx)
    molecule.cron(ctx.options.at or "0 8 * * *", tell_the_human, {name = "digest", timezone = ctx.options.timezone})
  end,

  handle = function(msg)
    if msg.from == "canvas" then
      if not msg.text:match "^%s*[Nn]ow%s*$" then return "I keep what peers report. `now` shows it before the morning." end
      return collect() or "Nothing was reported."
    end
    store.append("reports", {from = msg.peer.name or msg.from, text = msg.text}, {max = MOST})
    return "It will be in the next digest."
  end,
}
