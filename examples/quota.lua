--- An API that allows few requests: never more than the budget in a minute, counted over all conversations and restarts; what
--- the service asks to wait is waited, and the message keeps its place.
---
---   molecule connect <workspace-id> --script examples/quota.lua --script-opt url=https://api.example.com/search
---
--- --script-opt budget=10 allows fewer than 30 requests a minute.
local molecule = require "molecule"
local store = molecule.store

--- true: one more request is within the budget; else seconds until the next minute.
local function take(budget)
  local minute = molecule.now() // 60
  local used = store.incr(("used:%d"):format(minute), 1, {ttl = "2m"})
  if used <= budget then return true end
  return nil, math.max(1, (minute + 1) * 60 - molecule.now())
end

return {
  name = "quota",
  description = "asks a service that allows few requests",
  concurrency = 4,

  start = function(ctx)
    if not ctx.options.url then error("quota.lua needs --script-opt url=https://…", 0) end
  end,

  handle = function(msg, ctx)
    local allowed, wait = take(tonumber(ctx.options.budget) or 30)
    if not allowed then
      return molecule.retry {after = wait, hold = true, reason = "the budget of this minute is spent"}
    end
    local answer, problem, code = molecule.http.get(ctx.options.url, {query = {q = msg.text}, timeout = 20})
    if not answer then return molecule.retry {after = 5, hold = true, reason = ("%s [%s]"):format(problem, code)} end
    if answer.status == 429 or answer.status == 503 then
      local after = tonumber(answer.headers["retry-after"]) or 30
      return molecule.retry {after = math.min(after, 3600), hold = true, reason = "the service asks to wait"}
    end
    if answer.status ~= 200 then return ("The service refuses this (%d)."):format(answer.status) end
    return answer.body
  end,
}
