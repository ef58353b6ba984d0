--- Replies to different peers do not hold each other up; within a conversation they keep their order.

local emulator = require "tests.support.emulator"
local host = require "tests.support.host"

describe("replies", function()
  local platform, workspace, slow, quick

  setup(function() platform = emulator.start { profile = "latest", args = { "--rate-limit", "-1" } } end)
  before_each(function()
    workspace, slow, quick = host.workspace(platform), host.workspace(platform), host.workspace(platform)
  end)
  after_each(function()
    platform:clear_faults()
    host.clean_up()
  end)
  teardown(function() platform:stop() end)

  local function path(peer) return ("/workspaces/%s/a2a"):format(peer.id) end

  local function connect(args)
    return host.connect { platform = platform, workspace = workspace, script = host.ECHO, args = args }
  end

  it("to a peer that takes its time hold nobody else up", function()
    platform:fault({ kind = "hang" }, { method = "POST", path = path(slow) }, { times = -1 })
    local one = connect()
    platform:message { to = workspace.id, from = slow.id, text = "slow" }
    one:wait { path = path(slow) }
    for i = 1, 20 do platform:message { to = workspace.id, from = quick.id, text = "quick " .. i } end
    platform:message { to = workspace.id, text = "canvas" }
    one:wait { path = path(quick), count = 20, status = 200 }
    one:canvas(1)
    one:kill()
  end)

  it("to one peer go out four at a time, however many conversations it has", function()
    platform:fault({ kind = "hang" }, { method = "POST", path = path(slow) }, { times = -1 })
    local one = connect()
    for i = 1, 7 do
      platform:message { to = workspace.id, from = slow.id, context_id = "context-" .. i, text = "number " .. i }
    end
    platform:message { to = workspace.id, from = quick.id, text = "the end" }
    one:wait { path = path(quick), status = 200 }
    local sent = 0
    for _, entry in ipairs(platform:journal()) do
      if entry.path == path(slow) then sent = sent + 1 end
    end
    assert.equal(4, sent)
    one:kill()
  end)

  it("of one conversation arrive in order, though every second post fails at first", function()
    for i = 0, 9 do
      platform:fault({ kind = "status", status = 503 }, { method = "POST", path = path(quick) }, { times = 1, skip = i })
    end
    local one = connect()
    for i = 1, 10 do platform:message { to = workspace.id, from = quick.id, text = tostring(i) } end
    one:wait { path = path(quick), count = 10, status = 200, timeout_ms = 60000 }
    local texts = {}
    for _, entry in ipairs(platform:journal()) do
      if entry.path == path(quick) and entry.status == 200 then texts[#texts + 1] = entry.body:match "echo: (%d+)" end
    end
    assert.equal("1 2 3 4 5 6 7 8 9 10", table.concat(texts, " "))
    one:stop()
  end)
end)
