--- What docs/serve.md and docs/push.md say, as far as no other spec shows it; the examples are run as they are.

local cjson = require "cjson"
local uv = require "luv"
local docs = require "tests.support.docs"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local http = require "tests.support.http"
local loop = require "tests.support.loop"
local process = require "tests.support.process"
local server = require "tests.support.server"

local PAGE = "docs/serve.md"

local AGENT = [[
local molecule = require "molecule"
local words = {}
function words.ask(_, ctx) return ctx.ask("Which?").text end
function words.fail()
  if molecule.store.get "repaired" then return "fine" end
  error "broken"
end
function words.repair() molecule.store.set("repaired", true) end
function words.platform()
  local codes = {}
  for _, call in ipairs {"send", "delegate"} do
    codes[#codes + 1] = select(3, molecule[call]("11111111-1111-4111-8111-111111111111", "x"))
  end
  codes[#codes + 1] = select(3, molecule.peers())
  return table.concat(codes, " ")
end
function words.notify() return tostring(molecule.notify "noticed") end
return {
  name = "documented", concurrency = 4,
  %s
  start = function() molecule.after(0, function() molecule.log("notify: %%s", select(3, molecule.notify "x")) end) end,
  handle = function(msg, ctx) return words[msg.text] and words[msg.text](msg, ctx) or "heard " .. msg.text end,
}]]

describe("docs/serve.md", function()
  local count = 0

  after_each(function()
    process.kill_all()
    server.stop_all()
    loop.flush()
    host.clean_up()
  end)

  --- {process, port, directory}; options: script, args, directory (of an earlier one), state
  local function start(options)
    local directory = options.directory or host.directory()
    local path = options.script and host.write(directory .. "/agent.lua", options.script) or directory .. "/agent.lua"
    local command = { emulator.binary(), "serve", path, "--listen", "127.0.0.1:0", "--state-dir", directory .. "/state" }
    for _, word in ipairs(options.args or { "--no-auth" }) do command[#command + 1] = word end
    local child = process.spawn { command = command, env = { HOME = directory, MOLECULE_STATE_DIR = false,
      STATE_DIRECTORY = false, MOLECULE_AUTH_TOKEN_FILE = false } }
    local line = child:wait_line("listening at http://", { stream = "stderr" })
    child:wait_line(": serving ", { stream = "stderr" })
    return { process = child, port = tonumber(line:match ":(%d+)$"), directory = directory }
  end

  local function start_agent(fields, args) return start { script = AGENT:format(fields or ""), args = args } end

  local function stop(one)
    one.process:signal "sigterm"
    assert(one.process:wait_exit() == 0, one.process:report())
    assert(not one.process.stderr:find "Sanitizer", one.process:report())
  end

  local function request(one, method, path, json, headers)
    local all = { ["A2A-Version"] = "1.0" }
    for name, value in pairs(headers or {}) do all[name] = value or nil end
    if headers and headers["A2A-Version"] == false then all["A2A-Version"] = nil end
    return http.request { port = one.port, method = method, path = path, json = json, headers = all }
  end

  local function message(text, more)
    count = count + 1
    local said = { messageId = "m" .. count, role = "ROLE_USER", parts = { { text = text } } }
    for name, value in pairs(more or {}) do said[name] = value end
    return said
  end

  local function send(one, text, more, configuration)
    local answer = request(one, "POST", "/message:send", { message = message(text, more), configuration = configuration })
    return answer.json and answer.json.task, answer
  end

  local function text_of(task) return task.artifacts[1].parts[1].text end

  -- What is between two "…" follows in that order.
  local function is_shown(sample, text)
    local at = 1
    for piece in (sample:gsub("\n *", "") .. "…"):gmatch "(.-)…" do
      local from, to = text:find(piece, at, true)
      if not from then return false, piece end
      at = to + 1
    end
    return true
  end

  it("has a quick start that is true", function()
    local blocks = docs.blocks(PAGE)
    local by_language = {}
    for _, block in ipairs(blocks) do
      by_language[block.language] = by_language[block.language] or {}
      table.insert(by_language[block.language], block.text)
    end
    local one = start { script = by_language.lua[1] }
    host.write(one.directory .. "/message.json", by_language.json[1])
    host.write(one.directory .. "/request.json", by_language.json[2])
    local shown = {}
    for _, block in ipairs(by_language.sh) do
      for line in block:gmatch "[^\n]+" do
        if line:find "^curl " then
          local command = line:gsub(":8090", ":" .. one.port)
          local child = process.spawn { command = { "/bin/sh", "-c", command }, cwd = one.directory }
          assert(child:wait_exit() == 0, child:report())
          shown[#shown + 1] = child.stdout
        end
      end
    end
    assert.equal(3, #shown)
    assert.equal("1.0", cjson.decode(shown[1]).supportedInterfaces[1].protocolVersion)
    local fine, piece = is_shown(by_language.text[1], shown[2])
    assert(fine, ("%s is not in %s"):format(tostring(piece), shown[2]))
    local lines = {}
    for line in shown[3]:gmatch "[^\n]+" do lines[#lines + 1] = line end
    local i = 0
    for sample in by_language.text[2]:gmatch "[^\n]+" do
      i = i + 1
      fine, piece = is_shown(sample, lines[i] or "")
      assert(fine, ("%s is not in %s"):format(tostring(piece), tostring(lines[i])))
    end
    assert.equal(i, #lines)
    stop(one)
  end)

  it("tokens: the file that it shows is taken", function()
    local directory, text = host.directory(), nil
    for _, block in ipairs(docs.blocks(PAGE)) do text = block.text:find "^# tokens" and block.text or text end
    local tokens = host.write(directory .. "/tokens", text)
    local one = start { script = "return function(msg) return msg.principal end", directory = directory,
      args = { "--auth-token-file", tokens } }
    for name, token in text:gmatch "(%l+) +(%x+)\n" do
      local answer = request(one, "POST", "/message:send", { message = message "who?" }, { Authorization = "Bearer " .. token })
      assert.equal(name, text_of(answer.json.task))
    end
    assert.equal(401, request(one, "GET", "/tasks").status)
    stop(one)
  end)

  it("the card: what stands there, what only clients with a token see, what they must name", function()
    local bare = start { script = "return function() end" }
    assert.equal("agent", request(bare, "GET", "/.well-known/agent-card.json").json.name)
    stop(bare)
    local one = start_agent [[card = {version = "1.2", documentation_url = "https://example.com/docs",
      input_modes = {"text/plain", "image/png"}, provider = {organization = "Example", url = "https://example.com"}, form = "1.0",
      extensions = {{uri = "https://example.com/ext", required = true}}, extended = {description = "in confidence"}},]]
    local card = request(one, "GET", "/.well-known/agent-card.json").json
    assert.same({ "1.2", "https://example.com/docs", "image/png", "Example", true }, { card.version, card.documentationUrl,
      card.defaultInputModes[2], card.provider.organization, card.capabilities.extendedAgentCard })
    assert.is_nil(card.url)
    local named = { ["A2A-Extensions"] = "https://example.com/ext" }
    assert.equal("in confidence", request(one, "GET", "/extendedAgentCard", nil, named).json.description)
    local refused = request(one, "GET", "/tasks")
    assert.equal("EXTENSION_SUPPORT_REQUIRED", refused.json.error.details[1].reason)
    assert.equal(200, request(one, "GET", "/tasks", nil, named).status)
    stop(one)
  end)

  it("a card with a mistake keeps the server from starting", function()
    local directory = host.directory()
    for fields, words in pairs { ["card = {verson = '1'},"] = "unknown field 'verson'",
      ["card = {version = 1},"] = "must be a string",
      ["card = {input_modes = {1}},"] = "lists of media types", ["card = {form = '0.3'},"] = "card.form" } do
      host.write(directory .. "/agent.lua", AGENT:format(fields))
      local child = process.spawn { command = { emulator.binary(), "serve", directory .. "/agent.lua", "--no-auth", "--listen",
        "127.0.0.1:0", "--state-dir", directory .. "/state" } }
      assert(child:wait_exit() ~= 0, child:report())
      assert(child.stderr:find(words, 1, true), child:report())
    end
  end)

  it("0.3 is spoken below /v1, too, in the words of its JSON-RPC", function()
    local one = start_agent()
    local said = { kind = "message", messageId = "old", role = "user", parts = { { kind = "text", text = "old" } } }
    local task = request(one, "POST", "/v1/message:send", { message = said }, { ["A2A-Version"] = false }).json
    assert.same({ "task", "completed" }, { task.kind, task.status.state })
    assert.equal("completed", request(one, "GET", "/v1/tasks/" .. task.id, nil, { ["A2A-Version"] = false }).json.status.state)
    stop(one)
  end)

  it("a repeated message finds its task, unless the agent does not want it to", function()
    for fields, is_same in pairs { [""] = true, ["finds_repeats = false,"] = false } do
      local one = start_agent(fields)
      local first, second = send(one, "x", { messageId = "same" }), send(one, "x", { messageId = "same" })
      assert.equal(is_same, first.id == second.id)
      stop(one)
    end
  end)

  it("there is no platform; a notice is a status update", function()
    local one = start_agent()
    assert.equal("NO_PLATFORM NO_PLATFORM NO_PLATFORM", text_of(send(one, "platform")))
    local task = send(one, "notify")
    assert.same({ "true", "noticed" }, { text_of(task), task.history[2].parts[1].text })
    one.process:wait_line("notify: NO_PLATFORM", { stream = "stderr" })
    stop(one)
  end)

  it("a dead letter that runs again does not change its task; the commands take the script's name", function()
    local one = start_agent(nil, { "--no-auth", "--max-attempts", "1" })
    local task = send(one, "fail")
    assert.equal("TASK_STATE_FAILED", task.status.state)
    send(one, "repair")
    local function run(...)
      local child = process.spawn { command = { emulator.binary(), ... } }
      assert(child:wait_exit() == 0, child:report())
      return child.stdout
    end
    local state = one.directory .. "/state"
    assert(run("dead", "list", "agent", "--state-dir", state):find(task.id, 1, true))
    local retried = run("dead", "retry", "agent", task.id, "--state-dir", state)
    assert.truthy(retried:find("its task has ended and stays FAILED", 1, true), retried)
    loop.wait(function() return run("status", "agent", "--state-dir", state):find "dead +0" end, 10000, "it ran again")
    local line = one.process:wait_line("its task had ended before", { stream = "stderr" })
    assert.truthy(line:find("message " .. task.id .. " from anonymous ended as replied", 1, true), line)
    assert.truthy(line:find("the reply: fine", 1, true), line)
    local now = request(one, "GET", "/tasks/" .. task.id).json
    assert.equal("TASK_STATE_FAILED", now.status.state)
    assert.is_nil(now.artifacts)
    stop(one)
  end)

  it("what is too large is refused", function()
    local one = start_agent(nil, { "--no-auth", "--max-body", "2KiB" })
    local _, answer = send(one, ("x"):rep(3000))
    assert.equal(413, answer.status)
    assert.equal(431, request(one, "GET", "/tasks", nil, { ["X-Large"] = ("x"):rep(20000) }).status)
    stop(one)
  end)

  it("web pages of an origin that is named may read answers", function()
    local one = start_agent(nil, { "--no-auth", "--cors-origin", "https://example.org" })
    local function allowed(origin)
      return request(one, "GET", "/tasks", nil, { Origin = origin }).headers["access-control-allow-origin"]
    end
    assert.equal("https://example.org", allowed "https://example.org")
    assert.is_nil(allowed "https://other.example")
    stop(one)
  end)

  describe("docs/push.md", function()
    local platform

    before_each(function()
      platform = emulator.start { profile = "latest", args = { "--rate-limit", "-1" } }
      platform:order("config", { push_loopback = true })
    end)
    after_each(function() platform:stop() end)

    local function free_port()
      local socket = uv.new_tcp()
      socket:bind("127.0.0.1", 0)
      local port = socket:getsockname().port
      socket:close()
      return port
    end

    it("peers are the canvas to a script", function()
      local workspace, peer, port = host.workspace(platform), host.workspace(platform), free_port()
      local one = host.start { platform = platform, workspace = workspace, bare = true,
        script = [[return function(msg) return msg.from .. tostring(msg.peer) .. tostring(msg.task) end]],
        args = { "--mode", "push", "--listen", "127.0.0.1:" .. port, "--public-url", ("http://localhost:%d/x"):format(port) } }
      one:log "registered as molecule, mode push"
      local said = { jsonrpc = "2.0", id = "r", method = "message/send", params = { message = { kind = "message", role = "user",
        messageId = emulator.uuid(), parts = { { kind = "text", text = "hello" } } } } }
      local answer = platform:request("POST", "/workspaces/" .. workspace.id .. "/a2a", { token = peer.token,
        headers = { ["X-Workspace-ID"] = peer.id }, json = said })
      assert.equal("canvasnilnil", cjson.decode(answer.body).result.parts[1].text)
      one:stop()
    end)

    it("several workspaces have no push", function()
      local workspace, other = host.workspace(platform), host.workspace(platform)
      local one = host.start { platform = platform, workspace = workspace, script = host.ECHO, bare = true,
        args = { other.id, "--mode", "push", "--public-url", "https://example.com" } }
      one:wait_exit(2)
      assert(one.process.stderr:find("--mode push is for one workspace", 1, true), one.process.stderr)
    end)
  end)

  describe("webhooks", function()
    local function path_of(task) return ("/tasks/%s/pushNotificationConfigs"):format(task.id) end

    it("are refused unless they are https and public", function()
      local one = start_agent()
      local task = send(one, "ask")
      for url, words in pairs { ["http://example.com/x"] = "it is not https", ["https://127.0.0.1/x"] = "not public",
        ["https://localhost/x"] = "not public", ["https://10.1.2.3/"] = "not public", ["https://192.168.1.1/"] = "not public",
        ["https://169.254.169.254/latest"] = "not public", ["https://[::1]/"] = "not public",
        ["https://[fd00::1]/"] = "not public" } do
        local answer = request(one, "POST", path_of(task), { taskId = task.id, url = url })
        assert.equal(400, answer.status)
        assert(answer.json.error.message:find(words, 1, true), url .. ": " .. answer.body)
      end
      for i = 1, 21 do
        local answer = request(one, "POST", path_of(task), { taskId = task.id, id = "n" .. i, url = "https://example.com/x" })
        assert.equal(i < 21 and 200 or 400, answer.status)
      end
      stop(one)
    end)

    -- A receiver: {url, requests}, which answers with receiver.status.
    local function receive()
      local receiver = { requests = {}, status = 200 }
      local web = server.start(function(got, reply)
        table.insert(receiver.requests, got)
        reply(receiver.status, "")
      end)
      receiver.url, receiver.place = web.url .. "/hook", web.url:match "//(.*)"
      return receiver
    end

    it("get each event in order, with the client's secrets, which are not shown again", function()
      local receiver = receive()
      local one = start_agent(nil, { "--no-auth", "--allow-webhook", receiver.place })
      local task = send(one, "x", nil, { taskPushNotificationConfig = { id = "mine", url = receiver.url, token = "a-token",
        authentication = { scheme = "Bearer", credentials = "a-secret" } } })
      local function state(i)
        local event = cjson.decode(receiver.requests[i].body)
        local status = event.task and event.task.status or event.statusUpdate and event.statusUpdate.status
        return status and status.state
      end
      loop.wait(function()
        return #receiver.requests > 1 and state(#receiver.requests) == "TASK_STATE_COMPLETED"
      end, 10000, "the end is told")
      assert.equal("TASK_STATE_SUBMITTED", state(1))
      for _, got in ipairs(receiver.requests) do
        assert.same({ "a-token", "Bearer a-secret" }, { got.headers["x-a2a-notification-token"], got.headers.authorization })
      end
      local shown = request(one, "GET", path_of(task)).body
      assert(shown:find(receiver.url:gsub("/", "\\/"), 1, true) or shown:find(receiver.url, 1, true), shown)
      assert(not shown:find "a%-secret" and not shown:find "a%-token", shown)
      stop(one)
    end)

    it("that cannot be reached are told later, also after a restart", function()
      local receiver = receive()
      receiver.status = 503
      local args = { "--no-auth", "--allow-webhook", receiver.place }
      local one = start_agent(nil, args)
      send(one, "x", nil, { taskPushNotificationConfig = { url = receiver.url } })
      loop.wait(function() return #receiver.requests > 0 end, 10000, "it is tried")
      one.process:kill()
      one.process:wait_exit()
      receiver.status = 200
      local before = #receiver.requests
      local two = start { directory = one.directory, args = args }
      loop.wait(function()
        local last = receiver.requests[#receiver.requests]
        return #receiver.requests > before and last.body:find "COMPLETED"
      end, 10000, "the end is told")
      stop(two)
    end)

    it("that refuse five times lose a notification", function()
      local receiver = receive()
      receiver.status = 404
      local one = start_agent(nil, { "--no-auth", "--allow-webhook", receiver.place })
      send(one, "x", nil, { taskPushNotificationConfig = { url = receiver.url } })
      one.process:wait_line("a notification is dropped: its webhook answers with status 404",
        { stream = "stderr", timeout_ms = 60000 })
      assert(#receiver.requests >= 5)
      stop(one)
    end)
  end)

  it("numbers that no double and no 64 bits hold are kept as texts, and messages of 2001 levels are refused", function()
    local one = start_agent(nil, { "--no-auth" })
    local function say(data, id)
      local body = ('{"message":{"messageId":"%s","role":"ROLE_USER","parts":[{"data":%s}]}}'):format(id, data)
      return http.request { port = one.port, method = "POST", path = "/message:send", body = body,
        headers = { ["A2A-Version"] = "1.0", ["Content-Type"] = "application/json" } }
    end
    local answer = say("[9223372036854775807,9223372036854775808,-1e400,1e308,0.1]", "numbers")
    assert.equal(200, answer.status)
    assert(answer.body:find('{"data":[9223372036854775807,"9223372036854775808","-1e400",1e308,0.1]}', 1, true), answer.body)
    assert.equal(200, say(("["):rep(1900) .. ("]"):rep(1900), "deep").status)
    assert.equal(400, say(("["):rep(2001) .. ("]"):rep(2001), "too deep").status)
    stop(one)

  end)
end)
