--- What `cmake --install` installs is enough for a program that embeds the host: examples/embed, by CMake and by pkg-config.
--- MOLECULE_BUILD names the build that is installed (build/release).
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local process = require "tests.support.process"

local function run(command, options)
  options = options or {}
  local child = process.spawn { command = command, env = options.env }
  assert(child:wait_exit() == 0, child:report())
  return child.stdout
end

describe("a program that embeds the host", function()
  local platform, directory, prefix

  setup(function()
    platform = emulator.start { args = { "--rate-limit", "-1" } }
    directory = host.directory()
    prefix = directory .. "/prefix"
    run { "cmake", "--install", os.getenv "MOLECULE_BUILD" or "build/release", "--prefix", prefix }
  end)

  teardown(function()
    platform:stop()
    host.clean_up()
  end)

  local function answers(program)
    local workspace = host.workspace(platform)
    local child = process.spawn { command = { program, workspace.id, platform.url, directory .. "/state" },
      env = { MOLECULE_WORKSPACE_TOKEN = workspace.token } }
    child:wait_line("registered as", { stream = "stderr" })
    local row = platform:message { to = workspace.id, text = "hello" }[1]
    assert(child:wait_exit() == 0, child:report())
    assert.equal(("message %s: replied\n"):format(row), child.stdout)
    local said = platform:wait { path = ("/workspaces/%s/notify"):format(workspace.id), status = 200, count = 1 }
    assert(said[1].body:find("embedded: hello", 1, true), said[1].body)
  end

  it("comes with the program, its manual, completions, units and what specs need", function()
    for _, path in ipairs { "bin/molecule", "share/man/man1/molecule.1", "share/man/man1/molecule-connect.1",
      "share/man/man7/molecule-script.7", "share/bash-completion/completions/molecule", "share/zsh/site-functions/_molecule",
      "share/fish/vendor_completions.d/molecule.fish", "share/molecule/types.lua",
      "share/molecule/lua/molecule/testing/init.lua" } do
      assert(host.read(prefix .. "/" .. path), path)
    end
    for _, shell in ipairs { "bash-completion/completions/molecule", "zsh/site-functions/_molecule",
      "fish/vendor_completions.d/molecule.fish" } do
      assert.equal(run { emulator.binary(), "completion", shell:match "^%l+" }, host.read(prefix .. "/share/" .. shell))
    end
    local units = host.list "dist/systemd"
    assert(#units >= 1)
    for _, name in ipairs(units) do
      local unit = host.read("dist/systemd/" .. name):gsub("/usr/bin/molecule", prefix .. "/bin/molecule")
      assert.equal(unit, host.read(prefix .. "/lib/systemd/system/" .. name))
    end
  end)

  it("is built by CMake, and answers a message", function()
    run { "cmake", "-S", "examples/embed", "-B", directory .. "/build", "-DCMAKE_PREFIX_PATH=" .. prefix }
    run { "cmake", "--build", directory .. "/build" }
    answers(directory .. "/build/embed")
  end)

  it("is built with pkg-config, and answers a message", function()
    local env = { PKG_CONFIG_PATH = prefix .. "/lib/pkgconfig" }
    assert.equal(run({ emulator.binary(), "version" }):match "^molecule (%S+)",
      run({ "pkg-config", "--modversion", "molecule" }, { env = env }):match "%S+")
    local command = ([[cc -DSCRIPT='"examples/embed/agent.lua"' examples/embed/main.c -o %s/embed]]):format(directory)
    run({ "sh", "-c", command .. " $(pkg-config --cflags --libs molecule)" }, { env = env })
    answers(directory .. "/embed")
  end)
end)
