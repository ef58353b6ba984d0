--- `molecule replay`: what `--record` wrote goes through a script again, and what differs is shown.
local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local process = require "tests.support.process"
local server = require "tests.support.server"

describe("molecule replay", function()
  local platform, directory, recording, agent

  local SCRIPT = [[
local molecule = require "molecule"
return function(msg)
  if msg.text == "skip" then return molecule.skip("not mine") end
  if msg.text == "count" then return tostring(molecule.store.incr("n")) end
  if msg.text == "files" then return {text = "here", files = {{name = "a.txt", data = "x"}}} end
  return "one\ntwo " .. msg.text .. "\nthree"
end]]

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)
  before_each(function()
    directory = host.directory()
    recording = directory .. "/messages.jsonl"
    agent = host.write(directory .. "/agent.lua", SCRIPT)
  end)
  after_each(host.clean_up)
  teardown(function() platform:stop() end)

  local function run(words, env)
    local temporary = host.directory()
    env = env or {}
    env.TMPDIR = temporary
    local command = { emulator.binary(), "replay" }
    for _, word in ipairs(words) do command[#command + 1] = word end
    local one = process.spawn { command = command, env = { TERM = "xterm", NO_COLOR = env.NO_COLOR } }
    local code = one:wait_exit()
    assert.same({}, host.list(temporary), "left behind")
    assert(not one.stderr:find("Sanitizer", 1, true), one.stderr)
    return one.stdout, code, one.stderr
  end

  -- A recording of a real host: two senders, every kind of outcome.
  local function record()
    local workspace, peer = host.workspace(platform), host.workspace(platform)
    local one = host.connect { platform = platform, workspace = workspace, script = SCRIPT, args = { "--record", recording } }
    for _, text in ipairs { "hello", "skip", "count", "files" } do platform:message { to = workspace.id, text = text } end
    one:canvas(3)
    platform:message { to = workspace.id, from = peer.id, text = "from a peer" }
    one:peer(peer.id, 1)
    one:stop()
    return peer
  end

  local function change(from, to)
    local text, count = SCRIPT:gsub(from, to)
    assert.equal(1, count)
    host.write(agent, text)
  end

  it("says that everything is as recorded", function()
    record()
    local printed, code, errors = run { recording, agent }
    assert.same({ "5 as recorded, 0 different\n", 0, "" }, { printed, code, errors })
  end)

  it("gives a handler the steps and the answers that earlier attempts had recorded", function()
    local outside = host.directory() .. "/outside"
    local script = ([[
      local molecule = require "molecule"
      return function(msg, ctx)
        local n = ctx.step("count", function() assert(io.open(%q, "a")):write("x"):close() return 7 end)
        local answer = ctx.ask("Sure?", {choices = {"yes", "no"}})
        return ("%%d %%s"):format(n, answer.choice)
      end]]):format(outside)
    local workspace = host.workspace(platform)
    local one = host.connect { platform = platform, workspace = workspace, script = script, args = { "--record", recording } }
    platform:message { to = workspace.id, text = "go" }
    one:canvas(1)
    platform:message { to = workspace.id, text = "y" }
    assert.equal("7 yes", one:canvas(2)[2])
    one:stop()
    host.write(agent, script)
    local printed, code = run { recording, agent }
    assert.same({ "1 as recorded, 0 different\n", 0 }, { printed, code })
    assert.equal("x", host.read(outside))
  end)

  it("shows replies and outcomes that differ, and exits with 1", function()
    local peer = record()
    local before = host.read(recording)
    change("two ", "2 ")
    local printed, code = run { recording, agent }
    assert.equal(1, code)
    assert(printed:find("] canvas: hello\n  one\n- two hello\n+ 2 hello\n  three\n", 1, true), printed)
    assert(printed:find(("%s: from a peer\n  one\n- two from a peer\n+ 2 from a peer\n"):format(peer.id), 1, true), printed)
    assert(printed:find("\n3 as recorded, 2 different\n$"), printed)
    change('return molecule.skip%("not mine"%)', 'error "broken"')
    printed, code = run { recording, agent }
    assert(printed:find("canvas: skip\n%- skipped: not mine\n%+ dead: [^\n]*agent.lua:3: broken\n.-%^~+\nstack traceback:"),
      printed)
    assert.equal(1, code)
    change('"a.txt"', '"b.txt"')
    printed = run { recording, agent }
    assert(printed:find("canvas: files\n  here\n- [file: a.txt]\n+ [file: b.txt]\n", 1, true), printed)
    assert.equal(before, host.read(recording))
  end)

  it("updates the lines that differ, and no others", function()
    record()
    local before = {}
    for line in io.lines(recording) do before[#before + 1] = line end
    change("two ", "2 ")
    local printed, code = run { recording, agent, "--update" }
    assert(printed:find "3 as recorded, 2 different; updated\n$", printed)
    assert.equal(0, code)
    local changed = 0
    local number = 0
    for line in io.lines(recording) do
      number = number + 1
      if line ~= before[number] then
        changed = changed + 1
        local old, new = cjson.decode(before[number]), cjson.decode(line)
        assert.same(old.envelope, new.envelope)
        assert.same({ old.at, old.row_id, old.from, old.outcome }, { new.at, new.row_id, new.from, new.outcome })
      end
    end
    assert.same({ #before, 2 }, { number, changed })
    assert.same({ "5 as recorded, 0 different\n", 0, "" }, { run { recording, agent } })
    assert.same({ "agent.lua", "messages.jsonl" }, host.list(directory))
    assert.equal("600", host.mode(recording))
  end)

  it("says that it did not update a recording whose name leaves no room for a temporary's", function()
    recording = directory .. "/" .. ("m"):rep(250)
    record()
    local before = host.read(recording)
    change("two ", "2 ")
    local printed, code, errors = run { recording, agent, "--update" }
    assert.equal(1, code)
    assert(printed:find "3 as recorded, 2 different\n$", printed)
    assert(errors:find(("cannot create %s: File name too long"):format(recording), 1, true), errors)
    assert.equal(before, host.read(recording))
  end)

  it("colors the differences if it is told to, or on a terminal", function()
    record()
    change("two ", "2 ")
    local printed = run { recording, agent, "--color", "always" }
    assert(printed:find("\27[31m- two hello\27[0m\n\27[32m+ 2 hello\27[0m\n", 1, true), printed)
    for _, words in ipairs { { recording, agent }, { recording, agent, "--color=never" } } do
      assert(not run(words):find("\27", 1, true))
    end
    local function on_terminal(env)
      local command = ("%s replay %s %s"):format(emulator.binary(), recording, agent)
      env.TERM = "xterm"
      local one = process.spawn { command = { "script", "-qec", command, "/dev/null" }, env = env }
      one:wait_exit()
      return one.stdout:find("\27[31m- two hello", 1, true) ~= nil
    end
    assert.is_true(on_terminal { NO_COLOR = false })
    assert.is_false(on_terminal { NO_COLOR = "1" })
  end)

  it("is offline", function()
    record()
    change("two ", "\" .. select(3, molecule.http.get \"http://127.0.0.1:1/\") .. \"")
    local printed = run { recording, agent }
    assert(printed:find("+ asked, but not recorded: GET http://127.0.0.1:1/\n", 1, true), printed)
    assert(printed:find("+ NOT_RECORDEDhello", 1, true), printed)
  end)

  describe("with what the script asked of the world", function()
    local web, source

    -- A path is answered by the function of that name, which is given reply, else by its own name.
    local answers = {}

    before_each(function()
      answers = {}
      web = server.start(function(request, reply)
        local answer = answers[request.path]
        if answer then answer(reply, request) else reply(200, "the answer of " .. request.path) end
      end)
    end)
    after_each(function() web:stop() end)

    local function handler(body)
      source = ([[
local molecule = require "molecule"
local WEB = "%s"
local function shown(result, problem, code)
  if not result then return ("%%s: %%s"):format(code, problem) end
  return result.body and ("%%d %%s"):format(result.status, result.body)
    or ("%%d %%s %%s %%s"):format(result.code, result.signal or "-", result.stdout, result.stderr)
end
return function(msg)
%s
end]]):format(web.url, body)
      host.write(agent, source)
    end

    -- The texts through a real host; the web and its answers are gone afterwards. Returns the replies and the recorded lines.
    local function record_calls(texts, args)
      local workspace = host.workspace(platform)
      local words = { "--record", recording }
      for _, word in ipairs(args or {}) do words[#words + 1] = word end
      local one = host.connect { platform = platform, workspace = workspace, script = source, args = words }
      for _, text in ipairs(texts) do platform:message { to = workspace.id, text = text } end
      local replies = one:canvas(#texts)
      one:stop()
      web:stop()
      local lines = {}
      for line in io.lines(recording) do lines[#lines + 1] = cjson.decode(line) end
      assert.equal(#texts, #lines)
      return replies, lines
    end

    local function change_to(from, to)
      local first, last = source:find(from, 1, true)
      assert(first, "not in the script")
      source = source:sub(1, first - 1) .. to .. source:sub(last + 1)
      host.write(agent, source)
    end

    local function expect_same(count)
      assert.same({ ("%d as recorded, 0 different\n"):format(count), 0, "" }, { run { recording, agent } })
    end

    it("answers http and programs from the recording, with the web and the programs gone", function()
      local program = host.write(directory .. "/program", "#!/bin/sh\necho \"program $1\"; cat; echo problem >&2; exit 3\n")
      assert(os.execute("chmod +x " .. program))
      handler(([[
  local kinds = {}
  kinds[1] = shown(molecule.http.get(WEB .. "/get?q=" .. msg.text))
  kinds[2] = shown(molecule.http.post(WEB .. "/post", {json = {text = msg.text}}))
  kinds[3] = shown(molecule.exec {argv = {"%s", msg.text}, stdin = "input\n"})
  kinds[4] = shown(molecule.exec {cmd = "%s shell </dev/null"})
  kinds[5] = table.concat({select(2, os.execute("%s x >/dev/null 2>&1 </dev/null"))}, " ")
  local pipe = io.popen("%s pipe 2>&1 </dev/null")
  kinds[6] = pipe:read "l" .. "," .. pipe:read "a"
  kinds[7] = table.concat({select(2, pipe:close())}, " ")
  local to = io.popen("%s x >/dev/null 2>&1", "w")
  to:write("some bytes"):write("more")
  kinds[8] = table.concat({select(2, to:close())}, " ")
  return table.concat(kinds, "\n")]]):format(program, program, program, program, program))
      local replies, lines = record_calls { "one", "two" }
      assert.equal([[200 the answer of /get
200 the answer of /post
3 - program one
input
 problem

3 - program shell
 problem

exit 3
program pipe,problem

exit 3
exit 3]], replies[1])
      assert.equal(7, #lines[1].calls)
      assert(os.remove(program))
      local asked = #web.requests
      expect_same(2)
      assert.equal(asked, #web.requests)
    end)

    it("gives a stream and server-sent events again", function()
      answers["/stream"] = function(reply)
        reply.raw("HTTP/1.1 200 OK\r\nX-Kind: slow\r\n\r\nfirst ")
        reply.raw("second")
        reply.finish()
      end
      answers["/events"] = function(reply)
        reply.raw("HTTP/1.1 200 OK\r\n\r\nevent: a\ndata: 1\n\ndata: 2\n\ndata: 3\n\n")
      end
      handler [[
  local text = ""
  local result = molecule.http.get {url = WEB .. "/stream", stream = function(piece) text = text .. piece end}
  text = text .. "," .. result.status .. "," .. result.headers["x-kind"]
  for event in molecule.http.sse {url = WEB .. "/events"} do
    text = text .. "," .. event.event .. event.data
    if event.data == "2" then break end
  end
  return text]]
      local replies, lines = record_calls { "x" }
      assert.equal("first second,200,slow,a1,message2", replies[1])
      assert.is_true(lines[1].calls[2].closed)
      expect_same(1)
      change_to('== "2" then break', '== "9" then break')
      local printed, code = run { recording, agent }
      assert(printed:find("http.sse: " .. web.url .. "/events: the recording has no more of this answer", 1, true), printed)
      assert.equal(1, code)
    end)

    it("shows what is asked otherwise, and fails that call by its name instead of making it", function()
      handler [[
  local answer = shown(molecule.http.get(WEB .. "/old"))
  return answer .. ", " .. shown(molecule.exec {cmd = "printf old"})]]
      record_calls { "x" }
      local before = host.read(recording)
      change_to("/old", "/new")
      change_to("printf old", "touch " .. directory .. "/made")
      local printed, code = run { recording, agent }
      local url, command = web.url .. "/new", "touch " .. directory .. "/made"
      assert.equal(([[
[1] canvas: x
- no longer asked: GET %s/old
- no longer asked: printf old
+ asked, but not recorded: GET %s
+ asked, but not recorded: %s
- 200 the answer of /old, 0 - old%s
+ NOT_RECORDED: %s: the recording has no result for this GET, NOT_RECORDED: the recording has no result for %s
0 as recorded, 1 different
]]):format(web.url, url, command, " ", url, command), printed)
      assert.equal(1, code)
      assert.same({ "agent.lua", "messages.jsonl" }, host.list(directory))
      assert.equal(before, host.read(recording))
    end)

    it("says that a call is no longer made though the reply is the same, which --update cannot record", function()
      handler [[
  molecule.http.get(WEB .. "/needless")
  return "the same"]]
      record_calls { "x" }
      local before = host.read(recording)
      change_to('molecule.http.get(WEB .. "/needless")', "")
      local expected = ("[1] canvas: x\n- no longer asked: GET %s/needless\n0 as recorded, 1 different\n"):format(web.url)
      assert.same({ expected, 1, "" }, { run { recording, agent } })
      expected = expected
        .. "1 message asks for other things than recorded; --update does not know the answers: record again\n"
      assert.same({ expected, 1, "" }, { run { recording, agent, "--update" } })
      assert.equal(before, host.read(recording))
    end)

    it("keeps the calls when it updates a reply", function()
      handler [[return "so: " .. shown(molecule.http.get(WEB .. "/get"))]]
      local _, lines = record_calls { "x" }
      change_to("so: ", "now: ")
      assert.equal(0, (select(2, run { recording, agent, "--update" })))
      local line = cjson.decode(host.read(recording))
      assert.equal("now: 200 the answer of /get", line.reply.message)
      assert.same(lines[1].calls, line.calls)
      expect_same(1)
    end)

    it("gives answers to the same question in their order, and to the same body first", function()
      local count = 0
      answers["/count"] = function(reply, request)
        count = count + 1
        reply(200, request.body .. count)
      end
      handler [[
  local list = {}
  for i, body in ipairs {"a", "b", "", ""} do
    list[i] = molecule.http.post(WEB .. "/count", body).body
  end
  return table.concat(list, " ")]]
      local replies = record_calls { "x" }
      assert.equal("a1 b2 3 4", replies[1])
      expect_same(1)
      change_to('{"a", "b", "", ""}', '{"", "b", "a", ""}')
      local printed = run { recording, agent }
      assert(printed:find("\n%- a1 b2 3 4\n%+ 3 b2 a1 4\n"), printed)
      change_to('{"", "b", "a", ""}', '{"a", "b", "", "other"}')
      printed = run { recording, agent }
      assert.equal("1 as recorded, 0 different\n1 call has another body than recorded, and got the recorded answer\n",
        printed)
    end)

    it("repeats errors, timeouts and signals as they were", function()
      answers["/never"] = function() end
      answers["/broken"] = function(reply)
        reply.raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        reply.finish()
      end
      answers["/refused"] = function(reply) reply(503, "not now", { ["Retry-After"] = "7" }) end
      handler [[
  local function all(...)
    local list = table.pack(...)
    for i = 1, list.n do list[i] = type(list[i]) == "table" and shown(list[i]) or tostring(list[i]) end
    return table.concat(list, "; ")
  end
  local late = molecule.http.get(WEB .. "/refused")
  return table.concat({
    all(molecule.http.get("http://127.0.0.1:1/closed")),
    all(molecule.http.get(WEB .. "/never", {timeout = 0.2})),
    all(molecule.http.get(WEB .. "/broken")),
    late.status .. late.headers["retry-after"],
    all(molecule.exec {cmd = "exit 7"}),
    all(molecule.exec {cmd = "kill -9 $$"}),
    all(molecule.exec {cmd = "echo early; exec sleep 100", timeout = 0.5}),
    all(molecule.exec {argv = {"/nowhere/program"}}),
    all(molecule.exec {cmd = "echo many words", max_output = 4}),
    all(os.execute "exit 5")}, "\n")]]
      local replies = record_calls { "x" }
      for _, words in ipairs { "CONNECT", "TIMEOUT", "5037\n7 -", "-1 9", "early", "ENOENT", "0 - many" } do
        assert(replies[1]:find(words, 1, true), words .. " is not in " .. replies[1])
      end
      expect_same(1)
    end)

    it("keeps bytes that are no text, and zero bytes", function()
      local bytes = ""
      for byte = 0, 255 do bytes = bytes .. string.char(byte) end
      answers["/bytes"] = function(reply) reply(200, bytes) end
      answers["/zero"] = function(reply) reply(200, "a\0b") end
      handler [[
  local function hex(bytes)
    return (bytes:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end)) .. " "
  end
  local result = molecule.exec {cmd = "printf '\\377\\000x'; printf '\\376' >&2"}
  return hex(molecule.http.get(WEB .. "/bytes").body) .. hex(molecule.http.get(WEB .. "/zero").body)
    .. hex(result.stdout) .. hex(result.stderr)]]
      local replies = record_calls { "x" }
      assert.equal("000102", replies[1]:sub(1, 6))
      assert.equal("fdfeff 610062 ff0078 fe ", replies[1]:sub(-24))
      expect_same(1)
    end)

    it("says that an answer is too long to be recorded, and does not give a part of it", function()
      answers["/long"] = function(reply) reply(200, ("0123456789"):rep(30000)) end
      answers["/stream"] = answers["/long"]
      handler [[
  local size = 0
  local problem = select(2, molecule.http.get {url = WEB .. "/stream", stream = function(piece) size = size + #piece end})
  local result, refused = molecule.http.get(WEB .. "/long")
  return ("%s %s %s"):format(size, problem, result and #result.body or refused)]]
      local replies, lines = record_calls { "x" }
      assert.equal("300000 nil 300000", replies[1])
      for _, call in ipairs(lines[1].calls) do
        assert.same({ 262144, 300000 }, { #call.body, call.body_cut })
      end
      local printed, code = run { recording, agent }
      assert(printed:find(("+ 0 %s/stream: the recording has no result for this GET: its answer was too long to be recorded "
        .. "whole %s/long: the recording has no result for this GET"):format(web.url, web.url), 1, true), printed)
      assert.equal(1, code)
    end)

    it("records the calls of one message up to a limit, and says how many there were", function()
      answers["/long"] = function(reply) reply(200, ("0123456789"):rep(25000)) end
      handler [[
  for i = 1, 1002 do os.execute "" end
  for i = 1, 5 do molecule.http.get(WEB .. "/long") end
  return "done"]]
      local _, lines = record_calls { "x" }
      assert.same({ 1001, { dropped = 7 } }, { #lines[1].calls, lines[1].calls[1001] })
      handler [[
  for i = 1, 6 do molecule.http.get(WEB .. "/long") end
  return "done"]]
      assert.is_true(os.remove(recording))
      web = server.start(function(_, reply) answers["/long"](reply) end)
      source = source:gsub('local WEB = "[^"]+"', ('local WEB = "%s"'):format(web.url))
      _, lines = record_calls { "x" }
      local whole = 0
      for _, call in ipairs(lines[1].calls) do whole = whole + (call.body and not call.body_cut and 1 or 0) end
      assert.same({ 6, 4, 1 }, { #lines[1].calls, whole, lines[1].calls[6].dropped })
      assert(#host.read(recording) < 1200000)
    end)

    it("tells what had no result when its handler was ended", function()
      answers["/never"] = function() end
      handler [[return shown(molecule.http.get(WEB .. "/never"))]]
      local workspace = host.workspace(platform)
      local one = host.connect { platform = platform, workspace = workspace, script = source,
        args = { "--record", recording, "--timeout", "1s", "--max-attempts", "1" } }
      local id = platform:message { to = workspace.id, text = "x" }[1]
      one:log_of(id, "the handler failed")
      one:stop()
      local line = cjson.decode(host.read(recording))
      assert.same({ "dead", true }, { line.outcome, line.calls[1].unfinished })
      local printed = run { recording, agent }
      local expected = "+ NOT_RECORDED: %s/never: the recording has no result for this GET: it had no result when the recorded "
        .. "handler ended"
      assert(printed:find(expected:format(web.url), 1, true), printed)
      assert.is_nil(printed:find("asked", 1, true))
    end)

    it("has the calls of the attempt that led to the outcome", function()
      local count = 0
      answers["/flaky"] = function(reply)
        count = count + 1
        reply(count == 1 and 500 or 200, "number " .. count)
      end
      handler [[
  local result = molecule.http.get(WEB .. "/flaky")
  if result.status ~= 200 then error "not yet" end
  return result.body]]
      local replies, lines = record_calls { "x" }
      assert.same({ "number 2", 1 }, { replies[1], #lines[1].calls })
      expect_same(1)
    end)

    it("records no secret", function()
      answers["/token"] = function(reply)
        reply(200, [[{"access_token": "grant-7c1", "expires_in": 60}]], { ["Set-Cookie"] = "id=cookie-5d2" })
      end
      handler [[
  molecule.http.get(WEB .. "/echo?api_key=query-9a1&page=2", {headers = {Authorization = "Bearer header-3b2"}})
  molecule.http.post(WEB:gsub("//", "//user:userinfo-4e3@") .. "/token", {json = {client_secret = "body-8f4"}})
  molecule.exec {cmd = "echo -H 'Authorization: Bearer shell-2a5' >/dev/null", env = {PASSWORD = "env-6b6"}, stdin = "stdin-1c7"}
  molecule.exec {argv = {"true", "--password", "word-0d8", "--api-token=equals-9e9"}}
  return "done"]]
      local _, lines = record_calls { "x" }
      local text = host.read(recording)
      for _, secret in ipairs { "query-9a1", "header-3b2", "userinfo-4e3", "body-8f4", "shell-2a5", "env-6b6", "stdin-1c7",
        "word-0d8", "equals-9e9", "grant-7c1", "cookie-5d2" } do
        assert.is_nil(text:find(secret, 1, true), secret)
      end
      assert.equal(web.url .. "/echo?api_key=[hidden]&page=2", lines[1].calls[1].url)
      assert.equal("600", host.mode(recording))
      expect_same(1)
    end)

    it("records no token that an answer repeats", function()
      local workspace = host.workspace(platform)
      answers["/mirror"] = function(reply) reply(200, "\255" .. workspace.token) end
      handler [[return #molecule.http.get(WEB .. "/mirror").body .. " bytes"]]
      local one = host.connect { platform = platform, workspace = workspace, script = source, args = { "--record", recording } }
      platform:message { to = workspace.id, text = "x" }
      one:canvas(1)
      one:stop()
      assert.equal(host.base64 "\255[hidden]", cjson.decode(host.read(recording)).calls[1].body_base64)
    end)

    it("fails every call of a message that was recorded without them, as without a network", function()
      handler [[return shown(molecule.http.get(WEB .. "/get")) .. shown(molecule.exec {cmd = "echo x"})]]
      record_calls { "x" }
      local line = cjson.decode(host.read(recording))
      line.calls = nil
      host.write(recording, cjson.encode(line) .. "\n")
      local printed = run { recording, agent }
      assert(printed:find("+ OFFLINE: cannot reach " .. web.url, 1, true), printed)
      assert(printed:find("OFFLINE: cannot run /bin/sh", 1, true), printed)
      assert.is_nil(printed:find("asked", 1, true))
    end)
  end)

  it("passes over what was an answer to the script, and blank lines", function()
    local line = [[{"from":"canvas","envelope":{"params":{"message":{"parts":[{"kind":"text","text":"x"}]}}},"outcome":"%s"}]]
    host.write(recording, "\n" .. line:format "answer" .. "\n" .. line:format "canceled" .. "\n")
    assert.same({ "0 as recorded, 0 different\n", 0, "" }, { run { recording, agent } })
  end)

  it("refuses what is no recording, or has no script", function()
    host.write(recording, "{}\n")
    local _, code, errors = run { recording, agent }
    assert(errors:find(recording .. ":1: this line is not a recorded message", 1, true), errors)
    assert.equal(1, code)
    _, code, errors = run { recording .. "x", agent }
    assert(errors:find("No such file or directory", 1, true), errors)
    assert.equal(1, code)
    for _, words in ipairs { { recording }, {}, { recording, agent, "--color", "blue" }, { recording, agent, "--record", "x" },
      { recording, agent, "--script", agent } } do
      assert.equal(2, (select(2, run(words))))
    end
  end)
end)
