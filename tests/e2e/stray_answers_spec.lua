--- A server that answers once too often: what waits on a kept connection is never a script's answer to something else.
local uv = require "luv"
local both = require "tests.support.both"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local loop = require "tests.support.loop"
local server = require "tests.support.server"

local SCRIPT = [[
  local molecule = require "molecule"
  return function(msg)
    local method, first, path = msg.text:match "^(%u+) (%S+) (%S+)$"
    local got = {}
    for i = 1, 6 do
      local answer, problem, code = molecule.http.request {
        method = method, url = first .. path .. i, body = method == "POST" and "body " .. i or nil }
      got[i] = answer and answer.body or code .. " " .. problem
      molecule.sleep(0.1)
    end
    return table.concat(got, ", ")
  end]]

both(describe, "an answer too many", function(profile)
  local platform, workspace, broken_pipe

  setup(function()
    platform = emulator.start { profile = profile, args = { "--rate-limit", "-1" } }
    broken_pipe = uv.new_signal() -- the host may have closed what the stray answer is written to
    broken_pipe:start("sigpipe", function() end)
  end)

  teardown(function()
    broken_pipe:close()
    platform:stop()
  end)

  before_each(function() workspace = host.workspace(platform) end)

  after_each(function()
    host.clean_up()
    server.stop_all()
    loop.flush()
  end)

  local function answer_twice(reply, body)
    reply(200, body)
    local timer = uv.new_timer()
    timer:start(5, 0, function()
      timer:close()
      reply(500, "a stray answer")
    end)
  end

  local function ask(text)
    local one = host.connect { platform = platform, workspace = workspace, script = SCRIPT }
    platform:message { to = workspace.id, text = text }
    local told = one:canvas(1)
    one:stop()
    return told[1]
  end

  for _, method in ipairs { "GET", "POST", "PUT" } do
    it("on a kept connection is not taken for the answer to a script's next " .. method, function()
      local web = server.start(function(request, reply) answer_twice(reply, request.method .. request.path) end)
      local expected = {}
      for i = 1, 6 do expected[i] = method .. "/" .. i end
      assert.equal(table.concat(expected, ", "), ask(method .. " " .. web.url .. " /"))
      assert.equal(6, #web.requests)
    end)
  end

  it("is not taken for the answer where a redirect leads to the kept connection, and nothing is sent twice", function()
    local target = server.start(function(request, reply) answer_twice(reply, request.body .. " at " .. request.path) end)
    local web = server.start(function(request, reply) reply(307, "", { Location = target.url .. request.path }) end)
    local expected = {}
    for i = 1, 6 do expected[i] = ("body %d at /%d"):format(i, i) end
    assert.equal(table.concat(expected, ", "), ask("POST " .. web.url .. " /"))
    assert.equal(6, #target.requests)
    assert.equal(6, #web.requests)
  end)

  it("costs a server that answers once nothing: its connection is kept", function()
    local web = server.start(function(request, reply) reply(200, request.path) end)
    assert.equal("/1, /2, /3, /4, /5, /6", ask("GET " .. web.url .. " /"))
    assert.equal(1, web.connections)
  end)
end)
