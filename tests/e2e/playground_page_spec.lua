--- The playground's page in a real browser: what a person sees and does there.

local uv = require "luv"
local axe = require "tests.support.axe"
local browser = require "tests.support.browser"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local loop = require "tests.support.loop"
local process = require "tests.support.process"

local AGENT = [[
local molecule = require "molecule"
return {concurrency = 2, handle = function(msg, ctx)
  molecule.log("heard %s", msg.text)
  if msg.text == "progress" then ctx.progress "working on it" end
  if msg.text == "dead" then return molecule.dead "never" end
  if msg.files[1] then return ("%d bytes of %s"):format(#msg.files[1]:read(), msg.files[1].name) end
  return "you said: " .. msg.text
end}]]

local BROKEN = "return function(msg)\n  return msg.text ..\nend\n"
local FAILING = "return function(msg)\n  local none\n  return none.text\nend\n"

if not browser.available() then
  pending "the playground's page needs chromedriver"
  return
end

describe("the playground's page", function()
  local directory, child, url, page

  local function start(arguments)
    directory = host.directory()
    host.write(directory .. "/agent.lua", AGENT)
    local command = { emulator.binary(), "dev", directory .. "/agent.lua", "--port", "0" }
    for _, word in ipairs(arguments or {}) do command[#command + 1] = word end
    child = process.spawn { command = command, keep_stdin = true }
    url = child:wait_line "^playground: ":match "http%S+"
    child:wait_line " serves workspace "
  end

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
    child:signal "sigterm"
    local code = child:wait_exit()
    assert.same({}, complaints)
    assert.equal(0, code, child:report())
    assert.is_nil(child.stderr:find("Sanitizer", 1, true), child:report())
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

  local function write_agent(text)
    -- a different time stamp: the host looks for a change of it
    host.write(directory .. "/agent.lua", text)
  end

  it("sends what is typed and shows the answer, and what happened", function()
    say "hello"
    page:wait_js(rows(), "you said: hello")
    page:wait_js(rows(), "replied")
    page:wait_js(what(), "heard hello")
    page:wait_js(what(), "Attempt 1 replied")
    page:wait_js(what(), '"status": "sent"')
    page:wait_js(what(), '"kind": "text"')
  end)

  it("shows interim words with the message that they belong to", function()
    say "progress"
    page:wait_js(rows(), "you said: progress")
    page:wait_js("return document.querySelector('.row .interim')?.innerText", "working on it")
    assert.equal(1, page:js "return document.querySelectorAll('.row').length")
  end)

  it("shows where a broken script is broken, keeps the old one answering, and shows that the mended one answers", function()
    write_agent(BROKEN)
    page:wait_js("return document.getElementById('problem').innerText", "agent.lua:3")
    page:wait_js("return document.getElementById('script').innerText", "version 1 of agent.lua keeps answering")
    say "still there"
    page:wait_js(rows(), "you said: still there")
    write_agent((AGENT:gsub("you said", "mended")))
    page:wait_js("return document.getElementById('script').innerText", "version 2 answers")
    assert.is_true(page:js "return document.getElementById('problem').hidden")
    say "again"
    page:wait_js(rows(), "mended: again")
  end)

  it("shows the line at which a handler fails", function()
    write_agent(FAILING)
    page:wait_js("return document.getElementById('script').innerText", "version 2 answers")
    say "fail"
    page:wait_js("return document.querySelector('.row .trouble')?.innerText", "agent.lua:3")
    page:wait_js("return document.querySelector('.row .source')?.innerText", "return none.text")
    page:wait_js("return document.querySelector('molecule-what').textContent", "stack traceback")
    write_agent(AGENT)
    page:wait_js(rows(), "you said: fail")
  end)

  it("sends an edited envelope again, next to the exchange that it came from", function()
    say "first"
    page:wait_js(rows(), "you said: first")
    page:wait_js(what(), "Edit and send")
    page:js [[
      [...document.querySelectorAll('molecule-what button')].find((one) => one.textContent === 'Edit and send').click()]]
    page:js [[
      const area = document.querySelector('.editor textarea');
      area.value = '{"broken';
      area.dispatchEvent(new Event('input'))]]
    page:wait_js "return document.querySelector('.editor [type=submit]').disabled"
    page:js [[
      const area = document.querySelector('.editor textarea'), what = document.querySelector('molecule-what');
      const envelope = JSON.parse(what.querySelector('pre[aria-label=Envelope]').textContent);
      envelope.params.message.parts[0].text = 'second';
      area.value = JSON.stringify(envelope);
      area.dispatchEvent(new Event('input'))]]
    page:click ".editor [type=submit]"
    page:wait_js(rows(), "you said: second")
    page:wait_js(rows(), "edited and sent again")
    page:wait_js(what(), "Message 2")
    page:js "[...document.querySelectorAll('molecule-what button')].find((one) => one.textContent === 'Send again').click()"
    page:wait_js(what(), "Message 3")
  end)

  it("shows markup as text, and no more of Markdown than it knows", function()
    write_agent("return function(msg) return msg.text end")
    page:wait_js("return document.getElementById('script').innerText", "version 2 answers")
    local image = "<img src=x onerror=\"document.title='owned'\">"
    say(image)
    page:wait_js("return document.querySelector('.row .agent')?.innerText", image)
    say "**bold** `<b>code</b>` [bad](javascript:alert(1)) [good](https://example.com/a)"
    page:wait_js("return document.querySelectorAll('.row .agent').length === 2")
    assert.equal("bold", page:js "return document.querySelector('.agent strong').textContent")
    assert.equal("<b>code</b>", page:js "return document.querySelector('.agent code').textContent")
    assert.same({ "https://example.com/a" }, page:js "return [...document.querySelectorAll('.agent a')].map((one) => one.href)")
    assert.equal(0, page:js "return document.querySelectorAll('img, .row script, .row b').length")
    assert.equal("molecule playground", page:js "return document.title")
  end)

  it("shows a very long text, one from right to left, and emoji", function()
    write_agent("return function(msg) return msg.text end")
    page:wait_js("return document.getElementById('script').innerText", "version 2 answers")
    page:js [[
      const area = document.querySelector('molecule-composer textarea');
      area.value = 'long '.repeat(209715) + 'end';
      document.querySelector('molecule-composer form').requestSubmit()]]
    page:wait_js(rows(), "the whole text is in What happened")
    page:wait_js "return document.querySelector('molecule-what [data-name=Text] pre')?.textContent.endsWith('end')"
    assert.equal(1048578, page:js "return document.querySelector('molecule-what [data-name=Text] pre').textContent.length")
    page:js [[
      const area = document.querySelector('molecule-composer textarea');
      area.value = 'שלום עולם 👩‍👩‍👧 🎉';
      document.querySelector('molecule-composer form').requestSubmit()]]
    page:wait_js("return document.querySelectorAll('.row .chip.good').length", "2")
    assert.equal("שלום עולם 👩‍👩‍👧 🎉", page:js "return [...document.querySelectorAll('.agent .markdown')].at(-1).textContent")
    assert.equal("rtl", page:js "return getComputedStyle([...document.querySelectorAll('.agent .markdown')].at(-1)).direction")
  end)

  it("stays small and quick with many messages", function()
    local all = page:js([[
      const to = arguments[0];
      const answer = await fetch('/__emulator/messages', {method: 'POST', headers: {'Content-Type': 'application/json'},
        body: JSON.stringify({to, text: 'message %n of many', count: 500})});
      return (await answer.json()).ids]], child:wait_line " serves workspace ":match "workspace (%x[%x%-]+)")
    assert.equal(500, #all)
    page:wait_js [[
      const items = document.querySelector('molecule-list').items;
      return items.length === 500 && items.every((one) => one.outcome)]]
    page:wait_js(rows(), "you said: message 500 of many")
    assert(page:js "return document.querySelectorAll('*').length" < 800)
    page:js "document.querySelector('molecule-list').scrollTop = 0"
    page:wait_js(rows(), "you said: message 1 of many")
    assert.is_nil(page:js(rows()):find("message 250 of", 1, true))
    page:type("molecule-list", browser.DOWN)
    page:wait_js(what(), "Message 500")
    page:type("molecule-list", browser.UP)
    page:wait_js(what(), "Message 499")
  end)

  it("keeps everything when it is loaded again, and opens the message of a link", function()
    for _, text in ipairs { "one", "two", "three" } do
      say(text)
      page:wait_js(rows(), "you said: " .. text)
    end
    local id = page:js "return document.querySelector('.row .meta').dataset.id"
    page:reload()
    for _, text in ipairs { "one", "two", "three" } do page:wait_js(rows(), "you said: " .. text) end
    page:wait_js(what(), "Message 3")
    page:go "about:blank"
    page:go(url .. "#" .. id)
    page:wait_js(what(), "Message 1")
  end)

  it("speaks as a peer, and shows the reply in the peer's lane", function()
    page:js [[
      const as = document.querySelector('molecule-composer select');
      as.value = 'new';
      as.dispatchEvent(new Event('change'))]]
    page:type("dialog input", "bob" .. browser.ENTER)
    page:wait_js("const as = document.querySelector('molecule-composer select'); return as.selectedOptions[0].textContent", "bob")
    say "from a peer"
    page:wait_js("const row = document.querySelector('.row'); return row && row.innerText", "you said: from a peer")
    assert(page:js "return document.querySelector('.row .from').textContent === 'bob'")
    assert.is_nil(page:js("return document.querySelector('.row').className"):find("lane-canvas", 1, true))
  end)

  it("sends files, and offers those that came for download", function()
    host.write(directory .. "/notes.txt", "0123456789")
    page:type("molecule-composer input[type=file]", directory .. "/notes.txt")
    page:wait_js("return document.querySelector('molecule-composer .files').innerText", "notes.txt")
    page:click "molecule-composer [type=submit]"
    page:wait_js(rows(), "10 bytes of notes.txt")
    local link = page:js "return document.querySelector('.row .file').href"
    assert.equal("0123456789", page:js("const answer = await fetch(arguments[0]); return await answer.text()", link))
  end)

  it("offers the files of a reply, to the human and to a peer", function()
    write_agent "return function() return {text = 'here', files = {{name = 'report.txt', data = 'all is well'}}} end"
    page:wait_js("return document.getElementById('script').innerText", "version 2 answers")
    local bob = page:js [[
      const answer = await fetch('/__emulator/workspaces', {method: 'POST', headers: {'Content-Type': 'application/json'},
        body: '{"name": "bob"}'});
      return (await answer.json()).id]]
    say "to the human"
    page:wait_js("return document.querySelectorAll('.row .agent .file').length", "1")
    page:js("const as = document.querySelector('molecule-composer select'); as.value = arguments[0]", bob)
    say "to bob"
    page:wait_js("return document.querySelectorAll('.row .agent .file').length", "2")
    for i = 0, 1 do
      assert.equal("all is well", page:js([=[
        const answer = await fetch(document.querySelectorAll('.row .agent .file')[arguments[0]].href);
        return await answer.text()]=], i))
    end
  end)

  it("keeps what could not be sent, before what was typed meanwhile", function()
    page:js [[
      const real = window.fetch;
      window.fetch = (url, ...more) => !String(url).endsWith("/messages") ? real(url, ...more) : new Promise((_, refuse) => {
        window.refuse = () => { window.fetch = real; refuse(new TypeError("the platform is gone")); };
      });]]
    say "first"
    page:type("molecule-composer textarea", "second")
    page:js "window.refuse()"
    page:wait_js("return document.querySelector('molecule-composer textarea').value", "first\nsecond")
    page:wait_js("return document.body.innerText", "the platform is gone")
    say ""
    page:wait_js(rows(), "you said: first\nsecond")
  end)

  it("filters by text, outcome and sender", function()
    for _, text in ipairs { "apple", "dead", "pear" } do
      say(text)
      page:wait_js("return document.querySelectorAll('.row .chip.good, .row .chip.bad').length",
        text == "apple" and "1" or text == "dead" and "2" or "3")
    end
    page:type("#filter-text", "pea")
    page:wait_js("return document.getElementById('filter-count').textContent", "1 of 3")
    page:js "const one = document.getElementById('filter-text'); one.value = ''; one.dispatchEvent(new Event('input'))"
    page:js "const one = document.getElementById('filter-outcome'); one.value = 'dead'; one.dispatchEvent(new Event('input'))"
    page:wait_js("return document.getElementById('filter-count').textContent", "1 of 3")
    assert(page:js(rows()):find("never", 1, true))
  end)

  it("makes a fault, and shows that the reply was posted again", function()
    page:click ".tab[data-pane=faults]"
    page:js "document.querySelector('molecule-faults input').value = 1"
    page:js "document.querySelector('molecule-faults .choices button').click()"
    page:wait_js("return document.getElementById('fault-count').textContent", "2")
    say "in spite of it"
    page:wait_js(rows(), "posted 2 times")
    page:wait_js(rows(), "replied")
    page:click ".tab[data-pane=what]"
    page:wait_js(what(), "fault: status")
  end)

  it("lists dead letters, retries and drops them", function()
    say "dead"
    page:wait_js("return document.getElementById('dead-count').textContent", "1")
    page:click ".tab[data-pane=dead]"
    page:wait_js("return document.querySelector('molecule-dead').innerText", "never")
    write_agent((AGENT:gsub('return molecule.dead "never"', 'return "alive"')))
    page:wait_js("return document.getElementById('script').innerText", "version 2 answers")
    page:js "[...document.querySelectorAll('molecule-dead li button')].find((one) => one.textContent === 'Retry').click()"
    page:wait_js(rows(), "alive")
    page:wait_js "return document.getElementById('dead-count').hidden"
    write_agent(AGENT)
    page:wait_js("return document.getElementById('script').innerText", "version 3 answers")
    say "dead"
    page:wait_js "return !document.getElementById('dead-count').hidden"
    page:js "[...document.querySelectorAll('molecule-dead li button')].find((one) => one.textContent === 'Drop').click()"
    page:wait_js(rows(), "dropped")
  end)

  it("kills the host in the middle of a message, and shows that its reply arrived once", function()
    write_agent [[
      local molecule = require "molecule"
      return function(msg)
        if not molecule.store.get "began" then
          molecule.store.set("began", true)
          molecule.log "it begins"
          molecule.sleep(60)
        end
        return "you said: " .. msg.text
      end]]
    page:wait_js("return document.getElementById('script').textContent", "version 2 answers")
    say "survive"
    page:wait_js(rows(), "running")
    page:wait_js("return document.querySelector('molecule-what').textContent", "it begins")
    page:click ".tab[data-pane=state]"
    page:type("molecule-store input[type=text]", "began")
    page:type("molecule-store textarea", "true")
    page:click "molecule-store [type=submit]"
    page:wait_js("return document.querySelector('molecule-store .plainlist').innerText", "began")
    page:click ".tab[data-pane=faults]"
    page:js [[
      [...document.querySelectorAll('molecule-faults button')].find((one) => one.textContent === 'Kill the host now').click()]]
    page:wait_js(rows(), "the host was killed")
    page:wait_js(rows(), "the host runs again")
    page:wait_js(rows(), "you said: survive")
    page:click ".tab[data-pane=what]"
    page:wait_js(what(), "Attempt 1 interrupted")
    page:wait_js(what(), "Attempt 2 replied")
    page:wait_js("return document.getElementById('script').textContent", "version 2 answers")
    assert.equal(1, page:js "return document.querySelectorAll('.row .bubble.agent').length")
    page:js "document.querySelector('molecule-what details[data-name=Ledger]').open = true"
    page:wait_js("return document.querySelector('molecule-what .ledger').innerText", "finished")
    page:wait_js("return document.querySelector('molecule-what .ledger').innerText", "which has passed it")
  end)

  it("shows the msg that the script saw, and how long what it asked for took", function()
    write_agent [[
      local molecule = require "molecule"
      return function(msg)
        molecule.store.get "x"
        molecule.notify "a word"
        return "you said: " .. msg.text
      end]]
    page:wait_js("return document.getElementById('script').textContent", "version 2 answers")
    say "look"
    page:wait_js(rows(), "you said: look")
    page:wait_js("return document.querySelector('molecule-what [data-name^=msg]')?.textContent", '"from": "canvas"')
    page:wait_js(what(), "in Lua")
    page:wait_js "return /molecule.notify.* · \\d+ ms/.test(document.querySelector('molecule-what').innerText)"
  end)

  it("shows the stored values and changes them, and runs a timer now", function()
    write_agent [[
      local molecule = require "molecule"
      return {
        start = function() molecule.every(3600, function() molecule.store.incr "runs" end) end,
        handle = function(msg) return tostring(molecule.store.get(msg.text)) end,
      }]]
    page:wait_js("return document.getElementById('script').textContent", "version 2 answers")
    page:click ".tab[data-pane=state]"
    page:wait_js("return document.querySelector('molecule-timers').innerText", "every 3600.0 s, next in")
    page:click "molecule-timers button"
    page:wait_js("return document.querySelector('molecule-store .plainlist').innerText", "runs")
    page:type("molecule-store input[type=text]", "color")
    page:type("molecule-store textarea", "{")
    page:wait_js("return document.querySelector('molecule-store .error').textContent", "JSON")
    page:js "document.querySelector('molecule-store textarea').value = ''"
    page:type("molecule-store textarea", '"blue"')
    page:click "molecule-store [type=submit]"
    page:wait_js("return document.querySelector('molecule-store .plainlist').innerText", '"blue"')
    say "color"
    page:wait_js(rows(), "blue")
    page:js [[
      const buttons = [...document.querySelectorAll('molecule-store button')];
      buttons.find((one) => one.getAttribute('aria-label') === 'Delete color').click()]]
    page:wait_js "return !document.querySelector('molecule-store .plainlist').innerText.includes('color')"
    say "color"
    page:wait_js(rows(), "nil")
  end)

  it("has nothing that axe-core calls serious, in both themes, in any pane", function()
    local source, problem = axe.source()
    if not source then return pending("axe-core is not here: " .. problem) end
    for _, text in ipairs { "hello", "progress", "dead", "**bold** and `code`" } do
      page:js("document.querySelector('molecule-composer textarea').value = arguments[0]", text)
      say ""
    end
    page:wait_js("return document.querySelectorAll('.row .chip.good').length", "3")
    page:js(source .. "\nwindow.axe = axe")
    for _, theme in ipairs { "light", "dark" } do
      page:theme(theme)
      for _, pane in ipairs { "what", "faults", "dead", "state", "wire", "a2a" } do
        page:click((".tab[data-pane=%s]"):format(pane))
        local found = page:js [[
          const { violations } = await window.axe.run(document);
          return violations.filter((one) => one.impact === "serious" || one.impact === "critical")
            .map((one) => `${one.id}: ${one.nodes.map((node) => node.html).join(" ")}`)]]
        assert.same({}, found, theme .. " " .. pane)
      end
    end
    page:theme "light"
  end)

  it("looks as it should, in both themes and on a phone", function()
    local pictures = emulator.binary():match "^(.*)/" .. "/screenshots"
    uv.fs_mkdir(pictures, 493)
    for _, text in ipairs { "hello", "progress", "dead", "**Markdown** is shown:\n- a list\n- with `code`" } do
      page:js("document.querySelector('molecule-composer textarea').value = arguments[0]", text)
      say ""
    end
    page:wait_js(rows(), "is shown")
    page:wait_js("return document.querySelectorAll('.row .chip.good').length", "3")
    page:wait_js(what(), "Attempt 1 replied")
    for _, theme in ipairs { "light", "dark" } do
      page:theme(theme)
      page:screenshot(("%s/%s.png"):format(pictures, theme))
      page:resize(360, 740)
      assert.is_true(page:js "return document.documentElement.scrollWidth <= 360")
      page:screenshot(("%s/%s-360.png"):format(pictures, theme))
      for _, pane in ipairs { "what", "faults", "dead", "state", "wire", "a2a" } do
        page:click((".tab[data-pane=%s]"):format(pane))
        assert.is_true(page:js "return document.documentElement.scrollWidth <= 360")
        page:screenshot(("%s/%s-360-%s.png"):format(pictures, theme, pane))
      end
      page:click ".tab[data-pane=chat]"
      page:resize(1280, 860)
      page:click ".tab[data-pane=what]"
    end
    page:theme "light"
  end)
end)
