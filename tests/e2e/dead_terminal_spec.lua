--- Whoever should read what the program prints may be gone, stopped or full: that costs lines and nothing else.
local uv = require "luv"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local loop = require "tests.support.loop"
local process = require "tests.support.process"

local PIPE_BYTES = 65536 -- what a pipe holds (pipe(7))

-- Sends descriptors of the program elsewhere: redirected "2>/dev/full".
local function redirected(to)
  return { "sh", "-c", 'exec "$@" ' .. to, "sh" }
end

-- A pipe with a reader that never reads. Its descriptor is the reader's; full: there is no room for a byte.
local function silent_pipe(full)
  local path = host.directory() .. "/pipe"
  assert(os.execute("mkfifo " .. path))
  local fd = assert(uv.fs_open(path, "r+", 0))
  if full then assert(os.execute(("head -c %d /dev/zero >%s"):format(PIPE_BYTES, path))) end
  return path, fd
end

-- Reads from it until what came matches.
local function read_until(fd, pattern)
  local text, pipe = "", uv.new_pipe(false)
  assert(pipe:open(fd))
  pipe:read_start(function(_, bytes) text = text .. (bytes or "") end)
  local found = loop.wait(function() return text:match(pattern) end)
  return found, text, pipe
end

describe("a terminal that is dead", function()
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

  local function options(more)
    local all = { platform = platform, workspace = workspace, script = host.ECHO, args = { "-v", "--heartbeat-ms", "100" } }
    for name, value in pairs(more) do all[name] = value end
    return all
  end

  -- Its log cannot be read: the platform knows when it has registered.
  local function start(more)
    local one = host.start(options(more))
    one:wait { path = "/registry/register", workspace = workspace.id, status = 200, count = 1 }
    return one
  end

  local function say(text, count)
    return platform:message { to = workspace.id, text = text, count = count }
  end

  local function stop(one)
    one.process:signal "sigterm"
    one:wait_exit(0)
  end

  for _, streams in ipairs { "2", "1" } do
    it(("full at descriptor %s from the start stops neither messages nor heartbeats nor the end"):format(streams), function()
      local path, fd = silent_pipe(true)
      local one = start { under = redirected(("%s>%s"):format(streams, path)), script = [[
        local molecule = require "molecule"
        return function(msg)
          print("a line")
          io.write("another\n")
          io.stderr:write("and one more\n")
          molecule.log("and this")
          return "echo: " .. msg.text
        end]] }
      say("m %n", 20)
      assert.equal(20, #one:canvas(20))
      local mark = platform:mark()
      one:wait { path = "/registry/heartbeat", since = mark, count = 3 }
      stop(one)
      uv.fs_close(fd)
    end)
  end

  it("full at both does not hold up a second SIGTERM", function()
    local path, fd = silent_pipe(true)
    local one = start { under = redirected((">%s 2>&1"):format(path)), script = [[
      local molecule = require "molecule"
      return function(msg) print "begun" molecule.http.get(msg.text) molecule.sleep(1000) end]] }
    say(platform.url .. "/registry/begun")
    one:wait { path = "/registry/begun", count = 1 }
    one.process:signal "sigterm"
    one.process:signal "sigterm"
    stop(one)
    uv.fs_close(fd)
  end)

  for stream, write in pairs { ["2"] = "molecule.log(line)", ["1"] = "print(line)" } do
    it(("that fills descriptor %s costs lines, which are counted once it is read again"):format(stream), function()
      local path, fd = silent_pipe(false)
      local one = start { under = redirected(("%s>%s"):format(stream, path)), script = ([[
        local molecule = require "molecule"
        return function(msg)
          local line = ("x"):rep(1000)
          for i = 1, 3000 do %s end
          return "done"
        end]]):format(write) }
      say "flood"
      assert.same({ "done" }, one:canvas(1))
      if stream == "2" then
        local lost, text, pipe = read_until(fd, "molecule: (%d+) log lines dropped")
        assert(lost, "no word of it in " .. #text .. " bytes")
        assert(tonumber(lost) > 0)
        assert(text:find "registered as")
        stop(one)
        pipe:close()
      else
        one:log("standard output is not being read fast enough")
        local _, text, pipe = read_until(fd, ("x"):rep(1000))
        assert(text:find("x", 1, true))
        say "more" -- the count is said when a line has found room again
        assert(one:log("%d+ lines of standard output dropped"))
        stop(one)
        pipe:close()
      end
      loop.flush()
    end)
  end

  it("that a child has set to O_NONBLOCK loses no line", function()
    local one = start { script = [[
      local molecule = require "molecule"
      return function(msg)
        assert(os.execute("lua5.4 -e 'require(\"luv\").new_pipe():open(2)'"))
        for i = 1, 3000 do molecule.log("line %d %s", i, ("x"):rep(100)) end
        return "done"
      end]] }
    say "go"
    assert.same({ "done" }, one:canvas(1))
    one:log("script: line 3000 ")
    assert.equal(3000, one:count_log "script: line %d+ x+$")
    stop(one)
  end)

  it("that goes away (EPIPE) takes nothing along", function()
    local path, fd = silent_pipe(false)
    local one = start { under = redirected((">%s 2>&1"):format(path)), script = [[
      return function(msg) print(msg.text) return "echo: " .. msg.text end]] }
    uv.fs_close(fd)
    say("m %n", 20)
    assert.equal(20, #one:canvas(20))
    stop(one)
  end)

  it("whose disk is full (ENOSPC) takes nothing along", function()
    local one = start { under = redirected ">/dev/full 2>&1", script = [[
      return function(msg) print(msg.text) return "echo: " .. msg.text end]] }
    say("m %n", 20)
    assert.equal(20, #one:canvas(20))
    stop(one)
  end)

  it("of a fleet is as dead", function()
    local path, fd = silent_pipe(true)
    local file = host.write(host.directory() .. "/fleet.lua", ([[return {workspaces = {{id = %q, backend = "mock",
      token_env = "TOKEN_A"}}}]]):format(workspace.id))
    local one = start { under = redirected((">%s 2>&1"):format(path)), command = { "fleet", file }, bare = true, token = false,
      script = false, args = { "-v" }, env = { TOKEN_A = workspace.token } }
    say("m %n", 20)
    assert.equal(20, #one:canvas(20))
    stop(one)
    uv.fs_close(fd)
  end)

  it("of `molecule dev` is as dead", function()
    local path, fd = silent_pipe(true)
    local directory = host.directory()
    local script = host.write(directory .. "/agent.lua", ([[
      return {start = function() print "starting" io.open(%q, "w"):close() end, handle = function() end}]]):format(
      directory .. "/started"))
    local words = redirected((">%s 2>&1"):format(path))
    for _, word in ipairs { emulator.binary(), "dev", script, "--port", "0" } do words[#words + 1] = word end
    local one = process.spawn { command = words }
    assert(loop.wait(function() return uv.fs_stat(directory .. "/started") end))
    one:signal "sigterm"
    assert.equal(0, (one:wait_exit()))
    uv.fs_close(fd)
  end)
end)

describe("a process whose surroundings are poor", function()
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

  local function start(under, more)
    local all = { platform = platform, workspace = workspace, script = host.ECHO, under = under }
    for name, value in pairs(more or {}) do all[name] = value end
    local one = host.start(all)
    one:wait { path = "/registry/register", workspace = workspace.id, status = 200, count = 1 }
    return one
  end

  local function run(words)
    local one = process.spawn { command = words }
    local code, signal = one:wait_exit()
    return code, signal, one
  end

  for _, closed in ipairs { "<&- >&- 2>&-", "<&-", ">&-", "2>&-" } do
    it("has " .. closed .. " on /dev/null, and nothing of its own there", function()
      local one = start(redirected(closed))
      platform:message { to = workspace.id, text = "hello" }
      assert.same({ "echo: hello" }, one:canvas(1))
      for redirection in closed:gmatch "%S+" do
        local fd = redirection:match "^%d" or (redirection:find "<" and "0") or "1"
        assert.equal("/dev/null", uv.fs_readlink(("/proc/%d/fd/%s"):format(one.process.pid, fd)))
      end
      one:stop()
      assert.equal("SQLite format 3\0", host.read(("%s/%s.db"):format(one.state_dir, workspace.id)):sub(1, 16))
    end)
  end

  it("says that a file may not grow (RLIMIT_FSIZE), and lives", function()
    local one = start({ "sh", "-c", 'ulimit -f 0; exec "$@"', "sh" }, { args = { "--heartbeat-ms", "100" } })
    platform:message { to = workspace.id, text = "hello" }
    one:log("error .*[Ff]ile too large")
    local mark = platform:mark()
    one:wait { path = "/registry/heartbeat", since = mark, count = 3 }
    one.process:signal "sigterm"
    local _, signal = one.process:wait_exit()
    assert.equal(0, signal)
  end)

  it("stops in order when its processor time is over (RLIMIT_CPU)", function()
    local one = start({}, { args = { "-v" } })
    one.process:signal "sigxcpu" -- as the kernel sends it
    one:wait_exit(0)
    assert.equal(1, one:count_log "SIGXCPU")
  end)

  it("says how many files it may not open (RLIMIT_NOFILE), in every command, and never aborts", function()
    local script = host.write(host.directory() .. "/agent.lua", host.ECHO)
    local fleet = host.write(host.directory() .. "/fleet.lua", ([[return {workspaces = {{id = %q, backend = "mock",
      token_env = "HOME"}}}]]):format(workspace.id))
    for limit = 5, 26, 3 do
      for _, words in ipairs { { "connect", workspace.id, "--script", script, "--bootstrap",
          "--api-url", platform.url },
        { "fleet", fleet, "--api-url", platform.url }, { "dev", script, "--port", "0" },
        { "dev", "--headless", "--port", "0" } } do
        local command = { "sh", "-c", ('ulimit -n %d; exec "$@"'):format(limit), "sh", emulator.binary() }
        for _, word in ipairs(words) do command[#command + 1] = word end
        local code, signal, one = run(command)
        assert.same({ 1, 0 }, { code, signal }, one:report())
        assert(one.stderr:find "files may be opened, but at least %d+ are needed: raise the limit", one:report())
      end
    end
  end)

  it("says that standard output cannot be written, with code 1", function()
    for _, words in ipairs { { "version" }, { "--help" }, { "connect", "--help" } } do
      local command = redirected ">/dev/full"
      command[#command + 1] = emulator.binary()
      for _, word in ipairs(words) do command[#command + 1] = word end
      local code, signal, one = run(command)
      assert.same({ 1, 0 }, { code, signal })
      assert(one.stderr:find "standard output cannot be written: No space left", one:report())
    end
  end)

  it("is not killed by a reader that has left", function()
    local code, signal = run { "bash", "-c", '"$1" version | true; exit ${PIPESTATUS[0]}', "bash", emulator.binary() }
    assert(code == 0 or code == 1, code) -- `true` may have ended before or after
    assert.equal(0, signal)
  end)

  -- The words in front of a program that make it PID 1; nil where this machine does not allow it.
  local function as_first()
    for _, words in ipairs { { "unshare", "-pf", "--mount-proc" }, { "unshare", "-Urpf", "--mount-proc" } } do
      if os.execute(table.concat(words, " ") .. " true 2>/dev/null") then return words end
    end
  end

  it("reaps as PID 1 what its children leave behind, and ends with its command's code", function()
    local words = as_first()
    if not words then return pending "no PID namespace may be made here" end
    local one = start(words, { script = [[
      return function()
        os.execute "(setsid sh -c 'exit 0' &); true"
        local zombies = io.popen("ps -e -o stat= | grep -c '^Z'"):read "a"
        return "zombies: " .. zombies:match "%d+"
      end]] })
    local found
    for i = 1, 20 do
      platform:message { to = workspace.id, text = "hello" }
      found = one:canvas(i)
    end
    local most = 0
    for _, text in ipairs(found) do most = math.max(most, tonumber(text:match "%d+")) end
    assert(most < 5, most .. " zombies at once") -- one may be on its way
    local inner = io.popen("pgrep -P " .. one.process.pid):read "n"
    uv.kill(inner, "sigterm") -- as the runtime of a container does
    one:wait_exit(0)
  end)
end)
