local t = require "molecule.testing"

local PEER = "11111111-1111-4111-8111-111111111111"

describe("remember", function()
  local a

  before_each(function() a = t.agent "examples/remember.lua" end)
  after_each(t.reset)

  it("keeps what each sender told it, across restarts", function()
    a:send {text = "remember the door code is 4711"}
    a:restart()
    assert.replied(a:send {text = "what is the door code?"}, "4711")
    assert.replied(a:send {from = PEER, text = "what is the door code?"}, "I do not know")
  end)

  it("forgets on request", function()
    a:send {text = "remember tea is hot"}
    assert.replied(a:send {text = "forget tea"}, "tea is forgotten")
    assert.replied(a:send {text = "list"}, "I know nothing so far.")
  end)
end)
