--- What others on the machine can reach: the state directory, files that are led elsewhere, descriptors of children.
local cjson = require "cjson"
local uv = require "luv"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local http = require "tests.support.http"
local loop = require "tests.support.loop"
local process = require "tests.support.process"
local served = require "tests.support.served"
local server = require "tests.support.server"

describe("others on the machine", function()
  local platform, workspace, directory

  setup(function()
    platform = emulator.start { args = { "--rate-limit", "-1" } }
  end)

  before_each(function()
    workspace = host.workspace(platform)
    directory = host.directory() .. "/state"
  end)

  after_each(host.clean_up)

  teardown(function()
    platform:stop()
  end)

  local function options(more)
    local all = { platform = platform, workspace = workspace, script = host.ECHO, state_dir = directory }
    for name, value in pairs(more or {}) do all[name] = value end
    return all
  end

  for _, mode in ipairs { "755", "750", "701", "770" } do
    it(("cannot enter a state directory that had mode %s: it is tightened, with a word"):format(mode), function()
      host.connect(options()):stop()
      assert(uv.fs_chmod(directory, tonumber(mode, 8)))
      local one = host.connect(options())
      one:log("warn .*" .. directory:gsub("%p", "%%%0") .. " was open to other users.*now 0700")
      one:stop()
      assert.equal("700", host.mode(directory))
      local two = host.connect(options())
      assert.equal(0, two:count_log "was open to other users")
      two:stop()
    end)

    it(("are not shut out of a directory with other files and mode %s: it is refused, and left alone"):format(mode), function()
      assert(uv.fs_mkdir(directory, tonumber("700", 8)))
      host.write(directory .. "/somebody-elses", "x")
      assert(uv.fs_chmod(directory, tonumber(mode, 8)))
      local one = host.run(options(), 1)
      one:log(("the directory %s is accessible to others.*chmod 700"):format(directory:gsub("%p", "%%%0")))
      assert.equal(mode, host.mode(directory))
      assert.same({ "somebody-elses" }, host.list(directory))
    end)
  end

  for _, ending in ipairs { "json", "db", "runs", "lock", "token" } do
    it(("cannot have <id>.%s lead elsewhere"):format(ending), function()
      local target = host.write(host.directory() .. "/target", "precious")
      local mode = host.mode(target) -- as the umask has it
      assert(uv.fs_mkdir(directory, tonumber("700", 8)))
      assert(uv.fs_symlink(target, ("%s/%s.%s"):format(directory, workspace.id, ending)))
      local one = host.start(options(ending == "token" and { token = false } or {}))
      if ending == "runs" then
        platform:message { to = workspace.id, text = "hello" }
        one:log("symbolic link")
        one:stop()
      else
        one:wait_exit(ending == "token" and 2 or 1)
      end
      assert.equal("precious", host.read(target))
      assert.equal(mode, host.mode(target))
    end)
  end

  it("cannot have --record lead elsewhere, and a pipe there holds nothing up", function()
    local target = host.write(host.directory() .. "/target", "precious")
    local link, pipe = host.directory() .. "/link", host.directory() .. "/pipe"
    assert(uv.fs_symlink(target, link))
    assert(os.execute("mkfifo " .. pipe))
    for path, word in pairs { [link] = "symbolic link", [pipe] = "No such device" } do
      workspace = host.workspace(platform)
      local one = host.connect(options { args = { "--record", path } })
      platform:message { to = workspace.id, text = "hello" }
      assert.same({ "echo: hello" }, one:canvas(1))
      one:log("%-%-record .*" .. word)
      one:stop()
    end
    assert.equal("precious", host.read(target))
  end)

  it("may have a token file behind a symbolic link, as Kubernetes mounts them", function()
    local file = host.write(host.directory() .. "/token", workspace.token)
    local link = host.directory() .. "/link"
    assert(uv.fs_symlink(file, link))
    host.connect(options { token = false, args = { "--token-file", link } }):stop()
  end)

  -- Everything is in use: connections, an event stream, the ledger, names being resolved, a program that runs.
  it("get no descriptor of ours through a command", function()
    local one = host.connect(options { env = { URL = platform.url:gsub("127%.0%.0%.1", "localhost") }, script = [[
      local molecule = require "molecule"
      local LIST = "ls -l /proc/self/fd | sed -n 's/.* \\([0-9]*\\) -> /\\1 /p' | grep -v '^[012] ' | grep -v /proc/"
      return {
        concurrency = 4,
        conversation = function(msg) return msg.text end,
        handle = function(msg)
          if msg.text == "busy" then
            for _ = 1, 30 do molecule.http.get(os.getenv "URL" .. "/health") end
            return "busy: done"
          end
          local pipe = io.popen(LIST)
          local found = pipe:read "a"
          pipe:close()
          local result = molecule.exec { cmd = LIST }
          found = found .. result.stdout
          os.execute(LIST .. " >" .. os.getenv "HOME" .. "/found")
          for line in io.lines(os.getenv "HOME" .. "/found") do found = found .. line .. "\n" end
          return "found: " .. found
        end,
      }]] })
    platform:message { to = workspace.id, text = "busy" }
    for i = 1, 10 do platform:message { to = workspace.id, text = "look " .. i } end
    for _, text in ipairs(one:canvas(11)) do
      assert(text == "found: " or text == "busy: done", text)
    end
    one:stop()
  end)

  it("get none of those with which it was started, either", function()
    local one = host.connect(options { under = { "sh", "-c", 'exec 7</etc/passwd; exec "$@"', "sh" }, script = [[
      return function() return io.popen("ls /proc/self/fd | tr '\\n' ' '"):read "a" end]] })
    platform:message { to = workspace.id, text = "look" }
    assert(not one:canvas(1)[1]:find "7")
    one:stop()
  end)
end)

--- Secrets of ours that get into the hands of a script, which is careless with them: it reads them from the file $SECRETS.
describe("secrets", function()
  local CARELESS = [[
    local molecule = require "molecule"
    local words = {}
    local function secret() return (io.open(os.getenv "SECRETS"):read "a") end
    local function web(path) return os.getenv "WEB" .. path end

    function words.log() molecule.log.warn("it is " .. secret()) end
    function words.boom() error("refused: " .. secret()) end
    function words.table() error({ message = secret() }) end
    function words.dead() return molecule.dead("it is " .. secret()) end
    function words.skip() return molecule.skip("it is " .. secret()) end
    function words.reject() return molecule.reject("it is " .. secret()) end
    function words.web()
      molecule.http.get(web("/" .. secret() .. "?x=" .. secret()), { headers = { ["X-Thing"] = secret() } })
      molecule.http.post(web "/post", { body = secret() })
      molecule.http.get("http://" .. secret() .. ".invalid/")
    end
    function words.exec()
      molecule.exec { argv = { "echo", secret() } }
      molecule.exec { cmd = "echo " .. secret() .. " >&2; exit 3" }
      io.popen("echo " .. secret()):read "a"
    end
    function words.step(_, ctx)
      ctx.step("step " .. secret(), function() return secret() end)
    end
    function words.fails(_, ctx) ctx.step("step", function() error(secret()) end) end
    function words.progress(_, ctx) ctx.progress("it is " .. secret()) end
    function words.ask(_, ctx) return ctx.ask("Is it " .. secret() .. "?", { timeout = 3600 }).text end

    return { concurrency = 16, conversation = function(msg) return msg.text end, handle = function(msg, ctx)
      words[msg.text](msg, ctx)
      return "done"
    end }]]
  local WORDS = { "log", "boom", "table", "dead", "skip", "web", "exec", "step", "fails", "progress", "ask" }

  local collector, web

  before_each(function()
    collector = server.start(function(_, reply) reply(200, "{}", { ["Content-Type"] = "application/json" }) end)
    web = server.start(function(request, reply) reply(200, "you sent " .. request.path .. request.body) end)
  end)

  after_each(function()
    served.clean_up()
    host.clean_up()
    server.stop_all()
  end)

  teardown(process.kill_all)

  local function environment(secrets)
    return { OTEL_EXPORTER_OTLP_ENDPOINT = collector.url, OTEL_BSP_SCHEDULE_DELAY = "20", WEB = web.url, SECRETS = secrets,
      OTEL_EXPORTER_OTLP_HEADERS = "x-api-key=otel-header-0123456789" }
  end

  --- What the program prints.
  local function molecule(...)
    local child = process.spawn { command = { emulator.binary(), ... }, env = { NO_COLOR = "1" } }
    child:wait_exit()
    return child.stdout .. child.stderr
  end

  local function check(places, secrets)
    for place, text in pairs(places) do
      assert(#text > 0, place .. " is empty")
      for name, secret in pairs(secrets) do
        local at = text:find(secret, 1, true)
        assert(not at, ("%s is in %s: %s"):format(name, place, at and text:sub(math.max(1, at - 300), at + 100)))
      end
    end
  end

  local function traces()
    local bodies = {}
    for i, request in ipairs(collector.requests) do
      assert.equal("otel-header-0123456789", request.headers["x-api-key"])
      bodies[i] = request.body
    end
    return table.concat(bodies, "\n")
  end

  local function monitored(one)
    local port = tonumber(one:log "metrics at ":match "metrics at http://127%.0%.0%.1:(%d+)")
    return http.request { port = port, method = "GET", path = "/status" }, http.request { port = port, method = "GET",
      path = "/metrics" }
  end

  local function record_has(path, count)
    loop.wait(function() return select(2, (host.read(path) or ""):gsub("\n", "")) >= count end)
    return assert(host.read(path))
  end

  it("of a workspace are in no log, recording, status, metric, trace or dead letter", function()
    local platform = emulator.start { profile = "latest", args = { "--rate-limit", "-1" } }
    platform:order("config", { push_loopback = true })
    local workspace, directory = host.workspace(platform), host.directory()
    local one = host.start { platform = platform, workspace = workspace, script = CARELESS, bare = true,
      env = environment(directory .. "/secrets"), args = { "--mode", "push", "--listen", "127.0.0.1:0", "--public-url",
        "http://localhost:1/a2a/inbound", "--record", directory .. "/record", "--metrics", "127.0.0.1:0", "--max-attempts", "1",
        "--log-level", "debug" } }
    one:log "registered as molecule, mode push"
    local kept = ("%s/%s.inbound"):format(one.state_dir, workspace.id)
    loop.wait(function() return host.read(kept) end)
    local secrets = { ["the token"] = workspace.token, ["the inbound secret"] = assert(host.read(kept)),
      ["the header for the collector"] = "otel-header-0123456789" }
    host.write(directory .. "/secrets", table.concat({ secrets["the token"], secrets["the inbound secret"],
      secrets["the header for the collector"] }, " "))
    local port = tonumber(one:log "listening at ":match "127%.0%.0%.1:(%d+)")
    for _, word in ipairs(WORDS) do
      http.start { port = port, method = "POST", path = "/a2a/inbound",
        headers = { Authorization = "Bearer " .. secrets["the inbound secret"] }, json = { jsonrpc = "2.0", id = "1",
          method = "message/send", params = { message = { kind = "message", messageId = emulator.uuid(), role = "user",
            parts = { { kind = "text", text = word } } } } } }
    end
    local record = record_has(directory .. "/record", #WORDS - 1)
    local status, metrics = monitored(one)
    local places = { record = record, ["/status"] = status.body, ["/metrics"] = metrics.body,
      ["molecule status"] = molecule("status", workspace.id, "--state-dir", one.state_dir, "--json"),
      ["molecule dead list"] = molecule("dead", "list", workspace.id, "--state-dir", one.state_dir),
      ["molecule dead show"] = molecule("dead", "show", workspace.id, "--all", "--state-dir", one.state_dir) }
    one:stop()
    places.log = one.process.stdout .. one.process.stderr
    places.traces = traces()
    for _, place in ipairs { "molecule dead show", "record", "log" } do
      assert.matches("refused: %[hidden%] %[hidden%] %[hidden%]", places[place])
    end
    assert.matches("Is it %[hidden%]", places["/status"])
    assert.matches("step step %[hidden%]", places.traces)
    check(places, secrets)
    platform:stop()
  end)

  it("of clients of molecule serve are in none of those, nor on its card", function()
    local directory = host.directory()
    local secrets = { alice = "alice-token-0123456789", bob = "bob-token-9876543210" }
    host.write(directory .. "/secrets", secrets.alice .. " " .. secrets.bob)
    local one = served.start { script = CARELESS, tokens = ("alice %s\nbob %s\n"):format(secrets.alice, secrets.bob),
      env = environment(directory .. "/secrets"), args = { "--record", directory .. "/record", "--metrics", "127.0.0.1:0",
        "--max-attempts", "1", "--log-level", "debug" } }
    for _, word in ipairs(WORDS) do one:begin(word, nil, { token = secrets.alice }) end
    local record = record_has(directory .. "/record", #WORDS - 1)
    local status, metrics = monitored(one.host)
    local places = { record = record, ["/status"] = status.body, ["/metrics"] = metrics.body,
      ["molecule dead show"] = molecule("dead", "show", "agent", "--all", "--state-dir", one.host.state_dir),
      ["the agent card"] = http.request { port = one.port, method = "GET",
        path = "/.well-known/agent-card.json" }.body }
    one:stop()
    places.log = one.process.stdout .. one.process.stderr
    places.traces = traces()
    check(places, secrets)
  end)

  it("of molecule dev are on no page of the playground", function()
    local directory = host.directory()
    host.write(directory .. "/agent.lua", CARELESS)
    local env = environment(directory .. "/secrets")
    env.HOME = directory
    local child = process.spawn { command = { emulator.binary(), "dev", directory .. "/agent.lua", "--port", "0", "--keep",
      directory .. "/kept", "--admin-token", "admin-token-0123456789", "--max-attempts", "1" }, keep_stdin = true, env = env }
    local port = math.tointeger(tonumber(child:wait_line "^playground: ":match ":(%d+)/"))
    local id = child:wait_line " serves workspace ":match "workspace (%x[%x%-]+)"
    local minted = child:wait_line("the platform minted a token; it is kept in", { stream = "stderr" })
    local token = assert(host.read(minted:match "kept in (%S+)"))
    local secrets = { ["the token"] = token, ["the token of the operator"] = "admin-token-0123456789",
      ["the header for the collector"] = "otel-header-0123456789" }
    host.write(directory .. "/secrets", token .. " otel-header-0123456789")
    local function get(path, options)
      local all = { port = port, method = "GET", path = "/__emulator/playground" .. path }
      for name, value in pairs(options or {}) do all[name] = value end
      return http.request(all)
    end
    -- what it tells the canvas is not ours to change
    local words = { "log", "boom", "table", "dead", "skip", "web", "exec", "step", "fails" }
    for _, word in ipairs(words) do
      local answer = http.request { port = port, method = "POST", path = "/__emulator/messages", json = { to = id, text = word },
        headers = { Authorization = "Bearer admin-token-0123456789" } }
      assert.equal(200, answer.status, answer.body)
    end
    local places = {}
    loop.wait(function()
      local messages = get "/messages".body
      return select(2, messages:gsub('"outcome"', "")) >= #words and messages
    end)
    for _, path in ipairs { "", "/messages", "/wire", "/export", "/a2a", "/card", "/store", "/timers", "/questions" } do
      places[path] = get(path).body
    end
    for _, message in ipairs(cjson.decode(places["/messages"]).messages) do
      for _, more in ipairs { "", "/ledger", "/test" } do
        local path = "/messages/" .. message.id .. more
        places[path] = get(path).body
      end
    end
    for _, entry in ipairs(cjson.decode(places["/wire"]).entries) do
      places["/wire/" .. entry.n] = get("/wire/" .. entry.n).body
    end
    child:signal "sigterm"
    child:wait_exit()
    places.terminal = child.stdout .. child.stderr
    check(places, secrets)
  end)
end)
