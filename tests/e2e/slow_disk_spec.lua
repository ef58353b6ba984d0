-- What comes to an end while the disk is still busy with something else.
local uv = require "luv"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local loop = require "tests.support.loop"
local preload = require "tests.support.preload"

describe("while the disk takes its time", function()
  local platform, directory, flag

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)
  before_each(function()
    directory = host.directory()
    flag = directory .. "/slow"
  end)
  after_each(function()
    uv.fs_unlink(flag)
    platform:clear_faults()
    host.clean_up()
  end)
  teardown(function() platform:stop() end)

  local function slow(path)
    return { LD_PRELOAD = preload.build("tests/support/slow_sync.c", directory), SLOW_PATH = path, SLOW_FLAG = flag }
  end

  local function wait_for_change(folder, done)
    local watcher = uv.new_fs_event()
    watcher:start(folder, {}, function() end)
    local happened = loop.wait(done)
    watcher:stop()
    watcher:close()
    loop.flush()
    assert(happened)
  end

  -- The disk thread has come to what it is to wait for.
  local function wait_until_blocked()
    wait_for_change(directory, function() return uv.fs_stat(flag .. ".waiting") end)
  end

  local ENDS_SLOWLY = [[
    local molecule = require "molecule"
    return {
      handle = function(msg) return "echo: " .. msg.text end,
      stop = function() molecule.log "stop begins" molecule.sleep(1) end,
    }]]

  it("a workspace that is stopped before its minted token is kept starts nothing more", function()
    local id = emulator.uuid()
    host.write(flag, "")
    local one = host.start { platform = platform, workspace = { id = id, token = "none-at-all" }, token = false,
      script = ENDS_SLOWLY, args = { "--bootstrap" }, env = slow ".token" }
    one:log "registered as"
    wait_until_blocked()
    platform:message { to = id, text = "hello" }
    one.process:signal "sigterm"
    one:log "stop begins"
    local mark = platform:mark()
    uv.fs_unlink(flag)
    one:log "minted a token; it is kept in"
    one:wait_exit(0)
    assert.same({}, platform:journal(mark))
  end)

  it("a fleet's member that leaves before its minted token is kept is gone for good", function()
    local one, id = host.workspace(platform), emulator.uuid()
    host.write(directory .. "/agent.lua", ENDS_SLOWLY)
    local function write(entries)
      host.write(directory .. "/fleet.lua", ("return { defaults = { script = 'agent.lua' }, workspaces = { %s } }")
        :format(table.concat(entries, ", ")))
    end
    local mine = ("{ id = %q, token = %q }"):format(one.id, one.token)
    write { mine, ("{ id = %q, bootstrap = true }"):format(id) }
    host.write(flag, "")
    local fleet = host.start { platform = platform, workspace = one, command = { "fleet", directory .. "/fleet.lua" },
      bare = true, token = false, env = slow ".token" }
    wait_until_blocked()
    write { mine }
    fleet.process:signal "sighup"
    fleet:log "stop begins"
    uv.fs_unlink(flag)
    fleet:log "minted a token; it is kept in"
    fleet:log(id:gsub("%-", "%%-") .. ": stopped; 0 answered")
    fleet.process:signal "sigterm"
    fleet:wait_exit(0)
    assert.equal(1, fleet:count_log(id:gsub("%-", "%%-") .. ": script: stop begins"))
  end)

  it("a reply that is refused for good is a dead letter, though its conversation is being deferred", function()
    local workspace, peer = host.workspace(platform), host.workspace(platform)
    local one = host.connect { platform = platform, workspace = workspace, env = slow ".json.tmp",
      args = { "--concurrency", "4" }, script = ([[
        local molecule = require "molecule"
        return { conversation = function(msg) return msg.from end, handle = function(msg, ctx)
          if msg.text == "first" then molecule.exec { cmd = "until [ -e %s ]; do sleep 0.02; done" } return end
          if msg.text == "later" then return molecule.retry { after = ctx.attempt > 1 and 90 or 0.5, hold = false } end
          return "reply to " .. msg.text
        end }]]):format(flag) }
    local a2a = { method = "POST", path = ("/workspaces/%s/a2a"):format(peer.id) }
    local polls = { method = "GET", path = ("/workspaces/%s/activity"):format(workspace.id) }
    platform:fault({ kind = "status", status = 503 }, a2a, { times = -1 })
    platform:message { to = workspace.id, text = "first" }
    platform:message { to = workspace.id, from = peer.id, text = "later" }
    one:log "retry in 0.5 s"
    platform:message { to = workspace.id, from = peer.id, text = "refused" }
    one:wait { path = a2a.path, status = 503 }
    -- no poll comes to an end: each would defer the refused one before it is refused
    platform:fault({ kind = "hang" }, polls, { times = 1 })
    one:log "retry in 90.0 s"
    local later, refused = platform:rows(workspace.id)[2].id, platform:rows(workspace.id)[3].id
    wait_for_change(one.state_dir, function() return (host.read(one.state_path) or ""):find('"deferred"', 1, true) end)
    host.write(flag, "")
    wait_until_blocked()
    platform:clear_faults()
    platform:fault({ kind = "status", status = 404 }, a2a, { times = -1 })
    one:log(("message %s is set aside as a dead letter"):format(refused:gsub("%-", "%%-")))
    one:wait { path = polls.path, status = 200, since = platform:mark(), count = 2 }
    uv.fs_unlink(flag)
    one:wait_cursor(refused)
    one:stop()
    assert.equal(1, one:count_log "is set aside as a dead letter")
    assert.equal(later, one:state().deferred.rows[1])
  end)
end)
