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

  local function stored_replies(one)
    local pipe = assert(io.popen(("sqlite3 -cmd '.timeout 5000' %s/%s.db 'SELECT count(*) FROM messages WHERE state = 2'"):format(
      one.state_dir, workspace.id)))
    local count = tonumber(pipe:read "n")
    pipe:close()
    return count
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

  it("to a peer that is down, however many, leave room and the cursor to everybody else, and come in order when it is back",
    function()
      platform:fault({ kind = "status", status = 503, headers = { ["Retry-After"] = "60" } },
        { method = "POST", path = path(slow) }, { times = -1 })
      local script = [[return function(msg) if msg.from ~= "canvas" then return "echo: " .. msg.text end end]]
      local one = host.connect { platform = platform, workspace = workspace, script = script, args = { "--max-pending", "40" } }
      platform:message { to = workspace.id, from = slow.id, text = "%n", count = 700 }
      local last = platform:message { to = workspace.id, text = "canvas" }[1]
      one:log_of(last, "no_reply")
      one:wait_cursor(last)
      one:kill()
      platform:clear_faults()
      assert.is_true(os.execute(("sqlite3 -cmd '.timeout 5000' %s/%s.db 'UPDATE messages SET due = 1'"):format(one.state_dir,
        workspace.id)))
      local two = host.connect { platform = platform, workspace = workspace, script = script, state_dir = one.state_dir }
      for i, text in ipairs((two:peer(slow.id, 700))) do assert.equal("echo: " .. i, text) end
      two:stop()
    end)

  it("to a peer that is down, of many contexts, leave room for everybody else", function()
    platform:fault({ kind = "status", status = 503 }, { method = "POST", path = path(slow) }, { times = -1 })
    local one = connect { "--max-pending", "20" }
    for i = 1, 40 do
      platform:message { to = workspace.id, from = slow.id, context_id = "context-" .. i, text = "number " .. i }
    end
    platform:message { to = workspace.id, text = "canvas" }
    one:wait { path = ("/workspaces/%s/notify"):format(workspace.id), status = 200 }
    platform:clear_faults()
    one:wait { path = path(slow), status = 200, count = 40 }
    one:stop()
  end)

  it("come in order after a crash, also those to messages that came after one under way", function()
    local script = [[
      local molecule = require "molecule"
      return function(msg, ctx)
        molecule.log("handles " .. msg.text)
        if msg.text == "2" and ctx.options.slow then molecule.sleep(60) end
        return "echo: " .. msg.text
      end]]
    platform:fault({ kind = "status", status = 503, headers = { ["Retry-After"] = "60" } },
      { method = "POST", path = path(slow) }, { times = -1 })
    local one = host.connect { platform = platform, workspace = workspace, script = script,
      args = { "--script-opt", "slow=yes" } }
    local function send(text) return platform:message { to = workspace.id, from = slow.id, text = text }[1] end
    send "1"
    one:log "posting the same reply again"
    send "2"
    one:log "handles 2"
    send "3"
    local last = send "4"
    one:wait_cursor(last) -- 1 is kept, and so is what stands behind it
    one:kill()
    platform:clear_faults()
    assert.is_true(os.execute(("sqlite3 -cmd '.timeout 5000' %s/%s.db 'UPDATE messages SET due = 1'"):format(one.state_dir,
      workspace.id)))
    local two = host.connect { platform = platform, workspace = workspace, script = script, state_dir = one.state_dir }
    assert.same({ "echo: 1", "echo: 2", "echo: 3", "echo: 4" }, (two:peer(slow.id, 4)))
    two:stop()
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

  it("on their way leave the next message of the conversation to be handled, whose own reply comes after them", function()
    local asks = [[
      local molecule = require "molecule"
      return function(msg)
        if msg.text == "second" then
          molecule.log "the second is handled"
          assert(molecule.notify "said by the second")
        end
        return "echo: " .. msg.text
      end]]
    platform:fault({ kind = "status", status = 503 }, { method = "POST", path = ("/workspaces/%s/notify"):format(workspace.id) },
      { times = 3 })
    local one = host.connect { platform = platform, workspace = workspace, script = asks, args = { "--max-attempts", "1" } }
    platform:message { to = workspace.id, text = "first" }
    platform:message { to = workspace.id, text = "second" }
    platform:message { to = workspace.id, text = "third" }
    one:log "the second is handled"
    assert.same({}, one:told_canvas())
    assert.same({ "echo: first", "said by the second", "echo: second", "echo: third" }, one:canvas(4))
    one:stop()
  end)

  it("that were handled after one on its way come in order after a crash, and are not made again", function()
    platform:fault({ kind = "hang" }, { method = "POST", path = path(slow) }, { times = 1 })
    local script = [[
      local molecule = require "molecule"
      return function(msg) molecule.log("handles " .. msg.text) return "echo: " .. msg.text end]]
    local one = host.connect { platform = platform, workspace = workspace, script = script }
    local first = platform:message { to = workspace.id, from = slow.id, text = "first" }[1]
    local second = platform:message { to = workspace.id, from = slow.id, text = "second" }[1]
    one:wait { path = path(slow) }
    one:log "handles second"
    repeat until stored_replies(one) == 2
    one:kill()
    local two = host.connect { platform = platform, workspace = workspace, script = script, state_dir = one.state_dir }
    assert.same({ "echo: first", "echo: second" }, (two:peer(slow.id, 2)))
    assert.equal(0, two:count_log "handles")
    two:log_of(first, "replied")
    two:log_of(second, "replied")
    two:stop()
  end)

  it("of one conversation arrive in order, though every second post fails at first", function()
    for i = 0, 9 do
      platform:fault({ kind = "status", status = 503 }, { method = "POST", path = path(quick) }, { times = 1, skip = i })
    end
    local one = connect()
    for i = 1, 10 do platform:message { to = workspace.id, from = quick.id, text = tostring(i) } end
    one:wait { path = path(quick), count = 10, status = 200 }
    local texts = {}
    for _, entry in ipairs(platform:journal()) do
      if entry.path == path(quick) and entry.status == 200 then texts[#texts + 1] = entry.body:match "echo: (%d+)" end
    end
    assert.equal("1 2 3 4 5 6 7 8 9 10", table.concat(texts, " "))
    one:stop()
  end)
end)
