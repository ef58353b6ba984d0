--- molecule dev --keep: what is there again after a restart.

local cjson = require "cjson"
local uv = require "luv"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local http = require "tests.support.http"
local loop = require "tests.support.loop"
local process = require "tests.support.process"

local AGENT = [[
local molecule = require "molecule"
return function(msg)
  if msg.text == "dead" then return molecule.dead "never" end
  if msg.files[1] then return ("%d bytes"):format(#msg.files[1]:read()) end
  molecule.log("heard %s", msg.text)
  return "you said: " .. msg.text
end]]

describe("molecule dev --keep", function()
  local directory, child, port, workspace

  local function start(arguments)
    local command = { emulator.binary(), "dev", directory .. "/agent.lua", "--port", "0", "--keep", directory .. "/kept",
      table.unpack(arguments or {}) }
    child = process.spawn { command = command, keep_stdin = true }
    port = math.tointeger(tonumber(child:wait_line "^playground: ":match ":(%d+)/"))
    workspace = child:wait_line " serves workspace ":match "workspace (%x[%x%-]+)"
    child:wait_line("registered", { stream = "stderr" })
  end

  local function stop()
    child:signal "sigterm"
    local code = child:wait_exit()
    assert.equal(0, code, child:report())
    assert.is_nil(child.stderr:find("Sanitizer", 1, true), child:report())
  end

  before_each(function()
    directory = host.directory()
    host.write(directory .. "/agent.lua", AGENT)
    start()
  end)

  after_each(function()
    process.kill_all()
    host.clean_up()
    loop.flush()
  end)

  local function good(method, path, options)
    local all = { port = port, method = method, path = "/__emulator/" .. path }
    for name, value in pairs(options or {}) do all[name] = value end
    local answer = http.request(all)
    assert.equal(200, answer.status, answer.body)
    return answer.json or answer.body
  end

  -- For what is no event of the loop.
  local function eventually(condition)
    local found = loop.wait(condition)
    return assert(found, "in time")
  end

  local function say(text, more)
    local message = { to = workspace, text = text }
    for name, value in pairs(more or {}) do message[name] = value end
    local id = good("POST", "messages", { json = message }).ids[1]
    eventually(function() return good("GET", "playground/messages/" .. id).outcome ~= nil end)
    return id
  end

  local function kept(text) return (host.read(directory .. "/kept/session.jsonl") or ""):find(text, 1, true) ~= nil end

  it("has the conversation, its details, peers, files and stored values again", function()
    local bob = good("POST", "workspaces", { json = { name = "bob" } }).id
    local ids = { say "hello", say("from bob", { from = bob }), say "dead" }
    local part = good("POST", "playground/files?name=notes.txt", { body = "not a number",
      headers = { ["Content-Type"] = "application/octet-stream" } }).part
    ids[4] = say(nil, { parts = { part } })
    good("POST", "playground/store", { json = { key = "color", value = "blue" } })
    local before = {}
    for i, id in ipairs(ids) do before[i] = good("GET", "playground/messages/" .. id) end
    local all = good("GET", "playground/messages").messages
    stop()
    start()
    assert.same(all, good("GET", "playground/messages").messages)
    for i, id in ipairs(ids) do assert.same(before[i], good("GET", "playground/messages/" .. id)) end
    assert.equal("not a number", good("GET", ("playground/messages/%s/files/1"):format(ids[4])))
    assert.same({ { key = "color", value = '"blue"' } }, good("GET", "playground/store").values)
    assert.equal("dead", good("GET", ("playground/messages/%s/ledger"):format(ids[3])).message.state)
    good("POST", ("playground/messages/%s/retry"):format(ids[3]), { json = {} })
    say("bob is still there", { from = bob })
    local newest = good("GET", "playground/messages").messages[1]
    assert.equal("bob", newest.from_name)
    assert.equal(all[1].n + 1, newest.n)
    stop()
  end)

  it("has it again after kill -9, and answers what was under way", function()
    local id = say "hello"
    eventually(function() return kept(id) and kept '"outcome":"replied"' end)
    child:signal "sigkill"
    child:wait_exit()
    start()
    assert.equal("you said: hello", good("GET", "playground/messages/" .. id).reply.text)
    say "again"
    assert.equal(2, #good("GET", "playground/messages").messages)
    stop()
  end)

  it("opens a session whose last line is cut off", function()
    local id = say "hello"
    stop()
    local path = directory .. "/kept/session.jsonl"
    host.write(path, host.read(path) .. '{"item": 2, "value": {"kind": "mess')
    start()
    assert.equal(id, good("GET", "playground/messages").messages[1].id)
    stop()
  end)

  it("names a damaged file, and says what to do", function()
    stop()
    for _, line in ipairs { '{"item": 1, "value": {}}',
      '{"item": "x", "value": {"text": ""}}\n{"item": 3, "value": {"text": ""}}', '{"workspace": 5, "value": {"a": 1}}' } do
      host.write(directory .. "/kept/session.jsonl", line .. "\n")
      local other = process.spawn { command = { emulator.binary(), "dev", directory .. "/agent.lua", "--port", "0", "--keep",
        directory .. "/kept" }, stdin = "" }
      assert.equal(1, (other:wait_exit()))
      assert(other.stderr:find("kept/session.jsonl cannot be read: .*; move it away to begin without the earlier session"),
        other:report())
    end
  end)

  it("keeps it for this user alone", function()
    say "hello"
    for name, mode in pairs { [""] = "700", ["/session.jsonl"] = "600", ["/state"] = "700" } do
      assert.equal(mode, host.mode(directory .. "/kept" .. name), name)
    end
    stop()
  end)

  it("refuses a directory that another molecule dev keeps its session in", function()
    local other = process.spawn { command = { emulator.binary(), "dev", directory .. "/agent.lua", "--port", "0", "--keep",
      directory .. "/kept" }, stdin = "" }
    assert.equal(1, (other:wait_exit()))
    assert(other.stderr:find(("process %d "):format(child.pid), 1, true), other:report())
    stop()
  end)

  it("says why a directory cannot be made", function()
    local other = process.spawn { command = { emulator.binary(), "dev", directory .. "/agent.lua", "--port", "0", "--keep",
      directory .. "/none/kept" }, stdin = "" }
    assert.equal(1, (other:wait_exit()))
    assert(other.stderr:find("--keep: cannot create", 1, true), other:report())
    assert.is_nil(uv.fs_stat(directory .. "/none"))
    stop()
  end)

  it("has everything again once a full disk has room, and says so meanwhile", function()
    say "before"
    stop()
    local link = directory .. "/kept/session.jsonl"
    start()
    say "one"
    eventually(function() return kept '"text":"one"' end)
    -- what is appended fails; the file itself stays
    assert(os.rename(link, link .. ".aside"))
    assert(uv.fs_mkdir(link, 448))
    say "two"
    child:wait_line "the session cannot be kept"
    assert(uv.fs_rmdir(link))
    say "three"
    eventually(function() return kept '"text":"two"' and kept '"text":"three"' and kept '"text":"one"' end)
    stop()
    start()
    assert.equal(4, #good("GET", "playground/messages").messages)
    stop()
  end)

  it("forgets what a reset forgot", function()
    say "hello"
    good("POST", "reset", { json = {} })
    assert.equal(cjson.encode {}, cjson.encode(good("GET", "playground/messages").messages))
    stop()
    start()
    assert.equal(0, #good("GET", "playground/messages").messages)
    stop()
  end)
end)
