--- molecule.a2a, as a script uses it: against `molecule serve`, against agents built on the SDK for Python, and against servers
--- that do what agents should not.

local cjson = require "cjson"
local a2a = require "tests.support.a2a"
local docs = require "tests.support.docs"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local loop = require "tests.support.loop"
local process = require "tests.support.process"
local server = require "tests.support.server"

-- A message is code for the body of a handler, which sees agent, molecule, ctx and msg.
local SCRIPT = [[
local molecule = require "molecule"
return {concurrency = 8, handle = function(msg, ctx)
  local agent = molecule.a2a(%q, {%s})
  local result = assert(load("local molecule, agent, ctx, msg = ... " .. msg.text, "=chunk"))(molecule, agent, ctx, msg)
  return result ~= nil and tostring(result) or "nothing"
end}]]

local function script_for(url, options) return (SCRIPT:format(url, options or "")) end

describe("molecule.a2a", function()
  local platform

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)
  teardown(function()
    platform:stop()
    process.kill_all()
  end)

  --- A client of the agent at the URL: {host, ask(code) -> what the code returned}.
  local function client_of(url, options, args, script)
    local workspace = host.workspace(platform)
    local one = host.connect { platform = platform, workspace = workspace, args = args,
      script = script or script_for(url, options) }
    local count = 0
    return { host = one, ask = function(code)
      count = count + 1
      platform:message { to = workspace.id, text = code }
      return one:canvas(count)[count]
    end, tell = function(code) return platform:message { to = workspace.id, text = code }[1] end }
  end

  --- What every agent should make of it, whatever it is built with and whatever it speaks.
  ---@param name string
  ---@param target {start: (fun(): A2aAgent?, string?), options: string?, version: string, messages: boolean?, quiet: boolean?}
  local function behaves(name, target)
    describe(name, function()
      local agent, client, problem

      setup(function()
        agent, problem = target.start()
        client = agent and client_of(agent.url, target.options)
      end)
      teardown(function()
        if client then client.host:stop() end
        if agent then agent:stop() end
        host.clean_up()
      end)

      local function test(what, code, expected)
        it(what, function()
          if not agent then return pending(problem) end
          local told = client.ask(code)
          if type(expected) == "string" then assert.equal(expected, told) else expected(told) end
        end)
      end

      test("is asked, and answers with a task", [[
        local r = assert(agent:send "hello")
        assert(r.task.id == r.task_id and r.context_id == r.task.context_id and #r.context_id > 0)
        assert(#r.parts == 1 and r.parts[1].kind == "text" and #r.task.artifacts == 1)
        return r.state .. " " .. r.text]], "completed hello")

      if target.messages then
        test("answers with a message alone", [[
          local r = assert(agent:send "message")
          return tostring(r.state) .. " " .. tostring(r.task) .. " " .. r.message.role .. " " .. r.text]],
          "nil nil agent a message")
      end

      test("gets files and data in either spelling", [[
        return assert(agent:send {text = "what", parts = {
          {kind = "file", file = {name = "a.txt", mimeType = "text/plain", bytes = "aGk="}},
          {url = "https://e.example/b", filename = "b", mediaType = "t/x"}, {kind = "data", data = {k = "v"}},
          {raw = "aG8=", filename = "c.txt", mediaType = "text/plain"}}}).text]],
        "what | a.txt:text/plain:hi | b:t/x:https://e.example/b | [('k', 'v')] | c.txt:text/plain:ho")

      test("gives files that can be read", [[
        local r = assert(agent:send "file")
        local file = r.files[1]
        assert(file:read() == "bytes\0\xFF" and r.task.artifacts[1].files[1].name == "a.bin")
        return #r.files .. " " .. file.name .. " " .. file.mime_type]], "1 a.bin application/x-a")

      test("asks back, and continues with the answer", [[
        local asked = assert(agent:send "ask")
        local r = assert(agent:send {text = "red", task_id = asked.task_id, context_id = asked.context_id})
        return table.concat({asked.state, asked.text, r.state, r.text, tostring(r.task_id == asked.task_id)}, ", ")]],
        "input-required, Which color?, completed, it is red, true")

      test("fails, which is a result", [[
        local r, problem = agent:send "fail"
        assert(not problem)
        return r.state .. ": " .. r.text]], "failed: it broke")

      test("is followed while it works", [[
        local list, text, final = {}, "", nil
        for event in agent:stream "pieces" do
          assert(event.task_id and event.context_id and final ~= true)
          final = event.final
          list[#list + 1] = event.kind .. (event.state and " " .. event.state or "")
          if event.kind == "status" and event.text then list[#list] = list[#list] .. " " .. event.text end
          if event.kind == "artifact" then
            assert(event.artifact.name == "poem" and event.append == (text ~= ""))
            text = text .. event.text
            list[#list] = event.last and "last" or "piece"
          end
        end
        assert(final == true)
        return table.concat(list, ", ") .. ": " .. text]], function(told)
        assert.truthy(told:find "^task submitted, .*status working writing, piece, piece, last, .*status completed: roses", told)
      end)

      test("its pieces are one text in the end", [[return assert(agent:send "pieces").text]], "roses are red")

      test("gives its task at once if nobody waits, and can be canceled", [[
        local r = assert(agent:send("slow", {wait = false}))
        local canceled = assert(agent:cancel(r.task_id))
        local again, problem, code = agent:cancel(r.task_id)
        assert(again == nil and type(problem) == "string")
        assert(agent:task(r.task_id, {history = 0}).id == r.task_id)
        return table.concat({canceled.state, agent:task(r.task_id).state, code}, " ")]],
        function(told) assert.equal("canceled canceled TASK_NOT_CANCELABLE", told) end)

      test("says that it knows no such task", [[
        local codes = {}
        for i, call in ipairs {function() return agent:task "none" end, function() return agent:cancel "none" end,
                               function() return agent:send {text = "x", task_id = "none"} end} do
          local nothing, problem, code = call()
          assert(nothing == nil and type(problem) == "string")
          codes[i] = code
        end
        return table.concat(codes, " ")]], "TASK_NOT_FOUND TASK_NOT_FOUND TASK_NOT_FOUND")

      test("raises what goes wrong with a stream at the line of the loop", [[
        local fine, problem = pcall(function()
          for _ in agent:subscribe "none" do end
        end)
        return problem]], function(told) assert.truthy(told:find "^chunk:%d+: a2a: .* %[TASK_NOT_FOUND%]$", told) end)

      if not target.quiet then
        test("tells those who subscribe how a task ends", [[
          local r = assert(agent:send("slow", {wait = false}))
          local list = {}
          for event in agent:subscribe(r.task_id) do
            list[#list + 1] = event.kind .. " " .. event.state
            if #list == 1 then assert(agent:cancel(r.task_id)) end
          end
          return list[1]:match "^%a+" .. ", " .. list[#list] ]], "task, status canceled")
      end

      test("lists its tasks, if its version can", [[
        local first, problem, code = agent:tasks {page_size = 1}
        if not first then return code end
        local second = assert(agent:tasks {page_size = 1, page_token = first.next_page_token})
        local r = assert(agent:send "hello")
        local found = assert(agent:tasks {context_id = r.context_id, state = "completed"})
        assert(#first.tasks == 1 and #second.tasks == 1 and first.tasks[1].id ~= second.tasks[1].id and first.total > 2)
        return #found.tasks .. " " .. tostring(found.tasks[1].id == r.task_id) .. " " .. tostring(found.next_page_token)]],
        target.version == "1.0" and "1 true nil" or "UNSUPPORTED_OPERATION")

      test("is a tool for a model", [[
        local tool = assert(agent:tool())
        assert(tool.parameters.properties.message.type == "string" and tool.parameters.required[1] == "message")
        local nothing, problem = tool.call {message = "fail"}
        assert(nothing == nil and select(2, tool.call {}):find "message")
        return table.concat({tool.name, tool.description, tool.call {message = "hello"}, problem}, ", ")]],
        "words, does what the first word says, hello, the task failed: it broke")
    end)
  end

  local function served() return a2a.serve { script = host.read "tests/a2a/words.lua" } end

  behaves("a script of molecule serve, with 1.0", { start = served, version = "1.0" })
  behaves("a script of molecule serve, with 0.3", { start = served, version = "0.3", options = 'version = "0.3"' })
  for _, binding in ipairs { "JSONRPC", "HTTP+JSON" } do
    behaves("an agent built on the SDK, 1.0 over " .. binding, { version = "1.0", messages = true,
      start = function() return a2a.sdk("1.3.0", { "tests/a2a/server_1.py", binding }) end })
  end
  -- to whom cancels, not to who subscribed, does that version tell the end
  behaves("an agent built on the SDK, 0.3", { version = "0.3", messages = true, quiet = true,
    start = function() return a2a.sdk("0.3.26", { "tests/a2a/server_03.py" }) end })

  describe("asks servers that", function()
    local web, client
    after_each(function()
      if client then client.host:stop() end
      client = nil
      server.stop_all()
      process.kill_all { platform.process }
      host.clean_up()
    end)

    local CARD = { name = "web", description = "d", version = "1", capabilities = { streaming = true } }

    --- A server with a card that names these interfaces, and a client of it. `answer(method, params, reply, request)`.
    local function start(answer, interfaces, options, args, script)
      web = server.start(function(request, reply)
        if request.path:find "agent%-card.json$" then
          local card = {}
          for name, value in pairs(CARD) do card[name] = value end
          card.supportedInterfaces = {}
          for i, one in ipairs(interfaces or { { protocolBinding = "JSONRPC", protocolVersion = "1.0" } }) do
            card.supportedInterfaces[i] = { url = web.url .. (one.path or "/rpc"), protocolBinding = one.protocolBinding,
              protocolVersion = one.protocolVersion, tenant = one.tenant }
          end
          return reply(200, cjson.encode(card))
        end
        local body = request.body ~= "" and cjson.decode(request.body) or {}
        answer(body.method, body.params or body, reply, request)
      end)
      client = client_of(web.url, options, args, script and script:format(web.url))
    end

    local function result(value) return cjson.encode { jsonrpc = "2.0", id = "1", result = value } end
    local function failure(code, message, data)
      return cjson.encode { jsonrpc = "2.0", id = "1", error = { code = code, message = message, data = data } }
    end
    local function task(state, artifact)
      return { id = "t-1", contextId = "c-1", status = { state = "TASK_STATE_" .. state },
        artifacts = artifact and { { artifactId = "a", parts = { { text = artifact } } } } or nil }
    end
    local MESSAGE = { message = { messageId = "m", role = "ROLE_AGENT", parts = { { text = "fine" } } } }

    local function count(method)
      local found = 0
      for _, request in ipairs(web.requests) do
        if request.body:find('"' .. method .. '"', 1, true) then found = found + 1 end
      end
      return found
    end

    it("answer too early: looks again until the task has ended", function()
      start(function(method, params, reply)
        if method == "SendMessage" then return reply(200, result { task = task "SUBMITTED" }) end
        assert(method == "GetTask" and params.id == "t-1")
        local looked = count "GetTask"
        reply(200, looked == 1 and "busy" or result(looked == 3 and task("COMPLETED", "there") or task "WORKING"))
      end)
      assert.truthy(client.ask [[
        local r, problem, code, partial = agent:send "x"
        return code .. " " .. partial.task_id .. " " .. partial.state]]:find "^INVALID_AGENT_RESPONSE t%-1 submitted")
      assert.equal("completed there", client.ask [[local r = assert(agent:send "x") return r.state .. " " .. r.text]])
      assert.equal(3, count "GetTask")
    end)

    it("do not get done in time: has what there is so far", function()
      start(function(method, _, reply) reply(200, result(method == "GetTask" and task("WORKING", "half")
        or { task = task "WORKING" })) end)
      assert.equal("TIMEOUT t-1 working half a2a: task t-1 is still working after 0.5 s", client.ask [[
        local r, problem, code, partial = agent:send("x", {timeout = "500ms"})
        return table.concat({code, partial.task_id, partial.state, partial.text, problem}, " ")]])
    end)

    it("are unavailable while it looks: looks again", function()
      start(function(method, _, reply)
        if method == "SendMessage" then return reply(200, result { task = task "WORKING" }) end
        if count "GetTask" == 1 then return reply(503, "later") end
        reply(200, result(task("COMPLETED", "there")))
      end)
      assert.equal("there", client.ask [[return assert(agent:send "x").text]])
    end)

    it("refuse: says why, with a code", function()
      local info = { { ["@type"] = "type.googleapis.com/google.rpc.ErrorInfo", reason = "SOMETHING_NEW", domain = "x" } }
      local answers = {
        { 401, "who?", "UNAUTHORIZED" }, { 403, "no", "UNAUTHORIZED" }, { 404, "where?", "NOT_FOUND" },
        { 503, "later", "UNAVAILABLE" }, { 418, "tea", "REFUSED" }, { 200, "tea", "INVALID_AGENT_RESPONSE" },
        { 200, '{"jsonrpc":"2.0","id":"1"}', "INVALID_AGENT_RESPONSE" }, { 200, result { what = 1 }, "INVALID_AGENT_RESPONSE" },
        { 200, failure(-32004, "cannot"), "UNSUPPORTED_OPERATION" }, { 200, failure(-32601, "cannot"), "METHOD_NOT_FOUND" },
        { 200, failure(-32001, "new", info), "SOMETHING_NEW" }, { 200, failure(-1, "odd"), "PEER" },
        { 400, failure(-32009, "old"), "VERSION_NOT_SUPPORTED" },
      }
      local at = 0
      start(function(_, _, reply)
        at = at + 1
        reply(answers[at][1], answers[at][2])
      end)
      for _, one in ipairs(answers) do
        local told = client.ask [[
          local r, problem, code = agent:send "x"
          assert(r == nil and #problem < 700)
          return code .. " " .. problem]]
        assert.equal(one[3], told:match "^%S+", told)
      end
    end)

    it("refuse over HTTP+JSON: says why, with the reason given", function()
      start(function(_, _, reply) reply(404, cjson.encode { error = { code = 404, status = "NOT_FOUND", message = "no such task",
        details = { { ["@type"] = "type.googleapis.com/google.rpc.ErrorInfo", reason = "TASK_NOT_FOUND" } } } })
      end, { { protocolBinding = "HTTP+JSON", protocolVersion = "1.0", path = "/rest" } })
      assert.truthy(client.ask [[
        local r, problem, code = agent:task("a b/c")
        return code .. " " .. problem]]:find "^TASK_NOT_FOUND .*: no such task$")
      assert.equal("/rest/tasks/a%20b%2Fc", web.requests[#web.requests].path)
    end)

    it("are asked where their card says, with its tenant, a version and the headers given", function()
      start(function(_, _, reply) reply(200, cjson.encode(MESSAGE)) end, {
        { protocolBinding = "GRPC", protocolVersion = "1.0", path = "/grpc" },
        { protocolBinding = "HTTP+JSON", protocolVersion = "2.0", path = "/new" },
        { protocolBinding = "HTTP+JSON", protocolVersion = "1.0", path = "/rest", tenant = "blue" },
        { protocolBinding = "JSONRPC", protocolVersion = "1.0" } },
        'token = "secret", headers = {["X-One"] = 1}')
      assert.equal("fine", client.ask [[return assert(agent:send {text = "x", metadata = {k = "v"}, message_id = "m-1"}).text]])
      local sent = web.requests[#web.requests]
      assert.equal("/rest/blue/message:send", sent.path)
      assert.equal("1.0 Bearer secret 1", table.concat({ sent.headers["a2a-version"], sent.headers.authorization,
        sent.headers["x-one"] }, " "))
      local body = cjson.decode(sent.body)
      assert.same({ "blue", "m-1", "v", false }, { body.tenant, body.message.messageId, body.message.metadata.k,
        body.configuration.returnImmediately })
    end)

    it("have nothing that it speaks: says what they have", function()
      start(function() end, { { protocolBinding = "GRPC", protocolVersion = "1.0", path = "/grpc" } })
      assert.truthy(client.ask [[
        local r, problem, code = agent:send "x"
        return code .. " " .. problem]]:find "^VERSION_NOT_SUPPORTED .*; it has 1%.0 GRPC at http://")
    end)

    it("are not asked for their card before it is needed, and once", function()
      start(function(_, _, reply) reply(200, result(MESSAGE)) end)
      assert.equal("nothing", client.ask "return nil")
      assert.equal(0, #web.requests)
      assert.equal("web fine fine", client.ask [[
        return agent:card().name .. " " .. agent:send("x").text .. " " .. agent:send("y").text]])
      assert.equal(3, #web.requests)
      assert.equal("web", client.ask [[agent:card() return agent:card({refresh = true}).name]])
      assert.equal(5, #web.requests)
    end)

    it("have a card of A2A 0.2 alone, at its old path", function()
      web = server.start(function(request, reply)
        if request.path == "/agent.json" or request.path:find "agent%-card" then return reply(404, "") end
        if request.path == "/base/.well-known/agent.json" then
          return reply(200, cjson.encode { name = "old", url = web.url .. "/old", version = "1", capabilities = {} })
        end
        local body = cjson.decode(request.body)
        assert(body.method == "message/send" and body.params.message.role == "user" and not request.headers["a2a-version"])
        reply(200, result { kind = "message", messageId = "m", role = "agent", parts = { { kind = "text", text = "fine" } } })
      end)
      client = client_of(web.url .. "/base/")
      assert.equal("fine", client.ask [[return assert(agent:send "x").text]])
      assert.equal("message fine true", client.ask [[
        for event in agent:stream "x" do return event.kind .. " " .. event.text .. " " .. tostring(event.final) end]])
    end)

    it("have no card: says what to do, and does it", function()
      web = server.start(function(request, reply)
        if request.method == "GET" then return reply(404, "") end
        reply(200, result(MESSAGE))
      end)
      client = client_of(web.url .. "/rpc")
      assert.truthy(client.ask [[
        local r, problem, code = agent:send "x"
        return code .. " " .. problem]]:find 'NOT_FOUND .*give version = "1.0" or "0.3"$')
      client.host:stop()
      client = client_of(web.url .. "/rpc", 'version = "1.0"')
      assert.equal("fine", client.ask [[return assert(agent:send "x").text]])
      assert.equal("/rpc", web.requests[#web.requests].path)
    end)

    local HEAD = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    local function event(value) return "data: " .. result(value) .. "\n\n" end
    local WORKING = event { statusUpdate = { taskId = "t-1", contextId = "c-1", status = { state = "TASK_STATE_WORKING" } } }

    it("stream, and are left: closes the connection", function()
      local closed = false
      start(function(_, _, reply)
        reply.on_close(function() closed = true end)
        reply.raw(HEAD .. ": a comment\n\n" .. WORKING)
      end)
      assert.equal("working", client.ask [[for event in agent:stream "x" do return event.state end]])
      assert(loop.wait(function() return closed end))
    end)

    it("leave a stream open when the task has ended: ends the loop", function()
      local closed = false
      start(function(_, _, reply)
        reply.on_close(function() closed = true end)
        reply.raw(HEAD .. event { task = task("COMPLETED", "there") })
      end)
      assert.equal("there", client.ask [[
        local text
        for event in agent:stream "x" do text = event.text end
        return text]])
      assert(loop.wait(function() return closed end))
    end)

    it("break a stream off, or refuse one: raises at the line of the loop", function()
      local answers = {
        { function(reply) reply.raw(HEAD:gsub("Connection: close", "Content-Length: 9999") .. WORKING) reply.finish() end,
          "working", "NETWORK" },
        { function(reply) reply.raw(HEAD .. WORKING .. "data: nonsense\n\n") reply.finish() end, "working",
          "INVALID_AGENT_RESPONSE" },
        { function(reply) reply.raw(HEAD .. WORKING .. "event: error\n" .. "data: " .. failure(-32603, "broke") .. "\n\n") end,
          "working", "INTERNAL_ERROR" },
        { function(reply) reply(200, failure(-32004, "no streams")) end, "", "UNSUPPORTED_OPERATION" },
        { function(reply) reply(401, "who?") end, "", "UNAUTHORIZED" },
        { function(reply) reply(200, result(MESSAGE)) end, "", "" },
      }
      local at = 0
      start(function(_, _, reply)
        at = at + 1
        answers[at][1](reply)
      end)
      for _, one in ipairs(answers) do
        local told = client.ask [[
          local list = {}
          local fine, problem = pcall(function()
            for event in agent:stream "x" do list[#list + 1] = event.state end
          end)
          assert(fine or problem:find "^chunk:3: a2a: ", problem)
          return table.concat(list, " ") .. "|" .. (problem or ""):gsub("^.*%[(%u[%u_]*)%]$", "%1")]]
        assert.equal(one[2] .. "|" .. one[3], told)
      end
    end)

    it("have a webhook set: names it as the version does", function()
      start(function(_, params, reply)
        assert(params.configuration.taskPushNotificationConfig.url == "https://hook.example/" and
          params.configuration.taskPushNotificationConfig.token == "t" and params.configuration.historyLength == 2)
        reply(200, result { task = task "SUBMITTED" })
      end)
      assert.equal("submitted", client.ask [[
        return assert(agent:send("x", {wait = false, history = 2, push = {url = "https://hook.example/", token = "t"}})).state]])
    end)

    it("say much: takes what is no part and what is null for nothing", function()
      start(function(_, _, reply) reply(200, ('{"jsonrpc":"2.0","id":"1","error":null,"result":{"task":{"id":"t",'
        .. '"contextId":null,'
        .. '"status":{"state":"TASK_STATE_NEW","message":null},"artifacts":[null,{"artifactId":null,"parts":[7,{"odd":1},'
        .. '{"text":"a"},{"text":null}]}],"history":null}}}')) end)
      assert.equal("unknown a 3", client.ask [[
        local r = assert(agent:send("x", {wait = false}))
        return r.state .. " " .. r.text .. " " .. #r.parts]])
    end)

    it("see a message twice when its handler runs again: under the same id", function()
      start(function(_, _, reply) reply(200, result(MESSAGE)) end, nil, nil, nil, [[
        local molecule = require "molecule"
        local agent = molecule.a2a(%q)
        return function(msg, ctx)
          for _ = 1, 2 do assert(agent:send "x") end
          molecule.all {function() assert(agent:send "y") end, function() assert(agent:send "z") end}
          if msg.text == "error" and ctx.attempt == 1 then error "no" end
          if msg.text == "retry" and ctx.attempt == 1 then return molecule.retry {after = 0} end
          return "done"
        end]])
      local function ids(text)
        local from = #web.requests
        assert.equal("done", client.ask(text))
        local list, set, different = {}, {}, 0
        for i = from + 1, #web.requests do
          local id = web.requests[i].body:match '"messageId":"([^"]+)"'
          if id then
            different = different + (set[id] and 0 or 1)
            set[id] = true
            list[#list + 1] = id
          end
        end
        return #list, different
      end
      assert.same({ 8, 4 }, { ids "error" })
      assert.same({ 8, 8 }, { ids "retry" })
    end)

    it("are asked in a step: once, however often the handler runs", function()
      start(function(_, _, reply)
        reply(200, result { task = { id = "t", contextId = "c", status = { state = "TASK_STATE_COMPLETED" },
          artifacts = { { artifactId = "a", parts = { { raw = "aGk=", filename = "a.txt" }, { text = "ok" } } } } } })
      end, nil, nil, nil, [[
        local molecule = require "molecule"
        local agent = molecule.a2a(%q)
        return function(msg, ctx)
          local r = assert(agent:send({text = msg.text}, {step = "ask"}))
          if ctx.attempt == 1 then error "no" end
          return r.text .. " " .. r.files[1]:read() .. " " .. r.task.artifacts[1].files[1]:read() .. " " .. r.parts[1].kind
        end]])
      assert.equal("ok hi hi file", client.ask "x")
      assert.equal(1, count "SendMessage")
    end)

    it("the sandbox allows", function()
      start(function(_, _, reply) reply(200, result(MESSAGE)) end, nil, nil, { "--sandbox" })
      local CODE = [[
        local r, problem, code = agent:send "x"
        return r and r.text or code]]
      assert.equal("FORBIDDEN", client.ask(CODE))
      assert.equal(0, web.connections)
      client.host:stop()
      client = client_of(web.url, nil, { "--sandbox", "--allow-host", "127.0.0.1:" .. web.port })
      assert.equal("fine", client.ask(CODE))
    end)
  end)

  it("asks an agent built on the SDK for JavaScript", function()
    local agent, problem = a2a.sdk("node", { "tests/a2a/server.mjs" })
    if not agent then return pending(problem) end
    local client = client_of(agent.url)
    assert.equal("completed hello", client.ask [[
      local r = assert(agent:send "hello")
      local again = assert(agent:task(r.task_id))
      assert(again.state == "completed" and again.text == "hello")
      return r.state .. " " .. r.text]])
    assert.equal("task artifact:1  artifact:2  artifact:3 completed", client.ask [[
      local words = {}
      for event in agent:stream "count" do
        local piece = event.kind == "artifact" and "artifact:" .. event.text
        words[#words + 1] = piece or event.kind == "task" and "task" or event.state
      end
      return table.concat(words, " ")]])
    assert.equal("canceled", client.ask [[
      local r = assert(agent:send("wait", {wait = false}))
      return assert(agent:cancel(r.task_id)).state]])
    assert.equal("TASK_NOT_FOUND", client.ask [[ return (select(3, agent:task "nowhere")) ]])
    client.host:stop()
    agent:stop()
    host.clean_up()
  end)

  it("shows a token to agents that want one", function()
    local directory = host.directory()
    host.write(directory .. "/tokens", "alice secret-of-alice-0123456789\n")
    assert(os.execute("chmod 600 " .. directory .. "/tokens"))
    local agent = a2a.serve { script = host.read "tests/a2a/words.lua", args = { "--auth-token-file", directory .. "/tokens" } }
    local CODE = [[
      local r, problem, code = agent:send "hello"
      return r and r.text or code]]
    for options, expected in pairs { ['token = "secret-of-alice-0123456789"'] = "hello", [""] = "UNAUTHORIZED",
      ['token = "wrong"'] = "UNAUTHORIZED", ['headers = {authorization = "Bearer secret-of-alice-0123456789"}'] = "hello" } do
      local client = client_of(agent.url, options)
      assert.equal(expected, client.ask(CODE), options)
      client.host:stop()
    end
    agent:stop()
    host.clean_up()
  end)

  it("tells of mistakes at the script's line", function()
    local client = client_of "http://127.0.0.1:1"
    local mistakes = {
      { 'molecule.a2a "agent.example"', "a2a: the first argument must be the agent's URL, https://…" },
      { 'molecule.a2a("https://a.example", {tokn = "x"})', "a2a: unknown field 'tokn'; did you mean 'token'?" },
      { 'molecule.a2a("https://a.example", {version = "2"})', 'a2a: version must be "1.0" or "0.3", not "2"' },
      { 'molecule.a2a("https://a.example", {token = "a\\nb"})', "a2a: the token holds a blank or a line break" },
      { 'molecule.a2a("https://a.example", {headers = {["X-A"] = "a\\nb"}})',
        "a2a: header X-A holds a line break or a zero byte" },
      { "agent:send(5)", "a2a: send: a text or a table expected, not a number" },
      { 'agent:send {txt = "x"}', "a2a: send: unknown field 'txt'; did you mean 'text'?" },
      { 'agent:send("x", {wait = 5})', "a2a: send: wait must be a boolean, not a number" },
      { 'agent:send("x", {timeout = 0})', "a2a: send: timeout must be above 0 and at most 86400 s" },
      { 'agent:send("x", {history = -1})', "a2a: send: history must be an integer from 0 to 1000000" },
      { 'agent:send("x", {push = {}})', "a2a: send: push needs a url" },
      { "agent:send {parts = {{kind = 'file', file = {}}}}",
        "a2a: send: parts[1] must be a table with text, data, or a file with bytes or a uri" },
      { "agent:send {parts = {{raw = '!'}}}", "a2a: send: the bytes of parts[1] must be base64" },
      { "agent:task()", "a2a: task: the first argument must be the id of a task" },
      { 'agent:tasks {state = "done"}', 'a2a: tasks: state must be a task\'s state, as "working", not "done"' },
      { "agent:stream {parts = {}}", "a2a: stream: nothing to send" },
    }
    for _, one in ipairs(mistakes) do
      local id = client.tell(one[1])
      local line = client.host:log_of(id, "chunk:1: ")
      assert(line:find("chunk:1: " .. one[2], 1, true), line)
    end
    client.host:stop()
    host.clean_up()
  end)

  it("does what docs/a2a-client.md shows", function()
    local agent = a2a.serve { script = host.read "tests/a2a/words.lua" }
    local count = 0
    for _, block in ipairs(docs.blocks "docs/a2a-client.md") do
      local name, text, expected = block.text:match "^%-%- (%w+)%.lua: (.-) → ([^\n]+)\n"
      if name then
        count = count + 1
        local client = client_of(agent.url, nil, nil, (block.text:gsub("https://agent%.example", agent.url)))
        assert.equal(expected, client.ask(text), name)
        client.host:stop()
      end
    end
    assert.equal(3, count)
    agent:stop()
    host.clean_up()
  end)

  it("works over the stubs of molecule.testing", function()
    package.path = "./lua/?.lua;./lua/?/init.lua;" .. package.path
    local t = require "molecule.testing"
    local directory = host.directory()
    host.write(directory .. "/agent.lua", [[
      local molecule = require "molecule"
      local agent = molecule.a2a("https://agent.test", {token = "t"})
      return function(msg)
        if msg.text == "stream" then
          local texts = {}
          for event in agent:stream "x" do texts[#texts + 1] = event.text end
          return table.concat(texts)
        end
        local r, problem, code = agent:send(msg.text)
        return r and r.state .. " " .. r.text or code
      end]])
    local card = { name = "a", capabilities = { streaming = true },
      supportedInterfaces = { { url = "https://agent.test/a2a", protocolBinding = "JSONRPC", protocolVersion = "1.0" } } }
    local a = t.agent(directory .. "/agent.lua")
    a:http("GET", "https://agent.test/.well-known/agent-card.json", { json = card })
    a:http("POST", "https://agent.test/a2a", function(request)
      local sent = request.json
      if sent.method == "GetTask" then
        return { json = { jsonrpc = "2.0", id = "1", result = { id = "t", status = { state = "TASK_STATE_COMPLETED" },
          artifacts = { { artifactId = "a", parts = { { text = "later" } } } } } } }
      elseif sent.method == "SendMessage" then
        local task = { id = "t", status = { state = "TASK_STATE_WORKING" } }
        return { json = { jsonrpc = "2.0", id = "1", result = { task = task } } }
      end
      local chunks = {}
      for i, text in ipairs { "ro", "ses" } do
        chunks[i] = "data: " .. cjson.encode { jsonrpc = "2.0", id = "1", result = { artifactUpdate = { taskId = "t",
          contextId = "c", artifact = { artifactId = "a", parts = { { text = text } } } } } } .. "\n\n"
      end
      return { chunks = chunks }
    end)
    assert.equal("completed later", a:send("hello").reply)
    assert.equal("roses", a:send("stream").reply)
    -- a token that was given for https does not leave it
    card.supportedInterfaces[1].url = "http://agent.test/a2a"
    local b = t.agent(directory .. "/agent.lua")
    b:http("GET", "https://agent.test/.well-known/agent-card.json", { json = card })
    assert.equal("VERSION_NOT_SUPPORTED", b:send("hello").reply)
    t.reset()
    host.clean_up()
  end)
end)
