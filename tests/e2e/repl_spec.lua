--- `molecule repl`: lines of Lua and what they show, through a pipe and on a terminal.
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local loop = require "tests.support.loop"
local process = require "tests.support.process"
local server = require "tests.support.server"
local uv = require "luv"

local UP, CTRL_C, CTRL_D, TAB = "\27[A", "\3", "\4", "\t"

local AGENT = [[
  local molecule = require "molecule"
  count = 0
  return function(msg)
    count = count + 1
    molecule.log("message %d", count)
    if msg.text == "boom" then error "no such thing" end
    if msg.text == "wait" then molecule.sleep(1000) end
    molecule.store.set("last", msg.text)
    return ("%s: %s"):format(msg.peer and msg.peer.name or msg.from, msg.text)
  end]]

describe("molecule repl", function()
  after_each(function()
    process.kill_all()
    server.stop_all()
    host.clean_up()
  end)

  local function script(text)
    return host.write(host.directory() .. "/agent.lua", text)
  end

  --- Hands it the lines, runs it to its end and looks whether its directory is gone.
  local function run(lines, ...)
    local temporary = host.directory()
    local one = process.spawn { command = { emulator.binary(), "repl", ... }, stdin = lines, env = { TMPDIR = temporary } }
    local code = one:wait_exit()
    assert.same({}, host.list(temporary), "left behind")
    assert(not one.stderr:find("Sanitizer", 1, true), one.stderr)
    return one.stdout, one.stderr, code
  end

  describe("in a pipe", function()
    it("shows the values of expressions, and nothing for statements", function()
      local printed, errors, code = run('1 + 1\nx = "a\\n\\"b\\""\nx, nil, true\nprint("said")\n\nmath.type(2.5)\n')
      assert.equal('2\n"a\\n\\"b\\"", nil, true\nsaid\n"float"\n', printed)
      assert.same({ "", 0 }, { errors, code })
    end)

    it("shows what is in a table, in order, with its names", function()
      local printed = run [[
        {3, 4, b = {c = {"x"}}, a = false, ["two words"] = molecule.null}
        {}
        setmetatable({}, {__tostring = function() return "mine" end})]]
      assert.equal('{3, 4, a = false, b = {c = {"x"}}, ["two words"] = null}\n{}\nmine\n', printed)
    end)

    it("gives a table that is wide a line for each entry, and says what it leaves out", function()
      local printed = run [[
        t = {} for i = 1, 60 do t[i] = ("x"):rep(9) end return t
        d = {a = {b = {c = {d = 1}}}} d.self = d
        d
        ("long"):rep(30000)]]
      assert(printed:find('^{\n  "xxxxxxxxx",\n', 1), printed:sub(1, 200))
      assert(printed:find("\n  … (10 more)\n}\n", 1, true), printed:sub(1, 2000))
      assert(printed:find("\n{a = {b = {c = {…}}}, self = <itself, further out>}\n", 1, true), printed:sub(1, 2000))
      assert(#printed < 70000 and printed:find("bytes more%)\n$"), printed:sub(-200))
    end)

    it("continues a statement, an expression and a text on the next lines", function()
      local printed, errors, code = run("function f(a)\n  return a * 2\nend\nf(21)\n1 +\n\n2\n[[a\nb]]\n")
      assert.equal('42\n3\n"a\\nb"\n', printed)
      assert.same({ "", 0 }, { errors, code })
    end)

    it("keeps globals from line to line; a local variable ends with its line", function()
      assert.equal("1\nnil\n", (run "a = 1 local b = 2\na\nb\n"))
    end)

    it("names the line of an error, runs the lines after it, and ends with 1", function()
      local printed, errors, code = run 'local t = {}\nt.x.y = 1\nfunction f(a)\n  return a.b\nend\nf()\n= 1\n"fine"\n'
      assert.equal('"fine"\n', printed)
      assert(errors:find("stdin:2: attempt to index a nil value (global 't')\n", 1, true), errors)
      assert(errors:find("stdin:4: attempt to index a nil value (local 'a')\nstack traceback:\n", 1, true), errors)
      assert(errors:find("stdin:7: unexpected symbol near '='\n", 1, true), errors)
      assert(not errors:find("repl.lua", 1, true), errors)
      assert.equal(1, code)
    end)

    it("says where the input ended when a statement has no end", function()
      local printed, errors, code = run "1\nfor i = 1, 2 do\n"
      assert.same({ "1\n", "stdin:2: 'end' expected near <eof>\n", 1 }, { printed, errors, code })
    end)

    it("has the script API, also what waits", function()
      local service = server.start(function(_, reply) reply(200, "pong") end)
      local printed, errors, code = run(([[
        molecule.sleep(0.01)
        molecule.exec {argv = {"echo", "hi"}}.stdout
        molecule.http.get("%s").body
        cjson.encode {a = 1}
        molecule.store.incr "n", molecule.store.incr "n"
        molecule.store.get "n"
        molecule.log.warn("look %%d", 1)
        require "molecule" == molecule]]):format(service.url))
      assert.equal('"hi\\n"\n"pong"\n"{\\"a\\":1}"\n1, 2\n2\nlog warn: look 1\ntrue\n', printed)
      assert.same({ "", 0 }, { errors, code })
    end)

    it("ends a line that reaches a limit, says which, and where; the next one runs", function()
      local printed, errors, code = run("while true do end\nmolecule.sleep(1000)\na = 1\nx = ('x'):rep(1 << 28)\na, 2\n",
        "--cpu-limit", "200ms", "--timeout", "1s", "--memory-limit", "32MiB")
      assert(errors:find("used more than 0.2 s of CPU time (--cpu-limit), at stdin:1\n", 1, true), errors)
      assert(errors:find("took longer than its time limit (--timeout), at stdin:2\n", 1, true), errors)
      assert(errors:find("needed more than 32 MiB of memory (--memory-limit), at stdin:4\n", 1, true), errors)
      assert(errors:find("replaced by a fresh one; its globals are lost", 1, true), errors)
      assert.same({ "nil, 2\n", 1 }, { printed, code })
    end)

    it("keeps what a line stores, unless the line failed", function()
      local file = host.directory() .. "/store.json"
      local lines = 'molecule.store.set("a", {1, "x"})\nmolecule.store.set("b", 2) error "no"\n:store\n:store a\n:store b\n'
      local printed, errors, code = run(lines, "--store", file)
      assert.equal('true\na = {1, "x"}\n{1, "x"}\n', printed)
      assert(errors:find('nothing is stored under "b"\n', 1, true), errors)
      assert.equal(1, code)
      assert.equal("a = {1, \"x\"}\n", (run(":store\n", "--store", file)))
      assert.equal("nothing is stored\n", (run ":store\n"))
    end)

    it("denies in the sandbox what it denies a script", function()
      local _, errors, code = run('os.getenv "HOME"\n', "--sandbox")
      assert(errors:find("os.getenv is not in the sandbox (--sandbox)", 1, true), errors)
      assert.equal(1, code)
    end)

    it("suggests the command that was meant, and says what is missing", function()
      local printed, errors, code = run ":sned x\n:xyzzy\n:as\n:send hello\n:help\n:quit\n1\n"
      assert(errors:find("unknown command :sned; did you mean :send? :help lists them\n", 1, true), errors)
      assert(errors:find("unknown command :xyzzy; :help lists them\n", 1, true), errors)
      assert(errors:find(":as NAME: the name is missing", 1, true), errors)
      assert(errors:find("there is no agent here to answer; start molecule repl agent.lua", 1, true), errors)
      for _, word in ipairs { ":send TEXT", ":as NAME", ":reload", ":store [KEY]", ":help", ":quit" } do
        assert(printed:find("  " .. word, 1, true), printed)
      end
      assert(not printed:find("\n1\n", 1, true), "a line after :quit ran")
      assert.equal(1, code)
    end)

    it("ends with 0 when there is nothing to run", function()
      assert.same({ "", "", 0 }, { run "" })
    end)

    it("leaves nothing behind when it is told to end while a line runs", function()
      local temporary = host.directory()
      local one = process.spawn { command = { emulator.binary(), "repl" }, stdin = 'print "begun" molecule.sleep(1000)\n',
        env = { TMPDIR = temporary }, keep_stdin = true }
      one:wait_line "begun"
      one:signal "sigterm"
      one:wait_exit()
      assert.same({}, host.list(temporary))
    end)
  end)

  describe("with a script", function()
    it("hands it messages and shows its log, its reply and its outcome", function()
      local printed, errors, code = run(":send hello\ncount\n:send again\ncount = 10\n:send third\n", script(AGENT))
      assert(printed:find "^log info: message 1\ncanvas: hello\nreplied · %d+ ms\n1\nlog info: message 2\n", printed)
      assert(printed:find("log info: message 11\n", 1, true), printed)
      assert.same({ "", 0 }, { errors, code })
    end)

    it("sends as another agent, and as the human again", function()
      local printed = run(":as billing\n:send a\n:as canvas\n:send b\n", script(AGENT))
      assert(printed:find("speaking as billing\nlog info: message 1\nbilling: a\n", 1, true), printed)
      assert(printed:find("speaking as the canvas\nlog info: message 2\ncanvas: b\n", 1, true), printed)
    end)

    it("shows an error of its handler with the source line, and ends with 1", function()
      local printed, _, code = run(":send boom\n:send fine\n", script(AGENT))
      assert(printed:find('agent.lua:6: no such thing\n    if msg.text == "boom"', 1, true), printed)
      assert(printed:find("\ndead · ", 1, true) and printed:find("canvas: fine\nreplied", 1, true), printed)
      assert.equal(1, code)
    end)

    it("shares the store and the globals with the lines, but gives the script nothing that it did not require", function()
      local printed = run(':send hello\nmolecule.store.get "last"\nfunction helper() return "helped" end\n', script(AGENT))
      assert(printed:find('"hello"\n', 1, true), printed)
      printed = run("x = 1\n:send hello\n", script 'return function() return molecule and "leaked" or ("x is %d"):format(x) end')
      assert(printed:find("x is 1\n", 1, true), printed)
    end)

    it("loads it again on request", function()
      local agent = script 'return function() return "first" end'
      local printed, errors, code = run(([[
        x = 1
        local f = io.open(%q, "w") f:write 'return function() return "second" end' f:close()
        :reload]]):gsub("\n +", "\n"):format(agent) .. "\nx\n:send hello\n", agent)
      assert(printed:find("reloaded; the globals of the previous version are lost\nnil\nsecond\nreplied", 1, true), printed)
      assert.same({ "", 0 }, { errors, code })
    end)

    it("keeps the old one when the new one does not load, and says where it is wrong", function()
      local agent = script 'return function() return "first" end'
      local printed, errors, code = run(([[local f = io.open(%q, "w") f:write '\nreturn function(' f:close()
:reload
:send hello
]]):format(agent), agent)
      assert(errors:find("was not reloaded", 1, true) and errors:find("agent.lua:2: ", 1, true), errors)
      assert(printed:find("first\nreplied", 1, true), printed)
      assert.equal(1, code)
    end)

    it("does not start with one that does not load, and says where it is wrong", function()
      local printed, errors, code = run("1\n", script "\nreturn function(")
      assert(errors:find("agent.lua:2: ", 1, true), errors)
      assert.same({ "", 2 }, { printed, code })
    end)
  end)

  describe("on a terminal", function()
    --- A session in a pseudo-terminal: `say` types, `see` waits for what is printed after the last thing seen.
    local function open(arguments, env)
      env = env or {}
      env.TERM, env.TMPDIR = "xterm", host.directory()
      env.XDG_STATE_HOME = env.XDG_STATE_HOME or host.directory()
      local words = { emulator.binary(), "repl", table.unpack(arguments or {}) }
      local one = process.spawn { command = { "script", "-qec", "exec " .. table.concat(words, " "), "/dev/null" }, env = env,
        keep_stdin = true }
      local session, from = { process = one, state = env.XDG_STATE_HOME }, 1
      function session.see(text)
        if not loop.wait(function()
          local _, last = one.stdout:find(text, from, true)
          from = last and last + 1 or from
          return last or one:settle()
        end) or one.exit and not one.stdout:sub(1, from - 1):find(text, 1, true) then
          error(("%q did not come\n%s"):format(text, one:report()), 2)
        end
      end
      function session.say(text) one:write(text) end
      function session.ask(line, answer)
        session.say(line .. "\n")
        session.see(line)
        session.see(answer)
        session.see "> "
      end
      function session.quit()
        session.say(CTRL_D)
        local code = one:wait_exit()
        assert(not one.stdout:find("Sanitizer", 1, true), one.stdout)
        assert.same({}, host.list(env.TMPDIR), "left behind")
        return code
      end
      session.see "> "
      return session
    end

    it("prompts, and with another prompt while a statement has no end", function()
      local session = open()
      session.say "for i = 1, 2 do\n"
      session.see ">> "
      session.say "print(i * 21)\n"
      session.see ">> "
      session.say "end\n"
      session.see "21\r\n42\r\n> "
      session.ask("1 + 1", "\r\n2\r\n")
      session.ask("error 'no'", "input:1: no\r\n")
      assert.equal(0, session.quit())
    end)

    it("completes the names of globals, of fields, of methods and of commands", function()
      local session = open()
      session.say("mole" .. TAB .. ".st" .. TAB .. ".inc" .. TAB .. "('n')\n")
      session.see "\r\n1\r\n> "
      session.say("name = 'x'\n")
      session.see "> "
      session.say("name:upp" .. TAB .. "()\n")
      session.see '"X"\r\n> '
      session.say(":sto" .. TAB .. "\n")
      session.see "n = 1\r\n> "
      assert.equal(0, session.quit())
    end)

    it("lists the names that are possible when there are several", function()
      local session = open()
      session.say("molecule.store." .. TAB)
      session.see "append"
      session.see "update"
      session.see "> molecule.store."
      session.say(CTRL_C)
      session.see "^C"
      session.see "> "
      assert.equal(0, session.quit())
    end)

    it("does not run the script's code to complete a name", function()
      local session = open()
      session.ask("function f() print 'ran' end", "\r\n")
      session.ask("t = setmetatable({}, {__index = f, __pairs = f})", "\r\n")
      session.say("t.x.y" .. TAB)
      session.see "\7"
      session.say(CTRL_C)
      session.see "> "
      session.quit()
      assert(not session.process.stdout:find("\nran", 1, true), session.process.stdout)
    end)

    it("keeps what was typed for the next session, for its user only", function()
      local first = open()
      first.ask("40 + 2", "42\r\n")
      assert.equal(0, first.quit())
      local file = first.state .. "/molecule/repl_history"
      assert.equal(384, assert(uv.fs_stat(file)).mode & 511) -- 0600
      local second = open({}, { XDG_STATE_HOME = first.state })
      second.say(UP)
      second.see "40 + 2"
      second.say "\n"
      second.see "42\r\n"
      second.see "> "
      assert.equal(0, second.quit())
    end)

    it("forgets the oldest lines of a long history", function()
      local state = host.directory()
      assert(uv.fs_mkdir(state .. "/molecule", 448))
      local lines = { "_HiStOrY_V2_" }
      for i = 1, 1500 do lines[#lines + 1] = ("line%d"):format(i) end
      local file = host.write(state .. "/molecule/repl_history", table.concat(lines, "\n") .. "\n")
      local session = open({}, { XDG_STATE_HOME = state })
      session.ask("1 + 1", "2\r\n")
      session.quit()
      local _, count = host.read(file):gsub("\n", "")
      assert.equal(1001, count)
      assert(host.read(file):find("\n1\\040+\\0401\n", 1, true), host.read(file):sub(-60))
    end)

    it("interrupts what runs at Ctrl-C, and the session stays", function()
      local session = open { script(AGENT) }
      local mark = host.directory() .. "/runs" -- a program that has not begun yet gets the terminal's signal, too
      local program = ("print 'begun' molecule.exec {argv = {'sh', '-c', 'echo > %s; exec sleep 1000'}}"):format(mark)
      for _, line in ipairs { "print 'begun' while true do end", "print 'begun' molecule.sleep(1000)", program,
        "print 'begun' pcall(function() while true do end end)" } do
        session.say(line .. "\n")
        session.see "\r\nbegun\r\n"
        if line == program then assert(loop.wait(function() return uv.fs_stat(mark) end)) end
        session.say(CTRL_C)
        session.see "interrupted: stopped at input:1"
        session.see "> "
      end
      session.say ":send wait\n"
      session.see "message 1\r\n"
      session.say(CTRL_C)
      session.see "canceled"
      session.see "> "
      session.ask("count", "\r\n1\r\n")
      session.ask(":send on", "replied")
      assert.equal(0, session.quit())
    end)

    it("drops what was typed of a statement at Ctrl-C", function()
      local session = open()
      session.say "for i = 1, 2 do\n"
      session.see ">> "
      session.say("print(" .. CTRL_C)
      session.see "^C"
      session.see "\n> "
      session.ask("6 * 7", "\r\n42\r\n")
      assert.equal(0, session.quit())
    end)

    it("shows the prompt again after a line that a timer logs", function()
      local session = open()
      session.ask("molecule.after(0.2, function() molecule.log 'tick' end)", "molecule.timer")
      session.say "6 * "
      session.see "log info: tick"
      session.see "> 6 * "
      session.say "7\n"
      session.see "42\r\n"
      session.see "> "
      assert.equal(0, session.quit())
    end)

    it("takes characters outside ASCII as one types them", function()
      local session = open { script(AGENT) }
      session.say ":send grüße\127\127e\n"
      session.see "canvas: grüe\r\n"
      session.see "> "
      assert.equal(0, session.quit())
    end)

    it("reads lines as they are where libedit is missing, and every other command runs without it", function()
      local directory = host.directory()
      host.write(directory .. "/libedit.so.2", "not a library")
      local session = open({}, { LD_LIBRARY_PATH = directory })
      assert(session.process.stdout:find("lines are read as they are typed: ", 1, true), session.process.stdout)
      assert(session.process.stdout:find("install libedit2", 1, true), session.process.stdout)
      session.ask("6 * 7", "42\r\n")
      assert.equal(0, session.quit())
      local version = process.spawn { command = { emulator.binary(), "version" }, env = { LD_LIBRARY_PATH = directory } }
      assert.equal(0, version:wait_exit(), version.stderr)
    end)
  end)
end)
