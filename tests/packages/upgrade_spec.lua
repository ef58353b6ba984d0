--- The installed program is upgraded while messages are under way: $MOLECULE_UPGRADE installs it again.
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local process = require "tests.support.process"

-- Answers when the file is there.
local WAITS = [[
local molecule = require "molecule"
return {concurrency = 8, handle = function(msg)
  molecule.log("begins %%s", msg.text)
  while not io.open(%q) do molecule.sleep(0.05) end
  return "answer to " .. msg.text
end}]]

describe("an upgrade", function()
  local platform

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)
  after_each(host.clean_up)
  teardown(function() platform:stop() end)

  it("with messages under way loses none, and answers none twice", function()
    local workspace, peers = host.workspace(platform), {}
    local directory = host.directory()
    local options = { platform = platform, workspace = workspace, state_dir = directory .. "/state",
      script = WAITS:format(directory .. "/flag"), args = { "--drain", "100ms" } }
    local one, number = host.connect(options), 0
    for i = 1, 20 do
      peers[i] = host.workspace(platform)
      platform:message { to = workspace.id, from = peers[i].id, text = "before " .. i }
    end
    for _ = 1, 8 do
      local _, at = one:log("begins before", { from = number + 1 })
      number = at
    end

    local upgrade = process.spawn { command = { os.getenv "MOLECULE_UPGRADE" } }
    assert.equal(0, upgrade:wait_exit(), upgrade:report())
    assert(one.process:running(), one.process:report()) -- the old version, until it is restarted
    for i = 1, 20 do platform:message { to = workspace.id, from = peers[i].id, text = "during " .. i } end
    one:stop()

    host.write(directory .. "/flag", "")
    local two = host.connect(options)
    for i = 1, 20 do
      assert.same({ "answer to before " .. i, "answer to during " .. i }, (two:peer(peers[i].id, 2)))
    end
    two:stop()
    assert.equal(40, #two:posts "/a2a")
  end)
end)
