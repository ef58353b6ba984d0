--- Whatever the platform has told a sender is queued reaches the script, in every form of A2A; and what a peer answers at once
--- is understood in every form, too.

local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"

local TELL = [[
local molecule = require "molecule"
return function(msg)
  local files = molecule.array {}
  for i, file in ipairs(msg.files) do
    files[i] = {name = file.name, type = file.mime_type, uri = file.uri, read = file.bytes and file:read() or nil}
  end
  return molecule.json.encode {method = msg.method, text = msg.text, parts = #msg.parts, files = files, id = msg.message_id,
    context = msg.context_id, task = msg.task_id, color = msg.metadata and msg.metadata.color}
end]]

for _, profile in ipairs { "t1", "latest" } do
  describe("on " .. profile .. ", a message", function()
    local platform, workspace, peer, one

    setup(function()
      platform = emulator.start { args = { "--rate-limit", "-1", "--profile", profile } }
      workspace, peer = host.workspace(platform), host.workspace(platform)
    end)
    teardown(function()
      host.clean_up()
      platform:stop()
    end)

    local count = 0

    local function send(body)
      one = one or host.connect { platform = platform, workspace = workspace, script = TELL }
      local answer = platform:post("/workspaces/" .. workspace.id .. "/a2a", body,
        { headers = { Authorization = "Bearer " .. peer.token, ["X-Workspace-ID"] = peer.id } })
      assert.equal(200, answer.status, answer.body)
      assert.equal("queued", answer.json.status)
      count = count + 1
      return cjson.decode(one:peer(peer.id, count)[count])
    end

    local function request(method, parts, more)
      local message = { messageId = emulator.uuid(), role = "user", parts = parts }
      for name, value in pairs(more or {}) do message[name] = value end
      return { jsonrpc = "2.0", id = "1", method = method, params = { message = message } }
    end

    it("reaches the script whatever its method", function()
      for _, method in ipairs { "message/send", "message/stream", "SendMessage", "SendStreamingMessage", "tasks/send", "notify",
        "delegate_result", "chat_upload_receive", "x" } do
        local told = send(request(method, { { kind = "text", text = "hello" } }))
        assert.equal(method, told.method)
        assert.equal("hello", told.text)
      end
      assert.equal("hello", send { params = { message = { parts = { { kind = "text", text = "hello" } } } } }.text)
      assert.equal("tasks/get", send { jsonrpc = "2.0", id = "1", method = "tasks/get", params = { id = "t" } }.method)
    end)

    it("has its text, whatever its parts are called", function()
      for name, parts in pairs {
        ["untagged"] = { { text = "hello" } },
        ["with type"] = { { type = "text", text = "hello" } },
        ["with null for a kind"] = { { kind = cjson.null, text = "hello" } },
        ["in capitals"] = { { kind = "TEXT", text = "hello" } },
        ["as OpenAI has it"] = { { type = "input_text", text = "hello" } },
        ["in pieces of several kinds"] = { { kind = "text", text = "hel" }, { data = { text = "no" } }, { text = "lo" } },
      } do
        assert.equal("hello", send(request("message/send", parts)).text, name)
      end
      assert.equal("hello", send(request("message/send", nil, { content = "hello" })).text)
      assert.equal("hello", send(request("message/send", nil, { content = { { text = "hello" } } })).text)
      assert.equal("hello", send(request("SendMessage", { { text = "hello", metadata = {} } }, { role = "ROLE_USER" })).text)
    end)

    it("has its files, in every form of A2A", function()
      for name, case in pairs {
        ["0.3"] = { { kind = "file", file = { name = "a", mimeType = "m/n", bytes = "aGk=" } } },
        ["0.3, by address"] = { { kind = "file", file = { name = "a", mimeType = "m/n", uri = "https://x" } }, "https://x" },
        ["1.0"] = { { raw = "aGk=", filename = "a", mediaType = "m/n" } },
        ["1.0, by address"] = { { url = "https://x", filename = "a", mediaType = "m/n" }, "https://x" },
        ["a draft of 1.0"] = { { file = { fileWithBytes = "aGk=", name = "a", mediaType = "m/n" } } },
        ["a draft of 1.0, by address"] = { { file = { fileWithUri = "https://x", name = "a", mimeType = "m/n" } }, "https://x" },
        ["flat"] = { { kind = "file", uri = "https://x", mime_type = "m/n", name = "a" }, "https://x" },
      } do
        local told = send(request("message/send", { case[1] }))
        assert.equal("", told.text, name)
        assert.same({ { name = "a", type = "m/n", uri = case[2], read = not case[2] and "hi" or nil } }, told.files, name)
      end
    end)

    it("of data alone has them in its parts", function()
      for _, part in ipairs { { kind = "data", data = { town = "Ulm" } }, { data = { town = "Ulm" } } } do
        local told = send(request("message/send", { part }))
        assert.equal("", told.text)
        assert.equal(1, told.parts)
        assert.equal(0, #told.files)
      end
    end)

    it("has its ids and metadata in either spelling", function()
      local told = send(request("message/send", { { text = "hello" } },
        { contextId = "c", taskId = "t", metadata = { color = "red" } }))
      assert.equal("c t red", told.context .. " " .. told.task .. " " .. told.color)
      told = send(request("message/send", { { text = "hello" } }, { context_id = "d", task_id = "u" }))
      assert.equal("d u", told.context .. " " .. told.task)
    end)

    it("can be sent on as it came", function()
      local relay, sender = host.workspace(platform), host.workspace(platform)
      local other = host.connect { platform = platform, workspace = relay,
        script = "return function(msg) return {parts = msg.parts} end" }
      platform:post("/workspaces/" .. relay.id .. "/a2a", request("message/send", { { text = "hello" },
        { url = "https://x", filename = "a", mediaType = "m/n" } }),
        { headers = { Authorization = "Bearer " .. sender.token, ["X-Workspace-ID"] = sender.id } })
      local _, entries = other:peer(sender.id, 1)
      assert.same({ { kind = "text", text = "hello" },
        { kind = "file", file = { name = "a", mimeType = "m/n", uri = "https://x" } } },
        cjson.decode(entries[1].body).params.message.parts)
      other:stop()
      one:stop()
    end)
  end)
end

describe("molecule.send", function()
  local platform, workspace, one

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)
  before_each(function() workspace = host.workspace(platform) end)
  after_each(host.clean_up)
  teardown(function() platform:stop() end)

  local ASK = [[
    local molecule = require "molecule"
    return function(msg)
      local answer, problem, code = molecule.send(msg.text, "question", {timeout = 60})
      return molecule.json.encode {answer = answer, problem = problem, code = code}
    end]]

  local function text(words) return { { kind = "text", text = words } } end

  local function answered(result)
    local peer = host.workspace(platform, { delivery_mode = "push", url = "http://127.0.0.1:1/",
      push_answer = { body = { jsonrpc = "2.0", id = "1", result = result } } })
    local before = #one:told_canvas()
    platform:message { to = workspace.id, text = peer.id }
    return cjson.decode(one:canvas(before + 1)[before + 1])
  end

  local function task(state, more)
    local value = { kind = "task", id = "task-1", contextId = "context-1", status = { state = state } }
    for name, field in pairs(more or {}) do value[name] = field end
    return value
  end

  local function said(state, words, more)
    local value = task(state, more)
    value.status.message = { role = "agent", parts = text(words) }
    return value
  end

  it("gets what a peer's task has made, with its parts", function()
    one = host.connect { platform = platform, workspace = workspace, script = ASK }
    for name, result in pairs {
      ["artifacts before words"] = said("completed", "Done.", { artifacts = { { parts = text "THE ANSWER" } } }),
      ["words alone"] = said("completed", "THE ANSWER"),
      ["words with an empty artifact"] = said("completed", "THE ANSWER", { artifacts = { { parts = cjson.decode "[]" } } }),
      ["several artifacts"] = task("completed", { artifacts = { { parts = text "THE " }, { parts = text "ANSWER" } } }),
      ["1.0"] = { task = { id = "task-1", contextId = "context-1", status = { state = "TASK_STATE_COMPLETED" },
        artifacts = { { parts = { { text = "THE ANSWER" } } } } } },
      ["history alone"] = task("completed", { history = { { role = "user", parts = text "question" },
        { role = "agent", parts = text "THE ANSWER" } } }),
    } do
      local told = answered(result)
      assert.equal("THE ANSWER", told.answer.text, name)
      assert.equal("completed", told.answer.state, name)
      assert.equal("task-1", told.answer.task_id, name)
      assert.equal("context-1", told.answer.context_id, name)
      assert.is_nil(told.answer.queued, name)
    end
    local file = { kind = "file", file = { name = "a", bytes = "aGk=" } }
    assert.same({ file }, answered(task("completed", { artifacts = { { parts = { file } } } })).answer.parts)
    assert.same({ text = "a message", parts = text "a message" }, answered({ kind = "message", parts = text "a message" }).answer)
    assert.equal("a message", answered({ message = { role = "ROLE_AGENT", parts = { { text = "a message" } } } }).answer.text)
    one:stop()
  end)

  it("is told when a peer's task failed, was rejected or canceled", function()
    one = host.connect { platform = platform, workspace = workspace, script = ASK }
    for state, word in pairs { failed = "failed", rejected = "rejected", canceled = "canceled", TASK_STATE_FAILED = "failed",
      TASK_STATE_REJECTED = "rejected", cancelled = "canceled" } do
      local told = answered(said(state, "quota exceeded", { artifacts = { { parts = text " half" } } }))
      assert.is_nil(told.answer)
      assert.equal("PEER", told.code)
      assert.truthy(told.problem:find("the peer's task ended as " .. word .. ": quota exceeded", 1, true), told.problem)
    end
    assert.truthy(answered(task "failed").problem:find("ended as failed without a word", 1, true))
    one:stop()
  end)

  it("is not taken in by a task under way, or by one that asks back", function()
    one = host.connect { platform = platform, workspace = workspace, script = ASK }
    for _, state in ipairs { "working", "submitted", "TASK_STATE_WORKING" } do
      local told = answered(task(state)).answer
      assert.equal(true, told.queued)
      assert.equal(state:gsub("TASK_STATE_", ""):lower(), told.state)
      assert.equal("", told.text)
      assert.equal("task-1", told.task_id)
      assert.truthy(told.id)
    end
    for _, state in ipairs { "input-required", "TASK_STATE_INPUT_REQUIRED", "auth-required" } do
      local told = answered(said(state, "Which one?")).answer
      assert.equal("Which one?", told.text)
      assert.equal(state:gsub("TASK_STATE_", ""):gsub("_", "-"):lower(), told.state)
      assert.is_nil(told.queued)
    end
    one:stop()
  end)
end)
