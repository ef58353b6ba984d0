--- The systemd unit in docs/operations.md is the one that is installed, and fits the program: exit codes, the time to stop, who
--- gets the signals.
local host = require "tests.support.host"

-- The unit as {Section = {Key = value}}; a key that stands twice is a mistake.
local function read_unit()
  local page = assert(host.read "docs/operations.md")
  local text = assert(page:match "```ini\n(.-)```")
  local unit, section = {}, nil
  for line in text:gmatch "[^\n]+" do
    local name = line:match "^%[(%a+)%]$"
    local key, value = line:match "^(%u%w+)=(.*)$"
    assert(name or key, line)
    if name then
      section = {}
      unit[name] = section
    else
      assert.is_nil(section[key], line)
      section[key] = value
    end
  end
  return unit, text, page
end

local function help_of(option)
  local pipe = assert(io.popen(("%q connect --help"):format(require("tests.support.emulator").binary())))
  local text = pipe:read "a"
  pipe:close()
  return assert(text:match("%-%-" .. option:gsub("%-", "%%-") .. ".-\n  [%- ]"), option)
end

describe("the systemd unit in docs/operations.md", function()
  it("is the one that is installed", function()
    local _, text = read_unit()
    assert.equal(host.read "dist/systemd/molecule@.service", text)
    -- the others differ in what they run alone
    local fleet, serve = host.read "dist/systemd/molecule-fleet.service", host.read "dist/systemd/molecule-serve.service"
    local own = { ExecStartPre = true, ExecStart = true, Description = true, Requires = true, After = true,
      StateDirectory = true, LoadCredential = true, EnvironmentFile = true, LimitNOFILE = true }
    local function lines(unit)
      local list = {}
      for line in unit:gmatch "[^\n]+" do
        if not own[line:match "^%w+"] then list[#list + 1] = line end
      end
      return list
    end
    assert.same(lines(text), lines(fleet))
    assert.same(lines(text), lines(serve))
    assert.truthy(serve:find("Requires=molecule-serve.socket\n", 1, true))
    assert.truthy(serve:find("--listen systemd --auth-token-file %d/auth-tokens $SERVE_OPTIONS\n", 1, true))
    assert.truthy(fleet:find("ExecStart=/usr/bin/molecule fleet /etc/molecule/fleet.lua\n", 1, true))
    assert.truthy(fleet:find("LoadCredential=tokens:/etc/molecule/tokens\n", 1, true))
  end)

  it("takes the files that the page installs, and starts the workspace that it is named after", function()
    local unit, _, page = read_unit()
    for ending, line in pairs { lua = unit.Service.ExecStart, token = unit.Service.LoadCredential,
      env = unit.Service.EnvironmentFile } do
      assert(line:find("/etc/molecule/%i." .. ending, 1, true), line)
      assert(page:find("/etc/molecule/$ID." .. ending, 1, true), ending)
    end
    assert(unit.Service.ExecStart:find("^/usr/bin/molecule connect %%i "))
    assert.equal("molecule/%i", unit.Service.StateDirectory)
    assert(page:find("--state-dir /var/lib/molecule/<id>", 1, true))
    assert(page:find("MOLECULE_API_URL=", 1, true) and help_of "api-url":find "MOLECULE_API_URL")
  end)

  it("restarts everything but what a restart cannot fix", function()
    local unit, _, page = read_unit()
    local final = {}
    for code, words in page:gmatch "\n| (%d+) | ([^\n]*) |" do
      if words:find "Restarting won't help" then final[#final + 1] = code end
    end
    assert.same({ "2", "77" }, final)
    assert.equal(table.concat(final, " "), unit.Service.RestartPreventExitStatus)
    assert.equal("on-failure", unit.Service.Restart)
    assert.equal("0", unit.Unit.StartLimitIntervalSec)
    assert(tonumber(unit.Service.RestartSec) >= 1)
  end)

  it("leaves the host the time that --drain says, and the signal to it alone", function()
    local unit = read_unit()
    local drain = tonumber(help_of("drain"):match "%[(%d+)s%]")
    assert(tonumber(unit.Service.TimeoutStopSec) > drain + 10)
    assert.equal("mixed", unit.Service.KillMode)
  end)

  it("waits for the network, can be enabled, and runs as nobody in particular", function()
    local unit = read_unit()
    assert.equal("network-online.target", unit.Unit.Wants)
    assert.equal("network-online.target", unit.Unit.After)
    assert.equal("multi-user.target", unit.Install.WantedBy)
    assert.equal("yes", unit.Service.DynamicUser)
    assert.equal("0700", unit.Service.StateDirectoryMode)
    assert.equal("yes", unit.Service.NoNewPrivileges)
    assert(unit.Service.RestrictAddressFamilies:find "AF_NETLINK") -- getaddrinfo asks for the machine's addresses
  end)

  it("is one that systemd accepts, and rates as safe", function()
    if not os.execute "systemd-analyze --version >/dev/null 2>&1" then return pending "no systemd-analyze here" end
    local function analyze(words)
      local pipe = assert(io.popen("systemd-analyze " .. words .. " 2>&1"))
      local text = pipe:read "a"
      pipe:close()
      return text
    end
    for _, name in ipairs { "molecule@.service", "molecule-fleet.service", "molecule-serve.service" } do
      local path = host.directory() .. "/" .. name
      host.write(path, (host.read("dist/systemd/" .. name):gsub("/usr/bin/molecule", require("tests.support.emulator").binary())))
      host.write(path:gsub("[^/]+$", "") .. "molecule-serve.socket", host.read "dist/systemd/molecule-serve.socket")
      assert.equal("", analyze("verify " .. path))
      local exposure = tonumber(analyze("security --offline=true " .. path):match "exposure level for [^:]+: ([%d.]+)")
      assert.is_true(exposure < 2.0, name) -- as docs/operations.md says
    end
  end)

  teardown(host.clean_up)
end)
