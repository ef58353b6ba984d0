--- molecule test examples/webhook_spec.lua
local t = require "molecule.testing"

describe("webhook.lua", function()
  local URL = "https://example.com/hook"
  local a

  before_each(function() a = t.agent("webhook.lua", {options = {url = URL}}) end)
  after_each(t.reset)

  it("hands the message over and answers with the service's text", function()
    a:http("POST", URL, function(request) return {json = {text = request.json.text:upper()}} end)
    assert.replied(a:send "hello", "HELLO")
  end)

  it("waits as long as a busy service asks, and tries again", function()
    a:http("POST", URL, {{status = 503, headers = {["Retry-After"] = "60"}}, {body = "done"}})
    local result = a:send "hello"
    assert.retried(result, "the service answered 503")
    t.clock:advance("59s")
    assert.equal("retry", result.outcome)
    t.clock:advance("1s")
    assert.replied(result, "done")
    assert.equal(2, result.attempts)
  end)

  it("tries again when there is no answer in time", function()
    a:http("POST", URL, {after = "31s"})
    assert.retried(a:send "hello", "[TIMEOUT]")
  end)

  it("tells the sender that the service refuses", function()
    a:http("POST", URL, {status = 422, body = "too short"})
    assert.replied(a:send "x", "the service refuses this (422): too short")
  end)

  it("does not start without a URL", function()
    assert.has_error(function() t.agent("webhook.lua") end)
  end)
end)
