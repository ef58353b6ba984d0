--- What a script or a resolver does never delays a heartbeat, nor the end of the program.
local uv = require "luv"
local beats = require "tests.support.beats"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local loop = require "tests.support.loop"

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

  -- Each blocks until the test lets it go, and the test does not before it has heard from the host.
  for name, code in pairs {
    ["io.popen"] = "return io.popen('cat $FIFO'):read('l')",
    ["os.execute"] = "return os.execute('cat $FIFO') and 'done'",
    ["the loading of a file"] = "return dofile(FIFO)",
    ["a loop"] = "while not io.open(FLAG) do end return 'done'",
    ["a garbage collection of much"] = [[
      local t = {}
      for i = 1, 5e5 do t[i] = {i} end
      while not io.open(FLAG) do collectgarbage() end
      return 'done']],
  } do
    it("is not delayed by a script that blocks in " .. name, function()
      local directory = host.directory()
      local fifo, flag = directory .. "/fifo", directory .. "/flag"
      assert(os.execute("mkfifo " .. fifo))
      local one = host.connect { platform = platform, workspace = workspace,
        args = { "--heartbeat-ms", "100", "--cpu-limit", "60s" }, env = { FIFO = fifo, FLAG = flag },
        script = [[
          FIFO, FLAG = os.getenv "FIFO", os.getenv "FLAG"
          return function(msg, ctx) ctx.log.info "blocks" ]] .. code .. " end" }
      platform:message { to = workspace.id, text = "hello" }
      one:log "blocks"
      beats.wait(one, 5)
      assert.same({}, one:told_canvas())
      host.write(code:find "FIFO" and fifo or flag, name:find "file" and "return 'done'" or "done\n")
      assert.same({ "done" }, one:canvas(1))
      one:stop()
    end)
  end

  it("is not delayed by many messages", function()
    local one = host.connect { platform = platform, workspace = workspace, args = { "--heartbeat-ms", "100" },
      script = host.ECHO }
    local since = platform:mark()
    local rows = platform:message { to = workspace.id, text = "message %n", count = 300 }
    one:log_of(rows[300], "replied")
    beats.wait(one, 1)
    local heard = one:posts("/registry/heartbeat", since)
    local requests_between, last = 0, since
    for _, entry in ipairs(heard) do
      requests_between, last = math.max(requests_between, entry.n - last), entry.n
    end
    assert.is_true(#heard >= 2 and requests_between < 300, requests_between .. " requests without a heartbeat")
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
    local asked = loop.wait(function() return uv.fs_stat(flag .. ".asked") end)
    watcher:stop()
    watcher:close()
    loop.flush()
    assert(asked, "the resolver was not asked")
  end

  it("does not keep the program from stopping", function()
    host.write(flag, "")
    local one = start()
    wait_asked()
    one:stop() -- the resolver does not come back before the flag is gone
  end)

  it("only delays the registration", function()
    host.write(flag, "")
    local one = start()
    wait_asked()
    uv.fs_unlink(flag)
    one:log "registered as"
    one:stop()
  end)

  it("delays no heartbeat, not even when connections have to be reopened", function()
    local one = start { "--heartbeat-ms", "100" }
    one:log "registered as"
    host.write(flag, "")
    platform:fault({ kind = "reset" }, { path = "/registry/heartbeat" }, { times = 2 })
    platform:fault({ kind = "reset" }, { path = "/activity" }, { times = 2 })
    local row = platform:message { to = workspace.id, text = "hello" }[1]
    one:log_of(row, "replied")
    beats.wait(one, 15) -- while the resolver hangs
    one:stop()
  end)
end)
