--- Scripts that loop, leak, throw and try to escape: each ends as an error of its message, the heartbeat keeps its
--- beat meanwhile, and the next message is answered.
local beats = require "tests.support.beats"
local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"

local CPU = "used more than 0.5 s of CPU time %(%-%-cpu%-limit%), at .*agent.lua:%d+"
local MEMORY = "needed more than 48 MiB of memory %(%-%-memory%-limit%), at .*agent.lua:%d+"
local TIME = "took longer than its time limit %(%-%-timeout%), at .*agent.lua:%d+"

-- name, code of the handler, what the log says of its message
local CASES = {
  { "a loop", "while true do end", CPU },
  { "a loop in pcall, over and over", "while true do pcall(function() while true do end end) end", CPU },
  { "a loop in a coroutine", "coroutine.wrap(function() while true do end end)()", CPU },
  { "a loop in a resumed coroutine, over and over", [[
      while true do coroutine.resume(coroutine.create(function() while true do end end)) end]], CPU },
  { "a loop in coroutines in pcall", [[
      while true do pcall(coroutine.wrap(function() while true do end end)) end]], CPU },
  { "a loop in xpcall's handler", "xpcall(error, function() while true do end end)", CPU },
  { "a loop in xpcall's function, its handler looping too", [[
      local function forever() while true do end end
      while true do xpcall(forever, forever) end]], CPU },
  { "a looping __close of the handler itself", [[
      local x <close> = setmetatable({}, {__close = function() while true do end end})
      return "never"]], CPU },
  { "a looping __close when the handler throws", [[
      local x <close> = setmetatable({}, {__close = function() while true do end end})
      error("away")]], CPU },
  { "a looping __close behind a loop", [[
      local x <close> = setmetatable({}, {__close = function() while true do end end})
      while true do end]], CPU },
  { "a looping __close under coroutine.wrap", [[
      coroutine.wrap(function()
        local x <close> = setmetatable({}, {__close = function() while true do end end})
        error("away")
      end)()]], CPU },
  { "a looping __close under coroutine.close", [[
      local co = coroutine.create(function()
        local x <close> = setmetatable({}, {__close = function() while true do end end})
        coroutine.yield()
      end)
      coroutine.resume(co)
      coroutine.close(co)
      return "closed"]], CPU },
  { "a looping __close under coroutine.close in pcall, over and over", [[
      while true do
        local co = coroutine.create(function()
          local x <close> = setmetatable({}, {__close = function() while true do end end})
          coroutine.yield()
        end)
        coroutine.resume(co)
        pcall(coroutine.close, co)
      end]], CPU },
  { "pcall of itself, and again", "local function f() pcall(f) f() end f()", CPU },
  { "pcall of itself in xpcall's handler", "local function f() xpcall(error, f) f() end f()", CPU },
  { "a loop in a sort comparator", "table.sort({3, 2, 1}, function() while true do end end)", CPU },
  { "a loop in a sort comparator in pcall, over and over", [[
      while true do pcall(table.sort, {3, 2, 1}, function() while true do end end) end]], CPU },
  { "a loop in a gsub callback", "(('aaa')):gsub('a', function() while true do end end)", CPU },
  { "a loop in a metamethod", "return setmetatable({}, {__index = function() while true do end end}).x", CPU },
  { "a loop in __concat of what it returns", [[
      return "x" .. setmetatable({}, {__concat = function() while true do end end})]], CPU },
  { "a loop in a module it requires", "return require('looping')",
    "used more than 0.5 s of CPU time %(%-%-cpu%-limit%), at .*looping.lua:1" },
  { "a loop in a loaded chunk", "return load('while true do end')()",
    'used more than 0.5 s of CPU time %(%-%-cpu%-limit%), at %[string "while true do end"%]:1' },
  { "a loop in a reader of load", "return load(function() while true do end end)", CPU },
  { "a loop in an iterator", "for _ in function() while true do end end do end", CPU },
  { "a loop after debug.sethook was tried", "pcall(function() debug.sethook() end) while true do end", CPU },
  { "a loop in a coroutine that outlives its creator's pcall", [[
      local co = coroutine.wrap(function() coroutine.yield() while true do end end)
      co()
      pcall(pcall, co)
      while true do end]], CPU },
  { "waiting beyond --timeout", "require('molecule').sleep(1000)",
    TIME },
  { "waiting again and again beyond --timeout", "while true do pcall(require('molecule').sleep, 0.01) end",
    TIME },

  { "string.rep to the sky", "return ('x'):rep(1e10)", "agent.lua:%d+: resulting string too large" },
  { "string.rep of a gigabyte", "return ('x'):rep(1e9)", MEMORY },
  { "growing tables", "local t = {} while true do t[#t + 1] = ('x'):rep(1e6) .. #t end", MEMORY },
  { "growing tables in pcall, over and over", [[
      local t = {}
      while true do pcall(function() while true do t[#t + 1] = ('x'):rep(1000) .. #t end end) end]],
    "used more than 0.5 s of CPU time" },
  { "growing tables with the collector stopped", [[
      collectgarbage("stop")
      collectgarbage("setpause", 1000)
      local t = {}
      while true do t[#t + 1] = ('x'):rep(1e6) .. #t end]], MEMORY },
  { "growing strings", "local s = 'x' while true do s = s .. s end", MEMORY },

  { "deep recursion", "local function f() return 1 + f() end return f()", MEMORY },
  { "deep recursion with many arguments", "local function f(...) return 1 + f(...) end return f(table.unpack({}, 1, 100))",
    "agent.lua:%d+: stack overflow" },
  { "deep recursion through C", "local function f() return (('x'):gsub('x', f)) end return f()",
    "C stack overflow" },
  { "endless __index", [[
      local t = setmetatable({}, {})
      getmetatable(t).__index = t
      return t.x]], "'__index' chain too long" },

  { "error{}", "error {}", "the error object is a table value" },
  { "error() with nil", "error()", "error%(%) was called with nil" },
  { "error(false)", "error(false)", "the error object is a boolean value" },
  { "an error object whose __tostring throws", [[
      error(setmetatable({}, {__tostring = function() error("no") end}))]],
    "an error object %(table%) whose __tostring failed" },
  { "an error object whose __tostring loops", [[
      error(setmetatable({}, {__tostring = function() while true do end end}))]],
    "an error object %(table%) whose __tostring failed" },
  { "an error object whose __tostring returns a table", [[
      error(setmetatable({}, {__tostring = function() return {} end}))]],
    "an error object %(table%) whose __tostring failed" },
  { "an error object whose __tostring waits", [[
      error(setmetatable({}, {__tostring = function() require("molecule").sleep(60) return "slept" end}))]],
    "an error object %(table%) whose __tostring failed" },
  { "an error object whose __tostring yields", [[
      error(setmetatable({}, {__tostring = function() coroutine.yield("?") return "back" end}))]],
    "an error object %(table%) whose __tostring failed" },

  { "os.exit", "os.exit(0)", "agent.lua:%d+: os.exit is not available: " },
  { "os.setlocale", "os.setlocale('C')", "os.setlocale is not available: " },
  { "coroutine.yield from the handler itself", "coroutine.yield(1)",
    "the handler called coroutine.yield outside a coroutine that it created" },
  { "coroutine.yield with what a wait yields", "coroutine.yield(require('molecule').null)",
    "the handler called coroutine.yield outside a coroutine that it created" },
  { "a metatable with __gc", [[
      setmetatable({}, {__gc = function() while true do end end})
      collectgarbage()]], "agent.lua:%d+: a metatable with __gc is not available to scripts" },
  { "Lua's own setmetatable out of ours", [[
      local _, own = debug.getupvalue(setmetatable, 1)
      own({}, {__gc = function() while true do end end})
      collectgarbage()]], "attempt to call a nil value %(local 'own'%)" },
  { "putting something else under setmetatable", [[
      debug.setupvalue(setmetatable, 1, function() end)
      error(getmetatable(setmetatable({}, {mine = true})).mine and "still ours")]], "agent.lua:%d+: still ours" },
  { "Lua's own debug.getmetatable out of ours", [[
      local _, own = debug.getupvalue(debug.getmetatable, 1)
      own(io.stdout).__gc = nil]], "attempt to call a nil value %(local 'own'%)" },
  { "a finalizer put under the metatable of lists", [[
      local molecule = require "molecule"
      for _, get in ipairs {getmetatable, debug.getmetatable} do
        pcall(function() get(molecule.array()).__gc = function() while true do end end end)
      end
      molecule.array()
      collectgarbage()
      error("collected")]], "agent.lua:%d+: collected" },
  { "a finalizer put under the metatable of what came", [[
      pcall(function() getmetatable(msg.parts).__gc = function() while true do end end end)
      for _ = 1, 10 do require("molecule").json.decode "[]" end
      collectgarbage()
      error("collected")]], "agent.lua:%d+: collected" },
  { "a finalizer put under the metatable of timers", [[
      local molecule = require "molecule"
      pcall(function() debug.getmetatable(molecule.after(1e6, print)).__gc = function() while true do end end end)
      molecule.after(1e6, print):cancel()
      collectgarbage()
      error("collected")]], "agent.lua:%d+: collected" },
  { "a finalizer put under a metatable later", [[
      local late = {}
      for _ = 1, 100 do setmetatable({}, late) end
      late.__gc = function() while true do end end
      collectgarbage()
      error("collected")]], "agent.lua:%d+: collected" },
  { "bytecode for load", "assert(load(string.dump(function() end)))", "attempt to load a binary chunk" },
  { "bytecode for load, with mode b", "assert(load(string.dump(function() end), 'x', 'b'))",
    "attempt to load a binary chunk" },
  { "bytecode for load, in pieces", [[
      local dumped, at = string.dump(function() end), 0
      assert(load(function() at = at + 1 return dumped:sub(at, at) end, 'x', 'bt'))]],
    "attempt to load a binary chunk" },
  { "Lua's own load out of its reader", [[
      local own
      load(function() own = debug.getinfo(2, "f").func end)
      assert(own(string.dump(function() end), 'x', 'b'))]], "attempt to load a binary chunk" },
  { "bytecode in a file", [[
      local name = os.tmpname()
      local file = io.open(name, "wb")
      file:write(string.dump(function() return "ran" end))
      file:close()
      local loaded, problem = loadfile(name, "b")
      local ran, what = pcall(dofile, name)
      os.remove(name)
      error(problem .. (ran and what or "; refused twice"))]], "attempt to load a binary chunk .*; refused twice" },
  { "changing what runs below", [[
      for level = 1, 10 do
        for index = 1, 10 do pcall(debug.setlocal, level, index, "mine") end
      end
      return 42]], "the handler returned a number" },
  { "changing a wrapped coroutine", [[
      local wrapped = coroutine.wrap(function() end)
      debug.setupvalue(wrapped, 1, "mine")
      wrapped()
      wrapped()]], "cannot resume dead coroutine" },
}

--- All cases in one script; a message's text says which one it wants.
local function script()
  local lines = { "local cases = {}" }
  for i, case in ipairs(CASES) do
    lines[#lines + 1] = ("cases[%q] = function(msg, ctx) ctx.log.info 'case %d begins';\n%s\nend"):format("case " .. i, i,
      case[2])
  end
  lines[#lines + 1] = [[
return function(msg, ctx)
  if cases[msg.text] then return cases[msg.text](msg, ctx) end
  return "fine: " .. msg.text
end]]
  return table.concat(lines, "\n")
end

describe("a hostile script", function()
  local platform, workspace, one, timeout

  -- Half a second of the processor may take many seconds on a machine that is busy: only what waits has a short --timeout.
  local function start(case)
    workspace, timeout = host.workspace(platform), case[3] == TIME and "1500ms" or "300s"
    one = host.start { platform = platform, workspace = workspace, script = script(), args = { "--heartbeat-ms", "50",
      "--cpu-limit", "500ms", "--timeout", timeout, "--memory-limit", "48MiB", "--max-attempts", "1", "--error-reply",
      "that failed" } }
    host.write(one.directory .. "/looping.lua", "while true do end")
    one:log "registered as"
  end

  setup(function()
    platform = emulator.start { args = { "--rate-limit", "-1" } }
  end)

  teardown(function()
    if one then one:stop() end
    host.clean_up()
    platform:stop()
  end)

  for i, case in ipairs(CASES) do
    it("ends with an error, and the next message is answered: " .. case[1], function()
      if one and one.process:running() and (timeout == "1500ms") ~= (case[3] == TIME) then one:stop() end
      if not one or not one.process:running() then start(case) end
      local since = platform:mark()
      local row = platform:message { to = workspace.id, text = "case " .. i }[1]
      one:log("script: case " .. i .. " begins")
      local begun = platform:mark()
      platform:message { to = workspace.id, text = "after " .. i }
      one:log_of(row, case[3])
      one:wait { path = "/notify", since = since, body = "fine: after " .. i, status = 200 }
      local told = {}
      local posts = one:posts("/notify", since)
      for _, entry in ipairs(posts) do told[#told + 1] = cjson.decode(entry.body).message end
      assert.same({ "that failed", "fine: after " .. i }, told)
      if case[3] == CPU or case[3] == TIME then -- it ran for a while, ten heartbeats and more
        assert.is_true(beats.between(one, begun, posts[1].n) >= 2, "heartbeats waited for the script")
      end
    end)
  end
end)

describe("a script's memory", function()
  local platform, workspace

  setup(function()
    platform = emulator.start { args = { "--rate-limit", "-1" } }
  end)

  before_each(function()
    workspace = host.workspace(platform)
  end)

  after_each(host.clean_up)

  teardown(function()
    platform:stop()
  end)

  it("is fresh after it ran into --memory-limit, and the log says what is gone", function()
    local one = host.connect { platform = platform, workspace = workspace, args = { "--memory-limit", "16MiB",
      "--max-attempts", "1" }, script = [[
      local kept, count = {}, 0
      return function(msg)
        count = count + 1
        while msg.text == "leak" do kept[#kept + 1] = ("x"):rep(1000) .. #kept end
        return ("message %d of this state"):format(count)
      end]] }
    for _, text in ipairs { "one", "two", "leak", "three" } do platform:message { to = workspace.id, text = text } end
    assert.same({ "message 1 of this state", "message 2 of this state", "message 1 of this state" }, one:canvas(3))
    one:log "the script's Lua state ran into %-%-memory%-limit and is replaced by a fresh one"
    one:stop()
  end)

  it("is kept when collecting the garbage was enough", function()
    local one = host.connect { platform = platform, workspace = workspace, args = { "--memory-limit", "16MiB" },
      script = [[
      local kept, count = {}, 0
      for i = 1, 10 do kept[i] = ("x"):rep(1 << 20) .. i end
      return function()
        count = count + 1
        for i = 1, 40 do local _ = ("y"):rep(1 << 20) .. i end
        return ("message %d of this state"):format(count)
      end]] }
    for i = 1, 3 do platform:message { to = workspace.id, text = tostring(i) } end
    assert.same({ "message 1 of this state", "message 2 of this state", "message 3 of this state" }, one:canvas(3))
    assert.equal(0, one:count_log "is replaced by a fresh one")
    one:stop()
  end)

  it("serves the handlers beside the one that ran into the limit again, uncounted", function()
    local one = host.connect { platform = platform, workspace = workspace, args = { "--memory-limit", "16MiB",
      "--max-attempts", "1", "--concurrency", "2" }, script = [[
      local molecule = require "molecule"
      local kept, waiting = {}, false
      return function(msg, ctx)
        if msg.text == "wait" then
          waiting = true
          molecule.sleep(0.3)
          return "waited, attempt " .. ctx.attempt
        end
        while not waiting do molecule.sleep(0.01) end
        while true do kept[#kept + 1] = ("x"):rep(1000) .. #kept end
      end]] }
    platform:message { to = workspace.id, text = "wait", context_id = "a" }
    local row = platform:message { to = workspace.id, text = "leak", context_id = "b" }[1]
    one:log_of(row, "needed more than 16 MiB")
    assert.same({ "waited, attempt 1" }, one:canvas(1))
    one:stop()
  end)

  it("refuses a script that needs more than the limit to load", function()
    local one = host.run({ platform = platform, workspace = workspace, args = { "--memory-limit", "8MiB" },
      script = "local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end" }, 2)
    one:log "does not load: needed more than 8 MiB of memory"
  end)
end)

describe("a script that does not load", function()
  local platform, workspace

  setup(function()
    platform = emulator.start { args = { "--rate-limit", "-1" } }
  end)

  before_each(function()
    workspace = host.workspace(platform)
  end)

  after_each(host.clean_up)

  teardown(function()
    platform:stop()
  end)

  it("ends the program with code 2 when it loops, within the limit for loading", function()
    local one = host.start { platform = platform, workspace = workspace, script = "while true do end" }
    one:wait_exit(2, 600000)
    -- ten seconds of the processor; on a machine that takes longer than a minute to give them, that minute
    one:log "the script does not load: .* %d+ s .*while loading, at .*agent.lua:1"
    assert.equal(0, #one:posts "/registry/register")
  end)

  for name, case in pairs {
    ["throws"] = { "error('not today')", "does not load: .*agent.lua:1: not today" },
    ["has a syntax error"] = { "return function(", "does not load: .*agent.lua:1: .*expected near <eof>" },
    ["returns nothing"] = { "", "does not load: .*agent.lua returned a nil; it must return a function%(msg, ctx%)" },
    ["returns a table without handle"] = { "return {}", "whose `handle` is a nil, not a function%(msg, ctx%)" },
    ["has a name that is no text"] = { "return {handle = print, name = 7}", "the agent's `name` must be a string" },
    ["has a start that throws"] = { "return {handle = print, start = function() error('no database') end}",
      "does not load: .*agent.lua:1: no database" },
    ["is bytecode"] = { string.dump(function() return print end), "does not load: .*attempt to load a binary chunk" },
    ["yields"] = { "coroutine.yield()", "does not load: .*coroutine.yield outside a coroutine" },
  } do
    it("ends the program with code 2 when it " .. name, function()
      local one = host.run({ platform = platform, workspace = workspace, script = case[1] }, 2)
      one:log(case[2])
      assert.equal(0, #one:posts "/registry/register")
    end)
  end
end)

describe("a script whose Lua state is replaced", function()
  local platform, workspace

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)
  before_each(function() workspace = host.workspace(platform) end)
  after_each(host.clean_up)
  teardown(function() platform:stop() end)

  local function send(text) return platform:message { to = workspace.id, text = text, context_id = text }[1] end

  it("counts a message that wanted too much memory, though it caught the error, and not those beside it", function()
    local one = host.connect { platform = platform, workspace = workspace,
      args = { "--memory-limit", "16MiB", "--concurrency", "4", "--max-attempts", "2" }, script = [[
        local molecule = require "molecule"
        return function(msg)
          if msg.text == "hog" then
            pcall(function() local t = {} for i = 1, 1e8 do t[i] = {} end end)
            molecule.sleep(60)
          end
          if msg.text == "beside" then molecule.sleep(1) end
          return msg.text
        end]] }
    local beside, hog = send "beside", send "hog"
    one:log_of(hog, "the handler failed %(attempt 1 of 2, .*needed more than 16 MiB of memory")
    one:log_of(beside, "replied")
    one:kill()
  end)

  it("keeps its messages while it does not load for a while", function()
    local away = host.directory() .. "/away"
    local one = host.connect { platform = platform, workspace = workspace,
      args = { "--memory-limit", "20MiB", "--max-attempts", "2", "--script-opt", "away=" .. away }, script = [[
        return {
          start = function(ctx)
            local file = io.open(ctx.options.away)
            if file then error "the database is away" end
          end,
          handle = function(msg)
            if msg.text == "hog" then local t = {} for i = 1, 1e8 do t[i] = {} end end
            return "got " .. msg.text
          end,
        }]] }
    host.write(away, "")
    local hog = send "hog"
    one:log_of(hog, "the handler failed")
    local rows = { send "one", send "two" }
    one:log "no longer loads; messages wait, .*the database is away"
    one:log("no longer loads", { from = select(2, one:log "no longer loads") + 1 })
    os.remove(away)
    for _, row in ipairs(rows) do one:log_of(row, "replied") end
    assert.equal(0, one:count_log "attempt %d of 2.*does not load")
    one:stop()
  end)

  it("lets no error's __tostring change the store", function()
    local one = host.connect { platform = platform, workspace = workspace, args = { "--max-attempts", "1" }, script = [[
      local molecule = require "molecule"
      return function(msg)
        if msg.text == "throws" then
          error(setmetatable({}, {__tostring = function()
            molecule.store.set("other", 1)
            molecule.store.update("key", function() return 1 end)
            return "never"
          end}))
        end
        molecule.store.set("key", 7)
        return tostring(molecule.store.get "other")
      end]] }
    one:log_of(send "throws", "attempt 1 of 1")
    one:log_of(send "writes", "replied")
    assert.same({ "nil" }, one:canvas(1))
    one:stop()
  end)
end)

describe("a script that is stuck in C code", function()
  local platform, workspace

  setup(function()
    platform = emulator.start { args = { "--rate-limit", "-1" } }
  end)

  before_each(function()
    workspace = host.workspace(platform)
  end)

  after_each(host.clean_up)

  teardown(function()
    platform:stop()
  end)

  local function stuck(code, args)
    local one = host.connect { platform = platform, workspace = workspace, args = { "--heartbeat-ms", "100",
      "--cpu-limit", "500ms", table.unpack(args) },
      script = "return function(msg) if msg.text == 'stuck' then " .. code .. " end return 'fine' end" }
    return one, platform:message { to = workspace.id, text = "stuck" }[1]
  end

  it("ends the program with code 75 after --stuck-after, and is named", function()
    local one, row = stuck("('').rep('', 1e10)", { "--stuck-after", "2s" })
    one:wait_exit(75)
    one:log("the script has been stuck in C code for %d s with message " .. row:gsub("%-", "%%-"))
    one:log("exiting with code 75, .* message " .. row:gsub("%-", "%%-") .. " will be redelivered")
  end)

  it("outside any message is noticed, and no message is blamed", function()
    local one = host.connect { platform = platform, workspace = workspace,
      args = { "--stuck-after", "2s", "--cpu-limit", "500ms" }, script = [[
        local molecule = require "molecule"
        return {
          start = function() molecule.after(0.01, function()
            molecule.log "begins";
            (("a"):rep(30000)):find((".-"):rep(30) .. "b")
          end) end,
          conversation = function() return "all" end,
          handle = function() return "fine" end,
        }]] }
    one:log "script: begins"
    platform:message { to = workspace.id, text = "innocent" }
    one:wait_exit(75)
    one:log "stuck in C code for %d s outside any message: in a timer"
    one:log "unfinished work will be redelivered"
  end)

  it("while it loads ends the program, too", function()
    local one = host.start { platform = platform, workspace = workspace,
      args = { "--stuck-after", "2s", "--cpu-limit", "500ms" },
      script = [[local x = (("a"):rep(30000)):find((".-"):rep(30) .. "b") return function() end]] }
    one:wait_exit(75)
  end)

  it("does not hold back the replies of what came and was handled with it", function()
    local rows = {} -- they are there before the host is: one poll brings them all
    for i, text in ipairs { "quick", "quick", "stuck" } do
      rows[i] = platform:message { to = workspace.id, from = host.workspace(platform).id, text = text }[1]
    end
    local one = host.start { platform = platform, workspace = workspace, args = { "--concurrency", "3", "--stuck-after", "0",
      "--since-secs", "3600" }, script = [[
        return function(msg)
          if msg.text == "stuck" then (("a"):rep(30000)):find((".-"):rep(20) .. "b") end
          return "fine"
        end]] }
    one:log_of(rows[1], "replied")
    one:log_of(rows[2], "replied")
    one:kill()
  end)

  it("is reported as wedged while heartbeats continue", function()
    local one = stuck("('a'):rep(30000):find(('.-'):rep(20) .. 'b')", { "--stuck-after", "0" })
    one:wait { path = "/registry/heartbeat", body = '"runtime_state":"wedged"', count = 5 }
    one:kill()
  end)
end)
