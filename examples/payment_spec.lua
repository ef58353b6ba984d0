local t = require "molecule.testing"

describe("payment", function()
  local a

  before_each(function() a = t.agent("payment.lua", {options = {url = "https://pay.test/v1"}}) end)
  after_each(t.reset)

  it("charges an order, with a key of its own", function()
    local keys = {}
    a:http("POST", "https://pay.test/v1/charges", function(request)
      keys[#keys + 1] = request.headers["Idempotency-Key"]
      return {status = 201, json = {id = "ch_" .. #keys}}
    end)
    assert.replied(a:send "order 1042 19.90", "Order 1042 is charged: 19.90 EUR, ch_1.")
    assert.replied(a:send "order 1043 5.00", "ch_2")
    assert.is_not.equal(keys[1], keys[2])
    assert.equal(2, a.store:get "charged")
  end)

  it("asks again under the same key while the service is away, and charges once", function()
    local keys = {}
    a:http("POST", "https://pay.test/v1/charges", function(request)
      keys[#keys + 1] = request.headers["Idempotency-Key"]
      if #keys < 3 then return {status = 503} end
      return {status = 201, json = {id = "ch_9"}}
    end)
    local result = a:send "order 7 1.00"
    a:settle()
    assert.replied(result, "ch_9")
    assert.equal(3, #keys)
    assert.equal(keys[1], keys[3])
    assert.equal(1, a.store:get "charged")
  end)

  it("does not charge again when the host is killed afterwards", function()
    local charges = 0
    a:http("POST", "https://pay.test/v1/charges", function()
      charges = charges + 1
      return {status = 201, json = {id = "ch_1"}, after = "1s"}
    end)
    local result = a:post "order 7 1.00"
    a:restart() -- while the service is being asked
    a:settle()
    assert.replied(result, "ch_1")
    assert.equal(2, charges) -- two requests under one key
  end)

  it("tells of a refusal, and does not try again", function()
    a:http("POST", "https://pay.test/v1/charges", {status = 402, json = {error = "card declined"}})
    local result = a:send "order 8 1.00"
    assert.replied(result, "Order 8 was refused: card declined")
    assert.is_nil(a.store:get "charged")
  end)
end)
