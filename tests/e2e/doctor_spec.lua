--- `molecule doctor`: set-ups that are broken in one way each, and what it says of them.
local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local loop = require "tests.support.loop"
local preload = require "tests.support.preload"
local namespace = require "tests.support.namespace"
local process = require "tests.support.process"
local server = require "tests.support.server"

local NAMES = { "address", "proxy", "dns", "tcp", "tls", "platform", "clock", "tenant", "workspace", "delivery", "token", "rate",
  "stream", "peers", "inbox", "state", "files", "disk", "lock", "cursor", "ledger", "descriptors", "script", "unit" }

local function shell(command)
  local pipe = assert(io.popen("{ " .. command .. "\n} 2>&1"))
  local output = pipe:read "a"
  assert(pipe:close(), output)
end

describe("molecule doctor", function()
  local platform, workspace, directory, state, certificates

  setup(function()
    certificates = host.directory()
    shell(([[set -e; cd '%s'; new="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
      openssl req -x509 $new -days 99 -subj /CN=authority -keyout authority.key -out authority.pem
      sign() {
        openssl req $new -subj /CN=$2 -keyout $1.key -out $1.csr
        printf "subjectAltName=$3" >$1.ext
        openssl x509 -req -days $4 -in $1.csr -CA authority.pem -CAkey authority.key -CAcreateserial -extfile $1.ext -out $1.pem
      }
      sign good localhost IP:127.0.0.1,DNS:localhost 90
      sign soon localhost IP:127.0.0.1,DNS:localhost 5
      sign expired localhost IP:127.0.0.1,DNS:localhost -1
      sign other elsewhere.example DNS:elsewhere.example 90]]):format(certificates))
  end)

  teardown(host.clean_up)

  before_each(function()
    platform = emulator.start()
    workspace = host.workspace(platform)
    directory = host.directory()
    state = directory .. "/state"
  end)

  after_each(function()
    process.kill_all(platform.process)
    server.stop_all()
    platform:stop()
  end)

  -- Its exit code, its checks by name, and what it printed.
  local function doctor(words, env, under)
    local command = { table.unpack(under or {}) }
    local all = { MOLECULE_WORKSPACE_TOKEN = workspace.token, MOLECULE_API_URL = platform.url, MOLECULE_ORG_ID = false,
      MOLECULE_STATE_DIR = state, MOLECULE_WORKSPACE_TOKEN_FILE = false, STATE_DIRECTORY = false, http_proxy = false,
      https_proxy = false, HTTPS_PROXY = false, all_proxy = false, ALL_PROXY = false, no_proxy = false, NO_PROXY = false,
      CREDENTIALS_DIRECTORY = false, HOME = directory, NO_COLOR = false }
    for name, value in pairs(env or {}) do all[name] = value end
    for _, word in ipairs { emulator.binary(), "doctor", workspace.id, "--json" } do command[#command + 1] = word end
    for _, word in ipairs(words or {}) do command[#command + 1] = word end
    local child = process.spawn { command = command, env = all }
    local code = child:wait_exit()
    assert.equal("", child.stderr)
    assert.falsy(child.stdout:find(workspace.token, 1, true), child.stdout)
    local answer, checks = cjson.decode(child.stdout), {}
    for _, each in ipairs(answer.checks) do
      assert.is_nil(checks[each.name], each.name .. " is there twice")
      checks[each.name] = each
    end
    for _, name in ipairs(NAMES) do assert(checks[name], name .. " is missing: " .. child.stdout) end
    assert.equal(#NAMES, #answer.checks)
    assert.equal(answer.ok, code == 0)
    return code, checks, child.stdout
  end

  -- One check fails or warns, with what it says and its fix; nothing else fails.
  local function finds(name, result, text, fix, ...)
    local code, checks, all = doctor(...)
    local check = checks[name]
    assert.equal(result, check.result, all)
    assert(check.text:find(text), ("no %q in %s"):format(text, check.text))
    assert(check.fix:find(fix), ("no %q in %s"):format(fix, check.fix))
    assert.equal(result == "failed" and 1 or 0, code, all)
    for other, each in pairs(checks) do assert(other == name or each.result ~= "failed", all) end
    return checks
  end

  local function healthy(checks, except)
    for _, name in ipairs(NAMES) do
      if not except[name] then assert.equal("ok", checks[name].result, name .. ": " .. checks[name].text) end
    end
  end

  local function needs(checks, name, what)
    assert.equal("skipped", checks[name].result)
    assert.equal("needs " .. what, checks[name].text)
  end

  -- A server with one of the certificates, which hands on to the platform.
  local function secure(name)
    local free = server.start(function() end)
    local port = free.port
    free:stop()
    loop.flush()
    local tls = process.spawn { keep_stdin = true, command = { "openssl", "s_server", "-accept", "127.0.0.1:" .. port, "-cert",
      ("%s/%s.pem"):format(certificates, name), "-key", ("%s/%s.key"):format(certificates, name), "-HTTP" },
      cwd = host.directory() }
    tls:wait_line "^ACCEPT"
    return "https://127.0.0.1:" .. port
  end

  -- What it is about for other tests: the platform is answered by this function.
  local function stand_in(answer)
    return server.start(function(request, reply)
      local status, body, headers = answer(request)
      reply(status or 200, body or '{"status":"ok"}', headers or { Date = os.date "!%a, %d %b %Y %H:%M:%S GMT" })
    end).url
  end

  local function trusting() return { "--ca-file", certificates .. "/authority.pem" } end

  describe("finds nothing", function()
    it("where all is well, changes nothing, and says what it found", function()
      local one = host.connect { platform = platform, workspace = workspace, script = host.ECHO, state_dir = state }
      platform:message { to = workspace.id, text = "hello" }
      assert.same({ "echo: hello" }, one:canvas(1))
      host.workspace(platform, { name = "weather" })
      local script = host.write(directory .. "/fine.lua", host.ECHO)
      local before, files = cjson.encode(platform:state_of(workspace.id)), host.list(state)
      local code, checks, all = doctor { "--script", script }
      assert.equal(0, code, all)
      healthy(checks, { tls = true, unit = true, files = checks.files.text:find "tmpfs" })
      assert(checks.lock.text:find(("process %d serves it: running"):format(one.process.pid), 1, true), checks.lock.text)
      assert(checks.peers.text:find "2 peers: weather", checks.peers.text)
      assert(checks.rate.text:find "of 600 requests are left")
      assert.same(files, host.list(state))
      one:stop()
      files = host.list(state)
      assert.equal(0, (doctor { "--script", script }))
      assert.same(files, host.list(state))
      assert.equal(cjson.decode(before).delivery_mode, platform:state_of(workspace.id).delivery_mode)
    end)

    it("of the network with --offline", function()
      local mark = platform:mark()
      local code, checks = doctor { "--offline" }
      assert.equal(0, code)
      for _, name in ipairs { "dns", "token", "inbox" } do assert.equal("--offline", checks[name].text) end
      assert(checks.files.result == "ok" or checks.files.text:find "in memory") -- where temporary files are
      assert.equal(mark, platform:mark())
    end)

    it("of a workspace where several have state and none is named, and takes the only one", function()
      local function of(...)
        local child = process.spawn { command = { emulator.binary(), "doctor", "--offline", "--state-dir", state, ... },
          env = { NO_COLOR = false, MOLECULE_WORKSPACE_TOKEN = false } }
        child:wait_exit()
        return child.stdout
      end
      assert(os.execute("mkdir -m 700 " .. state))
      host.write(state .. "/" .. workspace.id .. ".json", cjson.encode { workspace_id = workspace.id, last_since_id = "abc" })
      assert(of():find "ok%s+cursor%s+abc")
      host.write(state .. "/" .. emulator.uuid() .. ".json", "{}")
      assert(of():find "skipped%s+cursor%s+needs a workspace id")
    end)
  end)

  it("prints a line for each check, colored on request, with the fix in it, and what it counted", function()
    local child = process.spawn { command = { emulator.binary(), "doctor", workspace.id, "--api-url", "ftp://x", "--color",
      "always", "--state-dir", state }, env = { MOLECULE_WORKSPACE_TOKEN = workspace.token } }
    assert.equal(1, child:wait_exit())
    assert(child.stdout:find("\27%[1;31mfailed \27%[0m  address      %-%-api%-url ftp://x: [^\n]*; fix: [^\n]*https://"),
      child.stdout)
    assert(child.stdout:find "needs address")
    assert(child.stdout:find "\n%d+ ok, %d warnings?, 1 failed, %d+ skipped\n$", child.stdout)
    local lines = select(2, child.stdout:gsub("\n", ""))
    assert.equal(#NAMES + 1, lines)
  end)

  it("exits with 2 for wrong usage", function()
    for _, words in ipairs { { "--no-such" }, { "not/an/id" }, { "a", "b" } } do
      local child = process.spawn { command = { emulator.binary(), "doctor", table.unpack(words) } }
      assert.equal(2, child:wait_exit())
    end
  end)

  it("has every check in the documentation, in order", function()
    local text, named = assert(host.read "docs/operations.md"):match "| check | |\n(.-)\n\n", {}
    for name in text:gmatch "\n| `(%l+)` |" do named[#named + 1] = name end
    assert.same(NAMES, named)
  end)

  describe("finds that the address", function()
    it("is no URL", function()
      local checks = finds("address", "failed", "http", "https://HOST", { "--api-url", "acme.example.com" })
      needs(checks, "dns", "address")
      needs(checks, "token", "platform")
    end)

    it("has a password in it", function()
      finds("address", "failed", "credentials", "https://HOST", { "--api-url", "https://me:word@acme.example.com" })
    end)

    it("would send the token unencrypted", function()
      finds("address", "failed", "unencrypted", "%-%-insecure%-http", { "--api-url", "http://acme.invalid" })
    end)

    it("sends the token unencrypted, as --insecure-http allows", function()
      local _, checks = doctor { "--api-url", "http://acme.invalid", "--insecure-http" }
      assert.equal("warning", checks.address.result)
    end)

    it("has a name that does not exist", function()
      local checks = finds("dns", "failed", "resolve", "/etc/resolv.conf", { "--api-url", "https://acme.invalid" })
      needs(checks, "tcp", "dns")
      needs(checks, "tls", "tcp")
    end)

    it("has a port where nobody listens", function()
      local free = server.start(function() end)
      free:stop()
      loop.flush()
      needs(finds("tcp", "failed", "connect", "firewalls", { "--api-url", free.url }), "platform", "tcp")
    end)

    it("leads to a server that is no platform", function()
      local web = stand_in(function() return 200, "<html>hello</html>" end)
      needs(finds("platform", "failed", "HTTP 200: hello", "%-%-api%-url", { "--api-url", web }), "tenant", "platform")
    end)

    it("redirects", function()
      local web = stand_in(function() return 301, "", { Location = "https://new.example.com/health" } end)
      finds("platform", "failed", "redirects to https://new", "^%-%-api%-url https://new.example.com$", { "--api-url", web })
    end)

    it("is https's without its s", function()
      finds("platform", "failed", "no answer", "https://", { "--api-url", (secure "good":gsub("https", "http")) })
    end)

    it("leads to a platform that is down", function()
      platform:fault({ kind = "status", status = 503, body = { error = "not now" } }, { path = "/health" }, { times = -1 })
      finds("platform", "failed", "HTTP 503: not now", "wait")
    end)
  end)

  describe("finds a certificate that", function()
    it("is not trusted", function()
      local checks = finds("tls", "failed", "certificate", "%-%-ca%-file.*authority", { "--api-url", secure "good" })
      needs(checks, "platform", "tls")
    end)

    it("has expired", function()
      finds("tls", "failed", "expired", "renew the certificate, which expired on %d%d%d%d%-%d%d%-%d%d;",
        { "--api-url", secure "expired", table.unpack(trusting()) })
    end)

    it("is of another host", function()
      finds("tls", "failed", "match", "in the certificate: .*elsewhere.example",
        { "--api-url", secure "other", table.unpack(trusting()) })
    end)

    it("expires soon", function()
      local _, checks = doctor { "--api-url", secure "soon", table.unpack(trusting()) }
      assert.equal("warning", checks.tls.result, checks.tls.text)
      assert(checks.tls.text:find "valid for [45] days" and checks.tls.fix:find "renew")
    end)

    it("is fine, and for how long", function()
      local _, checks = doctor { "--api-url", secure "good", table.unpack(trusting()) }
      assert.equal("ok", checks.tls.result, checks.tls.text)
      assert(checks.tls.text:find "localhost.* signed by .*authority.* valid for 89 days", checks.tls.text)
    end)

    it("is of a server that speaks no TLS", function()
      finds("tls", "failed", "[TS][LS][SL]", "http://", { "--api-url", (platform.url:gsub("http", "https")) })
    end)

    it("cannot be checked, as --ca-file cannot be read", function()
      finds("tls", "failed", "certificate", "%-%-ca%-file", { "--api-url", secure "good", "--ca-file", directory .. "/none" })
    end)
  end)

  describe("finds a proxy that", function()
    local env = function(port) return { http_proxy = ("http://me:word@127.0.0.1:%d"):format(port) } end
    local words = { "--api-url", "http://acme.invalid", "--insecure-http" }

    it("does not listen", function()
      local free = server.start(function() end)
      free:stop()
      loop.flush()
      local checks = finds("proxy", "failed", "^http://127.0.0.1:%d+ of http_proxy: ", "unset http_proxy", words, env(free.port))
      needs(checks, "dns", "proxy")
    end)

    it("wants a password", function()
      local web = server.start(function(_, reply) reply(407, "no") end)
      finds("proxy", "failed", "password %(407%)", "password into http_proxy", words, env(web.port))
    end)

    it("is used, and works", function()
      local web = server.start(function(_, reply) reply(200, '{"status":"ok"}') end)
      local _, checks = doctor(words, env(web.port))
      assert.equal("ok", checks.proxy.result)
      assert(checks.proxy.text:find "^through http://127.0.0.1:%d+/? %(http_proxy%)$", checks.proxy.text)
      assert.equal("ok", checks.platform.result)
      assert.equal("the proxy connects", checks.tcp.text)
    end)
  end)

  it("finds a clock that is wrong", function()
    local web = stand_in(function(request)
      local date = os.date("!%a, %d %b %Y %H:%M:%S GMT", os.time() - 300)
      return 200, request.path == "/health" and '{"status":"ok"}' or "[]", { Date = date }
    end)
    local _, checks = doctor { "--api-url", web }
    assert.equal("warning", checks.clock.result)
    assert(checks.clock.text:find "^this machine is [23]%d%d s ahead of", checks.clock.text)
    assert(checks.clock.fix:find "timedatectl")
  end)

  describe("finds that the token", function()
    it("is missing", function()
      needs(finds("token", "failed", "no token", "%-%-bootstrap", {}, { MOLECULE_WORKSPACE_TOKEN = false }), "inbox", "token")
    end)

    it("is in a file that is not there", function()
      finds("token", "failed", "No such file", "into that file", { "--token-file", directory .. "/none" })
    end)

    it("is in a file with several words", function()
      local path = host.write(directory .. "/token", "Bearer " .. workspace.token)
      assert(os.execute("chmod 600 " .. path))
      finds("token", "failed", "several words", "alone", { "--token-file", path })
    end)

    it("was revoked", function()
      platform:order("revoke", { workspace = workspace.id, token = workspace.token, replace = true })
      finds("token", "failed", "revoked", "issue a new token")
    end)

    it("is another workspace's", function()
      local other = host.workspace(platform)
      assert(os.execute("mkdir -m 700 " .. state))
      host.write(("%s/%s.token"):format(state, other.id), other.token)
      host.write(("%s/%s.json"):format(state, other.id), "{}")
      finds("token", "failed", "token of the workspace " .. other.id:gsub("%-", "%%-"), "its own", {},
        { MOLECULE_WORKSPACE_TOKEN = other.token })
    end)

    it("is in the file of the service's credentials", function()
      assert(os.execute("chmod 600 " .. host.write(directory .. "/token", workspace.token)))
      local code, checks = doctor({}, { MOLECULE_WORKSPACE_TOKEN = false, CREDENTIALS_DIRECTORY = directory })
      assert.equal(0, code, checks.token.text)
    end)
  end)

  describe("finds that the platform", function()
    it("does not know the workspace", function()
      workspace = { id = emulator.uuid(), token = workspace.token }
      local _, checks = doctor()
      assert.equal("failed", checks.workspace.result)
      assert(checks.workspace.text:find "has no workspace" and checks.workspace.fix:find "check the id")
    end)

    it("has removed the workspace", function()
      platform:order("remove", { workspace = workspace.id })
      local _, checks = doctor()
      assert.equal("failed", checks.workspace.result)
      assert(checks.workspace.text:find "was removed" and checks.workspace.fix:find "another workspace")
    end)

    for profile, answer in pairs { t1 = { status = 404, body = "" }, latest = { status = 400, body = { error =
      "missing tenant routing header", code = "TENANT_ORG_HEADER_REQUIRED" } } } do
      it(("is guarded against us (%s)"):format(profile), function()
        platform:order("config", { org_id = "acme" })
        assert.equal(0, (doctor()))
        answer.kind = "status"
        platform:fault(answer, { path = "/workspaces/" }, { times = -1 })
        needs(finds("tenant", "failed", "guard", "now " .. platform.url:gsub("%p", "%%%0")), "token", "tenant")
        finds("tenant", "failed", "guard", "leave out %-%-org%-id", { "--org-id", "other" })
      end)
    end

    it("pushes the workspace's messages", function()
      workspace = host.workspace(platform, { delivery_mode = "push", url = "https://agent.example.com/x" })
      finds("delivery", "warning", "pushed to https://agent.example.com/x", "molecule connect")
    end)

    it("has little left of the rate limit, and nothing", function()
      platform:order("config", { rate_limit = 12 })
      local _, checks = doctor()
      for _ = 1, 4 do
        if checks.rate.result ~= "ok" then break end
        _, checks = doctor()
      end
      assert.not_equal("ok", checks.rate.result)
      platform:order("config", { rate_limit = 600 })
      platform:fault({ kind = "status", status = 429, body = { error = "rate limit exceeded" }, headers = {
        ["Retry-After"] = "17" } }, { path = "/state" }, { times = -1 })
      needs(finds("rate", "failed", "used up", "wait %d+ s"), "token", "rate")
    end)

    it("has no event stream", function()
      platform:fault({ kind = "status", status = 404 }, { path = "/events/stream" }, { times = -1 })
      finds("stream", "warning", "HTTP 404", "polled")
    end)

    it("does not tell the peers", function()
      platform:fault({ kind = "status", status = 500, body = { error = "oh" } }, { path = "/peers" }, { times = -1 })
      finds("peers", "warning", "HTTP 500: oh", "molecule.peers")
    end)

    it("cannot read the inbox", function()
      platform:fault({ kind = "status", status = 500, body = { error = "query failed" } }, { path = "/activity" }, { times = -1 })
      finds("inbox", "failed", "HTTP 500: query failed", "platform's log")
    end)
  end)

  describe("finds that the state", function()
    local function make() assert(os.execute(("mkdir -m 700 '%s'"):format(state))) end

    it("directory is a file", function()
      host.write(state, "")
      needs(finds("state", "failed", "not a directory", "%-%-state%-dir"), "ledger", "state")
    end)

    it("directory is open to others", function()
      assert(os.execute(("mkdir -m 755 '%s'"):format(state)))
      finds("state", "warning", "mode 755", "chmod 700")
      assert.equal("755", host.mode(state))
    end)

    it("directory's file system has no locks", function()
      make()
      finds("files", "failed", "locked", "local file system", {}, { LD_PRELOAD = preload.build("tests/support/oddfs.c",
        directory), ODDFS = "flock,locks", ODDFS_DIRECTORY = state })
      assert.same({}, host.list(state))
    end)

    it("directory's file system cannot sync", function()
      make()
      finds("files", "failed", "fsync", "local file system", {}, { LD_PRELOAD = preload.build("tests/support/oddfs.c",
        directory), ODDFS = "sync", ODDFS_DIRECTORY = state })
    end)

    it("directory's file system has no shared memory maps", function()
      make()
      if select(2, doctor()).files.text:find "in memory" then return pending "temporary files are in memory here" end
      finds("files", "warning", "rollback journal", "nothing has to be done", {}, { LD_PRELOAD = preload.build(
        "tests/support/oddfs.c", directory), ODDFS = "maps", ODDFS_DIRECTORY = state })
    end)

    it("directory is in memory, and its disk nearly full", function()
      if not namespace.allowed() then return pending(namespace.PENDING) end
      make()
      local under = namespace.after(("mount -t tmpfs -o size=1m,mode=700 tmpfs '%s'"):format(state))
      finds("disk", "failed", "^[01]%.%d MiB free", "make room", {}, {}, under)
    end)

    it("directory's disk is full", function()
      if not namespace.allowed() then return pending(namespace.PENDING) end
      make()
      local fill = "mount -t tmpfs -o size=64k,mode=700 tmpfs '%s' && { head -c 64k /dev/zero >'%s/full'; true; }"
      local under = namespace.after(fill:format(state, state))
      local code, checks = doctor({}, {}, under)
      assert.equal(1, code)
      assert.equal("failed", checks.files.result)
      assert(checks.files.text:find "No space left" and checks.files.fix:find "make room", checks.files.text)
      assert.equal("failed", checks.disk.result)
    end)

    it("is held by a process that does not answer", function()
      make()
      local lock = ("%s/%s.lock"):format(state, workspace.id)
      local holder = process.spawn { command = { "flock", lock, "sh", "-c", "echo $$ >" .. lock .. "; echo held; sleep 600" },
        keep_stdin = true }
      holder:wait_line "held"
      finds("lock", "warning", "process %d+ holds the lock and does not answer", "kill %d+")
    end)

    it("has a damaged ledger", function()
      local one = host.connect { platform = platform, workspace = workspace, script = host.ECHO, state_dir = state }
      platform:message { to = workspace.id, text = "hello" }
      assert.same({ "echo: hello" }, one:canvas(1))
      one:stop()
      local path = ("%s/%s.db"):format(state, workspace.id)
      local bytes = assert(host.read(path))
      host.write(path, bytes:sub(1, 4096) .. ("x"):rep(#bytes - 4096))
      finds("ledger", "failed", path:gsub("%p", "%%%0"), "molecule restore")
      assert.equal(#bytes, #host.read(path))
    end)

    it("is of another platform", function()
      local one = host.connect { platform = platform, workspace = workspace, script = host.ECHO, state_dir = state }
      platform:message { to = workspace.id, text = "hello" }
      assert.same({ "echo: hello" }, one:canvas(1))
      one:stop()
      finds("ledger", "failed", "belongs to the platform", "another %-%-state%-dir",
        { "--api-url", (platform.url:gsub("127.0.0.1", "localhost")) })
    end)

    it("has a damaged cursor", function()
      make()
      host.write(("%s/%s.json"):format(state, workspace.id), "{\"last")
      finds("cursor", "failed", "is damaged", "%-%-reset%-state")
    end)
  end)

  it("finds that too few files may be opened", function()
    finds("descriptors", "failed", "60 open files", "ulimit %-n 72", {}, {}, { "prlimit", "--nofile=60" })
    finds("descriptors", "warning", "70 open files", "LimitNOFILE=72", {}, {}, { "prlimit", "--nofile=70" })
  end)

  it("finds a script that does not load, with the place, or is not there", function()
    local path = host.write(directory .. "/agent.lua", "return function(msg)\n  return msg.txt ..\nend")
    finds("script", "failed", path:gsub("%p", "%%%0") .. ":%d: ", "molecule check", { "--script", path })
    finds("script", "failed", "No such file", "%-%-script", { "--script", directory .. "/none.lua" })
  end)

  describe("finds a unit that", function()
    local function systemctl(lines)
      local folder = host.directory()
      host.write(folder .. "/systemctl", ([[#!/bin/sh
case "$*" in "show "*" molecule@%s.service") printf '%s' ;; *) exit 9 ;; esac]]):format(workspace.id, lines))
      assert(os.execute("chmod +x " .. folder .. "/systemctl"))
      return { PATH = folder .. ":" .. os.getenv "PATH" }
    end

    it("has failed", function()
      finds("unit", "failed", "is failed: exit%-code, exit code 77, restarted 3 times", "journalctl %-u molecule@", {}, systemctl(
        "LoadState=loaded\\nActiveState=failed\\nResult=exit-code\\nExecMainStatus=77\\nNRestarts=3\\n"))
    end)

    it("is stopped", function()
      finds("unit", "warning", "is inactive", "systemctl start", {}, systemctl(
        "LoadState=loaded\\nActiveState=inactive\\nResult=success\\nExecMainStatus=0\\nNRestarts=0\\n"))
    end)

    it("is fine, and where there is none", function()
      local _, checks = doctor({}, systemctl "LoadState=loaded\\nActiveState=active\\nNRestarts=0\\n")
      assert.equal("ok", checks.unit.result)
      _, checks = doctor({}, systemctl "LoadState=not-found\\nActiveState=inactive\\n")
      assert.equal("skipped", checks.unit.result)
    end)
  end)
end)
