--- What the event stream says, and when, in both versions of the platform.

local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local process = require "tests.support.process"

for _, profile in ipairs { "t1", "latest" } do
  local latest = profile == "latest"

  describe("the event stream tells, " .. profile, function()
    local platform, id, token, peer, peer_token, stream

    setup(function() platform = emulator.start { profile = profile, args = { "--rate-limit", "-1" } } end)
    teardown(function()
      platform:stop()
      process.kill_all()
    end)
    before_each(function()
      id, token = platform:register()
      peer, peer_token = platform:register()
      stream = platform:start_request("GET", ("/workspaces/%s/events/stream"):format(id), { token = token })
      stream:wait_body ": ping\n\n"
    end)
    after_each(function() stream:close() end)

    local function send(words, message_id)
      return platform:post(("/workspaces/%s/a2a"):format(id), { jsonrpc = "2.0", id = "1", method = "message/send", params = {
        message = { role = "user", messageId = message_id, parts = { { kind = "text", text = words } } } } },
        { token = peer_token, headers = { ["X-Workspace-ID"] = peer } })
    end

    -- All that was told, up to an event that comes last.
    local function told()
      platform:post("/registry/update-card", { workspace_id = id, agent_card = { name = "last" } }, { token = token })
      local list = {}
      for frame in stream:wait_body("AGENT_CARD_UPDATED"):gmatch "data: ([^\n]+)\n\n" do
        list[#list + 1] = cjson.decode(frame)
      end
      return list
    end

    local function types(list)
      for i, event in ipairs(list) do list[i] = event.type end
      return list
    end

    it("of a message: T1 once, with its body; later twice, with the message's id", function()
      assert.equal(200, send("hello", "message-1").status)
      stream:wait_body "ACTIVITY_LOGGED"
      local list = told()
      assert.equal(latest and 3 or 2, #list)
      for i = 1, #list - 1 do
        assert.equal("ACTIVITY_LOGGED", list[i].type)
        assert.equal("a2a_receive", list[i].data.activity_type)
        assert.equal(peer, list[i].data.source_id)
        assert.equal("hello", list[i].data.request_body.params.message.parts[1].text)
        assert.equal(latest and "message-1" or nil, list[i].data.message_id)
        assert.is_nil(list[i].data.id)
      end
      assert.equal(1, #platform:rows(id))
    end)

    it("of words of the human, for his other devices", function()
      platform:message { to = id, text = "hi", message_id = "message-2" }
      stream:wait_body "ACTIVITY_LOGGED"
      local list = told()
      if not latest then return assert.same({ "ACTIVITY_LOGGED", "AGENT_CARD_UPDATED" }, types(list)) end
      assert.same({ message_id = "message-2", content = "hi", workspace_id = id }, list[2].data)
      assert.same({ "ACTIVITY_LOGGED", "USER_MESSAGE", "ACTIVITY_LOGGED", "AGENT_CARD_UPDATED" }, types(list))
    end)

    it("of a heartbeat", function()
      platform:post("/registry/heartbeat", { workspace_id = id, active_tasks = 2, uptime_seconds = 7 }, { token = token })
      local list = told()
      assert.equal("WORKSPACE_HEARTBEAT", list[1].type)
      assert.same({ active_tasks = 2, uptime_seconds = 7 }, list[1].data)
    end)

    it("of words to the canvas without a row", function()
      platform:post(("/workspaces/%s/notify"):format(id), { message = "words" }, { token = token })
      assert.same({ "AGENT_MESSAGE", "AGENT_CARD_UPDATED" }, types(told()))
      assert.equal(1, #platform:rows(id))
    end)

    it("of a task that was handed over", function()
      platform:post(("/workspaces/%s/delegate"):format(id), { target_id = peer, task = "do it" }, { token = token })
      stream:wait_body "DELEGATION_COMPLETE"
      assert.same({ "DELEGATION_SENT", "DELEGATION_STATUS", "DELEGATION_COMPLETE", "AGENT_CARD_UPDATED" }, types(told()))
    end)

    it("nothing of a text with U+0000, which is answered all the same and lost", function()
      assert.equal("queued", send("a\0b", "message-3").json.status)
      assert.equal("queued", send("after", "message-4").json.status)
      assert.equal("after", platform:rows(id, 1)[1].request_body.params.message.parts[1].text)
      for _, event in ipairs(told()) do assert.are_not.equal("message-3", event.data.message_id) end
    end)
  end)
end
