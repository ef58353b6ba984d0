--- The testing kit as a rock: what LuaRocks installs runs a spec in a plain busted, without the program.
local host = require "tests.support.host"
local process = require "tests.support.process"

local function run(command, options)
  local child = process.spawn { command = command, env = options and options.env }
  assert(child:wait_exit() == 0, child:report())
  return child.stdout
end

describe("the rock of the testing kit", function()
  after_each(host.clean_up)

  it("is installed by LuaRocks, and runs the specs of the examples", function()
    if not os.execute "command -v luarocks >/dev/null" then return pending "no luarocks here" end
    local directory = host.directory()
    local version = host.read "CMakeLists.txt":match "project%(molecule VERSION ([%d.]+)"
    local rockspec = ("%s/molecule-testing-%s-1.rockspec"):format(directory, version)
    host.write(rockspec, run { "dist/rockspec", version })
    local env = { HOME = directory }
    run({ "luarocks", "--lua-version", "5.4", "make", "--tree", directory .. "/tree", "--deps-mode", "none", rockspec },
      { env = env })
    local share = directory .. "/tree/share/lua/5.4"
    env.LUA_PATH = ("%s/?.lua;%s/?/init.lua;;"):format(share, share)
    local said = run({ "busted", "--lua=lua5.4", "examples/echo_spec.lua", "examples/quota_spec.lua" }, { env = env })
    assert(said:find "[1-9]%d* successes / 0 failures / 0 errors", said)
  end)

  it("names where its sources are", function()
    assert(run { "dist/rockspec", "1.2.3", "git+https://example.com/molecule" }:find(
      'source = {url = "git+https://example.com/molecule", tag = "v1.2.3"}', 1, true))
  end)
end)
