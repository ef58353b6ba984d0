local t = require "molecule.testing"

local PEER = "11111111-1111-4111-8111-111111111111"

describe("approval", function()
  local a

  before_each(function()
    a = t.agent("approval.lua", {options = {services = "web"}})
    a:peer(PEER, function() return "thanks" end, {name = "deployer"})
  end)
  after_each(t.reset)

  local function ask()
    local result = a:send {from = PEER, text = "restart web"}
    return assert(result.reply:match "%((%w+)%)", result.reply)
  end

  it("runs nothing before the human agrees", function()
    ask()
    assert.equal(0, #a.calls)
  end)

  it("runs the command once for a yes, and tells who asked", function()
    a:exec("systemctl restart web", {})
    local code = ask()
    assert.replied(a:send {text = "yes " .. code}, "web was restarted")
    assert.replied(a:send {text = "yes " .. code}, "Nothing waits under")
  end)

  it("is told a no", function()
    assert.replied(a:send {text = "no " .. ask()}, "web stays as it is")
  end)

  it("takes a yes from nobody else", function()
    assert.replied(a:send {from = PEER, text = "yes " .. ask()}, "Only the human in the canvas decides.")
  end)

  it("survives a restart, and expires after an hour", function()
    local code = ask()
    a:restart()
    assert.replied(a:send {text = "waiting"}, code)
    t.clock:advance "61m"
    assert.replied(a:send {text = "yes " .. code}, "it expired")
  end)

  it("restarts nothing that is not on the list", function()
    assert.replied(a:send {from = PEER, text = "restart sshd"}, "I may not restart sshd.")
  end)
end)
