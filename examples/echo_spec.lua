--- molecule test examples/echo_spec.lua
local t = require "molecule.testing"

describe("echo.lua", function()
  it("says back what it hears", function()
    local a = t.agent("echo.lua")
    assert.replied(a:send {text = "hello"}, "you said: hello")
  end)
end)
