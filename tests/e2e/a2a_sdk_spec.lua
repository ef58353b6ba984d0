--- `molecule serve` and clients that others wrote: the A2A SDKs for Python, of 1.x and 0.3, and for JavaScript. Each is a
--- program of tests/a2a that says a line of JSON for each of its checks.

local cjson = require "cjson"
local a2a = require "tests.support.a2a"
local loop = require "tests.support.loop"
local process = require "tests.support.process"
local served = require "tests.support.served"
local server = require "tests.support.server"

local TOKEN = ("a1"):rep(12)

describe("molecule serve is understood by", function()
  after_each(served.clean_up)

  -- What the client said, by check; `words` follow the URL, the token and the webhook.
  local function run(version, program, ...)
    local gate = served.gate()
    local hook = server.start(function(_, reply) reply(200, "") end)
    local one = served.start { gate = gate, tokens = "alice " .. TOKEN, secrets = { TOKEN },
      args = { "--allow-webhook", "127.0.0.1" } }
    local client, problem = a2a.client(version, { program, one.url, TOKEN, hook.url .. "/hook", ... })
    if not client then
      one:stop()
      pending(problem)
    end
    client:wait_line '"subscribed"'
    gate.open()
    assert(client:wait_exit() == 0, client:report())
    local said = {}
    for _, line in ipairs(client.lines.stdout) do
      local check = cjson.decode(line)
      assert.is_nil(check.problem, check.problem)
      said[check.check] = check
    end
    loop.wait(function() return #hook.requests > 0 and hook.requests[#hook.requests].body:lower():find "completed" end)
    one:stop()
    return said, hook.requests
  end

  -- `prefix`: how the SDK writes states.
  local function check(said, requests, state)
    assert.equal("words", said.card.name)
    assert.same({ state "COMPLETED", "echo hello" }, { said.send.state, said.send.text })
    assert.is_true(said.get.same)
    assert.equal("a message", said.message.text)
    assert.same({ state "SUBMITTED", state "WORKING", "numbers 1 ", "+numbers 2 ", "+numbers 3", state "COMPLETED" },
      said.stream.words)
    assert.same({ state "INPUT_REQUIRED", state "COMPLETED", "answer this" }, { said.ask.before, said.ask.after, said.ask.text })
    assert.equal(state "CANCELED", said.cancel.state)
    assert.equal(state "WORKING", said.subscribed.state:match "^%S+")
    assert.equal(state "COMPLETED", said.subscribe.last)
    assert.equal("second", said.webhook.id)
    assert.truthy(said.webhook.url:find "/hook/second$")
    assert.truthy(said.unknown.error)
    assert.truthy(said.unknown.text:find("no task none", 1, true))
    assert.truthy(said.refused.text:find("401", 1, true))
    for _, request in ipairs(requests) do
      if request.path == "/hook" then assert.equal("t-1", request.headers["x-a2a-notification-token"]) end
      assert.truthy(request.body:find(said.webhook.task, 1, true))
    end
  end

  local function of_1(state) return "TASK_STATE_" .. state end
  local function of_03(state) return (state:lower():gsub("_", "-")) end

  for _, binding in ipairs { "JSONRPC", "HTTP+JSON" } do
    it("the SDK for Python, 1.x, " .. binding, function()
      local said, requests = run("1.3.0", "tests/a2a/client_1.py", binding)
      check(said, requests, of_1)
      assert.equal(2, said.webhook.count)
      assert.truthy(said.list.count >= 1)
      assert.equal("TaskNotFoundError", said.unknown.error)
    end)
  end

  it("the SDK for Python, 0.3", function()
    local said, requests = run("0.3.26", "tests/a2a/client_03.py")
    check(said, requests, of_03)
  end)

  for _, binding in ipairs { "JSONRPC", "HTTP+JSON", "0.3" } do
    it("the SDK for JavaScript, " .. binding, function()
      local said, requests = run("node", "tests/a2a/client.mjs", binding)
      check(said, requests, of_1)
      assert.equal(2, said.webhook.count)
      if binding ~= "0.3" then assert.equal(2, said.list.count) end
    end)
  end

  it("curl", function()
    local one = served.start { tokens = "alice " .. TOKEN, secrets = { TOKEN } }
    local child = process.spawn { command = { "/usr/bin/env", "curl", "-s", "-H", "A2A-Version: 1.0", "-H",
      "Content-Type: application/json", "-H", "Authorization: Bearer " .. TOKEN, "--data",
      '{"message":{"messageId":"m1","role":"ROLE_USER","parts":[{"text":"echo hello"}]}}', one.url .. "/message:send" } }
    assert(child:wait_exit() == 0, child:report())
    local task = cjson.decode(child.stdout).task
    assert.same({ "TASK_STATE_COMPLETED", "echo hello" }, { task.status.state, task.artifacts[1].parts[1].text })
    one:stop()
  end)
end)
