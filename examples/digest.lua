--- A morning digest: what peers report during the day is kept, and the human in the canvas gets it in one message at eight.
--- `now` sends it at once.
---
---   molecule connect <workspace-id> --script examples/digest.lua --script-opt hour=8
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

--- Once a day, in the first minute that finds the hour reached; `sent` is the day of the last one.
local function send_if_due(ctx)
  local now = os.date("*t", molecule.now() // 1)
  local today = ("%04d-%02d-%02d"):format(now.year, now.month, now.day)
  if now.hour < (tonumber(ctx.options.hour) or 8) or store.get "sent" == today then return end
  store.set("sent", today)
  local text = collect()
  if text then molecule.notify("Good morning. " .. text) end
end

return {
  name = "digest",
  description = "keeps reports and tells them in the morning",

  start = function()
    molecule.every("1m", send_if_due)
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
