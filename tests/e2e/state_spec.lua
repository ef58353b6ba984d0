local cjson = require "cjson"
local uv = require "luv"
local both = require "tests.support.both"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local process = require "tests.support.process"

both(describe, "what is remembered", function(profile)
  local platform, workspace, peer, state_dir, state_path

  setup(function()
    platform = emulator.start { profile = profile, args = { "--rate-limit", "-1" } }
  end)

  before_each(function()
    workspace, peer = host.workspace(platform), host.workspace(platform)
    state_dir = host.directory() .. "/state"
    state_path = ("%s/%s.json"):format(state_dir, workspace.id)
  end)

  after_each(host.clean_up)

  teardown(function()
    platform:stop()
  end)

  local function options(more)
    local all = { platform = platform, workspace = workspace, script = host.ECHO, state_dir = state_dir }
    for name, value in pairs(more or {}) do all[name] = value end
    return all
  end

  local function send(text)
    return platform:message { to = workspace.id, from = peer.id, text = text }[1]
  end

  local function write_state(text)
    if not uv.fs_stat(state_dir) then assert(uv.fs_mkdir(state_dir, 448)) end
    host.write(state_path, text)
    assert(uv.fs_chmod(state_path, 384))
  end

  -- What the peer was sent, once this message was answered too.
  local function answered(one, last)
    send(last)
    one:wait { path = ("/workspaces/%s/a2a"):format(peer.id), status = 200, body = "echo: " .. last }
    return (one:peer(peer.id, 1))
  end

  it("a restart answers what came meanwhile and nothing twice", function()
    local one = host.connect(options())
    assert.same({ "echo: one" }, answered(one, "one"))
    one:stop()
    send "two"
    send "three"
    local two = host.connect(options())
    assert.same({ "echo: one", "echo: two", "echo: three", "echo: four" }, answered(two, "four"))
    two:stop()
    assert.equal("600", host.mode(state_path))
    assert.equal("700", host.mode(state_dir))
  end)

  it("a restart long after answers all that came meanwhile, however long ago", function()
    local one = host.connect(options())
    answered(one, "one")
    one:stop()
    local state = one:state()
    local rows = platform:rows(workspace.id)
    platform:order("prune", { workspace = workspace.id, ids = { rows[#rows].id } })
    platform:message { to = workspace.id, from = peer.id, text = "an hour ago", created_at = host.ago(3600) }
    state.last_poll_ms = math.floor((os.time() - 7200) * 1000)
    write_state(cjson.encode(state))
    for _, ending in ipairs { "db", "db-wal", "db-shm" } do -- the ledger knows the time of the last poll too
      uv.fs_unlink(("%s/%s.%s"):format(state_dir, workspace.id, ending))
    end
    local two = host.connect(options())
    two:log "no longer knows our cursor.*fetching the last 72%d%d s instead"
    assert.same({ "echo: one", "echo: an hour ago", "echo: now" }, answered(two, "now"))
    two:stop()
  end)

  it("a kill at any time loses nothing that was saved, and what it left behind is swept", function()
    local one = host.connect(options())
    answered(one, "one")
    one:wait_cursor(platform:rows(workspace.id)[1].id)
    one:kill()
    local left = { state_path .. ".tmp-0c1e0000-0000-4000-8000-000000000000", state_path .. ".tmp-x" }
    for _, path in ipairs(left) do host.write(path, "half a fi") end
    local two = host.connect(options())
    for _, path in ipairs(left) do assert.is_nil(uv.fs_stat(path)) end
    assert.same({ "echo: one", "echo: two" }, answered(two, "two"))
    two:stop()
  end)

  it("keys that another program wrote stay", function()
    local first = send "one"
    write_state(cjson.encode { workspace_id = workspace.id, last_since_id = first,
      future = { list = { 1, "two", { three = 3 } } }, note = "keep me" })
    local one = host.connect(options())
    assert.same({ "echo: two" }, answered(one, "two"))
    one:stop_at(platform:rows(workspace.id)[2].id)
    local state = one:state()
    assert.equal("keep me", state.note)
    assert.same({ list = { 1, "two", { three = 3 } } }, state.future)
  end)

  it("the Go client's file is taken over, and ours has what it reads", function()
    local first = send "answered by the Go client"
    write_state(('{\n  "workspace_id": "%s",\n  "last_since_id": "%s"\n}'):format(workspace.id, first))
    local one = host.connect(options())
    assert.same({ "echo: ours" }, answered(one, "ours"))
    one:stop()
    local state = one:state()
    assert.equal(workspace.id, state.workspace_id)
    assert.equal(platform:rows(workspace.id)[2].id, state.last_since_id)
  end)

  for name, text in pairs {
    ["half an object"] = '{"workspace_id": "',
    ["nothing"] = "",
    ["a list"] = "[]",
    ["a cursor that is a number"] = '{"last_since_id": 17}',
    ["zero bytes"] = ("\0"):rep(100),
  } do
    it(("a damaged file (%s) is not guessed at: path, reason and the way out are told"):format(name), function()
      write_state(text)
      local mark = platform:mark()
      local one = host.run(options(), 1)
      one:log("state file " .. state_path:gsub("%p", "%%%0") .. ".*%-%-reset%-state")
      assert.equal(text, host.read(state_path))
      assert.equal(mark, platform:mark())
    end)
  end

  it("a file of another workspace is refused", function()
    write_state(cjson.encode { workspace_id = peer.id, last_since_id = peer.id })
    local one = host.run(options(), 1)
    one:log("state file " .. state_path:gsub("%p", "%%%0") .. " belongs to another workspace")
  end)

  it("--reset-state starts afresh and keeps the old file", function()
    write_state '{"workspace_id": "'
    send "waiting"
    local one = host.connect(options { args = { "--reset-state" } })
    one:log("starting over; the old file is now " .. state_path:gsub("%p", "%%%0") .. "%.reset")
    assert.same({ "echo: waiting", "echo: new" }, answered(one, "new"))
    one:stop_at(platform:rows(workspace.id)[2].id)
    assert.equal('{"workspace_id": "', host.read(state_path .. ".reset"))
  end)

  it("a second process for the same workspace is told which one serves it, and the first continues", function()
    local one = host.connect(options())
    local two = host.run(options(), 1)
    two:log(("process %d already serves this workspace"):format(one.process.pid))
    assert.same({ "echo: hello" }, answered(one, "hello"))
    one:stop()
    assert.equal(1, #one:posts "/registry/register")
    host.connect(options()):stop()
  end)

  it("two workspaces share a directory", function()
    local other = host.workspace(platform)
    local one = host.connect(options())
    local two = host.connect(options { workspace = other })
    assert.same({ "echo: hello" }, answered(one, "hello"))
    one:stop()
    two:stop()
    assert.is_table(one:state())
    assert.is_table(two:state())
  end)

  -- A save fails, the answers do not; afterwards the file says how far it came.
  local function survives(one, pattern, mend)
    local beat = #one:posts "/registry/heartbeat"
    answered(one, "one")
    one:log("error.*state: " .. pattern .. ".*; continuing and retrying")
    assert.same({ "echo: one", "echo: two" }, answered(one, "two"))
    one:wait { path = "/registry/heartbeat", body = '"sample_error":"cannot ', status = 200, workspace = workspace.id }
    assert.is_true(#one:posts "/registry/heartbeat" > beat)
    mend()
    one:log "state: saved again"
    one:wait_cursor(platform:rows(workspace.id)[2].id)
    one:stop()
  end

  it("a file that cannot be replaced is reported, to the platform too, and retried; answering continues", function()
    local one = host.connect(options { args = { "--heartbeat-ms", "50" } })
    one:wait { path = workspace.id .. "/activity", status = 200 }
    repeat uv.fs_unlink(state_path) until uv.fs_mkdir(state_path, 448) -- a save may come between the two
    survives(one, "cannot rename", function() assert(uv.fs_rmdir(state_path)) end)
  end)

  it("while the disk is full nothing is answered (it could be answered twice), which both log and platform are told; "
    .. "then all is", function()
    assert(uv.fs_mkdir(state_dir, 448))
    local mount = process.spawn { command = { "mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", state_dir } }
    if mount:wait_exit() ~= 0 then return pending "mounting a small file system is not allowed here" end
    finally(function() process.spawn { command = { "umount", "-l", state_dir } }:wait_exit() end)
    local one = host.connect(options { args = { "--heartbeat-ms", "50" } })
    local filler = assert(io.open(state_dir .. "/filler", "wb"))
    filler:setvbuf "no"
    repeat until not filler:write(("x"):rep(4096))
    filler:close()
    send "one"
    one:log "error.*state: .*full.*nothing is handled or posted until it can be written again"
    one:wait { path = "/registry/heartbeat", body = "full", status = 200, workspace = workspace.id }
    local posts = #one:posts "/a2a"
    assert(os.remove(state_dir .. "/filler"))
    assert.same({ "echo: one", "echo: two" }, answered(one, "two"))
    one:stop_at(platform:rows(workspace.id)[2].id)
    assert.equal(0, posts)
    assert.equal(2, #one:posts "/a2a")
  end)

  it("a directory that cannot be made ends it with the reason", function()
    local file = host.write(host.directory() .. "/file", "")
    local one = host.run(options { state_dir = file .. "/state" }, 1)
    one:log("cannot create the directory .*something else has that name")
  end)
end)
