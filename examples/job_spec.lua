local t = require "molecule.testing"

describe("job", function()
  local a

  before_each(function() a = t.agent("job.lua", {options = {dir = "/srv/app"}}) end)
  after_each(t.reset)

  it("says each step and ends with the release", function()
    a:exec("git *", {})
    a:exec("make *", {})
    local result = a:send {text = "release 1.4"}
    t.clock:advance "10s"
    assert.replied(result, "1.4 is released.")
    assert.same({"1/5 fetch", "2/5 check out", "3/5 build", "4/5 test", "5/5 install"}, result.progress)
  end)

  it("stops at the step that fails, and says which", function()
    a:exec("git *", {})
    a:exec("make build", {code = 2, stderr = "no compiler"})
    local result = a:send {text = "release 1.4"}
    t.clock:advance "10s"
    assert.replied(result, "1.4 was not released: build failed, code 2: no compiler")
  end)

  it("runs no step again that was done before a restart", function()
    local fetched = 0
    a:exec("git fetch *", function()
      fetched = fetched + 1
      return {}
    end)
    a:exec("git checkout *", {})
    a:exec("make *", {})
    local result = a:send {text = "release 1.4"}
    a:restart()
    t.clock:advance "1m"
    assert.replied(result, "1.4 is released.")
    assert.equal(1, fetched)
  end)
end)
