local t = require "molecule.testing"

local PEER = "11111111-1111-4111-8111-111111111111"

describe("relay", function()
  local a

  before_each(function() a = t.agent("examples/relay.lua", {options = {peer = "weather"}}) end)
  after_each(t.reset)

  it("answers with the peer's answer", function()
    a:peer(PEER, function(text) return "you asked: " .. text end, {name = "weather"})
    assert.replied(a:send {text = "rain?"}, "you asked: rain?")
  end)

  it("says that the question is only in the peer's inbox", function()
    a:peer(PEER, nil, {name = "weather"})
    assert.replied(a:send {text = "rain?"}, "weather has not answered yet.")
  end)

  it("passes nothing of the peer's own back to it", function()
    a:peer(PEER, function() return "" end, {name = "weather"})
    assert.skipped(a:send {from = PEER, text = "rain?"})
  end)
end)
