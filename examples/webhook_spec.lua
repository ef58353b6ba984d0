local t = require "molecule.testing"

describe("webhook", function()
  local a

  before_each(function() a = t.agent("examples/webhook.lua", {options = {url = "https://example.com/hook"}}) end)
  after_each(t.reset)

  it("answers with what the service says", function()
    a:http("POST", "https://example.com/hook", {json = {text = "seven"}})
    assert.replied(a:send {text = "how many?"}, "seven")
  end)

  it("asks again while the service is busy", function()
    local calls = 0
    a:http("POST", "https://example.com/hook", function()
      calls = calls + 1
      return calls == 1 and {status = 503, headers = {["retry-after"] = "30"}} or {json = {text = "now"}}
    end)
    local result = a:send {text = "how many?"}
    assert.retried(result)
    t.clock:advance "30s"
    assert.replied(result, "now")
  end)

  it("says so when the service refuses", function()
    a:http("POST", "https://example.com/hook", {status = 400, body = "bad"})
    assert.replied(a:send {text = "x"}, "the service refuses this (400): bad")
  end)
end)
