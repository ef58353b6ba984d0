-- A reply that goes into a connection which leads nowhere any more: a NAT that forgot it, a machine that is gone.

local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local preload = require "tests.support.preload"
local proxy = require "tests.support.proxy"
local uv = require "luv"

local POLLS_SELDOM = { "--wake", "poll", "--interval-ms", "5000" }

describe("a connection that leads nowhere any more", function()
  local platform, between, workspace, peer

  before_each(function()
    platform = emulator.start { args = { "--rate-limit", "-1" } }
    workspace, peer = host.workspace(platform), host.workspace(platform)
  end)

  after_each(function()
    host.clean_up()
    between:stop()
    platform:stop()
  end)

  local function start(options, script, args)
    options.port = platform.port
    between = proxy.start(options)
    return host.connect { platform = platform, workspace = workspace, script = script or host.ECHO, api_url = between.url,
      args = args }
  end

  for _, receiver in ipairs { "peer", "canvas" } do
    it("is not what a reply to the " .. receiver .. " is sent over, if it was silent for seconds", function()
      local one = start({}, [[
        local molecule = require "molecule"
        return function(msg)
          molecule.log("working")
          molecule.sleep(3.5)
          return "echo: " .. msg.text
        end]], POLLS_SELDOM)
      platform:message { to = workspace.id, from = receiver == "peer" and peer.id or nil, text = "hello" }
      one:log "working"
      between:hole()
      if receiver == "peer" then
        assert.same({ "echo: hello" }, (one:peer(peer.id, 1)))
      else
        assert.same({ "echo: hello" }, one:canvas(1))
      end
      assert.is_nil(between.swallowed:find("echo: hello", 1, true))
      one:stop()
    end)
  end

  -- The first reply goes nowhere, and its connection breaks after 31 s.
  local function swallow()
    return { intercept = { ["/a2a"] = function(_, close)
      between.intercept["/a2a"] = nil
      local timer = uv.new_timer()
      timer:start(31000, 0, function()
        timer:close()
        close()
      end)
    end } }
  end

  it("loses no reply to a peer that polls, though all of it was taken in", function()
    local one = start(swallow())
    platform:message { to = workspace.id, from = peer.id, text = "hello" }
    assert.same({ "echo: hello" }, (one:peer(peer.id, 1)))
    one:log "the peer polls, so that is not its answer.*posting the same reply again"
    one:stop()
    assert.equal(0, one:count_log "counts as answered")
  end)

  it("does not make a push peer answer twice, whose agent may be at work", function()
    local one = start(swallow())
    peer = host.workspace(platform, { delivery_mode = "push", url = "https://agent.example/" })
    platform:message { to = workspace.id, from = peer.id, text = "hello" }
    one:log "counts as answered: the reply was sent whole"
    one:stop()
    assert.equal(0, #one:posts "/a2a")
  end)

  it("is told by what the other side never acknowledged: that is sent again, to a push peer, too", function()
    local one = start({ room = 4096, intercept = { ["/a2a"] = function(client)
      between.intercept["/a2a"] = nil
      client:read_stop()
    end } }, [[return function() return ("x"):rep(200000) end]])
    peer = host.workspace(platform, { delivery_mode = "push", url = "https://agent.example/",
      push_answer = { body = { jsonrpc = "2.0", id = "1", result = {} } } })
    platform:message { to = workspace.id, from = peer.id, text = "hello" }
    one:wait { path = ("/workspaces/%s/a2a"):format(peer.id), status = 200, count = 1 }
    one:log "never acknowledged by the other side.*posting the same reply again"
    one:stop()
  end)
end)

describe("a platform that moves to another address, while the old one goes on answering", function()
  local old, new, between

  after_each(function()
    host.clean_up()
    between:stop()
    old:stop()
    new:stop()
  end)

  it("is followed, and its event stream is reopened", function()
    old = emulator.start { args = { "--rate-limit", "-1" } }
    new = emulator.start { args = { "--rate-limit", "-1" } }
    between = proxy.start { port = new.port, address = "127.0.0.2", own_port = old.port }
    local directory, workspace = host.directory(), host.workspace(old)
    new:workspace { id = workspace.id, token = workspace.token }
    local address = host.write(directory .. "/address", "127.0.0.1")
    local one = host.connect { platform = new, workspace = workspace, script = host.ECHO,
      api_url = "http://platform.test:" .. old.port, args = { "--insecure-http", "-v" },
      env = { LD_PRELOAD = preload.build("tests/support/resolver.c", directory), RESOLVER_ADDRESS = address,
        ASAN_OPTIONS = "detect_leaks=0" } }
    old:message { to = workspace.id, text = "before" }
    old:wait { path = ("/workspaces/%s/notify"):format(workspace.id), status = 200, count = 1 }
    local _, line = one:log "event stream: open"
    host.write(address, "127.0.0.2")
    new:message { to = workspace.id, text = "after" }
    assert.same({ "echo: after" }, one:canvas(1))
    one:log("event stream: open", { from = line + 1 })
    assert.equal(1, one:count_log "platform.test is now at 127.0.0.2, no longer at 127.0.0.1")
    one:stop()
  end)
end)
