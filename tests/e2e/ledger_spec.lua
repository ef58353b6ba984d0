--- What the ledger promises: never lost, never answered twice, across failures and restarts.

local cjson = require "cjson"
local both = require "tests.support.both"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local process = require "tests.support.process"

local SQLITE = "sqlite3 -cmd '.timeout 5000' " -- the host may be writing

--- Counts its runs in a file, so that a run behind our back shows.
local COUNTING = [[
return function(msg, ctx)
  local file = assert(io.open(ctx.options.runs, "a"))
  file:write(msg.text, "\n")
  file:close()
  return "answer to " .. msg.text
end]]

both(describe, "the ledger", function(profile)
  local platform, workspace, peer, directory, runs, state_dir

  setup(function() platform = emulator.start { profile = profile, args = { "--rate-limit", "-1" } } end)
  before_each(function()
    workspace, peer = host.workspace(platform), host.workspace(platform)
    directory = host.directory()
    runs, state_dir = directory .. "/runs", directory .. "/state"
  end)
  after_each(function()
    platform:clear_faults()
    host.clean_up()
  end)
  teardown(function() platform:stop() end)

  local function connect(script, args)
    local all = { "--script-opt", "runs=" .. runs }
    for _, word in ipairs(args or {}) do all[#all + 1] = word end
    return host.connect { platform = platform, workspace = workspace, script = script or COUNTING, state_dir = state_dir,
      args = all }
  end

  local function count_runs()
    local _, count = (host.read(runs) or ""):gsub("\n", "")
    return count
  end

  local function molecule(...)
    local one = process.spawn { command = { emulator.binary(), ... }, env = { MOLECULE_STATE_DIR = state_dir } }
    local code = one:wait_exit()
    return code, one.stdout, one.stderr
  end

  local function posts(path, since)
    local found = {}
    for _, entry in ipairs(platform:journal(since)) do
      if entry.method == "POST" and entry.path:find(path, 1, true) then found[#found + 1] = entry end
    end
    return found
  end

  it("posts the same reply after a kill, byte for byte, and does not run the script again", function()
    local path = ("/workspaces/%s/a2a"):format(peer.id)
    platform:fault({ kind = "status", status = 503 }, { method = "POST", path = path }, { times = -1 })
    local one = connect()
    platform:message { to = workspace.id, from = peer.id, text = "a question" }
    one:wait { path = path, status = 503 }
    one:kill()
    platform:clear_faults()
    local two = connect()
    two:wait { path = path, status = 200 }
    local sent = posts(path)
    assert.equal(1, count_runs())
    assert.is_true(#sent >= 2)
    for _, entry in ipairs(sent) do assert.equal(sent[1].body, entry.body) end
    two:stop()
  end)

  it("does not tell the canvas twice when the answer to the reply was lost", function()
    platform:fault({ kind = "reset_after" }, { method = "POST", path = "/notify" }, { times = 1 })
    local one = connect()
    local id = platform:message { to = workspace.id, text = "hello" }[1]
    one:log_of(id, "its receipt was found")
    local echoes = 0
    for _, row in ipairs(platform:rows(workspace.id)) do
      if row.method == "notify" then echoes = echoes + 1 end
    end
    assert.equal(1, echoes)
    one:stop()
  end)

  it("tells the canvas after a kill if it was not told, and only then", function()
    platform:fault({ kind = "reset" }, { method = "POST", path = "/notify" }, { times = -1 })
    local one = connect()
    platform:message { to = workspace.id, text = "hello" }
    one:wait { path = ("/workspaces/%s/notify"):format(workspace.id) }
    one:kill()
    platform:clear_faults()
    local two = connect()
    two:canvas(1)
    two:kill()
    local three = connect()
    local id = platform:message { to = workspace.id, text = "again" }[1]
    three:log_of(id, "replied")
    assert.same({ "answer to hello", "answer to again" }, three:told_canvas())
    assert.equal(2, count_runs())
    three:stop()
  end)

  it("answers equal questions equally often, whatever is lost on the way", function()
    local one = connect()
    for i = 1, 6 do
      local kind = i % 2 == 0 and "reset_after" or "reset"
      platform:fault({ kind = kind }, { method = "POST", path = "/notify" }, { times = 1 })
      platform:message { to = workspace.id, text = "ping" }
    end
    local last = platform:message { to = workspace.id, text = "the end" }[1]
    one:log_of(last, "replied")
    local echoes = 0
    for _, row in ipairs(platform:rows(workspace.id)) do
      if row.method == "notify" and row.response_body.result == "answer to ping" then echoes = echoes + 1 end
    end
    assert.equal(6, echoes)
    one:stop()
  end)

  it("lets the cursor pass a message that waits for long, and answers it in time, also after a restart", function()
    local script = [[
      local molecule = require "molecule"
      return function(msg, ctx)
        if msg.text == "later" and not ctx.redelivered then return molecule.retry {after = 31, reason = "not now"} end
        return "done: " .. msg.text
      end]]
    local one = connect(script)
    local later = platform:message { to = workspace.id, text = "later" }[1]
    local id = platform:message { to = workspace.id, from = peer.id, text = "now" }[1]
    one:log_of(later, "retry in 31")
    one:wait_cursor(id)
    one:kill()
    -- as if the time were over
    local order = SQLITE .. "%s/%s.db 'UPDATE messages SET due = 1 WHERE state = 4'"
    assert.is_true(os.execute(order:format(state_dir, workspace.id)))
    local two = connect(script)
    assert.same({ "done: later" }, two:canvas(1))
    two:stop()
  end)

  it("sets a message aside that ends the process every time, and answers the others", function()
    local script = [[
      return function(msg)
        if msg.text == "poison" then os.execute("kill -9 $PPID") end
        return "fine: " .. msg.text
      end]]
    platform:message { to = workspace.id, text = "poison" }
    local good = platform:message { to = workspace.id, from = peer.id, text = "good" }[1]
    for _ = 1, 3 do
      local one = host.start { platform = platform, workspace = workspace, script = script, state_dir = state_dir,
        args = { "--max-attempts", "3" } }
      one.process:wait_exit()
      one:kill()
    end
    local last = connect(script, { "--max-attempts", "3" })
    last:log "the process ended 3 times while handling this message"
    last:log_of(good, "replied")
    last:stop()
    local _, output = molecule("dead", "list", workspace.id)
    assert.truthy(output:find("the process ended 3 times", 1, true))
  end)

  it("remembers what was answered when the platform forgets the cursor across a restart", function()
    local one = connect()
    local first = platform:message { to = workspace.id, text = "one" }[1]
    one:log_of(first, "replied")
    one:stop()
    platform:order("prune", { workspace = workspace.id, ids = { first } })
    platform:message { to = workspace.id, id = first, text = "one" }
    local since = platform:mark()
    local two = connect()
    local second = platform:message { to = workspace.id, text = "two" }[1]
    two:log_of(second, "replied")
    assert.equal(2, count_runs())
    assert.equal(1, #posts("/notify", since))
    two:stop()
  end)

  it("finds after a restart what was committed late while it was down", function()
    local one = connect()
    local first = platform:message { to = workspace.id, from = peer.id, text = "first" }[1]
    one:wait_cursor(first)
    one:stop()
    -- as if ten seconds had passed between two cursors
    local db = ("%s/%s.db"):format(state_dir, workspace.id)
    assert.is_true(os.execute((SQLITE .. "%s \"UPDATE meta SET value = '1' WHERE key = 'anchor_next_ms'\""):format(db)))
    local two = connect()
    local second = platform:message { to = workspace.id, from = peer.id, text = "second" }[1]
    two:wait_cursor(second)
    two:stop()
    local late = platform:order("late", { workspace = workspace.id, from = peer.id, text = "late" }).ids[1]
    local three = connect()
    three:log_of(late, "replied")
    three:stop()
    assert.equal(3, count_runs())
  end)

  it("does not forget a row that was committed late when it stops before its turn", function()
    local script = [[
      local molecule = require "molecule"
      return function(msg)
        if msg.text == "slow" or msg.text == "late" then molecule.log("slowly") molecule.sleep(60) end
        return msg.text
      end]]
    local db = ("%s/%s.db"):format(state_dir, workspace.id)
    local function set(key, value)
      assert.is_true(os.execute((SQLITE .. "%s \"UPDATE meta SET value = '%s' WHERE key = '%s'\""):format(db, value, key)))
    end
    platform:order("events", { mute = true }) -- what is announced is found at once
    finally(function() platform:order("events", { mute = false }) end)
    local one = connect(script)
    one:wait_cursor(platform:message { to = workspace.id, from = peer.id, text = "first" }[1])
    one:stop()
    set("anchor_next_ms", "1") -- as if ten seconds had passed between two cursors
    local two = connect(script, { "--drain", "50ms", "-v" })
    local second = platform:message { to = workspace.id, from = peer.id, text = "second" }[1]
    two:wait_cursor(second)
    local late = platform:order("late", { workspace = workspace.id, from = peer.id, text = "late" }).ids[1]
    local slow = platform:message { to = workspace.id, from = peer.id, text = "slow" }[1]
    two:log "slowly"
    two:stop()
    local three = connect(script, { "--drain", "50ms", "-v" })
    three:log "slowly"
    local found = late:gsub("%-", "%%-") .. " came late"
    if two:count_log(found) == 0 then three:log(found) end -- the first reading after a start may have come to it
    three:stop()
    set("anchor", second) -- as if the cursor had moved on meanwhile
    local four = connect(nil)
    four:log_of(late, "replied")
    four:log_of(slow, "replied")
    four:stop()
  end)

  it("leaves to another client what that client has answered", function()
    local path = ("/workspaces/%s/a2a"):format(peer.id)
    local one = connect()
    local before = platform:message { to = workspace.id, from = peer.id, text = "before" }[1]
    one:wait_cursor(before)
    platform:fault({ kind = "status", status = 503 }, { method = "POST", path = path }, { times = -1 })
    platform:message { to = workspace.id, from = peer.id, text = "under way" }
    one:wait { path = path, status = 503 }
    one:kill()
    local since = platform:mark()
    platform:clear_faults()
    -- the Go client answered it and went on to a further one
    local further = platform:message { to = workspace.id, text = "further" }[1]
    host.write(("%s/%s.json"):format(state_dir, workspace.id),
      ('{\n  "workspace_id": "%s",\n  "last_since_id": "%s"\n}\n'):format(workspace.id, further))
    local two = connect()
    local new = platform:message { to = workspace.id, text = "new" }[1]
    two:log_of(new, "replied")
    assert.equal(0, #posts(path, since))
    two:stop_at(new)
  end)

  it("leaves to another client what that client has answered, also what was interrupted by our own stop", function()
    local script = [[
      local molecule = require "molecule"
      return function(msg)
        if msg.text == "slow" then molecule.log("slowly") molecule.sleep(60) end
        return msg.text
      end]]
    local one = connect(script, { "--drain", "100ms" })
    local first = platform:message { to = workspace.id, from = peer.id, text = "first" }[1]
    one:wait_cursor(first)
    local slow = platform:message { to = workspace.id, from = peer.id, text = "slow" }[1]
    one:log "slowly"
    one:stop()
    host.write(one.state_path, cjson.encode { workspace_id = workspace.id, last_since_id = slow }) -- it answered "slow"
    local two = connect()
    local new = platform:message { to = workspace.id, from = peer.id, text = "new" }[1]
    two:log_of(new, "replied")
    assert.same({ "first", "answer to new" }, (two:peer(peer.id, 2)))
    two:stop_at(new)
    local three = connect()
    local newer = platform:message { to = workspace.id, from = peer.id, text = "newer" }[1]
    three:log_of(newer, "replied")
    assert.same({ "first", "answer to new", "answer to newer" }, (three:peer(peer.id, 3)))
    three:stop_at(newer)
  end)

  it("does not take a message that waits for its retry for one that ended the process", function()
    local script = [[
      return function(msg, ctx)
        if ctx.options.now then return "run " .. ctx.attempt end
        return require("molecule").retry {after = 20}
      end]]
    local one = connect(script, { "--max-attempts", "1" })
    local row = platform:message { to = workspace.id, text = "later" }[1]
    one:log_of(row, "retry in 20")
    one:stop()
    local two = connect(script, { "--max-attempts", "1", "--script-opt", "now=yes" })
    assert.same({ "run 2" }, two:canvas(1))
    two:stop()
    assert.equal(0, two:count_log "earlier process ended")
  end)

  it("a kept message that holds its conversation holds it after a restart too", function()
    local script = [[
      local molecule = require "molecule"
      return function(msg, ctx)
        if msg.text == "first" and ctx.attempt == 1 then return molecule.retry {after = 31, hold = true} end
        return "done: " .. msg.text
      end]]
    local one = connect(script)
    local first = platform:message { to = workspace.id, text = "first" }[1]
    one:log_of(first, "retry in 31")
    one:wait_cursor(first)
    one:kill()
    assert.is_true(os.execute((SQLITE .. "%s/%s.db \"UPDATE messages SET due = %d WHERE state = 4\""):format(state_dir,
      workspace.id, math.floor(os.time() * 1000 + 1500))))
    local two = connect(script)
    platform:message { to = workspace.id, text = "second" }
    assert.same({ "done: first", "done: second" }, two:canvas(2))
    two:stop()
  end)

  it("continues from its own copy when the cursor file is damaged", function()
    local one = connect()
    local first = platform:message { to = workspace.id, text = "one" }[1]
    one:log_of(first, "replied")
    one:stop_at(first)
    host.write(one.state_path, "{ not json")
    local two = connect()
    two:log "recovered from the ledger's copy"
    local second = platform:message { to = workspace.id, text = "two" }[1]
    two:log_of(second, "replied")
    two:stop_at(second)
    assert.equal(2, count_runs())
    assert.equal("{ not json", host.read(one.state_path .. ".damaged"))
  end)

  it("sets a damaged ledger aside, says so, and continues", function()
    local one = connect()
    one:log_of(platform:message { to = workspace.id, text = "one" }[1], "replied")
    one:stop()
    host.write(("%s/%s.db"):format(state_dir, workspace.id), ("garbage "):rep(2000))
    local two = connect()
    two:log "damaged"
    local second = platform:message { to = workspace.id, text = "two" }[1]
    two:log_of(second, "replied")
    assert.equal(2, count_runs())
    two:stop()
    assert.truthy(table.concat(host.list(state_dir), " "):find(".db.damaged-", 1, true))
  end)

  it("refuses the ledger of another platform", function()
    local one = connect()
    one:log_of(platform:message { to = workspace.id, text = "one" }[1], "replied")
    one:stop()
    local two = host.run({ platform = platform, workspace = workspace, script = COUNTING, state_dir = state_dir,
      api_url = platform.url:gsub("127%.0%.0%.1", "localhost") }, 1)
    assert.equal(1, two:count_log "belongs to the platform")
  end)

  it("handles nothing while the ledger cannot be written, says why in the heartbeat, and continues afterwards", function()
    assert.is_true(os.execute("mkdir -p " .. state_dir .. "/" .. workspace.id .. ".db"))
    local one = host.start { platform = platform, workspace = workspace, script = COUNTING, state_dir = state_dir,
      args = { "--script-opt", "runs=" .. runs } }
    one:wait_exit(1)
    assert.equal(1, one:count_log "ledger")
    assert.is_true(os.execute("rmdir " .. state_dir .. "/" .. workspace.id .. ".db"))
    local two = connect()
    two:log_of(platform:message { to = workspace.id, text = "one" }[1], "replied")
    two:stop()
  end)

  describe("from the command line", function()
    local FAILING = [[
      return function(msg, ctx)
        local allowed = io.open(ctx.options.runs)
        if not allowed then error("no file yet") end
        allowed:close()
        return "well: " .. msg.text
      end]]

    it("status tells how a live workspace fares, and how a stopped one stood", function()
      local one = connect()
      local id = platform:message { to = workspace.id, from = peer.id, text = "one" }[1]
      one:log_of(id, "replied")
      one:wait_cursor(id)
      local code, output = molecule("status", workspace.id, "--json")
      local status = cjson.decode(output)
      assert.equal(0, code)
      assert.equal("running", status.state)
      assert.equal(one.process.pid, status.pid)
      assert.equal(id, status.cursor)
      assert.equal(1, status.messages.finished)
      assert.truthy(status.last_poll:match "^%d+%-%d+%-%d+T")
      assert.truthy(status.last_heartbeat:match "^%d+%-%d+%-%d+T")
      one:stop()
      code, output = molecule("status", workspace.id, "--json")
      status = cjson.decode(output)
      assert.equal(1, code)
      assert.equal("not running", status.state)
      assert.equal(id, status.cursor)
      assert.equal(1, status.messages.finished)
      code, output = molecule("status", workspace.id)
      assert.equal(1, code)
      assert.truthy(output:find(id, 1, true))
      code = molecule("status", "unknown")
      assert.equal(3, code)
    end)

    it("status does not make a ledger that cannot be written look well", function()
      local one = connect()
      one:log_of(platform:message { to = workspace.id, text = "one" }[1], "replied")
      local db = (SQLITE .. "%s/%s.db "):format(state_dir, workspace.id)
      assert.is_true(os.execute(db .. "'CREATE TRIGGER no BEFORE INSERT ON messages BEGIN SELECT RAISE(ABORT, \"no\"); END'"))
      platform:message { to = workspace.id, text = "two" }
      one:log "nothing is handled or posted until it can be written again"
      for _ = 1, 3 do
        local _, output = molecule("status", workspace.id, "--json")
        assert.equal("disk failing", cjson.decode(output).state)
      end
      assert.equal(0, one:count_log "the ledger can be written")
      assert.is_true(os.execute(db .. "'DROP TRIGGER no'"))
      one:log "the ledger can be written again"
      assert.same({ "answer to one", "answer to two" }, one:canvas(2))
      one:stop()
    end)

    it("no later reply is stored or posted before what could not be written", function()
      local go = host.directory() .. "/go"
      local one = connect([[
        local molecule = require "molecule"
        return function(msg, ctx)
          if msg.text == "two" then
            molecule.sleep(0.5)
            print "two is handled"
          elseif msg.text == "one" then
            while not io.open(ctx.options.go) do molecule.sleep(0.01) end
          end
          return "answer to " .. msg.text
        end]], { "--script-opt", "go=" .. go, "--interval-ms", "20", "--wake", "poll" })
      one:log_of(platform:message { to = workspace.id, text = "none" }[1], "replied")
      local rows = platform:rows(workspace.id)
      one:wait_cursor(rows[#rows].id) -- it is recorded as finished, too
      local db = (SQLITE .. "%s/%s.db "):format(state_dir, workspace.id)
      assert.is_true(os.execute(db .. "'CREATE TRIGGER no BEFORE INSERT ON finished BEGIN SELECT RAISE(ABORT, \"no\"); END'"))
      platform:message { to = workspace.id, text = "one" }
      platform:message { to = workspace.id, text = "two" }
      one:wait { path = workspace.id .. "/activity", since = platform:mark(), count = 2 } -- the first has brought "two"
      host.write(go, "")
      one:log "nothing is handled or posted until it can be written again"
      one.process:wait_line("two is handled", { stream = "stdout" })
      for _ = 1, 3 do
        local _, output = molecule("status", workspace.id, "--json")
        assert.equal("disk failing", cjson.decode(output).state)
      end
      assert.same({ "answer to none", "answer to one" }, one:told_canvas())
      assert.is_true(os.execute(db .. "'DROP TRIGGER no'"))
      assert.same({ "answer to none", "answer to one", "answer to two" }, one:canvas(3))
      one:stop()
      local _, output = molecule("status", workspace.id, "--json")
      assert.equal(3, cjson.decode(output).messages.finished)
    end)

    it("dead shows what failed and where, and hands it to the live script again", function()
      local one = connect(FAILING, { "--max-attempts", "1" })
      local id = platform:message { to = workspace.id, text = "try me" }[1]
      one:log_of(id, "failed")
      one:wait_cursor(id)
      local _, list = molecule("dead", "list", workspace.id)
      assert.truthy(list:find(id, 1, true))
      local _, shown = molecule("dead", "show", workspace.id, id)
      assert.truthy(shown:find("no file yet", 1, true))
      assert.truthy(shown:find("agent.lua:3", 1, true))
      assert.truthy(shown:find("try me", 1, true))
      host.write(runs, "")
      local code, output = molecule("dead", "retry", workspace.id, id)
      assert.equal(0, code)
      assert.truthy(output:find("runs again", 1, true))
      assert.same({ "well: try me" }, one:canvas(1))
      _, list = molecule("dead", "list", workspace.id)
      assert.equal("no dead letters\n", list)
      one:stop()
    end)

    it("dead and --record show a message whose error or row is not UTF-8, and no token in it", function()
      local record = directory .. "/record.jsonl"
      local script = ("return function(msg) error('bad byte \\xff, %s') end"):format(workspace.token)
      local one = connect(script, { "--max-attempts", "1", "--record", record })
      local id = platform:message { to = workspace.id, text = "x" }[1]
      one:log_of(id, "the handler failed")
      one:wait_cursor(id)
      local code, list = molecule("dead", "list", workspace.id)
      assert.equal(0, code)
      assert.truthy(list:find(id, 1, true))
      assert.truthy(list:find("bad byte \u{FFFD}", 1, true))
      assert.is_nil(list:find(workspace.token, 1, true))
      one:stop()
      assert.truthy((host.read(record) or ""):find(id, 1, true))
      for _, name in ipairs(host.list(state_dir)) do
        assert.is_nil(host.read(state_dir .. "/" .. name):find(workspace.token, 1, true), name)
      end
    end)

    it("dead retry and drop work while no host runs", function()
      local one = connect(FAILING, { "--max-attempts", "1" })
      local first = platform:message { to = workspace.id, text = "first" }[1]
      local second = platform:message { to = workspace.id, text = "second" }[1]
      one:log_of(first, "the handler failed")
      one:log_of(second, "the handler failed")
      one:stop()
      local code, output = molecule("dead", "retry", workspace.id, first)
      assert.equal(0, code)
      assert.truthy(output:find("at the next start", 1, true))
      code = molecule("dead", "drop", workspace.id, second)
      assert.equal(0, code)
      code = molecule("dead", "drop", workspace.id, second)
      assert.equal(1, code)
      host.write(runs, "")
      local two = connect(FAILING)
      assert.same({ "well: first" }, two:canvas(1))
      two:stop()
      assert.same({ "well: first" }, two:told_canvas())
    end)

    it("dead retry while no host runs starts over, however the last attempts ended", function()
      local one = connect(FAILING, { "--max-attempts", "2" })
      local id = platform:message { to = workspace.id, text = "fixed meanwhile" }[1]
      one:log_of(id, "attempt 2 of 2")
      one:wait_cursor(id)
      one:stop()
      assert.equal(0, (molecule("dead", "retry", workspace.id, id)))
      host.write(runs, "")
      local two = connect(FAILING, { "--max-attempts", "2" })
      assert.same({ "well: fixed meanwhile" }, two:canvas(1))
      two:stop()
      assert.equal(0, two:count_log "while handling this message")
      assert.equal(0, two:count_log "was being handled when an earlier process ended")
    end)

    it("dead retry gives what ended the process another chance, in the process that set it aside and in the next", function()
      local SLEEPING = [[
        local molecule = require "molecule"
        return function(msg, ctx)
          local allowed = io.open(ctx.options.runs)
          if not allowed then
            print("asleep with " .. msg.text)
            molecule.sleep(60)
          end
          allowed:close()
          return "well: " .. msg.text
        end]]
      local one = connect(SLEEPING, { "--max-attempts", "1", "--concurrency", "2" })
      local ids = { platform:message { to = workspace.id, text = "first" }[1],
        platform:message { to = workspace.id, from = peer.id, text = "second" }[1] }
      one.process:wait_line("asleep with first", { stream = "stdout" })
      one.process:wait_line("asleep with second", { stream = "stdout" })
      one:kill()
      host.write(runs, "")
      local two = connect(SLEEPING, { "--max-attempts", "1" })
      for _, id in ipairs(ids) do two:log_of(id, "while handling this message") end
      two:wait_cursor(ids[2])
      assert.equal(0, (molecule("dead", "retry", workspace.id, ids[1])))
      assert.same({ "well: first" }, two:canvas(1))
      two:stop()
      assert.equal(0, (molecule("dead", "retry", workspace.id, ids[2])))
      local three = connect(SLEEPING, { "--max-attempts", "1" })
      three:log_of(ids[2], "replied")
      three:stop()
    end)

    it("dead says what is wrong with its words", function()
      assert.equal(2, (molecule("dead")))
      assert.equal(2, (molecule("dead", "burn", workspace.id)))
      assert.equal(2, (molecule("dead", "retry", workspace.id)))
      assert.equal(2, (molecule("dead", "list", "../x")))
    end)

    it("--error-reply tells the sender and still leaves a dead letter", function()
      local one = connect(FAILING, { "--max-attempts", "1", "--error-reply", "sorry" })
      local id = platform:message { to = workspace.id, text = "x" }[1]
      assert.same({ "sorry" }, one:canvas(1))
      one:log_of(id, "replied")
      local _, list = molecule("dead", "list", workspace.id)
      assert.truthy(list:find(id, 1, true))
      one:stop()
    end)

    it("--record writes envelope, outcome and reply of each message, and no token", function()
      local record = directory .. "/record.jsonl"
      local one = connect(nil, { "--record", record })
      local id = platform:message { to = workspace.id, text = "my token is " .. workspace.token }[1]
      one:log_of(id, "replied")
      one:stop()
      local text = host.read(record)
      local line = cjson.decode(text)
      assert.equal(id, line.row_id)
      assert.equal("replied", line.outcome)
      assert.equal("canvas", line.from)
      assert.equal("message/send", line.envelope.method)
      assert.truthy(line.reply.message:find("answer to", 1, true))
      assert.is_nil(text:find(workspace.token, 1, true))
    end)
  end)
end)
