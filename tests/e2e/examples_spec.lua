--- The examples, `molecule dev` from end to end, and what the commands say of themselves.
local uv = require "luv"
local cjson = require "cjson"
local a2a = require "tests.support.a2a"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local http = require "tests.support.http"
local process = require "tests.support.process"
local server = require "tests.support.server"

describe("an example", function()
  local platform, workspace

  setup(function()
    platform = emulator.start { args = { "--rate-limit", "-1" } }
  end)

  before_each(function()
    workspace = host.workspace(platform)
  end)

  after_each(function()
    server.stop_all()
    host.clean_up()
  end)

  teardown(function()
    platform:stop()
  end)

  it("echo.lua says back what it hears", function()
    local one = host.connect { platform = platform, workspace = workspace, script_path = "examples/echo.lua" }
    platform:message { to = workspace.id, text = "hello" }
    assert.same({ "you said: hello" }, one:canvas(1))
    one:stop()
  end)

  it("ops.lua tells the canvas about the machine, and nobody else", function()
    local peer = host.workspace(platform)
    local one = host.connect { platform = platform, workspace = workspace, script_path = "examples/ops.lua" }
    local row = platform:message { to = workspace.id, from = peer.id, text = "disk" }[1]
    platform:message { to = workspace.id, text = " Disk " }
    platform:message { to = workspace.id, text = "what?" }
    local told = one:canvas(2)
    assert(told[1]:find "^Filesystem", told[1])
    assert(told[2]:find "^I understand:\n  status: .*\n  disk: .*\n  uptime: ", told[2])
    one:log_of(row, "skipped: " .. peer.id:gsub("%-", "%%-") .. " is not on the router's allow%-list")
    local card = cjson.decode(one:posts("/registry/register")[1].body).agent_card
    assert.equal("ops", card.name)
    assert.equal("operations", card.skills[1].name)
    one:stop()
  end)

  it("ops.lua answers the peers on its allow list", function()
    local peer = host.workspace(platform)
    local one = host.connect { platform = platform, workspace = workspace, script_path = "examples/ops.lua",
      args = { "--script-opt", "allow=canvas," .. peer.id } }
    platform:message { to = workspace.id, from = peer.id, text = "disk" }
    assert(one:peer(peer.id, 1)[1]:find "^Filesystem")
    one:stop()
  end)

  local function start(name, args, env)
    return host.connect { platform = platform, workspace = workspace, script_path = "examples/" .. name, args = args,
      env = env }
  end

  local function ask(one, text)
    local before = #one:told_canvas()
    platform:message { to = workspace.id, text = text }
    return one:canvas(before + 1)[before + 1]
  end

  it("translate.lua asks an A2A client for the language, and streams to it what the model writes", function()
    local web = server.start(function(_, reply)
      local lines = {}
      for _, word in ipairs { "guten ", "Morgen" } do
        lines[#lines + 1] = "data: " .. cjson.encode { choices = { { delta = { content = word } } } } .. "\n\n"
      end
      reply(200, table.concat(lines) .. "data: [DONE]\n\n", { ["Content-Type"] = "text/event-stream" })
    end)
    local one = a2a.serve { script = host.read "examples/translate.lua", args = { "--script-opt", "url=" .. web.url .. "/v1" } }
    local function post(path, text, task_id)
      return http.request { port = tonumber(one.url:match ":(%d+)"), method = "POST", path = path,
        headers = { ["A2A-Version"] = "1.0" }, json = { message = { messageId = text, taskId = task_id, role = "ROLE_USER",
        parts = { { text = text } } } } }
    end
    local task = post("/message:send", "good morning").json.task
    assert.equal("TASK_STATE_INPUT_REQUIRED", task.status.state)
    local pieces = {}
    for line in post("/message:stream", "german", task.id).body:gmatch "data: ([^\n]+)" do
      local update = cjson.decode(line).artifactUpdate
      if update then pieces[#pieces + 1] = (update.append and "+" or "") .. update.artifact.parts[1].text end
    end
    assert.same({ "guten ", "+Morgen", "guten Morgen" }, pieces)
    one:stop()
  end)

  it("llm.lua asks a model in its role, remembers, and knows a command of its own", function()
    local web = server.start(function(request, reply)
      local messages = cjson.decode(request.body).messages
      reply(200, cjson.encode { choices = { { message = { content = #messages .. ": " .. messages[#messages].content } } } })
    end)
    local one = start("llm.lua", nil, { LLM_URL = web.url .. "/v1", LLM_MODEL = "small", OPENAI_API_KEY = "its-own" })
    assert.equal("2: hello", ask(one, "hello"))
    assert.equal("4: and again", ask(one, "and again"))
    assert.equal("small", ask(one, "/model"))
    assert(cjson.decode(web.requests[1].body).messages[1].content:find "^You help the people")
    assert.equal("Bearer its-own", web.requests[1].headers.authorization)
    one:stop()
  end)

  it("webhook.lua posts to a service, waits while it is down, and says what it refuses", function()
    local answers = { { 200, '{"text": "heard"}' }, { 503, "", { ["Retry-After"] = "-1" } }, { 200, "plain" },
      { 404, "no such thing" } }
    local web = server.start(function(_, reply) reply(table.unpack(table.remove(answers, 1))) end)
    local one = start("webhook.lua", { "--script-opt", "url=" .. web.url .. "/hook" })
    assert.equal("heard", ask(one, "first"))
    assert.equal("plain", ask(one, "second"))
    assert.equal("the service refuses this (404): no such thing", ask(one, "third"))
    local sent = cjson.decode(web.requests[3].body)
    assert.same({ "second", "canvas", 2 }, { sent.text, sent.from, sent.attempt })
    assert.equal(1, one:count_log "retry in 1%.0 s: the service answered 503")
    one:stop()
    host.run({ platform = platform, workspace = workspace, script_path = "examples/webhook.lua" }, 2)
      :log "webhook.lua needs %-%-script%-opt url="
  end)

  it("files.lua counts what is in the files it gets, and answers with a file", function()
    local one = start "files.lua"
    assert(ask(one, "hello"):find "^Send me text files")
    local peer = host.workspace(platform)
    local function file(name, bytes) return { kind = "file", file = { name = name, bytes = host.base64(bytes) } } end
    platform:message { to = workspace.id, from = peer.id, parts = { file("a.txt", "one two\nthree"),
      file("b.bin", "\255\254"), { kind = "file", file = { name = "c.txt", uri = "workspace:/c.txt" } } } }
    local texts, entries = one:peer(peer.id, 1)
    assert.equal("I looked at 3 files.", texts[1])
    local report = cjson.decode(entries[1].body).params.message.parts[2].file
    assert.equal("report.txt", report.name)
    assert.equal(host.base64("a.txt: 2 lines, 3 words, 13 bytes\nb.bin: 2 bytes, not text\n"
      .. "c.txt: not here: file c.txt: workspace:/c.txt cannot be read from here\n"), report.bytes)
    one:stop()
  end)

  it("remember.lua keeps what each sender told it, and forgets when told to", function()
    local one = start "remember.lua"
    assert.equal("I know nothing so far.", ask(one, "list"))
    assert.equal("I will remember: the door code is 4711.", ask(one, "remember the door code is 4711"))
    assert.equal("the door code is 4711. (question 1 of today)", ask(one, "What is The Door Code?"))
    assert.equal("I do not know what love is. (question 2 of today)", ask(one, "what is love"))
    ask(one, "remember tea is hot")
    assert.equal("tea is hot\nthe door code is 4711", ask(one, "list"))
    local peer = host.workspace(platform)
    platform:message { to = workspace.id, from = peer.id, text = "what is tea?" }
    assert.same({ "I do not know what tea is. (question 1 of today)" }, (one:peer(peer.id, 1)))
    assert.equal("tea is forgotten.", ask(one, "forget tea"))
    assert.equal("I knew nothing about tea.", ask(one, "forget tea"))
    assert(ask(one, "what?"):find "^I understand:")
    one:stop()
  end)

  it("relay.lua answers with a peer's answer, found by id or by name, and says when there is none yet", function()
    local peer = host.workspace(platform)
    host.workspace(platform, { name = "the-oracle" })
    local answering = host.connect { platform = platform, workspace = peer, script = host.ECHO }
    local one = start("relay.lua", { "--script-opt", "peer=" .. peer.id })
    assert.equal("echo: who?", ask(one, "who?"))
    one:stop()
    answering:stop()
    workspace = host.workspace(platform)
    one = start("relay.lua", { "--script-opt", "peer=oracle", "--script-opt", "timeout=0.3" })
    assert.equal("the-oracle has not answered yet. Your message is in its inbox.", ask(one, "still there?"))
    one:stop()
    workspace = host.workspace(platform)
    one = start("relay.lua", { "--script-opt", "peer=nobody-of-that-name" })
    assert.equal('I cannot find whom to ask: 0 workspaces are called "nobody-of-that-name"', ask(one, "who?"))
    one:stop()
  end)

  it("is written down for each script in examples/, with how to run it", function()
    local spec = host.read "tests/e2e/examples_spec.lua"
    for _, name in ipairs(host.list "examples") do
      if name:find "%.lua$" and not name:find "_spec%.lua$" then
        local own = host.read("examples/" .. (name:gsub("%.lua$", "_spec.lua")))
        assert(own or spec:find('  it("' .. name .. " ", 1, true), name .. " has no spec")
        local head = host.read("examples/" .. name):match "^%-%-%- %u[^\n]*\n.-\n[^-]"
        local says = head and (head:find "\n%-%-%- *[^\n]*molecule connect " or head:find "\n%-%-%- *[^\n]*molecule serve ")
        assert(says, name .. " does not say how to run it")
      end
    end
  end)
end)

local function run(arguments, code)
  local command = { emulator.binary(), table.unpack(arguments) }
  local child = process.spawn { command = command }
  local ended = child:wait_exit()
  assert(ended == code, child:report())
  return child.stdout, child.stderr
end

describe("molecule dev", function()
  after_each(function()
    process.kill_all()
    host.clean_up()
  end)

  local function start(...)
    local child = process.spawn { command = { emulator.binary(), "dev", "--port", "0", ... } }
    local port = child:wait_line("^emulator listening on "):match "http://127%.0%.0%.1:(%d+) "
    local id = child:wait_line(" serves workspace "):match "serves workspace (%S+);"
    child:wait_line("registered as", { stream = "stderr" })
    return child, math.tointeger(tonumber(port)), id
  end

  -- The directory of the lock that the process holds.
  -- Where the host, a process of its own, has its lock.
  local function state_directory(pid)
    local its_host = host.read(("/proc/%d/task/%d/children"):format(pid, pid)):match "%d+"
    for _, name in ipairs(host.list("/proc/" .. its_host .. "/fd")) do
      local target = uv.fs_readlink(("/proc/%s/fd/%s"):format(its_host, name)) or ""
      if target:find "%.lock$" then return target:match "^(.*)/" end
    end
  end

  local function ask(port, id, text)
    local said = http.start { port = port, method = "POST", path = "/__emulator/messages",
      json = { to = id, text = text } }:wait()
    assert.equal(200, said.status)
    local answer = http.start { port = port, method = "GET", path = "/__emulator/wait",
      query = { path = "/notify", count = 1, status = 200 } }:wait()
    assert.equal(200, answer.status)
    return cjson.decode(answer.json.entries[1].body).message
  end

  for name, signal in pairs { SIGTERM = "sigterm", ["Ctrl-C"] = "sigint" } do
    it("says where it is, answers, and leaves nothing behind after " .. name, function()
      local child, port, id = start "examples/echo.lua"
      assert(child.stdout:find("examples/echo.lua serves workspace " .. id, 1, true))
      assert.equal("you said: hello", ask(port, id, "hello"))
      local directory = state_directory(child.pid)
      assert(directory and directory:find "/molecule%-dev%-%w+$", directory)
      child:signal(signal)
      assert.equal(0, (child:wait_exit()), child:report())
      assert.is_nil(uv.fs_stat(directory))
      assert.is_nil(child.stderr:find("Sanitizer", 1, true), child.stderr)
    end)
  end

  it("answers in the script's new words as soon as its file is written", function()
    local script = host.write(host.directory() .. "/agent.lua", [[return function() return "old" end]])
    local child, port, id = start(script)
    host.write(script, [[return function() return "new" end]])
    child:wait_line("the script is reloaded", { stream = "stderr" })
    assert.equal("new", ask(port, id, "hello"))
    child:signal "sigterm"
    assert.equal(0, (child:wait_exit()), child:report())
  end)

  it("ends when the emulator is told to quit", function()
    local child, port = start "examples/echo.lua"
    http.start { port = port, method = "POST", path = "/__emulator/quit", json = {} }:wait()
    assert.equal(0, (child:wait_exit()), child:report())
  end)

  it("runs a backend and gives options to a script", function()
    local child, port, id = start("--backend", "mock", "--backend-opt", "reply=mocked %s")
    assert.equal("mocked hello", ask(port, id, "hello"))
    child:signal "sigterm"
    assert.equal(0, (child:wait_exit()), child:report())
    local path = host.write(host.directory() .. "/agent.lua", "return function(_, ctx) return ctx.options.color end")
    child, port, id = start(path, "--script-opt", "color=blue")
    assert.equal("blue", ask(port, id, "hello"))
    child:signal "sigterm"
    assert.equal(0, (child:wait_exit()), child:report())
  end)

  it("ends with code 2 for a script that does not load, and leaves nothing behind", function()
    local path = host.write(host.directory() .. "/agent.lua", "error('not today')")
    local _, said = run({ "dev", "--port", "0", path }, 2)
    assert(said:find "agent.lua:1: not today", said)
  end)

  for name, case in pairs {
    ["without a script"] = { {}, "no script given" },
    ["with a script that is not there"] = { { "/nowhere/agent.lua" }, "the script /nowhere/agent.lua cannot be read" },
    ["with a script and a backend"] = { { "examples/echo.lua", "--backend", "mock" }, "cannot be combined" },
    ["with two scripts"] = { { "examples/echo.lua", "examples/ops.lua" }, "unexpected argument" },
    ["with a script and --script"] = { { "examples/echo.lua", "--script", "examples/ops.lua" },
      "two scripts: examples/echo.lua and %-%-script examples/ops.lua; one is enough" },
    ["with a profile that is none"] = { { "--headless", "--profile", "t2" }, "%-%-profile is t1 or latest" },
    ["with an unknown option"] = { { "--no-such-option" }, "unknown option %-%-no%-such%-option" },
  } do
    it("says what is wrong " .. name, function()
      local _, said = run({ "dev", table.unpack(case[1]) }, 2)
      assert(said:find(case[2]), said)
      assert(said:find("Try: molecule dev --help", 1, true), said)
    end)
  end
end)

describe("molecule", function()
  local function commands()
    local names = {}
    for name in run({ "--help" }, 0):gmatch "\n  (%l+) [^\n]*" do names[#names + 1] = name end
    return names
  end

  it("tells its version, its commit and the versions of its libraries", function()
    local said = run({ "version" }, 0)
    assert(said:find "^molecule %d+%.%d+%.%d+%S*\ncommit %S+\n", said)
    for _, library in ipairs { "libcurl", "libuv", "jansson" } do
      assert(said:find("\n" .. library .. " %d+%.%d+"), library .. " is not in\n" .. said)
    end
    assert.equal(said, (run({ "--version" }, 0)))
  end)

  --- The file that has the command, perhaps with others.
  local function source_of(name)
    for _, file in ipairs(host.list "src/commands") do
      local text = file:find "%.c$" and host.read("src/commands/" .. file)
      if text and text:find("const struct command command_" .. name .. " = {", 1, true) then return text end
    end
    error("no command " .. name)
  end

  it("tells of every option of every command with --help", function()
    local names = commands()
    assert(#names >= 3, table.concat(names, " "))
    for _, name in ipairs(names) do
      local help = run({ name, "--help" }, 0)
      assert.is_nil(help:find "[ \t]\n", "a blank at the end of a line of\n" .. help)
      assert.equal(help, (run({ name, "-h" }, 0)))
      assert(help:find("^Usage: molecule " .. name), help)
      local source = source_of(name)
      if name == "connect" then
        local shared = host.read("include/molecule/options.def"):gsub("MOLECULE_SERVE_OPTION%b()", "")
        source = source .. host.read "src/commands/connect_options.h" .. shared
      elseif name == "serve" then
        for own in host.read("include/molecule/options.def"):gmatch "MOLECULE_SERVE_OPTION(%b())" do source = source .. own end
      end
      for option in source:gmatch '%u+, [%w_]+, "([%w-]+)",' do
        local refused = not help:find("--" .. option, 1, true) and select(2, run({ name, "--" .. option }, 2))
        assert(not refused or refused:find("no option --" .. option .. " here", 1, true),
          ("--%s is not in\n%s"):format(option, help))
      end
    end
  end)

  it("names its commands to who gives none or a wrong one", function()
    local _, said = run({}, 2)
    assert(said:find("Usage: molecule <command>", 1, true), said)
    _, said = run({ "conect" }, 2)
    assert(said:find('unknown command "conect"; did you mean connect?', 1, true), said)
  end)
end)
