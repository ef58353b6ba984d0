-- Whatever happens in whatever order: see tests/fault/hazards.lua. A few short walks; tests/proof takes many long ones. The seed
-- is new with each run; a failure says the command that repeats it.

local hazards = require "tests.fault.hazards"
local host = require "tests.support.host"
local uv = require "luv"

local STEPS = 30

describe("whatever happens in whatever order", function()
  after_each(host.clean_up)

  local function walk(profile, without)
    local seed = string.unpack("<I3", assert(uv.random(3)))
    local problem = hazards.walk { seed = seed, steps = STEPS, profile = profile, without = without }
    if problem then error(problem, 0) end
  end

  for _, profile in ipairs { "t1", "latest" } do
    it("each message is answered, and once where nothing was killed (" .. profile .. ")", function()
      walk(profile, { kill = true, ledger = true })
    end)

    it("each message is answered, and under one id where the host was killed, or its ledger hurt (" .. profile .. ")", function()
      walk(profile, {})
    end)
  end
end)
