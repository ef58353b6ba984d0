--- Numbers leave as people write them, wherever they leave.

local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local server = require "tests.support.server"

describe("0.1 is written 0.1", function()
  local platform, workspace

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)
  before_each(function() workspace = host.workspace(platform) end)
  after_each(function()
    server.stop_all()
    host.clean_up()
  end)
  teardown(function() platform:stop() end)

  local function ask(one)
    local before = #one:told_canvas()
    platform:message { to = workspace.id, text = "hello" }
    return one:canvas(before + 1)[before + 1]
  end

  local VALUES = "{a = 0.1, b = {0.7, 5 / 2, 10 / 2, 0.1 + 0.2, 1e300, -1.1}, c = '0.10000000000000001'}"
  local TEXT = '{"a":0.1,"b":[0.7,2.5,5.0,0.30000000000000004,1e300,-1.1],"c":"0.10000000000000001"}'

  it("by molecule.json, and out of the store", function()
    local one = host.connect { platform = platform, workspace = workspace, script = ([[
      local molecule = require "molecule"
      return function()
        molecule.store.set("value", %s)
        molecule.store.incr("sum", 0.1)
        local text = molecule.json.encode(%s, {sort = true})
        assert(text == molecule.json.encode(molecule.store.get "value", {sort = true}))
        assert(molecule.json.encode(molecule.store.get "sum") == "0.1")
        assert(molecule.json.decode(text).b[4] == 0.1 + 0.2)
        return text
      end]]):format(VALUES, VALUES) }
    assert.equal(TEXT, ask(one))
    one:stop()
  end)

  it("in requests, replies and the record", function()
    local web = server.start(function(_, reply) reply(200, "{}") end)
    local record = host.directory() .. "/record"
    local peer = host.workspace(platform)
    local one = host.connect { platform = platform, workspace = workspace, args = { "--record", record },
      script = ([[
      local molecule = require "molecule"
      return function()
        molecule.http.post(%q, {json = {a = 0.1, t = 0.7}})
        return {parts = {{kind = "data", data = {a = 0.1, t = 0.7}}}}
      end]]):format(web.url) }
    platform:message { to = workspace.id, from = peer.id, parts = { { kind = "data", data = { x = 0.3 } } } }
    local body = one:wait { path = ("/workspaces/%s/a2a"):format(peer.id), count = 1 }[1].body
    one:stop()
    for _, text in ipairs { web.requests[1].body, body, host.read(record) } do
      assert.truthy(text:find('"a":0.1[,}]') and text:find('"t":0.7[,}]'), text)
      assert.is_nil(text:find("0000000000", 1, true) and text:find("%.%d*0000000000"), text)
    end
    assert.truthy(host.read(record):find('"x":0.3}', 1, true))
    assert.equal(0.1, cjson.decode(web.requests[1].body).a)
  end)
end)
