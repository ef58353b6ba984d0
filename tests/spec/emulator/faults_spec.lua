--- What a test can order to go wrong, as a client sees it.

local emulator = require "tests.support.emulator"
local http = require "tests.support.http"
local process = require "tests.support.process"

describe("an ordered fault", function()
  local platform, id, token

  setup(function() platform = emulator.start { profile = "t1", args = { "--rate-limit", "-1" } } end)
  teardown(function()
    platform:stop()
    process.kill_all()
  end)
  before_each(function()
    platform:reset()
    id, token = platform:register()
  end)

  local function health() return platform:get "/health" end
  local function inbox() return platform:get(("/workspaces/%s/activity"):format(id), { token = token }) end

  it("answers with the status, headers and body that were ordered, as often as ordered", function()
    platform:fault({ kind = "status", status = 429, headers = { ["Retry-After"] = "7" }, body = { retry_after = 7 } },
      { path = "/health" }, { times = 2 })
    local answer = health()
    assert.equal(429, answer.status)
    assert.equal("7", answer.headers["retry-after"])
    assert.equal(7, answer.json.retry_after)
    assert.equal(429, health().status)
    assert.equal(200, health().status)
  end)

  it("lets the first ones through when told to", function()
    platform:fault({ kind = "html502" }, { path = "/health" }, { skip = 2 })
    assert.equal(200, health().status)
    assert.equal(200, health().status)
    local answer = health()
    assert.equal(502, answer.status)
    assert.truthy(answer.headers["content-type"]:find "text/html")
    assert.equal(200, health().status)
  end)

  it("goes on until it is cleared when times is -1", function()
    platform:fault({ kind = "status", status = 503 }, {}, { times = -1 })
    for _ = 1, 5 do assert.equal(503, health().status) end
    platform:clear_faults()
    assert.equal(200, health().status)
  end)

  it("strikes only the method, path and workspace it is for", function()
    platform:fault({ kind = "status", status = 500 }, { method = "POST", path = "^/workspaces/[^/]+/notify$",
      workspace = id }, { times = -1 })
    assert.equal(200, inbox().status)
    local other, other_token = platform:register()
    assert.equal(200, platform:post(("/workspaces/%s/notify"):format(other), { message = "x" },
      { token = other_token }).status)
    assert.equal(500, platform:post(("/workspaces/%s/notify"):format(id), { message = "x" }, { token = token }).status)
  end)

  it("resets the connection before any byte of an answer", function()
    platform:fault({ kind = "reset" }, { path = "/health" })
    local answer = health()
    assert.equal("ECONNRESET", answer.problem)
    assert.is_nil(answer.status)
    assert.equal(0, answer.received)
    assert.equal(200, health().status)
  end)

  it("resets the connection after the request took effect", function()
    platform:fault({ kind = "reset_after" }, { path = "/notify" })
    local answer = platform:post(("/workspaces/%s/notify"):format(id), { message = "x" }, { token = token })
    assert.equal("ECONNRESET", answer.problem)
    assert.is_nil(answer.status)
    assert.equal("notify", platform:rows(id)[1].method)
  end)

  it("cuts the body after the bytes that were ordered, then resets", function()
    platform:message { to = id, text = ("x"):rep(100000) }
    for _, bytes in ipairs { 0, 1, 1000, 99000 } do
      platform:fault({ kind = "cut", bytes = bytes }, { path = "/activity" })
      local answer = inbox()
      assert.equal("ECONNRESET", answer.problem)
      assert.equal(200, answer.status)
      assert.is_true(answer.expected > 100000)
      assert.equal(bytes, #answer.body)
    end
    assert.equal(100000, #inbox().json[1].request_body.params.message.parts[1].text)
  end)

  it("delays the answer", function()
    platform:fault({ kind = "delay", ms = 150 }, { path = "/health" })
    local answer = health()
    assert.equal(200, answer.status)
    assert.is_true(answer.seconds >= 0.149)
  end)

  it("drips the body piece by piece", function()
    platform:message { to = id, text = "slow" }
    platform:fault({ kind = "slow", piece = 50, every_ms = 10 }, { path = "/activity" })
    local answer = inbox()
    assert.equal("slow", answer.json[1].request_body.params.message.parts[1].text)
    assert.is_true(answer.seconds >= 0.01 * (#answer.body // 50 - 1))
  end)

  it("never answers when told to hang, and notices that the client left", function()
    platform:fault({ kind = "hang" }, { path = "/health" })
    local running = platform:start_request("GET", "/health")
    local entry = platform:wait({ path = "/health" })[1]
    assert.equal("hang", entry.fault)
    assert.is_nil(entry.status)
    assert.is_false(running.done)
    running:close()
    assert.equal(200, health().status)
  end)

  it("answers with garbage", function()
    platform:fault({ kind = "garbage", body = '[{"id":', content_type = "application/json" }, { path = "/activity" })
    local answer = inbox()
    assert.equal(200, answer.status)
    assert.equal('[{"id":', answer.body)
  end)

  it("is refused when it is none or lacks what it needs", function()
    for _, action in ipairs { { kind = "nonsense" }, { kind = "status" }, { kind = "cut" }, { kind = "slow", piece = 0 } } do
      assert.equal(400, platform:post("/__emulator/faults", { action = action }).status)
    end
    assert.equal(400, platform:request("POST", "/__emulator/faults", { body = "not json" }).status)
  end)

  it("does not hold up others while it delays or drips", function()
    platform:fault({ kind = "delay", ms = 600000 }, { path = "/health" })
    local slow = platform:start_request("GET", "/health")
    assert.equal(200, platform:get("/buildinfo").status)
    assert.is_false(slow.done)
    slow:close()
  end)

  it("leaves half a request alone until it is whole", function()
    local running = http.raw(platform.port, "POST /registry/register HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    assert.equal(200, health().status)
    running:close()
    assert.equal(200, health().status)
  end)
end)
