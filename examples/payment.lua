--- Charges an order once. The charge is a step: once its result is recorded, no later run of the handler charges again; and if
--- the host is killed while the service is being asked, the next run asks under the same Idempotency-Key, so the service charges
--- once.
---
---   order 1042 19.90
---
---   molecule connect <workspace-id> --script examples/payment.lua --script-opt url=https://pay.example.com/v1
local molecule = require "molecule"

local router = molecule.router {name = "payment", description = "charges orders"}

-- nil, message: the service did not answer, or not with a result; nothing is recorded, and the handler runs again.
local function charge(step, url, order, cents)
  local response, problem = molecule.http.post(url .. "/charges", {
    json = {order = order, cents = cents, currency = "EUR"},
    headers = {["Idempotency-Key"] = step.id},
    timeout = "20s",
  })
  if not response then return nil, problem end
  if response.status >= 500 or response.status == 429 then return nil, "the service answered " .. response.status end
  local answer = response:json() or {}
  if response.status >= 300 then return {refused = answer.error or ("status %d"):format(response.status)} end
  return {id = answer.id}
end

router:on("^order (%d+) (%d+)%.(%d%d)$", "order <number> <euros.cents>", function(_, ctx, order, euros, cents)
  local amount = math.tointeger(tonumber(euros)) * 100 + math.tointeger(tonumber(cents))
  local charged, problem = ctx.step("charge", charge, ctx.options.url or "http://127.0.0.1:8099/v1", order, amount)
  if not charged then error("order " .. order .. " is not charged yet: " .. problem, 0) end
  if charged.refused then return ("Order %s was refused: %s"):format(order, charged.refused) end
  ctx.step("count", function() return molecule.store.incr "charged" end) -- with the step, so that it counts once
  return ("Order %s is charged: %s.%s EUR, %s."):format(order, euros, cents, charged.id)
end)

return router
