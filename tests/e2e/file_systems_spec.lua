--- A state directory on a file system that lacks something, and a user without a home.
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local loop = require "tests.support.loop"
local preload = require "tests.support.preload"
local process = require "tests.support.process"

describe("a state directory whose file system", function()
  local platform, workspace, directory, library

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)

  teardown(function() platform:stop() end)

  before_each(function()
    workspace = host.workspace(platform)
    directory = host.directory()
    library = preload.build("tests/support/oddfs.c", directory)
  end)

  after_each(host.clean_up)

  local function options(lacking, more)
    local all = { platform = platform, workspace = workspace, script = host.ECHO, args = { "-v" },
      state_dir = directory .. "/state",
      env = { LD_PRELOAD = library, ODDFS = lacking, ODDFS_DIRECTORY = directory .. "/state" } }
    for name, value in pairs(more or {}) do all[name] = value end
    return all
  end

  local function answers(one, text, count)
    platform:message { to = workspace.id, text = text }
    return one:canvas(count)
  end

  for lacking, word in pairs {
    ["maps"] = "has no shared memory maps; the ledger keeps a rollback journal",
    ["directory-sync"] = false, ["flock"] = false, ["links"] = false,
    ["sockets"] = false,
    ["maps,directory-sync,flock,links,sockets"] = "has no shared memory maps; the ledger keeps a rollback journal",
  } do
    it("lacks " .. lacking .. " works, and after a restart as well", function()
      local one = host.connect(options(lacking))
      assert.same({ "echo: one" }, answers(one, "one", 1))
      assert.same({ "echo: one", "echo: two" }, answers(one, "two", 2))
      one:stop()
      local two = host.connect(options(lacking))
      assert.same({ "echo: one", "echo: two", "echo: three" }, answers(two, "three", 3))
      two:stop()
      local said = one:count_log "no shared memory maps"
      assert.equal(word and 1 or 0, said)
      if word then one:log(word) end
    end)
  end

  it("lost its shared memory maps with a move works on with the messages that wait", function()
    local script = [[return function() return require("molecule").retry { after = 30 } end]]
    local one = host.connect(options("", { script = script }))
    local id = platform:message { to = workspace.id, text = "hello" }[1]
    one:log_of(id, "retry in")
    one:wait_cursor(id)
    one:kill() -- its log is not taken into the database
    local two = host.connect(options("maps", { script = host.ECHO }))
    two:log "no shared memory maps"
    platform:message { to = workspace.id, text = "next" }
    local told = two:canvas(2)
    table.sort(told)
    assert.same({ "echo: hello", "echo: next" }, told)
    two:stop()
  end)

  it("lacks every kind of locks is refused, with what to do", function()
    local one = host.run(options("flock,locks"), 1)
    one:log "cannot lock .*%.lock: .*choose a directory on another file system %(%-%-state%-dir%)"
  end)

  it("lacks record locks is refused at the start, with what to do", function()
    local one = host.run(options("locks"), 1)
    one:log "has no record locks, which the ledger needs: .*choose a directory on another one %(%-%-state%-dir%)"
  end)

  it("keeps no modes is refused where others may enter it, with what to do", function()
    os.execute(("mkdir -m 755 '%s/state'"):format(directory))
    local one = host.run(options("modes"), 1)
    one:log "directory .* is accessible to others .* its mode cannot be changed: mount its file system with umask=077"
  end)

  it("lacks shared memory maps can be looked at while the host runs and afterwards", function()
    local one = host.connect(options "maps")
    answers(one, "hello", 1)
    for turn = 0, 1 do
      for _, command in ipairs { { "status", workspace.id }, { "dead", "list", workspace.id } } do
        local words = { emulator.binary(), table.unpack(command) }
        words[#words + 1] = "--state-dir"
        words[#words + 1] = directory .. "/state"
        local looked = process.spawn { command = words, env = { LD_PRELOAD = library, ODDFS = "maps",
          ODDFS_DIRECTORY = directory .. "/state" } }
        local code = looked:wait_exit()
        assert.equal(command[1] == "status" and turn or 0, code, looked:report())
      end
      if one.process:running() then one:stop() end
    end
  end)
end)

describe("a home directory", function()
  after_each(host.clean_up)

  -- As a user whom no database knows.
  local function run(home, as)
    local directory = host.directory()
    local words = { "setpriv", "--reuid", as, "--clear-groups", "--regid", as, "--inh-caps=-all", emulator.binary(), "status",
      emulator.uuid() }
    local one = process.spawn { command = words, cwd = directory, env = { HOME = home, MOLECULE_STATE_DIR = false,
      STATE_DIRECTORY = false } }
    local code = one:wait_exit()
    assert.same({}, host.list(directory))
    return code, one
  end

  for name, home in pairs { ["that is not set"] = false, ["that is empty"] = "", ["that is relative"] = "here/home" } do
    it(name .. " is the user database's", function()
      if io.popen("id -u"):read "a" ~= "0\n" then return end
      local code, one = run(home, "0")
      assert.equal(3, code)
      assert.is_truthy(one.stderr:find("/root/.config/molecule/state", 1, true), one:report())
    end)

    it(name .. ", of a user whom nobody knows, is refused with the option that helps", function()
      if io.popen("id -u"):read "a" ~= "0\n" then return end
      local code, one = run(home, "54321")
      assert.equal(3, code)
      assert.is_truthy(one.stderr:find("--state-dir DIR", 1, true), one:report())
    end)
  end

  it("is not looked for where --state-dir says where", function()
    local one = process.spawn { command = { emulator.binary(), "status", emulator.uuid(), "--state-dir", host.directory() },
      env = { HOME = false } }
    assert.equal(3, (one:wait_exit()))
    assert.is_falsy(one.stderr:find("HOME", 1, true))
    loop.flush()
  end)
end)
