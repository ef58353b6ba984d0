--- `molecule peers` and `molecule send`: questions to the platform as a workspace, without serving it.

local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local process = require "tests.support.process"

describe("an errand", function()
  local platform, workspace, peer

  before_each(function()
    platform = emulator.start()
    workspace = host.workspace(platform)
    peer = host.workspace(platform, { name = "weather" })
  end)

  after_each(function()
    process.kill_all()
    host.clean_up()
    platform:stop()
  end)

  local function molecule(words, code, env)
    local all = { MOLECULE_WORKSPACE_TOKEN = workspace.token, MOLECULE_API_URL = platform.url, MOLECULE_ORG_ID = false,
      MOLECULE_STATE_DIR = host.directory() .. "/s", MOLECULE_WORKSPACE_TOKEN_FILE = false }
    for name, value in pairs(env or {}) do all[name] = value end
    local child = process.spawn { command = { emulator.binary(), table.unpack(words) }, env = all }
    assert.equal(code, child:wait_exit(), child.stdout .. child.stderr)
    return child.stdout, child.stderr
  end

  local function serve(script)
    return host.connect { platform = platform, workspace = peer, script = script }
  end

  it("lists the peers, a line each, or as JSON", function()
    local said = molecule({ "peers", workspace.id }, 0)
    assert.truthy(said:find(peer.id, 1, true) and said:find("weather", 1, true), said)
    local list = cjson.decode((molecule({ "peers", workspace.id, "--json" }, 0)))
    assert.equal(peer.id, list[1].id)
    assert.equal("", (molecule({ "peers", workspace.id, "--query", "nobody" }, 0)))
  end)

  it("sends to a peer that polls, and prints what that answers into our inbox", function()
    local one = serve "return function(msg) return 'you asked: ' .. msg.text end"
    assert.equal("you asked: rain?\n", (molecule({ "send", workspace.id, peer.id, "rain?" }, 0)))
    one:stop()
  end)

  it("sends to a peer that is pushed to, and prints its answer", function()
    peer = host.workspace(platform, { delivery_mode = "push", url = "http://127.0.0.1:1/", push_answer = { body = {
      jsonrpc = "2.0", id = "1", result = { parts = { { kind = "text", text = "at once" } } } } } })
    assert.equal("at once\n", (molecule({ "send", workspace.id, peer.id, "rain?" }, 0)))
  end)

  it("says that the peer has the message where no answer comes in time", function()
    local _, said = molecule({ "send", workspace.id, peer.id, "rain?", "--timeout", "1s" }, 3)
    assert.truthy(said:find("has the message, and has not answered yet", 1, true), said)
  end)

  it("waits out failures of the platform, once the peer has the message", function()
    platform:fault({ kind = "status", status = 503 }, { method = "GET", path = workspace.id .. "/activity" },
      { skip = 1, times = 2 })
    local one = serve "return function(msg) return 'after all' end"
    assert.equal("after all\n", (molecule({ "send", workspace.id, peer.id, "rain?" }, 0)))
    one:stop()
  end)

  it("says that the peer has the message where the answer can no longer be fetched", function()
    platform:fault({ kind = "status", status = 401 }, { method = "GET", path = workspace.id .. "/activity" }, { skip = 1 })
    local _, said = molecule({ "send", workspace.id, peer.id, "rain?" }, 1)
    assert.truthy(said:find(peer.id .. " has the message, but its answer cannot be fetched: ", 1, true), said)
  end)

  it("hides the token where the platform says it", function()
    platform:fault({ kind = "status", status = 400, body = cjson.encode { error = "bad token " .. workspace.token } },
      { path = "/peers" })
    local _, said = molecule({ "peers", workspace.id }, 1)
    assert.truthy(said:find("bad token [hidden]", 1, true), said)
    assert.falsy(said:find(workspace.token, 1, true), said)
  end)

  it("says what came where the list of peers is no list", function()
    platform:fault({ kind = "status", status = 200, body = '{"peers": 7}' }, { path = "/peers" })
    local said, problem = molecule({ "peers", workspace.id }, 1)
    assert.equal("", said)
    assert.truthy(problem:find('the answer is not the JSON expected: {"peers": 7}', 1, true), problem)
  end)

  it("takes no older message of the peer for the answer", function()
    platform:message { to = workspace.id, from = peer.id, text = "from before" }
    molecule({ "send", workspace.id, peer.id, "rain?", "--timeout", "1s" }, 3)
  end)

  it("leaves the workspace's inbox and state as they are", function()
    local one = serve "return function(msg) return 'dry' end"
    molecule({ "send", workspace.id, peer.id, "rain?" }, 0)
    one:stop()
    local served = host.connect { platform = platform, workspace = workspace, script = host.ECHO,
      args = { "--since-secs", "3600" } }
    served:log "message .- from .-: "
    served:stop()
  end)

  it("says what is wrong with the token, the peer and the words", function()
    local _, said = molecule({ "peers", workspace.id }, 1, { MOLECULE_WORKSPACE_TOKEN = "another-token" })
    assert.truthy(said:find("does not take the token for the workspace", 1, true), said)
    assert.falsy(said:find("another-token", 1, true), said)
    _, said = molecule({ "send", workspace.id, "no such", "x" }, 1)
    assert.truthy(said:find('the peer\'s id "no such" is not a valid workspace id', 1, true), said)
    for _, command in ipairs { { "send", "no such", peer.id, "x" }, { "peers", "no such" } } do
      _, said = molecule(command, 1)
      assert.truthy(said:find("the workspace id is invalid", 1, true), said)
    end
    _, said = molecule({ "send", workspace.id, peer.id }, 2)
    assert.truthy(said:find("molecule send <workspace-id> <peer-id> TEXT", 1, true), said)
    _, said = molecule({ "peers", workspace.id }, 1, { MOLECULE_WORKSPACE_TOKEN = false })
    assert.truthy(said:find("no token", 1, true), said)
  end)
end)
