local t = require "molecule.testing"

local PEER = "11111111-1111-4111-8111-111111111111"

describe("approval", function()
  local a

  before_each(function()
    a = t.agent("approval.lua", {options = {services = "web"}})
    a:peer(PEER, function() return "thanks" end, {name = "deployer"})
  end)
  after_each(t.reset)

  local function ask() return a:send {from = PEER, text = "restart web"} end

  it("runs nothing before the human agrees", function()
    assert.asked(ask(), "deployer asks to restart web. May I?")
    assert.equal(0, #a.calls)
  end)

  it("runs the command once for a yes, and tells who asked", function()
    a:exec("systemctl restart web", {})
    ask()
    assert.replied(a:answer "yes", "web was restarted")
    assert.equal(1, #a.calls)
    assert.equal(0, #a.questions)
  end)

  it("is told a no", function()
    ask()
    assert.replied(a:answer "n", "web stays as it is: the answer was no.")
    assert.equal(0, #a.calls)
  end)

  it("takes a yes from nobody else", function()
    ask()
    a:send {from = PEER, text = "yes"}
    assert.equal(1, #a.questions)
    assert.equal(0, #a.calls)
  end)

  it("survives a restart, and expires after an hour", function()
    ask()
    a:restart()
    assert.equal(1, #a.questions)
    t.clock:advance "61m"
    assert.equal(0, #a.questions)
    assert.equal(0, #a.calls)
  end)

  it("restarts nothing that is not on the list", function()
    assert.replied(a:send {from = PEER, text = "restart sshd"}, "I may not restart sshd.")
  end)
end)
