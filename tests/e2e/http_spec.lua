--- molecule.http, as a script uses it.

local uv = require "luv"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local server = require "tests.support.server"

describe("molecule.http", function()
  local platform, workspace, web

  setup(function() platform = emulator.start { profile = "latest", args = { "--rate-limit", "-1" } } end)
  before_each(function() workspace = host.workspace(platform) end)
  after_each(function()
    server.stop_all()
    host.clean_up()
  end)
  teardown(function() platform:stop() end)

  --- Runs `code` as the handler's body, with `http`, `json` and `url` (of the web server) in reach.
  local function connect(code, handler, args)
    web = server.start(handler or function(_, reply) reply(200, "ok") end)
    local all = { "--script-opt", "url=" .. web.url }
    for _, word in ipairs(args or {}) do all[#all + 1] = word end
    return host.connect { platform = platform, workspace = workspace, args = all, script = ([[
local molecule = require "molecule"
local http, json = molecule.http, molecule.json
return function(msg, ctx)
  local url = ctx.options.url
  %s
end]]):format(code) }
  end

  local function ask(one, text)
    local before = #one:told_canvas()
    platform:message { to = workspace.id, text = text or "go" }
    local told = one:canvas(before + 1)
    return told[#told]
  end

  it("gets a page: status, headers in lower case, body", function()
    local one = connect([[
      local answer = assert(http.get(url .. "/page", {query = {q = "a b&c"}, headers = {["X-One"] = "1"}}))
      return answer.status .. " " .. answer.headers["x-name"] .. " " .. answer.body]],
      function(_, reply) reply(201, "the body", { ["X-Name"] = "value" }) end)
    assert.equal("201 value the body", ask(one))
    assert.equal("GET", web.requests[1].method)
    assert.equal("/page", web.requests[1].path)
    assert.equal("q=a%20b%26c", web.requests[1].query)
    assert.equal("1", web.requests[1].headers["x-one"])
    assert.truthy(web.requests[1].headers["user-agent"]:find("molecule/", 1, true))
    one:stop()
  end)

  it("posts a table as JSON and reads JSON back, integers whole", function()
    local one = connect([[
      local answer = assert(http.post(url, {json = {n = 9007199254740993, list = json.array()}}))
      local value = assert(answer:json())
      return math.type(value.n) .. " " .. value.n .. " " .. value.text]],
      function(request, reply) reply(200, ('{"n": 9007199254740995, "text": "%s"}'):format(request.headers["content-type"])) end)
    assert.equal("integer 9007199254740995 application/json", ask(one))
    assert.truthy(web.requests[1].body:find('"n":9007199254740993', 1, true))
    assert.truthy(web.requests[1].body:find('"list":[]', 1, true))
    one:stop()
  end)

  it("says what failed, where, and with which code", function()
    local one = connect([[
      local results = {}
      for _, options in ipairs {{url = url .. "/never", timeout = 0.2}, {url = url .. "/never", timeout = 0.0001},
                                {url = "http://127.0.0.1:1/"}, {url = "nonsense://x"},
                                {url = url .. "/reset"}, {url = url .. "/big", max_bytes = 1000},
                                {url = "http://no-such-host.invalid/"}} do
        local answer, problem, code = http.request(options)
        assert(answer == nil and problem:find(options.url, 1, true), problem)
        results[#results + 1] = code
      end
      return table.concat(results, " ")]], function(request, reply)
      if request.path == "/reset" then reply.reset() end
      if request.path == "/big" then reply(200, ("x"):rep(100000)) end
    end)
    assert.equal("TIMEOUT TIMEOUT CONNECT URL NETWORK TOO_LARGE RESOLVE", ask(one))
    one:stop()
  end)

  it("follows redirects unless it is told not to", function()
    local one = connect([[return http.get(url).body .. http.get(url, {follow = false}).status]], function(request, reply)
      if request.path == "/there" then reply(200, "arrived ") else reply(302, "", { Location = "/there" }) end
    end)
    assert.equal("arrived 302", ask(one))
    one:stop()
  end)

  describe("on a kept connection that the server closes instead of answering", function()
    local function ask_twice(method)
      local one = connect(([[
        assert(http.get(url))
        local answer, problem, code = http.request {url = url, method = %q, body = %s}
        return answer and answer.body or code .. " " .. problem]]):format(method, method == "GET" and "nil" or '"order"'),
        function(_, reply)
          if #web.requests == 2 then reply.finish() else reply(200, "answer " .. #web.requests) end
        end)
      local told = ask(one)
      one:stop()
      return told
    end

    it("a POST is sent once", function()
      local told = ask_twice "POST"
      assert.equal(("NETWORK %s: the connection closed before the answer came"):format(web.url), told)
      assert.equal(2, #web.requests)
    end)

    it("a GET is sent again", function() assert.equal("answer 3", ask_twice "GET") end)

    it("a PUT is sent again, with its body", function()
      assert.equal("answer 3", ask_twice "PUT")
      assert.equal("order", web.requests[3].body)
    end)
  end)

  it("a POST that a redirect sends on is no repetition", function()
    local one = connect([[return http.post(url .. "/first", "order").body]], function(request, reply)
      if request.path == "/first" then reply(307, "", { Location = "/second" })
      elseif request.path == "/second" then reply(303, "", { Location = "/done" })
      else reply(200, request.method .. request.path .. request.body) end
    end)
    assert.equal("GET/done", ask(one))
    assert.equal("POST order", web.requests[2].method .. " " .. web.requests[2].body)
    one:stop()
  end)

  it("what a redirect makes of a request is what its status says, never another body or method", function()
    local one = connect([[
      local method, status, body = msg.text:match "^(%u+) (%d+) ?(.*)$"
      local options = {method = method, url = url .. "/" .. status, body = body ~= "" and body or nil}
      local answer = assert(http.request(options))
      return answer.status .. " " .. (answer.headers["x-got"] or "")]], function(request, reply)
      local status = request.path:match "^/(%d+)$"
      if status then return reply(tonumber(status), "", { Location = "/there" }) end
      local sent = request.method .. (request.body ~= "" and " " .. request.body or "")
      reply(200, request.method == "HEAD" and "" or "x", { ["X-Got"] = sent })
    end)
    local function check(asked, got) assert.equal("200 " .. got, ask(one, asked), asked) end
    for _, status in ipairs { 301, 302, 307, 308 } do
      for _, method in ipairs { "PUT", "PATCH", "DELETE", "GET", "REPORT" } do
        check(("%s %d payload"):format(method, status), method .. " payload")
      end
      check("DELETE " .. status, "DELETE")
      check("HEAD " .. status, "HEAD")
      check("GET " .. status, "GET")
      check(("POST %d payload"):format(status), status > 302 and "POST payload" or "GET")
    end
    for _, method in ipairs { "PUT", "PATCH", "DELETE", "GET", "POST", "REPORT" } do
      check(method .. " 303 payload", "GET")
    end
    check("DELETE 303", "GET")
    check("HEAD 303", "HEAD")
    one:stop()
  end)

  it("a GET with a body is a GET", function()
    local one = connect([[
      return http.get(url, {json = {q = 1}}).body .. http.request {method = "GET", url = url, body = "q"}.body]],
      function(request, reply) reply(200, request.method .. request.body) end)
    assert.equal('GET{"q":1}GETq', ask(one))
    one:stop()
  end)

  it("refuses wrong options at the script's own line", function()
    local one = connect([[
      local _, first = pcall(http.get, nil)
      local _, second = pcall(function() local _ = http.request {url = url, tiemout = 3} end)
      local _, third = pcall(function() local _ = http.get(url, {headers = {["X"] = "a\r\nb"}}) end)
      return second .. " | " .. third]])
    local told = ask(one)
    assert.truthy(told:find('agent.lua:6: http: unknown field \'tiemout\'; did you mean \'timeout\'?', 1, true), told)
    assert.truthy(told:find("agent.lua:7: http: header X holds a line break", 1, true), told)
    one:stop()
  end)

  it("refuses what it could not send whole, and names it", function()
    local one = connect([[
      local problems = {}
      for i, call in ipairs {{url, {query = {b = {1, 2}}}}, {url, 5}, {url, "body", 5}, {url .. "\0"}, {url, {max_bytes = 2^31}},
          {url, {headers = {["X-One"] = "a\0b"}}}} do
        local _, problem = pcall(function() local _ = http.post(table.unpack(call)) end)
        problems[i] = problem:match("agent.lua:8: (.*)") or "nowhere: " .. problem
      end
      return table.concat(problems, "\n")]])
    assert.equal([[
http: query.b must be a string, a number or a boolean, not a table
http: what follows the url must be a body or a table of options, not a number
http: the options must be a table, not a number
http: the url holds a zero byte
http: max_bytes must be between 0 and 1073741824
http: header X-One holds a line break or a zero byte]], ask(one))
    assert.equal(0, #web.requests)
    one:stop()
  end)

  it("refuses wrong options at the script's own line also in a directory that is called molecule", function()
    local directory, home = host.directory(), uv.cwd()
    assert(uv.fs_mkdir(directory .. "/molecule", 448))
    host.write(directory .. "/molecule/agent.lua", [[
      local http = require("molecule").http
      return function()
        local _, problem = pcall(function() local _ = http.get {url = 5} end)
        return problem
      end]])
    uv.chdir(directory)
    local one = host.connect { platform = platform, workspace = workspace, script_path = "molecule/agent.lua" }
    uv.chdir(home)
    assert.equal("molecule/agent.lua:3: http: `url` is required", ask(one))
    one:stop()
  end)

  it("lets other conversations continue while one waits", function()
    local held
    local one = connect([[
      if msg.text == "slow" then return http.get(url).body end
      return "quick"]], function(_, reply) held = reply end, { "--concurrency", "2" })
    local peer = host.workspace(platform)
    platform:message { to = workspace.id, from = peer.id, text = "slow" }
    require("tests.support.loop").wait(function() return held end)
    assert.equal("quick", ask(one))
    held(200, "slow answer")
    one:wait { path = ("/workspaces/%s/a2a"):format(peer.id), body = "slow answer" }
    one:stop()
  end)

  it("works inside the script's own coroutines and under pcall", function()
    local one = connect([[
      local pages = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(http.get(url .. "/" .. i).body) end end)
      local fine, body = pcall(function() return http.get(url .. "/4").body end)
      return pages() .. pages() .. pages() .. body]], function(request, reply) reply(200, request.path) end)
    assert.equal("/1/2/3/4", ask(one))
    one:stop()
  end)

  it("ends with the handler: a timeout of the message closes the connection", function()
    local one = connect([[return http.get(url, {timeout = 60}).body]], function() end,
      { "--timeout", "300ms", "--max-attempts", "1", "--error-reply", "sorry" })
    assert.equal("sorry", ask(one))
    one:stop()
  end)

  it("1,000 calls in a row leave memory and descriptors as they were", function()
    local one = connect([[
      for i = 1, tonumber(msg.text) do assert(http.get(url)) end
      return "done " .. msg.text]])
    ask(one, "50")
    local function descriptors() return #host.list(("/proc/%d/fd"):format(one.process.pid)) end
    local function resident()
      return tonumber(host.read(("/proc/%d/status"):format(one.process.pid)):match "VmRSS:%s*(%d+)")
    end
    local fds, memory = descriptors(), resident()
    assert.equal("done 1000", ask(one, "1000"))
    assert.is_true(descriptors() <= fds + 1, "descriptors grew")
    if emulator.binary():find("release", 1, true) then assert.is_true(resident() < memory + 4096, "memory grew") end
    assert.is_true(web.connections < 20, "connections were not kept")
    one:stop()
  end)

  it("hands a long answer over in pieces as they come", function()
    local send
    local one = connect([[
      local pieces = {}
      local answer = assert(http.request {url = url, stream = function(chunk)
        pieces[#pieces + 1] = chunk
        molecule.log.info("piece %d", #pieces)
      end})
      return answer.status .. " " .. #pieces .. " " .. table.concat(pieces) .. " " .. answer.headers["x-name"]
      ]], function(_, reply) send = reply end)
    platform:message { to = workspace.id, text = "go" }
    require("tests.support.loop").wait(function() return send end)
    send.raw "HTTP/1.1 200 OK\r\nX-Name: value\r\nConnection: close\r\n\r\nfirst "
    one:log "piece 1"
    send.raw "second"
    one:log "piece 2"
    send.finish()
    assert.equal("200 2 first second value", one:canvas(1)[1])
    one:stop()
  end)

  it("a sender that is faster than the script has to wait: memory stays bounded", function()
    local one = connect([[
      local total = 0
      local answer, problem, code = http.request {url = url, max_bytes = 64 << 20, timeout = 60, stream = function(chunk)
        total = total + #chunk
        if total < 3 << 20 then molecule.sleep(0.05) end
      end}
      return tostring(total) .. tostring(problem)]], function(_, reply)
      reply.raw(("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"):format(32 << 20))
      local piece = ("x"):rep(1 << 20)
      for _ = 1, 32 do reply.raw(piece) end
    end)
    assert.equal(tostring(32 << 20) .. "nil", ask(one))
    one:stop()
  end)

  it("iterates server-sent events, however they are cut", function()
    local one = connect([[
      local seen = {}
      for event in http.sse {url = url} do
        seen[#seen + 1] = event.event .. "=" .. event.data .. (event.id and "#" .. event.id or "")
        if event.data == "end" then break end
      end
      return table.concat(seen, " ")]], function(_, reply)
      local text = ": hello\n\ndata: one\n\nevent: named\r\nid: 7\r\ndata: two\r\ndata: lines\r\n\r\ndata:end\n\n"
      reply.raw "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
      for character in text:gmatch "." do reply.raw(character) end
    end)
    assert.equal("message=one named=two\nlines#7 message=end#7", ask(one))
    one:stop()
  end)

  it("raises where server-sent events have another status than 200, also without a body", function()
    local one = connect([[
      local _, problem = pcall(function() for _ in http.sse {url = url} do end end)
      return problem]], function(request, reply) reply(request.path == "/" and 500 or 200, "") end)
    local told = ask(one)
    assert.truthy(told:find(("agent.lua:5: http.sse: %s answered 500: no body"):format(web.url), 1, true), told)
    one:stop()
  end)

  describe("with streams that have no end", function()
    local closed

    local function start(code, args)
      closed = 0
      return connect(code, function(_, reply)
        reply.raw "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: one\n\n"
        reply.on_close(function() closed = closed + 1 end)
      end, args)
    end

    local function wait_closed(count)
      require("tests.support.loop").wait(function() return closed == count end)
    end

    it("has at most 64 of them open in a handler, and none after it", function()
      local one = start [[
        local streams = {}
        for i = 1, 3000 do
          local fine, problem = pcall(function() streams[i] = {http.sse {url = url}} end)
          if not fine then
            kept = streams[1][1]
            return i .. " " .. problem
          end
          streams[i][1]()
        end]]
      local told = ask(one)
      assert.truthy(told:find("^65 .*agent.lua:7: http: this script has 64 streams open"), told)
      wait_closed(64)
      one:stop()
    end)

    it("closes one when its loop is left", function()
      local one = start [[
        for i = 1, 100 do
          for event in http.sse {url = url} do
            if event.data == "one" then break end
          end
        end
        molecule.sleep(60)]]
      platform:message { to = workspace.id, text = "go" }
      wait_closed(100)
      one:kill()
    end)

    it("says that one is gone with the handler that opened it", function()
      local one = start [[
        if msg.text == "open" then
          kept = http.sse {url = url}
          return kept().data
        end
        return select(2, pcall(kept))]]
      assert.equal("one", ask(one, "open"))
      wait_closed(1)
      local told = ask(one, "again")
      assert.truthy(told:find("the handler that opened this stream has ended, and the stream with it", 1, true), told)
      one:stop()
    end)
  end)

  it("stops quickly though a request is under way", function()
    local one = connect([[return http.get(url, {timeout = 600}).body]], function() end,
      { "--drain", "200ms", "--timeout", "600s" })
    platform:message { to = workspace.id, text = "go" }
    require("tests.support.loop").wait(function() return #web.requests == 1 end)
    one:stop()
  end)
end)
