--- Random walks, one after the other; see tests/fault/walk.

package.path = "./?.lua;" .. package.path

local hazards = require "tests.fault.hazards"
local host = require "tests.support.host"

local PROFILES = { "t1", "latest" }
-- every other walk without what allows an answer to be repeated
local GENTLE, ROUGH = "kill,ledger", "none"

local function parse(words)
  local options = { runs = 20, steps = 40, seed = os.time() % 1000000 }
  for i = 1, #words, 2 do
    local name, value = words[i]:match "^%-%-(%a+)$", words[i + 1]
    local number = math.tointeger(tonumber(value))
    if options[name or ""] and number then
      options[name] = number
    elseif name == "profile" and (value == "t1" or value == "latest") or name == "without" and value then
      options[name] = value
    else
      io.stderr:write "usage: tests/fault/walk [--runs N] [--steps N] [--seed N] [--profile NAME] [--without STEP,…]\n"
      os.exit(2)
    end
  end
  return options
end

local options = parse(arg)
local walks, broken = 0, 0
for seed = options.seed, options.seed + options.runs - 1 do
  for _, profile in ipairs(options.profile and { options.profile } or PROFILES) do
    local without = {}
    for name in (options.without or (seed % 2 == 0 and GENTLE or ROUGH)):gmatch "%a+" do without[name] = true end
    local problem = hazards.walk { seed = seed, steps = options.steps, profile = profile, without = without }
    host.clean_up()
    walks = walks + 1
    if problem then
      broken = broken + 1
      print("BROKEN: " .. problem)
    end
  end
end
print(("%d walks of %d steps, seeds from %d: %d broke a promise"):format(walks, options.steps, options.seed, broken))
os.exit(broken == 0)
