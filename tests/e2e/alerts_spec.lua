--- examples/monitoring: a real Prometheus scrapes a real host, and its alerts fire for what is wrong.
local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local http = require "tests.support.http"
local loop = require "tests.support.loop"
local namespace = require "tests.support.namespace"
local process = require "tests.support.process"
local uv = require "luv"

local DIRECTORY = "examples/monitoring"

local function has(program)
  for directory in (os.getenv "PATH" or ""):gmatch "[^:]+" do
    if uv.fs_access(directory .. "/" .. program, "X") then return true end
  end
  return false
end

local function free_port()
  local socket = uv.new_tcp()
  socket:bind("127.0.0.1", 0)
  local port = socket:getsockname().port
  socket:close()
  return port
end

local SCRIPT = [[
  return function(msg)
    if msg.text == "wedge" then string.rep("a", 40):find(("a?"):rep(40) .. ("a"):rep(40)) end
    if msg.text == "fill" then
      local file = io.open(os.getenv "STATE" .. "/filler", "w")
      while file:write(("x"):rep(65536)) and file:flush() do end
      return nil
    end
    error "broken"
  end]]

describe("the alerts of examples/monitoring", function()
  local platform, prometheus, directory, port, one, workspace

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)

  after_each(function()
    if prometheus then prometheus:kill() end
    prometheus = nil
    host.clean_up()
    platform:clear_faults()
  end)

  teardown(function() platform:stop() end)

  --- What the alerts wait for is shortened: that they wait as long as they say is in alerts_test.yml.
  local function scrape(target)
    directory, port = host.directory(), free_port()
    local rules = host.read(DIRECTORY .. "/alerts.yml"):gsub("for: %w+", "for: 0s"):gsub("_seconds > 60", "_seconds > 1")
    host.write(directory .. "/alerts.yml", rules)
    host.write(directory .. "/prometheus.yml", (host.read(DIRECTORY .. "/prometheus.yml"):gsub("15s", "200ms")
      :gsub("127%.0%.0%.1:9464", "127.0.0.1:" .. target)))
    prometheus = process.spawn { command = { "prometheus", "--config.file=" .. directory .. "/prometheus.yml",
      "--storage.tsdb.path=" .. directory .. "/data", "--web.listen-address=127.0.0.1:" .. port } }
    prometheus:wait_line("ready to receive web requests", { stream = "stderr" })
  end

  local function firing(name)
    local answer = http.request { port = port, path = "/api/v1/alerts" }
    if answer.status ~= 200 then return nil end
    for _, alert in ipairs(cjson.decode(answer.body).data.alerts) do
      if alert.labels.alertname == name and alert.state == "firing" then return alert end
    end
  end

  local function wait_for(name)
    local found
    assert(loop.wait(function()
      found = firing(name)
      return found
    end), name .. " does not fire")
    return found
  end

  local function scraped(query)
    local answer = http.request { port = port, path = "/api/v1/query", query = { query = query } }
    local result = answer.status == 200 and cjson.decode(answer.body).data.result[1]
    return result and tonumber(result.value[2])
  end

  local function connect(args, more)
    workspace = host.workspace(platform)
    local options = { platform = platform, workspace = workspace, script = SCRIPT,
      args = { "--metrics", "127.0.0.1:0", "--heartbeat-ms", "200", "--max-attempts", "1" } }
    for _, word in ipairs(args or {}) do options.args[#options.args + 1] = word end
    for key, value in pairs(more or {}) do options[key] = value end
    one = host.start(options)
    return one:log("metrics at"):match ":(%d+)/metrics"
  end

  it("are rules that promtool takes, and each fires when it should and not before", function()
    if not has "promtool" then return pending "promtool is not installed (apt install prometheus)" end
    for _, command in ipairs { { "promtool", "check", "config", "prometheus.yml" },
      { "promtool", "test", "rules", "alerts_test.yml" } } do
      local check = process.spawn { command = command, cwd = DIRECTORY }
      local code = check:wait_exit()
      assert.equal(0, code, check.stdout .. check.stderr)
    end
  end)

  it("name only metrics and events that there are", function()
    local target = connect()
    local body = http.request { port = tonumber(target), path = "/metrics" }.body
    for name in host.read(DIRECTORY .. "/alerts.yml"):gmatch "(molecule_[%w_]+)[{ ]" do
      assert.truthy(body:find("\n" .. name .. "{", 1, true) or body:find("\n" .. name .. " ", 1, true), name)
    end
    for names in host.read(DIRECTORY .. "/alerts.yml"):gmatch 'event=~?"([^"]+)"' do
      for name in names:gmatch "[^|]+" do assert.truthy(body:find('{event="' .. name .. '"}', 1, true), name) end
    end
    for expression in host.read(DIRECTORY .. "/grafana.json"):gmatch '"expr": "(.-[^\\])"' do
      for name in expression:gmatch "molecule_[%w_]+" do assert.truthy(body:find(name, 1, true), name) end
    end
  end)

  it("fire for a late heartbeat, failing polls and new dead letters", function()
    if not has "prometheus" then return pending "prometheus is not installed (apt install prometheus)" end
    scrape(connect())
    assert(loop.wait(function() return scraped "molecule_heartbeat_last_success_timestamp_seconds" end))
    for _, name in ipairs { "MoleculeDown", "MoleculeHeartbeatLate", "MoleculePollFailing", "MoleculeDeadLetters",
      "MoleculeScriptWedged", "MoleculeStateFailing" } do assert.is_nil(firing(name)) end
    for expression in host.read(DIRECTORY .. "/grafana.json"):gmatch '"expr": "(.-[^\\])"' do
      local query = expression:gsub('\\"', '"'):gsub("%$__rate_interval", "1m"):gsub("%$%l+", ".*")
      assert.equal(200, http.request({ port = port, path = "/api/v1/query", query = { query = query } }).status, query)
    end
    platform:message { to = workspace.id, text = "fail" }
    wait_for "MoleculeDeadLetters"
    platform:fault({ kind = "status", status = 500 }, { path = "/registry/heartbeat" }, { times = -1 })
    assert.equal(workspace.id, wait_for("MoleculeHeartbeatLate").labels.workspace)
    platform:fault({ kind = "status", status = 500 }, { path = "/activity" }, { times = -1 })
    wait_for "MoleculePollFailing"
  end)

  it("fire for a script that does not return, and for a process that is gone", function()
    if not has "prometheus" then return pending "prometheus is not installed (apt install prometheus)" end
    scrape(connect())
    platform:message { to = workspace.id, text = "wedge" }
    wait_for "MoleculeScriptWedged"
    one:kill()
    wait_for "MoleculeDown"
  end)

  it("fire for a full disk", function()
    if not has "prometheus" then return pending "prometheus is not installed (apt install prometheus)" end
    if not namespace.allowed() then return pending(namespace.PENDING) end
    local state = host.directory()
    scrape(connect({}, { state_dir = state .. "/state", env = { STATE = state },
      under = namespace.after(("mount -t tmpfs -o size=2m none %s && mkdir -m 700 %s/state"):format(state, state)) }))
    wait_for "MoleculeDiskNearlyFull"
    platform:message { to = workspace.id, text = "fill" }
    wait_for "MoleculeStateFailing"
    one:kill()
  end)
end)
