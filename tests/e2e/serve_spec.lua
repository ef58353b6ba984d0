--- `molecule serve`: what A2A clients notice.

local cjson = require "cjson"
local uv = require "luv"
local host = require "tests.support.host"
local http = require "tests.support.http"
local loop = require "tests.support.loop"
local process = require "tests.support.process"
local served = require "tests.support.served"
local server = require "tests.support.server"

local ENDED = { COMPLETED = true, FAILED = true, CANCELED = true, REJECTED = true }

describe("molecule serve", function()
  after_each(served.clean_up)

  describe("the agent card", function()
    local PATHS = { "/.well-known/agent-card.json", "/.well-known/agent.json" }

    it("is at the path of 1.0 and at that of 0.2, the same, in the words of both", function()
      local one = served.start {}
      local cards = {}
      for i, path in ipairs(PATHS) do
        local answer = http.request { port = one.port, path = path }
        assert.equal(200, answer.status)
        assert.equal("application/json", answer.headers["content-type"])
        cards[i] = answer.body
      end
      assert.equal(cards[1], cards[2])
      local card = cjson.decode(cards[1])
      assert.equal("words", card.name)
      assert.same({ one.url, "JSONRPC", "1.0" }, { card.supportedInterfaces[1].url,
        card.supportedInterfaces[1].protocolBinding, card.supportedInterfaces[1].protocolVersion })
      assert.same({ one.url, "JSONRPC", "0.3.0" }, { card.url, card.preferredTransport, card.protocolVersion })
      assert.is_true(card.capabilities.streaming)
      assert.is_true(card.capabilities.pushNotifications)
      one:stop()
    end)

    it("is not sent again to who has it", function()
      local one = served.start {}
      local first = http.request { port = one.port, path = PATHS[1] }
      assert.truthy(first.headers["cache-control"]:find("max%-age=%d"))
      local function again(headers)
        return http.request { port = one.port, path = PATHS[1], headers = headers }.status
      end
      assert.equal(304, again { ["If-None-Match"] = first.headers.etag })
      assert.equal(304, again { ["If-None-Match"] = '"other", ' .. first.headers.etag })
      assert.equal(304, again { ["If-Modified-Since"] = first.headers["last-modified"] })
      assert.equal(200, again { ["If-None-Match"] = '"other"' })
      one:stop()
    end)

    it("can be asked for by HEAD, and by no other method", function()
      local one = served.start {}
      local get = http.request { port = one.port, path = PATHS[1] }
      local head = http.raw(one.port, ("HEAD %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"):format(PATHS[1])):wait()
      assert.equal(200, head.status)
      assert.equal(get.headers.etag, head.headers.etag)
      assert.equal(tostring(#get.body), head.headers["content-length"])
      assert.equal("", head.body)
      local post = http.request { port = one.port, path = PATHS[1], method = "POST", body = "{}" }
      assert.equal(405, post.status)
      assert.truthy(post.headers.allow:find "GET")
      one:stop()
    end)

    it("of 1.0 alone has nothing of 0.3", function()
      local one = served.start { args = { "--card", "1.0" } }
      local card = http.request { port = one.port, path = PATHS[1] }.json
      assert.is_nil(card.url)
      assert.is_nil(card.protocolVersion)
      one:stop()
    end)

    it("says the public URL, and needs no token, but says that others do", function()
      local one = served.start { tokens = "alice " .. ("a"):rep(20), args = { "--public-url", "https://agent.example/x/" } }
      local card = http.request { port = one.port, path = PATHS[1] }.json
      assert.equal("https://agent.example/x", card.supportedInterfaces[1].url)
      assert.equal("Bearer", card.securitySchemes.bearer.httpAuthSecurityScheme.scheme)
      one:stop()
    end)
  end)

  describe("a message", function()
    it("is answered by a task that has ended, with the answer as an artifact", function()
      local one = served.start {}
      local task = one:send(served.message("echo hello", { contextId = "c-1" })).task
      assert.same({ "COMPLETED", "echo hello" }, { served.outcome(task) })
      assert.equal("c-1", task.contextId)
      assert.truthy(task.status.timestamp:find "^%d+%-%d+%-%d+T%d+:%d+:%d+%.%d%d%dZ$")
      assert.equal("echo hello", served.text(task.history[1].parts))
      assert.equal(task.id, task.history[1].taskId)
      one:stop()
    end)

    it("with returnImmediately is answered before its handler has ended", function()
      local gate = served.gate()
      local one = served.start { gate = gate }
      local task = one:begin "gate a"
      assert.is_nil(ENDED[served.outcome(task)])
      gate.wait(1)
      assert.equal("WORKING", (served.outcome(one:get(task.id))))
      gate.open()
      assert.same({ "COMPLETED", "through" }, { served.outcome(one:wait_state(task.id, "COMPLETED")) })
      one:stop()
    end)

    it("of 0.3 is answered in the words of 0.3, on the same URL, with or without a slash at its end", function()
      local one = served.start { scripts = { one = served.WORDS, two = served.WORDS } }
      for i, path in ipairs { "/one", "/one/" } do
        local message = { kind = "message", messageId = "old-" .. i, role = "user",
          parts = { { kind = "text", text = "echo 1" } } }
        local result = one:result("message/send", { message = message, configuration = { blocking = true } },
          { version = false, path = path })
        assert.equal("task", result.kind)
        assert.equal("completed", result.status.state)
        assert.same({ kind = "text", text = "echo 1" }, result.artifacts[1].parts[1])
        assert.equal("user", result.history[1].role)
        local got = one:result("tasks/get", { id = result.id }, { version = false, path = path })
        assert.equal("completed", got.status.state)
      end
      one:stop()
    end)

    it("of 0.3 streams end with `final`", function()
      local one = served.start {}
      local message = { kind = "message", messageId = "old", role = "user", parts = { { kind = "text", text = "progress" } } }
      local answer = one:call("message/stream", { message = message }, { version = false })
      assert.equal("text/event-stream", answer.headers["content-type"])
      local kinds, final = {}, nil
      for line in answer.body:gmatch "data: ([^\n]*)" do
        local result = cjson.decode(line).result
        kinds[#kinds + 1] = result.kind .. " " .. (result.status and result.status.state or "")
        final = result.final
      end
      assert.same({ "task submitted", "status-update working", "status-update working", "status-update working",
        "artifact-update ", "status-update completed" }, kinds)
      assert.is_true(final)
      one:stop()
    end)

    it("by HTTP+JSON is the same task as by JSON-RPC", function()
      local one = served.start {}
      local answer = http.request { port = one.port, path = "/message:send", method = "POST",
        headers = { ["A2A-Version"] = "1.0" }, json = { message = served.message "echo rest" } }
      assert.equal(200, answer.status)
      local task = answer.json.task
      assert.same({ "COMPLETED", "echo rest" }, { served.outcome(task) })
      local got = http.request { port = one.port, path = "/tasks/" .. task.id, headers = { ["A2A-Version"] = "1.0" } }
      assert.same(one:get(task.id), got.json)
      local missing = http.request { port = one.port, path = "/tasks/none", headers = { ["A2A-Version"] = "1.0" } }
      assert.equal(404, missing.status)
      assert.equal("TASK_NOT_FOUND", missing.json.error.details[1].reason)
      one:stop()
    end)

    it("of a version that is not spoken is refused", function()
      local one = served.start {}
      assert.equal(-32009, (one:problem("SendMessage", { message = served.message "echo" }, { version = "2.0" })))
      assert.equal(-32009, (one:problem("SendMessage", { message = served.message "echo" }, { version = false })))
      assert.equal(-32601, (one:problem("NoSuchMethod", {})))
      one:stop()
    end)

    it("of a conversation waits for the one before it; others do not", function()
      local gate = served.gate()
      local one = served.start { gate = gate }
      local first = one:begin(served.message("gate first", { contextId = "c" }))
      gate.wait(1)
      local second = one:begin(served.message("gate second", { contextId = "c" }))
      local other = one:begin(served.message("gate other", { contextId = "d" }))
      gate.wait(2)
      assert.same({ "first", "other" }, gate.names)
      assert.equal("SUBMITTED", (served.outcome(one:get(second.id))))
      gate.open()
      for _, task in ipairs { first, second, other } do one:wait_state(task.id, "COMPLETED") end
      one:stop()
    end)

    it("may come back as a message, and leaves a task all the same", function()
      local one = served.start {}
      local message = one:send(served.message("message", { messageId = "m", contextId = "c" })).message
      assert.equal("a message", served.text(message.parts))
      assert.equal("ROLE_AGENT", message.role)
      assert.equal("c", message.contextId)
      assert.same({ message = message }, one:send(served.message("message", { messageId = "m", contextId = "c" })))
      one:stop()
    end)

    it("that needs no answer completes without artifacts", function()
      local one = served.start {}
      local task = one:send("skip").task
      assert.equal("COMPLETED", (served.outcome(task)))
      assert.is_nil(task.artifacts)
      one:stop()
    end)

    it("shows as much history as is asked for", function()
      local one = served.start {}
      local task = one:send "progress".task
      assert.equal(3, #task.history)
      assert.is_nil(one:result("GetTask", { id = task.id, historyLength = 0 }).history)
      local short = one:result("GetTask", { id = task.id, historyLength = 1 }).history
      assert.equal(1, #short)
      assert.equal("two", served.text(short[1].parts))
      one:stop()
    end)
  end)

  describe("a stream", function()
    it("has the task first, then what happens, in order, and ends with the task", function()
      local one = served.start {}
      local stream = one:stream "progress"
      assert.same({ "SUBMITTED", "WORKING", "WORKING one", "WORKING two", "reply done", "COMPLETED" },
        served.words(stream:finish()))
      assert.equal("text/event-stream", stream.exchange.headers["content-type"])
      assert.equal("no-store", stream.exchange.headers["cache-control"])
      one:stop()
    end)

    it("has an artifact in pieces, which the task has as one", function()
      local one = served.start {}
      local events = one:stream("count"):finish()
      assert.same({ "SUBMITTED", "WORKING", "numbers 1 ", "+numbers 2 ", "+numbers 3", "COMPLETED" }, served.words(events))
      assert.is_true(events[5].artifactUpdate.lastChunk)
      assert.is_false(events[3].artifactUpdate.lastChunk)
      local task = one:get(events[1].task.id)
      assert.same({ "COMPLETED", "1 2 3" }, { served.outcome(task) })
      assert.equal(events[3].artifactUpdate.artifact.artifactId, task.artifacts[1].artifactId)
      one:stop()
    end)

    it("says the same to each of several subscribers, and goes on when one of them leaves", function()
      local gate = served.gate()
      local one = served.start { gate = gate }
      local first = one:stream "gate s"
      local id = first:wait(3)[1].task.id
      local second, third = one:subscribe(id), one:subscribe(id)
      assert.same({ "WORKING" }, served.words(second:wait(1)))
      third:wait(1)
      third:close()
      gate.open()
      local rest = { "reply through", "COMPLETED" }
      assert.same({ "SUBMITTED", "WORKING", "WORKING at the gate", rest[1], rest[2] }, served.words(first:finish()))
      assert.same({ "WORKING", rest[1], rest[2] }, served.words(second:finish()))
      one:stop()
    end)

    it("to a task that has ended, or that nobody knows, is refused", function()
      local one = served.start {}
      local task = one:send "echo".task
      assert.equal(-32004, (one:problem("SubscribeToTask", { id = task.id })))
      assert.equal(-32001, (one:problem("SubscribeToTask", { id = "none" })))
      one:stop()
    end)

    it("of a message as the answer has the task's end", function()
      local one = served.start {}
      local words = served.words(one:stream("message"):finish())
      assert.truthy(words[#words]:find "a message")
      one:stop()
    end)
  end)

  it("a reply's artifacts come before its text, each with its name", function()
    local one = served.start {}
    local task = one:send "pieces".task
    assert.same({ "first", "second" }, { task.artifacts[1].name, task.artifacts[2].name })
    assert.equal(2, task.artifacts[2].parts[1].data.n)
    assert.equal("with pieces", served.text(task.artifacts[3].parts))
    one:stop()
  end)

  describe("a question", function()
    it("makes the task wait for a message, which is the answer", function()
      local one = served.start {}
      local task = one:send "ask".task
      assert.equal("INPUT_REQUIRED", (served.outcome(task)))
      assert.equal("Which?", served.text(task.status.message.parts))
      local answered = one:send(served.message("this one", { taskId = task.id })).task
      assert.equal(task.id, answered.id)
      assert.equal(task.contextId, answered.contextId)
      assert.same({ "COMPLETED", "answer this one" }, { served.outcome(answered) })
      local texts = {}
      for i, message in ipairs(answered.history) do texts[i] = served.text(message.parts) end
      assert.same({ "ask", "Which?", "this one" }, texts)
      one:stop()
    end)

    it("with choices takes no other answer, and says so", function()
      local one = served.start {}
      local task = one:send "ask choices".task
      local hinted = one:send(served.message("perhaps", { taskId = task.id })).task
      assert.equal("INPUT_REQUIRED", (served.outcome(hinted)))
      local hint = served.text(hinted.status.message.parts)
      assert.truthy(hint:find "yes" and hint:find "no", hint)
      local done = one:send(served.message("YES", { taskId = task.id })).task
      assert.same({ "COMPLETED", "answer yes" }, { served.outcome(done) })
      one:stop()
    end)

    it("ends a stream, and the answer's stream goes on from there", function()
      local one = served.start {}
      local events = one:stream("ask"):finish()
      assert.same({ "SUBMITTED", "WORKING", "INPUT_REQUIRED Which?" }, served.words(events))
      local id = events[1].task.id
      local words = served.words(one:stream(served.message("that", { taskId = id })):finish())
      assert.same({ "WORKING", "reply answer that", "COMPLETED" }, words)
      one:stop()
    end)

    it("is not answered by a message that belongs elsewhere", function()
      local one = served.start {}
      local task = one:send "ask".task
      assert.equal(-32602, (one:problem("SendMessage",
        { message = served.message("x", { taskId = task.id, contextId = "another" }) })))
      assert.equal(-32001, (one:problem("SendMessage", { message = served.message("x", { taskId = "none" }) })))
      one:send(served.message("x", { taskId = task.id }))
      one:stop()
    end)

    it("for a permission makes the task wait for authorization", function()
      local one = served.start {}
      local task = one:send "login".task
      assert.equal("AUTH_REQUIRED", (served.outcome(task)))
      assert.equal("Log in first.", served.text(task.status.message.parts))
      local done = one:send(served.message("alice", { taskId = task.id })).task
      assert.same({ "COMPLETED", "logged in by alice" }, { served.outcome(done) })
      one:stop()
    end)

    it("that is answered twice at once takes one answer", function()
      local one = served.start {}
      local task = one:send "ask".task
      local function start(text)
        return one:start("SendMessage", { message = served.message(text, { taskId = task.id }) })
      end
      local first, second = start "a", start "b"
      first:wait()
      second:wait()
      local results, refused = 0, 0
      for _, exchange in ipairs { first, second } do
        if exchange.json.result then results = results + 1 else refused = refused + 1 end
      end
      assert.same({ 1, 1 }, { results, refused })
      one:wait_state(task.id, "COMPLETED")
      one:stop()
    end)
  end)

  describe("an end", function()
    local function start(...) return served.start { args = { "--max-attempts", "1", ... } } end

    local function status(one, text)
      local task = one:send(text).task
      return served.outcome(task), served.text((task.status.message or {}).parts)
    end

    it("by molecule.reject says the reason", function()
      local one = start()
      assert.same({ "REJECTED", "not my job" }, { status(one, "reject not my job") })
      one:stop()
    end)

    it("by molecule.dead says its reason", function()
      local one = start()
      assert.same({ "FAILED", "out of paper" }, { status(one, "dead out of paper") })
      one:stop()
    end)

    it("by an error says nothing of what went on inside", function()
      local one = start()
      local state, text = status(one, "fail secret")
      assert.equal("FAILED", state)
      assert.truthy(#text > 0 and not text:find "detail" and not text:find "agent.lua", text)
      one.host:log "inner detail secret"
      one:stop()
    end)

    it("by an error says --error-reply", function()
      local one = start("--error-reply", "Sorry.")
      assert.same({ "FAILED", "Sorry." }, { status(one, "fail secret") })
      one:stop()
    end)

    it("takes no further message", function()
      local one = start()
      local task = one:send "echo".task
      assert.equal(-32004, (one:problem("SendMessage", { message = served.message("more", { taskId = task.id }) })))
      one:stop()
    end)
  end)

  describe("cancel", function()
    it("ends a task that works, and its streams", function()
      local gate = served.gate()
      local one = served.start { gate = gate }
      local stream = one:stream "gate c"
      local id = stream:wait(3)[1].task.id
      gate.wait(1)
      assert.equal("CANCELED", (served.outcome(one:result("CancelTask", { id = id }))))
      local words = served.words(stream:finish())
      assert.equal("CANCELED", words[#words])
      assert.equal("CANCELED", (served.outcome(one:get(id))))
      one:stop()
    end)

    it("ends a task that waits for an answer, or for its turn", function()
      local gate = served.gate()
      local one = served.start { gate = gate }
      local asking = one:send "ask".task
      assert.equal("CANCELED", (served.outcome(one:result("CancelTask", { id = asking.id }))))
      one:begin(served.message("gate", { contextId = "c" }))
      gate.wait(1)
      local queued = one:begin(served.message("echo", { contextId = "c" }))
      assert.equal("CANCELED", (served.outcome(one:result("CancelTask", { id = queued.id }))))
      gate.open()
      local other = one:send(served.message("echo other", { contextId = "c" })).task
      assert.equal("COMPLETED", (served.outcome(other)))
      one:stop()
    end)

    it("ends a task at the moment at which it begins to wait", function()
      local one = served.start {}
      for _ = 1, 100 do
        local id = one:send "ask".task.id
        assert.equal("CANCELED", (served.outcome(one:result("CancelTask", { id = id }))))
      end
      one:stop()
    end)

    it("is refused for a task that has ended, or that nobody knows", function()
      local one = served.start {}
      local task = one:send "echo".task
      assert.equal(-32002, (one:problem("CancelTask", { id = task.id })))
      assert.equal(-32001, (one:problem("CancelTask", { id = "none" })))
      one:stop()
    end)
  end)

  describe("the list of tasks", function()
    local one, ids

    local function list(params) return one:result("ListTasks", params or {}) end

    local function id_list(result)
      local found = {}
      for i, task in ipairs(result.tasks) do found[i] = task.id end
      return found
    end

    local function wall_ms()
      local seconds, microseconds = uv.gettimeofday()
      return seconds * 1000 + microseconds // 1000
    end

    before_each(function()
      one, ids = served.start {}, {}
      for i = 1, 5 do
        ids[i] = one:send(served.message(i == 5 and "ask" or "echo", { contextId = "c" .. i % 2 })).task.id
        local ended_ms = wall_ms() -- the list has milliseconds
        repeat until wall_ms() > ended_ms
      end
    end)

    it("has the newest first, page by page, and each once", function()
      local all, token, pages = {}, nil, 0
      repeat
        local page = list { pageSize = 2, pageToken = token }
        for _, id in ipairs(id_list(page)) do all[#all + 1] = id end
        assert.equal(5, page.totalSize)
        token, pages = page.nextPageToken, pages + 1
      until token == ""
      assert.same({ ids[5], ids[4], ids[3], ids[2], ids[1] }, all)
      assert.equal(3, pages)
      one:stop()
    end)

    it("can be of one context, of one state, and after a time", function()
      assert.same({ ids[4], ids[2] }, id_list(list { contextId = "c0" }))
      assert.same({ ids[5] }, id_list(list { status = "TASK_STATE_INPUT_REQUIRED" }))
      local third = one:get(ids[3])
      local later = id_list(list { statusTimestampAfter = third.status.timestamp })
      assert.equal(ids[5], later[1])
      assert.falsy(#later > 3)
      one:stop()
    end)

    it("has artifacts only when they are asked for", function()
      assert.is_nil(list().tasks[2].artifacts)
      assert.equal("echo ", served.text(list { includeArtifacts = true }.tasks[2].artifacts[1].parts))
      one:stop()
    end)

    it("refuses what is no page of it", function()
      assert.equal(-32602, (one:problem("ListTasks", { pageToken = "nonsense" })))
      assert.equal(-32602, (one:problem("ListTasks", { pageSize = 101 })))
      one:stop()
    end)
  end)

  describe("a message that is repeated", function()
    it("while its handler runs gets the same task", function()
      local gate = served.gate()
      local one = served.start { gate = gate }
      local message = served.message "gate r"
      local first = one:start("SendMessage", { message = message })
      gate.wait(1)
      local second = one:start("SendMessage", { message = message })
      assert.is_false(first.done)
      gate.open()
      assert.same(first:wait().json.result, second:wait().json.result)
      assert.same({ "r" }, gate.names)
      one:stop()
    end)

    it("after its end, and after a restart, gets the same task", function()
      local one = served.start {}
      local message = served.message "echo again"
      local task = one:send(message).task
      assert.same(task, one:send(message).task)
      one:stop()
      local two = served.start { state_dir = one.host.state_dir }
      assert.same(task, two:send(message).task)
      assert.equal(1, #two:result("ListTasks", {}).tasks)
      two:stop()
    end)

    it("as the answer to a question is taken once", function()
      local one = served.start {}
      local task = one:send "ask".task
      local answer = served.message("this", { taskId = task.id })
      local done = one:send(answer).task
      assert.equal("COMPLETED", (served.outcome(done)))
      assert.same(done, one:send(answer).task)
      one:stop()
    end)
  end)

  describe("after kill -9", function()
    it("a task that was worked on is worked on again", function()
      local gate = served.gate()
      local one = served.start { gate = gate }
      local task = one:begin "gate k"
      gate.wait(1)
      one:kill()
      local two = served.start { gate = gate, state_dir = one.host.state_dir }
      gate.wait(2)
      local stream = two:subscribe(task.id)
      stream:wait(1)
      gate.open()
      local words = served.words(stream:finish())
      assert.equal("COMPLETED", words[#words])
      local done = two:get(task.id)
      assert.same({ "COMPLETED", "through" }, { served.outcome(done) })
      local said = 0
      for _, message in ipairs(done.history) do
        if served.text(message.parts) == "at the gate" then said = said + 1 end
      end
      assert.equal(1, said)
      two:stop()
    end)

    it("a task that waits for an answer waits for it, and takes it", function()
      local one = served.start {}
      local task = one:send "ask choices".task
      one:kill()
      local two = served.start { state_dir = one.host.state_dir }
      assert.same(task.status.state, two:get(task.id).status.state)
      local done = two:send(served.message("no", { taskId = task.id })).task
      assert.same({ "COMPLETED", "answer no" }, { served.outcome(done) })
      two:stop()
    end)

    it("a task that has ended is as it was", function()
      local one = served.start {}
      local task = one:send "count".task
      one:kill()
      local two = served.start { state_dir = one.host.state_dir }
      assert.same(task, two:get(task.id))
      two:stop()
    end)
  end)

  describe("those who ask", function()
    local ALICE, BOB = ("a1"):rep(12), ("b2"):rep(12)
    local TOKENS = ("# who may ask\nalice %s\n\nbob %s\n"):format(ALICE, BOB)

    local function start(more)
      local options = { tokens = TOKENS, secrets = { ALICE, BOB } }
      for name, value in pairs(more or {}) do options[name] = value end
      return served.start(options)
    end

    it("see their own tasks alone", function()
      local one = start()
      local alice, bob = { token = ALICE }, { token = BOB }
      local message = served.message "ask"
      local task = one:send(message, nil, alice).task
      local other = one:send(message, nil, bob).task
      assert.are_not.equal(task.id, other.id)
      assert.equal(1, #one:result("ListTasks", {}, alice).tasks)
      for _, method in ipairs { "GetTask", "CancelTask", "SubscribeToTask" } do
        assert.equal(-32001, (one:problem(method, { id = task.id }, bob)))
      end
      assert.equal(-32001, (one:problem("SendMessage", { message = served.message("x", { taskId = task.id }) }, bob)))
      assert.equal(-32001, (one:problem("ListTaskPushNotificationConfigs", { taskId = task.id }, bob)))
      assert.same(task, one:get(task.id, alice))
      one:stop()
    end)

    it("need a token, and hear so before they send a body", function()
      local one = start()
      for _, header in ipairs { "", "Authorization: Bearer wrong-wrong-wrong-wrong\r\n",
        "Authorization: Basic " .. ALICE .. "\r\n" } do
        local answer = http.raw(one.port, ("POST / HTTP/1.1\r\nHost: x\r\n%sContent-Length: 1000000\r\n"):format(header)
          .. "Content-Type: application/json\r\nA2A-Version: 1.0\r\n\r\n"):wait()
        assert.equal(401, answer.status)
        assert.truthy(answer.headers["www-authenticate"]:find "^Bearer")
      end
      one:stop()
    end)

    it("are read again at SIGHUP; a bad file changes nothing", function()
      local one = start()
      local carol = ("c3"):rep(12)
      one.host.secrets[3] = carol
      host.write(one.token_file, "alice " .. ALICE .. " more\n")
      one.process:signal "sighup"
      one.host:log "tokens:1: .*the tokens that were known stay"
      one:send("echo", nil, { token = BOB })
      host.write(one.token_file, ("alice %s\ncarol %s\n"):format(ALICE, carol))
      one.process:signal "sighup"
      local answer
      repeat answer = one:call("ListTasks", {}, { token = carol }) until answer.status == 200
      assert.equal(401, one:call("ListTasks", {}, { token = BOB }).status)
      assert.equal(200, one:call("ListTasks", {}, { token = ALICE }).status)
      one:stop()
    end)

    it("are told of a bad file by its line, and never by its tokens", function()
      local cases = {
        ["alice"] = "it has one word", ["alice " .. ALICE .. " x"] = "more than two words", ["alice short"] = "16 characters",
        ["canvas " .. ALICE] = "cannot be", ["al/ice " .. ALICE] = "the name",
        ["bob " .. BOB .. "\nalice " .. BOB] = "earlier line", [""] = "no token",
      }
      for text, words in pairs(cases) do
        local directory = host.directory()
        host.write(directory .. "/agent.lua", served.WORDS)
        host.write(directory .. "/tokens", text .. "\n")
        local one = host.serve({ directory .. "/agent.lua", "--listen", "127.0.0.1:0", "--auth-token-file",
          directory .. "/tokens" }, { directory = directory, secrets = { ALICE, BOB, "short" ~= text and ALICE } })
        one.process:wait_exit()
        assert.truthy(one.process.stderr:find(words, 1, true), one.process:report())
        if text ~= "" then
          assert.truthy(one.process.stderr:find(("tokens:%d:"):format(text:find "\n" and 2 or 1), 1, true))
        end
        one:wait_exit(1)
      end
    end)

    it("ask as often as --rate-limit allows, each for themselves", function()
      local one = start { args = { "--rate-limit", "12" } } -- two at once
      local statuses = {}
      for i = 1, 3 do
        local answer = one:call("ListTasks", {}, { token = ALICE })
        statuses[i] = answer.status
        if i == 3 then assert.truthy(tonumber(answer.headers["retry-after"])) end
      end
      assert.same({ 200, 200, 429 }, statuses)
      assert.equal(200, one:call("ListTasks", {}, { token = BOB }).status)
      one:stop()
    end)
  end)

  describe("a webhook", function()
    -- What came to it: the requests with their parsed bodies. `status` may be changed.
    local function receiver(answer)
      return server.start(function(request, reply)
        request.json = cjson.decode(request.body)
        if answer then answer(request, reply) else reply(200, "") end
      end)
    end

    local function wait_for(hook, count)
      assert(loop.wait(function() return #hook.requests >= count end), "the notifications did not come")
      return hook.requests
    end

    local function told(requests)
      local list = {}
      for i, request in ipairs(requests) do list[i] = served.word(request.json) end
      return list
    end

    local function start(more)
      local options = { args = { "--allow-webhook", "127.0.0.1" } }
      for name, value in pairs(more or {}) do options[name] = value end
      return served.start(options)
    end

    it("is told what happens, in order, with its token and its credentials", function()
      local hook, one = receiver(), start()
      one:send("progress", { taskPushNotificationConfig = { url = hook.url .. "/hook", token = "the-token",
        authentication = { scheme = "Bearer", credentials = "the-credentials" } } })
      local expected = { "SUBMITTED", "WORKING one", "WORKING two", "reply done", "COMPLETED" }
      local words = told(wait_for(hook, #expected))
      if words[2] == "WORKING" then table.remove(words, 2) end -- that it began is told, but not kept
      assert.same(expected, words)
      for _, request in ipairs(hook.requests) do
        assert.equal("POST", request.method)
        assert.equal("/hook", request.path)
        assert.equal("the-token", request.headers["x-a2a-notification-token"])
        assert.equal("Bearer the-credentials", request.headers.authorization)
        assert.equal("application/a2a+json", request.headers["content-type"])
      end
      one:stop()
    end)

    it("of a 0.3 client is told the task", function()
      local hook, one = receiver(), start()
      local message = { kind = "message", messageId = "old", role = "user", parts = { { kind = "text", text = "echo 1" } } }
      one:result("message/send", { message = message,
        configuration = { blocking = true, pushNotificationConfig = { url = hook.url } } }, { version = false })
      loop.wait(function()
        local last = hook.requests[#hook.requests]
        return last and last.json.status.state == "completed"
      end)
      local last = hook.requests[#hook.requests]
      assert.equal("task", last.json.kind)
      assert.equal("application/json", last.headers["content-type"])
      one:stop()
    end)

    it("can be set, read, listed and deleted, and keeps its secrets", function()
      local gate, hook = served.gate(), receiver()
      local one = start { gate = gate }
      local id = one:begin "gate w".id
      gate.wait(1)
      local config = one:result("CreateTaskPushNotificationConfig", { taskId = id, id = "c1", url = hook.url, token = "secret-t",
        authentication = { scheme = "Bearer", credentials = "secret-c" } })
      assert.equal("c1", config.id)
      local got = one:call("GetTaskPushNotificationConfig", { taskId = id, id = "c1" })
      assert.equal(hook.url, got.json.result.url)
      assert.falsy(got.body:find("secret-", 1, true))
      assert.equal(1, #one:result("ListTaskPushNotificationConfigs", { taskId = id }).configs)
      one:call("DeleteTaskPushNotificationConfig", { taskId = id, id = "c1" })
      one:call("DeleteTaskPushNotificationConfig", { taskId = id, id = "c1" })
      assert.same({}, one:result("ListTaskPushNotificationConfigs", { taskId = id }).configs or {})
      gate.open()
      one:wait_state(id, "COMPLETED")
      assert.same({}, told(hook.requests))
      one:stop()
    end)

    it("that fails is told again, and what follows waits for it", function()
      local failed = false
      local hook = receiver(function(request, reply)
        if served.word(request.json) == "reply done" and not failed then
          failed = true
          return reply(500, "")
        end
        reply(200, "")
      end)
      local one = start()
      one:send("progress", { taskPushNotificationConfig = { url = hook.url } })
      assert(loop.wait(function() return told(hook.requests)[#hook.requests] == "COMPLETED" end))
      local words = told(hook.requests)
      assert.same({ "reply done", "reply done", "COMPLETED" }, { table.unpack(words, #words - 2) })
      one:stop()
    end)

    it("on a private address, or without https, is refused", function()
      local one = served.start {}
      for _, url in ipairs { "http://127.0.0.1:1/", "https://127.0.0.1:1/", "https://[::1]/", "https://10.0.0.1/x",
        "https://localhost/", "https://169.254.169.254/", "http://example.com/", "ftp://example.com/", "nonsense",
        "https://2130706433/", "https://0x7f000001/" } do
        assert.equal(-32602, (one:problem("SendMessage",
          { message = served.message "echo", configuration = { taskPushNotificationConfig = { url = url } } })), url)
      end
      one:stop()
    end)

    it("that redirects is not followed", function()
      local hook
      hook = receiver(function(request, reply)
        if #hook.requests == 1 then reply(307, "", { Location = "/elsewhere" }) else reply(200, request.path) end
      end)
      local one = start()
      one:send("echo", { taskPushNotificationConfig = { url = hook.url .. "/hook" } })
      assert(loop.wait(function() return told(hook.requests)[#hook.requests] == "COMPLETED" end))
      for _, request in ipairs(hook.requests) do assert.equal("/hook", request.path) end
      one:stop()
    end)

    it("is told after kill -9 what it was not told before", function()
      local fine = false
      local hook = receiver(function(_, reply) reply(fine and 200 or 503, "") end)
      local one = start()
      local task = one:send("echo", { taskPushNotificationConfig = { url = hook.url } }).task
      wait_for(hook, 1)
      one:kill()
      fine = true
      local before = #hook.requests
      local two = start { state_dir = one.host.state_dir }
      assert(loop.wait(function() return told(hook.requests)[#hook.requests] == "COMPLETED" end))
      local words = told { table.unpack(hook.requests, before + 1) }
      assert.equal("SUBMITTED", words[1])
      assert.equal(task.id, hook.requests[#hook.requests].json.statusUpdate.taskId)
      two:stop()
    end)
  end)

  it("several scripts are served under their names, with a card and tasks each", function()
    local one = served.start { scripts = { billing = served.WORDS, search = served.WORDS } }
    for _, name in ipairs { "billing", "search" } do
      local card = http.request { port = one.port, path = ("/%s/.well-known/agent-card.json"):format(name) }.json
      assert.equal(one.url .. "/" .. name, card.supportedInterfaces[1].url)
    end
    local task = one:send("echo", nil, { path = "/billing" }).task
    assert.equal(task.id, one:get(task.id, { path = "/billing" }).id)
    assert.equal(-32001, (one:problem("GetTask", { id = task.id }, { path = "/search" })))
    assert.equal(404, one:call("GetTask", { id = task.id }, { path = "/other" }).status)
    assert.equal(404, http.request { port = one.port, path = "/.well-known/agent-card.json" }.status)
    one:stop()
  end)

  it("two scripts of one name are refused", function()
    local one, two = host.directory(), host.directory()
    local run = host.serve({ host.write(one .. "/a.lua", served.WORDS), host.write(two .. "/a.lua", served.WORDS), "--no-auth" },
      {})
    run:wait_exit(2)
    assert.truthy(run.process.stderr:find("would both be at /a", 1, true))
  end)

  it("--no-auth is for loopback addresses", function()
    local directory = host.directory()
    local script = host.write(directory .. "/agent.lua", served.WORDS)
    for words, expected in pairs {
      [{ "--no-auth", "--listen", "0.0.0.0:0" }] = "--insecure-no-auth",
      [{ "--listen", "127.0.0.1:0" }] = "who may ask?",
    } do
      local run = host.serve({ script, table.unpack(words) }, {})
      run:wait_exit(1)
      assert.truthy(run.process.stderr:find(expected, 1, true), run.process:report())
    end
  end)

  it("what belongs to the platform is refused, with the reason", function()
    local script = host.write(host.directory() .. "/agent.lua", served.WORDS)
    local run = host.serve({ script, "--no-auth", "--api-url", "http://127.0.0.1:1" }, {})
    run:wait_exit(2)
    assert.truthy(run.process.stderr:find("molecule serve has no platform", 1, true), run.process:report())
  end)

  it("--task-ttl is taken", function()
    local one = served.start { args = { "--task-ttl", "1m" } }
    local task = one:send "echo".task
    assert.equal(task.id, one:get(task.id).id)
    one:stop()
  end)

  it("a unix socket is served as an address is", function()
    local path = host.directory() .. "/socket"
    local one = served.start { listen = "unix:" .. path }
    local body = cjson.encode { jsonrpc = "2.0", id = 1, method = "SendMessage",
      params = { message = served.message "echo u" } }
    local curl = process.spawn { command = { "/usr/bin/curl", "-s", "--unix-socket", path, "-H", "A2A-Version: 1.0", "-H",
      "Content-Type: application/json", "-d", body, "http://localhost/" } }
    curl:wait_exit()
    assert.same({ "COMPLETED", "echo u" }, { served.outcome(cjson.decode(curl.stdout).result.task) })
    one:stop()
    assert.is_nil(host.read(path))
  end)

  describe("stopping", function()
    it("finishes what is worked on, answers who waits for it, and takes nothing new", function()
      local gate = served.gate()
      local one = served.start { gate = gate }
      local waiting = one:start("SendMessage", { message = served.message "gate d" })
      local stream = one:stream "gate e"
      gate.wait(2)
      stream:wait(3)
      one.process:signal "sigterm"
      one.host:log "SIGTERM: stopping"
      local refused = one:call("SendMessage", { message = served.message "echo" })
      assert.truthy(refused.status == 503 or refused.problem == "ECONNREFUSED", refused.problem)
      gate.open()
      assert.equal("COMPLETED", (served.outcome(waiting:wait().json.result.task)))
      local words = served.words(stream:finish())
      assert.equal("COMPLETED", words[#words])
      one.host:wait_exit(0)
    end)

    it("leaves a question open, for the next start", function()
      local one = served.start {}
      local task = one:send "ask".task
      one:stop()
      local two = served.start { state_dir = one.host.state_dir }
      assert.equal("INPUT_REQUIRED", (served.outcome(two:get(task.id))))
      two:stop()
    end)
  end)

  it("SIGHUP loads the script again, and the card changes with it", function()
    local one = served.start {}
    local before = http.request { port = one.port, path = "/.well-known/agent-card.json" }
    host.write(one.script_path, (served.WORDS:gsub('name = "words"', 'name = "other"')))
    one.process:signal "sighup"
    local after
    repeat
      after = http.request { port = one.port, path = "/.well-known/agent-card.json" }
    until after.json.name == "other"
    assert.are_not.equal(before.headers.etag, after.headers.etag)
    one:stop()
  end)
end)
