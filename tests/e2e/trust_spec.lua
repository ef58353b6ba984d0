--- Which certificates are trusted, by the platform's client and by what scripts fetch; and what goes through a proxy.
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local loop = require "tests.support.loop"
local process = require "tests.support.process"
local server = require "tests.support.server"

local FETCH = [[
  local molecule = require "molecule"
  return function(msg)
    local answer, problem, code = molecule.http.get(msg.text)
    return answer and "status " .. answer.status or code
  end]]

local function run(command)
  local pipe = assert(io.popen("{ " .. command .. "\n} 2>&1"))
  local output = pipe:read "a"
  assert(pipe:close(), output)
end

describe("an authority of one's own", function()
  local platform, workspace, directory, tls, url

  -- An authority good.pem and what it signed for loopback; other.pem, which signed nothing; and hashed/, good.pem's directory.
  setup(function()
    platform = emulator.start { args = { "--rate-limit", "-1" } }
    directory = host.directory()
    run(([[set -e; cd '%s'; new="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
      openssl req -x509 $new -days 2 -subj /CN=good -keyout good.key -out good.pem
      openssl req -x509 $new -days 2 -subj /CN=other -keyout other.key -out other.pem
      openssl req $new -subj /CN=localhost -keyout server.key -out server.csr
      printf 'subjectAltName=IP:127.0.0.1,DNS:localhost' >server.ext
      openssl x509 -req -days 2 -in server.csr -CA good.pem -CAkey good.key -CAcreateserial -extfile server.ext -out server.pem
      mkdir hashed && cp good.pem hashed && openssl rehash hashed]]):format(directory))
  end)

  teardown(function()
    platform:stop()
    host.clean_up()
  end)

  -- A TLS server: with -www it answers every GET, without it shows what it is sent.
  local function serve(...)
    local free = server.start(function() end)
    local port = free.port
    free:stop()
    loop.flush()
    tls = process.spawn { keep_stdin = true, command = { "openssl", "s_server", "-accept", "127.0.0.1:" .. port, "-cert",
      directory .. "/server.pem", "-key", directory .. "/server.key", ... } }
    tls:wait_line "^ACCEPT"
    url = "https://127.0.0.1:" .. port
  end

  before_each(function() workspace = host.workspace(platform) end)

  after_each(function()
    tls:kill()
    server.stop_all()
  end)

  local none = { CURL_CA_BUNDLE = false, SSL_CERT_FILE = false, SSL_CERT_DIR = false }

  local function options(given)
    local env, args = {}, { "-v", "--register-attempts", "1" }
    for name, value in pairs(none) do env[name] = value end
    for name, value in pairs(given) do
      if name == "--ca-file" then
        args[#args + 1] = name
        args[#args + 1] = directory .. "/" .. value
      else
        env[name] = value:find "^/" and value or directory .. "/" .. value
      end
    end
    return { platform = platform, workspace = workspace, script = FETCH, args = args, env = env }
  end

  -- what is given; whether the platform's client trusts the server; whether scripts do
  for _, case in ipairs {
    { "nothing", {}, false, false },
    { "--ca-file", { ["--ca-file"] = "good.pem" }, true, true },
    { "CURL_CA_BUNDLE", { CURL_CA_BUNDLE = "good.pem" }, true, true },
    { "SSL_CERT_FILE", { SSL_CERT_FILE = "good.pem" }, true, true },
    { "SSL_CERT_DIR", { SSL_CERT_DIR = "hashed" }, true, true },
    { "another --ca-file beats CURL_CA_BUNDLE and SSL_CERT_FILE, which", { ["--ca-file"] = "other.pem",
      CURL_CA_BUNDLE = "good.pem", SSL_CERT_FILE = "good.pem" }, false, false },
    { "another CURL_CA_BUNDLE beats SSL_CERT_FILE, which", { CURL_CA_BUNDLE = "other.pem", SSL_CERT_FILE = "good.pem" }, false,
      false },
    { "SSL_CERT_FILE beside a CURL_CA_BUNDLE that is the system's", { SSL_CERT_FILE = "good.pem",
      CURL_CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt" }, true, true },
    { "another --ca-file beside SSL_CERT_DIR", { ["--ca-file"] = "other.pem", SSL_CERT_DIR = "hashed" }, false, true },
  } do
    local name, given, for_platform, for_scripts = table.unpack(case)

    it(("given by %s is %s for what scripts fetch"):format(name, for_scripts and "trusted" or "not trusted"), function()
      serve "-www"
      local one = host.connect(options(given))
      platform:message { to = workspace.id, text = url .. "/" }
      assert.same({ for_scripts and "status 200" or "TLS" }, one:canvas(1))
      one:stop()
    end)

    it(("given by %s is %s for the platform"):format(name, for_platform and "trusted" or "not trusted"), function()
      serve()
      local all = options(given)
      all.api_url = url
      local one = host.start(all)
      if for_platform then
        tls:wait_line "POST /registry/register"
        one:kill()
      else
        one:wait_exit(1)
        one:log "certificate"
      end
    end)
  end
end)

describe("a proxy of the environment", function()
  local platform, workspace, proxy

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)

  teardown(function() platform:stop() end)

  before_each(function()
    workspace = host.workspace(platform)
    proxy = server.start(function(request, reply) reply(203, request.path) end)
  end)

  after_each(function()
    host.clean_up()
    server.stop_all()
    loop.flush()
  end)

  local function env(more)
    local all = { http_proxy = proxy.url, HTTP_PROXY = proxy.url, https_proxy = proxy.url, ALL_PROXY = proxy.url,
      no_proxy = false, NO_PROXY = false }
    for name, value in pairs(more or {}) do all[name] = value end
    return all
  end

  for name, more in pairs { ["no NO_PROXY"] = {}, ["a NO_PROXY of others"] = { no_proxy = "example.com,10.0.0.0/8" },
    ["an empty NO_PROXY"] = { NO_PROXY = "" } } do
    it(("hears nothing of a platform on this machine, with %s"):format(name), function()
      for _, address in ipairs { "127.0.0.1", "localhost" } do
        local one = host.connect { platform = platform, workspace = workspace, script = host.ECHO, env = env(more),
          api_url = ("http://%s:%d"):format(address, platform.port) }
        platform:message { to = workspace.id, text = "hello" }
        one:wait { path = workspace.id .. "/notify", status = 200, count = 1 }
        one:stop()
      end
      assert.equal(0, proxy.connections)
    end)
  end

  it("hears of what scripts ask of others, not of this machine", function()
    local web = server.start(function(_, reply) reply(200, "direct") end)
    local one = host.connect { platform = platform, workspace = workspace, script = FETCH, env = env() }
    for i, asked in ipairs { "http://elsewhere.test/", web.url, ("http://localhost:%d/"):format(web.port),
      ("http://127.1.2.3:%d/"):format(web.port) } do
      platform:message { to = workspace.id, text = asked }
      one:canvas(i)
    end
    local told = one:told_canvas()
    one:stop()
    assert.same({ "status 203", "status 200", "status 200" }, { told[1], told[2], told[3] })
    assert.equal(1, #proxy.requests)
  end)

  it("is not led to by a redirect to this machine", function()
    local web = server.start(function(_, reply) reply(200, "direct") end)
    local one = host.connect { platform = platform, workspace = workspace, script = FETCH, env = env() }
    proxy.handler = function(_, reply) reply(302, "", { Location = web.url }) end
    platform:message { to = workspace.id, text = "http://elsewhere.test/" }
    assert.same({ "status 200" }, one:canvas(1))
    one:stop()
    assert.equal(1, #proxy.requests)
    assert.equal(1, #web.requests)
  end)

  it("is given no token in clear: plain http to another machine is refused, https is tunneled without it", function()
    local refused = host.run({ platform = platform, workspace = workspace, script = host.ECHO, env = env(),
      api_url = "http://elsewhere.test" }, 2)
    assert.equal(0, proxy.connections)
    assert.is_truthy(refused.process.stderr:find("--insecure-http", 1, true))
    local one = host.run({ platform = platform, workspace = workspace, script = host.ECHO, env = env(),
      api_url = "https://elsewhere.test", args = { "--register-attempts", "1" } }, 1)
    assert.is_true(proxy.connections > 0, one.process:report())
    for _, request in ipairs(proxy.requests) do
      assert.is_nil(request.headers.authorization)
    end
  end)
end)
