--- molecule.every and molecule.after: what a script does of its own accord.

local emulator = require "tests.support.emulator"
local host = require "tests.support.host"

describe("a timer", function()
  local platform, workspace

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)
  before_each(function() workspace = host.workspace(platform) end)
  after_each(host.clean_up)
  teardown(function() platform:stop() end)

  local function connect(script, args)
    return host.connect { platform = platform, workspace = workspace, script = script, args = args }
  end

  it("runs again and again until it is cancelled, and may wait like a handler", function()
    local one = connect [[
      local molecule = require "molecule"
      local timer
      return {
        start = function()
          local n = 0
          timer = molecule.every(0.01, function(ctx)
            n = n + 1
            molecule.sleep(0.001)
            molecule.log("tick %d of %s", n, ctx.workspace)
            if n == 3 then molecule.log("cancelled: %s %s", timer:cancel(), timer:cancel()) end
          end)
          molecule.after(0.2, function() molecule.notify("that was it, " .. n .. " times") end)
        end,
        handle = function() end,
      }]]
    one:log("tick 3 of " .. workspace.id:gsub("%-", "%%-"))
    one:log "cancelled: true false"
    assert.same({ "that was it, 3 times" }, one:canvas(1))
    one:stop()
  end)

  it("does not overlap itself, and leaves out what it missed", function()
    local one = connect [[
      local molecule = require "molecule"
      local running, most, runs = 0, 0, 0
      return {
        start = function()
          molecule.every(0.01, function()
            running = running + 1
            most = math.max(most, running)
            runs = runs + 1
            molecule.sleep(0.05)
            running = running - 1
            if runs == 4 then molecule.log("at most %d at once", most) end
          end)
        end,
        handle = function() end,
      }]]
    one:log "at most 1 at once"
    one:stop()
  end)

  it("whose function fails says where and runs again; what it stored is not kept", function()
    local one = connect [[
      local molecule = require "molecule"
      local runs = 0
      return {
        start = function()
          molecule.every(0.01, function()
            runs = runs + 1
            molecule.store.incr("n")
            if runs < 3 then error "not yet" end
            if runs == 5 then molecule.log("stored %d", molecule.store.get("n")) end
          end)
        end,
        handle = function() end,
      }]]
    one:log "a timer's function failed %(it runs again when due%): .*agent%.lua:8: not yet"
    one:log "stored 3"
    one:stop()
  end)

  it("that never ends is ended by the limits, and messages are answered meanwhile", function()
    local one = connect([[
      local molecule = require "molecule"
      return {
        start = function() molecule.after(0, function() molecule.sleep(1000) end) end,
        handle = function(msg) return "answered" end,
      }]], { "--timeout", "300ms" })
    platform:message { to = workspace.id, text = "x" }
    assert.same({ "answered" }, one:canvas(1))
    one:log "a timer's function failed: took longer than its time limit"
    one:stop()
  end)

  it("takes nonsense for a mistake at the script's line", function()
    local one = connect [[
      local molecule = require "molecule"
      return function()
        local _, first = pcall(function() molecule.every(0, print) end)
        local _, second = pcall(function() molecule.after(1) end)
        return first .. "|" .. second
      end]]
    platform:message { to = workspace.id, text = "x" }
    local told = one:canvas(1)[1]
    assert.truthy(told:find("agent.lua:3: every: the time must be between 0.001 and 100000000.0 seconds", 1, true), told)
    assert.truthy(told:find("agent.lua:4: after: the second argument must be a function(ctx)", 1, true), told)
    one:stop()
  end)

  it("is limited in number", function()
    local one = connect [[
      local molecule = require "molecule"
      return function()
        for i = 1, 1000 do molecule.after(1000, function() end) end
        return (select(2, pcall(molecule.after, 1000, function() end)))
      end]]
    platform:message { to = workspace.id, text = "x" }
    assert.truthy(one:canvas(1)[1]:find("there are 1000 timers already", 1, true))
    one:stop()
  end)

  it("no timer begins while the script is told to stop, however long that takes: at the end and in a reload", function()
    local script = [[
      local molecule = require "molecule"
      local agent = {handle = function() return "x" end}
      local function late()
        print "late"
        molecule.sleep(3)
      end
      function agent.start() molecule.every(0.02, function() molecule.sleep(3) end) end
      function agent.stop()
        molecule.every(0.02, late)
        molecule.sleep(0.2)
        print "has stopped"
      end
      return agent]]
    local one = host.connect { platform = platform, workspace = workspace, script = script }
    one.process:signal "sighup"
    one.process:wait_line("has stopped", { stream = "stdout" })
    one:log "the script is reloaded"
    one:stop()
    assert.same({ "has stopped", "has stopped" }, one.process.lines.stdout)
  end)
end)
