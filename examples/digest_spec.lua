local t = require "molecule.testing"

local PEER = "11111111-1111-4111-8111-111111111111"

describe("digest", function()
  local a

  before_each(function() a = t.agent("digest.lua", {options = {hour = "8"}}) end)
  after_each(t.reset)

  it("shows what was reported when it is asked", function()
    assert.replied(a:send {from = PEER, text = "the disk is full"}, "next digest")
    assert.replied(a:send {text = "now"}, "the disk is full")
    assert.replied(a:send {text = "now"}, "Nothing was reported.")
  end)

  it("tells the human once a day, and nothing where nothing was reported", function()
    a:send {from = PEER, text = "the disk is full"}
    t.clock:advance "24h"
    local told = 0
    for _, text in ipairs(a.progress) do told = told + (text:find("the disk is full", 1, true) and 1 or 0) end
    assert.equal(1, told)
    t.clock:advance "48h"
    assert.equal(1, #a.progress)
  end)
end)
