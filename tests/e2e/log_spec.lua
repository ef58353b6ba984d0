--- The log as an operator, a log collector and the journal read it.
local cjson = require "cjson"
local beats = require "tests.support.beats"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local loop = require "tests.support.loop"
local namespace = require "tests.support.namespace"
local preload = require "tests.support.preload"
local process = require "tests.support.process"
local uv = require "luv"

local SCRIPT = [[
  local molecule = require "molecule"
  return function(msg, ctx)
    if msg.text == "say" then
      ctx.log.info("heard %s", msg.text)
      return "said"
    end
    if msg.text == "say much" then ctx.log.info(("x"):rep(15000)) end
    if msg.text == "skip" then return molecule.skip("not mine") end
    if msg.text == "none" then return nil end
    if msg.text == "dead" then return molecule.dead("no") end
    if msg.text == "reject" then return molecule.reject("never") end
    error("broken \27[31m")
  end]]

describe("the log", function()
  local platform, workspace

  setup(function()
    platform = emulator.start { args = { "--rate-limit", "-1" } }
  end)

  before_each(function()
    workspace = host.workspace(platform)
  end)

  after_each(function()
    host.clean_up()
    platform:clear_faults()
  end)

  teardown(function()
    platform:stop()
  end)

  local function connect(args, env, under)
    local one = host.start { platform = platform, workspace = workspace, script = SCRIPT, args = args, env = env,
      under = under }
    return one
  end

  local function send(message) return platform:message(message)[1] end

  local function entries(text)
    local list = {}
    for line in text:gmatch "[^\n]+" do list[#list + 1] = cjson.decode(line) end
    return list
  end

  local function of_row(list, row)
    local found = {}
    for _, entry in ipairs(list) do
      if entry.row == row then found[#found + 1] = entry end
    end
    return found
  end

  it("on a pipe is logfmt: one line an event, with its name, the workspace and what is said", function()
    local one = connect({}, { MOLECULE_LOG_FORMAT = false })
    local line = one:log "event=registered"
    assert.matches("^time=%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ level=info event=registered workspace=" ..
      workspace.id:gsub("%-", "%%-") .. ' msg="registered as .*"$', line)
    local row = send { to = workspace.id, text = "broken" }
    line = one:log("event=handler.failed")
    assert.matches("row=" .. row:gsub("%-", "%%-") .. " peer=canvas attempt=1 ", line)
    assert.matches('\\\\x1b%[31m', line) -- the sender's escape is shown, and quoted
  end)

  it("as JSON is an object a line, and each message has one line with its outcome", function()
    local one = connect { "--log-format", "json", "--max-attempts", "1" }
    one:log '"event":"registered"'
    local rows, outcomes = {}, { say = "replied", skip = "skipped", none = "no_reply", dead = "dead", reject = "replied",
      fail = "dead" }
    for text in pairs(outcomes) do rows[text] = send { to = workspace.id, text = text } end
    for text, outcome in pairs(outcomes) do
      one:log(('"row":"%s",.*"outcome":"%s"'):format((rows[text]:gsub("%-", "%%-")), outcome))
    end
    one:stop()
    local list = entries(one.process.stderr)
    for text, outcome in pairs(outcomes) do
      local ends = 0
      for _, entry in ipairs(of_row(list, rows[text])) do
        if entry.outcome then
          ends = ends + 1
          assert.equal(outcome, entry.outcome)
          assert.equal(workspace.id, entry.workspace)
          assert.equal("canvas", entry.peer)
        end
      end
      assert.equal(1, ends, text)
    end
  end)

  it("says where in the script a line of its own was written, and for which message", function()
    local one = connect { "--log-format", "json" }
    local row = send { to = workspace.id, text = "say" }
    local entry = cjson.decode((one:log '"event":"script.log"'))
    assert.equal(row, entry.row)
    assert.equal(1, entry.attempt)
    assert.matches("/agent%.lua:4$", entry.source)
    assert.equal("script: heard say", entry.msg)
  end)

  it("says no more than --log-level", function()
    local one = connect { "--log-level", "warn" }
    send { to = workspace.id, text = "say" }
    one:canvas(1)
    platform:message { to = workspace.id, text = "broken" }
    one:log "warn  .*the handler failed"
    assert.falsy(one.process.stderr:find(" info ", 1, true))
    one:stop()
  end)

  for _, case in ipairs {
    { { "--log-level", "loud" }, '%-%-log%-level is error, warn, info or debug; got "loud"' },
    { { "--log-format", "xml" }, '%-%-log%-format is auto, text, logfmt, json or journal; got "xml"' },
    { { "--color", "red" }, '%-%-color is auto, always or never; got "red"' },
    { { "--log-file", "/nowhere/log" }, "%-%-log%-file /nowhere/log: No such file or directory" },
    { { "--log-file", "log", "--log-format", "journal" }, "exclude each other" },
  } do
    it("names a wrong choice: " .. table.concat(case[1], " "), function()
      local one = connect(case[1])
      one:wait_exit(2)
      assert.matches(case[2], one.process.stderr)
    end)
  end

  it("does not wait for a reader of a pipe that --log-file names, and says so", function()
    local path = host.directory() .. "/pipe"
    assert(os.execute("mkfifo '" .. path .. "'"))
    local one = connect { "--log-file", path }
    one:wait_exit(2)
    assert.matches("%-%-log%-file .*/pipe: No such device or address", one.process.stderr)
    local log = host.directory() .. "/log"
    one = connect { "--log-file", log, "--log-format", "json" }
    local function wait_for(event)
      assert(loop.wait(function() return (host.read(log) or ""):find('"event":"' .. event, 1, true) end), event)
    end
    wait_for "registered"
    assert(os.rename(log, log .. ".1"))
    assert(os.rename(path, log))
    one.process:signal "sighup"
    log = log .. ".1"
    wait_for "log.failing"
    wait_for "script.reloaded"
    one:stop()
  end)

  it("goes to --log-file, and to a new one after it was moved and SIGHUP was sent", function()
    local path = host.directory() .. "/molecule.log"
    local one = connect { "--log-file", path, "--log-format", "json" }
    local function wait_for(file, event)
      assert(loop.wait(function() return (host.read(file) or ""):find('"event":"' .. event, 1, true) end), event)
    end
    wait_for(path, "registered")
    assert(os.rename(path, path .. ".1"))
    one.process:signal "sighup"
    wait_for(path, "script.reloaded")
    assert.equal("", one.process.stderr)
    one:stop()
    assert.truthy(#entries(host.read(path)) > 0)
    assert.falsy(host.read(path .. ".1"):find('"event":"workspace.stopped"', 1, true))
    assert.truthy(host.read(path):find('"event":"workspace.stopped"', 1, true))
    assert.equal("0", ("%o"):format(uv.fs_stat(path).mode & 7)) -- others cannot read it
  end)

  it("does not hold up heartbeats or answers while the file system of a new --log-file hangs", function()
    local directory, path = host.directory(), host.directory() .. "/molecule.log"
    local flag = directory .. "/hangs"
    local one = connect({ "--log-file", path, "--log-format", "json", "--heartbeat-ms", "1000" },
      { LD_PRELOAD = preload.build("tests/support/slow_open.c", directory), SLOW_PATH = path, SLOW_FLAG = flag })
    local function has(file, text) return (host.read(file) or ""):find(text, 1, true) end
    assert(loop.wait(function() return has(path, '"event":"registered"') end))
    host.write(flag, "")
    assert(os.rename(path, path .. ".1"))
    one.process:signal "sighup"
    assert(loop.wait(function() return uv.fs_stat(flag .. ".waiting") end))
    beats.wait(one, 3)
    one.process:signal "sighup"
    send { to = workspace.id, text = "say" }
    one:canvas(1)
    assert.falsy(uv.fs_stat(path))
    uv.fs_unlink(flag)
    -- what was said meanwhile, all of it in the new file
    assert(loop.wait(function() return has(path, "heard say") end))
    assert(has(path, '"event":"script.reloaded"'))
    assert.falsy(has(path .. ".1", "heard say") or has(path .. ".1", '"event":"log.lost"') or has(path, '"event":"log.lost"'))
    one:stop()
  end)

  it("under systemd goes to the journal in fields, with an id that tells the event; what is too large is passed", function()
    if not namespace.allowed() then return pending(namespace.PENDING) end
    local directory = host.directory()
    local socket = directory .. "/socket"
    local receiver = host.write(directory .. "/receive.py", [[
import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print("listening", flush=True)
while True:
    data, files, _, _ = socket.recv_fds(s, 1 << 20, 1)
    for file in files:
        data = os.pread(file, 1 << 20, 0)
        os.close(file)
    print(("+" if files else "") + data.hex(), flush=True)
]])
    local journal = process.spawn { command = { "python3", receiver, socket } }
    journal:wait_line "listening"
    -- the socket's place in a root of its own; standard error is the file that JOURNAL_STREAM names
    local library = preload.build("tests/support/small_socket.c", directory)
    local one = connect({}, { MOLECULE_LOG_FORMAT = false, LD_PRELOAD = library }, namespace.after(([[
      mount -t tmpfs none /run && mkdir -p /run/systemd/journal && touch /run/systemd/journal/socket &&
      mount --bind %s /run/systemd/journal/socket &&
      export JOURNAL_STREAM=$(stat -Lc %%d:%%i /dev/stderr)]]):format(socket)))
    local function fields_of(event)
      local found
      assert(loop.wait(function()
        for _, line in ipairs(journal.lines.stdout) do
          local text = line:gsub("%x%x", function(hex) return string.char(tonumber(hex, 16)) end)
          if text:find("MOLECULE_EVENT=" .. event .. "\n", 1, true) then found = text end
        end
        return found
      end), event)
      return found
    end
    local text = fields_of "registered"
    assert.falsy(text:find "^%+")
    assert.matches("PRIORITY=6\n", text)
    assert.matches("MESSAGE_ID=%x+\n", text)
    assert.matches("MOLECULE_WORKSPACE=" .. workspace.id:gsub("%-", "%%-") .. "\n", text)
    platform:message { to = workspace.id, text = "broken" }
    text = fields_of "handler.failed"
    assert.matches("\nMESSAGE\n........message .*\nstack traceback:", text)
    platform:message { to = workspace.id, text = "say much" }
    text = fields_of "script.log"
    assert(text:find "^%+PRIORITY=6\n")
    assert.equal(15000, #text:match "\nMESSAGE=script: (x+)\n$")
    assert.equal("", one.process.stderr)
    one:stop()
    journal:kill()
  end)
end)
