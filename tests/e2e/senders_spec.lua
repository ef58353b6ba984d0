--- What a sender makes us do: fetch a file from an address of its choice, take its word for the answer of another.

local cjson = require "cjson"
local both = require "tests.support.both"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local server = require "tests.support.server"

both(describe, "a sender", function(profile)
  local platform, workspace

  setup(function() platform = emulator.start { profile = profile, args = { "--rate-limit", "-1" } } end)
  before_each(function() workspace = host.workspace(platform) end)
  after_each(function()
    server.stop_all()
    host.clean_up()
  end)
  teardown(function() platform:stop() end)

  local READER = [[
    return function(msg)
      local results = {}
      for i, file in ipairs(msg.files) do
        local bytes, problem, code = file:read()
        results[i] = bytes or code .. ": " .. problem
      end
      return table.concat(results, "\n")
    end]]

  local function read(args, uris)
    local one = host.connect { platform = platform, workspace = workspace, args = args, script = READER }
    local parts = {}
    for i, uri in ipairs(uris) do parts[i] = { kind = "file", file = { uri = uri, name = "f" .. i } } end
    platform:message { to = workspace.id, parts = parts }
    one:wait { path = ("/workspaces/%s/notify"):format(workspace.id), status = 200, count = 1 }
    local told = one:told_canvas()[1]
    one:stop()
    return told
  end

  it("that names a file at an address of this machine, its network or its cloud gets nothing from there", function()
    local web = server.start(function(_, reply) reply(200, "secret") end)
    local port = web.port
    local uris = {}
    for i, where in ipairs { "127.0.0.1:" .. port, "localhost:" .. port, "127.1:" .. port, "0x7f000001:" .. port,
      "2130706433:" .. port, "0.0.0.0:" .. port, "[::1]:" .. port, "[::ffff:127.0.0.1]:" .. port, "169.254.169.254", "10.0.0.1",
      "192.168.0.1", "172.16.0.1", "100.64.0.1", "[fd00::1]", "[fe80::1]", "[::ffff:10.0.0.1]" } do
      uris[i] = "https://" .. where .. "/x"
    end
    local told = read({}, uris)
    for line in told:gmatch "[^\n]+" do
      assert.truthy(line:find "^FORBIDDEN: file f%d+: .*has an address that is not public; %-%-allow%-file%-host", line)
    end
    assert.equal(#uris, select(2, told:gsub("FORBIDDEN", "")))
    assert.equal(0, #web.requests)
  end)

  it("that names a file with http, or another scheme, gets nothing", function()
    local web = server.start(function(_, reply) reply(200, "secret") end)
    local told = read({}, { web.url .. "/x", "file:///etc/passwd", "ftp://127.0.0.1/x", "HTTP://127.0.0.1:" .. web.port .. "/" })
    assert.truthy(told:find "^FORBIDDEN: file f1: .*is not https; %-%-allow%-file%-host", told)
    assert.equal(3, select(2, told:gsub("UNAVAILABLE: ", "")), told)
    assert.equal(0, #web.requests)
  end)

  it("gets a file from where --allow-file-host allows it, in the sandbox too", function()
    local web = server.start(function(_, reply) reply(200, "the file") end)
    local where = "127.0.0.1:" .. web.port
    assert.equal("the file", read({ "--allow-file-host", where }, { web.url .. "/x" }))
    workspace = host.workspace(platform)
    assert.equal("the file", read({ "--sandbox", "--allow-host", where, "--allow-file-host", where }, { web.url .. "/x" }))
    workspace = host.workspace(platform)
    assert.truthy(read({ "--sandbox", "--allow-file-host", where }, { web.url .. "/x" }):find "^FORBIDDEN")
  end)

  it("is not followed by a redirect to where it could not send us itself", function()
    local inner = server.start(function(_, reply) reply(200, "secret") end)
    local web = server.start(function(_, reply)
      reply.raw("HTTP/1.1 302 Found\r\nLocation: " .. inner.url .. "/x\r\nContent-Length: 0\r\n\r\n")
    end)
    local told = read({ "--allow-file-host", "127.0.0.1:" .. web.port }, { web.url .. "/x" })
    assert.truthy(told:find "^FORBIDDEN", told)
    assert.equal(1, #web.requests)
    assert.equal(0, #inner.requests)
  end)

  it("does not reach an address on a connection that the script itself has open", function()
    local web = server.start(function(_, reply) reply(200, "hello") end)
    local one = host.connect { platform = platform, workspace = workspace, args = { "--script-opt", "url=" .. web.url },
      script = [[
      local molecule = require "molecule"
      return function(msg, ctx)
        molecule.http.get(ctx.options.url)
        return select(3, msg.files[1]:read())
      end]] }
    platform:message { to = workspace.id, parts = { { kind = "file", file = { uri = web.url, name = "f" } } } }
    assert.same({ "FORBIDDEN" }, one:canvas(1))
    assert.equal(1, #web.requests)
    one:stop()
  end)

  it("does not answer for the peer that was asked, not even to the handler's next attempt", function()
    local asked, other = host.workspace(platform), host.workspace(platform)
    local one = host.connect { platform = platform, workspace = workspace, script = ([[
      local molecule = require "molecule"
      return {concurrency = 4, handle = function(msg, ctx)
        if msg.text ~= "ask" then return "heard" end
        local answer = molecule.send(%q, "the question", {timeout = ctx.attempt == 1 and 0 or 60})
        if ctx.attempt == 1 then
          molecule.sleep(1)
          error "once more"
        end
        return "it said " .. tostring(answer and answer.text)
      end}]]):format(asked.id) }
    platform:message { to = workspace.id, text = "ask" }
    local asking = one:wait({ path = ("/workspaces/%s/a2a"):format(asked.id), status = 200, count = 1 })[1]
    local question = cjson.decode(asking.body).params.message.messageId
    local function answer(from, text)
      return platform:message { to = workspace.id, from = from.id, text = text,
        metadata = { molecule = { in_reply_to = question, hops = 1 } } }[1]
    end
    one:log_of(answer(other, "spoofed"), "reply to ours")
    one:log "once more"
    answer(asked, "true")
    one:wait { path = ("/workspaces/%s/notify"):format(workspace.id), status = 200, count = 1 }
    assert.same({ "it said true" }, one:told_canvas())
    one:stop()
  end)

  it("cannot fill the ledger with answers to questions whose ids are none of ours", function()
    local other = host.workspace(platform)
    local one = host.connect { platform = platform, workspace = workspace, script = host.ECHO }
    local row = platform:message { to = workspace.id, from = other.id, text = "x",
      metadata = { molecule = { in_reply_to = ("y"):rep(1000), hops = 1 } } }[1]
    one:log_of(row, "reply to ours")
    one:stop()
    local found = io.popen(("sqlite3 %s/%s.db 'select count(*) from answers'"):format(one.state_dir, workspace.id))
    assert.equal("0", found:read "l")
    found:close()
  end)
end)
