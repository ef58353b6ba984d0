--- Words of others on their way to the operator's terminal: whatever command prints them, they steer nothing there.
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local process = require "tests.support.process"

local RAW = "\27]0;pwned\7\27[31mred\194\155" .. "2J\226\128\174\226\129\166\216\156\226\128\143\127\r\nFAKE line"
-- characters that must not come out, wherever they came in
local MARKS = { "\27", "\7", "\194\155", "\226\128\174", "\226\129\166", "\216\156", "\226\128\143", "\127", "\r", "\8" }

local function is_clean(text)
  for _, mark in ipairs(MARKS) do
    local at = text:find(mark, 1, true)
    if at then error(("%q came out: %q"):format(mark, text:sub(math.max(1, at - 60), at + 20)), 2) end
  end
end

describe("a terminal", function()
  local platform, workspace, peer

  setup(function()
    platform = emulator.start { args = { "--rate-limit", "-1" } }
  end)

  before_each(function()
    workspace, peer = host.workspace(platform), host.workspace(platform)
  end)

  after_each(function()
    host.clean_up()
    platform:clear_faults()
  end)

  teardown(function()
    platform:stop()
  end)

  local function run(words)
    local command = { emulator.binary() }
    for _, word in ipairs(words) do command[#command + 1] = word end
    local one = process.spawn { command = command, env = { MOLECULE_WORKSPACE_TOKEN = false } }
    local code = one:wait_exit()
    return one.stdout .. one.stderr, code
  end

  it("is not steered by what a message, its sender or its row's id hold", function()
    platform:message { to = workspace.id, text = RAW, row = { id = "id" .. RAW } }
    platform:message { to = workspace.id, text = RAW, row = { source_id = "src" .. RAW } }
    platform:message { to = workspace.id, from = peer.id, text = RAW, row = { peer_name = RAW, peer_role = RAW } }
    local one = host.connect { platform = platform, workspace = workspace, args = { "-v", "--max-attempts", "1" }, script = [[
      local molecule = require "molecule"
      return function(msg)
        molecule.log("heard %s", msg.text)
        if msg.text == "fine" then return "fine" end
        error(msg.text)
      end]] }
    local number = 0
    for _ = 1, 3 do
      local _, at = one:log("is set aside as a dead letter", { from = number + 1 })
      number = at
    end
    platform:message { to = workspace.id, text = "fine" }
    one:canvas(1) -- what is behind it is on disk
    local state = { "--state-dir", one.state_dir }
    local function command(...)
      local words = { ... }
      table.move(state, 1, 2, #words + 1, words)
      return run(words)
    end
    for turn = 0, 1 do -- with a live host, and from its files
      for _, words in ipairs { { "dead", "list" }, { "dead", "list", "--json" }, { "dead", "show", "--all" },
        { "dead", "show", "--all", "--json" }, { "status" }, { "status", "--json" } } do
        local text, code = command(words[1], words[2] or workspace.id, words[2] and workspace.id or nil, words[3], words[4])
        if words[1] == "status" then text, code = command("status", workspace.id, words[2]) end
        assert.equal(words[1] == "status" and turn or 0, code, text)
        assert(#text > 20)
        is_clean(text)
        if words[1] == "dead" then assert(text:find("202e", 1, true), text) end
      end
      if one.process:running() then one:stop() end
    end
    local text = command("dead", "retry", workspace.id, "id" .. RAW)
    is_clean(text)
    is_clean((command("dead", "drop", workspace.id, "nobody's " .. RAW)))
    is_clean(one.process.stderr)
    for _, line in ipairs(one.process.lines.stderr) do assert(not line:find "^FAKE", line) end
    assert(one.process.stderr:find("\\x1b]0;pwned\\x07", 1, true))
  end)

  it("gets a list whose lines are one a message, whatever their words hold", function()
    local one = host.connect { platform = platform, workspace = workspace, args = { "--max-attempts", "1" },
      script = [[return function(msg) if msg.text == "fine" then return "fine" end error(msg.text) end]] }
    platform:message { to = workspace.id, text = "a\nb", row = { source_id = "src\n\rFAKE" } }
    one:log("is set aside as a dead letter")
    platform:message { to = workspace.id, text = "fine" }
    one:canvas(1)
    local text = run { "dead", "list", workspace.id, "--state-dir", one.state_dir }
    local _, lines = text:gsub("\n", "")
    assert.equal(2, lines, text)
    one:stop()
  end)

  it("is not steered by what a platform says", function()
    platform:fault({ kind = "status", status = 400, body = { error = RAW } }, { path = "/registry/register" })
    local one = host.run({ platform = platform, workspace = workspace, script = host.ECHO }, 1)
    is_clean(one.process.stderr)
  end)

  it("is not steered by an argument or a file's name", function()
    local name = host.directory() .. "/\27[31m\226\128\174agent.lua"
    for _, words in ipairs { { "\27[31m" }, { "connect", "\27[31m" }, { "connect", workspace.id, "--script", "/nowhere/\27[31m" },
      { "dead", "\27[31m", workspace.id }, { "status", "x", "--\27[31m" }, { "fleet", "/nowhere/\27[31m" },
      { "dev", "/nowhere/\27[31m" }, { "connect", workspace.id, "--script", host.write(name, "return function("), "--dry-run" },
      { "connect", workspace.id, "--script", host.write(name .. "2", "return print"), "--dry-run", "--name", "\27[31m" } } do
      local text = run(words)
      assert(#text > 0)
      is_clean(text)
    end
  end)
end)
