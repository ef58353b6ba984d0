--- The backend stdio: a program that lives as long as the agent.

local uv = require "luv"
local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local loop = require "tests.support.loop"

-- Answers by what the text says.
local PROGRAM = [[
local cjson = require "cjson"
io.stdout:setvbuf "line"
local started = io.open(arg[1] .. "/starts", "a")
started:write("x"):close()
local held
local function answer(id, result) print(cjson.encode {jsonrpc = "2.0", id = id, result = result}) end
for line in io.lines() do
  local request = cjson.decode(line)
  local id, params = request.id, request.params
  local text = params.text
  if text == "hold" then held = id
  elseif text == "release" then answer(id, "first") answer(held, "second")
  elseif text == "fields" then
    answer(id, table.concat({request.jsonrpc, request.method, params.from, params.conversation, params.attempt // 1 | 0,
      #params.parts, params.metadata and params.metadata.color or "none"}, " "))
  elseif text == "starts" then answer(id, #io.open(arg[1] .. "/starts"):read "a")
  elseif text == "pid" then answer(id, io.open("/proc/self/stat"):read "n" .. "")
  elseif text == "die" then os.exit(3)
  elseif text == "die once" then
    if params.attempt == 1 then os.exit(3) end
    answer(id, "attempt " .. (params.attempt // 1 | 0))
  elseif text == "silence" then io.stderr:write("says nothing\n", ("long "):rep(500), "end\n")
  elseif text == "noise" then
    print "not JSON at all"
    print(("x"):rep(300))
    print "[1]"
    print '{"id": 123456, "result": "for nobody"}'
    print '{"method": "notice"}'
    io.write(("y"):rep(17 << 20), "\n")
    answer(id, "through the noise")
  elseif text == "large" then answer(id, ("z"):rep(60000))
  elseif text:find "^{" then print((text:gsub("ID", tostring(id)))) -- 1.0, as lua-cjson has it
  else answer(id, text) end
end
io.open(arg[1] .. "/ended", "w"):write("its input was closed"):close()
]]

describe("the backend stdio", function()
  local platform, workspace, directory

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)

  before_each(function()
    workspace, directory = host.workspace(platform), host.directory()
    host.write(directory .. "/program.lua", PROGRAM)
  end)

  after_each(host.clean_up)
  teardown(function() platform:stop() end)

  local function argv() return cjson.encode { "lua5.4", directory .. "/program.lua", directory } end

  local function connect(options, more)
    local args = { "--backend", "stdio" }
    for name, value in pairs(options or { argv = argv() }) do
      args[#args + 1] = "--backend-opt"
      args[#args + 1] = name .. "=" .. value
    end
    for _, argument in ipairs(more or {}) do args[#args + 1] = argument end
    return host.connect { platform = platform, workspace = workspace, args = args }
  end

  local function say(text, more)
    local message = { to = workspace.id, text = text }
    for name, value in pairs(more or {}) do message[name] = value end
    return platform:message(message)[1]
  end

  local function ask(one, text)
    local before = #one:told_canvas()
    say(text)
    return one:canvas(before + 1)[before + 1]
  end

  local function is_running(pid) return (host.read("/proc/" .. pid .. "/stat") or ") Z"):find "%) [^Z]" ~= nil end

  local function wait_end(pid)
    local ended = loop.wait(function() return not is_running(pid) end)
    loop.flush()
    assert(ended, "it still runs")
  end

  it("gives every message to one program, which is told what it is about", function()
    local one = connect()
    assert.equal("hello", ask(one, "hello"))
    assert.equal("2.0 message canvas canvas 1 1 none", (ask(one, "fields"):gsub("canvas%S*", "canvas")))
    assert.equal(60000, #ask(one, "large"))
    assert.equal("hello\nwith lines", ask(one, "hello\nwith lines"))
    one:stop()
    assert.equal("x", host.read(directory .. "/starts"))
    assert.equal("its input was closed", host.read(directory .. "/ended"))
  end)

  it("takes a shell command", function()
    local one = connect { command = "exec lua5.4 " .. directory .. "/program.lua " .. directory }
    assert.equal("hello", ask(one, "hello"))
    one:stop()
  end)

  it("takes answers in any order", function()
    local one = connect()
    say("hold", { context_id = "a" })
    say("release", { context_id = "b" })
    local told = one:canvas(2)
    table.sort(told)
    assert.same({ "first", "second" }, told)
    one:stop()
  end)

  it("understands every kind of result", function()
    local one = connect()
    assert.equal("a text", ask(one, '{"id": ID, "result": {"text": "a text"}}'))
    assert.equal("a\u{FFFD} b", ask(one, [[{"id": ID, "result": {"text": "a\ud83d b"}}]]))
    assert.equal("a part", ask(one, '{"id": ID, "result": {"text": null, "parts": [{"kind": "text", "text": "a part"}]}}'))
    for result, pattern in pairs {
      ["null"] = "no_reply", ['{}'] = "no_reply", ['{"skip": "not mine"}'] = "skipped: not mine",
      ['{"dead": "hopeless"}'] = "hopeless", ['{"retry": 100, "reason": "busy"}'] = "retry in 100.0 s: busy",
    } do
      local row = say(('{"id": ID, "result": %s}'):format(result))
      one:log_of(row, pattern)
    end
    one:stop()
  end)

  it("takes null for a field that is not there", function()
    local one = connect()
    assert.equal("hello", ask(one, '{"id": ID, "error": null, "result": {"text": "hello", "parts": null, "skip": null, '
      .. '"retry": null, "dead": null}}'))
    one:log_of(say '{"id": ID, "result": {"skip": null, "dead": "hopeless", "retry": null, "text": null}}', "hopeless")
    one:stop()
  end)

  for answer, pattern in pairs {
    ['{"id": ID}'] = "its answer has neither a result nor an error",
    ['{"id": ID, "error": null}'] = "its answer has neither a result nor an error",
    ['{"id": ID, "error": {"code": 7, "message": null, "data": "lost"}}'] = 'with an error %(7%): .*"data":"lost"',
    ['{"id": ID, "error": {"code": -32000, "message": "no idea"}}'] = "answered with an error %(%-32000%): no idea",
    ['{"id": ID, "result": 7}'] = "the result must be a string, an object or null, not a number",
    ['{"id": ID, "result": [1]}'] = "the result must be a string, an object or null, not a list",
  } do
    it("counts as failed what is no result: " .. answer, function()
      local one = connect(nil, { "--max-attempts", "1" })
      one:log_of(say(answer), pattern)
      assert.equal("goes on", ask(one, "goes on"))
      one:stop()
    end)
  end

  it("logs and leaves out what is no answer", function()
    local one = connect()
    assert.equal("through the noise", ask(one, "noise"))
    one:log "ignoring a line that is not a JSON object: not JSON at all$"
    one:log "ignoring a line that is not a JSON object: x+…$"
    one:log "ignoring a line that is not a JSON object: %[1%]$"
    one:log "ignoring a line of more than 16 MiB"
    one:stop()
  end)

  it("logs what the program complains about, and does not wait for its answer forever", function()
    local one = connect({ argv = argv(), timeout = "300ms" }, { "--max-attempts", "1" })
    local row = say "silence"
    one:log "lua5.4: says nothing$"
    one:log "lua5.4: long long .*"
    one:log "long end$"
    one:log_of(row, "it did not answer in time %[TIMEOUT%]")
    assert.equal("hello", ask(one, "hello"))
    one:stop()
  end)

  it("starts the program again when it ended, and hands it the messages that waited", function()
    local one = connect()
    local held = say("hold", { context_id = "a" })
    local row = say("die once", { context_id = "b" })
    one:log "lua5.4 exited unexpectedly: exit code 3"
    one:log_of(row, "retry in 0.4 s: stdio: lua5.4: it ended before it answered: exit code 3")
    one:log_of(held, "retry in 0.4 s")
    assert.same({ "attempt 2" }, one:canvas(1))
    say("release", { context_id = "c" })
    local told = one:canvas(3)
    table.sort(told)
    assert.same({ "attempt 2", "first", "second" }, told)
    assert.equal("xx", host.read(directory .. "/starts"))
    one:stop()
  end)

  it("starts it more and more slowly when it ends again and again, and gives the message up in the end", function()
    local one = connect(nil, { "--max-attempts", "1", "--error-reply", "it failed" })
    local row = say "die"
    one:log_of(row, "retry in 0.4 s")
    one:log_of(row, "retry in 0.8 s")
    one:log_of(row, "retry in 1.6 s")
    one:log_of(row, "the handler failed .*it ended before it answered: exit code 3 %[ENDED%]")
    assert.same({ "it failed" }, one:canvas(1))
    one:stop()
  end)

  it("does not wait to start a program again that ended long after its start", function()
    local one = connect()
    local pid = ask(one, "pid")
    uv.kill(math.tointeger(tonumber(pid)), "sigkill")
    one:log "lua5.4 exited unexpectedly: signal 9"
    assert.equal("hello", ask(one, "hello"))
    assert.not_equal(pid, ask(one, "pid"))
    one:stop()
  end)

  it("ends a program that does not end by itself, and all that it started", function()
    local one = connect { command = "sleep 1000 & echo $! > " .. directory .. "/pid; trap '' TERM; while true; do sleep 1; done" }
    loop.wait(function() return host.read(directory .. "/pid") end)
    one:stop() -- which looks for children that were left behind
  end)

  it("ends with the agent's reload, and another one starts", function()
    local script = ([[
      local stdio = require "molecule.backends.stdio"
      return stdio {argv = %q}]]):format(argv())
    local one = host.connect { platform = platform, workspace = workspace, script = script }
    local pid = ask(one, "pid")
    one.process:signal "sighup"
    one:log "the script is reloaded"
    wait_end(pid)
    assert.equal("its input was closed", host.read(directory .. "/ended"))
    assert.not_equal(pid, ask(one, "pid"))
    one:stop()
  end)

  it("ends with a state that is replaced for want of memory", function()
    local script = ([[
      local agent = require "molecule.backends.stdio" {argv = %q}
      local handle = agent.handle
      function agent.handle(msg, ctx)
        if msg.text == "eat" and ctx.attempt == 1 then
          local all = {}
          while true do all[#all + 1] = ("x"):rep(1 << 20) .. #all end
        end
        return handle(msg, ctx)
      end
      return agent]]):format(argv())
    local one = host.connect { platform = platform, workspace = workspace, script = script,
      args = { "--memory-limit", "32MiB" } }
    local pid = ask(one, "pid")
    assert.equal("eat", ask(one, "eat"))
    wait_end(pid)
    assert.equal("xx", host.read(directory .. "/starts"))
    one:stop()
  end)

  it("leaves nothing open behind when it is started again and again", function()
    local one = connect()
    local function descriptors() return #host.list(("/proc/%d/fd"):format(one.process.pid)) end
    local before, line = 0, 0
    for round = 1, 12 do
      local pid = math.tointeger(tonumber(ask(one, "pid")))
      if round <= 4 then before = math.max(before, descriptors()) end
      uv.kill(pid, "sigkill")
      line = select(2, one:log("exited unexpectedly: signal 9", { from = line + 1 }))
    end
    ask(one, "hello")
    local now = descriptors() -- eight starts later; connections to the platform may have come meanwhile
    assert(now < before + 4, ("%d are open, not %d"):format(now, before))
    one:stop()
  end)

  it("is refused in the sandbox, without a command, and with options that make no sense", function()
    for pattern, args in pairs {
      ["stdio runs programs, which %-%-sandbox forbids"] = { "--sandbox", "--backend-opt", "command=cat" },
      ["stdio needs either"] = {},
      ["stdio needs either .*or"] = { "--backend-opt", "command=cat", "--backend-opt", 'argv=["cat"]' },
      ["option argv must be a JSON list of strings"] = { "--backend-opt", "argv=cat" },
      ["option argv must be a JSON list of strings$"] = { "--backend-opt", "argv=[]" },
      ["cannot run /nowhere/program: no such file"] = { "--backend-opt", 'argv=["/nowhere/program"]' },
    } do
      local one = host.run({ platform = platform, workspace = workspace,
        args = { "--backend", "stdio", table.unpack(args) } }, 2)
      one:log(pattern)
    end
  end)
end)
