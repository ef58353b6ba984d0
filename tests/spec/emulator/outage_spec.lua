--- A platform without its database, and one that restarts.

local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local loop = require "tests.support.loop"
local process = require "tests.support.process"

describe("a platform", function()
  local platform, id, token, peer

  setup(function() platform = emulator.start { profile = "t1", args = { "--rate-limit", "-1" } } end)
  teardown(function()
    platform:stop()
    process.kill_all()
  end)
  before_each(function()
    platform:reset()
    platform:order("config", { profile = "t1" })
    id, token = platform:register()
    peer = platform:register()
  end)

  local MESSAGE = { method = "message/send", params = { message = { parts = { { kind = "text", text = "x" } } } } }
  local function send() return platform:post(("/workspaces/%s/a2a"):format(peer), MESSAGE,
    { token = token, headers = { ["X-Workspace-ID"] = id } }) end
  local function notify() return platform:post(("/workspaces/%s/notify"):format(id), { message = "x" }, { token = token }) end
  local function inbox() return platform:get(("/workspaces/%s/activity"):format(id), { token = token }) end
  local function health() return platform:get "/health" end

  it("without its database denies what it cannot look up (t1)", function()
    platform:fault({ kind = "database" }, {}, { times = -1 })
    assert.same({ error = "access denied: workspaces cannot communicate per hierarchy rules" }, send().json)
    assert.equal(403, send().status)
    assert.equal(401, notify().status)
    assert.equal(401, inbox().status)
    assert.equal(200, health().status)
    local beat = platform:post("/registry/heartbeat", { workspace_id = id }, { token = token })
    assert.same({ error = "failed to update" }, beat.json)
    platform:clear_faults()
    assert.equal(200, send().status)
    assert.equal(1, #platform:rows(peer, 1))
  end)

  it("without its database fails once and then denies (latest)", function()
    platform:order("config", { profile = "latest" })
    platform:fault({ kind = "database" }, {}, { times = -1 })
    assert.equal(500, notify().status)
    assert.equal(401, notify().status)
    assert.equal(401, send().status)
    platform:clear_faults()
    assert.equal(200, notify().status)
  end)

  it("loses its database for as many requests as ordered", function()
    platform:fault({ kind = "database" }, { path = "/a2a" }, { times = 2 })
    assert.equal(200, notify().status)
    assert.equal(403, send().status)
    assert.equal(403, send().status)
    assert.equal(200, send().status)
  end)

  local function listen()
    local stream = platform:start_request("GET", ("/workspaces/%s/events/stream"):format(id), { token = token })
    stream:wait_body ": ping"
    return stream
  end

  -- Asks until it is answered again.
  local function back()
    local deadline = loop.now() + loop.LIMIT_MS
    while health().status ~= 200 do assert.is_true(loop.now() < deadline) end
  end

  it("that restarts takes nothing until its event streams are closed, and knows what it knew", function()
    platform:message { to = id, text = "before" }
    local stream = listen()
    platform:order("restart", { drain_ms = 600000, down_ms = 1 })
    for _ = 1, 3 do assert.equal("ECONNRESET", health().problem) end
    assert.equal("draining", platform:state().restart)
    stream:close()
    back()
    assert.equal(1, #inbox().json)
  end)

  it("that restarts breaks off the streams that nobody closes", function()
    local stream = listen()
    platform:order("restart", { drain_ms = 20, down_ms = 1 })
    assert.is_string(stream:wait().problem)
    back()
    assert.is_nil(platform:state().restart)
  end)

  it("that restarts without streams is soon back", function()
    platform:order("restart", { drain_ms = 600000, down_ms = 1 })
    back()
    assert.equal(400, platform:request("POST", "/__emulator/restart", { json = { drain_ms = "x" } }).status)
    assert.equal(400, platform:request("POST", "/__emulator/restart", { json = { down_ms = cjson.null } }).status)
  end)
end)
