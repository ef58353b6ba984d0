-- A row that the platform commits late stands behind those that were read already, where no poll from the cursor looks. The
-- event stream names its message (LATEST) or carries it (T1): so the inbox is read again at once. What no event tells is
-- found when the inbox is read again seconds later (fetch_spec).

local emulator = require "tests.support.emulator"
local host = require "tests.support.host"

for _, profile in ipairs { "t1", "latest" } do
  describe("a row that was committed late (" .. profile .. ")", function()
    local platform, one, workspace, peer

    local function say(order, text, more)
      local value = { workspace = workspace.id, to = workspace.id, from = peer.id, text = text }
      for name, field in pairs(more or {}) do value[name] = field end
      return platform:order(order, value).ids[1]
    end

    before_each(function()
      platform = emulator.start { profile = profile, args = { "--rate-limit", "-1" } }
      workspace, peer = host.workspace(platform), host.workspace(platform)
      one = host.start { platform = platform, workspace = workspace, script = host.ECHO, args = { "-v" } }
      one:log "event stream: open"
    end)

    after_each(function()
      host.clean_up()
      platform:stop()
    end)

    local function answered(count)
      local texts = one:peer(peer.id, count)
      table.sort(texts)
      return texts
    end

    it("is answered as soon as it is announced", function()
      say("messages", "first")
      say("messages", "second")
      one:peer(peer.id, 2)
      say("late", "late")
      one:log "an announced message did not arrive"
      assert.same({ "echo: first", "echo: late", "echo: second" }, answered(3))
      one:stop()
      assert.equal(3, #one:posts "/a2a")
    end)

    it("is answered though it stands before the very first row", function()
      say("messages", "first")
      one:peer(peer.id, 1)
      say("late", "late")
      assert.same({ "echo: first", "echo: late" }, answered(2))
      one:stop()
      assert.equal(2, #one:posts "/a2a")
    end)

    it("does not bring anything twice, however many there are", function()
      say("messages", "%n", { count = 40 })
      one:peer(peer.id, 40)
      for i = 1, 10 do say("late", "late " .. i) end
      assert.equal(50, #answered(50))
      one:stop()
      assert.equal(50, #one:posts "/a2a")
    end)
  end)
end

describe("a row that was committed late and nothing announced", function()
  local platform

  after_each(function()
    host.clean_up()
    platform:stop()
  end)

  it("is found before the very first row, too", function()
    platform = emulator.start { args = { "--rate-limit", "-1" } }
    platform:order("events", { mute = true })
    local workspace, peer = host.workspace(platform), host.workspace(platform)
    local one = host.start { platform = platform, workspace = workspace, script = host.ECHO }
    platform:message { to = workspace.id, from = peer.id, text = "first" }
    one:peer(peer.id, 1)
    platform:order("late", { workspace = workspace.id, from = peer.id, text = "late" })
    one:peer(peer.id, 2)
    one:stop()
    assert.equal(2, #one:posts "/a2a")
  end)

  it("is found before the very first row though hundreds follow that one", function()
    platform = emulator.start { args = { "--rate-limit", "-1" } }
    platform:order("events", { mute = true })
    local workspace, peer = host.workspace(platform), host.workspace(platform)
    local one = host.start { platform = platform, workspace = workspace, script = host.ECHO, args = { "--concurrency", "4" } }
    platform:message { to = workspace.id, from = peer.id, text = "first" }
    one:peer(peer.id, 1)
    local early = host.ago(2)
    platform:message { to = workspace.id, from = peer.id, text = "%n", count = 600 }
    platform:message { to = workspace.id, from = peer.id, text = "late", created_at = early }
    one:peer(peer.id, 602)
    one:stop()
    assert.equal(602, #one:posts "/a2a")
  end)

  it("is found after a kill in the first seconds", function()
    platform = emulator.start { args = { "--rate-limit", "-1" } }
    platform:order("events", { mute = true })
    local workspace, peer = host.workspace(platform), host.workspace(platform)
    local one = host.start { platform = platform, workspace = workspace, script = host.ECHO }
    for i = 1, 4 do
      platform:message { to = workspace.id, from = peer.id, text = "message " .. i }
      one:peer(peer.id, i)
      one:wait_cursor(platform:rows(workspace.id)[i].id)
    end
    one:kill()
    platform:order("late", { workspace = workspace.id, from = peer.id, text = "late" })
    local two = host.start { platform = platform, workspace = workspace, script = host.ECHO, state_dir = one.state_dir }
    two:peer(peer.id, 5)
    two:stop()
    assert.equal(5, #two:posts "/a2a")
  end)
end)
