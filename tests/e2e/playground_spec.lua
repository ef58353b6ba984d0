--- The playground's routes: what a program can do without the page, and what a web page of somebody else cannot.

local cjson = require "cjson"
local uv = require "luv"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local http = require "tests.support.http"
local loop = require "tests.support.loop"
local process = require "tests.support.process"

local AGENT = [[
local molecule = require "molecule"
return {concurrency = 2, handle = function(msg, ctx)
  molecule.log.warn("heard %s", msg.text)
  if msg.text == "progress" then ctx.progress "working on it" end
  if msg.text == "skip" then return molecule.skip "not for me" end
  if msg.text == "dead" then return molecule.dead "never" end
  if msg.text == "boom" then error "boom" end
  if msg.text == "program" then return molecule.exec {cmd = "echo $$"}.stdout end -- another number each time
  return "you said: " .. msg.text
end}]]

describe("the playground", function()
  local directory, child, port, workspace

  before_each(function()
    directory = host.directory()
    host.write(directory .. "/agent.lua", AGENT)
    child = process.spawn { command = { emulator.binary(), "dev", directory .. "/agent.lua", "--port", "0", "--max-attempts",
      "2" }, keep_stdin = true }
    port = math.tointeger(tonumber(child:wait_line "^playground: ":match ":(%d+)/"))
    workspace = child:wait_line " serves workspace ":match "workspace (%x[%x%-]+)"
    -- the script has loaded, its file is watched, and the token survives a kill
    child:wait_line("the platform minted a token; it is kept in", { stream = "stderr" })
  end)

  after_each(function()
    child:signal "sigterm"
    local code = child:wait_exit()
    assert.equal(0, code, child:report())
    assert.is_nil(child.stderr:find("Sanitizer", 1, true), child:report())
    process.kill_all()
    host.clean_up()
    loop.flush()
  end)

  local function ask(method, path, options)
    local all = { port = port, method = method, path = "/__emulator/" .. path }
    for name, value in pairs(options or {}) do all[name] = value end
    return http.request(all)
  end

  local function good(method, path, options)
    local answer = ask(method, path, options)
    assert.equal(200, answer.status, answer.body)
    return answer.json or answer.body
  end

  local function say(text, more)
    local message = { to = workspace, text = text }
    for name, value in pairs(more or {}) do message[name] = value end
    return good("POST", "messages", { json = message }).ids[1]
  end

  -- The event stream, from its start or after an id.
  local function listen(after)
    return http.start { port = port, path = "/__emulator/playground/events", headers = { ["Last-Event-ID"] = after } }
  end

  -- The items that it told of so far, and the id of the last one.
  local function told(stream)
    local items, last = {}, nil
    for id, data in stream.body:gmatch "id: ([%w%-]+)\nevent: item\ndata: ([^\n]+)\n\n" do
      items[#items + 1], last = cjson.decode(data), id
    end
    return items, last
  end

  -- Waits until the stream has told of a message in this state; fails when it ends in another one.
  local function wait_for(stream, id, state)
    local found, other
    loop.wait(function()
      for _, item in ipairs((told(stream))) do
        if item.id == id and (item.outcome or item.state) == state then found = item end
        other = item.id == id and item.outcome or other
      end
      return found or other or stream.done
    end)
    return found or error(("message %s was %s, not %s: %s"):format(id, other, state, stream.body))
  end

  it("serves its page and files under a policy that lets nothing in", function()
    local page = ask("GET", "playground")
    assert.equal(200, page.status)
    assert.equal("text/html; charset=utf-8", page.headers["content-type"])
    assert.equal("nosniff", page.headers["x-content-type-options"])
    assert.equal(page.body, ask("GET", "playground/").body)
    local policy = page.headers["content-security-policy"]
    for _, part in ipairs { "default-src 'none'", "script-src 'self'", "frame-ancestors 'none'",
      "require-trusted-types-for 'script'" } do
      assert(policy:find(part, 1, true), policy)
    end
    for name in page.body:gmatch '"/__emulator/playground/([^"]+)"' do good("GET", "playground/" .. name) end
    for _, name in ipairs { "init.lua", "record.lua", "..%2Finit.lua", "none.js", "%2e%2e%2femulator%2fcontrol.lua" } do
      assert.equal(404, ask("GET", "playground/" .. name).status, name)
    end
    local script = page.body:gsub("<script type=\"module\" src=[^>]*></script>", "")
    assert.is_nil(script:find("<script", 1, true)) -- nothing inline
    assert.is_nil(script:find(" style=", 1, true))
  end)

  local ROUTES = { { "GET", "playground" }, { "GET", "playground/app.js" }, { "GET", "playground/events" },
    { "GET", "playground/messages" }, { "GET", "playground/export" }, { "GET", "playground/wire" }, { "GET", "state" },
    { "GET", "journal" }, { "POST", "messages" }, { "POST", "playground/files" }, { "POST", "faults" }, { "DELETE", "faults" },
    { "POST", "playground/messages/x/again" }, { "POST", "playground/messages/x/retry" },
    { "GET", "playground/messages/x/ledger" }, { "GET", "playground/store" }, { "POST", "playground/store" },
    { "POST", "playground/store/delete" }, { "GET", "playground/timers" }, { "POST", "playground/timers/1/run" },
    { "GET", "playground/questions" }, { "POST", "playground/questions/K7QD/answer" },
    { "POST", "playground/questions/K7QD/cancel" },
    { "POST", "kill" }, { "POST", "quit" } }

  it("refuses a page whose name points here, on every route", function()
    for _, name in ipairs { "evil.example", "evil.example:" .. port, "127.0.0.1.evil.example:" .. port,
      "localhost.evil.example" } do
      for _, route in ipairs(ROUTES) do
        local answer = ask(route[1], route[2], { body = "{}",
          headers = { Host = name, ["Content-Type"] = "application/json" } })
        assert.equal(421, answer.status, route[2])
        assert(answer.body:find("is not this machine", 1, true), answer.body)
      end
    end
    assert.equal(0, #good("GET", "playground/messages").messages)
  end)

  it("refuses a page of another origin or site, on every route", function()
    for _, headers in ipairs { { Origin = "https://evil.example" }, { Origin = "null" }, { Origin = "http://127.0.0.1:1" },
      { ["Sec-Fetch-Site"] = "cross-site" }, { ["Sec-Fetch-Site"] = "same-site" } } do
      for _, route in ipairs(ROUTES) do
        headers["Content-Type"] = "application/json"
        local answer = ask(route[1], route[2], { headers = headers, body = "{}" })
        assert.equal(403, answer.status, route[2])
        assert.is_nil(answer.headers["access-control-allow-origin"])
      end
    end
    for _, kind in ipairs { "text/plain", "application/x-www-form-urlencoded" } do -- what a form sends without asking
      assert.equal(415, ask("POST", "messages", { headers = { ["Content-Type"] = kind }, body = "{}" }).status)
    end
    assert.equal(0, #good("GET", "playground/messages").messages)
  end)

  it("lets its own page do everything", function()
    local headers = { Origin = "http://127.0.0.1:" .. port, ["Sec-Fetch-Site"] = "same-origin" }
    good("GET", "playground/messages", { headers = headers })
    good("POST", "messages", { headers = headers, json = { to = workspace, text = "hello" } })
  end)

  it("tells of each message what became of it, and everything about one", function()
    local stream = listen()
    local id = say "progress"
    local item = wait_for(stream, id, "replied")
    assert.equal("you said: progress", item.reply.text)
    assert.equal(1, item.reply.times)
    local detail = good("GET", "playground/messages/" .. id)
    assert.equal("working on it", detail.interim[1].text)
    assert.equal("progress", detail.envelope.params.message.parts[1].text)
    local attempt = detail.attempts[1]
    assert.equal(1, attempt.number)
    assert.equal("replied", attempt.outcome)
    assert.equal("warn", attempt.log[1].level)
    assert.equal("heard progress", attempt.log[1].text)
    assert.is_number(attempt.wall_ms)
    assert.is_number(attempt.cpu_ms)
    assert.equal("molecule.notify", detail.asked[1].what)
    assert.equal(200, detail.posts[1].status)
    assert.equal('{"status":"sent"}', detail.posts[1].answer)
    assert.equal("you said: progress", cjson.decode(detail.posts[1].body).message)
    assert.equal("skipped", wait_for(stream, say "skip", "skipped").outcome)
    stream:close()
  end)

  it("shows what a handler asked of the world, without what a query may hold", function()
    host.write(directory .. "/agent.lua", ([[
local molecule = require "molecule"
return function(msg)
  molecule.http.get "http://127.0.0.1:%d/health?key=secret"
  molecule.exec { argv = { "sh", "-c", "exit 3" } }
  molecule.store.set("seen", msg.text)
  return molecule.store.get "seen"
end]]):format(port))
    local stream = listen()
    stream:wait_body '"script_version":2'
    local id = say "hello"
    wait_for(stream, id, "replied")
    local lines = {}
    for _, one in ipairs(good("GET", "playground/messages/" .. id).asked) do
      lines[#lines + 1] = ("%s %s"):format(one.what, (one.text or one.key):gsub("%(%d+ ms%)", "(N ms)"))
    end
    assert.same({ ("molecule.http GET http://127.0.0.1:%d/health: 200 (N ms)"):format(port),
      "molecule.exec sh -c exit 3: exit code 3 (N ms)" }, { lines[1], lines[2] })
    stream:close()
  end)

  it("forgets the oldest messages where all of them would take too much memory", function()
    host.write(directory .. "/agent.lua", "return function(msg) return #msg.text .. ' bytes' end")
    local stream = listen()
    stream:wait_body '"script_version":2'
    local text, ids = ("x"):rep(4 << 20), {}
    for i = 1, 20 do
      ids[i] = say(text)
      wait_for(stream, ids[i], "replied")
    end
    assert.equal(404, ask("GET", "playground/messages/" .. ids[1]).status)
    local last = good("GET", "playground/messages/" .. ids[20])
    assert.equal(#text, #last.text)
    assert.equal(#text .. " bytes", last.reply.text)
    local list = good("GET", "playground/messages")
    assert(list.total >= 10 and list.total < 20, list.total)
    for _, item in ipairs(list.messages) do assert(#item.text < 4096) end
    local oldest = 1 -- the page is told, too
    for _, item in ipairs((told(stream))) do oldest = item.oldest or oldest end
    assert.equal(20 - list.total + 1, oldest)
    stream:close()
  end)

  it("quotes no file but the script's own and those beside it, whatever an error says", function()
    local other = host.write(host.directory() .. "/secret.lua", "hunter2\n")
    local stream = listen()
    host.write(directory .. "/agent.lua", ("return function() error(%q, 0) end")
      :format(directory .. "/../" .. other:match "[^/]+/secret%.lua$" .. ":1: x"))
    stream:wait_body '"script_version":2'
    wait_for(stream, say "hello", "dead")
    assert.is_nil(stream.body:find("hunter2", 1, true))
    stream:close()
  end)

  it("shows the line of a handler's error, and every attempt", function()
    local stream = listen()
    local id = say "boom"
    local item = wait_for(stream, id, "dead")
    assert.equal(directory .. "/agent.lua", item.place.file)
    assert.equal(7, item.place.line)
    assert.equal('  if msg.text == "boom" then error "boom" end', item.place.source)
    local attempts = good("GET", "playground/messages/" .. id).attempts
    assert.equal(2, #attempts)
    for i, attempt in ipairs(attempts) do
      assert.equal(i, attempt.number)
      assert.equal("failed", attempt.outcome)
      assert(attempt.traceback:find("agent.lua:7:", 1, true), attempt.traceback)
    end
    stream:close()
  end)

  it("tells a page that comes back what it missed, and nothing else", function()
    local stream = listen()
    wait_for(stream, say "one", "replied")
    stream:wait_body "event: whole"
    local _, last = told(stream)
    stream:close()
    local second = say "two"
    local again = listen(last)
    wait_for(again, second, "replied")
    for _, item in ipairs((told(again))) do assert.not_equal("one", item.text) end
    again:close()
    local foreign = listen "00000000-7" -- of an earlier run
    foreign:wait_body "event: whole"
    local texts = {}
    for _, item in ipairs((told(foreign))) do texts[item.text or ""] = true end
    assert(texts.one and texts.two)
    foreign:close()
  end)

  it("begins again when the emulator is reset", function()
    local stream = listen()
    wait_for(stream, say "one", "replied")
    good("POST", "reset", { json = {} })
    stream:wait()
    assert.equal(0, #good("GET", "playground/messages").messages)
  end)

  it("lists messages by text, outcome and sender", function()
    local stream = listen()
    local peer = good("POST", "workspaces", { json = { name = "bob" } }).id
    for _, one in ipairs { { "apple", "replied" }, { "skip", "skipped" }, { "pear", "replied", peer } } do
      wait_for(stream, say(one[1], { from = one[3] }), one[2])
    end
    local function texts(query)
      local list = {}
      for _, item in ipairs(good("GET", "playground/messages", { query = query }).messages) do list[#list + 1] = item.text end
      return table.concat(list, " ")
    end
    assert.equal("pear skip apple", texts {})
    assert.equal("pear apple", texts { text = "YOU SAID" })
    assert.equal("skip", texts { outcome = "skipped" })
    assert.equal("pear", texts { from = peer })
    assert.equal("skip apple", texts { from = "canvas" })
    assert.equal("pear", texts { limit = 1 })
    assert.equal(400, ask("GET", "playground/messages", { query = { limit = "many" } }).status)
    stream:close()
  end)

  it("sends a message again: as it was, changed, or from someone else", function()
    local stream = listen()
    local id = say "first"
    wait_for(stream, id, "replied")
    local peer = good("POST", "workspaces", { json = { name = "bob" } }).id
    local function again(body)
      local new = good("POST", ("playground/messages/%s/again"):format(id), { json = body }).id
      return wait_for(stream, new, "replied"), good("GET", "playground/messages/" .. new)
    end
    local same, detail = again {}
    assert.equal("you said: first", same.reply.text)
    assert.equal(id, same.again_of)
    local before = good("GET", "playground/messages/" .. id)
    assert.not_equal(before.envelope.params.message.messageId, detail.envelope.params.message.messageId)
    before.envelope.params.message.parts[1].text = "second"
    assert.equal("you said: second", (again { envelope = before.envelope }).reply.text)
    local from_peer = again { from = peer }
    assert.equal("bob", from_peer.from_name)
    for _, body in ipairs { '{"envelope":[]}', '{"envelope":"text"}', "[]", "no JSON" } do
      assert.equal(400, ask("POST", ("playground/messages/%s/again"):format(id),
        { body = body, headers = { ["Content-Type"] = "application/json" } }).status, body)
    end
    assert.equal(404, ask("POST", "playground/messages/none/again", { json = { from = peer } }).status)
    stream:close()
  end)

  it("retries and drops dead letters", function()
    local stream = listen()
    local id = say "dead"
    wait_for(stream, id, "dead")
    host.write(directory .. "/agent.lua", (AGENT:gsub('return molecule.dead "never"', 'return "alive"')))
    stream:wait_body '"script_version":2'
    local _, last = told(stream)
    local since = listen(last)
    good("POST", ("playground/messages/%s/retry"):format(id), { json = { x = 1 } })
    assert.equal("alive", wait_for(since, id, "replied").reply.text)
    since:close()
    local answer = ask("POST", ("playground/messages/%s/retry"):format(id), { json = { x = 1 } })
    assert.equal(409, answer.status)
    assert.equal("that is not a dead letter", answer.json.error)
    local failing = say "boom"
    wait_for(stream, failing, "dead")
    good("POST", ("playground/messages/%s/drop"):format(failing), { json = { x = 1 } })
    assert.is_true(good("GET", "playground/messages/" .. failing).dropped)
    assert.equal(409, ask("POST", ("playground/messages/%s/drop"):format(failing), { json = { x = 1 } }).status)
    stream:close()
  end)

  it("shows what the agent says on its own, and to whom", function()
    local stream = listen()
    local peer = good("POST", "workspaces", { json = { name = "bob" } }).id
    host.write(directory .. "/agent.lua", ([[
local molecule = require "molecule"
return {
  start = function() molecule.after(0, function() molecule.log("a timer") molecule.notify("good morning") end) end,
  handle = function() molecule.send("%s", "a question", { timeout = 0 }) return "asked" end,
}]]):format(peer))
    stream:wait_body "good morning"
    wait_for(stream, say "go", "replied")
    local kinds = {} -- in no order: the host's word and the agent's own come by different ways
    for _, item in ipairs((told(stream))) do
      if item.kind ~= "status" and item.kind ~= "message" then
        kinds[#kinds + 1] = ("%s: %s (%s)"):format(item.kind, item.text, item.to_name or item.level or "canvas")
      end
    end
    table.sort(kinds)
    assert.same({ "log: a timer (info)", "said: a question (bob)", "said: good morning (canvas)" }, kinds)
    stream:close()
  end)

  it("takes files and gives them back, never as something that a browser runs", function()
    local stream = listen()
    local bytes = "<script>alert(1)</script>\0\255"
    local part = good("POST", "playground/files", { query = { name = "a page.html" }, body = bytes,
      headers = { ["Content-Type"] = "application/octet-stream" } }).part
    local id = good("POST", "messages", { json = { to = workspace, parts = { { kind = "text", text = "look" }, part } } }).ids[1]
    wait_for(stream, id, "replied")
    local answer = ask("GET", ("playground/messages/%s/files/1"):format(id))
    assert.equal(bytes, answer.body)
    assert.equal("application/octet-stream", answer.headers["content-type"])
    assert(answer.headers["content-disposition"]:find("attachment", 1, true))
    for _, other in ipairs { "2", "x", "0", "1?of=reply", "1?of=1", "1?of=x" } do
      assert.equal(404, ask("GET", ("playground/messages/%s/files/%s"):format(id, other)).status, other)
    end
    assert.equal(400, ask("POST", "playground/files", { body = "x",
      headers = { ["Content-Type"] = "application/octet-stream" } }).status)
    stream:close()
  end)

  it("counts a reply that was delivered once though its answer was lost", function()
    local stream = listen()
    good("POST", "faults", { json = { match = { path = "/notify" }, action = { kind = "reset_after" } } })
    local id = say "hello"
    local item = wait_for(stream, id, "replied")
    assert.equal(1, item.reply.times)
    local posts = good("GET", "playground/messages/" .. id).posts
    assert.is_true(posts[1].lost)
    assert.equal("reset_after", posts[1].fault)
    stream:close()
  end)

  it("exports the session as JSON lines, and a message as a test", function()
    local stream = listen()
    local id = say 'say "hi"\nto me'
    wait_for(stream, id, "replied")
    wait_for(stream, say "skip", "skipped")
    local lines = {}
    for line in good("GET", "playground/export"):gmatch "[^\n]+" do lines[#lines + 1] = cjson.decode(line) end
    assert.equal(2, #lines)
    assert.equal("replied", lines[1].outcome)
    assert.equal("canvas", lines[1].from)
    assert.equal('you said: say "hi"\nto me', lines[1].reply.message)
    assert.equal("not for me", lines[2].reason)
    local test = good("GET", ("playground/messages/%s/test"):format(id))
    assert(load(test), test)
    assert(test:find([[text = "say \"hi\"\nto me"]], 1, true), test)
    assert(test:find([[assert.equal("replied", result.outcome)]], 1, true), test)
    stream:close()
  end)

  it("exports what programs answered, so that a replay gives the same", function()
    local stream = listen()
    wait_for(stream, say "program", "replied")
    wait_for(stream, say "hello", "replied")
    local exported = ask("GET", "playground/export").body
    local calls = {}
    for line in exported:gmatch "[^\n]+" do calls[#calls + 1] = cjson.decode(line).calls end
    local call = calls[1][1]
    assert.same({ 1, "exec", "/bin/sh -c echo $$", 0 }, { #calls[1], call.call, table.concat(call.argv, " "), #calls[2] })
    assert.is_number(call.duration_ms)
    local recording = host.write(directory .. "/messages.jsonl", exported)
    local replay = process.spawn { command = { emulator.binary(), "replay", recording, directory .. "/agent.lua" } }
    assert.equal(0, replay:wait_exit(), replay:report())
    assert.equal("2 as recorded, 0 different\n", replay.stdout)
    stream:close()
  end)

  it("shows the platform's wire without tokens", function()
    local stream = listen()
    wait_for(stream, say "hello", "replied")
    local wire = good("GET", "playground/wire")
    local posted
    for _, entry in ipairs(wire.entries) do
      if entry.path:find "/notify$" then posted = entry end
    end
    assert.equal(200, posted.status)
    local whole = good("GET", "playground/wire/" .. posted.n)
    assert.equal("(hidden)", whole.headers.authorization)
    assert(whole.body:find("you said: hello", 1, true))
    assert.equal(404, ask("GET", "playground/wire/999999").status)
    stream:close()
  end)

  it("says why a script does not load, and that the version before answers", function()
    local stream = listen()
    host.write(directory .. "/agent.lua", "return function(msg)\n  return = 1\nend")
    stream:wait_body '"problem"'
    local status
    for _, item in ipairs((told(stream))) do
      if item.kind == "status" then status = item end
    end
    assert.equal(1, status.script_version)
    assert.equal(2, status.place.line)
    assert.equal("  return = 1", status.place.source)
    assert.equal("you said: hello", wait_for(stream, say "hello", "replied").reply.text)
    stream:close()
  end)

  -- For what is no event of the loop: it is asked again and again.
  local function eventually(condition)
    local timer = uv.new_timer()
    timer:start(20, 20, function() end)
    local found = loop.wait(condition)
    timer:close()
    return assert(found, "in time")
  end

  local function rewrite(text)
    host.write(directory .. "/agent.lua", text)
    child:wait_line("the script is reloaded", { stream = "stderr" })
  end

  -- How often the human was told each text.
  local function times_told()
    local counts = {}
    for _, entry in ipairs(good("GET", "journal").entries) do
      if entry.method == "POST" and entry.path:find "/notify$" and entry.status == 200 then
        local text = cjson.decode(entry.body).message
        counts[text] = (counts[text] or 0) + 1
      end
    end
    return counts
  end

  it("kills the host again and again, and every message is answered once", function()
    local stream = listen()
    local ids, at = {}, 0
    for i = 1, 30 do
      ids[i] = say("message " .. i)
      if i % 6 == 0 then
        good("POST", "kill", { json = {} })
        at = select(2, child:wait_line("the host runs again", { from = at + 1 }))
      end
    end
    for _, id in ipairs(ids) do wait_for(stream, id, "replied") end
    local counts = times_told()
    for i = 1, 30 do
      local name = "you said: message " .. i
      assert(counts[name] and counts[name] <= 2, ("%s was told %s times"):format(name, counts[name]))
    end
    assert.equal(5, select(2, child.stdout:gsub("the host was killed", "")))
  end)

  it("posts the same reply again when the host is killed after the answer was lost", function()
    local stream = listen()
    local match = { method = "POST", path = "/notify$" }
    good("POST", "faults", { json = { match = match, times = 1, action = { kind = "reset_after" } } })
    good("POST", "faults", { json = { match = match, times = 1, skip = 1, action = { kind = "delay", ms = 600000 } } })
    local id = say "once"
    assert(loop.wait(function()
      for _, item in ipairs((told(stream))) do
        if item.id == id and item.reply and item.reply.times == 1 then return true end
      end
    end))
    good("POST", "kill", { json = {} })
    wait_for(stream, id, "replied")
    local detail = good("GET", "playground/messages/" .. id)
    assert.equal(1, #detail.attempts) -- the handler did not run again
    assert(detail.reply.times >= 1)
  end)

  it("says what the ledger has of a message", function()
    local stream = listen()
    local id = say "dead"
    wait_for(stream, id, "dead")
    local ledger
    eventually(function() -- the page is told before the ledger has it
      ledger = good("GET", ("playground/messages/%s/ledger"):format(id)).message
      return ledger ~= cjson.null and ledger.state == "dead"
    end)
    assert.equal("never", ledger.reason)
    assert.equal(1, ledger.attempts)
    id = say "fine"
    wait_for(stream, id, "replied")
    local found
    eventually(function()
      found = good("GET", ("playground/messages/%s/ledger"):format(id))
      return found.message ~= cjson.null and found.message.state == "finished" and found.passed
    end)
    assert.equal("replied", found.message.outcome)
  end)

  it("shows each attempt with its msg, its memory and the time that what it asked for took", function()
    rewrite [[
      local molecule = require "molecule"
      return function(msg)
        molecule.store.get "x"
        molecule.exec { argv = { "sleep", "0.05" } }
        molecule.notify "a word"
        return "you said: " .. msg.text
      end]]
    local match = { method = "POST", path = "/notify$" }
    good("POST", "faults", { json = { match = match, times = 1, action = { kind = "delay", ms = 60 } } })
    local stream = listen()
    local id = say "look"
    wait_for(stream, id, "replied")
    local detail = good("GET", "playground/messages/" .. id)
    local attempt = detail.attempts[1]
    local msg = cjson.decode(attempt.msg)
    assert.equal("look", msg.text)
    assert.equal("canvas", msg.from)
    assert.equal(id, msg.id)
    assert(attempt.memory_bytes > 1000)
    local whats = {}
    for _, asked in ipairs(detail.asked) do
      assert(asked.took_ms >= 0, asked.what)
      whats[#whats + 1] = asked.what
    end
    assert.same({ "molecule.store.get", "molecule.exec", "molecule.notify" }, whats)
    assert(detail.asked[2].took_ms >= 50, detail.asked[2].took_ms)
    assert(detail.asked[3].took_ms >= 50, detail.asked[3].took_ms)
  end)

  it("hides what looks like a secret in what a handler asked of the world", function()
    rewrite(([[
      local molecule = require "molecule"
      return function()
        molecule.exec {argv = {"true", "--password", "SECRET", "--token=SECRET"}}
        molecule.exec {cmd = "true --api-key SECRET -H 'Authorization:SECRET'"}
        os.execute "true Authorization: Bearer SECRET"
        io.popen("true -H 'X-Api-Key: SECRET' https://u:SECRET@h/?api_key=SECRET"):close()
        molecule.http.get "http://user:SECRET@127.0.0.1:%d/?token=SECRET"
        return "done"
      end]]):format(port))
    local stream = listen()
    local id = say "go"
    wait_for(stream, id, "replied")
    local detail = good("GET", "playground/messages/" .. id)
    assert.equal(5, #detail.asked)
    for _, asked in ipairs(detail.asked) do
      assert(asked.text:find("[hidden]", 1, true), asked.text)
      assert.is_nil(asked.text:find("SECRET", 1, true), asked.text)
    end
    local calls = cjson.encode(good("GET", "playground/export").calls) -- of one message
    assert.is_nil(calls:find("SECRET", 1, true), calls)
  end)

  it("lists the store's values, sets and deletes them, and refuses what the script could not store", function()
    rewrite [[
      local molecule = require "molecule"
      return function(msg) return molecule.store.get(msg.text) or "nothing" end]]
    assert.same({}, good("GET", "playground/store").values)
    good("POST", "playground/store", { json = { key = "color", value = "blue" } })
    good("POST", "playground/store", { json = { key = "other", value = { 1, { deep = true } } } })
    local stream = listen()
    local id = say "color"
    wait_for(stream, id, "replied")
    assert.equal("blue", good("GET", "playground/messages/" .. id).reply.text)
    local values = good("GET", "playground/store?prefix=co").values
    assert.same({ { key = "color", value = '"blue"' } }, values)
    assert.equal(2, #good("GET", "playground/store").values)
    good("POST", "playground/store/delete", { json = { key = "color" } })
    assert.equal(1, #good("GET", "playground/store").values)
    for _, bad in ipairs { { value = 1 }, { key = "", value = 1 }, { key = "a\nb", value = 1 },
      { key = ("k"):rep(513), value = 1 }, { key = "x" }, { key = "x", value = ("v"):rep(1 << 20) } } do
      local answer = ask("POST", "playground/store", { json = bad })
      assert.equal(400, answer.status)
      assert(answer.json.error:find "key is 1" or answer.json.error:find "value", answer.body)
    end
  end)

  it("lists timers and runs one now, without a change of when it is due", function()
    rewrite [[
      local molecule = require "molecule"
      return {
        start = function()
          molecule.every(3600, function() molecule.store.incr "runs" end)
          molecule.after(7200, function() molecule.store.set("once", true) end)
        end,
        handle = function() end,
      }]]
    local timers = good("GET", "playground/timers").timers
    table.sort(timers, function(a, b) return a.id < b.id end)
    assert.equal(2, #timers)
    assert.equal(3600000, timers[1].every_ms)
    assert.equal(0, timers[2].every_ms)
    assert(timers[1].place:find "agent%.lua:4$", timers[1].place)
    for _, timer in ipairs(timers) do good("POST", ("playground/timers/%d/run"):format(timer.id), { json = {} }) end
    eventually(function() return #good("GET", "playground/store").values == 2 end)
    local left = good("GET", "playground/timers").timers
    assert.equal(1, #left)
    assert.equal(timers[1].id, left[1].id)
    assert(left[1].due_ms > 3500000 and left[1].due_ms <= 3600000, left[1].due_ms)
    assert.equal(409, ask("POST", "playground/timers/99/run", { json = {} }).status)
    assert.equal(400, ask("POST", "playground/timers/x/run", { json = {} }).status)
  end)

  it("waits with a killed host whose script no longer loads until it is mended", function()
    host.write(directory .. "/agent.lua", "return function( end")
    child:wait_line("was not reloaded", { stream = "stderr" })
    good("POST", "kill", { json = {} })
    child:wait_line("it starts again when the script changes")
    assert.equal(409, ask("POST", "kill", { json = {} }).status)
    local stream = listen()
    local id = say "patience"
    host.write(directory .. "/agent.lua", AGENT)
    wait_for(stream, id, "replied")
  end)
end)

describe("the emulator alone", function()
  it("has no playground", function()
    local platform = emulator.start()
    local answer = platform:get "/__emulator/playground"
    assert.equal(404, answer.status)
    assert(answer.body:find("molecule dev agent.lua", 1, true), answer.body)
    platform:stop()
  end)
end)
