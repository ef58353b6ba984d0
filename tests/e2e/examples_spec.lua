--- The examples, `molecule dev` from end to end, and what the commands say of themselves.
local uv = require "luv"
local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local http = require "tests.support.http"
local process = require "tests.support.process"

describe("an example", function()
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

  it("echo.lua says back what it hears", function()
    local one = host.connect { platform = platform, workspace = workspace, script_path = "examples/echo.lua" }
    platform:message { to = workspace.id, text = "hello" }
    assert.same({ "you said: hello" }, one:canvas(1))
    one:stop()
  end)

  it("ops.lua tells the canvas about the machine, and nobody else", function()
    local peer = host.workspace(platform)
    local one = host.connect { platform = platform, workspace = workspace, script_path = "examples/ops.lua" }
    local row = platform:message { to = workspace.id, from = peer.id, text = "disk" }[1]
    platform:message { to = workspace.id, text = " Disk " }
    platform:message { to = workspace.id, text = "what?" }
    local told = one:canvas(2)
    assert(told[1]:find "^Filesystem", told[1])
    assert(told[2]:find "^I know:\n  uptime: .*\n  status: .*\n  disk: ", told[2])
    one:log_of(row, "skipped: not on the allow list: " .. peer.id:gsub("%-", "%%-"))
    local card = cjson.decode(one:posts("/registry/register")[1].body).agent_card
    assert.equal("ops", card.name)
    assert.equal("operations", card.skills[1].name)
    one:stop()
  end)

  it("ops.lua answers the peers on its allow list", function()
    local peer = host.workspace(platform)
    local one = host.connect { platform = platform, workspace = workspace, script_path = "examples/ops.lua",
      args = { "--script-opt", "allow=canvas," .. peer.id } }
    platform:message { to = workspace.id, from = peer.id, text = "disk" }
    assert(one:peer(peer.id, 1)[1]:find "^Filesystem")
    one:stop()
  end)
end)

local function run(arguments, code)
  local command = { emulator.binary(), table.unpack(arguments) }
  local child = process.spawn { command = command }
  local ended = child:wait_exit()
  assert(ended == code, child:report())
  return child.stdout, child.stderr
end

describe("molecule dev", function()
  after_each(function()
    process.kill_all()
    host.clean_up()
  end)

  local function start(...)
    local child = process.spawn { command = { emulator.binary(), "dev", "--port", "0", ... } }
    local port = child:wait_line("^emulator listening on ", { timeout_ms = 30000 }):match "http://127%.0%.0%.1:(%d+) "
    local id = child:wait_line(" serves workspace "):match "serves workspace (%S+);"
    child:wait_line("registered as", { stream = "stderr" })
    return child, math.tointeger(tonumber(port)), id
  end

  -- The directory of the lock that the process holds.
  local function state_directory(pid)
    for _, name in ipairs(host.list("/proc/" .. pid .. "/fd")) do
      local target = uv.fs_readlink(("/proc/%d/fd/%s"):format(pid, name)) or ""
      if target:find "%.lock$" then return target:match "^(.*)/" end
    end
  end

  local function ask(port, id, text)
    local said = http.start { port = port, method = "POST", path = "/__emulator/messages",
      json = { to = id, text = text } }:wait()
    assert.equal(200, said.status)
    local answer = http.start { port = port, method = "GET", path = "/__emulator/wait",
      query = { path = "/notify", count = 1, status = 200, timeout_ms = 10000 } }:wait(15000)
    assert.equal(200, answer.status)
    return cjson.decode(answer.json.entries[1].body).message
  end

  for name, signal in pairs { SIGTERM = "sigterm", ["Ctrl-C"] = "sigint" } do
    it("says where it is, answers, and leaves nothing behind after " .. name, function()
      local child, port, id = start "examples/echo.lua"
      assert(child.stdout:find("examples/echo.lua serves workspace " .. id, 1, true))
      assert.equal("you said: hello", ask(port, id, "hello"))
      local directory = state_directory(child.pid)
      assert(directory and directory:find "^/tmp/molecule%-dev%-", directory)
      child:signal(signal)
      assert.equal(0, (child:wait_exit(15000)), child:report())
      assert.is_nil(uv.fs_stat(directory))
      assert.is_nil(child.stderr:find("Sanitizer", 1, true), child.stderr)
    end)
  end

  it("ends when the emulator is told to quit", function()
    local child, port = start "examples/echo.lua"
    http.start { port = port, method = "POST", path = "/__emulator/quit", json = {} }:wait()
    assert.equal(0, (child:wait_exit(15000)), child:report())
  end)

  it("runs a backend and gives options to a script", function()
    local child, port, id = start("--backend", "mock", "--backend-opt", "reply=mocked %s")
    assert.equal("mocked hello", ask(port, id, "hello"))
    child:signal "sigterm"
    assert.equal(0, (child:wait_exit(15000)), child:report())
    local path = host.write(host.directory() .. "/agent.lua", "return function(_, ctx) return ctx.options.color end")
    child, port, id = start(path, "--script-opt", "color=blue")
    assert.equal("blue", ask(port, id, "hello"))
    child:signal "sigterm"
    assert.equal(0, (child:wait_exit(15000)), child:report())
  end)

  it("ends with code 2 for a script that does not load, and leaves nothing behind", function()
    local path = host.write(host.directory() .. "/agent.lua", "error('not today')")
    local _, said = run({ "dev", "--port", "0", path }, 2)
    assert(said:find "agent.lua:1: not today", said)
  end)

  for name, case in pairs {
    ["without a script"] = { {}, "which script%?" },
    ["with a script that is not there"] = { { "/nowhere/agent.lua" }, "the script /nowhere/agent.lua cannot be read" },
    ["with a script and a backend"] = { { "examples/echo.lua", "--backend", "mock" }, "exclude each other" },
    ["with two scripts"] = { { "examples/echo.lua", "examples/ops.lua" }, "one argument too many" },
    ["with a profile that is none"] = { { "--headless", "--profile", "t2" }, "%-%-profile is t1 or latest" },
    ["with an option that is none"] = { { "--no-such-option" }, "there is no option %-%-no%-such%-option" },
  } do
    it("says what is wrong " .. name, function()
      local _, said = run({ "dev", table.unpack(case[1]) }, 2)
      assert(said:find(case[2]), said)
      assert(said:find("Try: molecule dev --help", 1, true), said)
    end)
  end
end)

describe("molecule", function()
  local function commands()
    local names = {}
    for name in run({ "--help" }, 0):match("Commands:\n(.-)\n\n"):gmatch "  (%S+)[^\n]*" do names[#names + 1] = name end
    return names
  end

  it("tells its version and those of its libraries", function()
    local said = run({ "version" }, 0)
    assert(said:find "^molecule %d+%.%d+%.%d+%S*\n", said)
    for _, library in ipairs { "libcurl", "libuv", "jansson" } do
      assert(said:find("\n" .. library .. " %d+%.%d+"), library .. " is not in\n" .. said)
    end
    assert.equal(said, (run({ "--version" }, 0)))
  end)

  it("tells of every option of every command with --help", function()
    local names = commands()
    assert(#names >= 3, table.concat(names, " "))
    for _, name in ipairs(names) do
      local help = run({ name, "--help" }, 0)
      assert.equal(help, (run({ name, "-h" }, 0)))
      assert(help:find("^Usage: molecule " .. name), help)
      local source = assert(host.read("src/commands/" .. name .. ".c"))
      for option in source:gmatch '\n    {"([%w-]+)", ' do
        assert(help:find("--" .. option, 1, true), ("--%s is not in\n%s"):format(option, help))
      end
    end
  end)

  it("knows every option that the README names", function()
    local help = {}
    for _, name in ipairs(commands()) do help[#help + 1] = run({ name, "--help" }, 0) end
    help = table.concat(help)
    local manual = host.read("README.md"):match "\n## A script\n.*\n## Dependencies\n"
    local seen = 0
    for option in manual:gmatch "[`%s]%-%-(%l[%l-]+)" do
      assert(option == "help" or help:find("  --" .. option, 1, true) or help:find(", --" .. option, 1, true),
        ("--%s is in the README, but in no --help"):format(option))
      seen = seen + 1
    end
    assert(seen > 20)
  end)

  it("names its commands to who gives none or a wrong one", function()
    local _, said = run({}, 2)
    assert(said:find("Usage: molecule <command>", 1, true), said)
    _, said = run({ "conect" }, 2)
    assert(said:find('there is no command "conect"', 1, true), said)
  end)
end)
