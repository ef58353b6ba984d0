--- `molecule backup`, `restore` and `compact`: a copy made under load, put back elsewhere, and nothing lost.
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local process = require "tests.support.process"

describe("a workspace's state", function()
  local platform, workspace, directory

  before_each(function()
    platform = emulator.start { args = { "--rate-limit", "-1" } }
    workspace = host.workspace(platform)
    directory = host.directory()
  end)

  after_each(function()
    process.kill_all(platform.process)
    host.clean_up()
    platform:stop()
  end)

  local function run(...)
    local child = process.spawn { command = { emulator.binary(), ... }, env = { MOLECULE_STATE_DIR = false,
      STATE_DIRECTORY = false } }
    local code = child:wait_exit()
    return code, child.stdout, child.stderr
  end

  local function serve(state, script, more)
    local options = { platform = platform, workspace = workspace, script = script or host.ECHO, state_dir = state }
    for name, value in pairs(more or {}) do options[name] = value end
    return host.connect(options)
  end

  local function count_of(list)
    local counts = {}
    for _, text in ipairs(list) do counts[text] = (counts[text] or 0) + 1 end
    return counts
  end

  it("is copied under load and put back elsewhere: nothing is lost, and what was finished is not answered again", function()
    local gate = directory .. "/gate"
    local script = ([[
      local molecule = require "molecule"
      return function(msg)
        if msg.text == "dead" then return molecule.dead "no" end
        if msg.text == "later" and not io.open(%q) then return molecule.retry { after = 1 } end
        molecule.store.set("last", msg.text)
        return "echo: " .. msg.text
      end]]):format(gate)
    local state, elsewhere, copy = directory .. "/state", directory .. "/elsewhere", directory .. "/copy"
    local one = serve(state, script)
    for i = 1, 20 do platform:message { to = workspace.id, text = "before " .. i } end
    one:canvas(20)
    platform:message { to = workspace.id, text = "dead" }
    one:log "dead letter"
    local later = platform:message { to = workspace.id, text = "later" }[1]
    one:log_of(later, "retry in")
    -- peers, whose conversations do not wait for the canvas'
    local peers = {}
    for i = 1, 5 do peers[i] = host.workspace(platform) end
    for i = 1, 150 do platform:message { to = workspace.id, from = peers[i % 5 + 1].id, text = "load " .. i } end
    platform:wait { path = "/a2a", count = 10 }
    local code, said, complaint = run("backup", copy, "--state-dir", state)
    assert.equal(0, code, complaint)
    assert.equal(workspace.id .. " saved\n", said)
    assert.equal("700", host.mode(copy))
    assert.equal("600", host.mode(("%s/%s.db"):format(copy, workspace.id)))
    one:kill() -- the machine is gone

    local mark = platform:mark()
    assert.equal(0, (run("restore", copy, "--state-dir", elsewhere)))
    local two = serve(elsewhere, script)
    assert.equal(0, two:count_log "another client")
    assert.equal(0, two:count_log "damaged")
    host.write(gate, "")
    two:wait { path = "/notify", since = mark, count = 1 } -- the one that waited
    for i = 1, 5 do platform:message { to = workspace.id, from = peers[i].id, text = "after " .. i } end
    local all = {}
    for i = 1, 150 do all["echo: load " .. i] = true end
    for i = 1, 5 do all["echo: after " .. i] = true end
    local answered = 0
    while next(all) do
      local entries = platform:wait { path = "/a2a", count = answered + 1 }
      answered = #entries
      for _, entry in ipairs(entries) do
        for text in pairs(all) do
          if entry.body:find('"' .. text .. '"', 1, true) then all[text] = nil end
        end
      end
    end
    local canvas = count_of(two:told_canvas())
    for i = 1, 20 do assert.equal(1, canvas["echo: before " .. i], "before " .. i) end
    assert.equal(1, canvas["echo: later"])
    local _, letters = run("dead", "list", workspace.id, "--state-dir", elsewhere)
    assert.equal(1, select(2, letters:gsub("canvas%s+no\n", "")), letters)
    two:stop()
  end)

  it("keeps its token and its cursor in the copy, where the cursor is that of the ledger", function()
    local state, copy = directory .. "/state", directory .. "/copy"
    local one = serve(state)
    platform:message { to = workspace.id, text = "hello" }
    one:canvas(1)
    host.write(("%s/%s.token"):format(state, workspace.id), "minted-token")
    one:stop()
    local path = ("%s/%s.json"):format(state, workspace.id)
    local id = host.read(path):match '"last_since_id": "([^"]+)"'
    host.write(path, (host.read(path):gsub(id:gsub("%-", "%%-"), emulator.uuid()))) -- as if it were newer than the ledger
    assert.equal(0, (run("backup", copy, workspace.id:upper(), "--state-dir", state)))
    assert(host.read(("%s/%s.json"):format(copy, workspace.id)):find(id, 1, true))
    assert.equal("minted-token", host.read(("%s/%s.token"):format(copy, workspace.id)))
    assert.same({ workspace.id .. ".db", workspace.id .. ".json", workspace.id .. ".token" }, host.list(copy))
  end)

  it("is not overwritten: a directory that is there, state that is there, a host that serves it", function()
    local state, copy = directory .. "/state", directory .. "/copy"
    local one = serve(state)
    platform:message { to = workspace.id, text = "hello" }
    one:canvas(1)
    assert.equal(0, (run("backup", copy, "--state-dir", state)))
    local code, _, said = run("backup", copy, "--state-dir", state)
    assert.equal(1, code)
    assert(said:find "cannot be made: File exists", said)
    code, _, said = run("restore", copy, "--state-dir", state)
    assert.equal(1, code)
    assert(said:find "has state of it already; %-%-replace", said)
    code, _, said = run("restore", copy, "--state-dir", state, "--replace")
    assert.equal(1, code)
    assert(said:find "already serves this workspace", said)
    one:stop()
    local before = host.read(("%s/%s.json"):format(state, workspace.id))
    assert.equal(0, (run("restore", copy, "--state-dir", state, "--replace")))
    local kept
    for _, name in ipairs(host.list(state)) do kept = name:find "%.json%.replaced%-" and name or kept end
    assert.equal(before, host.read(state .. "/" .. kept))
    local two = serve(state)
    platform:message { to = workspace.id, text = "again" }
    two:canvas(2)
    two:stop()
  end)

  it("stays as it is where the copy is damaged", function()
    local state, copy = directory .. "/state", directory .. "/copy"
    local one = serve(state)
    platform:message { to = workspace.id, text = "hello" }
    one:canvas(1)
    assert.equal(0, (run("backup", copy, "--state-dir", state)))
    one:stop()
    local path, files = ("%s/%s.db"):format(copy, workspace.id), host.list(state)
    host.write(path, host.read(path):sub(1, 4096) .. ("x"):rep(#host.read(path) - 4096))
    local code, _, said = run("restore", copy, "--state-dir", state, "--replace")
    assert.equal(1, code)
    assert(said:find("workspace " .. workspace.id, 1, true), said)
    assert.same(files, host.list(state))
    assert.equal(1, (run("restore", directory .. "/none", "--state-dir", state)))
    assert.equal(2, (run("restore")))
    assert.equal(2, (run("backup", copy, "--replace")))
  end)

  it("is made smaller while no host serves it, and works as before", function()
    local state = directory .. "/state"
    local one = serve(state, [[
      local molecule = require "molecule"
      return function(msg)
        if msg.text == "fill" then molecule.store.set("x", ("x"):rep(500000)) else molecule.store.delete("x") end
        return msg.text
      end]])
    platform:message { to = workspace.id, text = "fill" }
    one:canvas(1)
    platform:message { to = workspace.id, text = "empty" }
    one:canvas(2)
    local code, _, complaint = run("compact", "--state-dir", state)
    assert.equal(1, code)
    assert(complaint:find "already serves this workspace", complaint)
    one:stop()
    local done, said = run("compact", workspace.id, "--state-dir", state)
    assert.equal(0, done)
    local after, before = said:match(workspace.id:gsub("%-", "%%-") .. ": (%d+) bytes, before (%d+)\n$")
    assert(tonumber(before) > 500000 and tonumber(after) < 200000, said)
    local two = serve(state)
    platform:message { to = workspace.id, text = "again" }
    local told = two:canvas(3)
    assert.same({ "fill", "empty", "echo: again" }, told)
    two:stop()
    assert.equal(1, (run("compact", "--state-dir", directory .. "/none")))
  end)
end)
