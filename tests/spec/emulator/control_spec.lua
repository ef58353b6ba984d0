--- The control API: what tests and people order, and what they learn.

local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local process = require "tests.support.process"

describe("the control API", function()
  local platform, id, token

  setup(function() platform = emulator.start { profile = "latest", args = { "--rate-limit", "-1" } } end)
  teardown(function()
    platform:stop()
    process.kill_all()
  end)
  before_each(function()
    platform:reset()
    platform:order("config", { profile = "latest" })
    id, token = platform:register()
  end)

  local function inbox(query)
    return platform:get(("/workspaces/%s/activity"):format(id), { token = token, query = query })
  end

  it("creates a workspace with a token of the test's choice", function()
    local made = platform:workspace { name = "mine", token = "a-token-of-mine" }
    assert.equal("poll", made.delivery_mode)
    assert.equal(200, platform:get(("/workspaces/%s/activity"):format(made.id), { token = "a-token-of-mine" }).status)
    platform:workspace { id = made.id, token = "another-token" }
    assert.equal(401, platform:get(("/workspaces/%s/activity"):format(made.id), { token = "a-token-of-mine" }).status)
  end)

  it("says which field of a workspace is not what it must be", function()
    for field, value in pairs { role = 5, name = cjson.null, tier = "x", parent_id = "boss", push_answer = "x" } do
      local answer = platform:request("POST", "/__emulator/workspaces", { json = { [field] = value } })
      assert.equal(400, answer.status)
      assert.truthy(answer.json.error:find("^" .. field .. " must be a "), answer.body)
    end
  end)

  it("shows workspaces, heartbeats, rows and the journal's size but no token", function()
    platform:post("/registry/heartbeat", { workspace_id = id, error_rate = 0.25, current_task = "thinking",
      active_tasks = 2 }, { token = token })
    platform:message { to = id, text = "x" }
    local answer = platform:get "/__emulator/state"
    local described = platform:state_of(id)
    assert.equal("online", described.status)
    assert.equal(1, described.heartbeats)
    assert.equal(0.25, described.heartbeat.error_rate)
    assert.equal("thinking", described.heartbeat.current_task)
    assert.equal(2, described.heartbeat.active_tasks)
    assert.equal(1, described.rows)
    assert.equal(1, described.tokens)
    assert.is_nil(answer.body:find(token, 1, true))
    assert.equal(2, answer.json.journal.entries)
  end)

  it("places a peer's message, parts and whole bodies as they are given", function()
    local peer = emulator.uuid()
    platform:message { to = id, from = peer, parts = { { kind = "data", data = { n = 1 } } } }
    platform:message { to = id, request_body = "just a text" }
    platform:message { to = id, request_body = { 1, 2 } }
    platform:message { to = id, text = "x", row = { method = "tasks/send", summary = cjson.null, omit = { "target_id" } } }
    local rows = platform:rows(id)
    assert.equal(peer, rows[1].source_id)
    assert.equal("data", rows[1].request_body.params.message.parts[1].kind)
    assert.equal("just a text", rows[2].request_body)
    assert.same({ 1, 2 }, rows[3].request_body)
    assert.equal("tasks/send", rows[4].method)
    assert.equal(cjson.null, rows[4].summary)
    assert.is_nil(rows[4].target_id)
  end)

  it("places rows that are not JSON, byte for byte", function()
    local row = emulator.uuid()
    platform:message { to = id, id = row, raw_row = '{"id":"' .. row .. '","n":123456789012345678901234567890}' }
    platform:message { to = id, raw_row_base64 = "eyJ4IjoiiP8ifQ==" }
    local body = inbox().body
    assert.truthy(body:find('"n":123456789012345678901234567890}', 1, true))
    assert.truthy(body:find('{"x":"\x88\xff"}', 1, true))
    assert.equal(200, inbox({ since_id = row }).status)
  end)

  it("takes a message of several megabytes", function()
    local text = ("abcdefgh"):rep(1 << 20)
    platform:message { to = id, text = text }
    local answer = inbox()
    assert.equal(text, answer.json[1].request_body.params.message.parts[1].text)
  end)

  it("journals what the platform received, and not the control calls", function()
    local since = platform:mark()
    platform:get("/health", { query = { a = "1 & 2" }, headers = { ["X-Thing"] = "yes" } })
    platform:post("/registry/heartbeat", { workspace_id = id }, { token = token })
    local entries = platform:journal(since)
    assert.equal(2, #entries)
    assert.equal("/health", entries[1].path)
    assert.equal("1 & 2", entries[1].query.a)
    assert.equal("yes", entries[1].headers["x-thing"])
    assert.equal(200, entries[1].status)
    assert.equal(id, entries[2].workspace)
    assert.equal(id, cjson.decode(entries[2].body).workspace_id)
    assert.equal(entries[1].n + 1, entries[2].n)
  end)

  it("cuts a long body in the journal and tells its length", function()
    platform:post("/registry/heartbeat", { workspace_id = id, sample_error = ("e"):rep(100000) }, { token = token })
    local entry = platform:journal()[2]
    assert.equal(65536, #entry.body)
    assert.is_true(entry.body_length > 100000)
  end)

  it("answers a wait the moment that enough requests match", function()
    local waiting = platform:start_request("GET", "/__emulator/wait",
      { query = { path = "/health", count = 3 } })
    for _ = 1, 2 do platform:get "/health" end
    platform:get "/buildinfo"
    assert.is_false(waiting.done)
    platform:get "/health"
    local answer = waiting:wait()
    assert.equal(200, answer.status)
    assert.equal(3, #answer.json.entries)
    assert.equal(3, #platform:wait { path = "/health", count = 3, timeout_ms = 0 })
  end)

  it("waits by method, status, body and what came since", function()
    platform:fault({ kind = "status", status = 503 }, { path = "/notify" })
    local path = ("/workspaces/%s/notify"):format(id)
    platform:post(path, { message = "one" }, { token = token })
    local since = platform:mark()
    platform:post(path, { message = "one" }, { token = token })
    platform:post(path, { message = "two" }, { token = token })
    assert.equal(3, #platform:wait { path = "/notify$", method = "POST", count = 3 })
    assert.equal("one", cjson.decode(platform:wait { path = path, status = 503 }[1].body).message)
    assert.equal(since + 2, platform:wait({ path = path, body = '"two"' })[1].n)
    assert.equal(2, #platform:wait { path = path, since = since, count = 2 })
    local late = platform:get("/__emulator/wait", { query = { path = path, count = 9, timeout_ms = 30 } })
    assert.equal(408, late.status)
    assert.equal(3, #late.json.entries)
  end)

  it("prunes rows so that their cursors are gone", function()
    local ids = platform:message { to = id, text = "n%n", count = 3 }
    assert.equal(1, platform:order("prune", { workspace = id, ids = { ids[1] } }).removed)
    assert.equal(410, inbox({ since_id = ids[1] }).status)
    assert.equal(2, #inbox().json)
    local second = platform:rows(id)[2].created_at
    assert.equal(1, platform:order("prune", { workspace = id, before = second }).removed)
    assert.equal(1, platform:order("prune", { workspace = id, all = true }).removed)
    assert.equal("[]", inbox().body)
    assert.equal(410, inbox({ since_id = ids[3] }).status)
  end)

  it("inserts a late row behind the cursor", function()
    local ids = platform:message { to = id, text = "n%n", count = 2 }
    platform:order("late", { workspace = id, text = "late" })
    assert.equal("[]", inbox({ since_id = ids[2] }).body)
    assert.equal(2, #inbox({ since_id = ids[1] }).json)
    assert.equal(3, #inbox().json)
  end)

  it("shows a duplicated row twice", function()
    local ids = platform:message { to = id, text = "n%n", count = 2 }
    platform:order("duplicate", { workspace = id, id = ids[2] })
    local rows = inbox({ since_id = ids[1] }).json
    assert.equal(2, #rows)
    assert.equal(rows[1].id, rows[2].id)
  end)

  it("ties rows in one microsecond, which t1 skips and latest does not", function()
    local ids = platform:order("tie", { workspace = id, messages = { { text = "a" }, { text = "b" }, { text = "c" } } }).ids
    local rows = platform:rows(id)
    assert.equal(rows[1].created_at, rows[3].created_at)
    assert.equal(2, #inbox({ since_id = ids[1] }).json)
    platform:order("config", { profile = "t1" })
    assert.equal("[]", inbox({ since_id = ids[1] }).body)
  end)

  it("revokes tokens, all or one, for good when a replacement is put in", function()
    platform:order("revoke", { workspace = id, replace = true })
    assert.equal(401, inbox().status)
    local value = { id = id, delivery_mode = "poll", agent_card = { name = "x" } }
    assert.equal(401, platform:post("/registry/register", value, { token = token }).status)
    platform:order("revoke", { workspace = id })
    assert.is_string(platform:post("/registry/register", value, { token = token }).json.auth_token)
  end)

  it("removes a workspace: 401 for its agent, 410 for whoever looks", function()
    platform:order("remove", { workspace = id })
    assert.equal(401, inbox().status)
    local answer = platform:get("/workspaces/" .. id)
    assert.equal(410, answer.status)
    assert.equal("workspace removed", answer.json.error)
    assert.equal(200, platform:get("/workspaces/" .. id, { query = { include_removed = "true" } }).status)
  end)

  it("says what is wrong with an order", function()
    assert.equal(404, platform:post("/__emulator/messages", { to = emulator.uuid() }).status)
    assert.equal(400, platform:post("/__emulator/messages", { to = id, count = 0 }).status)
    assert.equal(400, platform:post("/__emulator/messages", { to = id, created_at = "yesterday" }).status)
    assert.equal(400, platform:post("/__emulator/config", { profile = "t9" }).status)
    assert.equal(400, platform:post("/__emulator/config", { nonsense = 1 }).status)
    assert.equal(404, platform:get("/__emulator/nonsense").status)
  end)

  it("forgets everything on reset", function()
    platform:reset()
    assert.same({}, platform:state().workspaces)
    assert.equal(0, platform:state().journal.entries)
  end)

  it("ends with code 0 when told to quit", function()
    local other = emulator.start { profile = "t1" }
    other:control("POST", "quit")
    assert.equal(0, (other.process:wait_exit()))
    assert.equal("", other.process.stderr)
  end)

  it("says so when its port is taken", function()
    local second = process.spawn { command = { emulator.binary(), "dev", "--headless", "--port",
      tostring(platform.port), "--profile", "t1" } }
    assert.not_equal(0, (second:wait_exit()))
    assert.truthy(second.stderr:find("is in use", 1, true))
  end)
end)
