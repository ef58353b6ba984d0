--- What waits holds nobody up, and nothing gets out of order by it.

local cjson = require "cjson"
local uv = require "luv"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local loop = require "tests.support.loop"
local server = require "tests.support.server"

describe("a script that waits", function()
  local platform, workspace

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)
  before_each(function() workspace = host.workspace(platform) end)
  after_each(function()
    server.stop_all()
    host.clean_up()
  end)
  teardown(function() platform:stop() end)

  local function under_sanitizer(one)
    return host.read(("/proc/%d/maps"):format(one.process.pid)):find "lib[at]san" ~= nil
  end

  it("answers 1,000 mixed messages of 20 conversations, eight at a time, each once and each conversation in order", function()
    local web = server.start(function(request, reply) reply(200, request.path) end)
    local one = host.connect { platform = platform, workspace = workspace, args = { "--concurrency", "8", "--script-opt",
      "url=" .. web.url }, script = [[
      local molecule = require "molecule"
      local ways = {
        function(n) return n end,
        function(n) molecule.sleep(0.001 * (n % 7)) return n end,
        function(n, url) return molecule.http.get(url .. "/" .. n).body:sub(2) end,
        function(n) return molecule.exec({argv = {"printf", "%d", n}}).stdout end,
        function(n) molecule.store.incr("count") molecule.store.append("log", n, {max = 10}) return n end,
        function(n) return molecule.store.update("last", function() return n end) end,
      }
      return function(msg, ctx)
        local n = math.tointeger(tonumber(msg.text))
        if n % 97 == 0 and ctx.attempt == 1 then error "once more, please" end
        return ("%d"):format(ways[n % #ways + 1](n, ctx.options.url))
      end]] }
    local peers = {}
    for i = 1, 20 do peers[i] = host.workspace(platform) end
    for round = 0, 49 do
      for i, peer in ipairs(peers) do
        platform:message { to = workspace.id, from = peer.id, text = tostring(round * 20 + i) }
      end
    end
    for i, peer in ipairs(peers) do
      local entries = one:wait { path = ("/workspaces/%s/a2a"):format(peer.id), status = 200, count = 50 }
      assert.equal(50, #entries)
      for round, entry in ipairs(entries) do
        assert.equal(tostring((round - 1) * 20 + i), cjson.decode(entry.body).params.message.parts[1].text)
      end
    end
    one:stop()
  end)

  it("runs 10,000 programs and leaves neither zombie nor descriptor (1,000 under a sanitizer)", function()
    local one = host.connect { platform = platform, workspace = workspace, script = [[
      local molecule = require "molecule"
      return function(msg)
        local fine = 0
        for _ = 1, tonumber(msg.text) do
          if molecule.exec({argv = {"true"}}).code == 0 then fine = fine + 1 end
        end
        return tostring(fine)
      end]] }
    local count = under_sanitizer(one) and 1000 or 10000
    platform:message { to = workspace.id, text = "10" }
    one:canvas(1)
    local before = #host.list("/proc/" .. one.process.pid .. "/fd")
    platform:message { to = workspace.id, text = tostring(count) }
    one:wait { path = ("/workspaces/%s/notify"):format(workspace.id), status = 200, count = 2, timeout_ms = 300000 }
    assert.equal(tostring(count), one:told_canvas()[2])
    assert.is_true(#host.list("/proc/" .. one.process.pid .. "/fd") <= before + 2)
    local children = host.read(("/proc/%d/task/%d/children"):format(one.process.pid, one.process.pid)) or ""
    assert.equal("", (children:gsub("%s", "")))
    one:stop()
  end)

  it("stops reading a body of 1 GiB at max_bytes, whether its length is told or not", function()
    local sent, piece = 0, ("x"):rep(256 * 1024)
    local web = server.start(function(request, reply)
      reply.raw("HTTP/1.1 200 X\r\n" .. (request.path == "/told" and "Content-Length: 1073741824\r\n" or "") .. "\r\n")
      local timer = uv.new_timer()
      timer:start(0, 1, function()
        if reply.queued() > #piece then return end
        if sent >= 1 << 30 or not pcall(reply.raw, piece) then
          timer:stop()
          timer:close()
          return
        end
        sent = sent + #piece
      end)
      request.timer = timer
    end)
    local one = host.connect { platform = platform, workspace = workspace, args = { "--script-opt", "url=" .. web.url },
      script = [[
      local http = require "molecule".http
      return function(msg, ctx)
        local codes = {}
        for i, path in ipairs {"/told", "/untold"} do
          codes[i] = select(3, http.get(ctx.options.url .. path, {max_bytes = 4 << 20}))
        end
        return table.concat(codes, " ")
      end]] }
    platform:message { to = workspace.id, text = "x" }
    assert.same({ "TOO_LARGE TOO_LARGE" }, one:canvas(1))
    for _, request in ipairs(web.requests) do
      if not request.timer:is_closing() then request.timer:close() end
    end
    assert.is_true(sent < 256 << 20, sent .. " bytes were read")
    one:stop()
  end)

  it("answers one conversation while another waits for a web service", function()
    local asked
    local web = server.start(function(_, reply) asked = reply end)
    local one = host.connect { platform = platform, workspace = workspace, args = { "--concurrency", "2", "--script-opt",
      "url=" .. web.url }, script = [[
      local http = require "molecule".http
      return function(msg, ctx)
        if msg.text == "slow" then return http.get(ctx.options.url, {timeout = 600}).body end
        return "at once"
      end]] }
    local peer = host.workspace(platform)
    platform:message { to = workspace.id, from = peer.id, text = "slow" }
    loop.wait(function() return asked end)
    platform:message { to = workspace.id, text = "quick" }
    assert.same({ "at once" }, one:canvas(1))
    asked(200, "after a while")
    assert.same({ "after a while" }, (one:peer(peer.id, 1)))
    one:stop()
  end)
end)
