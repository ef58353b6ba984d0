--- What a script's error looks like: the source line with a mark, and a traceback of the script's own frames.

local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local process = require "tests.support.process"

describe("a script's error", function()
  local platform, workspace

  before_each(function()
    platform = emulator.start()
    workspace = host.workspace(platform)
  end)

  after_each(function()
    host.clean_up()
    platform:stop()
  end)

  -- What the log says of the message's one attempt, without what stands before the script's path.
  local function fails(script, args)
    local one = host.connect { platform = platform, workspace = workspace, script = script,
      args = { "--max-attempts", "1", table.unpack(args or {}) } }
    platform:message { to = workspace.id, text = "hello" }
    one:log "is set aside as a dead letter; the inbox continues"
    one:stop()
    local said = one.process.stderr:match "%(attempt 1 of 1%): (.-)\n    the message is set aside"
    assert(said, one.process.stderr)
    local text = said:gsub("[^%s<]*/agent%.lua", "agent.lua")
    return text, one
  end

  it("shows the source line, and marks the name that is meant", function()
    assert.equal([[
agent.lua:3: attempt to index a nil value (field 'nothing')
       return msg.nothing.at_all
                  ^~~~~~~
    stack traceback:
     agent.lua:3: in function <agent.lua:2>]], (fails([[
-- a comment
return function(msg)
   return msg.nothing.at_all
end]]):gsub("\n     %(%.%.%.tail calls%.%.%.%)", "")))
  end)

  it("marks what raised it, where no name is meant", function()
    local said = fails "return function(msg)\n\tif msg.text then error 'oh no' end\nend"
    assert.truthy(said:find("     if msg.text then error 'oh no' end\n                      ^~~~~\n", 1, true), said)
  end)

  it("has no frames of the host's own Lua", function()
    local said = fails [[local molecule = require "molecule"
return function(msg) molecule.http.get("https://x.example", {timout = 1}) return "" end]]
    assert.truthy(said:find("{timout = 1}) return \"\" end\n", 1, true), said)
    assert.truthy(said:find("in function 'molecule.http.get'", 1, true), said)
    assert.falsy(said:find("molecule/http.lua", 1, true), said)
    assert.falsy(said:find("molecule.core", 1, true), said)
    assert.falsy(said:find("[C]: in ?", 1, true), said)
  end)

  it("counts characters, so that the mark fits after umlauts", function()
    local said = fails "return function(msg) local x = 'äöü' .. msg.nothing.x end"
    assert.truthy(said:find("\n    return function(msg) local x = 'äöü' .. msg.nothing.x end\n" ..
      (" "):rep(4 + 44) .. "^~~~~~~\n", 1, true), said)
  end)

  it("quotes no other file, whatever its text says", function()
    local said = fails "return function(msg) error('/etc/passwd:1: x', 0) end"
    assert.falsy(said:find("root:", 1, true), said)
    said = fails("return function(msg) error(msg.text == '' and '' or '../../../../etc/passwd:1: x', 0) end")
    assert.falsy(said:find("root:", 1, true), said)
  end)

  it("is kept with the dead letter", function()
    local _, one = fails "return function(msg) return msg.nothing.x end"
    local child = process.spawn { command = { emulator.binary(), "dead", "show", workspace.id, "--all", "--state-dir",
      one.state_dir } }
    assert.equal(0, child:wait_exit(), child.stderr)
    assert.truthy(child.stdout:find("return function(msg) return msg.nothing.x end\n", 1, true), child.stdout)
    assert.truthy(child.stdout:find("^~~~~~~", 1, true), child.stdout)
  end)
end)
