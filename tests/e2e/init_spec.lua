--- `molecule init`: a directory that is ready to work in, and nothing overwritten.

local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local process = require "tests.support.process"
local uv = require "luv"

describe("molecule init", function()
  local directory

  before_each(function() directory = host.directory() end)
  after_each(function()
    process.kill_all()
    host.clean_up()
  end)

  local function run(args, code, stdin, under)
    local command = { table.unpack(under or {}) }
    for _, word in ipairs { emulator.binary(), table.unpack(args) } do command[#command + 1] = word end
    local child = process.spawn { command = command, cwd = directory, env = { HOME = directory }, stdin = stdin }
    assert.equal(code, child:wait_exit(), child.stdout .. child.stderr)
    return child.stdout, child.stderr
  end

  local function exists(name) return uv.fs_stat(directory .. "/" .. name) ~= nil end

  for _, template in ipairs { "echo", "ops", "llm", "webhook", "approval" } do
    it(("writes an agent that passes molecule check and molecule test: %s"):format(template), function()
      local said = run({ "init", "my-agent", "--template", template }, 0)
      for _, name in ipairs { "agent.lua", "agent_spec.lua", ".luarc.json", ".luacheckrc", ".gitignore", "env.example",
        "README.md", "my-agent.service", ".molecule/types.lua" } do
        assert.truthy(exists("my-agent/" .. name), name)
        assert.truthy(said:find("my-agent/" .. name, 1, true), said)
      end
      assert.equal("no mistakes found\n", (run({ "check", "my-agent/agent.lua" }, 0)))
      local tested = run({ "test" }, 0, nil, { "env", "--chdir=" .. directory .. "/my-agent" })
      assert.truthy(tested:find("0 failures / 0 errors", 1, true) and not tested:find("^0 successes"), tested)
      cjson.decode(host.read(directory .. "/my-agent/.luarc.json"))
      assert.equal(host.read "lua/molecule/types.lua", host.read(directory .. "/my-agent/.molecule/types.lua"))
      for _, name in ipairs { "README.md", "my-agent.service", "agent.lua", "agent_spec.lua" } do
        assert.falsy(host.read(directory .. "/my-agent/" .. name):find "@NAME@")
        assert.falsy(host.read(directory .. "/my-agent/" .. name):find("examples/", 1, true))
      end
    end)
  end

  it("prints next steps that work as they stand", function()
    local said = run({ "init", "here", "--template", "echo" }, 0)
    assert.truthy(said:find("cd here\n", 1, true), said)
    local commands = 0
    for command in said:gmatch "\n  molecule (%S+)" do
      commands = commands + 1
      run({ command, "--help" }, 0)
    end
    assert.truthy(commands >= 4, said)
  end)

  it("writes echo where nobody can be asked", function()
    run({ "init" }, 0, "")
    assert.equal(host.read "examples/echo.lua", (host.read(directory .. "/agent.lua"):gsub("agent%.lua", "examples/echo.lua")))
  end)

  it("asks on a terminal", function()
    local command = ("script -qec '%s init' /dev/null"):format(emulator.binary())
    local child = process.spawn { command = { "sh", "-c", command }, cwd = directory, env = { HOME = directory }, stdin = "2\n" }
    assert.equal(0, child:wait_exit(), child.stdout)
    assert.truthy(child.stdout:find("What shall the agent do?", 1, true), child.stdout)
    assert.truthy(host.read(directory .. "/agent.lua"):find("An operator's responder", 1, true))
  end)

  it("overwrites nothing without --force, and writes nothing then", function()
    host.write(directory .. "/README.md", "mine\n")
    local _, said = run({ "init", "." }, 2)
    assert.truthy(said:find("./README.md exists", 1, true), said)
    assert.truthy(said:find("nothing was written; --force", 1, true), said)
    assert.falsy(exists "agent.lua")
    assert.equal("mine\n", host.read(directory .. "/README.md"))
    run({ "init", ".", "--force" }, 0)
    assert.truthy(exists "agent.lua")
    assert.not_equal("mine\n", host.read(directory .. "/README.md"))
  end)

  it("names the unit after the directory, whatever that is called", function()
    run({ "init", "Größe & co" }, 0)
    local found
    for _, name in ipairs(host.list(directory .. "/Größe & co")) do found = found or name:match "^(.*)%.service$" end
    assert.truthy(found and found:find "^[%w._-]+$", found)
  end)

  it("says which templates there are", function()
    local _, said = run({ "init", "--template", "ehco" }, 2)
    assert.truthy(said:find('there is no template "ehco"; did you mean "echo"?', 1, true), said)
    assert.falsy(exists "agent.lua")
  end)

  it("says why it cannot write", function()
    host.write(directory .. "/file", "x")
    local _, said = run({ "init", "file" }, 1)
    assert.truthy(said:find("molecule init: file", 1, true), said)
  end)
end)
