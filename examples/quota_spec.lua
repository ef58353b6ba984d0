local t = require "molecule.testing"

describe("quota", function()
  local a

  before_each(function()
    a = t.agent("quota.lua", {options = {url = "https://api.example.com/search", budget = "2"}})
  end)
  after_each(t.reset)

  it("asks no more often than the budget allows, and loses nothing", function()
    local calls = 0
    a:http("GET", "https://api.example.com/search*", function()
      calls = calls + 1
      return {body = "result " .. calls}
    end)
    local results = {}
    for i = 1, 3 do results[i] = a:send {text = "q" .. i} end
    assert.replied(results[2], "result 2")
    assert.retried(results[3], "budget")
    t.clock:advance "60s"
    assert.replied(results[3], "result 3")
    assert.equal(3, calls)
  end)

  it("waits as long as the service asks", function()
    local calls = 0
    a:http("GET", "https://api.example.com/search*", function()
      calls = calls + 1
      return calls == 1 and {status = 429, headers = {["retry-after"] = "90"}} or {body = "here"}
    end)
    local result = a:send {text = "q"}
    assert.retried(result)
    t.clock:advance "89s"
    assert.equal(1, calls)
    t.clock:advance "61s"
    assert.replied(result, "here")
  end)
end)
