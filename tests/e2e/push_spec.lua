--- `molecule connect --mode push`: the platform posts messages to this host.
local cjson = require "cjson"
local uv = require "luv"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local http = require "tests.support.http"
local loop = require "tests.support.loop"

describe("push", function()
  local platform, workspace, port

  setup(function()
    platform = emulator.start { profile = "latest", args = { "--rate-limit", "-1" } }
    platform:order("config", { push_loopback = true })
  end)

  before_each(function()
    workspace = host.workspace(platform)
    local server = uv.new_tcp()
    server:bind("127.0.0.1", 0)
    port = server:getsockname().port
    server:close()
  end)

  after_each(function()
    host.clean_up()
    platform:clear_faults()
  end)

  teardown(function()
    platform:stop()
  end)

  local function options(script, args, more)
    local all = { platform = platform, workspace = workspace, script = script or host.ECHO, bare = true, args = {
      "--mode", "push", "--listen", "127.0.0.1:" .. port, "--public-url", ("http://localhost:%d/a2a/inbound"):format(port),
      table.unpack(args or {}) } }
    for name, value in pairs(more or {}) do all[name] = value end
    return all
  end

  local function connect(...)
    local one = host.start(options(...))
    one:log "registered as molecule, mode push"
    return one
  end

  local function secret(one)
    local path = ("%s/%s.inbound"):format(one.state_dir, workspace.id)
    loop.wait(function() return host.read(path) end, 10000, "the inbound secret is kept")
    return host.read(path)
  end

  local function request(text, id)
    return { jsonrpc = "2.0", id = "r1", method = "message/send", params = {
      message = { kind = "message", messageId = id or emulator.uuid(), role = "user",
        parts = { { kind = "text", text = text } } } } }
  end

  local function start(one, body, token)
    return http.start { port = port, method = "POST", path = "/a2a/inbound", json = body,
      headers = token ~= false and { Authorization = "Bearer " .. (token or secret(one)) } or nil }
  end

  local function post(...)
    local answer = start(...):wait()
    return answer.status, answer.status == 200 and cjson.decode(answer.body) or answer.body, answer
  end

  it("is registered with its URL, and the platform's messages are answered in its own answer", function()
    local one = connect()
    local body = cjson.decode(one:posts("/registry/register")[1].body)
    assert.equal("push", body.delivery_mode)
    assert.equal(("http://localhost:%d/a2a/inbound"):format(port), body.url)
    local status, answer = post(one, request "hello")
    assert.equal(200, status)
    assert.equal("r1", answer.id)
    assert.equal("message", answer.result.kind)
    assert.equal("agent", answer.result.role)
    assert.same({ { kind = "text", text = "echo: hello" } }, answer.result.parts)
    assert.equal("600", host.mode(("%s/%s.inbound"):format(one.state_dir, workspace.id)))
    one:stop()
  end)

  it("refuses whoever has not the platform's secret, before the body is read", function()
    local one = connect()
    secret(one)
    local status, _, answer = post(one, request "hello", false)
    assert.equal(401, status)
    assert.matches("^Bearer", answer.headers["www-authenticate"])
    assert.equal(401, (post(one, request "hello", "another-secret")))
    assert.equal(0, one:count_log "handled")
    one:stop()
  end)

  it("a message that comes twice is handled once, also over a kill", function()
    local script = [[return function(msg) require("molecule").store.incr("count") return "no. " ..
      require("molecule").store.get("count") end]]
    local one = connect(script)
    local body = request("hello", emulator.uuid())
    local _, first = post(one, body)
    local _, second = post(one, body)
    assert.same(first.result.parts, second.result.parts)
    local state_dir = one.state_dir
    one:kill()
    local other = connect(script, nil, { state_dir = state_dir })
    local _, third = post(other, body)
    assert.same(first.result.parts, third.result.parts)
    other:stop()
  end)

  it("what takes longer than the platform waits is answered with words, and shown in the canvas later", function()
    local script = [[local molecule = require "molecule"
      return function(msg) molecule.sleep(0.5) return "at last: " .. msg.text end]]
    local one = connect(script, { "--answer-within", "50ms" })
    local status, answer = post(one, request "hello")
    assert.equal(200, status)
    assert.matches("the answer follows", answer.result.parts[1].text)
    assert.same({ "at last: hello" }, one:canvas(1))
    one:stop()
  end)

  it("a kill while a handler works: the platform sends it again and gets the answer", function()
    local script = [[local molecule = require "molecule"
      return function(msg, ctx)
        if ctx.attempt == 1 then molecule.log.info "working" molecule.sleep(60) end
        return "attempt " .. ctx.attempt
      end]]
    local one = connect(script)
    local body, state_dir = request("hello", emulator.uuid()), one.state_dir
    local running = start(one, body)
    one:log "working"
    one:kill()
    running:close()
    local other = connect(script, nil, { state_dir = state_dir })
    local _, answer = post(other, body)
    assert.equal("attempt 2", answer.result.parts[1].text)
    other:stop()
  end)

  it("a stop before a handler has ended breaks the connection, so that the platform sends it again", function()
    local script = [[local molecule = require "molecule"
      return function()
        molecule.log.info "working"
        molecule.sleep(60)
      end]]
    local one = connect(script, { "--drain", "100ms" })
    local body, state_dir = request("hello", emulator.uuid()), one.state_dir
    local running = start(one, body)
    one:log "working"
    one:stop()
    running:wait()
    assert.is_nil(running.status) -- any status would be an error of the agent's to whoever asked
    local other = connect(nil, nil, { state_dir = state_dir })
    local _, answer = post(other, body)
    assert.equal("echo: hello", answer.result.parts[1].text)
    other:stop()
  end)

  it("a handler that fails is an error to the platform, without its inner words", function()
    local one = connect([[return function() error "secret detail" end]], { "--max-attempts", "1" })
    local _, answer = post(one, request "hello")
    assert.is_table(answer.error)
    assert.is_nil(cjson.encode(answer):find("secret detail", 1, true))
    one:stop()
  end)

  it("a message that is too large to be read is a dead letter, and an error to the platform", function()
    local one = connect()
    local body = request "hello"
    body.params.message.parts[2] = { kind = "data", data = { list = cjson.decode("[" .. ("{},"):rep(499999) .. "{}]") } }
    local _, answer = post(one, body)
    assert.is_table(answer.error)
    one:log "too many JSON values"
    one:stop()
  end)

  it("nothing to say is an answer that holds no text", function()
    local one = connect [[return function() return nil end]]
    local _, answer = post(one, request "hello")
    assert.equal("completed", answer.result.status.state)
    one:stop()
  end)

  it("a question goes to the canvas, and the next message answers it", function()
    local one = connect([[return function(msg, ctx)
      if msg.text ~= "go" then return "handled: " .. msg.text end
      return "you said " .. ctx.ask("which?").text end]], { "--answer-within", "100ms" })
    local _, answer = post(one, request "go")
    assert.matches("the answer follows", answer.result.parts[1].text)
    assert.matches("which%?", one:canvas(1)[1])
    local _, second = post(one, request "blue")
    assert.equal("completed", second.result.status.state)
    assert.equal("you said blue", one:canvas(2)[2])
    one:stop()
  end)

  it("a peer's message reaches it through the platform, and the peer gets the reply for an answer", function()
    local peer = host.workspace(platform)
    local one = connect()
    local answer = platform:request("POST", "/workspaces/" .. workspace.id .. "/a2a", { token = peer.token,
      headers = { ["X-Workspace-ID"] = peer.id }, json = request "hello" })
    assert.equal(200, answer.status)
    assert.equal("echo: hello", cjson.decode(answer.body).result.parts[1].text)
    one:stop()
  end)

  it("a handler waits for what it delegates: to a peer that is pushed to, and to one that polls", function()
    local answer = { jsonrpc = "2.0", id = "1", result = { parts = { { kind = "text", text = "built at once" } } } }
    local quick = host.workspace(platform, { delivery_mode = "push", url = "https://agent.example/",
      push_answer = { body = answer } })
    local polls = host.workspace(platform)
    local other = host.connect { platform = platform, workspace = polls, script = [[return function() return "built later" end]] }
    local one = connect [[local molecule = require "molecule"
      return function(msg)
        local result = molecule.delegate(msg.text, "build it", { timeout = 60 })
        return ("%s: %s"):format(result.status, result.text)
      end]]
    for peer, words in pairs { [quick.id] = "completed: built at once", [polls.id] = "completed: built later" } do
      local _, reply = post(one, request(peer))
      assert.equal(words, reply.result and reply.result.parts[1].text or cjson.encode(reply))
    end
    one:stop()
    other:stop()
  end)

  it("a handler waits for the answer to what it sends: from a peer that is pushed to, and from one that polls", function()
    local answer = { jsonrpc = "2.0", id = "1", result = { parts = { { kind = "text", text = "said at once" } } } }
    local quick = host.workspace(platform, { delivery_mode = "push", url = "https://agent.example/",
      push_answer = { body = answer } })
    local polls = host.workspace(platform)
    local other = host.connect { platform = platform, workspace = polls,
      script = [[return function(msg) return "said later to: " .. msg.text end]] }
    local one = connect [[local molecule = require "molecule"
      return function(msg)
        local result, problem = molecule.send(msg.text, "are you there?", { timeout = 60 })
        return result and tostring(result.text) or problem
      end]]
    for peer, words in pairs { [quick.id] = "said at once", [polls.id] = "said later to: are you there?" } do
      local _, reply = post(one, request(peer))
      assert.equal(words, reply.result and reply.result.parts[1].text or cjson.encode(reply))
    end
    one:stop()
    other:stop()
  end)

  it("a connection that breaks: the platform posts the message again after a heartbeat", function()
    local script = [[local molecule = require "molecule"
      return function(msg, ctx)
        if ctx.attempt == 1 then molecule.log.info "working" molecule.sleep(60) end
        molecule.log.info("attempt " .. ctx.attempt)
        return "done"
      end]]
    local peer = host.workspace(platform)
    local one = connect(script)
    local state_dir = one.state_dir
    local exchange = platform:start_request("POST", "/workspaces/" .. workspace.id .. "/a2a", { token = peer.token,
      headers = { ["X-Workspace-ID"] = peer.id }, json = request "hello" })
    one:log "working"
    one:kill()
    exchange:wait()
    assert.equal(202, exchange.status)
    local other = connect(script, { "--heartbeat-ms", "100" }, { state_dir = state_dir })
    other:log "attempt 2"
    other:stop()
  end)

  it("a file that the platform hands over is kept, read back, and read by the script", function()
    local one = connect [[return function(msg) return msg.files[1].name .. ": " .. msg.files[1]:read() end]]
    local token = secret(one)
    local form = table.concat({ "--b1", 'Content-Disposition: form-data; name="files"; filename="a report.txt"',
      "Content-Type: text/plain", "", "two\0bytes", "--b1--", "" }, "\r\n")
    local function internal(path, method, body, authorization)
      return http.start { port = port, method = method, path = "/a2a/inbound/internal" .. path, body = body, headers = {
        Authorization = authorization or "Bearer " .. token, ["Content-Type"] = "multipart/form-data; boundary=b1" } }:wait()
    end
    local answer = internal("/chat/uploads/ingest", "POST", form)
    assert.equal(200, answer.status)
    local file = cjson.decode(answer.body).files[1]
    assert.equal("a report.txt", file.name)
    assert.equal("text/plain", file.mimeType)
    assert.equal(9, file.size)
    local path = file.uri:match "^workspace:(/workspace/%.molecule/chat%-uploads/[%x-]+%-a_report%.txt)$"
    assert.is_string(path)
    assert.equal("two\0bytes", internal("/file/read?path=" .. path, "GET").body)
    assert.equal("600", host.mode(("%s/%s.files/%s"):format(one.state_dir, workspace.id, path:match "[^/]+$")))
    local body = request "look"
    body.params.message.parts[2] = { kind = "file", file = { name = file.name, uri = file.uri, mimeType = file.mimeType } }
    local _, reply = post(one, body)
    assert.equal("a report.txt: twobytes", reply.result.parts[1].text)
    assert.equal(401, internal("/chat/uploads/ingest", "POST", form, "Bearer wrong").status)
    assert.equal(400, internal("/chat/uploads/ingest", "POST", "no form").status)
    for _, other in ipairs { "/etc/passwd", path .. "x", "/workspace/.molecule/chat-uploads/../x", "" } do
      assert.equal(404, internal("/file/read?path=" .. other, "GET").status)
    end
    one:stop()
  end)

  it("tells an operator whether the platform may rely on the secret", function()
    local one = connect()
    local token = secret(one)
    local answer = http.start { port = port, path = "/a2a/inbound/internal/a2a-auth-status",
      headers = { Authorization = "Bearer " .. token } }:wait()
    assert.equal(200, answer.status)
    local status = cjson.decode(answer.body)
    assert.is_true(status.require_auth)
    assert.is_true(status.inbound_secret_present)
    assert.is_true(status.ready_to_enforce)
    assert.equal(401, http.start { port = port, path = "/internal/a2a-auth-status" }:wait().status)
    one:stop()
  end)

  it("a platform that does not take the URL ends --mode push with its words, and --mode auto polls", function()
    local url = "http://127.0.0.1:" .. port
    local one = host.start(options(nil, nil, { args = { "--mode", "push", "--listen", "127.0.0.1:" .. port,
      "--public-url", "ftp://example.com" } }))
    one:wait_exit(1)
    one:log "the platform will not accept this registration"
    local other = host.start(options(nil, nil, { args = { "--mode", "auto", "--listen", "127.0.0.1:" .. port,
      "--public-url", url, "--interval-ms", "20" } }))
    other:log "polling instead"
    other:log "registered as molecule, mode poll"
    platform:message { to = workspace.id, text = "hello" }
    assert.same({ "echo: hello" }, other:canvas(1))
    other:stop()
  end)

  it("an older platform, which sends no secret, is answered if that is allowed", function()
    local one = connect(nil, { "--insecure-no-auth" })
    local status, answer = post(one, request "hello", false)
    assert.equal(200, status)
    assert.equal("echo: hello", answer.result.parts[1].text)
    one:stop()
  end)

  it("says what is missing", function()
    local function complains(args, words)
      local one = host.start { platform = platform, workspace = workspace, script = host.ECHO, bare = true, args = args }
      one:wait_exit(2)
      assert(one.process.stderr:find(words, 1, true), one.process.stderr)
    end
    complains({ "--mode", "push" }, "--mode push needs --public-url")
    complains({ "--public-url", "https://example.com" }, "belong to --mode push or auto")
    complains({ "--mode", "push", "--public-url", "https://example.com?x=1" }, "must have no query")
    complains({ "--mode", "pull" }, "--mode is poll, push or auto")
  end)
end)
