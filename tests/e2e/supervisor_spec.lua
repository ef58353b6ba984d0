--- What a supervisor (systemd, by sd_notify) is told; a stand-in listens at NOTIFY_SOCKET.
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local loop = require "tests.support.loop"
local process = require "tests.support.process"
local served = require "tests.support.served"

local LISTENER = [[
import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1].replace("@", "\0", 1))
print("listening", flush=True)
while True:
    for line in s.recv(1 << 16).decode().split("\n"):
        print(line, flush=True)
]]

local SCRIPT = [[
  local molecule = require "molecule"
  return function(msg)
    if msg.text == "slow" then molecule.log.info "works" molecule.sleep(3600) end
    if msg.text == "env" then return os.getenv "NOTIFY_SOCKET" or os.getenv "WATCHDOG_USEC" or "nothing" end
    return "said"
  end]]

describe("systemd", function()
  local platform, workspace, listener, path, count

  setup(function()
    platform = emulator.start { args = { "--rate-limit", "-1" } }
    count = 0
  end)

  before_each(function()
    local directory = host.directory()
    workspace = host.workspace(platform)
    count = count + 1
    path = directory .. "/notify"
    listener = process.spawn { command = { "python3", host.write(directory .. "/listen.py", LISTENER), path } }
    listener:wait_line "listening"
  end)

  after_each(function()
    listener:kill()
    host.clean_up()
    platform:clear_faults()
  end)

  teardown(function()
    platform:stop()
  end)

  local function start(more)
    local options = { platform = platform, workspace = workspace, script = SCRIPT, env = { NOTIFY_SOCKET = path } }
    for key, value in pairs(more or {}) do options[key] = value end
    options.env.NOTIFY_SOCKET = options.env.NOTIFY_SOCKET or path
    return host.start(options)
  end

  local function number_of(line)
    local found = 0
    for _, each in ipairs(listener.lines.stdout) do found = found + (each == line and 1 or 0) end
    return found
  end

  --- Says a word at the socket, and waits until it was read: what was sent before was read, too.
  local function mark(word)
    local say = "import socket,sys; socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(sys.argv[2].encode(), sys.argv[1])"
    assert.equal(0, (process.spawn { command = { "python3", "-c", say, path, "MARK=" .. word } }:wait_exit()))
    listener:wait_line("^MARK=" .. word .. "$")
  end

  it("hears READY once the workspace is registered and its inbox was fetched, and not before", function()
    platform:fault({ kind = "status", status = 503 }, { path = "/activity" }, { times = -1 })
    local one = start()
    one:log "registered as"
    listener:wait_line "^STATUS=1 workspace, 0 pending, 0 answered, 0 dead%-lettered; .*503"
    listener:wait_line "^EXTEND_TIMEOUT_USEC=%d+$" -- so that it may take longer than TimeoutStartSec
    assert.equal(0, number_of "READY=1")
    platform:clear_faults()
    listener:wait_line "^READY=1$"
    platform:message { to = workspace.id, text = "hello" }
    listener:wait_line "^STATUS=1 workspace, 0 pending, 1 answered, 0 dead%-lettered$"
    assert.equal(1, number_of "READY=1")
    platform:message { to = workspace.id, text = "env" }
    one:canvas(2)
    assert.equal("nothing", one:told_canvas()[2]) -- programs of the script do not speak for it
    one:stop()
  end)

  it("is not told READY by what an earlier process has fetched", function()
    local one = start()
    listener:wait_line "^READY=1$"
    one:stop()
    local _, at = listener:wait_line "^STOPPING=1$"
    platform:fault({ kind = "hang" }, { path = "/activity" }, { times = -1 })
    start { state_dir = one.state_dir }
    _, at = listener:wait_line("^STATUS=1 workspace, .*has not fetched its inbox yet$", { from = at + 1 })
    platform:clear_faults()
    listener:wait_line("^EXTEND_TIMEOUT_USEC=%d+$", { from = at + 1 }) -- it has looked again
    assert.equal(1, number_of "READY=1")
  end)

  it("is fed while the loop turns, also while the platform is away or wants to be left alone, and not once it is stopped",
    function()
      local one = start { env = { WATCHDOG_USEC = "100000" } }
      listener:wait_line "^READY=1$"
      platform:fault({ kind = "status", status = 503, headers = { ["Retry-After"] = "300" } }, {}, { times = -1 })
      one:log "poll.*503"
      local before = number_of "WATCHDOG=1"
      assert(loop.wait(function() return number_of "WATCHDOG=1" > before + 2 end))
      one.process:signal "sigstop"
      local stat = ("/proc/%d/stat"):format(one.process.pid)
      assert(loop.wait(function() return host.read(stat):find "%) T " end))
      mark "first" -- all that it has sent is read before this
      before = number_of "WATCHDOG=1"
      mark "second"
      assert.equal(before, number_of "WATCHDOG=1")
      one.process:signal "sigcont"
      assert(loop.wait(function() return number_of "WATCHDOG=1" > before end))
      one:kill()
    end)

  it("does not feed a watchdog that is another process's", function()
    start { env = { WATCHDOG_USEC = "100000", WATCHDOG_PID = "1" } }
    listener:wait_line "^READY=1$"
    assert.equal(0, number_of "WATCHDOG=1")
  end)

  it("hears of a reload, and that it is over", function()
    local one = start()
    listener:wait_line "^READY=1$"
    one.process:signal "sighup"
    listener:wait_line "^RELOADING=1$"
    listener:wait_line "^MONOTONIC_USEC=%d+$"
    one:log "the script is reloaded"
    assert(loop.wait(function() return number_of "READY=1" == 2 end))
    one:stop()
  end)

  it("hears that a reload is over, also while the platform is away", function()
    local one = start()
    listener:wait_line "^READY=1$"
    platform:fault({ kind = "status", status = 503 }, {}, { times = -1 })
    listener:wait_line "^STATUS=.*503"
    one.process:signal "sighup"
    listener:wait_line "^RELOADING=1$"
    assert(loop.wait(function() return number_of "READY=1" == 2 end))
    one:kill()
  end)

  it("hears of a stop, and waits as long as it drains", function()
    local one = start { args = { "--drain", "6s" } }
    listener:wait_line "^READY=1$"
    platform:message { to = workspace.id, text = "slow" }
    one:log "script: works"
    one.process:signal "sigterm"
    local _, at = listener:wait_line "^STOPPING=1$"
    for _ = 1, 2 do
      _, at = listener:wait_line("^EXTEND_TIMEOUT_USEC=10000000$", { from = at + 1 })
    end
    one:wait_exit(0)
  end)

  it("may listen at an abstract socket", function()
    listener:kill()
    path = ("@molecule-test-%d-%d"):format(require("luv").os_getpid(), count)
    listener = process.spawn { command = { "python3", host.write(host.directory() .. "/listen.py", LISTENER), path } }
    listener:wait_line "listening"
    local one = start()
    listener:wait_line "^READY=1$"
    one:stop()
  end)

  it("hears READY of an agent that is served, too", function()
    local agent = served.start { env = { NOTIFY_SOCKET = path } }
    listener:wait_line "^READY=1$"
    agent:stop()
    listener:wait_line "^STOPPING=1$"
  end)

  it("is not needed: a socket that is not there changes nothing", function()
    local one = start { env = { NOTIFY_SOCKET = "/nowhere/notify" } }
    one:log "registered as"
    one:stop()
  end)
end)
