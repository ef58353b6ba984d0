-- tck.lua for the kit's branch of A2A 0.3: it wants a card of 0.3, and tasks that wait for more of its messages.
local agent = require "tck"
agent.card = { form = "all" }

local handle = agent.handle
function agent.handle(msg, ctx)
  if not msg.message_id:find "^test%-resubscribe" then
    for _ = 1, 4 do ctx.ask "What else?" end
  end
  return handle(msg, ctx)
end

return agent
