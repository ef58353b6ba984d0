--- A script finds the modules beside it, wherever it lies and through whichever link.

local uv = require "luv"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"

describe("a script's modules", function()
  local platform, workspace, root

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)
  before_each(function()
    workspace, root = host.workspace(platform), host.directory()
  end)
  after_each(host.clean_up)
  teardown(function() platform:stop() end)

  local function make(name, modules)
    local directory = root .. "/" .. name
    assert(uv.fs_mkdir(directory, 448))
    for module, text in pairs(modules or {}) do host.write(directory .. "/" .. module, text) end
    return directory
  end

  local AGENT = "local words = require 'words' return function() return words .. require 'more.deep' end"
  local function project(name)
    local directory = make(name, { ["agent.lua"] = AGENT, ["words.lua"] = "return 'found '" })
    assert(uv.fs_mkdir(directory .. "/more", 448))
    host.write(directory .. "/more/deep.lua", "return require 'whole'")
    assert(uv.fs_mkdir(directory .. "/whole", 448))
    host.write(directory .. "/whole/init.lua", "return 'all'")
    return directory
  end

  local function check(path, args)
    local one = host.connect { platform = platform, workspace = workspace, script_path = path, args = args }
    local before = #one:told_canvas()
    platform:message { to = workspace.id, text = "hello" }
    assert.equal("found all", one:canvas(before + 1)[before + 1])
    one:stop()
    workspace = host.workspace(platform)
  end

  it("are found in a directory with ; or ? in its name, also in the sandbox", function()
    for _, name in ipairs { "plain", "a;b", "a?b", "?;?", "with blanks % and .dots" } do
      local directory = project(name)
      check(directory .. "/agent.lua")
      check(directory .. "/agent.lua", { "--sandbox" })
    end
  end)

  it("are found through a link to the script", function()
    local directory = project "real"
    local links = make "links"
    assert(uv.fs_symlink("../real/agent.lua", links .. "/agent.lua"))
    assert(uv.fs_symlink(links .. "/agent.lua", links .. "/again.lua"))
    assert(uv.fs_symlink(directory, root .. "/other;name"))
    assert(uv.fs_symlink("../other;name/agent.lua", links .. "/odd.lua"))
    for _, args in ipairs { {}, { "--sandbox" } } do
      check(links .. "/agent.lua", args)
      check(links .. "/again.lua", args)
      check(links .. "/odd.lua", args)
      check(root .. "/other;name/agent.lua", args)
    end
  end)

  it("beside the link come before those beside the script", function()
    make("real", { ["agent.lua"] = "return function() return require 'words' end", ["words.lua"] = "return 'real'" })
    local links = make("links", { ["words.lua"] = "return 'found all'" })
    assert(uv.fs_symlink("../real/agent.lua", links .. "/agent.lua"))
    check(links .. "/agent.lua")
  end)

  it("that are missing are looked for where one would expect them", function()
    local directory = make("a;b", { ["agent.lua"] = "require 'missing'" })
    host.run({ platform = platform, workspace = workspace, script_path = directory .. "/agent.lua" }, 2)
      :log("no file '" .. directory:gsub("%p", "%%%0") .. "/missing.lua'")
  end)
end)
