--- Hands every message to a web service and answers with what it says. A service that is busy or down is asked again later; if
--- it refuses the message, the sender is told, and it is not asked again.
---
---   molecule connect <workspace-id> --script examples/webhook.lua --script-opt url=https://example.com/hook
local molecule = require "molecule"

return {
  name = "webhook",
  description = "answers with what a web service says",
  concurrency = 8,

  start = function(ctx)
    if not ctx.options.url then error("webhook.lua needs --script-opt url=https://…", 0) end
  end,

  handle = function(msg, ctx)
    local answer, problem, code = molecule.http.post(ctx.options.url, {
      json = {id = msg.id, text = msg.text, from = msg.from, conversation = msg.conversation, attempt = ctx.attempt},
      timeout = 30,
    })
    if not answer then -- no connection, no answer in time
      return molecule.retry {after = 5, hold = true, reason = ("%s [%s]"):format(problem, code)}
    end
    if answer.status == 429 or answer.status >= 500 then
      local after = tonumber(answer.headers["retry-after"]) or 5
      return molecule.retry {after = math.max(1, math.min(after, 3600)), hold = true,
        reason = "the service answered " .. answer.status}
    end
    if answer.status < 200 or answer.status > 299 then
      return ("the service refuses this (%d): %s"):format(answer.status, answer.body:sub(1, 500))
    end
    local value = answer:json() -- {"text": …}, or plain text
    return type(value) == "table" and value.text or answer.body
  end,
}
