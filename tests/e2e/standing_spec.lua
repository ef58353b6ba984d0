-- How a workspace stands on the platform: busy or not, failed, of whose making, served by whom; and what its Stop button does.

local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"

local SLOW = [[
  local molecule = require "molecule"
  return function(msg)
    molecule.log("working on " .. msg.text)
    if msg.text == "loop" then while true do end end
    if msg.text:find "^wait" then molecule.sleep(600) end
    if msg.text == "fail" then error "no luck" end
    molecule.store.set("last", msg.text)
    return "echo: " .. msg.text
  end]]

describe("the platform", function()
  local platform, workspace

  after_each(function()
    host.clean_up()
    platform:stop()
  end)

  local function begin(profile, options)
    platform = emulator.start { profile = profile, args = { "--rate-limit", "-1" } }
    workspace = host.workspace(platform)
    options = options or {}
    options.platform, options.workspace, options.script = platform, workspace, options.script or SLOW
    return host.connect(options)
  end

  local function beats(expected)
    local found = {}
    for _, entry in ipairs(platform:wait { path = "/registry/heartbeat", body = expected, status = 200, count = 1 }) do
      found[#found + 1] = cjson.decode(entry.body)
    end
    return found
  end

  local function cancel(params, from)
    platform:message { to = workspace.id, from = from, method = "tasks/cancel",
      request_body = { jsonrpc = "2.0", id = "1", method = "tasks/cancel", params = params or {} } }
  end

  it("sees at once that a handler runs, and that it has ended, between two heartbeats", function()
    local one = begin("latest", { args = { "--heartbeat-ms", "60000" } })
    platform:message { to = workspace.id, text = "wait" }
    assert.equal("answering the canvas", beats '"active_tasks":1'[1].current_task)
    cancel()
    one:wait { path = "/registry/heartbeat", status = 200, count = 3 }
    local last = one:posts "/registry/heartbeat"
    assert.equal(0, cjson.decode(last[#last].body).active_tasks)
    one:stop()
  end)

  it("is not told of every short handler", function()
    local one = begin("latest", { script = host.ECHO, args = { "--heartbeat-ms", "60000" } })
    platform:message { to = workspace.id, text = "%n", count = 40 }
    one:canvas(40)
    one:stop()
    assert.is_true(#one:posts "/registry/heartbeat" <= 5)
  end)

  for _, profile in ipairs { "t1", "latest" } do
    it("that shows the workspace as failed is registered with again (" .. profile .. ")", function()
      local one = begin(profile, { args = { "--heartbeat-ms", "1000" } })
      platform:workspace { id = workspace.id, status = "failed" }
      if profile == "t1" then
        one:log "the platform shows the workspace as failed; registering again"
        one:log "registered again"
      end
      one:wait { path = "/registry/heartbeat", status = 200, count = 8 }
      for _, each in ipairs(platform:state().workspaces) do
        if each.id == workspace.id then assert.equal("online", each.status) end
      end
      one:stop()
    end)
  end

  for profile, runtime in pairs { t1 = "langgraph", latest = "hermes" } do
    it("that made a workspace of an unknown id says of which kind (" .. profile .. ")", function()
      platform = emulator.start { profile = profile }
      local id = emulator.uuid()
      local one = host.connect { platform = platform, workspace = { id = id, token = "none of its" }, script = SLOW,
        token = false, args = { "--bootstrap" } }
      one:log("warn.*with the runtime " .. runtime .. " instead of external")
      one:stop()
    end)
  end

  -- What comes while a host catches up with the inbox may be an earlier process's words.
  local function talk(one, two)
    for i = 1, 20 do
      platform:message { to = workspace.id, text = "hello" }
      one:wait { path = ("/workspaces/%s/notify"):format(workspace.id), status = 200, count = 2 * i }
      if one:count_log "another host" > 0 and two:count_log "another host" > 0 then return end
    end
  end

  it("is served by two hosts: each says so when the canvas is told what is not its own", function()
    local one = begin("latest", { script = [[return function(msg) return "one: " .. msg.text end]] })
    local two = host.connect { platform = platform, workspace = workspace, script = host.ECHO }
    talk(one, two)
    one:log 'warn.*the canvas was told something this host did not send: "echo: hello".*another host'
    two:log 'warn.*the canvas was told something this host did not send: "one: hello".*another host'
    one:stop()
    two:stop()
  end)

  it("is served by two hosts that answer the same: that shows, too", function()
    local one = begin("latest", { script = host.ECHO })
    local two = host.connect { platform = platform, workspace = workspace, script = host.ECHO }
    talk(one, two)
    one:log "warn.*another host"
    two:log "warn.*another host"
    one:stop()
    two:stop()
  end)

  it("is served by one host, after a kill, too: nothing is said of another", function()
    local one = begin("t1", { script = [[
      local molecule = require "molecule"
      return function(msg)
        molecule.notify("a word")
        return "echo: " .. msg.text
      end]] })
    for i = 1, 3 do
      platform:message { to = workspace.id, text = tostring(i) }
      one:canvas(2 * i)
      one:kill()
      one = host.connect { platform = platform, workspace = workspace, script_path = one.script_path, state_dir = one.state_dir }
    end
    platform:message { to = workspace.id, text = "last" }
    one:canvas(8)
    one:stop()
    assert.equal(0, one:count_log "another host")
  end)

  it("passes on its Stop button: what runs ends as canceled, and leaves nothing behind", function()
    local one = begin("latest", { args = { "--concurrency", "4" } })
    local peer = host.workspace(platform)
    platform:message { to = workspace.id, text = "wait here" }
    platform:message { to = workspace.id, from = peer.id, text = "wait there" }
    one:log "working on wait here"
    one:log "working on wait there"
    cancel()
    one:log "from the canvas: canceled: stopped at .*agent.lua:%d+"
    one:log(peer.id:gsub("%-", "%%-") .. ": canceled")
    one:log "tasks/cancel, 2 handlers canceled"
    platform:message { to = workspace.id, text = "next" }
    assert.same({ "echo: next" }, one:canvas(1))
    one:stop()
    assert.equal(0, #one:posts "/a2a")
    assert.equal(0, one:count_log "dead letter")
  end)

  it("passes on its Stop button to a handler that only computes", function()
    local one = begin("latest")
    platform:message { to = workspace.id, text = "loop" }
    one:log "working on loop"
    cancel()
    one:log "from the canvas: canceled"
    one:stop()
  end)

  it("passes on its Stop button to a message that waits for its next attempt", function()
    local one = begin("latest", { args = { "--max-attempts", "50" } })
    platform:message { to = workspace.id, text = "fail" }
    one:log "attempt 3 of 50"
    cancel()
    one:log "canceled"
    platform:message { to = workspace.id, text = "next" }
    assert.same({ "echo: next" }, one:canvas(1))
    one:stop()
    assert.equal(0, one:count_log "dead letter")
  end)

  it("passes on its Stop button once: not again after a restart, and not to what came later", function()
    local script = [[
      local molecule = require "molecule"
      return function(msg, ctx)
        if msg.text == "later" and not ctx.options.now then return molecule.retry {after = 3600} end
        return "echo: " .. msg.text
      end]]
    local one = begin("latest", { script = script })
    platform:message { to = workspace.id, text = "before" }
    one:canvas(1)
    cancel()
    one:log "0 handlers canceled"
    platform:message { to = workspace.id, text = "later" }
    one:log "retry in 3600"
    one:kill()
    local two = host.connect { platform = platform, workspace = workspace, script = script, state_dir = one.state_dir,
      args = { "--script-opt", "now=yes" } }
    platform:message { to = workspace.id, text = "last" }
    two:wait { path = ("/workspaces/%s/notify"):format(workspace.id), status = 200, body = "echo: last" }
    two:stop()
    assert.equal(0, two:count_log "canceled")
  end)

  it("lets a peer cancel what it asked for, and nothing else", function()
    local one = begin("latest", { args = { "--concurrency", "4" } })
    local peer, other = host.workspace(platform), host.workspace(platform)
    platform:message { to = workspace.id, from = other.id, text = "wait for other" }
    platform:message { to = workspace.id, from = peer.id, text = "wait for peer", message_id = "m-1" }
    platform:message { to = workspace.id, from = peer.id, text = "hello", context_id = "c" }
    one:log "working on wait for other"
    one:log "working on wait for peer"
    cancel({ id = "m-1" }, peer.id)
    one:log(peer.id:gsub("%-", "%%-") .. ": canceled")
    assert.equal(0, one:count_log(other.id:gsub("%-", "%%-") .. ": canceled"))
    one:stop("sigterm", 0)
  end)

  it("that stops is not held up by our event stream, which comes back with it", function()
    local one = begin("latest", { script = host.ECHO, args = { "-v" } })
    local _, line = one:log "event stream: open"
    platform:order("restart", { drain_ms = 600000, down_ms = 50 })
    one:log "event stream: closed while the platform takes no requests"
    one:log("event stream: open", { from = line + 1 })
    platform:message { to = workspace.id, text = "hello" }
    assert.same({ "echo: hello" }, one:canvas(1))
    one:stop()
  end)
end)
