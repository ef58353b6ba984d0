--- The conversation in the terminal of `molecule dev`: what is typed, what is shown, and when it ends.

local uv = require "luv"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local http = require "tests.support.http"
local loop = require "tests.support.loop"
local process = require "tests.support.process"

local TALKER = [[
local molecule = require "molecule"
return {concurrency = 4, handle = function(msg, ctx)
  if msg.text == "boom" then error "boom" end
  if msg.text == "skip" then return molecule.skip "not for me" end
  if msg.text == "progress" then ctx.progress "working on it" return "two\nlines" end
  if msg.text == "dead" then return molecule.dead "never" end
  if msg.text == "nothing" then return end
  if msg.files[1] then return ("%s: %d bytes of %s"):format(msg.text, #msg.files[1]:read(), msg.files[1].name) end
  return ("%s said: %s"):format(msg.peer and "a peer" or msg.from, msg.text)
end}]]

describe("molecule dev", function()
  local directory

  before_each(function()
    directory = host.directory()
    host.write(directory .. "/agent.lua", TALKER)
  end)

  after_each(function()
    process.kill_all()
    host.clean_up()
    loop.flush()
  end)

  local function start(input, arguments, env)
    local command = { emulator.binary(), "dev", directory .. "/agent.lua", "--port", "0" }
    for _, word in ipairs(arguments or {}) do command[#command + 1] = word end
    return process.spawn { command = command, stdin = input, keep_stdin = input == nil, env = env }
  end

  -- What it showed of a conversation that came through a pipe.
  local function talk(lines, arguments)
    local child = start(table.concat(lines, "\n") .. "\n", arguments)
    assert.equal(0, (child:wait_exit()), child:report())
    assert.is_nil(child.stderr:find("Sanitizer", 1, true), child:report())
    return child
  end

  it("takes agent.lua where no script is named", function()
    local child = process.spawn { command = { emulator.binary(), "dev", "--port", "0" }, cwd = directory, stdin = "hello\n" }
    assert.equal(0, (child:wait_exit()), child:report())
    assert.truthy(child.stdout:find("agent.lua serves workspace", 1, true), child:report())
  end)

  it("offers to write one on a terminal, and serves it", function()
    local empty = host.directory()
    local child = process.spawn { command = { "script", "-qec", emulator.binary() .. " dev --port 0", "/dev/null" }, cwd = empty,
      keep_stdin = true, stdin = "y\nhello\n" }
    assert(loop.wait(function() return child.stdout:find("you said: hello", 1, true) or child.ended end), child:report())
    assert.truthy(child.stdout:find("There is no agent.lua here. Write one", 1, true), child:report())
    assert.truthy(child.stdout:find("playground: http://127%.0%.0%.1:%d+/__emulator/playground"), child:report())
    assert.falsy(child.stdout:find("curl", 1, true), child:report()) -- one line is enough for a person
    child:write "/quit\n"
    child:wait_exit()
    child:close_stdin()
    assert.equal(host.read "examples/echo.lua", (host.read(empty .. "/agent.lua"):gsub("agent%.lua", "examples/echo.lua")))
  end)

  it("writes none against a person's wish", function()
    local empty = host.directory()
    local child = process.spawn { command = { "script", "-qec", emulator.binary() .. " dev --port 0", "/dev/null" }, cwd = empty,
      keep_stdin = true, stdin = "n\n" }
    assert.equal(2, (child:wait_exit()), child:report())
    child:close_stdin()
    assert.is_nil(uv.fs_stat(empty .. "/agent.lua"))
  end)

  local function shows(child, pattern)
    for _, line in ipairs(child.lines.stdout) do
      if line:find(pattern) then return line end
    end
    error(("no line matches %q\n%s"):format(pattern, child:report()), 2)
  end

  local function shows_not(child, pattern)
    for _, line in ipairs(child.lines.stdout) do
      if line:find(pattern) then error(("%q is shown\n%s"):format(line, child:report()), 2) end
    end
  end

  for _, profile in ipairs { "latest", "t1" } do
    it("shows each message, its reply, its outcome and how long it took (" .. profile .. ")", function()
      local child = talk({ "hello", "progress", "nothing", "skip", "dead" }, { "--profile", profile })
      for _, pattern in ipairs { "^%[1%] canvas: hello$", "^%[1%] agent: canvas said: hello$", "^%[1%] replied in %d+ ms$",
        "^    agent: working on it$", "^%[2%] agent: two$", "^    lines$", "^%[2%] replied in %d+ m?s$",
        "^%[3%] no_reply in", "^%[4%] skipped in .*: not for me$", "^%[5%] dead letter in .*: never$" } do
        shows(child, pattern)
      end
    end)

    it("sends files and speaks as peers (" .. profile .. ")", function()
      host.write(directory .. "/some notes.txt", "0123456789")
      local notes = directory .. "/some notes.txt"
      local child = talk({ "/file " .. notes .. " look at this", ('/file "%s" quoted'):format(notes), "/as bob", "hello",
        "/file " .. notes .. " from a peer", "/as", "/as canvas", "bye" }, { "--profile", profile })
      for _, pattern in ipairs { "^%[1%] canvas: look at this$", "^    <file some.notes%.txt, 10 bytes>$",
        "^%[1%] agent: look at this: 10 bytes of some.notes%.txt$", "^%[2%] agent: quoted: 10 bytes of",
        "^%-%- you are the peer bob %(%x+", "^%[3%] bob: hello$", "^%[3%] agent: a peer said: hello$",
        "^%[4%] agent: from a peer: 10 bytes of some notes%.txt$", "^%[5%] agent: canvas said: bye$" } do
        shows(child, pattern)
      end
    end)
  end

  it("says what a handler that fails waits for, and of what it died", function()
    local child = talk({ "boom" }, { "--max-attempts", "2" })
    shows(child, "^%[1%] no outcome yet, retrying in .*agent.lua:3: boom$")
    shows(child, "^%[1%] dead letter in .*agent.lua:3: boom$")
  end)

  it("knows its own commands, and tells an unknown one from a message", function()
    local child = talk { "/help", "/hlp", "/file", "/file /nowhere/at all", "/file " .. directory, "//slash", "  ", "\255" }
    for _, pattern in ipairs { "/file PATH", "unknown command /hlp; did you mean /help%?", "which file%?",
      "no file was sent: /nowhere/at all: No such file", "no file was sent: .*Is a directory", "^%[1%] canvas: /slash$",
      "not UTF%-8" } do
      shows(child, pattern)
    end
    shows_not(child, "^%[2%]")
  end)

  it("answers all of a pipe that holds more than is read at once, and one without a last line end", function()
    local lines = {}
    for i = 1, 1500 do lines[i] = "line " .. i end
    local child = start(table.concat(lines, "\n"), { "--rate-limit", "-1" })
    assert.equal(0, (child:wait_exit()), child:report())
    shows(child, "^%[1500%] agent: canvas said: line 1500$")
    shows(child, "^%[1500%] replied")
  end)

  it("ends after a pipe of commands alone, too", function()
    local child = talk { "/help", "/as bob" }
    shows_not(child, "^%[")
  end)

  it("refuses a line that is too long and takes the next one", function()
    local child = talk { ("x"):rep(1024 * 1024 + 1), "short" }
    shows(child, "longer than 1 MiB")
    shows(child, "^%[1%] agent: canvas said: short$")
  end)

  it("shows what came another way, and ends no sooner than it is told when nothing was typed", function()
    local child = start ""
    local port = math.tointeger(tonumber(child:wait_line("^emulator listening on "):match ":(%d+) "))
    local id = child:wait_line(" serves workspace "):match "serves workspace (%S+);"
    local said = http.start { port = port, method = "POST", path = "/__emulator/messages",
      json = { to = id, text = "from \27[31m afar" } }:wait()
    assert.equal(200, said.status)
    child:wait_line "^%[1%] replied"
    shows(child, "^%[1%] canvas: from \\x1b%[31m afar$")
    child:signal "sigterm"
    assert.equal(0, (child:wait_exit()), child:report())
  end)

  it("runs on with /dev/null for its input", function()
    local child = process.spawn { command = { "sh", "-c", 'exec "$@" </dev/null', "sh", emulator.binary(), "dev",
      directory .. "/agent.lua", "--port", "0" } }
    child:wait_line("registered as", { stream = "stderr" })
    local port = math.tointeger(tonumber(child.stdout:match "127%.0%.0%.1:(%d+) "))
    http.start { port = port, method = "POST", path = "/__emulator/quit", json = {} }:wait()
    assert.equal(0, (child:wait_exit()), child:report())
  end)

  it("ends with /quit once what was typed is answered", function()
    local child = start()
    child:write "hello\n/quit\nlate\n"
    assert.equal(0, (child:wait_exit()), child:report())
    shows(child, "^%[1%] replied")
    shows(child, "^%-%- exiting: nothing more is sent")
    child.stdin:close()
  end)

  it("talks with a person at a terminal, and ends with Ctrl-D", function()
    local words = ("'%s' dev '%s/agent.lua' --port 0"):format(emulator.binary(), directory)
    local child = process.spawn { command = { "script", "-qefc", words, "/dev/null" }, keep_stdin = true,
      env = { SHELL = "/bin/sh" } }
    child:wait_line "registered as"
    child:write "hello\n"
    child:wait_line "%[1%] agent: canvas said: hello"
    child:write "/as bob\nhello\n"
    child:wait_line "%[2%] agent: a peer said: hello"
    child:wait_line "%[2%] replied in"
    child:write "\4"
    assert.equal(0, (child:wait_exit()), child:report())
    child.stdin:close()
  end)

  it("keeps what the script stored, with --state-dir, from run to run", function()
    host.write(directory .. "/agent.lua", [[
      local molecule = require "molecule"
      return function() return "number " .. molecule.store.incr "n" end]])
    for number = 1, 3 do
      local child = talk({ "hello" }, { "--state-dir", directory .. "/state" })
      shows(child, ("^%%[1%%] agent: number %d$"):format(number))
    end
  end)

  it("takes the options of connect, and says which of them are not for it", function()
    local child = talk({ "hello" }, { "--concurrency", "2", "--timeout", "30s", "--allow-from", "canvas", "--record",
      directory .. "/record", "--name", "tester", "--heartbeat-ms", "100", "--wake", "poll", "--interval-ms", "20" })
    shows(child, "^%[1%] replied")
    assert(host.read(directory .. "/record"):find('"replied"', 1, true))
    for option, reason in pairs { ["--api-url"] = "its own platform", ["--token"] = "from its own platform" } do
      child = start("", { option, "x" })
      assert.equal(2, (child:wait_exit()))
      assert(child.stderr:find(reason, 1, true), child:report())
    end
  end)

  it("leaves nothing in TMPDIR, also when a second signal or a stuck script ends it at once", function()
    local temporary = host.directory()
    host.write(directory .. "/agent.lua", ([[
      local function busy() io.open(%q, "w"):close() while true do end end
      return function() string.gsub("x", "x", busy) end]]):format(directory .. "/running"))
    for _, case in ipairs { { 0, "two signals", { "--cpu-limit", "0", "--timeout", "0", "--drain", "1h" } },
      { 75, "stuck", { "--cpu-limit", "0", "--timeout", "0", "--stuck-after", "1s", "--drain", "0" } } } do
      os.remove(directory .. "/running")
      local child = start("hello\n", case[3], { TMPDIR = temporary })
      assert(loop.wait(function() return uv.fs_stat(directory .. "/running") end), child:report())
      assert.equal(1, #host.list(temporary))
      if case[2] == "two signals" then
        child:signal "sigint"
        child:wait_line("SIGINT: stopping", { stream = "stderr" })
        child:signal "sigint"
      end
      assert.equal(case[1], (child:wait_exit()), child:report())
      assert.same({}, host.list(temporary))
    end
  end)

  it("ends when its terminal is closed, and its host with it", function()
    local words = { emulator.binary(), "dev", directory .. "/agent.lua", "--port", "0" }
    local terminal = process.spawn { command = { "script", "-qec", "exec " .. table.concat(words, " "), "/dev/null" },
      keep_stdin = true }
    terminal:wait_line "registered"
    local function children(pid)
      return (host.read(("/proc/%s/task/%s/children"):format(pid, pid)) or ""):match "%d+"
    end
    local dev = children(terminal.pid)
    local its_host = children(dev)
    assert(dev and its_host)
    terminal:signal "sigkill"
    terminal:wait_exit()
    assert(loop.wait(function() return not uv.fs_stat("/proc/" .. dev) and not uv.fs_stat("/proc/" .. its_host) end))
  end)

  it("takes no orders from the environment, and passes none on", function()
    for _, orders in ipairs { "x", "{}", '{"parent": 1, "url": "http://127.0.0.1:9"}' } do
      host.write(directory .. "/agent.lua", [[return function() return "it is " .. tostring(os.getenv "MOLECULE_DEV_HOST") end]])
      local child = start("hello\n", nil, { MOLECULE_DEV_HOST = orders })
      assert.equal(0, (child:wait_exit()), child:report())
      assert(child.stdout:find("it is nil", 1, true), child:report())
      assert.equal(1, select(2, child.stdout:gsub("playground: ", "")))
    end
  end)

  it("names the directory in which it can create none", function()
    local child = start("", {}, { TMPDIR = directory .. "/none" })
    assert.equal(1, (child:wait_exit()))
    assert(child.stderr:find(("cannot create a directory in %s/none: No such file or directory; set TMPDIR"):format(directory),
      1, true), child.stderr)
  end)
end)
