local t = require "molecule.testing"

local ONE, TWO = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"

describe("fanout", function()
  local a

  before_each(function() a = t.agent("fanout.lua", {options = {peers = ONE .. "," .. TWO}}) end)
  after_each(t.reset)

  it("puts the answers together", function()
    a:peer(ONE, function() return "yes" end, {name = "one"})
    a:peer(TWO, function() return "no" end, {name = "two"})
    assert.replied(a:send {text = "shall we?"}, "**one**: yes\n\n**two**: no")
  end)

  it("names a peer that does not answer", function()
    a:peer(ONE, function() return "yes" end, {name = "one"})
    a:peer(TWO, nil, {name = "two"})
    assert.replied(a:send {text = "shall we?"}, "**two** has not answered yet.")
  end)
end)
