--- The playground's A2A pane: the agent card, and what is pushed to the host or asked by A2A clients; for a person and for a
--- program.

local cjson = require "cjson"
local uv = require "luv"
local axe = require "tests.support.axe"
local browser = require "tests.support.browser"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local http = require "tests.support.http"
local loop = require "tests.support.loop"
local process = require "tests.support.process"

local AGENT = [[
return {
  description = "Says it again",
  card = {version = "1.4.0", documentation_url = "https://example.org/docs"},
  handle = function(msg) return "you said: " .. msg.text end,
}]]
local OTHER = AGENT:gsub("1%.4%.0", "1.5.0")
local WRONG = AGENT:gsub("version", "vresion")

local child, port, url, workspace, directory

local function start(script, mode, ...)
  directory = host.directory()
  host.write(directory .. "/parrot.lua", script)
  child = process.spawn { command = { emulator.binary(), "dev", directory .. "/parrot.lua", "--port", "0", "--mode", mode, ... },
    keep_stdin = true }
  url = child:wait_line "^playground: ":match "http%S+"
  port = math.tointeger(tonumber(url:match ":(%d+)/"))
  workspace = child:wait_line " serves workspace ":match "workspace (%x[%x%-]+)"
  child:wait_line("registered as molecule, mode " .. mode, { stream = "stderr" })
end

local function stop()
  child:signal "sigterm"
  assert.equal(0, (child:wait_exit()), child:report())
  assert.is_nil(child.stderr:find("Sanitizer", 1, true), child:report())
end

local function ask(method, path, value)
  return http.request { port = port, method = method, path = "/__emulator/" .. path, json = value }
end

local function say(text)
  local id = ask("POST", "messages", { to = workspace, text = text }).json.ids[1]
  child:wait_line "replied in"
  return id
end

local function clean_up()
  process.kill_all()
  host.clean_up()
  loop.flush()
end

describe("the playground's A2A routes", function()
  after_each(clean_up)

  it("give the card as molecule serve shows it, in both forms", function()
    start(AGENT, "poll")
    local cards = ask("GET", "playground/card").json
    assert.equal("parrot", cards.all.name)
    assert.equal("Says it again", cards.all.description)
    assert.equal("1.4.0", cards.all.version)
    assert.equal("0.3.0", cards.all.protocolVersion)
    assert.is_nil(cards.only_1_0.protocolVersion)
    assert.equal("1.0", cards.only_1_0.supportedInterfaces[1].protocolVersion)
    local served = process.spawn { command = { emulator.binary(), "serve", directory .. "/parrot.lua", "--no-auth", "--listen",
      "127.0.0.1:0", "--state-dir", host.directory() } }
    local at = served:wait_line("listening at http://127.0.0.1:%d+", { stream = "stderr" }):match "listening at (%S+)"
    served:wait_line("serving parrot", { stream = "stderr" })
    local answer = http.request { port = math.tointeger(tonumber(at:match "%d+$")), path = "/.well-known/agent-card.json" }
    local text = cjson.encode(cards.all):gsub("http:\\/\\/127%.0%.0%.1:8090", (at:gsub("/", "\\/")))
    assert.same(answer.json, cjson.decode(text))
    served:signal "sigterm"
    served:wait_exit()
    stop()
  end)

  it("say what is wrong with the card", function()
    start(WRONG, "poll")
    local answer = ask("GET", "playground/card")
    assert.equal(409, answer.status)
    assert.truthy(answer.json.error:find("unknown field 'vresion'", 1, true), answer.body)
    stop()
  end)

  it("give what was pushed, with its answer and without the secret", function()
    start(AGENT, "push")
    local id = say "hello"
    local list = ask("GET", "playground/a2a").json
    assert.is_true(list.pushed)
    assert.equal(1, #list.entries)
    assert.equal(id, list.entries[1].id)
    assert.equal(200, list.entries[1].status)
    local answer = ask("GET", "playground/a2a/" .. list.entries[1].n)
    local request = cjson.decode(answer.json.body)
    assert.equal("message/send", request.method)
    assert.equal("hello", request.params.message.parts[1].text)
    assert.equal("you said: hello", cjson.decode(answer.json.answer).result.parts[1].text)
    assert.same({ "Content-Type: application/json", "Authorization: Bearer (hidden)" }, answer.json.headers)
    local secret = host.read(("%s/%s.inbound"):format(child.stdout:match "%-%-state%-dir (%S+)", workspace))
    assert.is_true(#secret > 20)
    assert.is_nil(answer.body:find(secret, 1, true))
    assert.same({}, ask("GET", "playground/a2a?since=" .. list.last).json.entries)
    assert.equal(404, ask("GET", "playground/a2a/999").status)
    assert.equal(400, ask("GET", "playground/a2a?since=x").status)
    stop()
  end)
end)

if not browser.available() then
  pending "the playground's page needs chromedriver"
  return
end

describe("the playground's A2A pane", function()
  local page

  setup(function()
    page = browser.start { width = 1280, height = 860 }
  end)

  teardown(function()
    page:stop()
    clean_up()
  end)

  local function open(script, mode, ...)
    start(script, mode, ...)
    page:go(url)
    page:wait_js("return document.getElementById('script').textContent", "version 1 answers")
    page:click 'nav [data-pane="a2a"]'
  end

  local function close()
    local complaints = page:console()
    page:go "about:blank"
    stop()
    assert.same({}, complaints)
  end

  local function pane() return "return document.querySelector('molecule-a2a').innerText" end

  it("shows the card, that of a new version, and each exchange", function()
    open(AGENT, "push")
    page:wait_js(pane(), '"version": "1.4.0"')
    page:wait_js(pane(), "molecule serve --card 1.0")
    host.write(directory .. "/parrot.lua", OTHER)
    page:wait_js(pane(), '"version": "1.5.0"')
    say "hello"
    page:wait_js(pane(), "pushed → 200")
    page:click "molecule-a2a li summary"
    page:wait_js(pane(), '"method": "message/send"')
    page:wait_js(pane(), '"text": "you said: hello"')
    page:wait_js(pane(), "Authorization: Bearer (hidden)")
    close()
  end)

  it("shows with --listen the card with its URL, each exchange, and the message in the conversation", function()
    open(AGENT, "poll", "--listen", "127.0.0.1:0")
    local at = child:wait_line "^A2A clients: ":match "http%S+"
    local served_port = math.tointeger(tonumber(at:match "%d+$"))
    page:wait_js(pane(), ('"url": "%s"'):format(at))
    page:wait_js(pane(), "What A2A clients ask the host")
    local function send(method, text)
      return http.request { port = served_port, method = "POST", path = "/", headers = { ["A2A-Version"] = "1.0" },
        json = { jsonrpc = "2.0", id = 1, method = method,
          params = { message = { messageId = text, role = "ROLE_USER", parts = { { text = text } } } } } }
    end
    send("SendMessage", "hello")
    page:wait_js(pane(), "POST / → 200")
    page:click "molecule-a2a li summary"
    page:wait_js(pane(), '"method": "SendMessage"')
    page:wait_js(pane(), '"text": "you said: hello"')
    send("SendStreamingMessage", "streamed")
    page:wait_js(pane(), "POST / → 200 stream")
    page:click "molecule-a2a li summary"
    page:wait_js(pane(), 'data: {"jsonrpc"')
    page:wait_js("return document.getElementById('chat').innerText", "anonymous (A2A)")
    page:wait_js("return document.getElementById('chat').innerText", "you said: streamed")
    close()
  end)

  it("says in poll mode why there are no exchanges", function()
    open(AGENT, "poll")
    page:wait_js(pane(), "In poll mode the host fetches its messages.")
    page:wait_js(pane(), "--listen 127.0.0.1:8090 lets A2A clients ask it")
    page:wait_js(pane(), '"name": "parrot"')
    close()
  end)

  it("has nothing that axe-core calls serious", function()
    local source, problem = axe.source()
    if not source then return pending("axe-core is not here: " .. problem) end
    open(AGENT, "push")
    say "hello"
    page:wait_js(pane(), "pushed → 200")
    page:wait_js(pane(), '"name": "parrot"')
    page:click "molecule-a2a li summary"
    page:wait_js(pane(), '"method": "message/send"')
    page:js(source .. "\nwindow.axe = axe")
    local pictures = emulator.binary():match "^(.*)/" .. "/screenshots"
    uv.fs_mkdir(pictures, 493)
    for _, theme in ipairs { "light", "dark" } do
      page:theme(theme)
      local found = page:js [[
        const { violations } = await window.axe.run(document);
        return violations.filter((one) => one.impact === "serious" || one.impact === "critical")
          .map((one) => `${one.id}: ${one.nodes.map((node) => node.html).join(" ")}`)]]
      assert.same({}, found, theme)
      page:screenshot(("%s/a2a-%s.png"):format(pictures, theme))
    end
    page:theme "light"
    close()
  end)
end)
