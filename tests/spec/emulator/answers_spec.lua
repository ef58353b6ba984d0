--- The emulator answers as the platform's own server did, but for what is named here with its reason.

local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local process = require "tests.support.process"
local questions = require "tests.spec.emulator.answers.questions"

local OTHERS = "that server's database also held workspaces of earlier tests, and T1 lists all that have no parent"
local EXCEPTIONS = {
  t1 = {
    ["peers"] = OTHERS,
    ["peers related"] = OTHERS,
    ["delete with children"] = "that server had no Docker daemon to stop containers with; the emulator has no containers",
  },
  latest = {},
}
local EXCEPTIONS_MAXIMUM = 10

-- Name -> its answers in order, and the names in order.
local function by_name(answers)
  local found, names = {}, {}
  for _, answer in ipairs(answers) do
    local name = answer[1]
    if not found[name] then
      found[name] = {}
      names[#names + 1] = name
    end
    found[name][#found[name] + 1] = { status = answer[2], kind = answer[3], text = answer[4] }
  end
  return found, names
end

-- Messages that A has received when its inbox is read for the first time.
local function count_messages(answers)
  local count = 0
  for _, answer in ipairs(answers) do
    if answer[1] == "activity types all" then return count end
    if answer[1]:find "^row " then count = count + 1 end
  end
end

for _, profile in ipairs { "t1", "latest" } do
  describe("asked what the platform's own server was asked, " .. profile, function()
    local answers = cjson.decode(host.read(("tests/spec/emulator/answers/%s.json"):format(profile)) --[[@as string]])
    local real, names = by_name(answers)
    local exceptions, here = EXCEPTIONS[profile], nil

    setup(function()
      local platform = emulator.start { profile = profile, args = { "--rate-limit", "-1" } }
      here = by_name(questions.ask(platform, profile, count_messages(answers)))
      platform:stop()
    end)
    teardown(process.kill_all)

    for _, name in ipairs(names) do
      if exceptions[name] then
        it(("has its reason to answer otherwise: %s"):format(name), function()
          assert.is_table(here[name])
          assert.are_not.same(real[name], here[name])
        end)
      else
        it(("answers the same: %s"):format(name), function() assert.same(real[name], here[name]) end)
      end
    end

    it("answers nothing besides", function()
      for name in pairs(here) do assert.is_table(real[name], name) end
    end)

    it("has few exceptions, all of them among the questions", function()
      local count = 0
      for name in pairs(exceptions) do
        count = count + 1
        assert.is_table(real[name], name)
      end
      assert.is_true(count <= EXCEPTIONS_MAXIMUM)
    end)
  end)
end
