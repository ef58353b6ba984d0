--- A state directory that an older version left: what waited there is finished by this one, once.
-- tests/state/ledger-6.sql is the ledger (form 6, of 2026-11-26) of a host that was stopped with four messages: a dead letter,
-- one that is retried later, one with a recorded step, and one that waits for an answer; and a value in the store.
local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local process = require "tests.support.process"
local uv = require "luv"

local ID = "7f1d0c9e-3a52-4a0e-9d0b-6f2b1f3f8a11"

local function run(command, input)
  local one = process.spawn { command = command, keep_stdin = true, env = { MOLECULE_WORKSPACE_TOKEN = false } }
  if input then one:write(input) end
  one:close_stdin()
  local code = one:wait_exit()
  assert.equal(0, code, one.stderr)
  return one.stdout
end

describe("the state of an older version", function()
  local platform, workspace, state, database

  setup(function()
    platform = emulator.start { args = { "--rate-limit", "-1" } }
    workspace = host.workspace(platform, { id = ID })
  end)

  before_each(function()
    local directory = host.directory()
    state, database = directory .. "/state", directory .. "/state/" .. ID .. ".db"
    uv.fs_mkdir(state, 448)
    -- two hours later
    run({ "sqlite3", database }, host.read("tests/state/ledger-6.sql"):gsub("'PLATFORM'", "'" .. platform.url .. "'") ..
      "UPDATE messages SET due = due - 7200000 WHERE due > 0;")
    host.write(("%s/%s.json"):format(state, ID), host.read "tests/state/cursor-6.json")
  end)

  after_each(host.clean_up)

  teardown(function()
    platform:stop()
  end)

  it("is taken over: what waited is finished once, dead letters and the store are there", function()
    local one = host.connect { platform = platform, workspace = workspace, state_dir = state, script = [[
      local molecule = require "molecule"
      return function(msg, ctx)
        if msg.text == "later" then return "later, in attempt " .. ctx.attempt end
        if msg.text == "step" then
          return "the step was done by " .. ctx.step("once", function() return { from = "this version" } end).from
        end
        if msg.text == "ask" then return "you said: " .. ctx.ask("well?", { timeout = "30d" }).text end
        if msg.text == "stored" then return "stored " .. molecule.store.get "counter" end
        return "handled again: " .. msg.text
      end]] }
    one:canvas(2)
    platform:message { to = ID, text = "yes" }
    one:canvas(3)
    platform:message { to = ID, text = "stored" }
    one:canvas(4)
    local told = one:told_canvas()
    table.sort(told)
    assert.same({ "later, in attempt 2", "stored 7", "the step was done by 0.1.0", "you said: yes" }, told)
    local dead = cjson.decode(run { emulator.binary(), "dead", "list", ID, "--state-dir", state, "--json" })
    assert.equal(1, #dead)
    one:stop()
  end)

  it("is only read by commands that look at it, and says so plainly if it is of a newer form", function()
    local before = run({ "sqlite3", database }, "PRAGMA user_version;")
    run { emulator.binary(), "dead", "list", ID, "--state-dir", state }
    assert.equal(before, run({ "sqlite3", database }, "PRAGMA user_version;"))
    run({ "sqlite3", database }, "PRAGMA user_version = 99;")
    local one = host.start { platform = platform, workspace = workspace, state_dir = state,
      script = "return function(msg) return 'said' end" }
    one:wait_exit(1)
    assert.matches("newer", one.process.stderr)
    assert.equal("99\n", run({ "sqlite3", database }, "PRAGMA user_version;"))
  end)
end)
