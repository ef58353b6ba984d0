--- A message that waits for its retry, or whose reply waits for its peer, is passed by the cursor: the ledger has it.
--- Where that is lost, the cursor file still says which rows it were, and the platform has them.

local emulator = require "tests.support.emulator"
local host = require "tests.support.host"

local WAITS = [[
  local molecule = require "molecule"
  return function(msg, ctx)
    if msg.text:find "^later" and not ctx.options.now then return molecule.retry {after = 3600} end
    return "echo: " .. msg.text
  end]]

for _, profile in ipairs { "t1", "latest" } do
  describe("a ledger that is lost while messages wait in it (" .. profile .. ")", function()
    local platform, workspace, peer

    before_each(function()
      platform = emulator.start { profile = profile, args = { "--rate-limit", "-1" } }
      workspace, peer = host.workspace(platform), host.workspace(platform)
    end)

    after_each(function()
      host.clean_up()
      platform:stop()
    end)

    local function wait_with(count)
      local one = host.connect { platform = platform, workspace = workspace, script = WAITS }
      for i = 1, count do platform:message { to = workspace.id, from = peer.id, text = "later " .. i, context_id = "c" .. i } end
      for _ = 1, count do one:log "retry in 3600" end
      local last = platform:message { to = workspace.id, from = peer.id, text = "now" }[1]
      one:peer(peer.id, 1)
      one:wait_cursor(last)
      return one
    end

    local function come_back(one, args)
      return host.connect { platform = platform, workspace = workspace, script = WAITS, state_dir = one.state_dir,
        args = { "--script-opt", "now=yes", table.unpack(args or {}) } }
    end

    local function sorted(texts)
      table.sort(texts)
      return texts
    end

    for how, lose in pairs {
      ["damaged"] = function(path) host.write(path, ("not a database"):rep(1000)) end,
      ["deleted"] = function(path) assert(os.remove(path)) end,
    } do
      it("as it is " .. how .. ", brings them back from the platform, and nothing that was answered", function()
        local one = wait_with(3)
        one:stop()
        local db = ("%s/%s.db"):format(one.state_dir, workspace.id)
        for _, ending in ipairs { "-wal", "-shm" } do os.remove(db .. ending) end
        lose(db)
        local two = come_back(one)
        two:log "3 messages waited in the lost ledger; fetching them"
        assert.same({ "echo: later 1", "echo: later 2", "echo: later 3", "echo: now" }, sorted((two:peer(peer.id, 4))))
        two:stop()
        assert.equal(4, #two:posts "/a2a")
        assert.is_nil(two:state().deferred)
      end)
    end

    it("continues with them after a failed poll", function()
      local one = wait_with(2)
      one:kill()
      local db = ("%s/%s.db"):format(one.state_dir, workspace.id)
      for _, ending in ipairs { "-wal", "-shm", "" } do os.remove(db .. ending) end
      platform:fault({ kind = "status", status = 503 }, { path = "/activity" }, { times = 2 })
      local two = come_back(one)
      assert.same({ "echo: later 1", "echo: later 2", "echo: now" }, sorted((two:peer(peer.id, 3))))
      two:stop()
    end)

    it("does not forget them when it stops before they were found, nor when only some are in the new one", function()
      local one = wait_with(3)
      one:kill()
      local db = ("%s/%s.db"):format(one.state_dir, workspace.id)
      local function lose()
        for _, ending in ipairs { "-wal", "-shm", "" } do os.remove(db .. ending) end
      end
      lose()
      platform:fault({ kind = "status", status = 503 }, { path = "/activity" }, { times = -1 })
      local two = come_back(one)
      two:log "3 messages waited in the lost ledger"
      two:log "poll: HTTP 503"
      two:stop()
      assert.equal(3, #two:state().deferred.rows)
      platform:clear_faults()
      local three = host.connect { platform = platform, workspace = workspace, script = WAITS, state_dir = one.state_dir }
      three:log "3 messages waited in the lost ledger"
      for _ = 1, 3 do three:log "retry in 3600" end
      three:stop()
      local one_of_them = "(SELECT row_id FROM messages WHERE state = 4 LIMIT 1)"
      assert.is_true(os.execute(("sqlite3 '%s' 'DELETE FROM messages WHERE row_id = %s'"):format(db, one_of_them)))
      local four = come_back(one)
      four:log "1 message waited in the lost ledger"
      four:peer(peer.id, 2)
      four:stop()
    end)

    it("says so of those that the platform no longer has", function()
      local one = wait_with(1)
      one:stop()
      assert(os.remove(("%s/%s.db"):format(one.state_dir, workspace.id)))
      platform:order("prune", { workspace = workspace.id, before = host.ago(-60) })
      local two = come_back(one)
      two:log "1 message that waited in the lost ledger can no longer be found on the platform"
      platform:message { to = workspace.id, from = peer.id, text = "after" }
      two:peer(peer.id, 2)
      two:stop()
    end)
  end)
end
