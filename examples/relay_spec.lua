--- molecule test examples/relay_spec.lua
local t = require "molecule.testing"

describe("relay.lua", function()
  local PEER = "5b0f6c1e-0000-4000-8000-000000000001"
  local a

  before_each(function() a = t.agent("relay.lua", {options = {peer = "oracle"}}) end)
  after_each(t.reset)

  it("finds the peer by its name and answers with its answer", function()
    a:peer(PEER, function(text) return "the answer to " .. text end, {name = "the-oracle"})
    assert.replied(a:send "life", "the answer to life")
    assert.skipped(a:send {text = "life", from = PEER}, "the peer itself")
  end)

  it("says so when the question was only left there", function()
    a:peer(PEER, function() end, {name = "the-oracle"})
    assert.replied(a:send "life", "the-oracle has not answered yet")
  end)

  it("asks again when the peer is out of reach, and tells of other failures", function()
    a:peer(PEER, function() return nil, "no answer", "UNAVAILABLE" end, {name = "the-oracle"})
    assert.retried(a:send "life", "no answer")
    t.reset()
    a = t.agent("relay.lua", {options = {peer = PEER}})
    a:peer(PEER, function() return nil, "not yours to ask", "FORBIDDEN" end)
    assert.replied(a:send "life", "could not be asked: molecule.send: not yours to ask")
  end)
end)
