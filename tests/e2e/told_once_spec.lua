--- What a handler tells the human while it works is told once, however often the handler runs.

local emulator = require "tests.support.emulator"
local host = require "tests.support.host"

for _, profile in ipairs { "t1", "latest" } do
  describe("what a handler tells the human (" .. profile .. ")", function()
    local platform, workspace, state_dir

    setup(function() platform = emulator.start { profile = profile, args = { "--rate-limit", "-1" } } end)
    before_each(function()
      workspace = host.workspace(platform)
      state_dir = host.directory() .. "/state"
    end)
    after_each(host.clean_up)
    teardown(function() platform:stop() end)

    local function connect(body, args)
      return host.connect { platform = platform, workspace = workspace, state_dir = state_dir, args = args,
        script = 'local molecule = require "molecule"\nreturn function(msg, ctx)\n' .. body .. "\nend" }
    end

    local function say(text)
      return platform:message { to = workspace.id, text = text or "x" }[1]
    end

    it("is not told again by the next attempt, and what is new is", function()
      local one = connect [[
        assert(molecule.notify("looking"))
        assert(ctx.progress("attempt " .. ctx.attempt))
        assert(molecule.notify("looking"))
        if ctx.attempt < 3 then error "no luck" end
        return "done"]]
      say()
      assert.same({ "looking", "attempt 1", "looking", "attempt 2", "attempt 3", "done" }, one:canvas(6))
      one:stop()
    end)

    it("is told again where the script asks for a retry", function()
      local one = connect [[
        assert(molecule.notify("looking"))
        if ctx.attempt == 1 then return molecule.retry {after = 0.01} end
        return "done"]]
      say()
      assert.same({ "looking", "looking", "done" }, one:canvas(3))
      one:stop()
    end)

    it("is told again by a retry alone, and not by the process after a crash", function()
      local go = host.directory() .. "/go"
      local body = ([[
        assert(molecule.notify("looking"))
        if ctx.attempt == 1 then return molecule.retry {after = 0.01} end
        if not io.open(%q) then molecule.log "it waits" molecule.sleep(60) end
        return "done"]]):format(go)
      local one = connect(body)
      say()
      one:log "it waits"
      one.process:signal "sigkill"
      one.process:wait_exit()
      host.write(go, "")
      one = connect(body)
      assert.same({ "looking", "looking", "done" }, one:canvas(3))
      one:stop()
    end)

    it("is not told again when the answer was lost and the handler failed for it", function()
      local one = connect [[
        assert(molecule.notify("looking"))
        return "done"]]
      platform:fault({ kind = "reset_after" }, { method = "POST", path = "/notify" }, { times = 1 })
      say()
      one:log "attempt 1 of %d+, retrying in"
      one:wait { path = ("/workspaces/%s/notify"):format(workspace.id), status = 200, body = "done" }
      local shown = 0
      for _, row in ipairs(platform:rows(workspace.id)) do shown = shown + (row.method == "notify" and 1 or 0) end
      assert.equal(2, shown)
      one:stop()
    end)

    local SLOW = [[
      assert(molecule.notify("looking"))
      if not ctx.options.quick then molecule.log("waiting") molecule.sleep(600) end
      return "done"]]

    it("is not told again after a kill", function()
      local one = connect(SLOW)
      say()
      one:log "waiting"
      one:kill()
      one = connect(SLOW, { "--script-opt", "quick=yes" })
      assert.same({ "looking", "done" }, one:canvas(2))
      one:stop()
    end)

    it("is not told again after a kill in front of the note that it was told", function()
      local one = connect(SLOW)
      say()
      one:log "waiting"
      one:kill()
      assert.is_true(os.execute(("sqlite3 '%s/%s.db' 'DELETE FROM answers'"):format(state_dir, workspace.id)))
      one = connect(SLOW, { "--script-opt", "quick=yes" })
      assert.same({ "looking", "done" }, one:canvas(2))
      one:stop()
    end)

    it("is not told again after a stop that came before the answer", function()
      local one = connect(SLOW, { "--drain", "50ms" })
      platform:fault({ kind = "hang" }, { method = "POST", path = "/notify" }, { times = 1 })
      say()
      platform:wait { path = ("/workspaces/%s/notify"):format(workspace.id), count = 1 }
      one:stop()
      platform:clear_faults()
      assert.equal(200, platform:request("POST", ("/workspaces/%s/notify"):format(workspace.id), { json = { message = "looking" },
        headers = { Authorization = "Bearer " .. workspace.token } }).status) -- as if the platform had taken it
      one = connect(SLOW, { "--script-opt", "quick=yes" })
      one:wait { path = ("/workspaces/%s/notify"):format(workspace.id), status = 200, body = "done" }
      local shown = 0
      for _, row in ipairs(platform:rows(workspace.id)) do shown = shown + (row.method == "notify" and 1 or 0) end
      assert.equal(2, shown)
      one:stop()
    end)

    it("is told though another message was told the same before", function()
      local one = connect(SLOW, { "--concurrency", "2" })
      say "first"
      platform:message { to = workspace.id, text = "second", context_id = "c" }
      one:canvas(2)
      one:kill()
      one = connect(SLOW, { "--script-opt", "quick=yes" })
      local told = one:canvas(4)
      table.sort(told)
      assert.same({ "done", "done", "looking", "looking" }, told)
      one:stop()
    end)
  end)
end
