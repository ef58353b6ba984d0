--- Asks another workspace and answers with its answer; says so if the question was only left in its inbox.
---
---   molecule connect <workspace-id> --script examples/relay.lua --script-opt peer=<workspace id or a part of its name>
---
--- --script-opt timeout=120 waits longer than a minute for the answer.
local molecule = require "molecule"

--- The id of the peer, found by its name if that was given.
local function find_peer(wanted)
  if wanted:match("^%x+%-%x+%-%x+%-%x+%-%x+$") then return wanted, wanted end
  local found, problem = molecule.peers {q = wanted}
  if not found then return nil, problem end
  if #found ~= 1 then return nil, ("%d workspaces are called %q"):format(#found, wanted) end
  return found[1].id, found[1].name
end

return {
  name = "relay",
  description = "passes questions on to another agent",
  concurrency = 4,

  start = function(ctx)
    if not ctx.options.peer then error("relay.lua needs --script-opt peer=<workspace id or name>", 0) end
  end,

  handle = function(msg, ctx)
    local id, name = find_peer(ctx.options.peer)
    if not id then return "I cannot find whom to ask: " .. name end
    if msg.from == id then return molecule.skip("the peer itself: it would hear its own question") end
    local answer, problem, code = molecule.send(id, msg.text, {timeout = tonumber(ctx.options.timeout) or 60})
    if not answer then
      if code == "UNAVAILABLE" or code == "TIMEOUT" then return molecule.retry {after = 10, reason = problem} end
      return ("%s could not be asked: %s"):format(name, problem)
    end
    if answer.queued then
      return ("%s has not answered yet. Your message is in its inbox."):format(name)
    end
    return answer.text
  end,
}
