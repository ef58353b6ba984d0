local t = require "molecule.testing"

describe("echo", function()
  after_each(t.reset)

  it("says back what it hears", function()
    assert.replied(t.agent("examples/echo.lua"):send {text = "hello"}, "you said: hello")
  end)
end)
