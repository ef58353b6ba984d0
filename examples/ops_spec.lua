--- molecule test examples/ops_spec.lua
local t = require "molecule.testing"

describe("ops.lua", function()
  local a

  before_each(function() a = t.agent("ops.lua", {options = {allow = "canvas,colleague"}}) end)
  after_each(t.reset)

  it("answers with what a program prints", function()
    a:exec("df -h /", "Filesystem  Size\n/dev/sda1    20G\n")
    assert.replied(a:send " Disk ", "/dev/sda1    20G")
  end)

  it("tells of a program that fails", function()
    a:exec("uptime -p", {code = 1, stderr = "no /proc"})
    assert.replied(a:send "uptime", "uptime failed with code 1: no /proc")
  end)

  it("is asked again when a program does not start", function()
    a:exec("uptime", {error = "ENOENT"})
    assert.failed(a:send "status", "ENOENT")
  end)

  it("answers those on the allow-list, and nobody else", function()
    a:exec("df*", "20G")
    assert.replied(a:send {text = "disk", from = "colleague"}, "20G")
    assert.skipped(a:send {text = "disk", from = "stranger"}, "not on the router's allow-list")
    assert.equal(1, #a.calls)
  end)

  it("lists its commands", function()
    assert.replied(a:send "what?", "status: load and users")
  end)
end)
