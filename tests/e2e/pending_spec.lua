--- What a sender can make the host hold: rows wait as bytes, within --max-pending-bytes, whatever is in them.
local cjson = require "cjson"
local both = require "tests.support.both"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local server = require "tests.support.server"

local PROCESS_MAXIMUM_KIB = 700 * 1024

both(describe, "a backlog of large messages", function(profile)
  local platform, web, at_end

  setup(function() platform = emulator.start { profile = profile, args = { "--rate-limit", "-1" } } end)
  after_each(function()
    host.clean_up()
    server.stop_all()
  end)
  teardown(function() platform:stop() end)

  local function row_id(number) return ("%08x-1111-4111-8111-%012x"):format(number, number) end

  -- A row of a conversation of its own; `metadata` is JSON.
  local function row(workspace, number, metadata)
    return ('{"id":"%s","seq":%d,"created_at":"%s","activity_type":"a2a_receive","method":"message/send",'
      .. '"source_id":null,"workspace_id":"%s","status":"ok","request_body":{"jsonrpc":"2.0","id":"x",'
      .. '"method":"message/send","params":{"message":{"role":"user","messageId":"m%d","contextId":"c%d",'
      .. '"parts":[{"kind":"text","text":"number %d"}],"metadata":{"m":%s}}}}}')
      :format(row_id(number), number, os.date("!%Y-%m-%dT%H:%M:%S.000000Z"), workspace.id, number, number, number, metadata)
  end

  -- A platform that has `count` rows, each made when it is asked for, pages of at most 40 MiB.
  local function serve(count, make)
    at_end = false
    web = server.start(function(request, reply)
      if request.path:find "/events/stream$" then return reply(404, "") end
      if request.path:find "/register$" then return reply(200, '{"status":"registered","delivery_mode":"poll"}') end
      if request.path:find "/notify$" then return reply(200, '{"status":"sent"}') end
      if not request.path:find "/activity$" then return reply(200, "{}") end
      local since, limit = request.query:match "since_id=(%x+)", tonumber(request.query:match "limit=(%d+)")
      local rows, size, number = {}, 0, since and tonumber(since, 16) + 1 or 1
      if not since then limit = 1 end -- a window comes newest first
      while number <= count and #rows < limit and size < 40 << 20 do
        rows[#rows + 1] = make(number)
        size, number = size + #rows[#rows], number + 1
      end
      at_end = #rows == 0
      reply(200, "[" .. table.concat(rows, ",") .. "]")
    end)
    return web.url
  end

  local function start(script, args)
    local workspace = { id = emulator.uuid(), token = "secret-" .. emulator.uuid() }
    local options = { platform = platform, workspace = workspace, script = script, args = args, bare = true,
      env = { ASAN_OPTIONS = "quarantine_size_mb=1:detect_leaks=0" } } -- what was freed does not count
    return workspace, function(url)
      options.api_url = url
      return host.connect(options)
    end
  end

  local function peak_kib(one)
    return tonumber(host.read(("/proc/%d/status"):format(one.process.pid)):match "VmHWM:%s*(%d+)")
  end

  local function requests(path)
    local found = 0
    for _, request in ipairs(web.requests) do
      if request.path:find(path) then found = found + 1 end
    end
    return found
  end

  local function polls() return requests "/activity$" end

  local SLOW = [[
    local molecule = require "molecule"
    return {concurrency = 2, handle = function() molecule.sleep(600) end}]]

  -- Each is several times the limit once it is parsed.
  local KINDS = {
    { "40 of 1 MB of numbers", 40, function() return "[" .. ("0,"):rep(500000) .. "0]" end },
    { "300 of 1 MB of text", 300, function() return '"' .. ("x"):rep(1000000) .. '"' end },
    { "60 of 300 KB of empty objects", 60, function() return "[" .. ("{},"):rep(100000) .. "{}]" end },
    { "4 of 16 MB of empty objects", 4, function() return "[" .. ("{},"):rep(5333333) .. "{}]" end },
    { "15 of 16 MB of text", 15, function() return '"' .. ("x"):rep(16 << 20) .. '"' end },
    { "300 that are 1,000 levels deep", 300, function() return ("["):rep(1000) .. ("]"):rep(1000) end },
  }

  for _, kind in ipairs(KINDS) do
    it("leaves the process below 700 MiB with default options: " .. kind[1], function()
      local metadata = kind[3]()
      local workspace, go = start(SLOW, { "--interval-ms", "50", "--heartbeat-ms", "100", "--timeout", "600s" })
      local one = go(serve(kind[2], function(number) return row(workspace, number, metadata) end))
      -- until it has all rows, or is full: ten heartbeats without a poll
      local polled, beats = -1, 0
      local done = require("tests.support.loop").wait(function()
        if polls() ~= polled then polled, beats = polls(), requests "/heartbeat$" end
        return at_end or requests "/heartbeat$" - beats >= 10
      end)
      assert.truthy(done, one.process:report())
      local peak = peak_kib(one)
      assert.is_true(peak < PROCESS_MAXIMUM_KIB, ("%d MiB"):format(peak // 1024))
      one:kill()
    end)
  end

  it("is answered, each message once and whole, though its rows are fetched a few at a time", function()
    local metadata = "[" .. ("{},"):rep(50000) .. "{}]"
    local workspace, go = start([[return function(msg) return #msg.metadata.m .. " in " .. msg.text end]],
      { "--interval-ms", "20", "--max-pending-bytes", "300KiB" })
    local one = go(serve(30, function(number) return row(workspace, number, metadata) end))
    require("tests.support.loop").wait(function() return one:count_log ": replied" == 30 end)
    local told = {}
    for _, request in ipairs(web.requests) do
      if request.path:find "/notify$" then told[#told + 1] = cjson.decode(request.body).message end
    end
    table.sort(told, function(a, b) return tonumber(a:match "%d+$") < tonumber(b:match "%d+$") end)
    assert.equal(30, #told)
    for i, text in ipairs(told) do assert.equal("50001 in number " .. i, text) end
    one:stop()
  end)

  it("costs one attempt where a message is too large for --memory-limit, not five", function()
    local metadata = "[" .. ("{},"):rep(200000) .. "{}]"
    local workspace, go = start(host.ECHO, { "--interval-ms", "20", "--memory-limit", "8MiB" })
    local one = go(serve(3, function(number) return row(workspace, number, number == 2 and metadata or "1") end))
    one:log(row_id(2):gsub("%-", "%%-") .. ".*attempt 1 of 1.*the message itself needs more than 8 MiB of memory")
    one:log_of(row_id(3), "replied")
    assert.equal(1, one:count_log "the message itself needs more")
    one:stop()
  end)

  it("does not lose the message whose JSON holds more values than are read: it is a dead letter with the reason", function()
    local metadata = "[" .. ("{},"):rep(1000000) .. "{}]"
    local workspace, go = start(host.ECHO, { "--interval-ms", "20" })
    local one = go(serve(3, function(number) return row(workspace, number, number == 2 and metadata or "1") end))
    one:log(row_id(2):gsub("%-", "%%-") .. ".*it holds too many JSON values")
    one:log_of(row_id(3), "replied")
    one:stop()
  end)
end)
