--- Messages between workspaces, words to the canvas, delegations, files and the event stream.

local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local http = require "tests.support.http"
local process = require "tests.support.process"

describe("talking over the platform", function()
  local platform, id, token, peer, peer_token

  setup(function() platform = emulator.start { profile = "latest", args = { "--rate-limit", "-1" } } end)
  teardown(function()
    platform:stop()
    process.kill_all()
  end)
  before_each(function()
    platform:reset()
    platform:order("config", { profile = "latest", upload_maximum = 1 << 20 })
    platform:order("events", { enabled = true, mute = false })
    id, token = platform:register()
    peer, peer_token = platform:register()
  end)

  local function message(text, more)
    local value = { role = "user", messageId = emulator.uuid(), parts = { { kind = "text", text = text } } }
    for name, field in pairs(more or {}) do value[name] = field end
    return { jsonrpc = "2.0", id = "1", method = "message/send", params = { message = value } }
  end
  local function send(to, value, options) return platform:post(("/workspaces/%s/a2a"):format(to), value, options) end
  local HUMAN = { token = emulator.ADMIN }
  local function as_peer(more)
    local headers = { ["X-Workspace-ID"] = peer }
    for name, value in pairs(more or {}) do headers[name] = value end
    return { token = peer_token, headers = headers }
  end
  local function stored(to)
    local rows = platform:rows(to)
    return rows[#rows].request_body.params.message
  end

  it("marks a peer's message with the peer and the canvas's with null", function()
    send(id, message "from peer", as_peer())
    send(id, message "from bearer alone", { token = peer_token })
    send(id, message "from canvas", HUMAN)
    local rows = platform:rows(id)
    assert.equal(peer, rows[1].source_id)
    assert.equal(peer, rows[2].source_id)
    assert.equal(cjson.null, rows[3].source_id)
    assert.equal(("message/send → %s (ingest)"):format(id), rows[1].summary)
    assert.is_nil(rows[1].request_body.params.metadata)
    assert.equal("canvas_user", rows[3].request_body.params.metadata.source)
    assert.equal("canvas-" .. id, rows[3].request_body.params.message.contextId)
  end)

  it("completes what a sender left out, as each version does", function()
    send(id, { method = "message/send", extra = 1, params = { message = { parts = { { type = "text", text = "x" } } } } },
      HUMAN)
    local row = platform:rows(id)[1]
    assert.equal("2.0", row.request_body.jsonrpc)
    assert.is_nil(row.request_body.extra)
    assert.equal(36, #stored(id).messageId)
    assert.equal("user", stored(id).role)
    assert.equal("text", stored(id).parts[1].kind)
    send(id, { jsonrpc = "2.0", method = "message/send", params = { message = { content = "old style" } } }, HUMAN)
    assert.same({ { kind = "text", text = "old style" } }, stored(id).parts)
    platform:order("config", { profile = "t1" })
    send(id, { method = "message/send", params = { message = { parts = { { type = "text", text = "x" } } } } })
    platform:rows(id, 3)
    assert.is_nil(stored(id).role)
    assert.equal("text", stored(id).parts[1].type)
  end)

  it("refuses what is no message", function()
    assert.equal("invalid JSON", platform:request("POST", ("/workspaces/%s/a2a"):format(id),
      { body = "{", token = emulator.ADMIN }).json.error)
    local neither = send(id, { method = "message/send", params = { message = { role = "user" } } }, as_peer())
    assert.equal(400, neither.status)
    assert.truthy(neither.json.error:find("must contain either 'parts'", 1, true))
    assert.equal("invalid params.message.content type",
      send(id, { method = "x", params = { message = { content = 5 } } }, as_peer()).json.error)
    assert.equal(403, send(emulator.uuid(), message "x", as_peer()).status)
    assert.equal(404, send(emulator.uuid(), message "x", HUMAN).status)
    assert.equal(403, send(id, message "x", { headers = { ["X-Workspace-ID"] = "system:x" } }).status)
  end)

  it("collapses a repeated messageId on latest and keeps both on t1", function()
    local same = message("once", { messageId = "the-same" })
    for _ = 1, 2 do assert.equal("queued", send(id, same, as_peer()).json.status) end
    assert.equal(1, #platform:rows(id))
    platform:order("config", { profile = "t1" })
    for _ = 1, 2 do send(id, same, as_peer()) end
    assert.equal(3, #platform:rows(id, 3))
  end)

  it("checks the caller's token, more strictly on latest", function()
    local function status(options) return send(id, message "x", options).status end
    assert.equal(401, status { headers = { ["X-Workspace-ID"] = peer } })
    assert.equal(401, status { token = "x", headers = { ["X-Workspace-ID"] = peer } })
    assert.equal("caller ID does not match workspace auth token",
      send(id, message "x", { token = token, headers = { ["X-Workspace-ID"] = peer } }).json.error)
    assert.equal(401, status { headers = { ["X-Workspace-ID"] = id } })
    assert.equal("missing caller auth token", send(id, message "x").json.error)
    platform:order("config", { profile = "t1" })
    assert.equal(401, status { headers = { ["X-Workspace-ID"] = peer } })
    assert.equal(401, status { token = token, headers = { ["X-Workspace-ID"] = peer } })
    assert.equal(200, status { headers = { ["X-Workspace-ID"] = id } })
    assert.equal(403, status { headers = { ["X-Workspace-ID"] = emulator.uuid() } })
    assert.equal(200, status {})
  end)

  it("keeps to the hierarchy", function()
    local boss, stranger = emulator.uuid(), emulator.uuid()
    platform:workspace { id = boss, parent_id = cjson.null }
    platform:workspace { id = stranger, parent_id = cjson.null }
    platform:workspace { id = id, parent_id = cjson.null }
    platform:workspace { id = peer, parent_id = cjson.null }
    assert.equal(403, send(id, message "x", as_peer()).status)
    platform:order("config", { profile = "t1" })
    assert.equal(200, send(id, message "x", as_peer()).status)
    platform:order("config", { profile = "latest" })
    platform:workspace { id = id, parent_id = boss }
    assert.equal(403, send(id, message "x", as_peer()).status)
    platform:workspace { id = peer, parent_id = boss }
    assert.equal(200, send(id, message "x", as_peer()).status)
    platform:workspace { id = peer, parent_id = stranger }
    assert.equal("access denied: workspaces cannot communicate per hierarchy rules",
      send(id, message "x", as_peer()).json.error)
  end)

  it("takes 16 MiB on latest, and cuts at 1 MiB on t1", function()
    assert.equal(200, send(id, message(("x"):rep(2 << 20)), as_peer()).status)
    local answer = send(id, message(("x"):rep(17 << 20)), as_peer())
    assert.equal(413, answer.status)
    assert.is_true(answer.json.truncated)
    assert.equal(16 << 20, answer.json.max_bytes)
    platform:order("config", { profile = "t1" })
    assert.equal("invalid JSON", send(id, message(("x"):rep(2 << 20)), as_peer()).json.error)
  end)

  it("loses a text with U+0000 on t1", function()
    platform:order("config", { profile = "t1" })
    assert.equal("queued", send(id, message "a\0b", as_peer()).json.status)
    send(id, message "after", as_peer())
    platform:rows(id, 1)
    assert.equal("after", stored(id).parts[1].text)
  end)

  it("answers for a push workspace with what was ordered, after the delay", function()
    platform:workspace { id = id, delivery_mode = "push" }
    assert.equal("workspace has no URL", send(id, message "x", as_peer()).json.error)
    platform:workspace { id = id, push_answer = { status = 202, body = { queued = true }, delay_ms = 50 } }
    local answer = send(id, message "x", as_peer())
    assert.equal(202, answer.status)
    assert.is_true(answer.json.queued)
    assert.is_true(answer.seconds >= 0.049)
    platform:workspace { id = id, push_answer = cjson.null, url = "https://x.example" }
    answer = send(id, message "x", as_peer())
    assert.equal(502, answer.status)
    assert.is_false(answer.json.delivery_confirmed)
  end)

  it("shows words to the canvas as an echo in one's own inbox", function()
    local function notify(value) return platform:post(("/workspaces/%s/notify"):format(id), value, { token = token }) end
    assert.same({ status = "sent" }, notify({ message = "héllo" }).json)
    local row = platform:rows(id)[1]
    assert.equal("notify", row.method)
    assert.equal("a2a_receive", row.activity_type)
    assert.equal(cjson.null, row.source_id)
    assert.same({ result = "héllo" }, row.response_body)
    assert.is_nil(row.request_body)
    assert.equal("message is required", notify({ message = "" }).json.error)
    assert.equal("attachment[0]: uri and name are required", notify({ message = "x", attachments = { {} } }).json.error)
    notify({ message = "x", attachments = { { uri = "u", name = "n" } } })
    assert.equal("u", platform:rows(id)[2].response_body.parts[1].file.uri)
    assert.equal(401, platform:post(("/workspaces/%s/notify"):format(id), { message = "x" }).status)
  end)

  it("delegates a task, once for one key", function()
    local function delegate(value)
      return platform:post(("/workspaces/%s/delegate"):format(peer), value, { token = peer_token })
    end
    local first = delegate { target_id = id, task = "do it", idempotency_key = "k" }
    assert.equal(202, first.status)
    assert.equal(first.json.delegation_id, platform:rows(id, 1)[1].request_body.params.message.messageId)
    assert.equal(first.json.delegation_id, stored(id).metadata.delegation_id)
    local again = delegate { target_id = id, task = "do it", idempotency_key = "k" }
    assert.equal(200, again.status)
    assert.is_true(again.json.idempotent_hit)
    assert.equal(1, #platform:rows(id))
    assert.equal("self-delegation not permitted", delegate({ target_id = peer, task = "x" }).json.error)
    assert.equal(400, delegate({ task = "x" }).status)
  end)

  it("stages uploads for the agent to fetch and acknowledge", function()
    local body = '--b\r\nContent-Disposition: form-data; name="files"; filename="a.txt"\r\nContent-Type: text/plain'
      .. "\r\n\r\none\r\ntwo\r\n--b\r\n"
      .. 'Content-Disposition: form-data; name="files"; filename="b.bin"\r\n\r\n\0\255\r\n--b--\r\n'
    local function upload()
      return platform:request("POST", ("/workspaces/%s/chat/uploads"):format(id), { token = token, body = body,
        headers = { ["Content-Type"] = "multipart/form-data; boundary=b" } })
    end
    local files = upload().json.files
    assert.equal(2, #files)
    assert.same({ "a.txt", "text/plain", 8 }, { files[1].name, files[1].mimeType, files[1].size })
    local row = platform:rows(id)[1]
    assert.equal("chat_upload_receive", row.method)
    assert.equal(files[1].uri, row.request_body.uri)
    local path = ("/workspaces/%s/pending-uploads/%s"):format(id, row.request_body.file_id)
    local content = platform:get(path .. "/content", { token = token })
    assert.equal("one\r\ntwo", content.body)
    assert.equal("text/plain", content.headers["content-type"])
    assert.truthy(content.headers["content-disposition"]:find("attachment", 1, true))
    local second = platform:rows(id)[2].request_body.file_id
    assert.equal("\0\255", platform:get(("/workspaces/%s/pending-uploads/%s/content"):format(id, second),
      { token = token }).body)
    assert.is_true(platform:post(path .. "/ack", {}, { token = token }).json.acked)
    assert.is_true(platform:post(path .. "/ack", {}, { token = token }).json.acked)
    platform:order("config", { upload_maximum = 4 })
    assert.equal(413, upload().status)
    platform:order("config", { profile = "t1" })
    assert.equal(503, upload().status)
  end)

  describe("the event stream", function()
    local function listen()
      return platform:start_request("GET", ("/workspaces/%s/events/stream"):format(id), { token = token })
    end

    it("begins with a ping and announces every row", function()
      local stream = listen()
      stream:wait_body ": ping\n\n"
      assert.equal("text/event-stream", stream.headers["content-type"])
      platform:message { to = id, text = "hello" }
      stream:wait_body '"type":"ACTIVITY_LOGGED"'
      platform:post(("/workspaces/%s/notify"):format(id), { message = "words" }, { token = token })
      stream:wait_body '"type":"AGENT_MESSAGE"'
      local frame = cjson.decode(stream.body:match "data: ([^\n]+)\n\n")
      assert.equal("a2a_receive", frame.data.activity_type)
      assert.is_number(frame.timestamp)
      assert.is_nil(frame.data.id)
      assert.equal(1, platform:state().streams)
      stream:close()
    end)

    it("drops those who went away", function()
      local streams = { listen(), listen(), listen() }
      for _, stream in ipairs(streams) do stream:wait_body ": ping" end
      assert.equal(3, platform:state().streams)
      for _, stream in ipairs(streams) do stream:close() end
      local deadline = require("tests.support.loop").now() + 5000
      repeat assert(require("tests.support.loop").now() < deadline) until platform:state().streams == 0
      platform:message { to = id, text = "x" }
    end)

    it("can be muted, broken off and switched off", function()
      local stream = listen()
      stream:wait_body ": ping"
      platform:order("events", { mute = true })
      platform:message { to = id, text = "silent" }
      platform:order("events", { mute = false })
      platform:message { to = id, text = "loud" }
      stream:wait_body "loud"
      assert.is_nil(stream.body:find("silent", 1, true))
      platform:order("events", { enabled = false })
      assert.is_nil(stream:wait().problem)
      assert.equal(404, listen():wait().status)
    end)

    it("needs the workspace's token", function()
      assert.equal(401, platform:get(("/workspaces/%s/events/stream"):format(id)).status)
    end)
  end)

  it("refuses a request that is larger than any platform takes", function()
    local running = http.start { port = platform.port, method = "POST", path = "/health", body = ("x"):rep(105 << 20) }
    assert.equal(413, running:wait().status)
  end)
end)
