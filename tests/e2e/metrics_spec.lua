--- --metrics: what Prometheus, a supervisor and an operator read of a running process.
local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local http = require "tests.support.http"
local loop = require "tests.support.loop"
local process = require "tests.support.process"
local server = require "tests.support.server"
local uv = require "luv"

local SCRIPT = [[
  local molecule = require "molecule"
  return function(msg, ctx)
    if msg.text == "skip" then return molecule.skip() end
    if msg.text == "none" then return nil end
    if msg.text == "reject" then return molecule.reject() end
    if msg.text == "again" and ctx.attempt == 1 then return molecule.retry { after = 0 } end
    if msg.text == "step" then ctx.step("one", function() return 1 end) end
    if msg.text == "later" then return molecule.retry { after = 3600 } end
    if msg.text == "ask" then ctx.ask "well?" end
    if msg.text == "wedge" then string.rep("a", 40):find(("a?"):rep(40) .. ("a"):rep(40)) end
    if msg.text == "fail" then error "broken" end
    return "said"
  end]]

describe("--metrics", function()
  local platform, workspace

  setup(function()
    platform = emulator.start { args = { "--rate-limit", "-1" } }
  end)

  before_each(function()
    workspace = host.workspace(platform)
  end)

  after_each(function()
    host.clean_up()
    platform:clear_faults()
  end)

  teardown(function()
    platform:stop()
  end)

  local function connect(args, more)
    local options = { platform = platform, workspace = workspace, script = SCRIPT, args = { "--metrics", "127.0.0.1:0" } }
    for _, word in ipairs(args or {}) do options.args[#options.args + 1] = word end
    for key, value in pairs(more or {}) do options[key] = value end
    local one = host.start(options)
    one.metrics = one:log("metrics at"):match ":(%d+)/metrics"
    return one
  end

  local function get(one, path, headers)
    return http.request { port = one.metrics, path = path, headers = headers }
  end

  --- "name{label="value"}" -> the sum of the series whose labels contain what is between the braces
  local function number(one, wanted)
    local name, label = wanted:match "^([^{]*){?([^}]*)}?$"
    local sum
    for line in get(one, "/metrics").body:gmatch "[^\n]+" do
      local series, labels, value = line:match "^([%w_]+)({?[^ ]*) (%S+)$"
      if series == name and labels:find(label, 1, true) then sum = (sum or 0) + tonumber(value) end
    end
    return sum
  end

  local function wait_for(one, wanted, value)
    local last
    assert(loop.wait(function()
      last = number(one, wanted)
      return last == value
    end), ("%s is %s, not %s"):format(wanted, last, value))
  end

  local function start_model()
    return server.start(function(_, reply)
      reply(200, cjson.encode {
        choices = { { index = 0, message = { role = "assistant", content = "hello" }, finish_reason = "stop" } },
        usage = { prompt_tokens = 12, completion_tokens = 5 } }, { ["Content-Type"] = "application/json" })
    end)
  end

  it("counts each message once, by who sent it and how it ended; nothing is lost between", function()
    local peer = host.workspace(platform)
    local one = connect { "--max-attempts", "1" }
    for _, text in ipairs { "a", "b", "skip", "none", "reject", "again", "step", "fail", "later" } do
      platform:message { to = workspace.id, text = text }
    end
    platform:message { to = workspace.id, from = peer.id, text = "from a peer" }
    wait_for(one, 'molecule_messages_finished_total{outcome="replied"}', 5)
    wait_for(one, 'molecule_messages_finished_total{outcome="skipped"}', 1)
    wait_for(one, 'molecule_messages_finished_total{outcome="no_reply"}', 1)
    wait_for(one, 'molecule_messages_finished_total{outcome="rejected"}', 1)
    wait_for(one, 'molecule_messages_finished_total{outcome="dead"}', 1)
    wait_for(one, "molecule_messages_deferred", 1)
    assert.equal(9, number(one, 'molecule_messages_received_total{kind="canvas"}'))
    assert.equal(1, number(one, 'molecule_messages_received_total{kind="peer"}'))
    assert.equal(10, number(one, "molecule_messages_received_total"))
    assert.equal(number(one, "molecule_messages_received_total"),
      number(one, "molecule_messages_finished_total") + number(one, "molecule_messages_pending"))
    assert.equal(2, number(one, 'molecule_attempts_total{result="retry"}'))
    assert.equal(11, number(one, "molecule_attempts_total"))
    assert.equal(11, number(one, "molecule_handler_seconds_count"))
    assert.equal(5, number(one, "molecule_reply_seconds_count"))
    assert.equal(1, number(one, "molecule_steps_total"))
    assert.is_true(number(one, "molecule_ledger_commit_seconds_count") > 0)
    assert.is_true(number(one, "molecule_ledger_bytes") > 0)
    assert.is_true(number(one, "molecule_lua_memory_bytes") > 0)
    assert.is_true(number(one, 'molecule_platform_requests_total{class="ok"}') > 0)
    assert.equal(1, number(one, "molecule_oldest_pending_timestamp_seconds") > 1e9 and 1)
    -- after a restart the one that waits is received again, and nothing else is
    one:stop()
    one = connect({}, { state_dir = one.state_dir })
    wait_for(one, "molecule_messages_received_total", 1)
    assert.equal(1, number(one, "molecule_messages_pending"))
  end)

  it("tells open questions, and what a model counted", function()
    local one = connect()
    platform:message { to = workspace.id, text = "ask" }
    wait_for(one, "molecule_questions_open", 1)
    one:stop()
    local model = start_model()
    local other = host.workspace(platform)
    one = host.start { platform = platform, workspace = other, args = { "--metrics", "127.0.0.1:0", "--backend", "openai",
      "--backend-opt", "url=" .. model.url, "--backend-opt", "model=m" } }
    one.metrics = one:log("metrics at"):match ":(%d+)/metrics"
    platform:message { to = other.id, text = "hi" }
    wait_for(one, 'molecule_model_tokens_total{direction="input"}', 12)
    assert.equal(5, number(one, 'molecule_model_tokens_total{direction="output"}'))
    one:stop()
    model:stop()
  end)

  it("has the same number of series whoever sends what", function()
    local one = connect { "--allow-from", "canvas" }
    wait_for(one, "molecule_messages_received_total", 0)
    local function series()
      local names = {}
      for name in get(one, "/metrics").body:gmatch "\n(molecule[^ ]+) " do
        names[#names + 1] = name
      end
      table.sort(names)
      return table.concat(names, "\n")
    end
    local before = series()
    for i = 1, 10000 do
      platform:message { to = workspace.id, text = "x", row = { source_id = ("7f1d0c9e-3a52-4a0e-9d0b-%012x"):format(i) } }
    end
    wait_for(one, 'molecule_messages_finished_total{outcome="skipped"}', 10000)
    assert.equal(before, series())
  end)

  it("has the metrics that docs/monitoring.md lists, and no others", function()
    local page, body = host.read "docs/monitoring.md", get(connect(), "/metrics").body
    local listed, there = {}, {}
    for name in page:match("## The metrics\n(.-)\n## "):gmatch "`(%l+_[%l_]+)`" do
      if name:find "^molecule_" or name:find "^process_" then listed[name] = true end
    end
    for name in body:gmatch "\n# TYPE (%S+)" do there[name] = true end
    there[body:match "^# HELP (%S+)"] = true
    assert.same(there, listed)
  end)

  it("tells the version and the commit of the program", function()
    local version = process.spawn { command = { emulator.binary(), "version" } }
    assert.equal(0, (version:wait_exit()))
    local number_of, commit = version.stdout:match "^molecule (%S+)\ncommit (%S+)\n"
    assert.equal(1, number(connect(), ('molecule_build_info{version="%s",commit="%s"'):format(number_of, commit)))
  end)

  it("says OpenMetrics to whoever asks for it", function()
    local one = connect()
    local answer = get(one, "/metrics", { Accept = "application/openmetrics-text; version=1.0.0" })
    assert.matches("^application/openmetrics%-text; version=1%.0%.0", answer.headers["content-type"])
    assert.matches("# TYPE molecule_messages_received counter\n", answer.body)
    assert.matches("\nmolecule_messages_received_total{", answer.body)
    assert.matches("\n# EOF\n$", answer.body)
    answer = get(one, "/metrics")
    assert.matches("^text/plain; version=0%.0%.4", answer.headers["content-type"])
    assert.matches("# TYPE molecule_messages_received_total counter\n", answer.body)
    assert.falsy(answer.body:find("# EOF", 1, true))
  end)

  it("is ready once it is registered and polls, and not while the platform is away or the script is stuck", function()
    platform:fault({ kind = "status", status = 503 }, { path = "/registry/register" }, { times = -1 })
    local one = connect { "--register-attempts", "0" }
    local answer = get(one, "/readyz")
    assert.equal(503, answer.status)
    assert.matches("is not registered yet\n", answer.body)
    assert.equal(200, get(one, "/healthz").status)
    platform:clear_faults()
    assert(loop.wait(function() return get(one, "/readyz").status == 200 end))
    platform:fault({ kind = "status", status = 503 }, { path = "/activity" }, { times = -1 })
    assert(loop.wait(function() return get(one, "/readyz").body:find "503" end))
    wait_for(one, "molecule_platform_reachable", 0)
    platform:clear_faults()
    assert(loop.wait(function() return get(one, "/readyz").status == 200 end))
    platform:message { to = workspace.id, text = "wedge" }
    wait_for(one, "molecule_script_wedged", 1)
    assert.matches("its script does not return", get(one, "/readyz").body)
    assert.equal(200, get(one, "/healthz").status)
    one:kill()
  end)

  it("shows the status of every workspace as JSON, without secrets", function()
    local one = connect()
    assert(loop.wait(function() return get(one, "/readyz").status == 200 end))
    local answer = get(one, "/status")
    local status = cjson.decode(answer.body)
    assert.equal(1, #status.workspaces)
    assert.equal(workspace.id, status.workspaces[1].workspace)
    assert.equal("running", status.workspaces[1].state)
    assert.is_true(status.workspaces[1].ready)
    assert.falsy(answer.body:find(workspace.token, 1, true))
  end)

  it("refuses other methods and paths", function()
    local one = connect()
    assert.equal(405, http.request({ method = "POST", port = one.metrics, path = "/metrics", body = "x" }).status)
    assert.equal(404, get(one, "/").status)
    assert.equal("", http.request({ method = "HEAD", port = one.metrics, path = "/healthz", timeout_ms = 1000 }).body)
  end)

  it("names a place that is taken", function()
    local one = connect()
    local two = host.start { platform = platform, workspace = host.workspace(platform), script = SCRIPT,
      args = { "--metrics", "127.0.0.1:" .. one.metrics } }
    two:wait_exit(1)
    assert.matches("%-%-metrics: 127%.0%.0%.1:%d+ is in use", two.process.stderr)
  end)

  it("on a unix socket is for its owner and group alone", function()
    local path = host.directory() .. "/metrics.sock"
    local one = host.start { platform = platform, workspace = workspace, script = SCRIPT,
      args = { "--metrics", "unix:" .. path } }
    one:log "metrics at unix:"
    local curl = process.spawn { command = { "curl", "-sS", "--unix-socket", path, "http://localhost/healthz" } }
    assert.equal(0, (curl:wait_exit()))
    assert.equal("ok\n", curl.stdout)
    assert.equal(0, uv.fs_stat(path).mode & 7)
  end)

  it("tells the same time of the start at each scrape", function()
    local one = connect()
    local first = number(one, "process_start_time_seconds")
    for _ = 1, 100 do assert.equal(first, number(one, "process_start_time_seconds")) end
    one:stop()
  end)

  describe("of a fleet around 100 workspaces", function()
    local all, directory, fleet, first_entry

    before_each(function() first_entry = "" end)

    --- The fleet file names those from `first` to `last`.
    local function write_fleet(first, last)
      local entries = {}
      for i = first, last do
        entries[#entries + 1] = ("{ id = %q, token = %q%s }"):format(all[i].id, all[i].token, i == 1 and first_entry or "")
      end
      host.write(directory .. "/fleet.lua", "return { defaults = { script = 'agent.lua' }, workspaces = {" ..
        table.concat(entries, ",\n") .. "} }")
    end

    local function start(count)
      all, directory = {}, host.directory()
      for i = 1, count do all[i] = host.workspace(platform) end
      host.write(directory .. "/agent.lua", SCRIPT)
      write_fleet(1, count)
      fleet = host.start { platform = platform, workspace = all[1], workspaces = all, bare = true, token = false,
        command = { "fleet", directory .. "/fleet.lua" }, args = { "--metrics", "127.0.0.1:0" } }
      fleet.metrics = fleet:log("metrics at"):match ":(%d+)/metrics"
      wait_for(fleet, 'molecule_fleet_workspaces{state="running"}', count)
    end

    --- Reloads the fleet file; returns once so many are there, and no others.
    local function become(first, last)
      write_fleet(first, last)
      fleet.process:signal "sighup"
      assert(loop.wait(function()
        return number(fleet, 'molecule_fleet_workspaces{state="running"}') == last - first + 1 and
          number(fleet, "molecule_fleet_workspaces") == last - first + 1
      end))
    end

    --- Every counter without the label `workspace`, by its series.
    local function sums()
      local found = {}
      for line in get(fleet, "/metrics").body:gmatch "[^\n]+" do
        local series, value = line:match "^(molecule_[^ ]+) (%S+)$"
        local name = series and series:match "^[%w_]+"
        local counts = name and (name:find "_total$" or name:find "_bucket$" or name:find "_count$" or name:find "_sum$")
        if counts and not series:find("workspace=", 1, true) then found[series] = tonumber(value) end
      end
      return found
    end

    local function assert_not_below(before, after)
      for series, value in pairs(before) do assert(after[series] and after[series] >= value, series .. " dropped") end
    end

    it("tells sums of more than 100", function()
      start(101)
      for i = 1, 101, 50 do platform:message { to = all[i].id, text = "hello" } end
      wait_for(fleet, 'molecule_messages_finished_total{outcome="replied"}', 3)
      assert.falsy(get(fleet, "/metrics").body:find("workspace=", 1, true))
      wait_for(fleet, "molecule_platform_reachable", 1)
      assert.is_true(number(fleet, "molecule_heartbeat_last_success_timestamp_seconds") > 1e9)
      fleet:stop()
    end)

    it("keeps in the sums what workspaces counted that have left, also while it had series of each", function()
      local replied, received = 'molecule_messages_finished_total{outcome="replied"}', "molecule_messages_received_total"
      local model = start_model()
      first_entry = (", backend = 'openai', backend_options = { url = %q, model = 'm' }"):format(model.url)
      start(102)
      for i = 1, 3 do platform:message { to = all[i].id, text = "hello" } end
      platform:message { to = all[2].id, text = "later" }
      wait_for(fleet, replied, 3)
      wait_for(fleet, "molecule_messages_deferred", 1)
      local before = sums()
      become(2, 102)
      assert_not_below(before, sums())
      assert.equal(3, number(fleet, replied))
      assert.equal(4, number(fleet, received))
      assert.equal(17, number(fleet, "molecule_model_tokens_total"))
      before = sums()
      -- to 100, each with its series: those that are there
      become(3, 102)
      assert.equal(1, number(fleet, replied))
      assert.equal(1, number(fleet, replied:gsub("{", ("{workspace=%q,"):format(all[3].id))))
      assert.is_nil(sums()[replied])
      platform:message { to = all[3].id, text = "hello" }
      wait_for(fleet, replied, 2)
      -- back, with what it had not finished, which is received again
      become(2, 102)
      wait_for(fleet, received, 6)
      wait_for(fleet, "molecule_messages_deferred", 1)
      assert.equal(4, number(fleet, replied))
      assert_not_below(before, sums())
      model:stop()
      fleet:stop()
    end)
  end)
end)
