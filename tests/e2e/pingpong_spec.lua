--- Two agents that answer everything do not talk to each other for ever.

local both = require "tests.support.both"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"

both(describe, "two agents", function(profile)
  local platform, left, right

  setup(function() platform = emulator.start { profile = profile, args = { "--rate-limit", "-1" } } end)
  before_each(function() left, right = host.workspace(platform), host.workspace(platform) end)
  after_each(host.clean_up)
  teardown(function() platform:stop() end)

  local function connect(workspace, script, args)
    return host.connect { platform = platform, workspace = workspace, script = script, args = args }
  end

  local function posts_to(workspace)
    local count = 0
    for _, entry in ipairs(platform:journal()) do
      if entry.method == "POST" and entry.path == ("/workspaces/%s/a2a"):format(workspace.id) then count = count + 1 end
    end
    return count
  end

  it("answer a question once: the reply is not answered again", function()
    local one, two = connect(left, host.ECHO), connect(right, host.ECHO)
    platform:message { to = left.id, from = right.id, text = "a question" }
    two:log "skipped: it is a reply to ours"
    one:stop()
    two:stop()
    assert.equal(1, posts_to(right))
    assert.equal(0, posts_to(left))
  end)

  it("that want to see replies stop by themselves after the hop limit", function()
    local talkative = [[return {answers_replies = true, handle = function(msg) return "and: " .. #msg.text end}]]
    local one = connect(left, talkative, { "--max-hops", "5" })
    local two = connect(right, talkative, { "--max-hops", "5" })
    platform:message { to = left.id, from = right.id, text = "a question" }
    two:log "%-%-max%-hops"
    one:stop()
    two:stop()
    assert.equal(5, posts_to(right) + posts_to(left))
  end)
end)
