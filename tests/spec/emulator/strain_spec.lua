--- The emulator under many hands: nothing of it may hang, leak or mix up answers. (Its own exit code and standard error
--- tell of leaks, in a build with sanitizers.)

local emulator = require "tests.support.emulator"
local loop = require "tests.support.loop"
local process = require "tests.support.process"

describe("an emulator under strain", function()
  local platform

  before_each(function() platform = emulator.start { profile = "t1", args = { "--rate-limit", "-1" } } end)
  after_each(function() process.kill_all() end)

  it("ends well while requests of every kind are open", function()
    local id, token = platform:register()
    platform:message { to = id, text = ("x"):rep(1000000) }
    local inbox = ("/workspaces/%s/activity"):format(id)
    local open = {
      platform:start_request("GET", ("/workspaces/%s/events/stream"):format(id), { token = token }),
      platform:start_request("GET", "/__emulator/wait", { query = { path = "/never", timeout_ms = 600000 } }),
    }
    open[1]:wait_body ": ping"
    platform:fault({ kind = "hang" }, { path = "/health" })
    platform:fault({ kind = "delay", ms = 600000 }, { path = "/health" })
    for _ = 1, 2 do open[#open + 1] = platform:start_request("GET", "/health") end
    platform:fault({ kind = "slow", piece = 10, every_ms = 1000 }, { path = inbox })
    open[#open + 1] = platform:start_request("GET", inbox, { token = token })
    open[#open]:wait_body "["
    platform:wait { path = "/health", count = 2 }
    platform:stop()
    for _, running in ipairs(open) do assert.is_string(running:wait().problem) end
  end)

  it("gives everybody their own answer while faults strike and clients leave", function()
    local id, token = platform:register()
    platform:message { to = id, text = ("x"):rep(20000), count = 3 }
    local inbox = ("/workspaces/%s/activity"):format(id)
    local actions = { { kind = "reset" }, { kind = "cut", bytes = 5000 }, { kind = "delay", ms = 20 }, { kind = "hang" },
      { kind = "slow", piece = 5000, every_ms = 1 }, { kind = "status", status = 503 }, { kind = "reset_after" } }
    for round = 1, 10 do
      for i, action in ipairs(actions) do platform:fault(action, { path = inbox }, { skip = i }) end
      local running, left = {}, {}
      for i = 1, 40 do
        running[i] = platform:start_request("GET", inbox, { token = token, query = { limit = 1 + i % 3 } })
        if (i + round) % 7 == 0 then left[i] = true end
      end
      platform:wait { path = inbox, count = 40, since = (round - 1) * 40 + 1 }
      for i in pairs(left) do running[i]:close() end
      loop.wait(function()
        local open = 0
        for i, one in ipairs(running) do
          if not left[i] and not one.done then open = open + 1 end
        end
        return open <= 1
      end)
      for i, one in ipairs(running) do
        if not left[i] and one.status == 200 and not one.problem and one.done then
          assert.equal(1 + i % 3, #one.json)
        end
        one:close()
      end
      platform:clear_faults()
    end
    assert.equal(200, platform:get("/health").status)
    platform:stop()
  end)

  it("sends a stream to a reader who is slow, and drops one who does not read at all", function()
    local id, token = platform:register()
    local stream = platform:start_request("GET", ("/workspaces/%s/events/stream"):format(id), { token = token })
    stream:wait_body ": ping"
    stream.socket:read_stop()
    for _ = 1, 30 do platform:message { to = id, text = ("x"):rep(1 << 20) } end
    assert.equal(0, platform:state().streams)
    stream:close()
    platform:stop()
  end)

  it("answers 2000 polls of a long inbox, twenty at a time", function()
    local id, token = platform:register()
    local ids = platform:message { to = id, text = "n%n", count = 5000 }
    local total, open, launched, good = 2000, {}, 0, 0
    while good < total do
      while #open < 20 and launched < total do
        launched = launched + 1
        open[#open + 1] = platform:start_request("GET", ("/workspaces/%s/activity"):format(id),
          { token = token, query = { since_id = ids[4999] } })
      end
      local before = #open
      assert.truthy(loop.wait(function()
        for i = #open, 1, -1 do
          if open[i].done then
            assert.equal(200, open[i].status)
            good = good + 1
            table.remove(open, i)
          end
        end
        return #open < before
      end))
    end
    platform:stop()
  end)
end)
