--- The inbox beyond the conformance phases: filters, columns, acknowledgement, self-reports.

local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local process = require "tests.support.process"

describe("the inbox", function()
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

  it("shows every column of a row, null where it has no value, bodies only where there are any", function()
    platform:message { to = id, text = "x" }
    local body = inbox().body
    for _, text in ipairs { '"source_id":null', '"duration_ms":null', '"error_detail":null', '"status":"ok"',
      '"target_id":"' .. id .. '"', '"workspace_id":"' .. id .. '"', '"request_body":{', '"seq":' } do
      assert.truthy(body:find(text, 1, true), text)
    end
    assert.is_nil(body:find("response_body", 1, true))
    assert.is_nil(body:find("tool_trace", 1, true))
    assert.truthy(inbox().json[1].created_at:find "^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%d%d%d%dZ$")
  end)

  it("filters by type, source, age and peer", function()
    local peer = emulator.uuid()
    platform:message { to = id, text = "old", created_at = "2026-01-01T00:00:00Z" }
    platform:message { to = id, text = "canvas" }
    platform:message { to = id, text = "peer", from = peer }
    platform:post(("/workspaces/%s/activity"):format(id), { activity_type = "agent_log", summary = "log" },
      { token = token })
    assert.equal(4, #inbox().json)
    assert.equal(3, #inbox({ type = "a2a_receive" }).json)
    assert.equal("[]", inbox({ type = "nonsense" }).body)
    assert.equal(2, #inbox({ source = "canvas" }).json)
    assert.equal(2, #inbox({ source = "agent" }).json)
    assert.equal(3, #inbox({ since_secs = 600 }).json)
    assert.equal(1, #inbox({ peer_id = peer }).json)
    assert.equal(1, #inbox({ before_ts = "2026-02-01T00:00:00Z" }).json)
    assert.equal(2, #inbox({ limit = 2 }).json)
    assert.equal(4, #inbox({ limit = "junk" }).json)
    assert.equal(4, #inbox({ limit = -1 }).json)
  end)

  it("takes at most 500 rows a page and 100 unless told otherwise", function()
    platform:message { to = id, text = "n%n", count = 600 }
    assert.equal(100, #inbox().json)
    assert.equal(500, #inbox({ limit = 9999 }).json)
  end)

  it("names a wrong filter", function()
    for query, message in pairs { source = "source must be 'canvas' or 'agent'",
      since_secs = "since_secs must be a positive integer", peer_id = "peer_id must be a UUID" } do
      local answer = inbox({ [query] = "x" })
      assert.equal(400, answer.status)
      assert.equal(message, answer.json.error)
    end
    assert.equal(400, inbox({ before_ts = "x" }).status)
    platform:order("config", { profile = "t1" })
    assert.equal(200, inbox({ before_ts = "x", peer_id = "x" }).status)
  end)

  it("adds the peer's name and the attachments when asked", function()
    local peer = platform:workspace({ name = "Other", role = "tester" }).id
    platform:message { to = id, from = peer, parts = { { kind = "file", file = { name = "a", uri = "u" } } } }
    local row = inbox({ include = "peer_info" }).json[1]
    assert.equal("Other", row.peer_name)
    assert.equal("tester", row.peer_role)
    assert.truthy(row.agent_card_url:find("/registry/discover/" .. peer, 1, true))
    assert.same({ { kind = "file", name = "a", uri = "u" } }, row.attachments)
    assert.is_nil(inbox().json[1].peer_name)
  end)

  it("takes self-reports, and only about oneself", function()
    local path = ("/workspaces/%s/activity"):format(id)
    local function report(value) return platform:post(path, value, { token = token }) end
    assert.same({ status = "logged" }, report({ activity_type = "task_update", metadata = { a = 1 } }).json)
    local row = platform:rows(id)[1]
    assert.equal(id, row.source_id)
    assert.same({ a = 1 }, row.request_body)
    assert.equal(400, report({ activity_type = "nonsense" }).status)
    assert.equal(400, report({}).status)
    assert.equal(403, report({ activity_type = "error", source_id = emulator.uuid() }).status)
  end)

  it("remembers how far it was acknowledged, where the platform has that", function()
    local path = ("/workspaces/%s/activity/ack"):format(id)
    assert.same({ last_acked_seq = 70 }, platform:post(path, { acked_seq = 70 }, { token = token }).json)
    assert.same({ last_acked_seq = 70 }, platform:post(path, { acked_seq = 3 }, { token = token }).json)
    assert.equal(400, platform:post(path, { acked_seq = -1 }, { token = token }).status)
    platform:order("config", { profile = "t1" })
    local answer = platform:post(path, { acked_seq = 1 }, { token = token })
    assert.equal(502, answer.status)
    assert.equal("canvas unavailable", answer.body)
  end)

  it("keeps 64-bit integers, reals, empty lists and empty objects apart", function()
    local body = '{"to":"' .. id .. '","request_body":{"a":9007199254740993,"b":1.0,"c":[],"d":{},"e":null,"f":[null]}}'
    assert.equal(200, platform:request("POST", "/__emulator/messages", { body = body }).status)
    assert.truthy(inbox().body:find('{"a":9007199254740993,"b":1.0,"c":[],"d":{},"e":null,"f":[null]}', 1, true))
    assert.equal(cjson.null, inbox().json[1].request_body.e)
  end)
end)
