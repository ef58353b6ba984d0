--- A busy script holds up neither its own messages nor its neighbors', and is not taken for one that is stuck.

local emulator = require "tests.support.emulator"
local host = require "tests.support.host"

local BUSY = [[
local molecule = require "molecule"
local function busy(seconds) local t = os.clock() while os.clock() - t < seconds do end end
]]

describe("a busy script", function()
  local platform, workspace

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)
  before_each(function() workspace = host.workspace(platform) end)
  after_each(host.clean_up)
  teardown(function() platform:stop() end)

  it("whose timers are due more often than they can run still handles its messages", function()
    local one = host.connect { platform = platform, workspace = workspace, args = { "--stuck-after", "4s" }, script = BUSY .. [[
      local runs = 0
      for _ = 1, 3 do molecule.every(0.03, function() busy(0.02) runs = runs + 1 end) end
      return function() return runs > 0 and "handled" or "no timer ran" end]] }
    for i = 1, 20 do platform:message { to = workspace.id, text = tostring(i) } end
    one:wait { path = ("/workspaces/%s/notify"):format(workspace.id), status = 200, count = 20 }
    assert.equal(0, one:count_log "stuck")
    one:stop()
  end)

  it("whose zero-delay timers set themselves again still handles its messages, and can be stopped", function()
    local one = host.connect { platform = platform, workspace = workspace, script = BUSY .. [[
      local function again() molecule.after(0, again) busy(0.001) end
      for _ = 1, 20 do again() end
      return function() return "handled" end]] }
    platform:message { to = workspace.id, text = "x" }
    assert.same({ "handled" }, one:canvas(1))
    one:stop()
  end)

  it("of forty handlers, each within its limits, is not called stuck, and the process goes on", function()
    local one = host.connect { platform = platform, workspace = workspace, args = { "--stuck-after", "2s", "--concurrency", "40",
      "--cpu-limit", "30s" }, script = BUSY .. [[
      return function()
        for _ = 1, 4 do busy(0.04) molecule.sleep(0) end
        return "done"
      end]] }
    for i = 1, 40 do platform:message { to = workspace.id, text = "x", context_id = "c" .. i } end
    one:wait { path = ("/workspaces/%s/notify"):format(workspace.id), status = 200, count = 40 }
    assert.equal(0, one:count_log "stuck")
    one:stop()
  end)

  it("that loops without a CPU limit is said to run Lua code, not C code, until it ends with 75", function()
    local one = host.connect { platform = platform, workspace = workspace, args = { "--stuck-after", "2s", "--cpu-limit", "0",
      "--timeout", "0" }, script = "return function() while true do end end" }
    local row = platform:message { to = workspace.id, text = "x" }[1]
    one:wait_exit(75)
    one:log("has been running Lua code for %d s with message " .. row:gsub("%-", "%%-"))
    assert.equal(0, one:count_log "in C code")
  end)

  it("delays a neighbor on the same worker by a slice, not by its whole work", function()
    local directory, other = host.directory(), host.workspace(platform)
    host.write(directory .. "/busy.lua", BUSY .. [[
      return { concurrency = 20, handle = function(_, ctx)
        ctx.log.info "busy now"
        for _ = 1, 20 do busy(0.02) molecule.sleep(0) end
        return "done"
      end }]])
    host.write(directory .. "/quick.lua", "return function() return 'quick' end")
    host.write(directory .. "/fleet.lua", ([[return { defaults = { interval_ms = 20 }, workspaces = {
      { id = %q, token = %q, script = "busy.lua" }, { id = %q, token = %q, script = "quick.lua" } } }]]):format(workspace.id,
      workspace.token, other.id, other.token))
    local fleet = host.start { platform = platform, workspace = workspace, workspaces = { workspace, other }, bare = true,
      token = false, command = { "fleet", directory .. "/fleet.lua", "--workers", "1" } }
    for _, each in ipairs { workspace, other } do fleet:log(each.id:gsub("%-", "%%-") .. ": registered as") end
    for i = 1, 20 do platform:message { to = workspace.id, text = "x", context_id = "c" .. i } end
    fleet:log "busy now"
    for i = 1, 3 do
      platform:message { to = other.id, text = "x" }
      platform:wait { path = ("/workspaces/%s/notify"):format(other.id), status = 200, count = i }
    end
    assert.equal(0, #fleet:posts "/notify", "the busy script was through before its neighbor got a turn")
    platform:wait { path = ("/workspaces/%s/notify"):format(workspace.id), status = 200, count = 20 }
    fleet:stop()
  end)

  it("in a metamethod of its agent's table is ended by the CPU limit of its start", function()
    local one = host.start { platform = platform, workspace = workspace, args = { "--sandbox", "--stuck-after", "8s" },
      script = [[
      local reads = 0
      return setmetatable({handle = function() end}, {__index = function()
        reads = reads + 1
        if reads > 12 then while true do end end
      end})]] }
    one:wait_exit(2)
    one:log "more than %d+ s .*while starting, at .*agent.lua:4"
    assert.equal(0, one:count_log "in C code")
  end)

  it("gives its skills only as JSON, and is told where they are none", function()
    local one = host.run({ platform = platform, workspace = workspace, script = [[
      return {handle = function() end, skills = {{id = "a", run = print}}}]] }, 2)
    one:log "skills. cannot be JSON: %[1%]%.run: a function cannot be JSON"
  end)
end)

