--- The platform's event stream says when to poll; whatever it does, every message is answered.
local uv = require "luv"
local both = require "tests.support.both"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local loop = require "tests.support.loop"
local proxies = require "tests.support.proxy"

local MINUTE = { "--interval-ms", "60000", "-v" } -- no poll comes in time by itself
local STREAM = "/events/stream"

local function pass(milliseconds)
  local over, timer = false, uv.new_timer()
  timer:start(milliseconds, 0, function() over = true end)
  loop.wait(function() return over end, milliseconds + 5000)
  timer:close()
  loop.flush()
end

-- Hands the stream to `behave` and everything else to the platform.
local function start_proxy(platform, behave)
  return proxies.start { port = platform.port, intercept = { [STREAM] = behave } }
end

both(describe, "the event stream", function(profile)
  local platform, workspace, peer, proxy

  setup(function() platform = emulator.start { profile = profile, args = { "--rate-limit", "-1" } } end)

  teardown(function() platform:stop() end)

  before_each(function()
    workspace, peer = host.workspace(platform), host.workspace(platform)
  end)

  after_each(function()
    platform:order("events", { enabled = true, mute = false })
    platform:clear_faults()
    if proxy then proxy:stop() end
    proxy = nil
    host.clean_up()
  end)

  local function connect(options)
    options = options or {}
    options.platform, options.workspace = platform, workspace
    options.script, options.args = options.script or host.ECHO, options.args or MINUTE
    return host.connect(options)
  end

  -- With the stream open and the poll after it done.
  local function connect_open(options)
    local one = connect(options)
    one:log "event stream: open"
    one:wait { method = "GET", path = workspace.id .. "/activity", status = 200, count = 2 }
    return one
  end

  local function send(text, more)
    local value = { to = workspace.id, from = peer.id, text = text }
    for name, field in pairs(more or {}) do value[name] = field end
    return platform:message(value)
  end

  local function polls(one)
    return #one:posts "/activity"
  end

  it("brings a message at once, however long the interval is", function()
    local one = connect_open()
    for i = 1, 3 do
      send(tostring(i))
      one:peer(peer.id, i)
    end
    platform:message { to = workspace.id, text = "from the canvas" }
    one:canvas(1)
    one:stop()
    assert.equal(0, one:count_log "did not announce")
  end)

  it("brings a message whose announcement is larger than is read", function()
    local one = connect_open { script = [[return function(msg) return "got " .. #msg.text end]] }
    send(("x"):rep(200000))
    one:peer(peer.id, 1)
    send "small"
    assert.same({ "got 200000", "got 5" }, (one:peer(peer.id, 2)))
    one:stop()
  end)

  it("leads to few polls when many messages come at once", function()
    local one = connect_open()
    local before = polls(one)
    send("%n", { count = 500 })
    one:peer(peer.id, 500)
    one:stop()
    local made = polls(one) - before
    assert.is_true(made >= 1 and made <= 30, made .. " polls")
  end)

  it("leads to fewer polls when half of the platform's rate budget is spent", function()
    local narrow = emulator.start { profile = profile, args = { "--rate-limit", "100" } }
    local us, them = host.workspace(narrow), host.workspace(narrow)
    local one = host.connect { platform = narrow, workspace = us, script = host.ECHO, args = MINUTE }
    one:log "event stream: open"
    for _ = 1, 40 do
      narrow:message { to = us.id, from = them.id, text = "hello" }
      pass(50)
    end
    one:peer(them.id, 40)
    one:stop()
    local made = polls(one)
    narrow:stop()
    assert.is_true(made <= 35, made .. " polls")
  end)

  it("is asked for by no one with --wake poll", function()
    local one = connect { args = { "--wake", "poll", "-v" } }
    send "hello"
    one:peer(peer.id, 1)
    one:stop()
    assert.equal(0, #one:posts(STREAM))
  end)

  it("is distrusted when a poll finds what it did not announce; the message is answered", function()
    local one = connect_open { args = { "--interval-ms", "100", "-v" } }
    platform:order("events", { mute = true })
    send "one"
    one:peer(peer.id, 1)
    one:log "did not announce a message that a poll found; polling every 100 ms"
    send "two"
    one:peer(peer.id, 2)
    one:stop()
    assert.equal(1, one:count_log "did not announce")
    assert.equal(1, #one:posts(STREAM))
  end)

  it("is opened again when it ends, and what came in between is found", function()
    local one = connect_open()
    platform:order("events", { disconnect = true, mute = true })
    send "in between"
    one:peer(peer.id, 1)
    one:wait { path = STREAM, workspace = workspace.id, count = 2 }
    platform:order("events", { mute = false })
    one:log("event stream: open", { from = select(2, one:log "event stream: open") + 1 })
    send "after"
    one:peer(peer.id, 2)
    one:stop()
  end)

  for _, status in ipairs { 401, 403, 404, 429, 500, 503 } do
    it(("costs nothing but latency when it is answered with %d"):format(status), function()
      platform:fault({ kind = "status", status = status, body = "no" }, { path = STREAM })
      local one = connect { args = { "--interval-ms", "50", "-v" } }
      one:wait { path = STREAM, workspace = workspace.id, count = 1 }
      send "hello"
      one:peer(peer.id, 1)
      one:stop()
      assert.equal(1, #one:posts "/registry/register")
      assert.equal(0, one:count_log "ERROR")
    end)
  end

  for name, answer in pairs {
    ["is a web page"] = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 20\r\n\r\n<html>sign in</html>",
    ["is a web page with a style sheet"] = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<style>\n:root {color: red}\n",
    ["is a web page without an end"] = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" .. ("<p>sign in\n"):rep(1000),
    ["never comes"] = "",
    ["is held back behind its headers"] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
    ["is cut at once"] = false,
  } do
    it("costs nothing but latency when it " .. name, function()
      proxy = start_proxy(platform, function(client, close)
        if not answer then return close() end
        if #answer > 0 then client:write(answer) end
      end)
      local one = connect { api_url = proxy.url, args = { "--interval-ms", "50", "-v" } }
      assert.truthy(loop.wait(function() return proxy.intercepted[STREAM] end))
      send "hello"
      one:peer(peer.id, 1)
      pass(300)
      assert.is_true(polls(one) >= 4)
      one:stop()
    end)
  end

  --- Tells of a message every so many milliseconds, whether there is one or not.
  local function tell_every(milliseconds, count)
    return function(client, close)
      client:write "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: ping\n\n"
      local timer = uv.new_timer()
      timer:start(milliseconds, milliseconds, function()
        count = count - 1
        if count < 0 or client:is_closing() then
          timer:close()
          return close()
        end
        client:write 'data: {"type":"ACTIVITY_LOGGED","data":{"activity_type":"a2a_receive"}}\n\n'
      end)
    end
  end

  it("leads to ever fewer polls when it announces what is not there", function()
    proxy = start_proxy(platform, tell_every(10, 150))
    local one = connect { api_url = proxy.url, args = { "--interval-ms", "1000", "-v" } }
    one:log "event stream: open"
    one:log "event stream: it ended"
    assert.is_true(polls(one) <= 14, polls(one) .. " polls")
    send "hello"
    one:peer(peer.id, 1)
    one:stop()
  end)

  it("of many workspaces leads to no more polls than their platform's budget has room for", function()
    local narrow = emulator.start { profile = profile, args = { "--rate-limit", "100" } }
    proxy = start_proxy(narrow, tell_every(100, 40))
    local directory, all, lines = host.directory(), {}, {}
    for i = 1, 6 do
      all[i] = host.workspace(narrow)
      lines[i] = ("{ id = %q, token = %q }"):format(all[i].id, all[i].token)
    end
    local file = host.write(directory .. "/fleet.lua",
      ("return { defaults = { backend = 'mock', interval_ms = 60000 }, workspaces = { %s } }"):format(table.concat(lines, ", ")))
    local one = host.start { platform = narrow, workspace = all[1], workspaces = all, token = false, bare = true,
      api_url = proxy.url, command = { "fleet", file }, args = { "-v" } }
    for _ = 1, 6 do one:log "event stream: it ended" end
    local refused = 0
    for _, entry in ipairs(narrow:journal()) do refused = refused + (entry.status == 429 and 1 or 0) end
    one:stop()
    narrow:stop()
    assert.equal(0, refused)
  end)

  it("does not hold up the end", function()
    local one = connect_open()
    one:stop()
  end)
end)
