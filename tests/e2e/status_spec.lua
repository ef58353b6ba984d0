--- What `molecule status` and `molecule dead` say and exit with, and that the commands which the log prints work.

local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local process = require "tests.support.process"

local FAILING = [[return function(msg) if msg.text == "fine" then return "fine" end error("no: " .. msg.text) end]]

describe("a workspace's state on this machine", function()
  local platform, workspace

  setup(function()
    platform = emulator.start { args = { "--rate-limit", "-1" } }
  end)

  before_each(function()
    workspace = host.workspace(platform)
  end)

  after_each(function()
    host.clean_up()
    platform:clear_faults()
  end)

  teardown(function()
    platform:stop()
  end)

  local function run(...)
    local one = process.spawn { command = { emulator.binary(), ... },
      env = { MOLECULE_STATE_DIR = false, STATE_DIRECTORY = false } }
    local code = one:wait_exit()
    return code, one.stdout, one.stderr
  end

  local function connect(options)
    local all = { platform = platform, workspace = workspace, script = FAILING }
    for name, value in pairs(options or {}) do all[name] = value end
    return host.connect(all)
  end

  describe("status", function()
    it("exits with 0 while all is well, 1 when stopped, 3 when nothing is known", function()
      local one = connect()
      one:wait { path = "/activity", workspace = workspace.id, status = 200, count = 1 }
      assert.equal(0, (run("status", workspace.id, "--state-dir", one.state_dir)))
      one:stop()
      local code, said = run("status", workspace.id, "--state-dir", one.state_dir)
      assert.equal(1, code)
      assert(said:find "state%s+not running", said)
      assert.equal(3, (run("status", emulator.uuid(), "--state-dir", one.state_dir)))
      assert.equal(3, (run("status", workspace.id, "--no-such-option")))
      assert.equal(3, (run("status", "not/an/id")))
    end)

    it("exits with 2 while the platform is unreachable, and says for how long and why", function()
      local one = connect()
      one:wait { path = "/activity", workspace = workspace.id, status = 200, count = 1 }
      platform:fault({ kind = "status", status = 503, body = { error = "not now" } }, { path = "/activity" }, { times = -1 })
      one:log "not now.*retrying"
      local code, said = run("status", workspace.id, "--state-dir", one.state_dir)
      assert.equal(2, code)
      assert(said:find "platform%s+unreachable for %d+ s: .*not now", said)
      code, said = run("status", workspace.id, "--state-dir", one.state_dir, "--json")
      local status = cjson.decode(said)
      assert.equal(2, code)
      assert(status.unreachable_since:match "^%d+%-%d+%-%d+T" and status.unreachable_seconds >= 0, said)
      platform:clear_faults()
      one:log "poll: .*retrying"
      one:wait { path = "/activity", workspace = workspace.id, status = 200, since = platform:mark(), count = 1 }
      code, said = run("status", workspace.id, "--state-dir", one.state_dir)
      assert.equal(0, code, said)
      assert.is_nil(said:find("unreachable", 1, true), said)
      one:stop()
    end)

    it("exits with 2 while the first registration is refused", function()
      platform:fault({ kind = "status", status = 502 }, { path = "/registry/register" }, { times = -1 })
      local one = host.start { platform = platform, workspace = workspace, script = FAILING,
        args = { "--register-attempts", "0", "--bootstrap" } }
      one:log "registration: .*retrying"
      local code, said = run("status", workspace.id, "--state-dir", one.state_dir)
      assert.equal(2, code, said)
      assert(said:find "state%s+registering", said)
      one:stop()
    end)

    it("tells its exit codes with --help", function()
      local _, said = run("status", "--help")
      for code, word in pairs { ["0"] = "running and healthy", ["1"] = "stopped", ["2"] = "unhealthy", ["3"] = "unknown" } do
        assert(said:find("\n  " .. code .. "  " .. word, 1, true), said)
      end
    end)
  end)

  describe("status of several", function()
    local other

    local function two()
      other = host.workspace(platform)
      local one = connect()
      one:wait { path = "/activity", workspace = workspace.id, status = 200, count = 1 }
      host.run({ platform = platform, workspace = other, script = "x", state_dir = one.state_dir }, 2)
      host.write(("%s/%s.json"):format(one.state_dir, other.id), cjson.encode { workspace_id = other.id })
      return one
    end

    it("is a table without an id, aligned, and the worst exit code", function()
      local one = two()
      local code, said = run("status", "--state-dir", one.state_dir)
      assert.equal(1, code)
      local lines = {}
      for line in said:gmatch "[^\n]+" do lines[#lines + 1] = line end
      assert.equal(3, #lines, said)
      assert(lines[1]:find "^WORKSPACE%s+STATE%s+LAST POLL%s+HEARTBEAT%s+PENDING%s+DEAD%s+OLDEST%s+AWAY$", said)
      local state_at, dead_end = lines[1]:find "STATE", select(2, lines[1]:find "DEAD")
      for _, line in ipairs { lines[2], lines[3] } do
        local id = line:match "^%S+"
        assert(id == workspace.id or id == other.id, line)
        assert(line:sub(state_at):find(id == workspace.id and "^running" or "^not running"), line)
        assert.equal("0", line:sub(dead_end, dead_end))
      end
      assert.falsy(said:find "\27")
      local _, colored = run("status", "--state-dir", one.state_dir, "--color", "always")
      assert(colored:find "\27%[32mrunning\27%[0m" and colored:find "\27%[33mnot running\27%[0m", colored)
      local list = cjson.decode((select(2, run("status", "--state-dir", one.state_dir, "--json"))))
      assert.equal(2, #list)
      assert(list[1].workspace < list[2].workspace)
      one:stop()
    end)

    it("counts what is pending and dead, and names the last failure", function()
      local one = connect { args = { "--max-attempts", "1" } }
      platform:message { to = workspace.id, text = "broken" }
      one:log "dead letter"
      local _, said = run("status", "--state-dir", one.state_dir)
      assert(said:find "running%s+%d+ s%s+%d+ s%s+0%s+1%s+%-%s+%-\n", said)
      local list = cjson.decode((select(2, run("status", "--state-dir", one.state_dir, "--json"))))
      assert(list[1].last_failure.reason:find "no: broken", said)
      assert.equal(1, list[1].finished)
      one:stop()
    end)

    it("shows with --top the workspaces to look at first: by pending messages, by the oldest, by dead letters", function()
      local all, directory = {}, host.directory()
      for i = 1, 5 do all[i] = host.workspace(platform) end
      local entries = {}
      for i = 1, 5 do entries[i] = ("{ id = %q, token = %q }"):format(all[i].id, all[i].token) end
      host.write(directory .. "/agent.lua", [[local molecule = require "molecule"
        return function(msg)
          if msg.text == "later" then return molecule.retry { after = 3600 } end
          if msg.text == "dead" then return molecule.dead "no" end
        end]])
      host.write(directory .. "/fleet.lua", "return { defaults = { script = 'agent.lua' }, workspaces = {" ..
        table.concat(entries, ", ") .. "} }")
      local fleet = host.start { platform = platform, workspace = all[1], workspaces = all, bare = true, token = false,
        command = { "fleet", directory .. "/fleet.lua" } }
      local function say(which, text)
        fleet:log_of(platform:message { to = all[which].id, text = text }[1], text == "later" and "retry in" or "dead letter")
      end
      local function top(...)
        local code, said = run("status", "--state-dir", fleet.state_dir, "--top", ...)
        assert.equal(0, code, said)
        return said
      end
      for _, each in ipairs(all) do fleet:log(each.id:gsub("%-", "%%-") .. ": registered") end
      assert.equal("no pending messages and no dead letters in 5 workspaces\n", top "1")
      say(2, "later") -- the oldest
      say(3, "later")
      say(3, "later")
      say(4, "dead")
      local function ids(list)
        local found = {}
        for i, entry in ipairs(list) do found[i] = entry.workspace end
        return found
      end
      local lists = cjson.decode(top("2", "--json"))
      assert.equal(5, lists.workspaces)
      assert.same({ all[3].id, all[2].id }, ids(lists.pending))
      assert.same({ all[2].id, all[3].id }, ids(lists.oldest_pending))
      assert.same({ all[4].id }, ids(lists.dead))
      assert.equal(2, lists.pending[1].pending)
      assert(lists.oldest_pending[1].oldest_pending < lists.oldest_pending[2].oldest_pending)
      assert.same({ 1, 0, "running" }, { lists.dead[1].dead, lists.dead[1].pending, lists.dead[1].state })
      assert.equal(cjson.null, lists.dead[1].oldest_pending)
      local rows = {}
      for line in top("1"):gmatch "[^\n]+" do rows[#rows + 1] = line:match "^%S+" end
      assert.same({ "WORKSPACE", all[3].id, all[2].id, all[4].id }, rows)
      fleet:stop()
      for _, words in ipairs { { "--check" }, { workspace.id } } do
        local code, _, complaint = run("status", "--top", "3", table.unpack(words))
        assert.equal(3, code)
        assert(complaint:find("--top is for the table of all workspaces, and for --json", 1, true), complaint)
      end
    end)

    it("is one line for monitoring with --check, with the numbers", function()
      local one = two()
      local code, said = run("status", workspace.id, "--state-dir", one.state_dir, "--check")
      assert.equal(0, code)
      assert.equal("MOLECULE OK - 1 workspace: 1 well, 0 stopped, 0 unhealthy, 0 unknown | " ..
        "pending=0 dead=0 oldest_pending=0s\n", said)
      code, said = run("status", "--state-dir", one.state_dir, "--check")
      assert.equal(1, code)
      assert(said:find("^MOLECULE WARNING %- 2 workspaces: 1 well, 1 stopped, 0 unhealthy, 0 unknown; " ..
        other.id:gsub("%-", "%%-") .. " not running | pending=0 "), said)
      platform:fault({ kind = "status", status = 503, body = { error = "not | now" } }, { path = "/activity" }, { times = -1 })
      one:log "not | now.*retrying"
      code, said = run("status", "--state-dir", one.state_dir, "--check")
      assert.equal(2, code)
      assert(said:find "^MOLECULE CRITICAL .* 1 unhealthy, .*not / now.* | pending=[^|\n]*\n$", said)
      one:stop()
      host.write(("%s/%s.json"):format(one.state_dir, other.id), "{")
      code, said = run("status", other.id, "--state-dir", one.state_dir, "--check")
      assert.equal(3, code)
      assert(said:find "^MOLECULE UNKNOWN .* is damaged", said)
      code, said = run("status", "--state-dir", one.state_dir .. "/none", "--check")
      assert.equal(3, code)
      assert(said:find "^MOLECULE UNKNOWN %- the state directory .*/none cannot be read: No such file", said)
    end)

    it("says where there is none", function()
      local nowhere = host.directory()
      local code, said, complaint = run("status", "--state-dir", nowhere)
      assert.equal(3, code)
      assert.equal("", said)
      assert(complaint:find("no state of a workspace in " .. nowhere, 1, true), complaint)
      code, said = run("status", "--state-dir", nowhere, "--check")
      assert.equal(3, code)
      assert(said:find "^MOLECULE UNKNOWN %- 0 workspaces", said)
    end)

    it("cannot be drawn without a terminal, or both ways", function()
      for _, words in ipairs { { "--watch" }, { "--check", "--json" } } do
        local code, _, complaint = run("status", table.unpack(words))
        assert.equal(3, code)
        assert(complaint:find "%-%-json", complaint)
      end
    end)
  end)

  describe("status --watch", function()
    -- The trap: Ctrl-C's signal comes to the shell too, which must live to tell the code.
    local function watch(directory)
      local line = "trap : INT; stty rows 30 cols 150; '%s' status --watch --state-dir '%s'; echo code $?; stty -a"
      return process.spawn { keep_stdin = true,
        command = { "script", "-qec", line:format(emulator.binary(), directory), "/dev/null" },
        env = { TERM = "xterm", NO_COLOR = false } }
    end

    it("draws handlers that run, failures and rates, until q; the terminal is as before", function()
      local one = connect { script = [[return function(msg)
        if msg.text == "slow" then require("molecule").sleep(600) end
        error("no: " .. msg.text) end]], args = { "--max-attempts", "1" } }
      platform:message { to = workspace.id, text = "broken" }
      one:log "dead letter"
      platform:message { to = workspace.id, text = "slow" }
      local screen = watch(one.state_dir)
      screen:wait_line "molecule status .* 1 workspace "
      screen:wait_line "RUNNING"
      screen:wait_line "messages/s"
      screen:wait_line " s  %S+ from the canvas"
      screen:wait_line "no: broken"
      screen:write "q"
      screen:wait_line "code 0"
      screen:wait_exit()
      assert(screen.stdout:find "\27%[%?1049h" and screen.stdout:find "\27%[%?25h\27%[%?1049l", screen.stdout)
      assert(screen.stdout:find " icanon" and screen.stdout:find " echo ", screen.stdout)
      one:kill()
    end)

    it("ends with Ctrl-C", function()
      local one = connect()
      local screen = watch(one.state_dir)
      screen:wait_line "q: quit"
      screen:write "\3"
      screen:wait_line "code 0"
      screen:wait_exit()
      assert(screen.stdout:find("\27[?1049l", 1, true))
      one:stop()
    end)
  end)

  it("that is not there is an error, which names what there is instead", function()
    local one = connect()
    one:stop()
    local other = emulator.uuid()
    for _, words in ipairs { { "status" }, { "dead", "list" }, { "dead", "show", "--all" }, { "dead", "retry", "--all" },
      { "dead", "drop", "x" } } do
      local command = { words[1], words[2] and words[2] ~= "" and words[2] or other, words[2] and other or nil, words[3] }
      if words[1] == "status" then command = { "status", other } end
      local nowhere = { table.unpack(command) }
      table.move({ "--state-dir", one.state_dir }, 1, 2, #command + 1, command)
      local code, said, complaint = run(table.unpack(command))
      assert(code ~= 0, said)
      assert(complaint:find(("there is no state of workspace %s in %s, but of %s"):format(other, one.state_dir, workspace.id), 1,
        true), complaint)
      table.move({ "--state-dir", one.state_dir .. "/none" }, 1, 2, #nowhere + 1, nowhere)
      code, said, complaint = run(table.unpack(nowhere))
      assert(code ~= 0, said)
      assert(complaint:find(("there is no state directory %s/none"):format(one.state_dir), 1, true), complaint)
    end
  end)

  it("holds dead letters that the commands in the log show and hand over again, as they stand", function()
    local directory = host.directory() .. "/it's a state"
    local one = connect { state_dir = directory, args = { "--max-attempts", "1" } }
    local id = platform:message { to = workspace.id, text = "first" }[1]
    one:log_of(id, "the handler failed")
    one:log "to see the dead letter: "
    local show = one.process.stderr:match "to see the dead letter: (molecule dead show [^\n]+)"
    local again = one.process.stderr:match "to hand it to the script again: (molecule dead retry [^\n]+)"
    platform:message { to = workspace.id, text = "fine" }
    one:canvas(1) -- what is before it is on disk
    for _, command in ipairs { show, again } do
      local words = ('molecule() { "%s" "$@"; }; %s'):format(emulator.binary(), command)
      local shell = process.spawn { command = { "sh", "-c", words }, env = { MOLECULE_STATE_DIR = false } }
      assert.equal(0, (shell:wait_exit()), shell:report())
      assert(shell.stdout:find(command == show and "no: first" or "runs again", 1, true), shell:report())
    end
    one:stop()
  end)

  it("says of each id that is no dead letter what it is", function()
    local one = connect { args = { "--max-attempts", "1" } }
    local dead = platform:message { to = workspace.id, text = "dead" }[1]
    local fine = platform:message { to = workspace.id, text = "fine" }[1]
    one:canvas(1)
    one:stop()
    local at = { "--state-dir", one.state_dir }
    for _, verb in ipairs { "list", "show", "drop", "retry" } do
      local code, said, complaint = run("dead", verb, workspace.id, fine, "unheard-of", table.unpack(at))
      assert.equal(1, code)
      for _, id in ipairs { fine, "unheard-of" } do
        assert(complaint:find(id .. " is not a dead letter", 1, true), complaint)
      end
      assert.is_nil(said:find("no dead letters", 1, true), said)
    end
    local code, said = run("dead", "show", workspace.id, dead, table.unpack(at))
    assert.equal(0, code)
    assert(said:find("no: dead", 1, true), said)
    code, said = run("dead", "drop", workspace.id, "--all", table.unpack(at))
    assert.equal(0, code)
    assert.equal(dead .. " dropped\n", said)
    code, said = run("dead", "drop", workspace.id, "--all", table.unpack(at))
    assert.equal(0, code)
    assert.equal("no dead letters\n", said)
    local _, _, complaint = run("dead", "shwo", workspace.id)
    assert(complaint:find("did you mean show?", 1, true), complaint)
  end)
end)
