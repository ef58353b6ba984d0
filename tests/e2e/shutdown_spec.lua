local both = require "tests.support.both"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"

local SQLITE = "sqlite3 -cmd '.timeout 5000' " -- the host may be writing

local SLEEPY = [[
local molecule = require "molecule"
return {
  handle = function(msg)
    local seconds = tonumber(msg.text)
    molecule.log.info("sleeping %s", msg.text)
    if seconds then molecule.sleep(seconds) end
    return "slept " .. msg.text
  end,
  stop = function() molecule.log.info("the script was told to stop") end,
}
]]

both(describe, "the end", function(profile)
  local platform, workspace, peer, state_dir

  setup(function()
    platform = emulator.start { profile = profile, args = { "--rate-limit", "-1" } }
  end)

  before_each(function()
    workspace, peer = host.workspace(platform), host.workspace(platform)
    state_dir = host.directory() .. "/state"
  end)

  after_each(function()
    host.clean_up()
    platform:clear_faults()
  end)

  teardown(function()
    platform:stop()
  end)

  local function options(more)
    local all = { platform = platform, workspace = workspace, script = SLEEPY, state_dir = state_dir }
    for name, value in pairs(more or {}) do all[name] = value end
    return all
  end

  local function send(text)
    return platform:message { to = workspace.id, from = peer.id, text = text }[1]
  end

  for _, signal in ipairs { "sigterm", "sigint" } do
    it(signal .. " while nothing is under way ends it at once, in order, with code 0", function()
      local one = host.connect(options { args = { "--drain", "600s" } })
      local row = send "x"
      one:peer(peer.id, 1)
      one:stop(signal)
      assert.equal(row, one:state().last_since_id)
      one:log "the script was told to stop"
      one:log "stopped; 1 answered, 0 dead%-lettered"
    end)
  end

  it("SIGTERM while the script loads ends it with code 0 and blames nobody", function()
    local one = host.start(options { script = [[
      local molecule = require "molecule"
      molecule.log("loading")
      molecule.sleep(30)
      return function() end]] })
    one:log "loading"
    one:stop()
    assert.equal(0, one:count_log " error ")
  end)

  it("SIGTERM while the ledger cannot be written ends it in order, with code 0", function()
    local one = host.connect(options { args = { "--drain", "300ms" } })
    one:log_of(send "x", "replied")
    assert(os.execute((SQLITE .. "%s/%s.db 'CREATE TRIGGER no BEFORE INSERT ON messages BEGIN SELECT RAISE(ABORT, \"no\"); END'")
      :format(state_dir, workspace.id)))
    send "0.1"
    one:log "nothing is handled or posted until it can be written again"
    one:stop()
    one:log "the script was told to stop"
  end)

  it("SIGTERM before the platform answers the registration ends it with code 0", function()
    platform:fault({ kind = "hang" }, { path = "/registry/register", workspace = workspace.id })
    local one = host.start(options())
    one:wait { path = "/registry/register", body = workspace.id }
    one:stop()
  end)

  it("SIGTERM between two tries of the registration ends it with code 0", function()
    platform:fault({ kind = "status", status = 429, headers = { ["Retry-After"] = "60" } },
      { path = "/registry/register", workspace = workspace.id })
    local one = host.start(options())
    one:log "registration: HTTP 429.*retrying"
    one:stop()
  end)

  it("SIGTERM while a message is handled: it is answered, heartbeats continue, nothing new is fetched, code 0", function()
    local one = host.connect(options { args = { "--heartbeat-ms", "50" } })
    local row = send "1"
    one:log "sleeping 1"
    one.process:signal "sigterm"
    one:log "SIGTERM: stopping; finishing messages in progress"
    local mark = platform:mark()
    send "not any more"
    one:peer(peer.id, 1)
    one:wait_exit(0)
    assert.equal(row, one:state().last_since_id)
    assert.same({ "slept 1" }, (one:peer(peer.id, 1)))
    assert.is_true(#one:posts("/registry/heartbeat", mark) >= 5)
    assert.is_true(#one:posts("/activity", mark) <= 1)
    local two = host.connect(options())
    assert.same({ "slept 1", "slept not any more" }, (two:peer(peer.id, 2)))
    two:stop()
  end)

  it("SIGTERM while a reply waits for the platform: it is posted when the platform is well", function()
    local one = host.connect(options())
    platform:fault({ kind = "status", status = 503, headers = { ["Retry-After"] = "1" } },
      { path = "/a2a", workspace = peer.id })
    local row = send "x"
    one:log "posting the same reply again"
    one:stop_at(row)
    assert.same({ "slept x" }, (one:peer(peer.id, 1)))
  end)

  it("--drain bounds how long that takes; what was not finished comes again", function()
    local one = host.connect(options { args = { "--drain", "300ms" } })
    local done = send "x"
    send "30"
    one:log "sleeping 30"
    one.process:signal "sigterm"
    one:log "not everything was finished within %-%-drain; unfinished messages will be redelivered at the next start"
    one:wait_exit(0)
    assert.equal(done, one:state().last_since_id)
    local two = host.connect(options())
    two:log "sleeping 30"
    two:kill()
    assert.equal(1, #one:posts "/a2a")
  end)

  it("a second signal ends it at once, with the state as it was", function()
    local one = host.connect(options { args = { "--drain", "600s", "--timeout", "600s" } })
    local done = send "x"
    send "500"
    one:log "sleeping 500"
    one:wait_cursor(done)
    one.process:signal "sigterm"
    one:log "SIGTERM: stopping"
    one.process:signal "sigint"
    one:wait_exit(0)
    one:log "SIGINT: exiting now"
    assert.equal(done, one:state().last_since_id)
  end)

  it("a script that loops for ever does not keep it from ending", function()
    local one = host.connect(options { args = { "--drain", "100ms" },
      script = [[return function() require("molecule").log.info("looping") while true do end end]] })
    send "x"
    one:log "looping"
    one:stop()
  end)

  it("a command that the script runs does not outlive it", function()
    local one = host.connect(options { args = { "--drain", "100ms" }, script = [[
      local molecule = require "molecule"
      return function()
        molecule.log.info("running")
        molecule.exec{cmd = "sleep 60 & sleep 60"}
      end]] })
    send "x"
    one:log "running"
    one:stop()
  end)

  describe("the token", function()
    local LEAKY = [[
      return function(msg)
        if msg.text == "env" then error("token: " .. tostring(os.getenv "MOLECULE_WORKSPACE_TOKEN")) end
        if msg.text == "child" then
          local pipe = io.popen("echo token: $MOLECULE_WORKSPACE_TOKEN.")
          local line = pipe:read("a")
          pipe:close()
          error(line)
        end
        if msg.text == "file" then error("token: " .. io.open(os.getenv "TOKEN_FILE"):read("a")) end
        return "fine"
      end]]

    local function leaky(more)
      more.script = LEAKY
      more.args = more.args or {}
      table.insert(more.args, 1, "-v")
      for _, argument in ipairs { "--max-attempts", "1", "--heartbeat-ms", "50" } do
        more.args[#more.args + 1] = argument
      end
      return host.connect(options(more))
    end

    -- host.lua fails every test whose process has the token in its output; here is more for it to say.
    it("is not in the script's environment nor in its commands', and not in the log of its errors", function()
      local one = leaky {}
      send "env"
      one:log "the handler failed.*token: nil"
      send "child"
      one:log "the handler failed.*token: %."
      send "fine"
      one:peer(peer.id, 1)
      one:stop()
    end)

    it("is hidden in the log and in heartbeats when a script finds it in a file", function()
      local file = host.write(host.directory() .. "/token", workspace.token)
      local one = leaky { token = false, args = { "--token-file", file }, env = { TOKEN_FILE = file } }
      send "file"
      one:log "the handler failed.*token: %[hidden%]"
      one:wait { path = "/registry/heartbeat", body = "token: [hidden]" }
      one:stop()
      for _, beat in ipairs(one:posts "/registry/heartbeat") do
        assert.is_nil(beat.body:find(workspace.token, 1, true))
      end
    end)

    it("is not in the log of refusals, at registration and later", function()
      host.run(options { token = "wrong-" .. workspace.token, args = { "-v", "--refusal-patience", "100ms" } }, 77)
      local one = leaky {}
      platform:order("revoke", { workspace = workspace.id, replace = true })
      one:log "401.*3 times in a row"
      one:stop()
    end)

    it("is not in the log when the platform says it back", function()
      platform:fault({ kind = "status", status = 400, body = { error = "bad token " .. workspace.token } },
        { path = "/registry/register", workspace = workspace.id })
      local one = host.run(options { args = { "-v" } }, 1)
      one:log "bad token %[hidden%]"
    end)

    for _, form in ipairs { "two arguments", "one argument" } do
      it(("given as --token (%s) works, with a warning, and is not to be seen among the processes"):format(form),
        function()
          local given = form == "one argument" and { "--token=" .. workspace.token } or { "--token", workspace.token }
          local one = leaky { token = false, args = given }
          one:log "warn.*%-%-token on the command line was readable by others"
          local line = host.read(("/proc/%d/cmdline"):format(one.process.pid))
          assert.is_nil(line:find(workspace.token, 1, true))
          assert.is_truthy(line:find("connect", 1, true))
          one.process.command = { "molecule", "connect" } -- a failure's report must not show it either
          send "env"
          one:log "the handler failed.*token: nil"
          one:stop()
        end)
    end

    it("is not in what --dry-run prints", function()
      host.run(options { args = { "--dry-run", "-v" } }, 0)
    end)
  end)

  it("all that it says is on standard error", function()
    local one = host.connect(options())
    one:stop()
    assert.equal("", one.process.stdout)
  end)
end)
