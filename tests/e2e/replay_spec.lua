--- `molecule replay`: what `--record` wrote goes through a script again, and what differs is shown.
local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local process = require "tests.support.process"

describe("molecule replay", function()
  local platform, directory, recording, agent

  local SCRIPT = [[
local molecule = require "molecule"
return function(msg)
  if msg.text == "skip" then return molecule.skip("not mine") end
  if msg.text == "count" then return tostring(molecule.store.incr("n")) end
  if msg.text == "files" then return {text = "here", files = {{name = "a.txt", data = "x"}}} end
  return "one\ntwo " .. msg.text .. "\nthree"
end]]

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)
  before_each(function()
    directory = host.directory()
    recording = directory .. "/messages.jsonl"
    agent = host.write(directory .. "/agent.lua", SCRIPT)
  end)
  after_each(host.clean_up)
  teardown(function() platform:stop() end)

  local function run(words, env)
    local temporary = host.directory()
    env = env or {}
    env.TMPDIR = temporary
    local command = { emulator.binary(), "replay" }
    for _, word in ipairs(words) do command[#command + 1] = word end
    local one = process.spawn { command = command, env = { TERM = "xterm", NO_COLOR = env.NO_COLOR } }
    local code = one:wait_exit()
    assert.same({}, host.list(temporary), "left behind")
    assert(not one.stderr:find("Sanitizer", 1, true), one.stderr)
    return one.stdout, code, one.stderr
  end

  -- A recording of a real host: two senders, every kind of outcome.
  local function record()
    local workspace, peer = host.workspace(platform), host.workspace(platform)
    local one = host.connect { platform = platform, workspace = workspace, script = SCRIPT, args = { "--record", recording } }
    for _, text in ipairs { "hello", "skip", "count", "files" } do platform:message { to = workspace.id, text = text } end
    one:canvas(3)
    platform:message { to = workspace.id, from = peer.id, text = "from a peer" }
    one:peer(peer.id, 1)
    one:stop()
    return peer
  end

  local function change(from, to)
    local text, count = SCRIPT:gsub(from, to)
    assert.equal(1, count)
    host.write(agent, text)
  end

  it("says that everything is as recorded", function()
    record()
    local printed, code, errors = run { recording, agent }
    assert.same({ "5 as recorded, 0 different\n", 0, "" }, { printed, code, errors })
  end)

  it("shows replies and outcomes that differ, and exits with 1", function()
    local peer = record()
    local before = host.read(recording)
    change("two ", "2 ")
    local printed, code = run { recording, agent }
    assert.equal(1, code)
    assert(printed:find("] canvas: hello\n  one\n- two hello\n+ 2 hello\n  three\n", 1, true), printed)
    assert(printed:find(("%s: from a peer\n  one\n- two from a peer\n+ 2 from a peer\n"):format(peer.id), 1, true), printed)
    assert(printed:find("\n3 as recorded, 2 different\n$"), printed)
    change('return molecule.skip%("not mine"%)', 'error "broken"')
    printed, code = run { recording, agent }
    assert(printed:find("canvas: skip\n%- skipped: not mine\n%+ dead: [^\n]*agent.lua:3: broken\n.-%^~+\nstack traceback:"),
      printed)
    assert.equal(1, code)
    change('"a.txt"', '"b.txt"')
    printed = run { recording, agent }
    assert(printed:find("canvas: files\n  here\n- [file: a.txt]\n+ [file: b.txt]\n", 1, true), printed)
    assert.equal(before, host.read(recording))
  end)

  it("updates the lines that differ, and no others", function()
    record()
    local before = {}
    for line in io.lines(recording) do before[#before + 1] = line end
    change("two ", "2 ")
    local printed, code = run { recording, agent, "--update" }
    assert(printed:find "3 as recorded, 2 different; updated\n$", printed)
    assert.equal(0, code)
    local changed = 0
    local number = 0
    for line in io.lines(recording) do
      number = number + 1
      if line ~= before[number] then
        changed = changed + 1
        local old, new = cjson.decode(before[number]), cjson.decode(line)
        assert.same(old.envelope, new.envelope)
        assert.same({ old.at, old.row_id, old.from, old.outcome }, { new.at, new.row_id, new.from, new.outcome })
      end
    end
    assert.same({ #before, 2 }, { number, changed })
    assert.same({ "5 as recorded, 0 different\n", 0, "" }, { run { recording, agent } })
    assert.same({ "agent.lua", "messages.jsonl" }, host.list(directory))
    assert.equal("600", host.mode(recording))
  end)

  it("says that it did not update a recording whose name leaves no room for a temporary's", function()
    recording = directory .. "/" .. ("m"):rep(250)
    record()
    local before = host.read(recording)
    change("two ", "2 ")
    local printed, code, errors = run { recording, agent, "--update" }
    assert.equal(1, code)
    assert(printed:find "3 as recorded, 2 different\n$", printed)
    assert(errors:find(("cannot create %s: File name too long"):format(recording), 1, true), errors)
    assert.equal(before, host.read(recording))
  end)

  it("colors the differences if it is told to, or on a terminal", function()
    record()
    change("two ", "2 ")
    local printed = run { recording, agent, "--color", "always" }
    assert(printed:find("\27[31m- two hello\27[0m\n\27[32m+ 2 hello\27[0m\n", 1, true), printed)
    for _, words in ipairs { { recording, agent }, { recording, agent, "--color=never" } } do
      assert(not run(words):find("\27", 1, true))
    end
    local function on_terminal(env)
      local command = ("%s replay %s %s"):format(emulator.binary(), recording, agent)
      env.TERM = "xterm"
      local one = process.spawn { command = { "script", "-qec", command, "/dev/null" }, env = env }
      one:wait_exit()
      return one.stdout:find("\27[31m- two hello", 1, true) ~= nil
    end
    assert.is_true(on_terminal { NO_COLOR = false })
    assert.is_false(on_terminal { NO_COLOR = "1" })
  end)

  it("is offline", function()
    record()
    change("two ", "\" .. select(3, molecule.http.get \"http://127.0.0.1:1/\") .. \"")
    local printed = run { recording, agent }
    assert(printed:find("+ OFFLINEhello", 1, true), printed)
  end)

  it("passes over what was an answer to the script, and blank lines", function()
    local line = [[{"from":"canvas","envelope":{"params":{"message":{"parts":[{"kind":"text","text":"x"}]}}},"outcome":"%s"}]]
    host.write(recording, "\n" .. line:format "answer" .. "\n" .. line:format "canceled" .. "\n")
    assert.same({ "0 as recorded, 0 different\n", 0, "" }, { run { recording, agent } })
  end)

  it("refuses what is no recording, or has no script", function()
    host.write(recording, "{}\n")
    local _, code, errors = run { recording, agent }
    assert(errors:find(recording .. ":1: this line is not a recorded message", 1, true), errors)
    assert.equal(1, code)
    _, code, errors = run { recording .. "x", agent }
    assert(errors:find("No such file or directory", 1, true), errors)
    assert.equal(1, code)
    for _, words in ipairs { { recording }, {}, { recording, agent, "--color", "blue" }, { recording, agent, "--record", "x" },
      { recording, agent, "--script", agent } } do
      assert.equal(2, (select(2, run(words))))
    end
  end)
end)
