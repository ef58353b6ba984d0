--- Registration, heartbeats and what they do to a workspace's status; peers and discovery.

local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local process = require "tests.support.process"

describe("a workspace", function()
  local platform, id, token

  setup(function() platform = emulator.start { profile = "t1", args = { "--rate-limit", "-1" } } end)
  teardown(function()
    platform:stop()
    process.kill_all()
  end)
  before_each(function()
    platform:reset()
    platform:order("config", { profile = "t1", stale_seconds = 0 })
    id, token = platform:register()
  end)

  local function beat(fields)
    local value = { workspace_id = id }
    for name, field in pairs(fields or {}) do value[name] = field end
    return platform:post("/registry/heartbeat", value, { token = token })
  end
  local function status() return platform:state_of(id).status end

  it("is refused when what it says is incomplete or wrong", function()
    local function register(value) return platform:post("/registry/register", value) end
    assert.equal(400, platform:request("POST", "/registry/register", { body = "nonsense" }).status)
    assert.equal(400, register({ agent_card = {} }).status)
    assert.equal(400, register({ id = emulator.uuid() }).status)
    assert.equal("url is required for push-mode workspaces",
      register({ id = emulator.uuid(), agent_card = { name = "x" } }).json.error)
    local answer = register({ id = "ws_x", agent_card = { name = "x" }, delivery_mode = "poll" })
    assert.equal(500, answer.status)
    assert.same({ error = "registration failed" }, answer.json)
  end)

  it("is told registered even after it was removed, and stays removed", function()
    platform:order("remove", { workspace = id })
    local answer = platform:post("/registry/register", { id = id, delivery_mode = "poll", agent_card = { name = "x" } })
    assert.equal(200, answer.status)
    assert.equal("removed", status())
  end)

  it("awaits its agent when heartbeats stop, and is revived by the next one", function()
    platform:order("config", { stale_seconds = 0.05 })
    local deadline = require("tests.support.loop").now() + 60000
    repeat
      local now = status()
      assert(require("tests.support.loop").now() < deadline, "never went stale")
    until now == "awaiting_agent"
    platform:order("config", { stale_seconds = 90 })
    assert.equal(200, beat().status)
    assert.equal("online", status())
  end)

  it("degrades with errors and recovers when they end, unless it calls itself something else", function()
    beat { error_rate = 0.5 }
    assert.equal("degraded", status())
    beat { error_rate = 0.2 }
    assert.equal("degraded", status())
    beat { error_rate = 0.0, runtime_state = "ok" }
    assert.equal("degraded", status())
    beat()
    assert.equal("online", status())
    beat { runtime_state = "wedged" }
    assert.equal("degraded", status())
  end)

  it("loses what a heartbeat leaves out, but for its spend", function()
    beat { current_task = "x", active_tasks = 3, monthly_spend = 12 }
    beat()
    local snapshot = platform:state_of(id).heartbeat
    assert.equal("", snapshot.current_task)
    assert.equal(0, snapshot.active_tasks)
    assert.equal(12, snapshot.monthly_spend)
  end)

  it("needs its token for a heartbeat; an unknown one is told ok", function()
    assert.equal(401, platform:post("/registry/heartbeat", { workspace_id = id }).status)
    assert.equal(401, platform:post("/registry/heartbeat", { workspace_id = id }, { token = "x" }).status)
    assert.equal(400, platform:post("/registry/heartbeat", {}).status)
    assert.equal(200, platform:post("/registry/heartbeat", { workspace_id = emulator.uuid() }).status)
    assert.same({ error = "failed to update" }, platform:post("/registry/heartbeat", { workspace_id = "ws_1" }).json)
    assert.is_nil(beat().json.generation)
    platform:order("config", { profile = "latest" })
    assert.equal(1, beat().json.generation)
  end)

  it("can change its card", function()
    assert.equal(200, platform:post("/registry/update-card", { workspace_id = id, agent_card = { name = "new" } },
      { token = token }).status)
    assert.equal("new", platform:get("/workspaces/" .. id).json.agent_card.name)
    assert.equal(400, platform:post("/registry/update-card", { workspace_id = id }, { token = token }).status)
  end)

  it("is described without a token; its state needs one", function()
    local answer = platform:get("/workspaces/" .. id)
    assert.equal("online", answer.json.status)
    assert.equal("external", answer.json.runtime)
    assert.is_nil(answer.json.delivery_mode)
    assert.equal(400, platform:get("/workspaces/nonsense").status)
    assert.equal(404, platform:get("/workspaces/" .. emulator.uuid()).status)
    local state = platform:get("/workspaces/" .. id .. "/state", { token = token })
    assert.same({ workspace_id = id, status = "online", paused = false, deleted = false }, state.json)
    assert.equal(401, platform:get("/workspaces/" .. id .. "/state").status)
  end)

  it("sees its peers, finds them and may or may not talk to them", function()
    local peer = platform:workspace { name = "Builder", deny = { id } }
    local friend = platform:workspace { name = "Friend", url = "https://friend.example" }
    local function peers(query)
      return platform:get(("/registry/%s/peers"):format(id), { token = token, query = query }).json
    end
    assert.equal(2, #peers())
    assert.equal("Friend", peers()[1].name)
    assert.equal("organization", peers()[2].name)
    assert.equal(cjson.null, peers()[1].role)
    platform:order("config", { profile = "latest" })
    assert.same({}, peers({ q = "build" }))
    assert.equal(1, #peers({ q = "FRIEND" }))
    platform:order("config", { profile = "t1" })
    local function allowed(target)
      return platform:post("/registry/check-access", { caller_id = id, target_id = target }).json.allowed
    end
    assert.is_false(allowed(peer.id))
    assert.is_true(allowed(friend.id))
    local function discover(target, headers)
      return platform:get("/registry/discover/" .. target, { token = token, headers = headers })
    end
    assert.equal(400, discover(friend.id).status)
    assert.equal("https://friend.example", discover(friend.id, { ["X-Workspace-ID"] = id }).json.url)
    assert.equal(403, discover(peer.id, { ["X-Workspace-ID"] = id }).status)
  end)

  it("is created by an operator with a token that works", function()
    local value = { name = "made", runtime = "external" }
    assert.equal("admin auth required", platform:post("/workspaces", value).json.error)
    assert.equal("invalid admin auth token", platform:post("/workspaces", value, { token = token }).json.error)
    local made = platform:admin("POST", "/workspaces", value)
    assert.equal(201, made.status)
    assert.equal("awaiting_agent", made.json.status)
    local given = made.json.connection.auth_token
    assert.equal(200, platform:get(("/workspaces/%s/activity"):format(made.json.id), { token = given }).status)
    local refused = platform:post("/registry/register", { id = made.json.id, agent_card = { name = "x" } },
      { token = given })
    assert.equal("url is required for push-mode workspaces", refused.json.error)
  end)
end)
