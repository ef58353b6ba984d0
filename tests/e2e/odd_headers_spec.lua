--- A platform, or what stands in front of it, whose answers are odd in their head: nothing of it reaches memory it should not.
local cjson = require "cjson"
local uv = require "luv"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local loop = require "tests.support.loop"
local server = require "tests.support.server"


describe("an answer with odd headers", function()
  local workspace

  before_each(function()
    workspace = { id = emulator.uuid(), token = "secret-" .. emulator.uuid() }
  end)

  after_each(function()
    host.clean_up()
    server.stop_all()
    loop.flush()
  end)

  -- What the platform says, in the order of the paths; `odd(request)` puts lines at the head's beginning.
  local function body_of(request)
    if request.path:find "/activity" then return "[]" end
    if request.path:find "/notify" then return '{"status":"sent"}' end
    return '{"status":"ok","delivery_mode":"poll"}'
  end

  local function platform(odd)
    return server.start(function(request, reply)
      if request.path:find "/events/stream" then return reply(404, "") end
      local body = body_of(request)
      reply.raw(("HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s"):format(odd(request), #body, body))
    end)
  end

  local function count(web, path)
    local found = 0
    for _, request in ipairs(web.requests) do
      if request.path:find(path, 1, true) then found = found + 1 end
    end
    return found
  end

  local function connect(web, args)
    local all = { "--interval-ms", "5", "--heartbeat-ms", "50", "-v" }
    for _, argument in ipairs(args or {}) do all[#all + 1] = argument end
    local one = host.start { platform = { url = web.url }, workspace = workspace, bare = true, script = host.ECHO, args = all }
    one:log("registered as")
    return one
  end

  local function serves(one, web, polls)
    local from = count(web, "/activity")
    assert(loop.wait(function()
      return count(web, "/activity") >= from + polls and count(web, "/registry/heartbeat") >= 5 or one.process.ended
    end), "it has stopped asking\n" .. one.process:report())
    one:stop()
  end

  for name, lines in pairs {
    ["whose first line is folded"] = "\tfold: " .. ("A"):rep(300) .. "\r\n",
    ["whose first line is folded and empty"] = " \r\n",
    ["that fold every line"] = "X-A: 1\r\n\t2\r\n  3\r\nX-B:\r\n 4\r\n",
    ["that fold a rate limit"] = "X-RateLimit-Limit:\r\n 600\r\nX-RateLimit-Remaining:\r\n 599\r\nX-RateLimit-Reset:\r\n 60\r\n",
  } do
    it(name .. " is read on kept connections again and again", function()
      local turn = 0
      local web = platform(function()
        turn = turn + 1
        return (turn % 2 == 0 and turn > 3 and lines or "") .. "X-Length: " .. ("b"):rep(turn % 500) .. "\r\n"
      end)
      serves(connect(web), web, 20)
    end)
  end

  for name, numbers in pairs {
    ["as large as they can be"] = { "9223372036854775807", "4611686018427387904", "9223372036854775807" },
    ["larger than that"] = { ("9"):rep(60), ("8"):rep(60), ("9"):rep(60) },
    ["negative"] = { "-9223372036854775808", "-9223372036854775808", "-1" },
    ["a reset far away, with little left"] = { "1000000000000", "1", "9223372036854775807" },
    ["no numbers"] = { "0x10", "many", "1e300" },
    ["empty"] = { "", "", "" },
  } do
    it("of rate limits that are " .. name .. " stops nothing", function()
      local web = platform(function()
        return ("X-RateLimit-Limit: %s\r\nX-RateLimit-Remaining: %s\r\nX-RateLimit-Reset: %s\r\nRetry-After: %s\r\nDate: %s\r\n")
          :format(numbers[1], numbers[2], numbers[3], numbers[1], numbers[3])
      end)
      serves(connect(web), web, 50)
    end)
  end

  for _, after in ipairs { "9223372036854775807", ("9"):rep(80), "-1", "-9223372036854775808", "1e308", "" } do
    it(("that says Retry-After: %.20s is tried again"):format(after), function()
      local failures = 0
      local web = server.start(function(request, reply)
        if request.path:find "/activity" and failures < 1 then
          failures = failures + 1
          return reply(503, '{"error":"x","retry_after":1e308}', { ["Retry-After"] = after })
        end
        if request.path:find "/events/stream" then return reply(404, "") end
        reply(200, body_of(request))
      end)
      local one = connect(web)
      one:log("poll: HTTP 503")
      local beats = count(web, "/registry/heartbeat")
      assert(loop.wait(function() return count(web, "/registry/heartbeat") >= beats + 3 end))
      one:stop()
    end)
  end

  it("of rows whose numbers are as large as can be is a page like others", function()
    local big = "9223372036854775807"
    local row = ([[{"id":"%s","seq":%s,"created_at":"9999-12-31T23:59:59.999999Z","activity_type":"a2a_receive",
      "method":"message/send",
      "source_id":null,"request_body":{"jsonrpc":"2.0","id":1,"method":"message/send","params":{"metadata":{"hops":%s},
      "message":{"messageId":"m","role":"user","parts":[{"kind":"text","text":"hello"}],
      "metadata":{"molecule":{"hops":-%s}}}}}}]]):format(emulator.uuid(), big, big, big)
    local web = server.start(function(request, reply)
      if request.path:find "/events/stream" then return reply(404, "") end
      local first = request.path:find "/activity" and not (request.query or ""):find "since_id"
      reply(200, first and "[" .. row:gsub("\n%s*", "") .. "]" or body_of(request))
    end)
    local one = connect(web)
    assert(loop.wait(function() return count(web, "/notify") >= 1 end), one.process:report())
    for _, request in ipairs(web.requests) do
      if request.path:find "/notify" then assert.equal("echo: hello", cjson.decode(request.body).message) end
    end
    serves(one, web, 20)
  end)

  -- One answer too many on a kept connection must not become the answer to the next request, which was not asked yet.
  it("and a second answer behind it is not taken for the answer to the next request", function()
    local row = [[{"id":"%s","created_at":"2026-05-01T20:14:07.%06dZ","activity_type":"a2a_receive","method":"message/send",
      "source_id":null,"request_body":{"jsonrpc":"2.0","id":1,"method":"message/send","params":{
      "message":{"messageId":"m%d","role":"user","parts":[{"kind":"text","text":"m%d"}]}}}}]]
    local told, polls = {}, 0
    local broken_pipe = uv.new_signal() -- the host may have closed what the stray answer is written to
    broken_pipe:start("sigpipe", function() end)
    local web = server.start(function(request, reply)
      if request.path:find "/events/stream" then return reply(404, "") end
      if request.path:find "/notify" then told[#told + 1] = cjson.decode(request.body).message end
      if request.path:find "/activity" then
        polls = polls + 1
        if polls % 2 == 0 and polls <= 16 then
          return reply(200, "[" .. row:format(emulator.uuid(), polls, polls, polls):gsub("\n%s*", "") .. "]")
        end
      end
      local body = body_of(request)
      reply.raw(("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"):format(#body, body))
      if not request.path:find "/activity" and not request.path:find "/heartbeat" then return end
      local stray = '{"error":"a stray answer"}'
      local timer = uv.new_timer()
      timer:start(1, 0, function() -- a moment later: it waits there when the connection is used again
        timer:close()
        reply.raw(("HTTP/1.1 500 X\r\nContent-Length: %d\r\n\r\n%s"):format(#stray, stray))
      end)
    end)
    local one = connect(web, { "--interval-ms", "250", "--heartbeat-ms", "250" })
    assert(loop.wait(function() return #told >= 8 end), #told .. " told\n" .. one.process:report())
    one:stop()
    broken_pipe:close()
    assert.equal(8, #told)
    assert.equal(0, one:count_log "stray")
  end)
end)
