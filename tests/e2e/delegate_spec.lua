--- molecule.delegate: the answer comes back on both versions of the platform, whoever is asked.

local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"

local BOSS = [[
  local molecule = require "molecule"
  return function(msg)
    local target, timeout = msg.text:match "^(%S+) (%S+)$"
    local task, problem, code = molecule.delegate(target, "build it", {timeout = tonumber(timeout)})
    if not task then return ("failed: %s %s"):format(code, problem) end
    return ("%s: %s %s"):format(task.status, tostring(task.text), tostring(task.queued))
  end]]

for _, profile in ipairs { "t1", "latest" } do
  describe("a delegation (" .. profile .. ")", function()
    local platform, workspace, one

    before_each(function()
      platform = emulator.start { profile = profile, args = { "--rate-limit", "-1" } }
      workspace = host.workspace(platform)
      one = host.connect { platform = platform, workspace = workspace, script = BOSS }
    end)

    after_each(function()
      host.clean_up()
      platform:stop()
    end)

    local function ask(target, timeout)
      local before = #one:told_canvas()
      platform:message { to = workspace.id, text = target .. " " .. timeout }
      return one:canvas(before + 1)[before + 1]
    end

    local function pushed(answer)
      return host.workspace(platform, { delivery_mode = "push", url = "https://agent.example/", push_answer = answer }).id
    end

    it("brings back what a push peer's agent answers", function()
      local parts = { { kind = "text", text = "built: " .. ("x"):rep(1000) } }
      local answer = { body = { jsonrpc = "2.0", id = "1", result = { parts = parts } }, delay_ms = 300 }
      assert.equal("completed: " .. parts[1].text .. " nil", ask(pushed(answer), 60))
      one:stop()
    end)

    it("says that a peer's agent failed, or could not be reached", function()
      assert.matches("^failed: PEER ", ask(pushed(nil), 60))
      assert.matches("^failed: PEER .*ended as failed", ask(pushed { body = { jsonrpc = "2.0", id = "1",
        result = { kind = "task", status = { state = "failed" } } } }, 60))
      one:stop()
    end)

    it("brings back what a peer answers that is another host, by a message of its own", function()
      local peer = host.workspace(platform)
      local other = host.connect { platform = platform, workspace = peer, script = [[return function() return "done" end]] }
      assert.equal("completed: done nil", ask(peer.id, 60))
      one:stop()
      other:stop()
    end)

    it("is understood whatever the case of the peer's id", function()
      local peer = host.workspace(platform)
      local other = host.connect { platform = platform, workspace = peer, script = [[return function() return "done" end]] }
      assert.equal("completed: done nil", ask(peer.id:upper(), 60))
      one:stop()
      other:stop()
    end)

    it("to a peer that polls and does not answer says that it has the task", function()
      assert.equal("queued: nil true", ask(host.workspace(platform).id, 0.3))
      one:stop()
    end)

    it("is not waited for unless asked to", function()
      assert.equal("delegated: nil nil", ask(host.workspace(platform).id, 0))
      one:stop()
    end)

    it("to what is no workspace's id is refused at once", function()
      assert.matches("^failed: BAD_ID ", ask("nonsense", 60))
      one:stop()
      assert.equal(0, #one:posts "/delegate")
    end)

    it("gives a handler that runs again after a kill the answer that came meanwhile", function()
      local peer = host.workspace(platform)
      platform:message { to = workspace.id, text = peer.id .. " 60" }
      local task = one:wait { path = ("/workspaces/%s/delegate"):format(workspace.id), status = 202, count = 1 }[1]
      assert(task)
      one:kill()
      local other = host.connect { platform = platform, workspace = peer, script = [[return function() return "done" end]] }
      platform:wait { path = ("/workspaces/%s/a2a"):format(workspace.id), status = 200, count = 1 }
      one = host.connect { platform = platform, workspace = workspace, script = BOSS, state_dir = one.state_dir }
      assert.same({ "completed: done nil" }, one:canvas(1))
      one:stop()
      other:stop()
      local keys = {}
      for _, entry in ipairs(one:posts "/delegate") do keys[cjson.decode(entry.body).idempotency_key] = true end
      assert.is_nil(next(keys, next(keys)))
    end)
  end)
end

describe("a delegation outside of a handler", function()
  it("is handed over once, though the answer to it was lost", function()
    local platform = emulator.start { args = { "--rate-limit", "-1" } }
    local workspace, peer = host.workspace(platform), host.workspace(platform)
    platform:fault({ kind = "reset_after" }, { method = "POST", path = "/delegate" }, { times = 1 })
    local one = host.connect { platform = platform, workspace = workspace, script = ([[
      local molecule = require "molecule"
      molecule.after(0.01, function() molecule.log(molecule.delegate("%s", "build it").status) end)
      return function() end]]):format(peer.id) }
    one:wait { path = ("/workspaces/%s/delegate"):format(workspace.id), status = 200, count = 1 }
    one:stop()
    assert.equal(1, #platform:rows(peer.id))
    host.clean_up()
    platform:stop()
  end)
end)

describe("the result of a delegation that the platform puts into the inbox", function()
  local platform, workspace

  before_each(function()
    platform = emulator.start { profile = "latest", args = { "--rate-limit", "-1" } }
    platform:order("config", { delegation_inbox = true })
    workspace = host.workspace(platform)
  end)

  after_each(function()
    host.clean_up()
    platform:stop()
  end)

  local function delegate(more)
    local peer = host.workspace(platform, { delivery_mode = "push", url = "https://agent.example/",
      push_answer = { body = { jsonrpc = "2.0", id = "1", result = { parts = { { kind = "text", text = "built" } } } } } })
    local one = host.connect { platform = platform, workspace = workspace, script = ([[
      local molecule = require "molecule"
      return {%s handle = function(msg)
        if msg.method == "delegate_result" then
          molecule.log("result: " .. msg.text .. " of " .. msg.in_reply_to)
          return "thank you"
        end
        return assert(molecule.delegate("%s", "build it")).delegation_id
      end}]]):format(more, peer.id) }
    platform:message { to = workspace.id, text = "x" }
    return one, one:canvas(1)[1]
  end

  it("is a message for an agent that wants answers, and nothing is replied to it", function()
    local one, id = delegate "answers_replies = true,"
    one:log("result: built of " .. id:gsub("%-", "%%-"))
    one:log "no_reply: what its handler returned would reach nobody"
    one:stop()
    assert.equal(0, #one:posts "/a2a")
    assert.equal(1, #one:told_canvas())
  end)

  it("is not handed to any other", function()
    local one = delegate ""
    one:log "skipped: it is a reply to ours"
    one:stop()
    assert.equal(0, one:count_log "result: ")
    assert.equal(1, #one:told_canvas())
  end)
end)

describe("molecule.send", function()
  it("to what is no workspace's id is refused at once", function()
    local platform = emulator.start {}
    local workspace = host.workspace(platform)
    local one = host.connect { platform = platform, workspace = workspace, script = [[
      local molecule = require "molecule"
      return function()
        local _, problem, code = molecule.send("nonsense", "hello")
        return code .. ": " .. problem
      end]] }
    platform:message { to = workspace.id, text = "x" }
    assert.matches("^BAD_ID: ", one:canvas(1)[1])
    one:stop()
    assert.equal(0, #one:posts "/a2a")
    host.clean_up()
    platform:stop()
  end)
end)
