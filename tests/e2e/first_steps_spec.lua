--- What a newcomer gets wrong when connecting, and the sentence that each mistake is answered with.

local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local process = require "tests.support.process"
local uv = require "luv"

describe("a first connect", function()
  local platform, workspace

  setup(function()
    platform = emulator.start { args = { "--rate-limit", "-1" } }
  end)

  before_each(function()
    workspace = host.workspace(platform)
  end)

  after_each(host.clean_up)

  teardown(function()
    platform:stop()
  end)

  local function run(words, env)
    local all = { MOLECULE_WORKSPACE_TOKEN = "some-token", MOLECULE_API_URL = platform.url, MOLECULE_ORG_ID = false,
      MOLECULE_STATE_DIR = host.directory() .. "/s", MOLECULE_WORKSPACE_TOKEN_FILE = false }
    for name, value in pairs(env or {}) do all[name] = value end
    local one = process.spawn { command = { emulator.binary(), table.unpack(words) }, env = all }
    local code = one:wait_exit()
    return code, one.stderr, one.stdout
  end

  local function script()
    return host.write(host.directory() .. "/agent.lua", host.ECHO)
  end

  it("with a name for an id is told what an id is", function()
    local code, said = run { "connect", "my-agent", "--script", script() }
    assert.equal(2, code)
    assert(said:find([["my-agent" cannot be a workspace id: the platform's ids are UUIDs like]], 1, true), said)
    assert(said:find("--name", 1, true), said)
  end)

  it("with a script among the ids is told of --script", function()
    local path = script()
    for _, words in ipairs { { "connect", workspace.id, path }, { "connect", path }, { "connect", path, workspace.id },
      { "connect", workspace.id, path, "--backend", "mock" } } do
      local code, said = run(words)
      assert.equal(2, code)
      assert(said:find("--script " .. path, 1, true), said)
    end
  end)

  for name, token in pairs { ["a blank inside"] = "two words", ["Bearer before it"] = "Bearer secret",
    ["a quotation mark"] = '"x"' } do
    it("with a token with " .. name .. " is told so, and not what it holds", function()
      local code, said = run({ "connect", workspace.id, "--script", script() }, { MOLECULE_WORKSPACE_TOKEN = token })
      assert.equal(2, code)
      assert(said:find("the token of MOLECULE_WORKSPACE_TOKEN", 1, true), said)
      assert.is_nil(said:find("secret", 1, true), said)
      assert.is_nil(said:find("two words", 1, true), said)
    end)
  end

  it("with a size of a few bytes is asked whether MiB were meant", function()
    local code, said = run { "connect", workspace.id, "--script", script(), "--memory-limit", "64" }
    assert.equal(2, code)
    assert(said:find('--memory-limit would be 64 bytes; did you mean 64MiB?; got "64"', 1, true), said)
  end)

  it("with no words at all sees the commands by what they are for, and on a terminal what comes next", function()
    local code, said = run {}
    assert.equal(2, code)
    local groups = {}
    for heading in said:gmatch "\n(%u[%l ]+):\n" do groups[#groups + 1] = heading end
    assert.same({ "Write an agent", "Run it for a platform", "Look after it" }, groups)
    local directory = host.directory()
    local function alone()
      local child = process.spawn { command = { "script", "-qec", emulator.binary(), "/dev/null" }, cwd = directory }
      assert.equal(0, child:wait_exit())
      return child.stdout
    end
    assert.truthy(alone():find("Begin with: molecule init my-agent", 1, true))
    host.write(directory .. "/agent.lua", host.ECHO)
    assert.truthy(alone():find("molecule dev agent.lua", 1, true))
  end)

  it("with several words in a token file is told so; blanks around the token do not matter", function()
    local path = host.write(host.directory() .. "/token", "Bearer secret\n")
    local code, said = run({ "connect", workspace.id, "--script", script(), "--token-file", path },
      { MOLECULE_WORKSPACE_TOKEN = false })
    assert.equal(2, code)
    assert(said:find("token holds several words in its first line", 1, true), said)
    assert.is_nil(said:find("secret", 1, true), said)
    local one = host.connect { platform = platform, workspace = workspace, script = host.ECHO, token = false,
      args = { "--token-file", host.write(path, (" \t%s \r\n"):format(workspace.token)) } }
    one:stop()
    one = host.connect { platform = platform, workspace = workspace, script = host.ECHO,
      token = (" %s\r\n"):format(workspace.token) }
    one:stop()
  end)

  it("without a token is told where one comes from, and nothing of fleets", function()
    local code, said = run({ "connect", workspace.id, "--script", script() }, { MOLECULE_WORKSPACE_TOKEN = false })
    assert.equal(2, code)
    assert(said:find("no token: set MOLECULE_WORKSPACE_TOKEN", 1, true), said)
    assert.is_nil(said:find("fleet", 1, true), said)
  end)

  it("with https to a plain port is told to try http", function()
    local one = host.start { platform = platform, workspace = workspace, script = host.ECHO,
      api_url = platform.url:gsub("^http:", "https:") } -- now and then the connection is only broken off
    one:log "what listens there does not speak TLS: is it http:// instead of https://%?"
    one.process:signal "sigterm"
    one.process:wait_exit()
  end)

  it("with a path in the address is told that it may be the path", function()
    local one = host.start { platform = platform, workspace = workspace, script = host.ECHO,
      api_url = platform.url .. "/workspaces/x", args = { "--register-attempts", "1", "--bootstrap" } }
    one:log "%-%-api%-url has a path: leave it out unless a proxy"
    one.process:signal "sigterm"
    one.process:wait_exit()
  end)

  for _, who in ipairs { "bob", "canvas2", "7f1d0c9e" } do
    it("with --allow-from " .. who .. " is told whom it takes", function()
      local code, said = run { "connect", workspace.id, "--script", script(), "--allow-from", who }
      assert.equal(2, code)
      local words = ('--allow-from takes canvas (the human) or a peer\'s workspace id, a UUID as in msg.from; got "%s"')
        :format(who)
      assert(said:find(words, 1, true), said)
    end)
  end

  describe("--dry-run", function()
    local function dry_run(more, env)
      local words = { "connect", workspace.id, "--script", script(), "--dry-run" }
      table.move(more or {}, 1, #(more or {}), #words + 1, words)
      return run(words, env)
    end

    it("finds nothing wrong with what is right, and leaves nothing", function()
      local directory = host.directory()
      local code, said, shown = dry_run { "--record", directory .. "/record", "--state-dir", directory .. "/a/b" }
      assert.equal(0, code, said)
      assert(shown:find("nothing was sent, nothing was written", 1, true), shown)
      assert.same({}, host.list(directory))
    end)

    it("checks the token", function()
      local code, said = dry_run({}, { MOLECULE_WORKSPACE_TOKEN = false })
      assert.equal(2, code)
      assert(said:find("no token: set MOLECULE_WORKSPACE_TOKEN", 1, true), said)
      code, said = dry_run({ "--token-file", "/nowhere/token" }, { MOLECULE_WORKSPACE_TOKEN = false })
      assert.equal(2, code)
      assert(said:find("there is no token in /nowhere/token: it cannot be read: No such file", 1, true), said)
      assert.equal(0, (dry_run({ "--bootstrap" }, { MOLECULE_WORKSPACE_TOKEN = false })))
    end)

    it("checks the state directory", function()
      local file = host.write(host.directory() .. "/file", "")
      for _, path in ipairs { file, file .. "/below" } do
        local code, said = dry_run { "--state-dir", path }
        assert.equal(2, code)
        assert(said:find("the state directory " .. path, 1, true), said)
      end
    end)

    it("checks the file of --record", function()
      local directory = host.directory()
      uv.fs_symlink(directory .. "/elsewhere", directory .. "/link")
      for path, words in pairs { ["/nowhere/record"] = "No such file", [directory] = "not a regular file",
        [directory .. "/link"] = "symbolic links are not followed" } do
        local code, said = dry_run { "--record", path }
        assert.equal(2, code)
        assert(said:find("--record " .. path, 1, true) and said:find(words, 1, true), said)
      end
    end)

    it("checks the id and the script, and says all that is wrong at once", function()
      assert.equal(2, (run { "connect", "my-agent", "--script", script(), "--dry-run" }))
      local broken = host.write(host.directory() .. "/broken.lua", "return function(")
      local code, said = run({ "connect", workspace.id, "--script", broken, "--dry-run", "--record", "/nowhere/x" },
        { MOLECULE_WORKSPACE_TOKEN = false })
      assert.equal(2, code)
      for _, words in ipairs { "broken.lua:1:", "--record /nowhere/x", "no token" } do
        assert(said:find(words, 1, true), said)
      end
    end)

    it("tells that a process serves the workspace now", function()
      local one = host.connect { platform = platform, workspace = workspace, script = host.ECHO }
      local code, _, shown = dry_run { "--state-dir", one.state_dir }
      assert.equal(0, code)
      assert(shown:find(("process %d serves this workspace now"):format(one.process.pid), 1, true), shown)
      one:stop()
    end)
  end)

  it("to a port that is in use for molecule dev is told how to get another", function()
    for _, words in ipairs { { "dev", "--headless" }, { "dev", script() } } do
      words[#words + 1] = "--port"
      words[#words + 1] = tostring(platform.port)
      local code, said = run(words)
      assert.equal(1, code)
      assert(said:find(("127.0.0.1:%d is in use"):format(platform.port), 1, true), said)
      assert(said:find("--port 0", 1, true), said)
    end
  end)
end)
