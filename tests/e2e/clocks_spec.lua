--- Somebody sets the clock, or the machine sleeps: no message is lost, and none is answered twice.
local uv = require "luv"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local loop = require "tests.support.loop"
local preload = require "tests.support.preload"

local DAY = 86400

-- Asks for another attempt until it is the third.
local THIRD = [[
  local molecule = require "molecule"
  local runs = {}
  return function(msg)
    runs[msg.id] = (runs[msg.id] or 0) + 1
    if runs[msg.id] < 3 then return molecule.retry { after = %s } end
    return "done: " .. msg.text
  end]]

-- Asks for another attempt until the file is there.
local UNTIL = [[
  local molecule = require "molecule"
  return function(msg, ctx)
    local file = io.open(%q)
    if not file then return molecule.retry { after = %s } end
    file:close()
    return "done: " .. msg.text
  end]]

describe("a clock that is set", function()
  local platform, workspace, directory, library

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)

  teardown(function() platform:stop() end)

  before_each(function()
    workspace = host.workspace(platform)
    directory = host.directory()
    library = preload.build("tests/fault/shim.c", directory)
  end)

  after_each(host.clean_up)

  -- How many seconds the host's wall clock is ahead of ours from now on.
  local function set_clock(ahead)
    host.write(directory .. "/clock.new", tostring(ahead))
    assert(os.rename(directory .. "/clock.new", directory .. "/clock"))
  end

  local function connect(script, args, state_dir)
    local all = { "-v" }
    for _, argument in ipairs(args or {}) do all[#all + 1] = argument end
    return host.connect { platform = platform, workspace = workspace, script = script, args = all, state_dir = state_dir,
      env = { LD_PRELOAD = library, FAULT_SHIM = directory } }
  end

  local function send(text, more)
    local value = { to = workspace.id, text = text }
    for name, field in pairs(more or {}) do value[name] = field end
    return platform:message(value)[1]
  end

  for name, ahead in pairs {
    ["from years ago to now, as after a start without a battery"] = { -2200 * DAY, 0 },
    ["25 hours ahead, as after a sleep"] = { 0, 25 * 3600 },
    ["two days back"] = { 0, -2 * DAY },
    ["from years ahead to now"] = { 2200 * DAY, 0 },
    ["to 1970"] = { 0, 3600 - os.time() },
  } do
    it(name .. ", while a message waits for its next attempt, costs it nothing", function()
      set_clock(ahead[1])
      local one = connect(THIRD:format "0.5")
      local id = send "hello"
      one:log_of(id, "retry in")
      set_clock(ahead[2])
      assert.same({ "done: hello" }, one:canvas(1))
      send "later"
      assert.same({ "done: hello", "done: later" }, one:canvas(2))
      one:stop()
      assert.equal(0, one:count_log "dead letter")
    end)

    it(name .. ", while a reply cannot be posted, costs it nothing", function()
      set_clock(ahead[1])
      local one = connect(host.ECHO)
      platform:fault({ kind = "status", status = 503 }, { path = workspace.id .. "/notify" }, { times = 3 })
      send "hello"
      one:log "posting the same reply again"
      set_clock(ahead[2])
      assert.same({ "echo: hello" }, one:canvas(1))
      one:stop()
      assert.equal(0, one:count_log "dead letter")
      platform:clear_faults()
    end)

    it(name .. ", between two processes, costs a message that waits nothing", function()
      local flag = directory .. "/flag"
      set_clock(ahead[1])
      local one = connect(UNTIL:format(flag, "30"), { "--reply-ttl", "10m" })
      local id = send "hello"
      one:log_of(id, "retry in")
      one:wait_cursor(id)
      one:stop()
      set_clock(ahead[2])
      host.write(flag, "")
      local two = connect(UNTIL:format(flag, "30"), { "--reply-ttl", "10m" }, one.state_dir)
      assert.same({ "done: hello" }, two:canvas(1))
      two:stop()
      assert.equal(0, one:count_log "dead letter" + two:count_log "dead letter")
    end)
  end

  it("back after a last poll of the future does not narrow the window after a pruned cursor", function()
    set_clock(10 * DAY)
    local one = connect(host.ECHO)
    send "before"
    assert.same({ "echo: before" }, one:canvas(1))
    one:stop()
    set_clock(0)
    platform:order("prune", { workspace = workspace.id, all = true })
    send("meanwhile", { created_at = host.ago(DAY) })
    local two = connect(host.ECHO, {}, one.state_dir)
    two:log "no longer knows our cursor"
    assert.same({ "echo: before", "echo: meanwhile" }, two:canvas(2))
    two:stop()
  end)

  it("does not end a stored value's time", function()
    local one = connect([[
      local molecule = require "molecule"
      return function(msg)
        if msg.text == "set" then molecule.store.set("key", "value", { ttl = 3600 }) return "set" end
        return tostring(molecule.store.get "key")
      end]])
    send "set"
    one:canvas(1)
    set_clock(2 * 3600)
    send "get"
    assert.same({ "set", "value" }, one:canvas(2))
    one:stop()
  end)

  it("is not needed for a machine that stands still: what waits has its whole time afterwards", function()
    local flag = directory .. "/flag"
    local one = connect(UNTIL:format(flag, "0.3"), { "--reply-ttl", "4s" })
    local id = send "hello"
    one:log_of(id, "retry in")
    uv.kill(one.process.pid, "sigstop")
    local over, timer = false, uv.new_timer()
    timer:start(5000, 0, function() over = true end)
    loop.wait(function() return over end)
    timer:close()
    host.write(flag, "")
    uv.kill(one.process.pid, "sigcont")
    assert.same({ "done: hello" }, one:canvas(1))
    one:stop()
  end)
end)
