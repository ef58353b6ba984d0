--- `molecule try`: one message, or several, through a script, and what is printed of each.
local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local process = require "tests.support.process"
local server = require "tests.support.server"

describe("molecule try", function()
  after_each(function()
    process.kill_all()
    server.stop_all()
    host.clean_up()
  end)

  local function start(arguments, options)
    options = options or {}
    local command = { emulator.binary(), "try" }
    for _, word in ipairs(arguments) do command[#command + 1] = word end
    return process.spawn { command = command, stdin = options.stdin, env = options.env }
  end

  --- Runs it to its end and looks whether its directory is gone.
  local function try(arguments, options)
    local temporary = host.directory()
    options = options or {}
    options.env = options.env or {}
    options.env.TMPDIR = temporary
    local one = start(arguments, options)
    local code = one:wait_exit()
    assert.same({}, host.list(temporary), "left behind")
    assert(not one.stderr:find("Sanitizer", 1, true), one.stderr)
    return one.stdout, code, one.stderr
  end

  local function script(text)
    return host.write(host.directory() .. "/agent.lua", text)
  end

  it("prints the reply, the outcome and how long the handler took", function()
    local printed, code, errors = try { "examples/echo.lua", "hello" }
    assert(printed:find "^you said: hello\nreplied · %d+ ms\n$", printed)
    assert.same({ 0, "" }, { code, errors })
  end)

  it("makes a conversation of several texts", function()
    local printed, code = try { "examples/remember.lua", "remember the code is 4711", "what is the code?" }
    assert(printed:find("> what is the code?\nthe code is 4711. (question 1 of today)\nreplied", 1, true), printed)
    assert.equal(0, code)
  end)

  it("takes the lines of standard input, one after the other", function()
    local printed, code = try({ "examples/echo.lua" }, { stdin = "one\r\n\ntwo" })
    assert(printed:find "^you said: one\nreplied · %d+ ms\nyou said: two\nreplied · %d+ ms\n$", printed)
    assert.equal(0, code)
  end)

  it("sends nothing when there is no input", function()
    local printed, code = try({ "examples/echo.lua" }, { stdin = "" })
    assert.same({ "", 0 }, { printed, code })
  end)

  it("shows log lines and interim words in their order", function()
    local printed = try { script [[
local molecule = require "molecule"
return function(msg, ctx)
  for i = 1, 9, 2 do
    ctx.progress(tostring(i))
    molecule.log.warn("%d", i + 1)
  end
  molecule.notify("eleven")
  return "twelve"
end]], "go" }
    local wanted = {}
    for i = 1, 9, 2 do wanted[#wanted + 1] = ("… %d\nlog warn: %d\n"):format(i, i + 1) end
    wanted[#wanted + 1] = "… eleven\ntwelve\nreplied"
    assert.equal(table.concat(wanted), printed:match "^(.*replied)")
  end)

  it("shows an error with its line and traceback, and exits with 1", function()
    local path = script "local function fail() local x = nil; return x.y end\nreturn function() local z = fail() return z end"
    local printed, code = try { path, "go" }
    assert(printed:find("agent.lua:1: attempt to index a nil value (local 'x')\n"
      .. "local function fail() local x = nil; return x.y end\n" .. (" "):rep(28) .. "^\nstack traceback:", 1, true), printed)
    assert(printed:find("agent.lua:2: in function", 1, true), printed)
    assert(printed:find "\ndead · %d+ ms\n$", printed)
    assert.equal(1, code)
  end)

  it("tells every outcome, by its exit code too", function()
    local path = script [[
local molecule = require "molecule"
return function(msg)
  if msg.text == "skip" then return molecule.skip("not mine") end
  if msg.text == "dead" then return molecule.dead("never") end
  if msg.text == "retry" then return molecule.retry {after = "1h", reason = "busy"} end
  if msg.text == "number" then return 5 end
end]]
    for _, case in ipairs {
      { "skip", "skipped · %d+ ms: not mine\n", 0 }, { "nothing", "no_reply · %d+ ms\n", 0 },
      { "dead", "dead · %d+ ms: never\n", 1 }, { "retry", "retry · %d+ ms: in 3600.0 s: busy\n", 1 },
      { "number", "dead · %d+ ms: the handler returned a number; allowed are", 1 },
    } do
      local printed, code = try { path, case[1] }
      assert(printed:find("^" .. case[2]), printed)
      assert.equal(case[3], code)
    end
  end)

  it("refuses a script that does not load, and a wrong call, with 2", function()
    local _, code, errors = try { script "return {", "go" }
    assert(errors:find("molecule try: the script does not load: .*agent.lua:1: "), errors)
    assert.equal(2, code)
    for _, words in ipairs { { "no-such.lua", "go" }, {}, { "examples/echo.lua", "--max-attempts", "2", "go" },
      { "examples/echo.lua", "go", "--envelope", "x" } } do
      assert.equal(2, (select(2, try(words))))
    end
  end)

  it("speaks as a peer, with a context", function()
    local path = script [[return function(msg) return ("%s %s %s"):format(msg.from == msg.peer.id, msg.context_id,
      msg.conversation == msg.from .. "/talk") end]]
    local printed = try { path, "hello", "--from", "billing", "--context", "talk" }
    assert(printed:find "^true talk true\nreplied", printed)
  end)

  it("sends files and shows those that come back", function()
    local path = host.write(host.directory() .. "/a b.txt", "one two\n")
    local printed = try { "examples/files.lua", "--file", path }
    assert(printed:find("a_b.txt: 1 lines, 2 words, 8 bytes\n[file: report.txt, 35 bytes]\nreplied", 1, true), printed)
    local _, code, errors = try { "examples/files.lua", "--file", path .. "x" }
    assert(errors:find("no file was sent: ", 1, true), errors)
    assert.equal(1, code)
  end)

  it("sends an envelope as it is", function()
    local path = script [[return function(msg) return msg.method .. " " .. msg.text .. " " .. msg.message_id end]]
    local printed = try({ path, "--envelope", "-" }, { stdin = cjson.encode { jsonrpc = "2.0", id = "1",
      method = "message/stream",
      params = { message = { messageId = "m1", role = "user", parts = { { kind = "text", text = "hi" } } } } } })
    assert(printed:find("message/stream hi m1\nreplied", 1, true), printed)
    local _, code, errors = try({ path, "--envelope", "-" }, { stdin = "{" })
    assert(errors:find("the envelope is not a JSON object", 1, true), errors)
    assert.equal(1, code)
  end)

  it("prints JSON for programs", function()
    local printed = try { "examples/echo.lua", "--json", "a", "b" }
    local lines = {}
    for line in printed:gmatch "[^\n]+" do lines[#lines + 1] = cjson.decode(line) end
    assert.same({ 2, "b", "you said: b", "replied", "number" },
      { #lines, lines[2].text, lines[2].reply, lines[2].outcome, type(lines[2].ms) })
  end)

  it("keeps the stored values in a file", function()
    local file = host.directory() .. "/store.json"
    try { "examples/remember.lua", "remember a is 1", "--store", file }
    assert.same({ thing = "a", what = "1" }, cjson.decode(host.read(file))["fact:canvas:a"])
    local printed = try { "examples/remember.lua", "what is a?", "--store", file }
    assert(printed:find("a is 1. (question 1 of today)", 1, true), printed)
    host.write(file, "[1]")
    local _, code, errors = try { "examples/remember.lua", "list", "--store", file }
    assert(errors:find("store.json: not a JSON object", 1, true), errors)
    assert.same({ 1, "[1]" }, { code, host.read(file) })
  end)

  it("reaches the network and programs, and with --offline neither", function()
    local web = server.start(function(_, reply) reply(200, "from the web") end)
    local path = script(([[
local molecule = require "molecule"
return function(msg)
  if msg.text == "http" then local a, p, c = molecule.http.get %q return a and a.body or c .. ": " .. p end
  if msg.text == "stream" then local a, p, c = molecule.http.get(%q, {stream = print}) return a and "read" or c .. ": " .. p end
  if msg.text == "sse" then return select(2, pcall(molecule.http.sse, {url = %q})) end
  if msg.text == "exec" then local r, p, c = molecule.exec {argv = {"echo", "ran"}} return r and r.stdout or c .. ": " .. p end
  if msg.text == "popen" then local f, p = io.popen "echo ran" return f and f:read "a" or p end
  return tostring(select(2, os.execute "true"))
end]]):format(web.url, web.url, web.url))
    local words = { path, "http", "stream", "exec", "popen", "execute" }
    local printed = try(words)
    assert(printed:find "from the web.*read.*ran.*ran.*exit", printed)
    words[#words + 1], words[#words + 2] = "sse", "--offline"
    printed = try(words)
    assert(printed:find "OFFLINE: cannot reach http.*OFFLINE: cannot reach.*OFFLINE: cannot run echo.*cannot run /bin/sh",
      printed)
    assert(printed:find "execute\ncannot run /bin/sh: no programs run with %-%-offline\n", printed)
    assert(printed:find("http.sse: cannot reach ", 1, true), printed)
    assert.equal(2, #web.requests)
  end)

  it("ends on a signal while it waits for input, and while a handler runs", function()
    local fifo = host.directory() .. "/input"
    assert(os.execute("mkfifo " .. fifo))
    local temporary = host.directory()
    local one = process.spawn { command = { "sh", "-c", ("exec %s try examples/echo.lua <> %s"):format(emulator.binary(), fifo) },
      env = { TMPDIR = temporary } }
    host.write(fifo, "hello\n")
    one:wait_line("replied", { stream = "stdout" })
    one:signal "sigint"
    one:wait_exit()
    assert.same({}, host.list(temporary))
    local two = start({ script [[print "begun" return function() print "runs" require "molecule".sleep(1000) end]], "go" },
      { env = { TMPDIR = temporary } })
    two:wait_line("runs", { stream = "stdout" })
    two:signal "sigint"
    assert.equal(1, (two:wait_exit()))
    assert.same({}, host.list(temporary))
  end)
end)
