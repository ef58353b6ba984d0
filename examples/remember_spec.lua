--- molecule test examples/remember_spec.lua
local t = require "molecule.testing"

describe("remember.lua", function()
  local a

  before_each(function() a = t.agent("remember.lua") end)
  after_each(t.reset)

  it("remembers over a restart", function()
    a:send "remember the door code is 4711"
    a:restart()
    assert.replied(a:send "what is the door code?", "the door code is 4711. (question 1 of today)")
  end)

  it("keeps what senders say apart", function()
    a:send "remember a is 1"
    assert.replied(a:send {text = "what is a?", from = "colleague"}, "I do not know")
    assert.same({thing = "a", what = "1"}, a.store:get "fact:canvas:a")
  end)

  it("counts the questions of a day", function()
    a:send "what is a?"
    t.clock:advance("23h")
    assert.replied(a:send "what is a?", "question 2 of today")
    t.clock:advance("1h")
    assert.replied(a:send "what is a?", "question 1 of today")
  end)

  it("forgets", function()
    a:send "remember a is 1"
    assert.replied(a:send "forget a", "a is forgotten.")
    assert.replied(a:send "list", "I know nothing so far.")
  end)
end)
