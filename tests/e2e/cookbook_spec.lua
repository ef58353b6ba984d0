--- The cookbook: every recipe has a script and tests, and they pass with nothing but the program and busted.

local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local process = require "tests.support.process"

describe("the cookbook", function()
  after_each(function() process.kill_all() end)

  it("has fourteen recipes, each with a script and its tests", function()
    local count = 0
    for page, script in host.read "docs/cookbook/README.md":gmatch "%]%(([%w-]+%.md)%) | `(examples/[%w_]+)%.lua`" do
      count = count + 1
      local text = host.read("docs/cookbook/" .. page)
      for _, path in ipairs { script .. ".lua", script .. "_spec.lua" } do
        assert.truthy(host.read(path), path)
        assert.truthy(text:find("../../" .. path, 1, true), page .. " does not link to " .. path)
      end
    end
    assert.equal(14, count)
  end)

  it("passes its own tests", function()
    local child = process.spawn { command = { emulator.binary(), "test", "examples" } }
    assert.equal(0, child:wait_exit(), child.stdout .. child.stderr)
    local passed = tonumber(child.stdout:match "(%d+) successes / 0 failures / 0 errors / 0 pending")
    assert.truthy(passed and passed >= 37, child.stdout)
  end)
end)
