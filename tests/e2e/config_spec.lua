--- The file of --config, `molecule config`, and where secrets come from.

local cjson = require "cjson"
local uv = require "luv"
local beats = require "tests.support.beats"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local http = require "tests.support.http"
local loop = require "tests.support.loop"
local preload = require "tests.support.preload"
local process = require "tests.support.process"

local UNSET = { "MOLECULE_API_URL", "MOLECULE_STATE_DIR", "MOLECULE_ORG_ID", "MOLECULE_WORKSPACE_TOKEN",
  "MOLECULE_WORKSPACE_TOKEN_FILE", "MOLECULE_AUTH_TOKEN_FILE", "MOLECULE_LOG_LEVEL", "MOLECULE_LOG_FORMAT",
  "MOLECULE_METRICS", "STATE_DIRECTORY" }

describe("configuration", function()
  local platform, directory, path

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)

  before_each(function()
    directory = host.directory()
    path = directory .. "/config.lua"
    host.write(directory .. "/agent.lua", host.ECHO)
  end)

  after_each(host.clean_up)

  teardown(function()
    platform:stop()
    process.kill_all()
  end)

  local function write(text, mode)
    host.write(path, text)
    assert(uv.fs_chmod(path, tonumber(mode or "600", 8)))
    return path
  end

  local function private(name, text, mode)
    host.write(directory .. "/" .. name, text)
    assert(uv.fs_chmod(directory .. "/" .. name, tonumber(mode or "600", 8)))
    return directory .. "/" .. name
  end

  --- To its end.
  local function molecule(words, code, env, cwd)
    local all = { HOME = directory }
    for _, name in ipairs(UNSET) do all[name] = false end
    for name, value in pairs(env or {}) do all[name] = value end
    local child = process.spawn { command = { emulator.binary(), table.unpack(words) }, env = all, cwd = cwd }
    assert.equal(code, child:wait_exit(), child.stdout .. child.stderr)
    return child.stdout, child.stderr
  end

  --- The options of `molecule config WORDS --json`.
  local function options(words, env)
    local command = { "config", table.unpack(words) }
    command[#command + 1] = "--json"
    local out = molecule(command, 0, env)
    return cjson.decode(out).options, out
  end

  local function from(option)
    local list = {}
    for i, source in ipairs(option.sources) do
      list[i] = source.from .. (source.line and (":%d"):format(source.line) or source.variable and " " .. source.variable or "")
    end
    return table.concat(list, ", ")
  end

  local function refused(text, words)
    write(text)
    local command = { "config", "--check", "--config", path }
    if words then command = words end
    local out, said = molecule(command, 2)
    assert.equal("", out, text)
    return said
  end

  local function has(text, part)
    assert(text:find(part, 1, true), ("%q is not in\n%s"):format(part, text))
  end

  local function lacks(text, part)
    assert(not text:find(part, 1, true), ("%q is in\n%s"):format(part, text))
  end

  it("takes a flag before the environment, that before the file, and that before the default", function()
    write 'return {\n  log_level = "warn",\n  timeout = "90s",\n  max_pending = 7,\n}'
    local all = options({ "connect", "--config", path })
    assert.same({ "warn", "file:2" }, { all.log_level.value, from(all.log_level) })
    assert.same({ "90s", "file:3" }, { all.timeout.value, from(all.timeout) })
    assert.same({ 7, "file:4" }, { all.max_pending.value, from(all.max_pending) })
    assert.same({ "10s", "default" }, { all.cpu_limit.value, from(all.cpu_limit) })
    assert.equal(path, all.log_level.sources[1].path)
    local env = { MOLECULE_LOG_LEVEL = "debug" }
    all = options({ "connect", "--config", path }, env)
    assert.same({ "debug", "environment MOLECULE_LOG_LEVEL" }, { all.log_level.value, from(all.log_level) })
    all = options({ "connect", "--config", path, "--log-level", "error" }, env)
    assert.same({ "error", "flag" }, { all.log_level.value, from(all.log_level) })
  end)

  it("is found through MOLECULE_CONFIG, which --config beats", function()
    write "return {max_pending = 7}"
    local other = private("other.lua", "return {max_pending = 8}")
    local all = options({ "connect" }, { MOLECULE_CONFIG = path })
    assert.same({ 7, "environment MOLECULE_CONFIG" }, { all.max_pending.value, from(all.config) })
    all = options({ "connect", "--config=" .. other }, { MOLECULE_CONFIG = path })
    assert.same({ 8, "flag" }, { all.max_pending.value, from(all.config) })
    assert.equal(other, all.config.value)
  end)

  it("adds flags to the lists and pairs of the file; a flag beats a pair of its name", function()
    write 'return {sandbox = true, allow_hosts = {"a", "b"},\nscript_options = {k = "v", n = 5, b = true}}'
    local all = options { "connect", "--config", path, "--allow-host", "c", "--script-opt", "k=w" }
    assert.same({ "a", "b", "c" }, all.allow_hosts.value)
    assert.equal("file:1, flag", from(all.allow_hosts))
    assert.same({ k = "w", n = "5", b = "true" }, all.script_options.value)
    assert.equal("file:2, flag", from(all.script_options))
  end)

  it("turns off on the command line what the file turned on", function()
    write "return {sandbox = true}"
    assert.is_true(options({ "connect", "--config", path }).sandbox.value)
    assert.is_false(options({ "connect", "--config", path, "--sandbox=false" }).sandbox.value)
  end)

  it("reads paths as relative to the file", function()
    write 'return {script = "agent.lua", state_dir = "/var/lib/x", log_file = "logs/it.log"}'
    local all = options { "connect", "--config", path }
    assert.equal(directory .. "/agent.lua", all.script.value)
    assert.equal("/var/lib/x", all.state_dir.value)
    assert.equal(directory .. "/logs/it.log", all.log_file.value)
    local out = molecule({ "config", "--config", "config.lua", "--json" }, 0, nil, directory)
    assert.equal("agent.lua", cjson.decode(out).options.script.value)
  end)

  it("serves several commands: each takes the keys that it knows", function()
    write [[return {api_url = "https://acme.example.com", script = "agent.lua", task_ttl = "2h", log_level = "warn",
      mode = "poll", listen = {"127.0.0.1:7001"}}]]
    local connect = options { "connect", "--config", path }
    local fleet = options { "fleet", "--config", path }
    local serve = options { "serve", "--config", path }
    assert.equal("https://acme.example.com", connect.api_url.value)
    assert.equal("https://acme.example.com", fleet.api_url.value)
    assert.is_nil(serve.api_url)
    assert.equal("2h", serve.task_ttl.value)
    assert.same({ "127.0.0.1:7001" }, serve.listen.value)
    assert.is_nil(connect.task_ttl)
    assert.is_nil(fleet.script)
    for _, each in ipairs { connect, fleet, serve } do assert.equal("file:1", from(each.log_level)) end
    molecule({ "config", "--check", "--config", path }, 0)
  end)

  it("complains of a key that no command knows, and names the one that was meant", function()
    for word, meant in pairs { api_urk = "api_url", script_opt = "script_options", ["log-level"] = "log_level",
      metric = "metrics", task_tll = "task_ttl", allow_host = "allow_hosts" } do
      has(refused(('return {\n\n  [%q] = "x",\n}'):format(word)), ('%s:3: unknown key "%s"; did you mean "%s"?')
        :format(path, word, meant))
    end
    has(refused "return {zzzzzzzzz = 1}", path .. ':1: unknown key "zzzzzzzzz"; the keys are the options of')
    has(refused "return {workspaces = {}}", "a fleet file is given as molecule fleet " .. path)
    has(refused "return {dry_run = true}", ':1: "dry_run" has no place here; give it as --dry-run')
  end)

  it("complains of values as of those of flags, with file and line", function()
    for text, words in pairs {
      ['return {\nlog_level = "loud"}'] = ':2: "log_level" is error, warn, info or debug; got "loud"',
      ["return {concurrency = 0}"] = ':1: "concurrency" must be between 1 and 1000; got "0"',
      ['return {memory_limit = "1x"}'] = ':1: "memory_limit" takes a size like 64MiB; got "1x"',
      ['return {allow_hosts = "a"}'] = ':1: "allow_hosts" is a list of strings',
      ['return {script_options = "a"}'] = ':1: "script_options" is a table of names and values',
      ["return {timeout = {}}"] = ':1: "timeout" cannot be a table',
      ["return {sandbox = 1}"] = ':1: "sandbox" must be true or false',
      ["return {script = 1}"] = ':1: "script" must be a string',
      ["return {script = 'a\\0b'}"] = ':1: "script" contains a NUL byte',
      ["return {1}"] = ":1: this is a list; a config file returns names and values",
      ["return 1"] = "returns a number; it must return a table",
      ["local x"] = "returns nil; it must return a table",
      ["return {"] = ":1: unexpected symbol",
      ["io.open 'x'"] = ":1: attempt to index a nil value (global 'io')",
      ["while true do end"] = ":1: the config file runs for more than 5 s",
      ['return {task_ttl = "1x"}'] = ':1: "task_ttl" takes a duration', -- of serve alone
    } do
      has(refused(text), "config.lua" .. (words:sub(1, 1) == ":" and "" or " ") .. words)
    end
    has(refused("return {concurrency = 0}", { "connect", emulator.uuid(), "--config", path }), ':1: "concurrency" must be')
    has(refused("return {task_ttl = {}}", { "serve", "--config", path }), ':1: "task_ttl" cannot be a table')
    has(refused("return {workers = 0}", { "fleet", "f.lua", "--config", path }), ':1: "workers" must be between 1 and 256')
    has(refused("return {}", { "config", "--config", path .. "x" }), "config.luax cannot be read: No such file or directory")
  end)

  it("says nothing of a token that is wrong", function()
    write 'return {script = "agent.lua", token = "two wörds"}'
    local _, said = molecule({ "connect", emulator.uuid(), "--config", path }, 2)
    has(said, "the token of " .. path .. " contains a space")
    lacks(said, "wörds")
  end)

  it("may be put together from the environment", function()
    write 'return {max_pending = os.getenv "PENDING"}'
    assert.equal(12, options({ "connect", "--config", path }, { PENDING = "12" }).max_pending.value)
  end)

  it("lets one of two options that exclude each other replace that of the file", function()
    write 'return {script = "agent.lua", token = "abcdefgh", auth_token_file = "tokens", verbose = true}'
    local all = options { "connect", "--config", path, "--backend", "mock", "--token-file", "t", "--log-level", "warn" }
    assert.same({ cjson.null, "mock" }, { all.script.value, all.backend.value })
    assert.same({ cjson.null, "t" }, { all.token.value, all.token_file.value })
    assert.is_false(all.verbose.value)
    all = options { "serve", "--config", path, "--no-auth" }
    assert.equal(cjson.null, all.auth_token_file.value)
    write 'return {backend = "exec", backend_options = {cmd = "cat"}, no_auth = true, token_file = "t"}'
    all = options({ "connect", "--config", path, "--backend", "mock", "--backend-opt", "reply=x" },
      { MOLECULE_WORKSPACE_TOKEN = "abcdefgh" })
    assert.same({ reply = "x" }, all.backend_options.value)
    assert.same({ "[hidden]", cjson.null }, { all.token.value, all.token_file.value })
    all = options { "connect", "--config", path, "--script", "a.lua" }
    assert.same({ cjson.null, {} }, { all.backend.value, all.backend_options.value })
    all = options { "serve", "--config", path, "--auth-token-file", "x" }
    assert.same({ false, "x" }, { all.no_auth.value, all.auth_token_file.value })
  end)

  it("hides secrets in what it prints", function()
    write [[return {token = "tok-0123456789", api_url = "https://me:pass-0123@acme.example.com",
      script_options = {api_key = "key-0123456789 and more", color = "red"}}]]
    for _, words in ipairs { { "config", "connect", "--config", path }, { "config", "connect", "--config", path, "--json" } } do
      local out = molecule(words, 0)
      for _, secret in ipairs { "0123", "and more" } do lacks(out, secret) end
      for _, shown in ipairs { "[hidden]", "red", "acme.example.com" } do has(out, shown) end
    end
    local out = molecule({ "config", "connect" }, 0, { MOLECULE_WORKSPACE_TOKEN = "tok-0123456789" })
    assert.matches("\ntoken +%[hidden%] +environment MOLECULE_WORKSPACE_TOKEN\n", out)
  end)

  it("is printed in columns, a line for each item of a list", function()
    write 'return {allow_from = {"canvas"}}'
    local out = molecule({ "config", "--config", path, "--allow-from", "b", "--api-url", "http://x" }, 0)
    has(out, ("allow_from            %-40s  file %s:1, flag\n                      b\n"):format("canvas", path))
    has(out, ("\napi_url               %-40s  flag\n"):format "http://x")
    has(out, ("\nstate_dir             %-40s  default\n"):format(directory .. "/.config/molecule/state"))
    out = molecule({ "config" }, 0, { STATE_DIRECTORY = "/var/lib/m" })
    has(out, ("\nstate_dir             %-40s  environment STATE_DIRECTORY\n"):format "/var/lib/m")
  end)

  it("has every option of the commands but what is asked of one run", function()
    for _, command in ipairs { "connect", "fleet", "serve" } do
      local wanted, found = {}, {}
      for line in molecule({ command, "--help" }, 0):gmatch "[^\n]+" do
        local name = line:match "^  %-%-([%l-]+)" or line:match "^  %-%l, %-%-([%l-]+)"
        if name and not ("check online dry-run"):find(name, 1, true) then wanted[#wanted + 1] = name end
      end
      for name in pairs(options { command }) do
        local flags = { backend_options = "backend-opt", script_options = "script-opt", allow_hosts = "allow-host",
          allow_file_hosts = "allow-file-host", virtual_hosts = "virtual-host" }
        found[#found + 1] = flags[name] or name:gsub("_", "-")
      end
      table.sort(wanted)
      table.sort(found)
      assert.same(wanted, found)
    end
  end)

  it("only says whether it is right with --check, and has advice for other words", function()
    write "return {task_ttl = '1h'}"
    local out, said = molecule({ "config", "--check", "--config", path }, 0)
    assert.same({ "", "" }, { out, said })
    molecule({ "config", "--check", "serve", "--config", path }, 0)
    local _, advice = molecule({ "config", "agent.lua" }, 2)
    has(advice, '"agent.lua" reads no config file; connect, fleet and serve do')
    _, advice = molecule({ "config", "connect", "--api-ur", "x" }, 2)
    has(advice, "unknown option --api-ur; did you mean --api-url?")
  end)

  describe("of a run", function()
    local workspace

    before_each(function() workspace = host.workspace(platform) end)

    local function connect(more)
      local all = { platform = platform, workspace = workspace, token = false, bare = true }
      for name, value in pairs(more) do all[name] = value end
      return host.start(all)
    end

    local function answers(one)
      platform:message { to = workspace.id, text = "hello" }
      assert.same({ "echo: hello" }, one:canvas(1))
      return one
    end

    it("is what connect takes: a script, a token, a level; a flag's pair beats that of the file", function()
      host.write(directory .. "/agent.lua", [[return function(msg, ctx)
        assert(ctx.options.a == "flag" and ctx.options.b == "file")
        return "echo: " .. msg.text
      end]])
      write(([[return {script = "agent.lua", token = %q, log_level = "debug", interval_ms = 20,
        script_options = {a = "file", b = "file"}}]]):format(workspace.token))
      local one = answers(connect { args = { "--config", path, "--script-opt", "a=flag" } })
      assert(one:count_log "debug" > 0)
      assert.equal(0, one:count_log "other users may read")
      one:stop()
    end)

    it("is what a fleet takes where its file says nothing", function()
      write(('return {api_url = %q, state_dir = "kept", log_level = "debug", task_ttl = "1h"}'):format(platform.url))
      private("fleet.lua", ("return {workspaces = {{id = %q, token = %q, script = 'agent.lua', interval_ms = 20}}}")
        :format(workspace.id, workspace.token))
      local child = process.spawn { command = { emulator.binary(), "fleet", directory .. "/fleet.lua" },
        env = { HOME = directory, MOLECULE_CONFIG = path, MOLECULE_API_URL = false, MOLECULE_STATE_DIR = false } }
      child:wait_line("debug", { stream = "stderr" })
      child:wait_line("registered as", { stream = "stderr" })
      assert.truthy(uv.fs_stat(directory .. "/kept"))
      child:signal "sigterm"
      assert.equal(0, child:wait_exit(), child:report())
    end)

    it("is what serve takes, whose scripts on the command line replace that of the file", function()
      write [[return {script = "nowhere.lua", no_auth = true, listen = {"127.0.0.1:0"}, name = "of the file",
        token = "abcdefghi"}]]
      local one = host.serve({ directory .. "/agent.lua", "--config", path }, {})
      local port = tonumber(one:log "listening at ":match "127%.0%.0%.1:(%d+)")
      one:log ": serving "
      local card = http.request { port = port, method = "GET", path = "/.well-known/agent-card.json" }
      assert.equal("of the file", cjson.decode(card.body).name)
      one:stop()
    end)

    it("may have what only serve needs while connect polls", function()
      write 'return {script = "agent.lua", listen = {"127.0.0.1:0"}, public_url = "https://agent.example.com"}'
      local env = { MOLECULE_WORKSPACE_TOKEN = workspace.token }
      connect({ args = { "--config", path }, env = env }):log "registered as"
      local _, said = molecule({ "connect", workspace.id, "--config", path, "--listen", "127.0.0.1:0" }, 2)
      has(said, "--listen and --public-url belong to --mode push or auto")
    end)

    it("has a token from systemd's credentials, unless a flag, a variable or the file has one", function()
      local credentials = { CREDENTIALS_DIRECTORY = directory }
      private("token", workspace.token .. "\n")
      local script = { "--script", directory .. "/agent.lua", "--interval-ms", "20" }
      local one = answers(connect { args = script, env = credentials })
      one:stop()
      local all = options({ "connect", workspace.id }, credentials)
      assert.same({ directory .. "/token", "credential" }, { all.token_file.value, from(all.token_file) })
      private("token", "another-token")
      connect({ token = workspace.token, args = script, env = credentials, state_dir = one.state_dir }):log "registered as"
      local file = private("its-token", workspace.token)
      connect({ args = { "--token-file", file, table.unpack(script) }, env = credentials }):log "registered as"
      write(('return {token_file = "its-token"}'))
      all = options({ "connect", "--config", path }, credentials)
      assert.same({ file, "file:1" }, { all.token_file.value, from(all.token_file) })
    end)

    it("has a token from the credentials before the one that the platform minted", function()
      private("token", "wrong-" .. workspace.token)
      local state = host.directory() .. "/state"
      assert(uv.fs_mkdir(state, tonumber("700", 8)))
      host.write(("%s/%s.token"):format(state, workspace.id), workspace.token)
      local one = connect { args = { "--script", directory .. "/agent.lua" }, env = { CREDENTIALS_DIRECTORY = directory },
        state_dir = state }
      one:log "trying the token that the platform minted earlier instead" -- after the platform refused the other
    end)

    it("has the tokens of several workspaces from credentials named after them, also in a fleet", function()
      local two = host.workspace(platform)
      for _, each in ipairs { workspace, two } do private(each.id .. ".token", each.token) end
      private("token", "of none of them")
      local env = { CREDENTIALS_DIRECTORY = directory, HOME = directory, MOLECULE_API_URL = platform.url,
        MOLECULE_WORKSPACE_TOKEN = false }
      private("fleet.lua", ("return {defaults = {script = 'agent.lua'}, workspaces = {%q, %q}}"):format(workspace.id, two.id))
      for _, words in ipairs { { "connect", workspace.id, two.id, "--script", directory .. "/agent.lua" },
        { "fleet", directory .. "/fleet.lua" } } do
        local child = process.spawn { command = { emulator.binary(), table.unpack(words) }, env = env }
        for _, each in ipairs { workspace, two } do
          child:wait_line(each.id:gsub("%-", "%%-") .. ": registered as", { stream = "stderr" })
        end
        child:signal "sigterm"
        assert.equal(0, child:wait_exit(), child:report())
      end
    end)

    it("has who may ask molecule serve from the credentials, too", function()
      private("auth-tokens", "alice alice-token-0123456789\n")
      local one = host.serve({ directory .. "/agent.lua", "--listen", "127.0.0.1:0" },
        { env = { CREDENTIALS_DIRECTORY = directory } })
      local port = tonumber(one:log "listening at ":match "127%.0%.0%.1:(%d+)")
      one:log ": serving "
      local function ask(token)
        return http.request { port = port, method = "POST", path = "/", json = { jsonrpc = "2.0", id = 1, method = "GetTask",
          params = { id = "x" } }, headers = { Authorization = "Bearer " .. token, ["A2A-Version"] = "1.0" } }.status
      end
      assert.equal(401, ask "somebody-else-0123456789")
      assert.equal(200, ask "alice-token-0123456789")
      one:stop()
      local all = options({ "serve" }, { CREDENTIALS_DIRECTORY = directory })
      assert.equal("credential", from(all.auth_token_file))
      assert.equal(cjson.null, options({ "serve", "--no-auth" }, { CREDENTIALS_DIRECTORY = directory }).auth_token_file.value)
    end)
  end)

  describe("files with secrets that others may read", function()
    local workspace, token_file

    before_each(function()
      workspace = host.workspace(platform)
      token_file = private("its-token", workspace.token, "644")
    end)

    local OPEN = "other users may read "

    it("are warned about, and their tokens used", function()
      local one = host.connect { platform = platform, workspace = workspace, token = false, script = host.ECHO,
        args = { "--token-file", token_file } }
      assert.equal(1, one:count_log(("warn .*%s%s, which has a token: chmod 600"):format(OPEN, token_file:gsub("%p", "%%%0"))))
      one:stop()
      write(('return {token = %q}'):format(workspace.token), "604")
      one = host.connect { platform = platform, workspace = workspace, token = false, script = host.ECHO,
        args = { "--config", path } }
      assert.equal(1, one:count_log(("warn .*%s%s, which has secrets: chmod 600"):format(OPEN, path:gsub("%p", "%%%0"))))
      one:stop()
    end)

    it("are not warned about when only the group may read them, or they have no secrets", function()
      assert(uv.fs_chmod(token_file, tonumber("640", 8)))
      write('return {log_level = "info"}', "644")
      local one = host.connect { platform = platform, workspace = workspace, token = false, script = host.ECHO,
        args = { "--token-file", token_file, "--config", path, "--strict" } }
      assert.equal(0, one:count_log(OPEN))
      one:stop()
    end)

    it("are refused with --strict, whatever the command", function()
      local script, env = directory .. "/agent.lua", { MOLECULE_API_URL = platform.url }
      local function strict(words, file, what)
        words[#words + 1] = "--strict"
        local _, said = molecule(words, 2, env)
        has(said, ("%s%s, which has %s, and --strict refuses that: chmod 600 %s"):format(OPEN, file, what, file))
        lacks(said, workspace.token)
      end
      strict({ "connect", workspace.id, "--script", script, "--token-file", token_file }, token_file, "a token")
      local other = host.workspace(platform)
      private(other.id, other.token, "600")
      private(workspace.id, workspace.token, "644")
      strict({ "connect", other.id, workspace.id, "--script", script, "--token-file", directory .. "/{id}" },
        directory .. "/" .. workspace.id, "a token")
      local fleet = private("fleet.lua", ("return {workspaces = {{id = %q, token = %q, script = 'agent.lua'}}}")
        :format(workspace.id, workspace.token), "644")
      strict({ "fleet", fleet }, fleet, "tokens")
      private("fleet.lua", ("return {workspaces = {{id = %q, token_file = 'its-token', script = 'agent.lua'}}}")
        :format(workspace.id), "644")
      strict({ "fleet", fleet }, token_file, "a token")
      local tokens = private("tokens", "alice alice-token-0123456789\n", "644")
      strict({ "serve", script, "--auth-token-file", tokens }, tokens, "tokens")
      write(("return {token = %q, script = 'agent.lua'}"):format(workspace.token), "644")
      for _, words in ipairs { { "connect", workspace.id }, { "serve", "--no-auth" }, { "fleet", fleet }, { "config" },
        { "config", "--check" } } do
        words[#words + 1] = "--config=" .. path
        strict(words, path, "secrets")
      end
      write(("return {token = %q, script = 'agent.lua', strict = true}"):format(workspace.token), "644")
      local _, said = molecule({ "connect", workspace.id, "--config", path }, 2, env)
      has(said, "--strict refuses that")
    end)

    it("are refused with --strict when they are read again", function()
      local tokens = private("tokens", "alice alice-token-0123456789\n")
      local one = host.serve({ directory .. "/agent.lua", "--listen", "127.0.0.1:0", "--strict", "--auth-token-file", tokens },
        {})
      one:log "listening at "
      assert(uv.fs_chmod(tokens, tonumber("644", 8)))
      one.process:signal "sighup"
      one:log "which has tokens, and %-%-strict refuses that.*the tokens that were known stay"
      one:stop()
      assert(uv.fs_chmod(token_file, tonumber("600", 8)))
      one = host.connect { platform = platform, workspace = workspace, token = false, script = host.ECHO,
        args = { "--token-file", token_file, "--strict" } }
      assert(uv.fs_chmod(token_file, tonumber("644", 8)))
      platform:order("revoke", { workspace = workspace.id, replace = true })
      platform:workspace { id = workspace.id, token = "another-" .. workspace.token:reverse() }
      one:log "the token file .*its%-token may be read by other users, which %-%-strict refuses; chmod 600 it"
      one:stop()
      workspace = host.workspace(platform)
      local fleet = private("fleet.lua", ("return {workspaces = {{id = %q, token = %q, script = 'agent.lua'}}}")
        :format(workspace.id, workspace.token))
      one = host.start { platform = platform, workspace = workspace, command = { "fleet", fleet, "--strict" }, bare = true,
        token = false }
      one:log "registered as"
      assert(uv.fs_chmod(fleet, tonumber("644", 8)))
      one.process:signal "sighup"
      one:log "cannot reload the fleet file, nothing has changed: .*%-%-strict refuses that"
      one:stop()
    end)
  end)

  describe("read again at SIGHUP", function()
    local workspace, one

    before_each(function() workspace = host.workspace(platform) end)

    --- molecule connect with the file, and nothing else but the platform.
    local function connect(args, env)
      one = host.connect { platform = platform, workspace = workspace, token = false, script = host.ECHO,
        args = { "--config", path, table.unpack(args or {}) }, env = env or { MOLECULE_LOG_LEVEL = false } }
    end

    local function config(more, token)
      write(("return { token = %q, %s }"):format(token or workspace.token, more))
    end

    local function reload() one.process:signal "sighup" end

    local function said(text) return one.process.stderr:find(text, 1, true) end

    it("names what needs a restart, without its value, each time", function()
      config "max_attempts = 3, concurrency = 2, script_options = { key = 'old-secret' }"
      connect()
      config("max_attempts = 3, concurrency = 4, script_options = { key = 'new-secret' }, timeout = '9s'", "another-token-01234")
      for _ = 1, 2 do
        reload()
        local line = one:log "config.lua: .* restart to apply"
        assert.matches("warn .*config%.lua: script_options, token, concurrency, timeout differ from what runs; " ..
          "restart to apply them$", line)
      end
      assert.falsy(said "another-token" or said "old-secret" or said "new-secret")
      config "max_attempts = 3, concurrency = 2, script_options = { key = 'old-secret' }, ca_file = 'x'"
      reload()
      one:log "config.lua: ca_file differs from what runs; restart to apply it$"
      one:stop()
    end)

    it("takes the level of the log", function()
      config "log_level = 'info'"
      one = host.connect { platform = platform, workspace = workspace, token = false, args = { "--config", path },
        env = { MOLECULE_LOG_LEVEL = false }, script = [[return function(_, ctx) ctx.log.debug "seen" return "said" end]] }
      platform:message { to = workspace.id, text = "first" }
      one:canvas(1)
      assert.falsy(said "script: seen")
      config "log_level = 'debug'"
      reload()
      one:log "info .*config.lua: log_level is now debug"
      platform:message { to = workspace.id, text = "second" }
      one:log "debug .*script: seen"
      config "verbose = false"
      reload()
      one:log "config.lua: log_level is now info"
      config "log_level = 'warn'"
      reload()
      one:log "config.lua: log_level is now warn"
      assert.falsy(said "restart to apply")
      one:stop()
    end)

    it("leaves alone what the command line or the environment says", function()
      config "log_level = 'info', timeout = '5s'"
      connect({ "--log-level", "info", "--timeout", "7s" })
      config "log_level = 'debug', timeout = '9s', ca_file = 'x'"
      reload()
      one:log "config.lua: ca_file differs from what runs"
      assert.falsy(said "is now")
      one:stop()
      config "verbose = false"
      connect({}, { MOLECULE_LOG_LEVEL = "info" })
      config "verbose = true, log_level = 'warn', ca_file = 'x'"
      reload()
      one:log "config.lua: ca_file differs from what runs"
      assert.falsy(said "is now")
      one:stop()
    end)

    it("moves the log to another file, and stays with the old one if there is no such folder", function()
      local first, second = directory .. "/first.log", directory .. "/second.log"
      local function wait_for(file, text)
        assert(loop.wait(function() return (host.read(file) or ""):find(text, 1, true) end), text)
      end
      config "log_file = 'first.log'"
      one = host.start { platform = platform, workspace = workspace, token = false, script = host.ECHO,
        args = { "--config", path } }
      wait_for(first, "registered as")
      config "log_file = 'nowhere/second.log'"
      reload()
      wait_for(first, "nowhere/second.log: No such file or directory; the file that was open is kept")
      config "log_file = 'second.log'"
      reload()
      -- in the second one if SIGHUP's own opening was late enough to move it, too
      assert(loop.wait(function()
        return ((host.read(first) or "") .. (host.read(second) or "")):find("the log continues in " .. second, 1, true)
      end))
      assert(loop.wait(function() return uv.fs_stat(second) end))
      reload()
      wait_for(second, "the script is reloaded")
      config "concurrency = 2"
      reload()
      wait_for(second, "config.lua: concurrency, log_file differ from what runs")
      one:stop()
      wait_for(second, "stopped; ")
      assert.equal("", one.process.stderr)
    end)

    it("changes nothing if it has an error, and says which and where", function()
      config "log_level = 'info'"
      connect()
      local FAILED = "error .*cannot reload the config file, nothing of it has changed: .*config.lua"
      for text, problem in pairs {
        ["return {\n  log_level = 'debug',\n  log_levle = 1 }"] = ':3: unknown key "log_levle"; did you mean "log_level"%?',
        ["return {\n  log_level = 'debug',"] = ":2: .*unexpected symbol",
        ["return { log_level = 'loud' }"] = ':1: "log_level" is error, warn, info or debug; got "loud"',
        ["return { log_level = 'debug', concurrency = 0 }"] = ':1: "concurrency" must be between 1 and 1000; got "0"',
      } do
        write(text)
        reload()
        one:log(FAILED .. problem)
      end
      assert(uv.fs_unlink(path))
      reload()
      one:log(FAILED .. " cannot be read: No such file or directory")
      assert.falsy(said "is now")
      platform:message { to = workspace.id, text = "still there" }
      one:canvas(1)
      one:stop()
    end)

    it("is refused with --strict if others may read it", function()
      config "log_level = 'info'"
      connect { "--strict" }
      config "log_level = 'debug'"
      assert(uv.fs_chmod(path, tonumber("644", 8)))
      reload()
      one:log "cannot reload the config file, .*which has secrets, and %-%-strict refuses that"
      assert.falsy(said "is now")
      one:stop()
    end)

    it("does not hold up heartbeats or answers while its file system hangs", function()
      local flag = directory .. "/hangs"
      config "log_level = 'info'"
      connect({ "--heartbeat-ms", "1000" }, { MOLECULE_LOG_LEVEL = false,
        LD_PRELOAD = preload.build("tests/support/slow_open.c", directory), SLOW_PATH = path, SLOW_FLAG = flag })
      host.write(flag, "")
      reload()
      assert(loop.wait(function() return uv.fs_stat(flag .. ".waiting") end))
      beats.wait(one, 3)
      reload()
      one:log "the config file is still being read; it will be read once more after that"
      platform:message { to = workspace.id, text = "hello" }
      one:canvas(1)
      config "log_level = 'debug', concurrency = 7"
      uv.fs_unlink(flag)
      for _ = 1, 2 do one:log "concurrency differs from what runs" end
      one:stop()
      -- one that is stopped meanwhile does not wait for it
      config "log_level = 'info'"
      connect({}, { MOLECULE_LOG_LEVEL = false, LD_PRELOAD = preload.build("tests/support/slow_open.c", directory),
        SLOW_PATH = path, SLOW_FLAG = flag })
      uv.fs_unlink(flag .. ".waiting")
      host.write(flag, "")
      reload()
      assert(loop.wait(function() return uv.fs_stat(flag .. ".waiting") end))
      one:stop()
      uv.fs_unlink(flag)
    end)

    it("is read again by a fleet and by a server, too", function()
      write "return { workers = 1, log_level = 'info' }"
      local fleet = private("fleet.lua", ("return { workspaces = {{ id = %q, token = %q, script = 'agent.lua' }} }")
        :format(workspace.id, workspace.token))
      one = host.start { platform = platform, workspace = workspace, bare = true, token = false,
        command = { "fleet", fleet, "--config", path }, env = { MOLECULE_LOG_LEVEL = false } }
      one:log "registered as"
      write "return { workers = 2, log_level = 'debug', script = 'only-connect-has-it.lua' }"
      reload()
      one:log "log_level is now debug"
      one:log "config.lua: workers differs from what runs"
      one:stop()
      write "return { timeout = '5s', log_level = 'info', script = 'not-used.lua' }"
      one = host.serve({ directory .. "/agent.lua", "--listen", "127.0.0.1:0", "--no-auth", "--config", path },
        { MOLECULE_LOG_LEVEL = false })
      one:log "serving agent"
      write "return { timeout = '6s', log_level = 'debug', script = 'not-used-either.lua' }"
      reload()
      one:log "log_level is now debug"
      one:log "config.lua: timeout differs from what runs"
      one:log "the script is reloaded"
      one:stop()
    end)
  end)
end)
