local t = require "molecule.testing"

describe("ops", function()
  after_each(t.reset)

  it("runs the command that was asked for", function()
    local a = t.agent "examples/ops.lua"
    a:exec("df -h /", {stdout = "81 % full"})
    assert.replied(a:send {text = "disk"}, "81 % full")
  end)

  it("says what failed", function()
    local a = t.agent "examples/ops.lua"
    a:exec("uptime -p", {code = 1, stderr = "no such option"})
    assert.replied(a:send {text = "Uptime"}, "uptime failed with code 1: no such option")
  end)

  it("answers only who is allowed", function()
    local a = t.agent("examples/ops.lua", {options = {allow = "canvas"}})
    assert.skipped(a:send {text = "disk", from = "11111111-1111-4111-8111-111111111111"})
  end)
end)
