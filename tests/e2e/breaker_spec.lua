--- A peer that answers everything, and does not mark its answers, does not keep us busy for ever.

local emulator = require "tests.support.emulator"
local host = require "tests.support.host"

describe("a peer that answers each of our replies", function()
  local platform, workspace, peer

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)
  before_each(function()
    workspace, peer = host.workspace(platform), host.workspace(platform)
  end)
  after_each(host.clean_up)
  teardown(function() platform:stop() end)

  it("is held, loudly, and nothing of it is lost; others are answered", function()
    local one = host.connect { platform = platform, workspace = workspace, script = host.ECHO, args = { "--breaker", "5" } }
    for turn = 1, 6 do
      platform:message { to = workspace.id, from = peer.id, text = "turn " .. turn }
      one:peer(peer.id, turn)
    end
    platform:message { to = workspace.id, from = peer.id, text = "turn 7" }
    one:log("peer " .. peer.id:gsub("%-", "%%-") .. " has answered our replies 5 times within a minute")
    platform:message { to = workspace.id, from = peer.id, text = "turn 8" }
    platform:message { to = workspace.id, text = "hello" }
    assert.same({ "echo: hello" }, one:canvas(1))
    local other = host.workspace(platform)
    local last = platform:message { to = workspace.id, from = other.id, text = "hello" }[1]
    assert.same({ "echo: hello" }, (one:peer(other.id, 1)))
    assert.equal(6, #one:peer(peer.id, 6))
    one:wait_cursor(last) -- the held ones are kept in the ledger: they do not hold the inbox up
    one:stop()
  end)

  it("may send as many as it likes at once: a backlog is no exchange", function()
    local one = host.connect { platform = platform, workspace = workspace, script = host.ECHO, args = { "--breaker", "5" } }
    platform:message { to = workspace.id, from = peer.id, text = "%n", count = 200 }
    assert.equal(200, #one:peer(peer.id, 200))
    assert.equal(0, one:count_log "has answered our replies")
    one:stop()
  end)
end)
