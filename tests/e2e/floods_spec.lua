--- A platform, or a server that a script asks, that sends without end, or a little at a time: everything beside it goes on.
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local loop = require "tests.support.loop"
local proxies = require "tests.support.proxy"
local server = require "tests.support.server"

local STREAM = "/events/stream"
local STREAM_HEAD = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
local JSON_HEAD = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"

-- Writes the block again and again, as fast as it is read.
local function flood(client, head, block)
  local function more(problem)
    if problem or client:is_closing() then return end
    client:write(block, more)
  end
  client:write(head, more)
end

local function chunk(bytes)
  return ("%x\r\n%s\r\n"):format(#bytes, bytes)
end

describe("a flood", function()
  local platform, workspace, peer, between

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)

  teardown(function() platform:stop() end)

  before_each(function()
    workspace, peer = host.workspace(platform), host.workspace(platform)
  end)

  after_each(function()
    if between then between:stop() end
    between = nil
    host.clean_up()
    server.stop_all()
    loop.flush()
  end)

  local function start(options)
    local args = { "--interval-ms", "50", "--heartbeat-ms", "1000", "-v" }
    for _, argument in ipairs(options.args or {}) do args[#args + 1] = argument end
    return host.connect { platform = platform, workspace = workspace, api_url = between and between.url, bare = true,
      script = options.script or host.ECHO, args = args }
  end

  local function ask(one, text, count)
    platform:message { to = workspace.id, from = peer.id, text = text }
    return (one:peer(peer.id, count))
  end

  local function beats(one)
    return #one:posts "/registry/heartbeat"
  end

  local function wait_beats(one, more)
    one:wait { path = "/registry/heartbeat", status = 200, count = beats(one) + more }
  end

  for name, block in pairs {
    ["of comments"] = (": ping\n\n"):rep(5000),
    ["of empty lines"] = ("\n"):rep(30000),
    ["of events that are no messages"] = ('data: {"type":"TASK_UPDATED","data":{"x":[1,2,3]}}\n\n'):rep(500),
    ["of one line without an end"] = "data: " .. ("x"):rep(30000),
    ["of one event without an end"] = ("data: x\n"):rep(5000),
    ["of ids and retries"] = ("id: 1\nretry: 1\nevent: e\n"):rep(2000),
  } do
    it(name .. " in the event stream is cut off and logged; heartbeats, messages and shutdown still work", function()
      between = proxies.start { port = platform.port, intercept = {
        [STREAM] = function(client) flood(client, STREAM_HEAD .. ": hello\n\n", block) end } }
      local one = start {}
      assert.same({ "echo: hello" }, ask(one, "hello", 1))
      wait_beats(one, 3)
      one:log "event stream floods us: .*polling every 50 ms, retrying the stream in %d+ min"
      assert.same({ "echo: hello", "echo: again" }, ask(one, "again", 2))
      one:stop()
      assert.equal(1, between.intercepted[STREAM])
    end)
  end

  it("of hints leads to few polls, and blocks nothing", function()
    local block = ('data: {"type":"ACTIVITY_LOGGED","data":{"activity_type":"a2a_receive","method":"message/send"}}\n\n'):rep(300)
    between = proxies.start { port = platform.port, intercept = {
      [STREAM] = function(client) flood(client, STREAM_HEAD .. ": hello\n\n", block) end } }
    local one = start { args = { "--interval-ms", "500" } }
    local before = beats(one)
    assert.same({ "echo: hello" }, ask(one, "hello", 1))
    wait_beats(one, 5)
    local polls, made = #one:posts "/activity", beats(one) - before
    one:stop()
    -- a hint a turn of the loop would be thousands; a poll takes the time of 2 intervals a beat, the first some hints' more
    assert.is_true(polls <= 20 + 12 * made, ("%d polls within %d heartbeats"):format(polls, made))
  end)

  for name, answer in pairs {
    ["a page without an end"] = function(client)
      flood(client, JSON_HEAD .. chunk "[", chunk('{"id":"x","text":"' .. ("y"):rep(30000) .. '"},'))
    end,
    ["a chunk's size without an end"] = function(client)
      flood(client, JSON_HEAD .. "1;", ("x"):rep(30000))
    end,
    ["headers without an end"] = function(client)
      flood(client, "HTTP/1.1 200 OK\r\n", ("X-Name: value\r\n"):rep(1000))
    end,
    ["interim answers without an end"] = function(client)
      flood(client, "", ("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"):rep(1000))
    end,
    ["an error without an end"] = function(client)
      flood(client, "HTTP/1.1 503 X\r\n\r\n", ("x"):rep(30000))
    end,
  } do
    it(("of %s as the answer to a poll delays no heartbeat and not the end"):format(name), function()
      between = proxies.start { port = platform.port, intercept = { ["/activity"] = answer } }
      local one = start { args = { "--wake", "poll", "--drain", "1s" } }
      wait_beats(one, 4)
      one:stop()
    end)
  end

  it("of a few bytes at a time, in whatever is asked for, delays no heartbeat and not the end", function()
    local uv = require "luv"
    local timers = {}
    local function drip(head)
      return function(client)
        client:write(head)
        local timer = uv.new_timer()
        timers[#timers + 1] = timer
        timer:start(5, 5, function() if not client:is_closing() then client:write "x" end end)
      end
    end
    between = proxies.start { port = platform.port, intercept = {
      ["/activity"] = drip "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n[", [STREAM] = drip(STREAM_HEAD) } }
    local one = start { args = { "--drain", "1s" } }
    wait_beats(one, 4)
    one:stop()
    for _, timer in ipairs(timers) do timer:close() end
    loop.flush()
  end)

  local FETCHES = [[
    local molecule = require "molecule"
    return { concurrency = 4, handle = function(msg)
      local what, url = msg.text:match "^(%%S+) ?(.*)$"
      if what == "sse" then for _ in molecule.http.sse { url = url } do end return "the end" end
      if what == "get" then
        local answer, problem, code = molecule.http.get(url, { max_bytes = 1 << 30, timeout = 3600 })
        return answer and "the end" or code
      end
      return "echo: " .. what
    end }]]

  for name, case in pairs {
    ["events without an end"] = { "sse", STREAM_HEAD, (": ping\n\n"):rep(5000) },
    ["an answer that never ends"] = { "get", "HTTP/1.1 200 OK\r\n\r\n", "" },
    ["a chunk's size without an end"] = { "get", JSON_HEAD .. "1;", ("x"):rep(30000) },
    ["interim answers without an end"] = { "get", "", ("HTTP/1.1 103 Early Hints\r\n\r\n"):rep(1000) },
  } do
    it(("of %s that a script asks for does not hold up the worker's other messages"):format(name), function()
      local kind, head, block = table.unpack(case)
      local second = host.workspace(platform)
      local web = proxies.start { port = platform.port, intercept = {
        ["/flood"] = function(client) if block == "" then client:write(head) else flood(client, head, block) end end } }
      local one = start { script = FETCHES:format(), args = { "--drain", "1s" } }
      platform:message { to = workspace.id, from = second.id, text = kind .. " " .. web.url .. "/flood" }
      assert(loop.wait(function() return (web.intercepted["/flood"] or 0) >= 1 end))
      for i = 1, 3 do assert.equal(i, #ask(one, "hello", i)) end
      wait_beats(one, 2)
      one:stop()
      web:stop()
    end)
  end
end)
