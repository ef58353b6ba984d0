--- Faults of the way to the platform and of the machine that the host runs on.

local uv = require "luv"
local emulator = require "tests.support.emulator"
local process = require "tests.support.process"
local proxy = require "tests.fault.proxy"
local stage = require "tests.fault.stage"

local kinds = {}

local function add(name, run, more)
  local kind = { name = name, run = run }
  for key, value in pairs(more or {}) do kind[key] = value end
  kinds[#kinds + 1] = kind
end

local function before(t, options)
  t:connect(options)
  t:say()
  assert(t:settle(), "not answered before the fault")
end

local function after(t)
  t:say()
  t:settle()
end

local function pass_time(ms)
  stage.loop.wait(function() return false end, ms) -- the fault is this silence, not a wait for something
end

local function command(...)
  local child = process.spawn { command = { ... } }
  local code = child:wait_exit(60000)
  return code == 0, child
end

-- A preloaded shim (shim.c) and the directory of its orders.
local function shim(t, state)
  local directory = stage.host.directory()
  t.orders = directory
  return { LD_PRELOAD = assert(os.getenv "FAULT_SHIM_SO"), FAULT_SHIM = directory, FAULT_SHIM_STATE = state or false,
    ASAN_OPTIONS = "verify_asan_link_order=0" }
end

local function order(t, name, text)
  if text then stage.write(t.orders .. "/" .. name, text) else os.remove(t.orders .. "/" .. name) end
end

add("network: the platform's name does not resolve", function(t)
  local middle = t:proxy()
  before(t, { api_url = "http://platform.test:" .. middle.port, env = shim(t), args = { "--insecure-http", "-v" } })
  order(t, "no-dns", "")
  middle:close() -- an address that works is kept; this one does not
  t:say()
  t:log("Could not resolve host")
  order(t, "no-dns", nil)
  t:proxy(middle.port)
  t:settle(90000)
  after(t)
end)

add("network: the name does not resolve at the start", function(t)
  local directory = shim(t)
  order(t, "no-dns", "")
  t.host = stage.host.start { platform = t.platform, workspace = t.workspace, api_url = "http://platform.test:1",
    script = "return print", env = directory, args = { "--insecure-http", "--register-attempts", "2" } }
  t:log "giving up after 2 attempts"
  t.host:wait_exit(1)
  t.ended = true
end)

add("network: nobody listens at the start", function(t)
  local witness = proxy.witness()
  local port = witness.port
  witness:close()
  t.host = stage.host.start { platform = t.platform, workspace = t.workspace, script = "return print",
    api_url = "http://127.0.0.1:" .. port, args = { "--register-attempts", "2" } }
  t:log "giving up after 2 attempts"
  t.host:wait_exit(1)
  t.ended = true
end)

-- Certificates: an authority, and what it signed for the name and the days.
local function certificates()
  local directory = stage.host.directory()
  local script = [[set -e; cd "$1"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=authority \
      -keyout ca.key -out ca.crt
    : >index.txt; echo 01 >serial
    printf '[ca]\ndefault_ca=c\n[c]\ndatabase=index.txt\nserial=serial\nnew_certs_dir=.\n' >ca.conf
    printf 'default_md=sha256\npolicy=p\n' >>ca.conf
    printf '[p]\ncommonName=supplied\n' >>ca.conf
    sign() { # name, subjectAltName, start, end
      printf 'subjectAltName=%s\n' "$2" >"$1.ext"
      openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" -keyout "$1.key" -out "$1.csr"
      openssl ca -batch -config ca.conf -cert ca.crt -keyfile ca.key -startdate "$3" -enddate "$4" -extfile "$1.ext" \
        -in "$1.csr" -out "$1.crt" -notext
    }
    sign good IP:127.0.0.1 20200101000000Z 20491231000000Z
    sign expired IP:127.0.0.1 20200101000000Z 20210101000000Z
    sign elsewhere DNS:other.example.com 20200101000000Z 20491231000000Z
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=self \
      -addext subjectAltName=IP:127.0.0.1 -keyout self.key -out self.crt]]
  local fine, child = command("bash", "-c", script, "bash", directory)
  if not fine then error(child:report()) end
  return directory
end

local function serve_tls(directory, name)
  local witness = proxy.witness()
  local port = witness.port
  witness:close()
  local server = process.spawn { keep_stdin = true, command = { "openssl", "s_server", "-accept", "127.0.0.1:" .. port,
    "-cert", ("%s/%s.crt"):format(directory, name), "-key", ("%s/%s.key"):format(directory, name), "-naccept", "20" } }
  server:wait_line "^ACCEPT"
  return server, "https://127.0.0.1:" .. port
end

local function refused_certificate(name, certificate, authority, log)
  add("TLS: " .. name, function(t)
    local directory = certificates()
    local server, url = serve_tls(directory, certificate)
    t.host = stage.host.start { platform = t.platform, workspace = t.workspace, script = "return print", api_url = url,
      args = { "--register-attempts", "2", "--ca-file", ("%s/%s.crt"):format(directory, authority) } }
    t:log(log)
    t.host:wait_exit(1)
    t.ended = true
    server:kill()
    assert(not server.stdout:find "/registry/register", "the request was sent over a connection that is not safe")
  end)
end

refused_certificate("an expired certificate", "expired", "ca", "certificate has expired.*giving up after 2 attempts")
refused_certificate("a certificate for another host", "elsewhere", "ca", "giving up after 2 attempts")
refused_certificate("a certificate that nobody signed", "self", "ca", "self.signed certificate.*giving up after 2 attempts")

add("TLS: a private authority, with --ca-file", function(t)
  local directory = certificates()
  local server, url = serve_tls(directory, "good")
  t.host = stage.host.start { platform = t.platform, workspace = t.workspace, script = "return print", api_url = url,
    args = { "--ca-file", directory .. "/ca.crt" } }
  server:wait_line "^POST /registry/register"
  local body = '{"status":"registered"}'
  server:write(("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"):format(#body, body))
  t:log "registered as"
  t.host:stop()
  t.ended = true
  server:kill()
end)

add("network: half-open for 12 s (platform frozen)", function(t)
  before(t)
  t.platform.process:signal "sigstop"
  t:say_later()
  t:log("heartbeat: .*; retrying", 30000)
  t.platform.process:signal "sigcont"
  t.host:log("heartbeat: recovered", { timeout_ms = 60000 })
  t:settle()
  after(t)
end, { slow = true })

add("network: platform frozen for 35 s while a peer's reply is on its way", function(t)
  before(t)
  t.platform:fault({ kind = "delay", ms = 300 }, { path = "/a2a" })
  t:mark()
  t:say "peer"
  t:arrived "/a2a"
  t.platform.process:signal "sigstop"
  pass_time(35000)
  t.platform.process:signal "sigcont"
  t:log("heartbeat: .*; retrying", 30000)
  t:settle()
  after(t)
end, { slow = true })

add("network: the connection is closed after each answer", function(t)
  local middle = t:proxy()
  local requests = 0
  middle.rule = function()
    requests = requests + 1
    return { pass = true, cut = 1 << 30 }
  end
  before(t, { api_url = middle.url })
  for _ = 1, 5 do
    t:say()
    for client in pairs(middle.clients) do
      if not client.socket:is_closing() then client.socket:shutdown() end
    end
  end
  t:settle()
  after(t)
end)

add("clock: set a day ahead, two days back, and right again", function(t)
  before(t, { env = shim(t) })
  for _, seconds in ipairs { "86400", "-172800", "31536000", "0" } do
    order(t, "clock", seconds)
    t:say()
    t:settle()
    t:mark()
    t.platform:wait { path = "/registry/heartbeat", count = 3, since = t.since }
  end
  after(t)
end)

add("clock: the host starts in 1970", function(t)
  local env = shim(t)
  order(t, "clock", tostring(-os.time() + 3600))
  before(t, { env = env })
  order(t, "clock", nil)
  after(t)
end)

-- A small file system for the state, full until `free` is called.
add("disk: full, and room again later", function(t)
  local directory = stage.host.directory()
  local state = directory .. "/state"
  assert(uv.fs_mkdir(state, 448))
  if not command("mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs", state) then
    return "skipped: mounting is not allowed here"
  end
  local fine, problem = pcall(function()
    before(t, { state_dir = state })
    local filler = assert(io.open(state .. "/filler", "w"))
    filler:setvbuf "no"
    while filler:write(("x"):rep(4096)) do end
    filler:close()
    t:say()
    t:say()
    t:log("disk", 20000)
    os.remove(state .. "/filler")
    t:settle(90000)
    after(t)
    t.host:stop()
    t.ended = true
  end)
  command("umount", "-l", state)
  assert(fine, problem)
end, { slow = true })

add("disk: the state is read-only for a while", function(t)
  local state = stage.host.directory() .. "/state"
  before(t, { state_dir = state, env = shim(t, state) })
  order(t, "read-only", "")
  t:say()
  t:log("disk I/O error", 20000)
  order(t, "read-only", nil)
  t:settle(90000)
  after(t)
end, { slow = true })

local function limit_descriptors(pid, soft)
  assert(command("prlimit", "--pid", tostring(pid), ("--nofile=%d:"):format(soft)), "prlimit failed")
end

add("machine: no descriptor is left", function(t)
  before(t)
  local pid = t.host.process.pid
  local _, highest = stage.descriptors(pid)
  limit_descriptors(pid, highest + 1)
  for _, path in ipairs { "/activity", "/registry/heartbeat", "/notify", "/a2a" } do
    t.platform:fault({ kind = "reset" }, { path = path }) -- connections must be made anew
  end
  t:say()
  t:log "poll: .*; retrying"
  pass_time(3000)
  limit_descriptors(pid, 1024)
  t:settle(90000)
  after(t)
end, { slow = true })

add("machine: started with 40 descriptors", function(t)
  local binary = emulator.binary()
  local wrapper = stage.write(stage.host.directory() .. "/molecule", ('#!/bin/sh\nulimit -n 40\nexec "%s" "$@"\n')
    :format(binary))
  assert(uv.fs_chmod(wrapper, 448))
  local real = emulator.binary
  emulator.binary = function() return wrapper end
  t:connect()
  emulator.binary = real
  for _ = 1, 10 do t:say() end
  t:settle()
  after(t)
end)

-- Whoever may open the control socket can write anything to it.
add("machine: garbage on the control socket", function(t)
  before(t)
  local path = ("%s/%s.sock"):format(t.host.state_dir, t.workspace.id)
  local pieces = { "", "\n", "{}\n", "nonsense\n", "[[[[\n", '{"do":5}\n', '{"do":"status"}', '{"do":"status"}\n',
    '{"do":"dead retry","row_id":"x"}\n', '{"do":"dead drop","row_id":{}}\n', "\0\0\n", ("x"):rep(200000),
    ("["):rep(50000) .. "\n" }
  local open, answers = {}, 0
  for i = 1, 60 do
    local pipe = uv.new_pipe(false)
    open[i] = pipe
    pipe:connect(path, function(err)
      if err then return end
      pipe:read_start(function(_, bytes) if bytes then answers = answers + 1 end end)
      pipe:write(pieces[i % #pieces + 1], function()
        if i % 3 == 0 and not pipe:is_closing() then pipe:close() end
      end)
    end)
  end
  t:say()
  t:settle()
  assert(stage.loop.wait(function() return answers >= 5 end, 10000), "nobody answered on the control socket")
  for _, pipe in ipairs(open) do
    if not pipe:is_closing() then pipe:close() end
  end
  after(t)
end)

local function frozen(name, ms)
  add(name, function(t)
    before(t)
    for _, path in ipairs { "/a2a", "/notify", "/activity", "/registry/heartbeat" } do
      t.platform:fault({ kind = "delay", ms = 300 }, { path = path })
    end
    t:mark()
    t:say()
    t:arrived "/a2a"
    t.host.process:signal "sigstop"
    t:say()
    pass_time(ms)
    t.host.process:signal "sigcont"
    t:settle()
    after(t)
  end, { slow = true })
end

frozen("machine: the host is frozen for 12 s", 12000)
frozen("machine: the host is frozen for 40 s", 40000)

return kinds
