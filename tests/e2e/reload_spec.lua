--- A script is changed while it answers: SIGHUP and --watch.

local emulator = require "tests.support.emulator"
local host = require "tests.support.host"

describe("a running script", function()
  local platform, workspace

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)
  before_each(function() workspace = host.workspace(platform) end)
  after_each(host.clean_up)
  teardown(function() platform:stop() end)

  local function connect(script, args)
    return host.connect { platform = platform, workspace = workspace, script = script, args = args }
  end

  local function ask(one, text)
    local before = #one:told_canvas()
    platform:message { to = workspace.id, text = text }
    return one:canvas(before + 1)[before + 1]
  end

  local function reload(one, script, pattern)
    local from = #one.process.lines.stderr + 1
    host.write(one.script_path, script)
    one.process:signal "sighup"
    one:log(pattern or "the script is reloaded", { from = from })
  end

  --- KiB of its own memory; nil under a sanitizer, which keeps what was freed.
  local function memory(one)
    if host.read(("/proc/%d/maps"):format(one.process.pid)):find("lib[at]san") then return nil end
    return tonumber(host.read(("/proc/%d/smaps_rollup"):format(one.process.pid)):match "Private_Dirty:%s*(%d+)")
  end

  it("answers in its new words after SIGHUP", function()
    local one = connect [[return function() return "old" end]]
    assert.equal("old", ask(one, "x"))
    reload(one, [[return function() return "new" end]])
    assert.equal("new", ask(one, "x"))
    one:stop()
  end)

  it("keeps answering in its old words when the new ones do not load, and says file and line", function()
    local one = connect [[return function() return "old" end]]
    reload(one, "return function()\n  return 'new'\n", "was not reloaded .*agent%.lua:3: 'end' expected")
    assert.equal("old", ask(one, "x"))
    reload(one, [[return {handle = function() return "new" end, start = function() error "no start" end}]],
      "was not reloaded .*agent%.lua:1: no start")
    assert.equal("old", ask(one, "x"))
    reload(one, [[while true do end]], "was not reloaded .* 2 s .*while loading, at .*agent%.lua:1") -- of either clock
    assert.equal("old", ask(one, "x"))
    reload(one, [[return function() return "new" end]])
    assert.equal("new", ask(one, "x"))
    one:stop()
  end)

  it("finishes what is under way in its old words, then stops, while new messages get the new ones", function()
    local peer = host.workspace(platform)
    local one = connect([[
      local molecule = require "molecule"
      return {
        handle = function(msg)
          if msg.text == "wait" then
            while not molecule.store.get("go") do molecule.sleep(0.01) end
          end
          return "old"
        end,
        stop = function() molecule.log.info("the old one stops") end,
      }]], { "--concurrency", "4" })
    local slow = platform:message { to = workspace.id, from = peer.id, text = "wait" }[1]
    one:log "registered"
    assert.equal("old", ask(one, "x"))
    reload(one, [[
      local molecule = require "molecule"
      return function(msg)
        if msg.text == "go" then molecule.store.set("go", true) end
        return "new"
      end]], "1 message under way finishes with the previous version")
    assert.equal("new", ask(one, "x"))
    assert.equal(0, one:count_log("the old one stops"))
    assert.equal("new", ask(one, "go"))
    one:log_of(slow, "replied")
    assert.same({ "old" }, (one:peer(peer.id, 1)))
    one:log "the old one stops"
    one:stop()
  end)

  it("handles what waits when it says no more what belongs together", function()
    local one = connect [[return {conversation = function() return "all" end, handle = function(msg) return msg.text end}]]
    assert.equal("one", ask(one, "one"))
    reload(one, [[return {handle = function(msg) return msg.text end}]])
    assert.equal("two", ask(one, "two"))
    reload(one, [[return {conversation = function() return "all" end, handle = function(msg) return msg.text end}]])
    assert.equal("three", ask(one, "three"))
    one:stop()
  end)

  it("moves its timers: the old ones stop, the new ones run", function()
    local script = [[
      local molecule = require "molecule"
      return {
        start = function() molecule.every(0.02, function() molecule.store.incr("NAME") end) end,
        handle = function(msg)
          return ("%s %s"):format(molecule.store.get("first") or 0, molecule.store.get("second") or 0)
        end,
      }]]
    local one = connect((script:gsub("NAME", "first")))
    repeat until tonumber(ask(one, "x"):match "^(%d+)") > 0
    reload(one, (script:gsub("NAME", "second")), "its timers have stopped")
    local first
    repeat
      local told = ask(one, "x")
      first = told:match "^(%d+)"
    until tonumber(told:match " (%d+)$") > 2
    assert.equal(first, ask(one, "x"):match "^(%d+)")
    one:stop()
  end)

  local function rewrite(args)
    local one = connect([[return function() return "one" end]], args)
    local module = one.directory .. "/words.lua"
    host.write(module, [[return {hello = "hello"}]])
    host.write(one.script_path, [[local words = require "words" return function() return words.hello end]])
    one:log "the script is reloaded %(.*agent%.lua changed%)"
    assert.equal("hello", ask(one, "x"))
    host.write(module .. ".new", [[return {hello = ]])
    os.rename(module .. ".new", module)
    one:log "was not reloaded %(.*words%.lua changed%)"
    assert.equal("hello", ask(one, "x"))
    host.write(module, [[return {hello = "good day"}]])
    one:log("the script is reloaded %(.*words%.lua changed%)")
    assert.equal("good day", ask(one, "x"))
    one:stop()
  end

  it("is loaded again by --watch when it, or a module it required, is rewritten", function() rewrite { "--watch" } end)

  it("is loaded again by --watch in the sandbox too", function() rewrite { "--watch", "--sandbox" } end)

  it("is loaded again by --watch when it is rewritten while it loads", function()
    local one = connect([[
      local file = io.open(debug.getinfo(1, "S").source:sub(2), "w")
      file:write [=[return function() return "second" end]=]
      file:close()
      return function() return "first" end]], { "--watch" })
    one:log "the script is reloaded %(.*agent%.lua changed%)"
    assert.equal("second", ask(one, "x"))
    one:stop()
  end)

  it("tells the platform its new name", function()
    local one = connect [[return {name = "first", handle = function() end}]]
    reload(one, [[return {name = "second", handle = function() end}]])
    one:wait { path = "/registry/register", body = "second" }
    one:stop()
  end)

  it("loses no message and leaks no state in 100 reloads under load", function()
    local script = [[
      local molecule = require "molecule"
      return {concurrency = 4, handle = function(msg)
        molecule.sleep(0.002)
        return "VERSION: " .. msg.text
      end}]]
    local one = connect((script:gsub("VERSION", "v0")))
    local peers, sent = {}, 0
    for i = 1, 4 do peers[i] = host.workspace(platform) end
    local before
    for round = 1, 100 do
      for _, peer in ipairs(peers) do
        platform:message { to = workspace.id, from = peer.id, text = tostring(round) }
        sent = sent + 1
      end
      reload(one, (script:gsub("VERSION", "v" .. round)))
      if round == 20 then before = memory(one) end
    end
    for _, peer in ipairs(peers) do
      local texts = one:peer(peer.id, 100)
      assert.equal(100, #texts)
      for round, text in ipairs(texts) do assert.equal(tostring(round), text:match ": (%d+)$") end
    end
    local after = memory(one)
    assert.is_true(not after or after < before + 4096, ("%s KiB, then %s"):format(before, after))
    one:stop()
  end)
end)
