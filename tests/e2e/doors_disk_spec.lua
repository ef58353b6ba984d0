--- Tasks while their ledger is slow or refuses: what is not recorded yet when something else happens.

local cjson = require "cjson"
local uv = require "luv"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local http = require "tests.support.http"
local loop = require "tests.support.loop"
local process = require "tests.support.process"
local served = require "tests.support.served"
local server = require "tests.support.server"

describe("a task", function()
  after_each(host.clean_up)

  it("tells a webhook nothing that was being recorded when its config was deleted", function()
    local gate = served.gate()
    local hook = server.start(function(_, reply) reply(200, "") end)
    local one = served.start { gate = gate, args = { "--allow-webhook", "127.0.0.1" }, script = [[
      local molecule = require "molecule"
      return function(_, ctx)
        molecule.http.get(ctx.options.gate .. "/before")
        ctx.progress "said while the disk is slow"
        molecule.http.get(ctx.options.gate .. "/after")
        return "done"
      end]] }
    local id = one:begin "go".id
    gate.wait(1)
    for name in pairs { deleted = true, kept = true } do
      one:result("CreateTaskPushNotificationConfig", { taskId = id, id = name, url = hook.url .. "/" .. name })
    end
    local holds = process.spawn { command = { "sqlite3", one.host.state_dir .. "/agent.db" }, keep_stdin = true,
      stdin = "BEGIN IMMEDIATE;\nSELECT 'held';\n" }
    holds:wait_line "held"
    gate.pass()
    repeat -- it shows what is being recorded
      local status = one:result("GetTask", { id = id }).status
    until status.message
    one:call("DeleteTaskPushNotificationConfig", { taskId = id, id = "deleted" })
    holds:write "COMMIT;\n.quit\n"
    holds:close_stdin()
    holds:wait_exit()
    gate.wait(2)
    gate.open()
    local function told(path)
      local words = {}
      for _, request in ipairs(hook.requests) do
        if request.path == path then words[#words + 1] = served.word(cjson.decode(request.body)) end
      end
      return words
    end
    assert(loop.wait(function() return told("/kept")[3] end), "the other webhook was told nothing")
    assert.same({ "WORKING said while the disk is slow", "reply done", "COMPLETED" }, told "/kept")
    assert.same({}, told "/deleted")
    one:stop()
  end)
end)

describe("a pushed message", function()
  after_each(host.clean_up)

  it("whose lateness could not be recorded is given up with the process, and leaks nothing", function()
    local platform = emulator.start { args = { "--rate-limit", "-1" } }
    platform:order("config", { push_loopback = true })
    local workspace, socket = host.workspace(platform), uv.new_tcp()
    socket:bind("127.0.0.1", 0)
    local port = socket:getsockname().port
    socket:close()
    local one = host.start { platform = platform, workspace = workspace, bare = true, script = [[
      local molecule = require "molecule"
      return function() molecule.log.info "working" molecule.sleep(60) end]], args = { "--mode", "push", "--listen",
      "127.0.0.1:" .. port, "--public-url", ("http://localhost:%d"):format(port), "--answer-within", "2s", "--drain", "100ms",
      "--verbose" } }
    local inbound = ("%s/%s.inbound"):format(one.state_dir, workspace.id)
    assert(loop.wait(function() return host.read(inbound) end, 10000, "the inbound secret is kept"))
    local exchange = http.start { port = port, method = "POST", path = "/", headers = { Authorization = "Bearer " ..
      host.read(inbound) }, json = { jsonrpc = "2.0", id = "r1", method = "message/send", params = { message = {
      messageId = emulator.uuid(), role = "user", parts = { { kind = "text", text = "hello" } } } } } }
    one:log "working"
    assert(os.execute(("sqlite3 -cmd '.timeout 5000' '%s/%s.db' 'CREATE TRIGGER no BEFORE UPDATE ON tasks BEGIN SELECT "
      .. "RAISE(ABORT, \"no\"); END'"):format(one.state_dir, workspace.id)))
    one.process:wait_line("record a task: no", { stream = "stderr" })
    one:stop() -- fails if a sanitizer complains
    exchange:close()
    platform:stop()
  end)
end)
