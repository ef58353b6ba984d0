--- --sandbox and --allow-host: what a script is left with, and every way out that we know of.
local uv = require "luv"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local server = require "tests.support.server"

-- Runs the text of a message as Lua code; the reply is what it returns, or "error: ...".
local RUNNER = [[
local molecule = require "molecule"
shared = {}
return function(msg, ctx)
  local code, problem = load(msg.text, "=message", "t", setmetatable({ctx = ctx, molecule = molecule}, {__index = _G}))
  if not code then return "does not load: " .. problem end
  local results = table.pack(pcall(code))
  if not results[1] then return "error: " .. tostring(results[2]) end
  for i = 1, results.n do results[i] = tostring(results[i]) end
  return results.n == 1 and "nothing" or table.concat(results, " | ", 2, results.n)
end]]

describe("a script in the sandbox", function()
  local platform, workspace, one

  local function start(args, options)
    local all = { platform = platform, workspace = workspace, script = RUNNER, args = { "--sandbox" } }
    for _, word in ipairs(args or {}) do all.args[#all.args + 1] = word end
    for name, value in pairs(options or {}) do all[name] = value end
    one = host.connect(all)
  end

  local function ask(code)
    local row = platform:message { to = workspace.id, text = code }[1]
    one:log_of(row, "replied")
    local told = one:told_canvas()
    return told[#told]
  end

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)
  before_each(function() workspace = host.workspace(platform) end)
  after_each(function()
    server.stop_all()
    host.clean_up()
  end)
  teardown(function() platform:stop() end)

  it("answers, computes, logs, tells the time and finds its own modules", function()
    local directory = host.directory()
    host.write(directory .. "/agent.lua", RUNNER)
    host.write(directory .. "/helper.lua", "return {greet = function(name) return 'hello ' .. name end}")
    assert(uv.fs_mkdir(directory .. "/deep", 448))
    host.write(directory .. "/deep/er.lua", "return 'deeper'")
    start({ "--script-opt", "color=blue" }, { script = false, script_path = directory .. "/agent.lua" })
    assert.equal("hello you", ask "return require('helper').greet 'you'")
    assert.equal("deeper", ask "return (require 'deep.er')")
    assert.equal("true | true | 4", ask "return os.time() > 0, os.clock() >= 0, #os.date('%Y')")
    assert.equal("blue", ask "return ctx.options.color")
    assert.equal("7 | 3", ask "return load('return 3 + 4')(), #{1, 2, 3}")
    assert.equal("1", ask "return require('cjson').decode('{\"a\":1}').a // 1 | 0")
    assert.equal("true", ask "print 'printed' molecule.log('logged') molecule.sleep(0.01) return #molecule.uuid() == 36")
    assert.truthy(ask("return debug.traceback 'here'"):find "^here\nstack traceback:")
    one:stop()
  end)

  it("sees no file, program, environment, bytecode or C code, whatever it tries", function()
    local directory = host.directory()
    local secret = host.write(directory .. "/secret", "TOKEN = 'swordfish'\n")
    local canary = directory .. "/canary"
    -- a C module that would load but for the sandbox
    local c_modules = "/usr/lib/x86_64-linux-gnu/lua/5.4/?.so"
    start({ "--script-opt", "secret=" .. secret, "--script-opt", "canary=" .. canary },
      { env = { LUA_CPATH = c_modules, SECRET = "swordfish" } })
    local gone = "^error: .*attempt to call a nil value"
    local refused = "^error: .*not in the sandbox %(%-%-sandbox%)"
    local ways = {
      -- files
      { "io.open(ctx.options.secret):read 'a'", refused },
      { "for line in io.lines(ctx.options.secret) do return line end", refused },
      { "io.popen 'cat /etc/passwd'", refused }, { "io.output(ctx.options.canary)", refused },
      { "io.write 'x'", refused }, { "return io.stdout, io.stderr, io.stdin", "^nil | nil | nil$" },
      { "for name, value in pairs(io) do if pcall(value, ctx.options.secret) then return name end end", "^nothing$" },
      { "return require('io') == io, package.loaded.io == io", "^true | true$" },
      { "dofile(ctx.options.secret) return TOKEN", refused }, { "loadfile(ctx.options.secret)", refused },
      { "os.remove(ctx.options.secret)", refused }, { "os.rename(ctx.options.secret, ctx.options.canary)", refused },
      { "os.tmpname()", refused },
      -- programs, process, environment
      { "os.execute('touch ' .. ctx.options.canary)", refused },
      { "molecule.exec {cmd = 'touch ' .. ctx.options.canary}", refused },
      { "require('molecule.core').exec {cmd = 'touch ' .. ctx.options.canary}", refused },
      { "require('molecule.core').child {cmd = 'touch ' .. ctx.options.canary}", refused },
      { "require('molecule.command').run('x', {cmd = 'touch ' .. ctx.options.canary})", refused },
      { "package.loaded['molecule.core'] = nil; require('molecule.core').exec {cmd = 'touch ' .. ctx.options.canary}", refused },
      { "package.preload['molecule.core']().exec {cmd = 'touch ' .. ctx.options.canary}", refused },
      { "os.exit(0)", refused }, { "os.setlocale 'C'", refused },
      { "os.getenv 'SECRET'", refused }, { "molecule.env 'SECRET'", refused },
      { "local kept = {} for name in pairs(os) do if pcall(os[name]) then kept[#kept + 1] = name end end "
        .. "table.sort(kept) return table.concat(kept, ' ')", "^clock date time$" },
      -- modules
      { "package.loadlib('/usr/lib/x86_64-linux-gnu/lua/5.4/lfs.so', '*')", refused },
      { "return package.cpath, #package.searchers", "^nil | 3$" },
      { "package.cpath = '" .. c_modules .. "' return require 'lfs'", "^error: .*module 'lfs' not found" },
      { "require 'lsqlite3'", "^error: .*module 'lsqlite3' not found" },
      { "require 'socket'", "^error: .*module 'socket.core' not found" },
      { "require 'lpeg'", "^error: .*module 'lpeg' not found" },
      { "package.path = ctx.options.secret require 'anything'", "^error: .*module 'anything' not found" },
      { "require('x;' .. ctx.options.secret .. ';')", "^error: .*names of modules" },
      { "require(ctx.options.secret)", "^error: .*names of modules" },
      { "require('secret\\0')", "^error: .*module 'secret' not found" },
      { "return package.searchpath('x', ctx.options.secret)", "^error: .*package.searchpath takes" },
      { "return package.searchpath('x;' .. ctx.options.secret .. ';', package.path)", "^error: .*package.searchpath takes" },
      { "for i, search in ipairs(package.searchers) do local found = search 'lfs' "
        .. "if type(found) == 'function' then return i end end", "^nothing$" },
      { "for i, search in ipairs(package.searchers) do local found = search 'yaml' "
        .. "if type(found) == 'function' then return i end end", "^nothing$" },
      { "require 'molecule.emulator'", "^error: .*not in the sandbox" },
      { "require 'molecule.emulator.store'", "^error: .*not in the sandbox" },
      { "require 'molecule/emulator/store'", "^error: .*not in the sandbox" },
      { "require('molecule.backends.exec') {cmd = 'touch ' .. ctx.options.canary}", "^error: backend exec runs programs" },
      { "require('molecule.backends.stdio') {command = 'touch ' .. ctx.options.canary}", "^error: backend stdio runs programs" },
      -- bytecode
      { "return load(string.dump(function() return 'ran' end))", "^nil | .*attempt to load a binary chunk" },
      { "return load(string.dump(function() return 'ran' end), 'x', 'b')", "^nil | .*attempt to load a binary chunk" },
      { "local code = string.dump(function() return 'ran' end) return load(function() local c = code code = nil return c end)",
        "^nil | .*attempt to load a binary chunk" },
      -- debug and metatables
      { "debug.getinfo(1)", refused }, { "debug.getregistry()", gone }, { "debug.sethook()", gone },
      { "debug.getupvalue(require, 1)", refused }, { "debug.getlocal(1, 1)", refused },
      { "debug.setmetatable('', {})", gone }, { "debug.getmetatable(print)", refused },
      { "debug.setupvalue(load, 1, print)", refused }, { "debug.setuservalue(io, 1)", refused },
      { "debug.upvalueid(load, 1)", refused }, { "debug.debug()", gone },
      { "setmetatable({}, {__gc = function() end})", "^error: .*__gc is not available" },
      { "return getmetatable(molecule.http) or 'none'", "^none$" },
      { "local core = require 'molecule.core' local s = core.sse() return getmetatable(s)", "^false$" },
      { "return getmetatable('').__index == string", "^true$" },
      -- other corners
      { "return _G.io == io, _ENV._G.os == os, rawget(_G, 'debug') == debug", "^true | true | true$" },
      { "local co = coroutine.wrap(function() return pcall(os.getenv, 'SECRET') end) return co()",
        "^false | .*not in the sandbox" },
      { "local co = coroutine.create(function() coroutine.yield(pcall(io.open, ctx.options.secret)) end) "
        .. "return select(3, coroutine.resume(co))", "not in the sandbox" },
      { "return collectgarbage('stop'), collectgarbage('restart'), collectgarbage('incremental') ~= nil", "^0 | 0 | true$" },
      { "require('cjson').decode_max_depth(1e9 // 1 | 0)", "^error: .*at most 1000" },
      { "require('cjson').encode_max_depth(1 << 30)", "^error: .*at most 1000" },
      { "local deep = ('['):rep(1e5) return pcall(require('cjson').decode, deep)", "^false | .*too many nested" },
      { "getmetatable('').__index = setmetatable({}, {__index = function(_, name) return string[name] end}) "
        .. "return ('abc'):upper(), pcall(os.getenv, 'SECRET')", "^ABC | false" },
      { "return pcall(tostring, setmetatable({}, {__tostring = function() return io.open(ctx.options.secret):read 'a' end}))",
        "not in the sandbox" },
    }
    for _, way in ipairs(ways) do
      local told = ask(way[1])
      assert(told:find(way[2]), way[1] .. "\n" .. told)
      assert(not told:find("swordfish", 1, true), way[1] .. "\n" .. told)
    end
    assert.is_nil(uv.fs_stat(canary))
    assert.truthy(uv.fs_stat(secret))
    one:stop()
  end)

  it("gains nothing from what the API is made of: no header of its own, no change that cannot be written", function()
    start()
    local told = ask [[return select(2, pcall(require "molecule.core".store_change, "set", "key"))]]
    assert.truthy(told:find("bad argument #3", 1, true), told)
    told = ask [[return select(2, pcall(require "molecule.core".file_upload, "bytes", "edge\r\nX-Other: 1"))]]
    assert.truthy(told:find("a boundary consists of letters", 1, true), told)
  end)

  it("is told at its own line how it misuses the API", function()
    start()
    assert.matches("error: message:2: http: unknown field 'verbose'; known fields: body, .*",
      ask "\nmolecule.http.get('http://x/', {verbose = 1})")
    one:stop()
  end)

  it("does not load with a backend that runs programs", function()
    for name, args in pairs { exec = { "--backend-opt", "cmd=cat" }, ["claude-code"] = {} } do
      one = host.run({ platform = platform, workspace = workspace,
        args = { "--sandbox", "--backend", name, table.unpack(args) } }, 2)
      one:log("backend " .. name:gsub("%-", "%%-") .. " runs programs, which %-%-sandbox forbids")
    end
    one = host.run({ platform = platform, workspace = workspace, args = { "--sandbox", "--backend", "http",
      "--backend-opt", "url=http://127.0.0.1/", "--backend-opt", "token_env=HOME" } }, 2)
    one:log "token_env reads the environment, which %-%-sandbox forbids"
  end)

  it("may be a backend that needs none of that", function()
    start({ "--backend", "mock" }, { script = false })
    assert.equal("echo: hello", ask "hello")
    one:stop()
  end)
end)

describe("http in the sandbox", function()
  local platform, workspace, one, web

  local SCRIPT = [[
local http = require("molecule").http
return function(msg)
  local answer, problem, code = http.get(msg.text, {timeout = 5})
  return answer and "answer " .. answer.status .. " " .. answer.body or code .. " " .. problem
end]]

  local function start(hosts, options)
    local args = { "--sandbox" }
    for _, name in ipairs(hosts) do
      args[#args + 1] = "--allow-host"
      args[#args + 1] = (name:gsub("PORT", tostring(web.port)))
    end
    local all = { platform = platform, workspace = workspace, script = SCRIPT, args = args }
    for name, value in pairs(options or {}) do all[name] = value end
    one = host.connect(all)
  end

  local function ask(url)
    local row = platform:message { to = workspace.id, text = (url:gsub("PORT", tostring(web.port))) }[1]
    one:log_of(row, "replied")
    local told = one:told_canvas()
    return told[#told]
  end

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)
  before_each(function()
    workspace = host.workspace(platform)
    web = server.start(function(request, reply)
      local target = request.path:match "^/to/(.*)"
      if target then
        target = target:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)
        reply(302, "moved", { Location = target:gsub("PORT", tostring(web.port)) })
      else
        reply(200, "reached " .. request.path .. " " .. request.headers.host)
      end
    end)
  end)
  after_each(function()
    server.stop_all()
    host.clean_up()
  end)
  teardown(function() platform:stop() end)

  it("reaches nothing unless a host is allowed, and the error names the option", function()
    start {}
    local told = ask "http://127.0.0.1:PORT/page"
    assert.equal(("FORBIDDEN http://127.0.0.1:%d/page: 127.0.0.1:%d is blocked by the sandbox; "
      .. "--allow-host 127.0.0.1:%d would allow it"):format(web.port, web.port, web.port), told)
    assert.equal(0, web.connections)
    one:stop()
  end)

  it("reaches the host that is allowed, however its address is written", function()
    start { "127.0.0.1:PORT" }
    for _, url in ipairs { "http://127.0.0.1:PORT/a", "HTTP://127.0.0.1:PORT/a", "http://127.1:PORT/a",
      "http://2130706433:PORT/a", "http://0x7f000001:PORT/a", "http://name:word@127.0.0.1:PORT/a", "127.0.0.1:PORT/a" } do
      assert.equal(("answer 200 reached /a 127.0.0.1:%d"):format(web.port), ask(url))
    end
    one:stop()
  end)

  it("does not reach another host or port, however its address is written", function()
    start { "allowed.test", "127.0.0.1:9", "*.below.test", "[::1]" }
    for _, url in ipairs { "http://127.0.0.1:PORT/", "http://127.1:PORT/", "http://2130706433:PORT/", "http://0x7f.1:PORT/",
      "http://0177.0.0.1:PORT/", "http://allowed.test@127.0.0.1:PORT/", "http://allowed.test:80@127.0.0.1:PORT/",
      "http://127.0.0.1:PORT#@allowed.test/", "http://127.0.0.1:PORT?@allowed.test/", "http://127.0.0.1:PORT/@allowed.test",
      "http://127.0.0.1.:PORT/", "http://LOCALHOST:PORT/", "http://localhost.:PORT/",
      "http://127.0.0.1:PORT/;@allowed.test", "http://[::ffff:127.0.0.1]:PORT/", "http://allowed.test.evil.test:PORT/",
      "http://below.test:PORT/", "http://evilbelow.test:PORT/", "http://%6cocalhost:PORT/", "http:127.0.0.1:PORT/",
      "http:///127.0.0.1:PORT/", "//127.0.0.1:PORT/", "http://\u{FF11}27.0.0.1:PORT/", "http://localhost\u{3002}:PORT/" } do
      local told = ask(url)
      assert(told:find "^FORBIDDEN " or told:find "^URL ", url .. ": " .. told)
    end
    assert.equal(0, web.connections)
    one:stop()
  end)

  it("allows the names below one, in any case, with or without a dot at the end", function()
    start { "*.Below.test", "[::1]:PORT", "Exact.test." }
    for _, url in ipairs { "http://a.below.test:PORT/", "http://A.B.BELOW.TEST.:PORT/", "http://EXACT.test:PORT/" } do
      local told = ask(url)
      assert(told:find "^RESOLVE " , url .. ": " .. told) -- it was looked up, and there is no such name
    end
    assert.truthy(ask "http://[::1]:PORT/":find "^CONNECT ")
    assert.truthy(ask "http://[0:0:0:0:0:0:0:1]:PORT/":find "^CONNECT ")
    one:stop()
  end)

  it("speaks http and https only", function()
    start { "127.0.0.1", "localhost" }
    for _, url in ipairs { "file:///etc/passwd", "file://localhost/etc/passwd", "ftp://127.0.0.1:PORT/",
      "gopher://127.0.0.1:PORT/x",
      "dict://127.0.0.1:PORT/", "ldap://127.0.0.1:PORT/", "smb://127.0.0.1:PORT/", "ftp.localhost:PORT" } do
      local told = ask(url)
      assert(told:find "^URL " or told:find "^FORBIDDEN ", url .. ": " .. told)
    end
    assert.truthy(ask "http://127.0.0.1:PORT/to/file%3A%2F%2F%2Fetc%2Fpasswd":find "^URL ")
    one:stop()
  end)

  it("does not follow a redirect to a host that is not allowed", function()
    start { "127.0.0.1:PORT" }
    local other = server.start(function(_, reply) reply(200, "the other") end)
    for _, target in ipairs { "http://127.0.0.1:" .. other.port .. "/", "//127.0.0.1:" .. other.port .. "/",
      "http://localhost:" .. other.port .. "/", "http://127.0.0.1:PORT@127.0.0.1:" .. other.port .. "/" } do
      local escaped = target:gsub("[^%w]", function(byte) return ("%%%02X"):format(byte:byte()) end)
      local told = ask("http://127.0.0.1:PORT/to/" .. escaped)
      assert(told:find "^FORBIDDEN ", target .. ": " .. told)
      assert(told:find("--allow-host ", 1, true), told)
    end
    assert.equal(0, other.connections)
    assert.truthy(ask("http://127.0.0.1:PORT/to/%2Fpage"):find "^answer 200 reached /page ")
    one:stop()
  end)

  it("asks no proxy of the environment", function()
    local proxy = server.start(function(_, reply) reply(200, "the proxy") end)
    start({ "127.0.0.1:PORT" }, { env = { http_proxy = proxy.url, ALL_PROXY = proxy.url, no_proxy = "localhost" },
      api_url = "http://localhost:" .. platform.port })
    assert.equal(("answer 200 reached / 127.0.0.1:%d"):format(web.port), ask "http://127.0.0.1:PORT/")
    assert.equal(0, proxy.connections)
    one:stop()
  end)

  it("sends no header that would mean another host", function()
    start({ "127.0.0.1:PORT" }, { script = [[
local http = require("molecule").http
return function(msg)
  local fine, answer = pcall(http.get, msg.text, {headers = {[ "hOST" ] = "other.test"}})
  local second, spaced = pcall(http.get, msg.text, {headers = {["Host "] = "other.test"}})
  return tostring(fine) .. tostring(second) .. tostring(answer) .. tostring(spaced)
end]] })
    local told = ask "http://127.0.0.1:PORT/"
    assert(told:find "^falsefalse.*header hOST is not in the sandbox.*header Host  is not in the sandbox", told)
    assert.equal(0, web.connections)
    one:stop()
  end)

  it("takes no answer that is larger than --memory-limit", function()
    web.handler = function(_, reply)
      reply.raw(("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"):format(12 << 20))
      reply.raw(("x"):rep(12 << 20))
    end
    start({}, { args = { "--sandbox", "--allow-host", "127.0.0.1:" .. web.port,
      "--memory-limit", "8MiB" }, script = [[
local http = require("molecule").http
return function(msg)
  local total = 0
  local one = select(3, http.get(msg.text, {max_bytes = 1 << 30}))
  local streamed = http.get(msg.text, {stream = function(chunk) total = total + #chunk end})
  return one .. " " .. streamed.status .. " " .. total
end]] })
    assert.equal("TOO_LARGE 200 12582912", ask "http://127.0.0.1:PORT/")
    one:stop()
  end)

  it("is limited the same way for streams", function()
    start({ "127.0.0.1:PORT" }, { script = [[
local http = require("molecule").http
return function(msg)
  local fine, problem = pcall(function() for event in http.sse {url = msg.text} do return event.data end end)
  local _, other, code = http.get(msg.text, {stream = function() end})
  return code .. " " .. other .. " " .. tostring(problem)
end]] })
    local told = ask "http://localhost:PORT/"
    assert(told:find "^FORBIDDEN .*blocked by the sandbox.*blocked by the sandbox", told)
    one:stop()
  end)

  it("is not asked for by options that make no sense", function()
    local function wrong(args, pattern)
      one = host.start { platform = platform, workspace = workspace, script = SCRIPT, args = args }
      one:wait_exit(2)
      assert(one.process.stderr:find(pattern), one.process.stderr)
    end
    wrong({ "--allow-host", "example.com" }, "%-%-allow%-host needs %-%-sandbox")
    for _, pattern in ipairs { "http://example.com", "example.com/x", "a b", "*", "*.1.2.3.4", "user@example.com", "x:port",
      "x:99999", "\u{FF41}.test" } do
      wrong({ "--sandbox", "--allow-host", pattern }, "is not HOST or HOST:PORT")
    end
  end)
end)
