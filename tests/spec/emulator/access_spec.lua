--- Who is let in: tokens, tenant guard, rate limit, unknown routes.

local emulator = require "tests.support.emulator"
local process = require "tests.support.process"

describe("the platform's door", function()
  local platform, id, token

  setup(function() platform = emulator.start { profile = "t1" } end)
  teardown(function()
    platform:stop()
    process.kill_all()
  end)
  before_each(function()
    platform:reset()
    platform:order("config", { profile = "t1", org_id = "", rate_limit = 0 })
    id, token = platform:register()
  end)

  local function inbox(options) return platform:get(("/workspaces/%s/activity"):format(id), options) end

  it("wants exactly this workspace's token, written exactly so", function()
    local _, other = platform:register()
    assert.equal(200, inbox({ token = token }).status)
    assert.equal(200, inbox({ headers = { Authorization = "Bearer   " .. token .. " " } }).status)
    for _, header in ipairs { "Bearer " .. other, "Bearer x" } do -- "Bearer " alone: libmicrohttpd 1.0 trims it
      local answer = inbox({ headers = { Authorization = header } })
      assert.equal(401, answer.status)
      assert.same({ error = "invalid workspace auth token" }, answer.json)
    end
    for _, header in ipairs { "bearer " .. token, token } do
      assert.same({ error = "missing workspace auth token" }, inbox({ headers = { Authorization = header } }).json)
    end
    assert.same({ error = "missing workspace auth token" }, inbox().json)
  end)

  it("answers an unknown route in plain text, in the name of the canvas if there is one", function()
    for _, expected in ipairs { { true, 502, "canvas unavailable" }, { false, 404, "404 page not found" } } do
      platform:order("config", { canvas_proxy = expected[1] })
      local answer = platform:get "/agents"
      assert.equal(expected[2], answer.status)
      assert.equal(expected[3], answer.body)
      assert.equal(expected[2], platform:request("DELETE", "/health").status)
      assert.equal(expected[2], platform:get("//registry/x/peers").status)
    end
    platform:order("config", { canvas_proxy = true })
  end)

  it("hides behind an empty 404 from who does not name the tenant (t1)", function()
    platform:order("config", { org_id = "org-1" })
    local answer = inbox({ token = token })
    assert.equal(404, answer.status)
    assert.equal("", answer.body)
    local here = "http://127.0.0.1:" .. platform.port
    for header, value in pairs { Origin = here, Referer = here .. "/x", ["X-Molecule-Org-Id"] = "org-1",
      ["Fly-Replay-Src"] = "a=b;state=org-1" } do
      assert.equal(200, inbox({ token = token, headers = { [header] = value } }).status, header)
    end
    for header, value in pairs { Origin = here .. "/", ["X-Molecule-Org-Id"] = "org-2" } do
      assert.equal(404, inbox({ token = token, headers = { [header] = value } }).status, header)
    end
    assert.equal(200, platform:get("/health").status)
    assert.equal(200, platform:post("/registry/heartbeat", { workspace_id = id }, { token = token }).status)
  end)

  it("says which header is missing (latest)", function()
    platform:order("config", { org_id = "org-1", profile = "latest" })
    local answer = inbox({ token = token })
    assert.equal(400, answer.status)
    assert.equal("TENANT_ORG_HEADER_REQUIRED", answer.json.code)
    assert.equal("X-Molecule-Org-Id", answer.json.required_header)
    assert.equal("", inbox({ token = token, headers = { ["X-Molecule-Org-Id"] = "other" } }).body)
    assert.equal(200, platform:get("/uploads/limits").status)
  end)

  it("tells how much of the rate limit is left, then 429 with the time to wait", function()
    platform:order("config", { rate_limit = 3 })
    local first = platform:get "/health"
    assert.equal("3", first.headers["x-ratelimit-limit"])
    assert.equal("2", first.headers["x-ratelimit-remaining"])
    assert.is_true(tonumber(first.headers["x-ratelimit-reset"]) > 50)
    platform:get "/health"
    platform:get "/health"
    local answer = platform:post("/registry/heartbeat", { workspace_id = id }, { token = token })
    assert.equal(429, answer.status)
    assert.equal("rate limit exceeded", answer.json.error)
    assert.equal(tostring(math.tointeger(answer.json.retry_after)), answer.headers["retry-after"])
    assert.equal("0", answer.headers["x-ratelimit-remaining"])
    assert.equal(200, platform:get("/__emulator/state").status)
  end)

  it("counts each token apart (latest), everybody together (t1)", function()
    local other, other_token = platform:register()
    platform:order("config", { rate_limit = 1, profile = "latest" })
    assert.equal(200, inbox({ token = token }).status)
    assert.equal(429, inbox({ token = token }).status)
    assert.equal(200, platform:get(("/workspaces/%s/activity"):format(other), { token = other_token }).status)
    platform:order("config", { rate_limit = 1, profile = "t1" })
    assert.equal(200, inbox({ token = token }).status)
    assert.equal(429, platform:get(("/workspaces/%s/activity"):format(other), { token = other_token }).status)
  end)

  it("says that nothing is limited when nothing is", function()
    local answer = platform:get "/health"
    assert.equal("unlimited", answer.headers["x-ratelimit-limit"])
    assert.is_nil(answer.headers["x-ratelimit-remaining"])
  end)

  it("lets an agent rotate its own tokens", function()
    local path = ("/workspaces/%s/tokens"):format(id)
    local minted = platform:post(path, {}, { token = token })
    assert.equal(201, minted.status)
    local new = minted.json.auth_token
    local list = platform:get(path, { token = new }).json.tokens
    assert.equal(2, #list)
    assert.equal(200, platform:request("DELETE", path .. "/" .. list[1].id, { token = new }).status)
    assert.equal(401, inbox({ token = token }).status)
    assert.equal(200, inbox({ token = new }).status)
    assert.equal(502, platform:post(("/workspaces/%s/external/rotate"):format(id), {}, { token = new }).status)
    platform:order("config", { profile = "latest" })
    local rotated = platform:post(("/workspaces/%s/external/rotate"):format(id), {}, { token = new }).json.connection
    assert.equal(401, inbox({ token = new }).status)
    assert.equal(200, inbox({ token = rotated.auth_token }).status)
  end)
end)
