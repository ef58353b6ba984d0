--- What takes descriptors is limited for a whole script, not for each of its handlers: timers are handlers, too.

local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local server = require "tests.support.server"

describe("a script that takes what descriptors it can get", function()
  local platform, workspace

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)
  before_each(function() workspace = host.workspace(platform) end)
  after_each(function()
    server.stop_all()
    host.clean_up()
  end)
  teardown(function() platform:stop() end)

  local function connect(code, args)
    local web = server.start(function() end) -- answers nothing
    local all = { "--concurrency", "4", "--heartbeat-ms", "100", "--script-opt", "url=" .. web.url }
    for _, arg in ipairs(args) do all[#all + 1] = arg end
    local one = host.connect { platform = platform, workspace = workspace, args = all,
      under = { "sh", "-c", 'ulimit -n 128; exec "$@"', "sh" }, script = [[
      local molecule, core = require "molecule", require "molecule.core"
      local opened, refused = 0, nil
      return function(msg, ctx)
        if msg.text == "how many" then return opened .. " " .. tostring(refused) end
        ]] .. code .. "\nend" }
    platform:message { to = workspace.id, text = "go", context_id = "go" }
    return one
  end

  it("cannot keep the ledger and the cursor from being opened, though it took all there are before the first message", function()
    local one = host.connect { platform = platform, workspace = workspace, args = { "--heartbeat-ms", "100" },
      under = { "sh", "-c", 'ulimit -n 128; exec "$@"', "sh" }, script = [[
        local molecule = require "molecule"
        local files = {}
        return {
          start = function() molecule.after(0.2, function()
            repeat
              local file = io.open "/dev/null"
              files[#files + 1] = file
            until not file
            molecule.log.info "all are taken"
          end) end,
          handle = function(msg) return "heard " .. msg.text end,
        }]] }
    one:log "all are taken"
    local row = platform:message { to = workspace.id, text = "one" }[1]
    one:log_of(row, "replied")
    local rows = platform:rows(workspace.id)
    one:wait_cursor(rows[#rows].id)
    assert.same({ "heard one" }, one:told_canvas())
    one:stop()
  end)

  local function answers(one)
    local told
    for i = 1, 5 do
      platform:message { to = workspace.id, text = "how many", context_id = "ask" .. i }
      one:wait { path = ("/workspaces/%s/notify"):format(workspace.id), status = 200, count = i }
      told = one:told_canvas()[i]
    end
    one:wait { path = "/registry/heartbeat", since = platform:mark(), status = 200, count = 3 }
    assert.equal(0, one:count_log "Too many open files")
    assert.equal(0, one:count_log "unable to open database")
    return told
  end

  it("as streams still has its messages recorded and answered, its heartbeats sent", function()
    local one = connect([[
      for _ = 1, 10 do molecule.after(0, function()
        local streams = {}
        for i = 1, 60 do
          local fine, problem = pcall(core.http_stream, {url = ctx.options.url, timeout = 100})
          if fine then opened = opened + 1 streams[i] = problem else refused = problem end
        end
        molecule.sleep(600)
      end) end
      molecule.sleep(600)]], { "--sandbox", "--allow-host", "127.0.0.1" })
    one:log "registered"
    assert.truthy(answers(one):find "^8 .*this script has 8 streams open")
    one:kill()
  end)

  it("as requests has those beyond wait for a connection", function()
    local one = connect([[
      for _ = 1, 200 do molecule.after(0, function()
        opened = opened + 1
        molecule.http.get(ctx.options.url, {timeout = 600})
      end) end
      molecule.sleep(600)]], { "--sandbox", "--allow-host", "127.0.0.1" })
    assert.truthy(answers(one):find "^200 nil")
    one:kill()
  end)

  it("as programs is told how many already run", function()
    local one = connect([[
      for _ = 1, 20 do molecule.after(0, function()
        local pipes = {}
        for i = 1, 20 do
          local pipe, problem = io.popen("exec sleep 20")
          if pipe then opened = opened + 1 pipes[i] = pipe else refused = problem end
        end
        local _, problem, code = molecule.exec {argv = {"sleep", "20"}}
        if code == "BUSY" then refused = problem end
        molecule.sleep(600)
      end) end
      molecule.sleep(600)]], {})
    local told = answers(one)
    assert.truthy(told:find "^8 cannot run .*: this script already runs 8 programs", told)
    one:kill()
  end)
end)
