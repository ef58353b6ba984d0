--- `molecule dev --listen`: the script also answers A2A clients.

local cjson = require "cjson"
local uv = require "luv"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local http = require "tests.support.http"
local loop = require "tests.support.loop"
local process = require "tests.support.process"
local served = require "tests.support.served"

local TALKER = [[
local molecule = require "molecule"
return {concurrency = 4, handle = function(msg, ctx)
  if msg.text == "ask" then return "so it is " .. ctx.ask("Which?").text end
  if msg.text == "progress" then ctx.progress "working on it" return "done" end
  if msg.text == "dead" then return molecule.dead "never" end
  if msg.text == "pieces" then
    ctx.artifact {name = "a", text = "one "}
    ctx.artifact {name = "a", text = "two", append = true, last = true}
    return
  end
  if msg.text == "wait" then
    molecule.log.info "waiting"
    while not io.open "DIRECTORY/go" do molecule.sleep(0.02) end
    return "waited"
  end
  return ("%s said %s, message %d"):format(msg.principal or msg.from, msg.text, molecule.store.incr "n")
end}]]

describe("molecule dev --listen", function()
  local directory, child, port, control, workspace

  before_each(function()
    directory = host.directory()
    host.write(directory .. "/talker.lua", (TALKER:gsub("DIRECTORY", directory)))
  end)

  after_each(function()
    process.kill_all()
    host.clean_up()
    loop.flush()
  end)

  local function spawn(arguments)
    local command = { emulator.binary(), "dev", directory .. "/talker.lua", "--port", "0" }
    for _, word in ipairs(arguments) do command[#command + 1] = word end
    return process.spawn { command = command, keep_stdin = true }
  end

  --- Where A2A clients reach it; with `from`, the next time that it says so.
  local function wait_url(from)
    local line = child:wait_line("^A2A clients: http://", { from = from })
    return line:match "http://%S+", math.tointeger(tonumber(line:match ":(%d+)"))
  end

  local function start(arguments)
    arguments = arguments or {}
    table.insert(arguments, 1, "--listen")
    table.insert(arguments, 2, "127.0.0.1:0")
    child = spawn(arguments)
    control = math.tointeger(tonumber(child:wait_line "^playground: ":match ":(%d+)/"))
    workspace = child:wait_line " serves workspace ":match "workspace (%x[%x%-]+)"
    local url
    url, port = wait_url()
    child:wait_line("mode poll", { stream = "stderr" })
    return url
  end

  local function stop(signal)
    child:signal(signal or "sigterm")
    assert.equal(0, (child:wait_exit()), child:report())
    assert.is_nil(child.stderr:find("Sanitizer", 1, true), child:report())
  end

  local function ask(method, path, json)
    return http.request { port = control, method = method, path = "/__emulator/" .. path, json = json }
  end

  local function begin(method, params, token)
    return http.start { port = port, method = "POST", path = "/", token = token, headers = { ["A2A-Version"] = "1.0" },
      json = { jsonrpc = "2.0", id = 1, method = method, params = params } }
  end

  local function call(method, params, token)
    local answer = begin(method, params, token):wait()
    return answer.json and answer.json.result, answer
  end

  --- The task of a message, when it has ended or asks.
  local function send(text, more, token)
    local result, answer = call("SendMessage", { message = served.message(text, more) }, token)
    return assert(result, answer.body).task
  end

  local function outcome(task) return { served.outcome(task) } end

  local function say(text)
    return ask("POST", "messages", { to = workspace, text = text }).json.ids[1]
  end

  local function message(id) return ask("GET", "playground/messages/" .. id).json end

  --- The exchanges of the playground after `since`, once there are so many.
  local function exchanges(count, since)
    local list
    assert(loop.wait(function()
      list = ask("GET", "playground/a2a?since=" .. (since or 0)).json
      return #list.entries >= count
    end), "there are not so many")
    assert.equal(count, #list.entries)
    return list
  end

  it("answers A2A clients and the canvas with one script and one store", function()
    start()
    assert.same({ "COMPLETED", "anonymous said hello, message 1" }, outcome(send "hello"))
    child.stdin:write "hello\n"
    child:wait_line "^%[%d+%] agent: canvas said hello, message 2$"
    assert.same({ "COMPLETED", "anonymous said hello, message 3" }, outcome(send "hello"))
    stop()
  end)

  it("prints a command that asks it", function()
    local url = start()
    local command = child:wait_line "^  curl .*/message:send$"
    assert.truthy(command:find(url, 1, true))
    for i = 1, 2 do -- it is another message each time
      local curl = process.spawn { command = { "sh", "-c", command } }
      assert.equal(0, (curl:wait_exit()), curl:report())
      assert.same({ "COMPLETED", "anonymous said hello, message " .. i }, outcome(cjson.decode(curl.stdout).task))
    end
    stop()
  end)

  it("shows in the terminal what clients say and get", function()
    start()
    send "hello"
    child:wait_line "^%[1%] anonymous %(A2A%): hello$"
    child:wait_line "^%[1%] agent: anonymous said hello, message 1$"
    child:wait_line "^%[1%] replied in "
    send "dead"
    child:wait_line "^%[2%] anonymous %(A2A%): dead$"
    child:wait_line "^%[2%] dead letter in .*: never$"
    send "pieces"
    child:wait_line "^%[3%] no_reply in "
    send "progress"
    child:wait_line "^%[4%] agent: working on it$"
    child:wait_line "^%[4%] agent: done$"
    stop()
  end)

  it("shows in the playground what became of their messages", function()
    start()
    local task = send "progress"
    child:wait_line "^%[1%] replied in "
    local list = ask("GET", "playground/messages?from=anonymous").json
    assert.equal(1, list.total)
    assert.equal(task.id, list.messages[1].id)
    assert.is_true(list.messages[1].client)
    local one = message(task.id)
    assert.same({ "progress", "replied", "done", "working on it" },
      { one.text, one.outcome, one.reply.text, one.interim[1].text })
    assert.equal("anonymous", cjson.decode(one.attempts[1].msg).principal)
    local kept = ask("GET", ("playground/messages/%s/ledger"):format(task.id)).json
    assert.equal("finished", kept.message.state)
    local test = host.write(directory .. "/copied_spec.lua", ask("GET", ("playground/messages/%s/test"):format(task.id)).body)
    local run = process.spawn { command = { emulator.binary(), "test", test } }
    assert.equal(0, (run:wait_exit()), run:report())
    assert.truthy(host.read(test):find('principal = "anonymous"', 1, true))
    stop()
  end)

  it("keeps questions to clients and to the canvas apart", function()
    start()
    local task = send "ask"
    assert.equal("TASK_STATE_INPUT_REQUIRED", task.status.state)
    assert.equal("Which?", served.text(task.status.message.parts))
    child:wait_line "^%[1%] agent: Which%?$"
    assert.equal("Which?", message(task.id).interim[1].text)
    local id = say "for the canvas"
    child:wait_line "^%[2%] replied in "
    assert.equal("replied", message(id).outcome)
    assert.equal("TASK_STATE_INPUT_REQUIRED", call("GetTask", { id = task.id }).status.state)
    assert.same({ "COMPLETED", "so it is red" }, outcome(send("red", { taskId = task.id, contextId = task.contextId })))
    child:wait_line "^%[3%] anonymous %(A2A%): red$"
    child:wait_line "^%[3%] the answer to question"
    local list
    loop.wait(function()
      list = ask("GET", "playground/messages?from=anonymous").json.messages
      return #list == 2 and list[1].outcome
    end)
    assert.same({ "ask", "red", "answer" }, { list[2].text, list[1].text, list[1].outcome })
    call("SendMessage", { message = { messageId = "data", role = "ROLE_USER", parts = { { data = { a = 1 } } } } })
    child:wait_line "^%[4%] anonymous %(A2A%): %(no text%)$"
    stop()
  end)

  it("has the card with its URL, the same at the server and in the playground", function()
    local url = start()
    local card = http.request { port = port, path = "/.well-known/agent-card.json" }.json
    assert.equal("talker", card.name)
    assert.equal(url, card.supportedInterfaces[1].url)
    assert.is_nil(card.securitySchemes)
    assert.same(card, ask("GET", "playground/card").json.all)
    stop()
  end)

  it("shows in the playground each exchange as it was, without tokens", function()
    local tokens = host.write(directory .. "/tokens", "alice " .. ("a"):rep(20) .. "\n")
    uv.fs_chmod(tokens, 384)
    start { "--auth-token-file", tokens }
    send("hello", nil, ("a"):rep(20))
    call("SendMessage", { message = served.message "hello" }, ("b"):rep(20))
    local list = exchanges(2)
    assert.is_true(list.served)
    assert.is_false(list.pushed)
    assert.same({ "POST", 200 }, { list.entries[1].method, list.entries[1].status })
    assert.equal(401, list.entries[2].status)
    local answer = ask("GET", "playground/a2a/" .. list.entries[1].n)
    assert.equal(("http://127.0.0.1:%d/"):format(port), answer.json.url)
    assert.equal("hello", cjson.decode(answer.json.body).params.message.parts[1].text)
    assert.equal("alice said hello, message 1",
      cjson.decode(answer.json.answer).result.task.artifacts[1].parts[1].text)
    local headers = table.concat(answer.json.headers, "\n")
    assert.truthy(headers:find("Authorization: (hidden)", 1, true))
    assert.truthy(headers:find("A2A-Version: 1.0", 1, true))
    assert.is_nil(answer.body:find(("a"):rep(20), 1, true))
    http.request { port = port, path = "/.well-known/agent-card.json", query = { a = "b c" } }
    list = exchanges(1, list.last)
    assert.equal(("http://127.0.0.1:%d/.well-known/agent-card.json?a=b c"):format(port), list.entries[1].url)
    stop()
  end)

  it("shows no secret of a client either, wherever it is", function()
    local token, mine = ("a"):rep(20), ("m"):rep(20)
    local tokens = host.write(directory .. "/tokens", "alice " .. token .. "\n")
    uv.fs_chmod(tokens, 384)
    start { "--auth-token-file", tokens }
    call("SendMessage", { message = served.message "hello", configuration = { taskPushNotificationConfig = {
      url = "https://example.org/", token = mine, authentication = { scheme = "Bearer", credentials = mine } } } }, token)
    http.request { port = port, path = "/.well-known/agent-card.json", query = { token = token },
      headers = { ["X-Api-Key"] = token } }
    local list = exchanges(2)
    for _, entry in ipairs(list.entries) do
      local answer = ask("GET", "playground/a2a/" .. entry.n)
      assert.is_nil(answer.body:find(token, 1, true))
      assert.is_nil(answer.body:find(mine, 1, true))
    end
    local body = cjson.decode(ask("GET", "playground/a2a/" .. list.entries[1].n).json.body)
    local config = body.params.configuration.taskPushNotificationConfig
    assert.same({ "(hidden)", { scheme = "Bearer", credentials = "(hidden)" } }, { config.token, config.authentication })
    stop()
  end)

  it("shows a stream with all that has come of it", function()
    start()
    local stream = begin("SendStreamingMessage", { message = served.message "pieces" }):wait()
    local list = exchanges(1)
    assert.is_true(list.entries[1].streams)
    local entry
    assert(loop.wait(function()
      entry = ask("GET", "playground/a2a/" .. list.entries[1].n).json
      return #entry.answer >= #stream.body
    end))
    assert.equal(stream.body, entry.answer)
    assert.is_nil(entry.cut)
    stop()
  end)

  it("reloads the script for both", function()
    start()
    send "hello"
    host.write(directory .. "/talker.lua",
      [[return {card = {version = "2.0.0"}, handle = function() return "the new one" end}]])
    assert(loop.wait(function() return outcome(send "hello")[2] == "the new one" end))
    local id = say "hello"
    child:wait_line "^%[%d+%] agent: the new one$"
    assert(loop.wait(function() return message(id).outcome == "replied" end))
    assert.equal("2.0.0", http.request { port = port, path = "/.well-known/agent-card.json" }.json.version)
    assert.equal("2.0.0", ask("GET", "playground/card").json.all.version)
    stop()
  end)

  it("does not begin with a card that is wrong", function()
    host.write(directory .. "/talker.lua", [[return {card = {vresion = "1"}, handle = function() end}]])
    child = spawn { "--listen", "127.0.0.1:0" }
    assert.equal(2, (child:wait_exit()), child:report())
    assert.truthy(child.stderr:find("unknown field 'vresion'", 1, true), child:report())
  end)

  it("keeps tasks over a crash of the host", function()
    start()
    local answer = begin("SendMessage", { message = served.message "wait", configuration = { returnImmediately = true } }):wait()
    local id = answer.json.result.task.id
    child:wait_line("waiting", { stream = "stderr" })
    local from = #child.lines.stdout + 1
    assert.equal(200, ask("POST", "kill").status)
    local _, again = wait_url(from)
    port = again
    child:wait_line "^%-%- the host runs again"
    host.write(directory .. "/go", "")
    assert(loop.wait(function()
      local task = call("GetTask", { id = id })
      return task and outcome(task)[1] == "COMPLETED" and outcome(task)[2] == "waited"
    end))
    stop()
  end)

  it("ends in order with Ctrl-C: who waits for an answer gets it", function()
    start()
    local waiting = begin("SendMessage", { message = served.message "wait" })
    local id = say "wait"
    local _, at = child:wait_line("waiting", { stream = "stderr" })
    child:wait_line("waiting", { stream = "stderr", from = at + 1 })
    child:signal "sigint"
    child:wait_line("stopping; finishing", { stream = "stderr" })
    host.write(directory .. "/go", "")
    waiting:wait()
    assert.same({ "COMPLETED", "waited" }, outcome(waiting.json.result.task))
    assert.equal(0, (child:wait_exit()), child:report())
    assert.truthy(child.stdout:find("agent: waited", 1, true), id .. child:report())
    assert.is_nil(child.stderr:find("Sanitizer", 1, true), child:report())
  end)

  it("listens at a unix socket, too, and says how to ask there", function()
    local socket = directory .. "/a.sock"
    child = spawn { "--listen", "unix:" .. socket }
    child:wait_line "^A2A clients: http://localhost at unix:"
    child:wait_line("mode poll", { stream = "stderr" })
    local curl = process.spawn { command = { "sh", "-c", child:wait_line "^  curl .*/message:send$" } }
    assert.equal(0, (curl:wait_exit()), curl:report())
    assert.same({ "COMPLETED", "anonymous said hello, message 1" }, outcome(cjson.decode(curl.stdout).task))
    stop()
  end)

  it("refuses what lets strangers ask, and what does not fit", function()
    for expected, arguments in pairs {
      ["--listen 0.0.0.0:8090 is neither a loopback address nor a unix socket"] = { "--listen", "0.0.0.0:8090" },
      ["take 127.0.0.1:PORT, or give --auth-token-file"] = { "--listen", "8090" },
      ["--listen is for A2A clients, and --mode push has a server"] = { "--listen", "127.0.0.1:0", "--mode", "push" },
      ["give --listen, too, which says where"] = { "--auth-token-file", "tokens" },
      ["a public URL is for molecule serve"] = { "--public-url", "https://example.org" },
    } do
      child = spawn(arguments)
      assert.equal(2, (child:wait_exit()), child:report())
      assert.truthy(child.stderr:find(expected, 1, true), child:report())
    end
    local alone = process.spawn { command = { emulator.binary(), "dev", "--headless", "--listen", "127.0.0.1:0" } }
    assert.equal(2, (alone:wait_exit()), alone:report())
    assert.truthy(alone.stderr:find("--headless runs the emulator alone; remove --listen", 1, true), alone:report())
  end)

  it("says that the port is in use, and ends", function()
    start()
    local first, url = child, "127.0.0.1:" .. port
    child = spawn { "--listen", url }
    assert.equal(1, (child:wait_exit()), child:report())
    assert.truthy(child.stderr:find(url .. " is in use by another program", 1, true), child:report())
    child = first
    stop()
  end)
end)
