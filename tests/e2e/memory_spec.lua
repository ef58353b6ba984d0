--- What a script makes us hold outside its Lua state counts against --memory-limit: it fails, or what it dropped is collected,
--- and the process stays small and answers the next message.

local uv = require "luv"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local server = require "tests.support.server"

local PEAK_MAXIMUM_MIB = 700 -- a sanitizer keeps 256 MiB of what was freed

local LAUGHS = "local t = {'x'} for _ = 1, 60 do t = {t, t} end "

describe("a script's memory outside Lua", function()
  local platform, workspace, web

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)
  before_each(function()
    workspace = host.workspace(platform)
    web = server.start(function() end) -- answers nothing
  end)
  after_each(function()
    server.stop_all()
    host.clean_up()
  end)
  teardown(function() platform:stop() end)

  local function peak_mib(one)
    return tonumber(host.read(("/proc/%d/status"):format(one.process.pid)):match "VmHWM:%s+(%d)") and
      tonumber(host.read(("/proc/%d/status"):format(one.process.pid)):match "VmHWM:%s+(%d+)") // 1024
  end

  -- Runs it; what its message came to: the reply, or the log's line.
  local function run(code, options)
    options = options or {}
    local args = { "--memory-limit", "64MiB", "--max-attempts", "1", "--cpu-limit", "20s", "--error-reply", "failed",
      "--script-opt", "url=" .. web.url }
    for _, arg in ipairs(options.args or { "--sandbox", "--allow-host", "127.0.0.1" }) do args[#args + 1] = arg end
    local one = host.connect { platform = platform, workspace = workspace, args = args, script = [[
      local molecule = require "molecule"
      local core = require "molecule.core"
      return function(msg, ctx)
        if msg.text == "ping" then return "pong" end
        ]] .. code .. "\nend" }
    platform:message { to = workspace.id, text = "go" }
    one:wait { path = ("/workspaces/%s/notify"):format(workspace.id), status = 200, count = 1,
      body = options.body or '"message"' }
    local first = one:told_canvas()
    if options.log then one:log(options.log) end
    platform:message { to = workspace.id, text = "ping" }
    one:wait { path = ("/workspaces/%s/notify"):format(workspace.id), status = 200, body = '"pong"' }
    local peak = peak_mib(one)
    assert(peak < PEAK_MAXIMUM_MIB, ("%d MiB at the peak"):format(peak))
    return first[#first], one
  end

  local too_large = "take more memory than the %d+ MiB that are left"
  local cases = {
    { "a few tables that are 2^60 values, as JSON", LAUGHS .. "return select(2, molecule.json.encode(t))", too_large },
    { "large strings, each many times, as JSON", "local s, t = ('x'):rep(10 << 20), {} for i = 1, 1000 do t[i] = s end " ..
      "return select(2, molecule.json.encode(t))", too_large },
    { "bytes that are not UTF-8, as JSON",
      "local s, t = ('\255'):rep(20 << 20), {} for i = 1, 100 do t[i] = s end " ..
      "return select(2, molecule.json.encode(t))", too_large },
    { "tables that are 2^60 values, of an answer",
      LAUGHS .. "return {parts = {{kind = 'data', data = t}}}", "failed", too_large },
    { "tables that are 2^60 values, in molecule.notify",
      LAUGHS .. "return select(2, pcall(core.notify, 'text', {{kind = 'data', data = t}}))", too_large },
    { "tables that are 2^60 values, in molecule.send", LAUGHS ..
      "return select(2, pcall(molecule.send, '11111111-1111-4111-8111-111111111111', {{kind = 'data', data = t}}))", too_large },
    { "tables that are 2^60 values, in molecule.store",
      LAUGHS .. "return tostring(select(2, pcall(molecule.store.set, 'k', t)))", too_large },
    { "tables that are 2^60 values, in molecule.http",
      LAUGHS .. "return select(2, pcall(molecule.http.post, {url = ctx.options.url, json = t}))", too_large },
    { "a short text that is many values, read as JSON", "local s = '[' .. ('[],'):rep(8 << 20) .. '[]]' " ..
      "return select(2, molecule.json.decode(s))", too_large },
    { "the same read by cjson", "local s = '[' .. ('[],'):rep(8 << 20) .. '[]]' return #require 'cjson'.decode(s)", "failed",
      "needed more than 64 MiB" },
    { "tables that are 2^60 values, by cjson",
      LAUGHS .. "return #require 'cjson'.encode(t)", "failed", "needed more than 64 MiB" },
    { "more than 2 GiB by cjson", "local s, t = ('x'):rep(20 << 20), {} for i = 1, 300 do t[i] = s end " ..
      "return #require 'cjson'.encode(t)", "failed", "needed more than 64 MiB" },
    { "readers of server-sent events that are dropped",
      "local s = 'data: ' .. ('x'):rep(10 << 20) for _ = 1, 300 do core.sse():feed(s) end return 'done'", "^done$" },
    { "readers of server-sent events that are kept", "local s, all = 'data: ' .. ('x'):rep(10 << 20), {} " ..
      "for i = 1, 300 do all[i] = core.sse() all[i]:feed(s) end return 'done'", "failed", "over %-%-memory%-limit" },
    { "stored values of many timers", "local s = ('x'):rep(900000) for i = 1, 12 do molecule.after(0, function() " ..
      "for j = 1, 15 do molecule.store.set('k' .. i .. '-' .. j, s) end molecule.sleep(60) end) end return 'done'",
      "done", "memory.*%-%-memory%-limit" },
    { "requests of many timers", "local s = ('x'):rep(10 << 20) for _ = 1, 300 do molecule.after(0, function() " ..
      "molecule.http.post(ctx.options.url, s) end) end return 'done'", "done", "over %-%-memory%-limit" },
    { "notices of many timers", "local s = ('x'):rep(10 << 20) for _ = 1, 300 do molecule.after(0, function() " ..
      "molecule.notify(s) end) end return 'done'", "", "over %-%-memory%-limit", {} }, -- the sandbox takes 16 MiB a minute
  }
  for _, case in ipairs(cases) do
    it("counts: " .. case[1], function()
      local said, one = run(case[2], { log = case[4], args = case[5] })
      assert(tostring(said):find(case[3]), said)
      one:kill()
    end)
  end

  local outside = {
    { "a program's input", "local s = ('x'):rep(20 << 20) for _ = 1, 100 do molecule.after(0, function() " ..
      "molecule.exec {argv = {'sleep', '60'}, stdin = s} end) end return 'done'" },
    { "a program's output", "local r = {} for i = 1, 10 do molecule.after(0, function() " ..
      "r[i] = molecule.exec {argv = {'head', '-c', '60000000', '/dev/zero'}, max_output = 64 << 20} end) end return 'done'" },
    { "what a pipe is given", "local s = ('x'):rep(20 << 20) for _ = 1, 50 do molecule.after(0, function() " ..
      "io.popen('sleep 60', 'w'):write(s) end) end return 'done'" },
    { "what a pipe says", "local said = {} for i = 1, 10 do molecule.after(0, function() " ..
      "said[i] = io.popen('head -c 60000000 /dev/zero'):read 'a' end) end return 'done'" },
  }
  for _, case in ipairs(outside) do
    it("counts: " .. case[1], function()
      local _, one = run(case[2], { args = {} })
      one:stop()
    end)
  end

  it("counts an answer while it arrives, and the request fails", function()
    local piece = ("x"):rep(1 << 20)
    local timers = {}
    local big = server.start(function(_, reply)
      reply.raw "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"
      local timer = uv.new_timer()
      timers[#timers + 1] = timer
      timer:start(0, 1, function()
        if not pcall(reply.raw, piece) then timer:stop() end
      end)
    end)
    local said, one = run(([[
      local code
      for i = 1, 20 do molecule.after(0, function() code = select(3, molecule.http.get(%q, {max_bytes = 1 << 30})) end) end
      while not code do molecule.sleep(0.01) end
      return code]]):format(big.url))
    for _, timer in ipairs(timers) do timer:close() end
    assert.equal("TOO_LARGE", said)
    one:kill()
  end)

  it("is not held against a script that stays within its limit, however long it runs", function()
    local small = server.start(function(_, reply) reply(200, ("y"):rep(1 << 20)) end)
    local said, one = run(([[
      local s = ("x"):rep(1 << 20)
      for _ = 1, 100 do
        assert(#molecule.http.post(%q, s).body == 1 << 20)
        core.sse():feed("data: " .. s .. "\n\n")
        assert(#molecule.json.decode(molecule.json.encode {s})[1] == 1 << 20)
      end
      return "done"]]):format(small.url))
    assert.equal("done", said)
    one:stop()
  end)

  it("of its agent's skills is bounded, too", function()
    local one = host.run({ platform = platform, workspace = workspace, args = { "--memory-limit", "64MiB" },
      script = LAUGHS .. "return {handle = function() end, skills = t}" }, 2)
    one:log(too_large)
  end)
end)
