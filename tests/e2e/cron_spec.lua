--- molecule.cron: what a script does by a schedule. Every due run is a message of the ledger. The host's clock is the test's.

local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local preload = require "tests.support.preload"
local process = require "tests.support.process"

local DAY, HOUR = 86400, 3600
local TOMORROW = (os.time() // DAY + 1) * DAY -- midnight, UTC

local TELLS = [[
  local molecule = require "molecule"
  return {
    start = function()
      molecule.cron("0 8 * * *", function(run, ctx)
        molecule.notify(("%%s at %%s"):format(run.name, os.date("!%%H:%%M", run.scheduled_at)))
      end, { name = "morning", timezone = "UTC", catch_up = %s })
    end,
    handle = function(msg) return "heard: " .. msg.text end,
  }]]

describe("a schedule", function()
  local platform, workspace, directory, library

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)

  before_each(function()
    workspace = host.workspace(platform)
    directory = host.directory()
    library = preload.build("tests/fault/shim.c", directory)
  end)

  after_each(host.clean_up)
  teardown(function() platform:stop() end)

  -- The host's wall clock from now on: hours since tomorrow's midnight, UTC.
  local function set_clock(hours)
    host.write(directory .. "/clock.new", ("%d"):format(TOMORROW + hours * HOUR - os.time()))
    assert(os.rename(directory .. "/clock.new", directory .. "/clock"))
  end

  local function connect(script, options)
    local all = { platform = platform, workspace = workspace, script = script, args = { "-v" },
      env = { LD_PRELOAD = library, FAULT_SHIM = directory } }
    for name, value in pairs(options or {}) do all[name] = value end
    return host.connect(all)
  end

  -- Started at seven, tomorrow, and brought to eight when it knows of its schedule.
  local function connect_until_eight(script, options)
    set_clock(7)
    local one = connect(script, options)
    one:log "is due next at"
    set_clock(8)
    return one
  end

  local function molecule(one, ...)
    local run = process.spawn { command = { emulator.binary(), ... }, env = { MOLECULE_STATE_DIR = one.state_dir } }
    return run:wait_exit(), run.stdout, run.stderr
  end

  it("is run when it is due, as a message with its own conversation whose result nobody is sent", function()
    local one = connect_until_eight [[
      local molecule = require "molecule"
      return {
        start = function()
          molecule.cron("0 8 * * *", function(run, ctx)
            molecule.log("%s|%s|%s|%d|%s|%d|%s", run.name, run.spec, run.timezone, run.scheduled_at % 86400, #run.id, ctx.attempt,
              ctx.redelivered)
            local keys = {}
            for key in pairs(run) do keys[#keys + 1] = "CronRun." .. key end
            table.sort(keys)
            molecule.log("fields: %s.", table.concat(keys, " "))
            ctx.progress "it is eight"
            return "nobody reads this"
          end, { timezone = "UTC" })
        end,
        conversation = function(msg) return msg.from end,
        handle = function(msg) return "heard: " .. msg.text end,
      }]]
    one:log "0 8 %* %* %* UTC #1|0 8 %* %* %*|UTC|28800|36|1|false"
    local pipe = assert(io.popen "cmake/api-reference --names")
    local described = {}
    for name in pipe:read "a":gmatch "CronRun%.[%w_]+" do described[#described + 1] = name end
    assert(pipe:close())
    table.sort(described)
    assert.equal(table.concat(described, " "), one:log("fields: "):match "fields: (.*)%.")
    one:log "message %x+%-[%x-]+ from cron/0 8 %* %* %* UTC #1: no_reply"
    assert.same({ "it is eight" }, one:canvas(1))
    one:log "its function returned a string, which is sent to nobody"
    local id = platform:message({ to = workspace.id, text = "x" })[1]
    assert.same({ "it is eight", "heard: x" }, one:canvas(2))
    one:stop_at(id)
    assert.equal(1, one:count_log "it is eight|no_reply" + one:count_log ": no_reply")
  end)

  it("that fails is run again under the same id, and is a dead letter in the end, which can be retried", function()
    local one = connect_until_eight([[
      local molecule = require "molecule"
      molecule.cron("0 8 * * *", function(run, ctx)
        molecule.log("attempt %d of %s", ctx.attempt, run.id)
        if not molecule.store.get "fixed" then error "not yet" end
      end, { name = "report", timezone = "UTC" })
      return function(msg) molecule.store.set("fixed", true) return "fixed" end]], { args = { "-v", "--max-attempts", "2" } })
    local id = one:log("attempt 1 of"):match "attempt 1 of (%S+)"
    one:log("attempt 2 of " .. id:gsub("%-", "%%-"))
    one:log_of(id, "the handler failed %(attempt 2 of 2%): .*agent%.lua:4: not yet")
    local code, shown = molecule(one, "dead", "show", workspace.id, id)
    assert.equal(0, code)
    assert(shown:find("cron/report", 1, true) and shown:find("not yet", 1, true), shown)
    platform:message { to = workspace.id, text = "x" }
    one:canvas(1)
    assert.equal(0, (molecule(one, "dead", "retry", workspace.id, id)))
    one:log_of(id, "from cron/report: no_reply")
    one:stop()
    assert.same({ "fixed" }, one:told_canvas())
  end)

  it("that fails after a step does not do that again", function()
    local one = connect_until_eight [[
      local molecule = require "molecule"
      molecule.cron("0 8 * * *", function(run, ctx)
        local first = ctx.step("count", function() molecule.log "counted" return ctx.attempt end)
        if ctx.attempt == 1 then error "not yet" end
        molecule.log("step of attempt %d, run %d", first, ctx.attempt)
      end, { name = "report", timezone = "UTC" })
      return function() end]]
    one:log "step of attempt 1, run 2"
    one:log "from cron/report: no_reply"
    one:stop()
    assert.equal(1, one:count_log "counted")
  end)

  it("whose dead letter is dropped is not run any more", function()
    local one = connect_until_eight [[
      local molecule = require "molecule"
      molecule.cron("0 8 * * *", function() return molecule.dead "no use" end, { name = "report", timezone = "UTC" })
      return function() end]]
    local id = one:log("cron/report: dead letter: no use"):match "message (%x+%-%S+)"
    one:log "to see the dead letter"
    assert.equal(0, (molecule(one, "dead", "drop", workspace.id, id)))
    one:stop()
    local code, listed = molecule(one, "dead", "list", workspace.id)
    assert.equal(0, code)
    assert.is_nil(listed:find(id, 1, true))
  end)

  it("whose process is killed in the middle is run again under the same id, once", function()
    local script = ([[
      local molecule = require "molecule"
      molecule.cron("0 8 * * *", function(run, ctx)
        molecule.log("attempt %%d of %%s", ctx.attempt, run.id)
        local file = io.open(%q)
        if not file then molecule.sleep(1000) end
        file:close()
        molecule.notify "done"
      end, { name = "report", timezone = "UTC" })
      return function() return "heard" end]]):format(directory .. "/flag")
    local one = connect_until_eight(script)
    local id = one:log("attempt 1 of"):match "attempt 1 of (%S+)"
    one:kill()
    host.write(directory .. "/flag", "")
    local two = connect(script, { state_dir = one.state_dir })
    two:log("attempt 2 of " .. id:gsub("%-", "%%-"))
    two:log_of(id, "no_reply")
    assert.same({ "done" }, two:canvas(1))
    two:stop()
    assert.equal(1, two:count_log "attempt %d of")
  end)

  it("that was missed while the host was down is run once at the start, the last time of all", function()
    set_clock(7)
    local one = connect(TELLS:format "true")
    one:log "is due next at"
    one:stop()
    set_clock(7 + 24 * 5 + 2)
    local two = connect(TELLS:format "true", { state_dir = one.state_dir })
    assert.same({ "morning at 08:00" }, two:canvas(1))
    two:log "cron/morning: the run of %S+ was missed and happens now"
    two:log "from cron/morning: no_reply"
    two:stop()
    local three = connect(TELLS:format "true", { state_dir = one.state_dir })
    three:log "is due next at"
    platform:message { to = workspace.id, text = "x" }
    assert.same({ "morning at 08:00", "heard: x" }, three:canvas(2))
    three:stop()
    assert.equal(0, three:count_log "from cron/")
  end)

  it("runs nothing that was missed with catch_up = false, nor at its first start", function()
    set_clock(9)
    local one = connect(TELLS:format "true") -- eight was an hour ago, but nobody was there
    one:log "is due next at"
    one:stop()
    set_clock(24 + 9)
    local two = connect(TELLS:format "false", { state_dir = one.state_dir })
    two:log "is due next at"
    platform:message { to = workspace.id, text = "x" }
    assert.same({ "heard: x" }, two:canvas(1))
    set_clock(48 + 7)
    set_clock(48 + 8)
    assert.same({ "heard: x", "morning at 08:00" }, two:canvas(2))
    two:stop()
    assert.equal(0, one:count_log "from cron/")
    assert.equal(1, two:count_log "from cron/morning: no_reply")
  end)

  it("is run once for all that a clock set forth passed, and not again when it is set back", function()
    local script = ([[
      local molecule = require "molecule"
      molecule.cron("0 * * * *", function(run)
        molecule.notify(("%%d. %%s"):format(run.scheduled_at // 86400 - %d, os.date("!%%H:%%M", run.scheduled_at)))
      end, { name = "hourly", timezone = "UTC" })
      return function(msg) return msg.text end]]):format(TOMORROW // DAY)
    set_clock(7.5)
    local one = connect(script)
    one:log "is due next at"
    set_clock(30.25) -- 23 runs are passed
    assert.same({ "1. 06:00" }, one:canvas(1))
    set_clock(28.5) -- less than three hours: the times that were are waited for
    platform:message { to = workspace.id, text = "back" }
    one:canvas(2)
    set_clock(31.25)
    assert.same({ "1. 06:00", "back", "1. 07:00" }, one:canvas(3))
    set_clock(5.5) -- a correction
    one:log "the clock was set back by more than three hours"
    set_clock(6.25)
    assert.same({ "1. 06:00", "back", "1. 07:00", "0. 06:00" }, one:canvas(4))
    set_clock(30.5) -- this one was
    one:log "this run has been: the clock was set back"
    set_clock(32)
    assert.same({ "1. 06:00", "back", "1. 07:00", "0. 06:00", "1. 08:00" }, one:canvas(5))
    one:stop()
  end)

  it("is replaced by a reload: what was due stays due, what the script no longer has is skipped", function()
    local flag = directory .. "/flag"
    local script = [[
      local molecule = require "molecule"
      molecule.cron("0 8 * * *", function() molecule.notify "%s" end, { name = "%s", timezone = "UTC" })
      return function() return "heard" end]]
    set_clock(7)
    local one = connect(([[
      local molecule = require "molecule"
      molecule.cron("0 8 * * *", function() if not io.open(%q) then error "not yet" end end, { name = "old", timezone = "UTC" })
      return function() return "heard" end]]):format(flag))
    one:log "cron/old is due next at"
    set_clock(8)
    local id = one:log("cron/old: the handler failed"):match "message (%S+)"
    host.write(one.script_path, script:format("new", "new"))
    one.process:signal "sighup"
    one:log "the script is reloaded"
    one:log_of(id, 'cron/old: skipped: the script has no schedule "old" any more')
    one:log "cron/new is due next at"
    local _, shown = molecule(one, "status", workspace.id, "--json")
    local names = {}
    for i, each in ipairs(cjson.decode(shown).schedules) do names[i] = each.name end
    assert.same({ "new" }, names)
    set_clock(32)
    assert.same({ "new" }, one:canvas(1))
    one:stop()
  end)

  it("stands in the status with its next run", function()
    set_clock(7)
    local one = connect [[
      local molecule = require "molecule"
      molecule.cron("30  8 * * *", function() end, { name = "report", timezone = "UTC" })
      molecule.cron("@monthly", function() end, { timezone = "Europe/Berlin" })
      return function() end]]
    one:log "Berlin #1 is due next"
    local code, shown = molecule(one, "status", workspace.id, "--json")
    assert.equal(0, code)
    local schedules = cjson.decode(shown).schedules
    assert.same({ name = "report", spec = "30 8 * * *", timezone = "UTC",
      next = os.date("!%Y-%m-%dT08:30:00.000Z", TOMORROW) }, schedules[1])
    assert.equal("@monthly Europe/Berlin #1", schedules[2].name)
    code, shown = molecule(one, "status", workspace.id)
    assert.equal(0, code)
    assert(shown:find "\nnext run%s+%S+08:30:00%S+ report\n", shown)
    one:stop()
  end)

  it("is told in `molecule dev`, by its name", function()
    set_clock(7)
    local path = host.write(directory .. "/agent.lua", [[
      local molecule = require "molecule"
      molecule.cron("0 8 * * *", function() end, { name = "report", timezone = "UTC" })
      return function() return "heard" end]])
    local one = process.spawn { command = { emulator.binary(), "dev", path, "--port", "0", "-v" },
      env = { LD_PRELOAD = library, FAULT_SHIM = directory } }
    one:wait_line("cron/report is due next at", { stream = "stderr" })
    set_clock(8)
    one:wait_line("^%[1%] %(a run of cron/report%)", { stream = "stdout" })
    one:wait_line("^%[1%] no_reply in", { stream = "stdout" })
    one:signal "sigterm"
    assert.equal(0, (one:wait_exit()))
  end)

  it("waits for its turn: the runs of one are in order, and others pass by", function()
    set_clock(7)
    local one = connect(([[
      local molecule = require "molecule"
      molecule.cron("0 8,9 * * *", function(run)
        local hour = os.date("!%%H", run.scheduled_at)
        molecule.log("run of %%s", hour)
        if hour == "08" and not io.open(%q) then return molecule.retry { after = 1, hold = true } end
        molecule.notify("ordered " .. hour)
      end, { name = "ordered", timezone = "UTC" })
      molecule.cron("0 9 * * *", function() molecule.notify "other" end, { name = "other", timezone = "UTC" })
      return function() end]]):format(directory .. "/flag"))
    one:log "cron/other is due next at"
    set_clock(8)
    one:log "cron/ordered: retry in"
    set_clock(9)
    assert.same({ "other" }, one:canvas(1))
    host.write(directory .. "/flag", "")
    assert.same({ "other", "ordered 08", "ordered 09" }, one:canvas(3))
    one:stop()
  end)

  it("is followed in the sandbox, where no file can be read", function()
    local one = connect_until_eight(TELLS:format("true"):gsub('"UTC"', '"Etc/UTC"'), { args = { "-v", "--sandbox" } })
    assert.same({ "morning at 08:00" }, one:canvas(1))
    one:stop()
  end)

  it("that cannot be is a mistake at the script's line", function()
    local one = host.run({ platform = platform, workspace = workspace, script = [[
      local molecule = require "molecule"
      local said = {}
      local function try(...)
        local fine, problem = pcall(molecule.cron, ...)
        said[#said + 1] = fine and "fine" or problem
      end
      return {
        start = function()
          try("0 25 * * *", print)
          try(8, print)
          try("* * * * *")
          try("* * * * *", print, { name = "a", timezone = "Europe/Berlim" })
          try("* * * * *", print, { nane = "a" })
          try("* * * * *", print, { catch_up = 1 })
          try("* * * * *", print, { name = "a" })
          try("* * * * *", print, { name = "a" })
          try("* * * * *", print, { name = "a\nb" })
          for i = 2, 100 do molecule.cron("* * * * *", print) end
          try("* * * * *", print)
          error(table.concat(said, "\n"))
        end,
        handle = print,
      }]] }, 2)
    local said = one.process.stderr
    for _, expected in ipairs {
      'agent.lua:4: cron: field 2 (hour) of "0 25 * * *": 25 is above 23',
      'cron: the schedule must be a string like "0 8 * * 1-5", not a number',
      "cron: the second argument must be a function(run, ctx), not a nil",
      'cron: the time zone "Europe/Berlim" is not known on this machine',
      "cron: unknown field 'nane'; did you mean 'name'?",
      "cron: catch_up must be a boolean, not a number",
      'fine\n',
      'cron: the name "a" is taken by another schedule ("* * * * *"); give this one another',
      "cron: the name must be text of 1 to 100 bytes in one line, not ",
      "cron: there are 100 schedules already, and no more are taken",
    } do
      assert(said:find(expected, 1, true), expected .. "\n" .. said)
    end
  end)

  it("cannot be made later than in start", function()
    local one = connect [[
      local molecule = require "molecule"
      return function() return (select(2, pcall(function() molecule.cron("* * * * *", print) end))) end]]
    platform:message { to = workspace.id, text = "x" }
    local told = one:canvas(1)[1]
    assert(told:find("agent.lua:2: cron: schedules are made while the script loads or in its start, and not", 1, true), told)
    one:stop()
  end)
end)
