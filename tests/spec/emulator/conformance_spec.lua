--- The phases of the platform's own end-to-end test of poll mode (contract §10), in both profiles.

local emulator = require "tests.support.emulator"
local process = require "tests.support.process"

for _, profile in ipairs { "t1", "latest" } do
  describe("poll mode as the platform's own test checks it, " .. profile, function()
    local platform

    setup(function() platform = emulator.start { profile = profile } end)
    teardown(function()
      platform:stop()
      process.kill_all()
    end)

    local function send(to, text, part)
      return platform:post(("/workspaces/%s/a2a"):format(to), { jsonrpc = "2.0", id = "1", method = "message/send",
        params = { message = { role = "user", parts = { part or { type = "text", text = text } } } } },
        { token = emulator.ADMIN })
    end

    local function inbox(id, token, query)
      query = query or {}
      query.type = query.type or "a2a_receive"
      return platform:get(("/workspaces/%s/activity"):format(id), { token = token, query = query })
    end

    it("registers a poll workspace without a URL and hands out a token once", function()
      local id = emulator.uuid()
      local value = { id = id, delivery_mode = "poll", agent_card = { name = "x" } }
      local first = platform:post("/registry/register", value)
      assert.equal(200, first.status)
      assert.equal("registered", first.json.status)
      assert.equal("poll", first.json.delivery_mode)
      assert.equal(43, #first.json.auth_token)
      assert.equal(401, platform:post("/registry/register", value).status)
      local second = platform:post("/registry/register", value, { token = first.json.auth_token })
      assert.equal(200, second.status)
      assert.is_nil(second.json.auth_token)
      assert.is_string(second.json.platform_inbound_secret)
    end)

    it("refuses an unknown delivery mode", function()
      local answer = platform:post("/registry/register",
        { id = emulator.uuid(), delivery_mode = "webhook", agent_card = { name = "x" } })
      assert.equal(400, answer.status)
      assert.truthy(answer.json.error:find("delivery_mode", 1, true))
    end)

    it("queues a message for a poll workspace and shows its row", function()
      local id, token = platform:register()
      local answer = send(id, "hello")
      assert.same({ status = "queued", delivery_mode = "poll", method = "message/send" }, answer.json)
      platform:rows(id, 1)
      local rows = inbox(id, token).json
      assert.equal(1, #rows)
      assert.equal("a2a_receive", rows[1].activity_type)
      assert.equal("message/send", rows[1].method)
      local part = rows[1].request_body.params.message.parts[1]
      assert.equal("hello", part.text)
      if profile == "latest" then
        assert.equal("text", part.kind)
        assert.is_nil(part.type)
        assert.is_number(rows[1].seq)
      else
        assert.equal("text", part.type)
        assert.is_nil(rows[1].seq)
      end
    end)

    it("reads newest first without a cursor, oldest first strictly after one", function()
      local id, token = platform:register()
      local ids = platform:message { to = id, text = "n%n", count = 4 }
      local function texts(query)
        local list = {}
        for i, row in ipairs(inbox(id, token, query).json) do
          list[i] = row.request_body.params.message.parts[1].text
        end
        return list
      end
      assert.same({ "n4", "n3", "n2", "n1" }, texts())
      assert.same({ "n4", "n3" }, texts { limit = 2 })
      assert.same({ "n2", "n3", "n4" }, texts { since_id = ids[1] })
      assert.same({ "n2" }, texts { since_id = ids[1], limit = 1 })
      assert.equal("[]", inbox(id, token, { since_id = ids[4] }).body)
    end)

    it("answers 410 to an unknown cursor and to another workspace's", function()
      local a, a_token = platform:register()
      local b = platform:register()
      local foreign = platform:message { to = b, text = "x" }[1]
      local unknown = inbox(a, a_token, { since_id = "00000000-0000-0000-0000-000000000000" })
      assert.equal(410, unknown.status)
      assert.truthy(unknown.json.error:find("since_id", 1, true))
      assert.equal(410, inbox(a, a_token, { since_id = foreign }).status)
    end)

    it("answers 500 to a cursor that is no UUID", function()
      local id, token = platform:register()
      local answer = inbox(id, token, { since_id = "nonsense" })
      assert.equal(500, answer.status)
      assert.same({ error = "cursor lookup failed" }, answer.json)
    end)
  end)
end
