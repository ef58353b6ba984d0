--- Open questions of handlers (ctx.ask) in the playground: what a person sees of them and does there, and a program.

local uv = require "luv"
local axe = require "tests.support.axe"
local browser = require "tests.support.browser"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local http = require "tests.support.http"
local loop = require "tests.support.loop"
local process = require "tests.support.process"

local AGENT = [[
local molecule = require "molecule"
return {concurrency = 4, handle = function(msg, ctx)
  local function answered(answer, problem)
    return answer and ("answer: %s from %s"):format(answer.choice or answer.text, answer.from) or problem
  end
  if msg.text == "name" then return answered(ctx.ask("Which name?", {hold = false})) end
  if msg.text:find "^deploy" then
    return answered(ctx.ask("Shall I " .. msg.text .. "?", {choices = {"yes", "yes, later", "no"}, hold = false}))
  end
  if msg.text:find "^peer " then
    return answered(ctx.ask("Are you there?", {from = msg.text:sub(6), choices = {"here", "not here"}, hold = false}))
  end
  if msg.text == "twice" then
    local first = ctx.ask("First?", {choices = {"yes", "no"}, hold = false})
    return answered(ctx.ask("Second, after " .. first.choice .. "?", {hold = false}))
  end
  if msg.text == "long" then return answered(ctx.ask(("many words "):rep(500), {choices = {"yes", "no"}, hold = false})) end
  return "you said: " .. msg.text
end}]]

local child, port, url, workspace, directory

local function start()
  directory = host.directory()
  host.write(directory .. "/agent.lua", AGENT)
  child = process.spawn { command = { emulator.binary(), "dev", directory .. "/agent.lua", "--port", "0" }, keep_stdin = true }
  url = child:wait_line "^playground: ":match "http%S+"
  port = math.tointeger(tonumber(url:match ":(%d+)/"))
  workspace = child:wait_line " serves workspace ":match "workspace (%x[%x%-]+)"
  child:wait_line("the platform minted a token; it is kept in", { stream = "stderr" }) -- it survives a kill
end

local function stop()
  child:signal "sigterm"
  local code = child:wait_exit()
  assert.equal(0, code, child:report())
  assert.is_nil(child.stderr:find("Sanitizer", 1, true), child:report())
end

local function ask(method, path, body)
  return http.request { port = port, method = method, path = "/__emulator/" .. path, json = body }
end

local function send(text, more)
  local message = { to = workspace, text = text }
  for name, value in pairs(more or {}) do message[name] = value end
  return ask("POST", "messages", message).json.ids[1]
end

local function new_peer(name) return ask("POST", "workspaces", { name = name }).json.id end

-- For what is no event of the loop: it is asked again and again.
local function eventually(condition)
  local timer = uv.new_timer()
  timer:start(20, 20, function() end)
  local found = loop.wait(condition)
  timer:close()
  return assert(found, "in time")
end

-- Waits until so many are open; the list.
local function wait_open(count)
  local list
  eventually(function()
    list = ask("GET", "playground/questions").json.questions
    return list and #list == count -- it cannot be asked while the host starts
  end)
  return list
end

describe("the playground's questions", function()
  before_each(start)

  after_each(function()
    stop()
    process.kill_all()
    host.clean_up()
    loop.flush()
  end)

  it("are listed, answered and canceled by requests, and what cannot be is refused with a reason", function()
    local id = send "deploy"
    local one = wait_open(1)[1]
    assert.same({ "Shall I deploy?", "canvas", id, "yes, later" }, { one.text, one.to, one.message, one.choices[2] })
    local route = ("playground/questions/%s/"):format(one.code)
    local refused = ask("POST", route .. "answer", { text = "maybe" })
    assert.equal(409, refused.status)
    assert.equal('"maybe" is none of the choices: Please answer yes, yes, later or no.', refused.json.error)
    for _, body in ipairs { { text = " " }, { text = 1 }, { other = "yes" } } do
      assert.equal(400, ask("POST", route .. "answer", body).status)
    end
    assert.equal(200, ask("POST", route .. "answer", { text = "no" }).status)
    assert.equal(0, #ask("GET", "playground/questions").json.questions)
    child:wait_line "answer: no from operator"
    assert.equal(409, ask("POST", route .. "cancel", { x = 1 }).status)
    send "name"
    assert.equal(200, ask("POST", ("playground/questions/%s/cancel"):format(wait_open(1)[1].code), { x = 1 }).status)
    child:wait_line "it was canceled by the operator"
  end)

  it("are told to whoever listens when one is asked and when it is answered, by a peer, too", function()
    local stream = http.start { port = port, path = "/__emulator/playground/events" }
    local bob = new_peer "bob"
    send("peer " .. bob)
    stream:wait_body '"text":"Are you there?"'
    assert(stream.body:find('"message":"', 1, true), stream.body)
    assert.is_nil(stream.body:find('"questions":[]', 1, true), stream.body)
    send("here", { from = bob })
    stream:wait_body '"questions":[]'
    stream:close()
  end)

  it("are still open after the host was killed", function()
    local stream = http.start { port = port, path = "/__emulator/playground/events" }
    send "name"
    local code = wait_open(1)[1].code
    stream:wait_body(('"code":"%s"'):format(code))
    ask("POST", "kill", { x = 1 })
    child:wait_line "the host runs again"
    assert.equal(code, wait_open(1)[1].code)
    send "Ada"
    stream:wait_body '"questions":[]'
    stream:close()
    child:wait_line "answer: Ada from canvas"
  end)
end)

if not browser.available() then
  pending "the questions on the playground's page need chromedriver"
  return
end

describe("a question on the playground's page", function()
  local page

  setup(function()
    page = browser.start { width = 1280, height = 860 }
  end)

  before_each(function()
    start()
    page:go(url)
    page:wait_js("return document.getElementById('script').textContent", "version 1 answers")
  end)

  after_each(function()
    local complaints = page:console()
    page:go "about:blank" -- it would complain when the stream ends
    stop()
    assert.same({}, complaints)
  end)

  teardown(function()
    page:stop()
    process.kill_all()
    host.clean_up()
    loop.flush()
  end)

  local function say(text)
    page:type("molecule-composer textarea", text .. browser.ENTER)
  end

  local function rows() return "return document.querySelector('molecule-list .canvas').innerText" end

  local function what() return "return document.querySelector('molecule-what').innerText" end

  local function listed() return "return document.querySelector('molecule-questions').innerText" end

  -- The choices that can be pressed in the conversation.
  local CHOICES = "return [...document.querySelectorAll('.row .choose button:enabled')].map((one) => one.textContent).join('|')"

  -- Presses a button as a person would who sees it.
  local function press(selector, text)
    page:wait_js(([[
      const one = [...document.querySelectorAll(%q)].find((each) => each.textContent === %q);
      if (one) one.click();
      return Boolean(one)]]):format(selector, text))
  end

  local function wait_count(count)
    page:wait_js(([[
      const one = document.getElementById('question-count');
      return one.hidden ? %d === 0 : one.textContent === '%d']]):format(count, count))
  end

  it("appears in the list and on its tab when it is asked, and disappears when it is answered in the conversation", function()
    page:click ".tab[data-pane=state]"
    page:wait_js(listed(), "none")
    say "name"
    page:wait_js(listed(), "Which name?")
    page:wait_js(listed(), "to canvas, since ")
    page:wait_js(listed(), "until ")
    wait_count(1)
    say "Ada"
    page:wait_js(rows(), "answer: Ada from canvas")
    page:wait_js(listed(), "none")
    wait_count(0)
  end)

  it("is answered from the list: in a text field, or by a button for each choice", function()
    say "deploy"
    page:click ".tab[data-pane=state]"
    page:wait_js(listed(), "Shall I deploy?")
    say "name"
    page:wait_js(listed(), "Which name?")
    page:type("molecule-questions textarea", "Ada")
    press("molecule-questions button", "yes, later")
    page:wait_js(rows(), "answer: yes, later from operator")
    wait_count(1)
    assert.equal("Ada", page:js "return document.querySelector('molecule-questions textarea').value") -- while others come and go
    press("molecule-questions button", "Answer")
    page:wait_js(rows(), "answer: Ada from operator")
    wait_count(0)
  end)

  it("is canceled from the list, and links to its message", function()
    say "deploy"
    page:wait_js(rows(), "Shall I deploy?")
    say "hello"
    page:wait_js(rows(), "you said: hello")
    page:click ".tab[data-pane=state]"
    press("molecule-questions button", "Message 1")
    page:wait_js("return document.querySelector('molecule-what').innerText", "Message 1")
    assert.equal("what", page:js "return document.body.dataset.pane")
    page:click ".tab[data-pane=state]"
    press("molecule-questions button", "Cancel question")
    page:wait_js(rows(), "it was canceled by the operator")
    wait_count(0)
  end)

  it("to a peer is in the list with the peer's name, and has no buttons in the conversation", function()
    local bob = new_peer "bob"
    page:click ".tab[data-pane=state]"
    say("peer " .. bob)
    page:wait_js(listed(), "to bob, since ")
    page:wait_js(rows(), "agent to bob")
    assert.equal("", page:js(CHOICES))
    press("molecule-questions button", "not here")
    page:wait_js(rows(), "answer: not here from operator")
    wait_count(0)
  end)

  it("has buttons for its choices in the conversation, and a press sends the choice as a message", function()
    say "deploy"
    page:wait_js(CHOICES, "yes|yes, later|no")
    press(".row .choose button", "yes, later")
    page:wait_js(rows(), "answer: yes, later from canvas")
    page:wait_js "return !document.querySelector('.row .choose')"
    local sent = page:js "return [...document.querySelectorAll('.row .bubble.person')].map((one) => one.innerText)"
    assert.same({ "deploy", "yes, later" }, sent)
  end)

  it("sends the choice with its code while others are open, too", function()
    say "deploy A"
    page:wait_js(CHOICES, "yes|yes, later|no")
    say "deploy B"
    page:wait_js(CHOICES, "yes|yes, later|no|yes|yes, later|no")
    local code = page:js "return document.querySelector('.row .bubble.agent').innerText":match "%(Question (%w+)"
    press(".row .choose button", "no") -- of the first
    page:wait_js(rows(), "answer: no from canvas")
    page:wait_js(rows(), "\n" .. code .. " no")
    page:wait_js "return document.querySelectorAll('.row .choose').length === 1"
    press(".row .choose button", "yes")
    page:wait_js(rows(), "answer: yes from canvas")
    page:wait_js "return !document.querySelector('.row .choose')"
  end)

  it("with a long text has its buttons, too", function()
    say "long"
    page:wait_js(rows(), "the whole text is in What happened")
    page:wait_js(CHOICES, "yes|no")
    press(".row .choose button", "no")
    page:wait_js(rows(), "answer: no from canvas")
  end)

  it("can be answered again in the conversation after the choice could not be sent", function()
    say "deploy"
    page:wait_js(CHOICES, "yes|yes, later|no")
    page:js [[
      const real = window.fetch;
      window.fetch = (url, ...more) => !String(url).endsWith("/messages") ? real(url, ...more) : new Promise((_, refuse) => {
        window.refuse = () => { window.fetch = real; refuse(new TypeError("the platform is gone")); };
      });]]
    press(".row .choose button", "yes")
    page:wait_js "return document.querySelectorAll('.row .choose button:disabled').length === 3" -- it is sent once
    page:js "window.refuse()"
    page:wait_js("return document.body.innerText", "the platform is gone")
    page:wait_js(CHOICES, "yes|yes, later|no")
    press(".row .choose button", "yes")
    page:wait_js(rows(), "answer: yes from canvas")
  end)

  it("keeps its buttons and its place in the list when the page is loaded again", function()
    say "deploy"
    page:wait_js(CHOICES, "yes|yes, later|no")
    page:reload()
    page:wait_js(CHOICES, "yes|yes, later|no")
    page:click ".tab[data-pane=state]"
    page:wait_js(listed(), "Message 1")
    wait_count(1)
  end)

  it("is answered with the keyboard alone, which then is at the next one", function()
    say "deploy A"
    page:wait_js(CHOICES, "yes|yes, later|no")
    say "deploy B"
    page:click ".tab[data-pane=state]"
    wait_count(2)
    page:js "[...document.querySelectorAll('molecule-questions button')].find((one) => one.textContent === 'yes').focus()"
    page:type("molecule-questions li:first-child .choose button", browser.ENTER)
    wait_count(1)
    assert.equal("LI", page:js "return document.activeElement.closest('molecule-questions li')?.tagName")
    page:type("molecule-questions li .choose button", browser.ENTER)
    wait_count(0)
    assert.equal("Questions", page:js "return document.activeElement.textContent")
    say "name"
    page:wait_js(listed(), "Which name?")
    page:type("molecule-questions textarea", "Ada" .. browser.ENTER .. "Lovelace")
    page:js [[
      const area = document.querySelector('molecule-questions textarea');
      area.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', ctrlKey: true, bubbles: true }))]]
    page:wait_js(rows(), "answer: Ada")
    page:wait_js(rows(), "Lovelace from operator")
  end)

  it("is told in words by the ledger's part of its message: asked, posted, answered", function()
    say "deploy"
    page:wait_js(CHOICES, "yes|yes, later|no")
    page:wait_js("return document.querySelector('.row .chip').textContent", "asleep")
    page:wait_js("return document.querySelector('.row .trouble.calm').innerText", "waiting for the answer to question")
    page:js "document.querySelector('molecule-what details[data-name=Ledger]').open = true"
    local ledger = "return document.querySelector('molecule-what .ledger').innerText"
    page:wait_js(ledger, "Shall I deploy?")
    page:wait_js(ledger, "to canvas · choices: yes, yes, later, no")
    page:wait_js(ledger, "an answer may come until ")
    assert.is_nil(page:js(ledger):find("{", 1, true))
    press(".row .choose button", "no")
    page:wait_js(rows(), "answer: no from canvas")
    say "twice"
    page:wait_js(CHOICES, "yes|no")
    press(".row .choose button", "yes")
    page:wait_js(rows(), "Second, after yes?")
    page:wait_js(CHOICES .. " === ''")
    page:js "[...document.querySelectorAll('.row .meta')].find((one) => one.innerText.includes('asleep')).click()"
    page:wait_js(what(), "waiting for the answer")
    page:wait_js(ledger, "Second, after yes?")
    page:wait_js(ledger, "yes\n\nfrom canvas")
  end)

  local function violations()
    return page:js [[
      const { violations } = await window.axe.run(document);
      return violations.filter((one) => one.impact === "serious" || one.impact === "critical")
        .map((one) => `${one.id}: ${one.nodes.map((node) => node.html).join(" ")}`)]]
  end

  it("is readable and has nothing that axe-core calls serious, in both themes and on a phone", function()
    local source, problem = axe.source()
    local pictures = emulator.binary():match "^(.*)/" .. "/screenshots"
    uv.fs_mkdir(pictures, 493)
    for i, text in ipairs { "deploy the new version", "peer " .. new_peer "bob", "long", "name" } do
      say(text)
      wait_count(i)
    end
    if source then page:js(source .. "\nwindow.axe = axe") end
    page:js "document.querySelector('molecule-what details[data-name=Ledger]').open = true"
    for _, theme in ipairs { "light", "dark" } do
      page:theme(theme)
      for _, pane in ipairs { "state", "what" } do
        page:click((".tab[data-pane=%s]"):format(pane))
        if source then assert.same({}, violations(), theme .. " " .. pane) end
        page:screenshot(("%s/questions-%s-%s.png"):format(pictures, theme, pane))
      end
      page:resize(360, 740)
      for _, pane in ipairs { "chat", "state", "what" } do
        page:click((".tab[data-pane=%s]"):format(pane))
        assert.is_true(page:js "return document.documentElement.scrollWidth <= 360")
        page:screenshot(("%s/questions-%s-360-%s.png"):format(pictures, theme, pane))
      end
      page:resize(1280, 860)
    end
    page:theme "light"
    if not source then pending("axe-core is not here: " .. problem) end
  end)
end)
