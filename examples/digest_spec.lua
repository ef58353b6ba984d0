local t = require "molecule.testing"

local PEER = "11111111-1111-4111-8111-111111111111"

describe("digest", function()
  local a

  before_each(function() a = t.agent("digest.lua", {options = {timezone = "UTC"}}) end)
  after_each(t.reset)

  it("shows what was reported when it is asked", function()
    assert.replied(a:send {from = PEER, text = "the disk is full"}, "next digest")
    assert.replied(a:send {text = "now"}, "the disk is full")
    assert.replied(a:send {text = "now"}, "Nothing was reported.")
  end)

  it("tells the human at eight, and nothing where nothing was reported", function()
    a:send {from = PEER, text = "the disk is full"}
    t.clock:advance "48h"
    assert.same({"Good morning. 1 report:\n- " .. PEER .. ": the disk is full"}, a.progress)
    assert.equal(2, #a.runs)
    assert.no_reply(a.runs[1])
    assert.equal("08:00", os.date("!%H:%M", a.runs[1].scheduled_at))
    assert.skipped(a.runs[2], "nothing was reported")
  end)

  it("comes when and where the operator wants it", function()
    a = t.agent("digest.lua", {options = {at = "30 17 * * fri", timezone = "America/New_York"}})
    a:send {from = PEER, text = "the disk is full"}
    t.clock:advance "168h"
    assert.equal(1, #a.runs)
    assert.truthy(os.date("!%a %H:%M", a.runs[1].scheduled_at):find "^Fri 2[12]:30$") -- in summer an hour earlier
    assert.equal(1, #a.progress)
  end)
end)
