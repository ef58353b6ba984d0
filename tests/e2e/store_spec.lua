--- molecule.store: what scripts keep.

local emulator = require "tests.support.emulator"
local host = require "tests.support.host"

describe("the store", function()
  local platform, workspace, state

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)
  before_each(function()
    workspace, state = host.workspace(platform), host.directory()
  end)
  after_each(host.clean_up)
  teardown(function() platform:stop() end)

  local function connect(script, args)
    return host.connect { platform = platform, workspace = workspace, script = script, args = args, state_dir = state }
  end

  local function ask(one, text)
    local before = #one:told_canvas()
    platform:message { to = workspace.id, text = text }
    return one:canvas(before + 1)[before + 1]
  end

  local EVAL = [[
    local molecule = require "molecule"
    local store = molecule.store
    return function(msg)
      return tostring(load("local molecule, store, json = ... ; " .. msg.text)(molecule, store, molecule.json))
    end]]

  it("keeps any JSON value across restarts", function()
    local one = connect(EVAL)
    assert.equal("true", ask(one, [[return store.set("a key", {n = 7, f = 1.5, list = {1, 2}, none = molecule.null,
      big = 9007199254740993})]]))
    one:stop()
    local two = connect(EVAL)
    assert.equal("7 1.5 2 true 9007199254740993", ask(two, [[local v = store.get("a key")
      return ("%s %s %s %s %s"):format(v.n, v.f, #v.list, v.none == molecule.null, v.big)]]))
    assert.equal("nil", ask(two, [[store.delete("a key") return store.get("a key")]]))
    assert.equal("nil", ask(two, [[return store.get("a key")]]))
    two:stop()
  end)

  it("gives a handler its own writes, and lists keys with them", function()
    local one = connect(EVAL)
    ask(one, [[store.set("user:b", 1) store.set("user:a", 1) store.set("other", 1) return 1]])
    assert.equal("user:a,user:c|2", ask(one, [[store.delete("user:b") store.set("user:c", 2)
      return table.concat(store.keys("user:"), ",") .. "|" .. store.get("user:c")]]))
    assert.equal("other,user:a,user:c", ask(one, [[return table.concat(store.keys(), ",")]]))
    assert.equal("other", ask(one, [[return table.concat(store.keys(nil, {limit = 1}), ",")]]))
    one:stop()
  end)

  it("lists as many keys as there are, whatever the handler deleted before", function()
    local one = connect(EVAL)
    ask(one, [[for _, key in ipairs {"k1", "k2", "k3", "k4", "other"} do store.set(key, 1) end return 1]])
    assert.equal("k3,k4|k3", ask(one, [[store.delete("k1") store.delete("k2") store.delete("other")
      return table.concat(store.keys("k", {limit = 2}), ",") .. "|" .. table.concat(store.keys(nil, {limit = 1}), ",")]]))
    assert.equal("k3,k4", ask(one, [[for i = 1, 10 do store.delete("gone" .. i) end
      return table.concat(store.keys(nil, {limit = 100000}), ",")]]))
    one:stop()
  end)

  it("counts, and keeps the last of a list", function()
    local one = connect(EVAL)
    assert.equal("1 3 2.5", ask(one, [[return ("%s %s %s"):format(store.incr("n"), store.incr("n", 2), store.incr("n", -0.5))]]))
    assert.equal("2.5", ask(one, [[return store.get("n")]]))
    assert.equal("3:b,c,d", ask(one, [[local list
      for _, v in ipairs {"a", "b", "c", "d"} do list = store.append("l", v, {max = 3}) end
      return #list .. ":" .. table.concat(list, ",")]]))
    assert.equal("b,c,d", ask(one, [[return table.concat(store.get("l"), ",")]]))
    assert.equal('store.incr: "l" holds a table, not a number TYPE', ask(one, [[local _, problem, code = store.incr("l")
      return problem .. " " .. code]]))
    one:stop()
  end)

  it("counts on in real numbers where the integers end, for the handler as on disk", function()
    local one = connect(EVAL)
    assert.equal("9.2233720368548e+18 9.2233720368548e+18 -9.2233720368548e+18", ask(one, [[
      store.set("up", math.maxinteger) store.set("down", math.mininteger)
      return ("%s %s %s"):format(store.incr("up"), store.get("up"), store.incr("down", -1))]]))
    assert.equal("9.2233720368548e+18 -9.2233720368548e+18", ask(one, [[return store.get("up") .. " " .. store.get("down")]]))
    assert.equal("9223372036854775807", ask(one, [[store.set("n", math.maxinteger - 1) return store.incr("n")]]))
    one:stop()
  end)

  it("takes an empty table for an empty list", function()
    local one = connect(EVAL)
    assert.equal("1", ask(one, [[store.set("l", {}) return #store.append("l", "a")]]))
    assert.equal("a,b", ask(one, [[store.append("l", "b") return table.concat(store.get("l"), ",")]]))
    ask(one, [[store.set("later", {}) return 1]])
    ask(one, [[store.append("later", "c") return 1]])
    assert.equal("c", ask(one, [[return table.concat(store.get("later"), ",")]]))
    assert.equal("TYPE", ask(one, [[store.set("o", {a = 1}) return (select(3, store.append("o", 1)))]]))
    one:stop()
  end)

  it("adds to a list that holds a NUL, and keeps a value that does", function()
    local one = connect(EVAL)
    ask(one, [[store.set("l", {"one", "t\0wo"}) return 1]])
    ask(one, [[store.append("l", "thr\0ee") return 1]])
    assert.equal("one,t0wo,thr0ee", ask(one, [[return (table.concat(store.get("l"), ","):gsub("%z", "0"))]]))
    one:stop()
  end)

  it("forgets a value when its time is over", function()
    local one = connect(EVAL)
    assert.equal("here", ask(one, [[store.set("soon", "here", {ttl = 0.3}) return store.get("soon")]]))
    assert.equal("nil 0", ask(one, [[while store.get("soon") do molecule.sleep(0.05) end
      return tostring(store.get("soon")) .. " " .. #store.keys()]]))
    one:stop()
  end)

  it("forgets a value that the handler itself stored when its time is over", function()
    local one = connect(EVAL)
    ask(one, [[store.set("soon", "before") return 1]])
    assert.equal("here nil nil other", ask(one, [[
      store.set("soon", "here", {ttl = 0.1}) store.incr("n", 5, {ttl = 0.1}) store.set("other", 1)
      local first = store.get("soon")
      local keys = function() return table.concat(store.keys(), ",") end
      for _ = 1, 100 do if keys() ~= "other" then molecule.sleep(0.02) end end
      return ("%s %s %s %s"):format(first, store.get("soon"), store.get("n"), keys())]]))
    assert.equal("1 2|1 nil", ask(one, [[
      local counts = store.incr("m", 1, {ttl = 0.1}) .. " " .. store.incr("m", 1, {ttl = 100})
      for _ = 1, 100 do if store.get("m") then molecule.sleep(0.02) end end
      return counts .. "|" .. store.incr("m") .. " " .. tostring(store.get("soon"))]]))
    assert.equal("1", ask(one, [[return store.get("m")]]))
    ask(one, [[store.set("stays", 1) return 1]])
    assert.equal("2 3", ask(one, [[
      local first = store.incr("stays", 1, {ttl = 0.01})
      molecule.sleep(0.02)
      return first .. " " .. store.incr("stays")]]))
    one:stop()
  end)

  it("is as it was when the handler fails", function()
    local one = connect([[
      local store = require "molecule".store
      return function(msg, ctx)
        if msg.text == "look" then return tostring(store.get("n")) .. " " .. tostring(store.get("k")) end
        store.incr("n")
        store.set("k", msg.text)
        if ctx.attempt == 1 then error "not now" end
        return "attempt " .. ctx.attempt
      end]])
    assert.equal("attempt 2", ask(one, "first"))
    assert.equal("1 first", ask(one, "look"))
    one:stop()
  end)

  it("stands with every outcome that is none of failure: nothing to say, skipped, a retry, a dead letter", function()
    local one = connect([[
      local molecule = require "molecule"
      return function(msg, ctx)
        if msg.text == "look" then return molecule.store.get("n") .. "" end
        molecule.store.incr("n")
        if msg.text == "skip" then return molecule.skip() end
        if msg.text == "dead" then return molecule.dead("no") end
        if msg.text == "retry" and ctx.attempt == 1 then return molecule.retry {after = 0.01} end
      end]])
    local ids = {}
    for _, text in ipairs { "nothing", "skip", "dead", "retry" } do
      ids[#ids + 1] = platform:message { to = workspace.id, text = text }[1]
    end
    one:log_of(ids[4], "no_reply")
    assert.equal("5", ask(one, "look"))
    one:stop()
  end)

  it("says at the script's line what cannot be stored", function()
    local one = connect([[
      local store = require "molecule".store
      return function(msg)
        local ok, problem = pcall(function()
          store.set("f", function() end)
        end)
        local ok2, problem2 = pcall(store.set, "", 1)
        return problem .. "|" .. problem2
      end]])
    local told = ask(one, "x")
    assert.truthy(told:find("agent.lua:4: store.set: the value cannot be stored: a function cannot be JSON", 1, true), told)
    assert.truthy(told:find("a key must be 1 to 512 bytes", 1, true), told)
    one:stop()
  end)

  it("refuses a value over 1 MiB with TOO_LARGE", function()
    local one = connect(EVAL)
    assert.equal("TOO_LARGE", ask(one, [[local _, _, code = store.set("k", ("x"):rep(1 << 20)) return code]]))
    assert.equal("true", ask(one, [[return store.set("k", ("x"):rep((1 << 20) - 2))]]))
    one:stop()
  end)

  it("loses no update where eight handlers change one key, and tells each the value it made", function()
    local one = connect([[
      local molecule = require "molecule"
      return function(msg)
        if msg.text == "look" then return ("%d %d %d"):format(molecule.store.get("u"), molecule.store.get("i"),
          #molecule.store.get("l")) end
        molecule.sleep(0.001)
        molecule.store.incr("i")
        molecule.store.append("l", msg.text)
        local n = molecule.store.update("u", function(n) return (n or 0) + 1 end)
        molecule.sleep(0.001)
        return "n=" .. n
      end]], { "--concurrency", "8" })
    local peers = {}
    for i = 1, 8 do peers[i] = host.workspace(platform) end
    for round = 1, 10 do
      for _, peer in ipairs(peers) do platform:message { to = workspace.id, from = peer.id, text = "go " .. round } end
    end
    local seen = {}
    for _, peer in ipairs(peers) do
      for _, text in ipairs(one:peer(peer.id, 10)) do seen[text] = (seen[text] or 0) + 1 end
    end
    for n = 1, 80 do assert.equal(1, seen["n=" .. n], "n=" .. n) end
    assert.equal("80 80 80", ask(one, "look"))
    one:stop()
  end)

  it("says so where two handlers wait for each other's keys, and both get through in the end", function()
    local one = connect([[
      local molecule = require "molecule"
      local add = function(n) return (n or 0) + 1 end
      return function(msg)
        if msg.text == "look" then return molecule.store.get("a") .. " " .. molecule.store.get("b") end
        local first, second = msg.text:match("(%a) (%a)")
        assert(molecule.store.update(first, add))
        molecule.sleep(0.05)
        assert(molecule.store.update(second, add))
        return "done"
      end]], { "--concurrency", "2" })
    local left, right = host.workspace(platform), host.workspace(platform)
    platform:message { to = workspace.id, from = left.id, text = "a b" }
    platform:message { to = workspace.id, from = right.id, text = "b a" }
    one:peer(left.id, 1)
    one:peer(right.id, 1)
    assert.equal("2 2", ask(one, "look"))
    assert.truthy(one:count_log("two handlers wait for each other's keys") >= 1)
    one:stop()
  end)

  it("keeps nothing half-done when the process is killed between handler and reply, and loses nothing", function()
    local script = [[
      local molecule = require "molecule"
      return function(msg)
        local n = molecule.store.incr("n")
        molecule.store.append("log", msg.text)
        return "n=" .. n .. " log=" .. #molecule.store.get("log")
      end]]
    local path = ("/workspaces/%s/notify"):format(workspace.id)
    platform:fault({ kind = "status", status = 503 }, { method = "POST", path = path }, { times = -1 })
    local one = connect(script)
    platform:message { to = workspace.id, text = "a" }
    one:wait { path = path, status = 503 }
    one:kill()
    platform:clear_faults()
    local two = connect(script)
    two:canvas(1)
    assert.equal("n=2 log=2", ask(two, "b"))
    assert.same({ "n=1 log=1", "n=2 log=2" }, two:told_canvas())
    two:kill()
    local three = connect(script)
    assert.equal("n=3 log=3", ask(three, "c"))
    three:stop()
  end)

  it("can be used from start and stop", function()
    local script = [[
      local molecule = require "molecule"
      return {
        start = function() molecule.store.incr("starts") end,
        stop = function() molecule.store.incr("stops") end,
        handle = function() return molecule.store.get("starts") .. " " .. tostring(molecule.store.get("stops")) end,
      }]]
    local one = connect(script)
    assert.equal("1 nil", ask(one, "x"))
    one:stop()
    local two = connect(script)
    assert.equal("2 1", ask(two, "x"))
    two:stop()
  end)

  it("lets stop change a key that a handler had which the stop ended", function()
    local script = [[
      local molecule = require "molecule"
      local add = function(n) return (n or 0) + 1 end
      return {
        stop = function() molecule.log("stopping with %d", molecule.store.update("n", add)) end,
        handle = function(msg)
          molecule.store.update("n", add)
          molecule.log("handled")
          molecule.sleep(60)
        end,
      }]]
    local one = connect(script, { "--drain", "50ms" })
    platform:message { to = workspace.id, text = "go" }
    one:log "handled"
    one:stop()
    one:log "stopping with 1" -- the handler did not come to its end: what it stored is not there
  end)

  it("takes a function of update that waits for a mistake, and says where", function()
    local one = connect([[
      local molecule = require "molecule"
      return function()
        local ok, problem = pcall(molecule.store.update, "k", function() molecule.sleep(0) end)
        return problem
      end]])
    assert.truthy(ask(one, "x"):find("molecule.sleep cannot wait here", 1, true))
    one:stop()
  end)
end)
