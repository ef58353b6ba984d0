local t = require "molecule.testing"

local PEER = "11111111-1111-4111-8111-111111111111"

describe("escalate", function()
  local a, heard

  before_each(function()
    heard = {}
    a = t.agent "escalate.lua"
    a:peer(PEER, function(text)
      heard[#heard + 1] = text
      return "thanks"
    end)
  end)
  after_each(t.reset)

  it("asks the human, sends the answer on, and knows it the next time", function()
    local asked = a:send {from = PEER, text = "When do you open?"}
    assert.replied(asked, "passed this on to a human")
    local code = assert(table.concat(a.progress, "\n"):match "answer (%w+) …")
    assert.replied(a:send {text = ("answer %s We open at nine."):format(code)}, "Sent, and remembered.")
    assert.same({"We open at nine."}, heard)
    assert.replied(a:send {from = PEER, text = "when do you  open"}, "We open at nine.")
  end)

  it("takes no answer to a question that is not open", function()
    assert.replied(a:send {text = "answer ABCD hello"}, "No question is open under ABCD.")
  end)
end)
