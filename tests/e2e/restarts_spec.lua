-- What a restart must not lose: rows that share a microsecond with the cursor's, and rows that were committed late where there
-- is no older row to read on from. What may happen in any order is in walks_spec.

local uv = require "luv"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"

-- Answers all but "slow …", which waits for the file.
local SLOW = [[
  local molecule = require "molecule"
  return function(msg)
    while msg.text:find "^slow" and not io.open(%q) do molecule.sleep(0.05) end
    return "echo: " .. msg.text
  end]]

for _, profile in ipairs { "t1", "latest" } do
  describe("a restart (" .. profile .. ")", function()
    local platform, workspace, peer, other, state_dir, flag

    before_each(function()
      platform = emulator.start { profile = profile, args = { "--rate-limit", "-1" } }
      workspace, peer, other = host.workspace(platform), host.workspace(platform), host.workspace(platform)
      local directory = host.directory()
      state_dir, flag = directory .. "/state", directory .. "/flag"
    end)

    after_each(function()
      host.clean_up()
      platform:stop()
    end)

    local function start()
      return host.connect { platform = platform, workspace = workspace, script = SLOW:format(flag), state_dir = state_dir,
        args = { "-v", "--concurrency", "4", "--drain", "50ms" } }
    end

    local function from(whom, text)
      return { to = workspace.id, from = whom.id, text = text }
    end

    for name, finish in pairs { stop = "stop", kill = "kill" } do
      it("after a " .. name .. " between two rows of one microsecond answers the second", function()
        local one = start()
        local before = platform:message(from(other, "before"))[1]
        one:wait_cursor(before)
        local ids = platform:order("tie", { workspace = workspace.id,
          messages = { from(peer, "first"), from(other, "slow second"), from(peer, "third") } }).ids
        one:log_of(ids[1], "replied")
        one:log_of(ids[3], "replied")
        one[finish](one)
        host.write(flag, "")
        local two = start()
        two:log_of(ids[2], "replied")
        two:stop()
        assert.equal(2, #two:peer(other.id, 2))
        if name == "stop" then assert.equal(4, #two:posts "/a2a") end -- a kill may repeat what it cut off
      end)
    end

    it("finds what was committed late before the very first row while it was down", function()
      local one = start()
      one:wait_cursor(platform:message(from(peer, "first"))[1])
      one:stop()
      platform:order("late", { workspace = workspace.id, from = peer.id, text = "late" })
      local two = start()
      assert.same({ "echo: first", "echo: late" }, (two:peer(peer.id, 2)))
      two:stop()
      assert.equal(2, #two:posts "/a2a")
    end)

    it("after another client, whose cursor is pruned, answers what came since that one wrote it", function()
      local answered = platform:message(from(peer, "answered"))[1]
      assert(uv.fs_mkdir(state_dir, tonumber("700", 8)))
      local path = host.write(("%s/%s.json"):format(state_dir, workspace.id),
        ('{"workspace_id": "%s", "last_since_id": "%s"}'):format(workspace.id, answered))
      assert(uv.fs_utime(path, os.time() - 7200, os.time() - 7200))
      platform:message { to = workspace.id, from = peer.id, text = "meanwhile", created_at = host.ago(3600) }
      platform:order("prune", { workspace = workspace.id, ids = { answered } })
      local one = start()
      assert.same({ "echo: meanwhile" }, (one:peer(peer.id, 1)))
      one:stop()
    end)

    it("finds what was committed late though the row to read on from was pruned", function()
      local one = start()
      local first = platform:message(from(peer, "first"))[1]
      one:wait_cursor(first)
      local db = ("%s/%s.db"):format(state_dir, workspace.id)
      one:stop()
      -- as if ten seconds had passed between two cursors
      assert.is_true(os.execute(("sqlite3 %s \"UPDATE meta SET value = '1' WHERE key = 'anchor_next_ms'\""):format(db)))
      local two = start()
      two:wait_cursor(platform:message(from(peer, "second"))[1])
      two:stop()
      platform:order("late", { workspace = workspace.id, from = peer.id, text = "late" })
      platform:order("prune", { workspace = workspace.id, ids = { first } })
      local three = start()
      assert.same({ "echo: first", "echo: second", "echo: late" }, (three:peer(peer.id, 3)))
      three:stop()
      assert.equal(3, #three:posts "/a2a")
    end)
  end)
end
