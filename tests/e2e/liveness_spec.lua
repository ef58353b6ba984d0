--- What a script or a resolver does never delays a heartbeat, nor the end of the program.
local uv = require "luv"
local beats = require "tests.support.beats"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local loop = require "tests.support.loop"

local GAP_MAXIMUM_MS = 500

local function run(command)
  local pipe = assert(io.popen(command .. " 2>&1"))
  local output = pipe:read "a"
  return pipe:close(), output
end

-- What to preload so that names are resolved by tests/support/resolver.c: a sanitizer's library must come first.
local function preload(directory)
  local library = directory .. "/resolver.so"
  local built, problem = run("cc -shared -fPIC -O1 -o " .. library .. " tests/support/resolver.c -ldl")
  assert(built, problem)
  local _, libraries = run("ldd " .. emulator.binary())
  local sanitizer = libraries:match "=> (%S*lib[at]san%S*)"
  return (sanitizer and sanitizer .. ":" or "") .. library
end

describe("a heartbeat", function()
  local platform, workspace

  setup(function()
    platform = emulator.start { args = { "--rate-limit", "-1" } }
  end)

  before_each(function()
    workspace = host.workspace(platform)
  end)

  after_each(host.clean_up)

  teardown(function()
    platform:stop()
  end)

  for name, code in pairs {
    ["io.popen"] = "return io.popen('sleep 1.5; echo done'):read('l')",
    ["os.execute"] = "return os.execute('sleep 1.5') and 'done'",
    ["the loading of a file"] = "dofile(os.getenv('FIFO')) return 'done'",
    ["a loop"] = "local till = os.clock() + 1.5 while os.clock() < till do end return 'done'",
    ["a garbage collection of much"] = [[
      local t, till = {}, os.clock() + 1
      for i = 1, 5e5 do t[i] = {i} end
      while os.clock() < till do collectgarbage() end
      return 'done']],
  } do
    it("is not delayed by a script that blocks in " .. name, function()
      local fifo = host.directory() .. "/fifo"
      local feeder
      if code:find "FIFO" then
        assert(os.execute("mkfifo " .. fifo))
        feeder = uv.spawn("/bin/sh", { args = { "-c", "sleep 1.5; echo 'return 1' > " .. fifo } }, function()
          feeder:close()
        end)
      end
      local one = host.connect { platform = platform, workspace = workspace, args = { "--heartbeat-ms", "100" },
        env = { FIFO = fifo }, script = "return function() " .. code .. " end" }
      local since = beats.listen(one)
      platform:message { to = workspace.id, text = "hello" }
      assert.same({ "done" }, one:canvas(1))
      local gap = beats.longest_gap(one, since)
      assert(gap < GAP_MAXIMUM_MS, ("%.0f ms without a heartbeat"):format(gap))
      one:stop()
    end)
  end

  it("is not delayed by many messages", function()
    local one = host.connect { platform = platform, workspace = workspace, args = { "--heartbeat-ms", "100" },
      script = host.ECHO }
    local since = beats.listen(one)
    local rows = platform:message { to = workspace.id, text = "message %n", count = 300 }
    one:log_of(rows[300], "replied")
    local gap = beats.longest_gap(one, since)
    assert(gap < GAP_MAXIMUM_MS, ("%.0f ms without a heartbeat"):format(gap))
    one:stop()
  end)
end)

describe("a resolver that hangs", function()
  local platform, workspace, flag, env

  setup(function()
    platform = emulator.start { args = { "--rate-limit", "-1" } }
  end)

  before_each(function()
    local directory = host.directory()
    workspace = host.workspace(platform)
    flag = directory .. "/hang"
    env = { LD_PRELOAD = preload(directory), RESOLVER_HANGS = flag,
      -- libcurl leaves a resolver's thread behind rather than wait for it
      ASAN_OPTIONS = "detect_leaks=0" }
  end)

  after_each(host.clean_up)

  teardown(function()
    platform:stop()
  end)

  local function start(args)
    return host.start { platform = platform, workspace = workspace, script = host.ECHO, env = env,
      args = { "--insecure-http", table.unpack(args or {}) }, api_url = "http://platform.test:" .. platform.port }
  end

  local function wait_asked()
    local watcher = uv.new_fs_event()
    watcher:start(flag:match "^(.*)/", {}, function() end)
    local asked = loop.wait(function() return uv.fs_stat(flag .. ".asked") end, 10000)
    watcher:stop()
    watcher:close()
    loop.flush()
    assert(asked, "the resolver was not asked")
  end

  it("does not keep the program from stopping", function()
    host.write(flag, "")
    local one = start()
    wait_asked()
    local before = loop.now()
    one:stop()
    local took = loop.now() - before
    assert(took < 3000, ("it took %.0f ms"):format(took))
  end)

  it("only delays the registration", function()
    host.write(flag, "")
    local one = start()
    wait_asked()
    uv.fs_unlink(flag)
    one:log "registered as"
    one:stop()
  end)

  it("delays no heartbeat, not even when connections have to be made anew", function()
    local one = start { "--heartbeat-ms", "100" }
    one:log "registered as"
    local since = beats.listen(one)
    host.write(flag, "")
    platform:fault({ kind = "reset" }, { path = "/registry/heartbeat" }, { times = 2 })
    platform:fault({ kind = "reset" }, { path = "/activity" }, { times = 2 })
    local row = platform:message { to = workspace.id, text = "hello" }[1]
    one:log_of(row, "replied")
    one:wait { path = "/registry/heartbeat", since = since, status = 200, count = 15 }
    local gap = beats.longest_gap(one, since)
    assert(gap < 2000, ("%.0f ms without a heartbeat"):format(gap)) -- the backoff after the failures is part of it
    one:stop()
  end)
end)
