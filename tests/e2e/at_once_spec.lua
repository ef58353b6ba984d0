--- molecule.all, molecule.map and molecule.race: what runs at once is under way at once, ends as one, and leaves nothing open.

local uv = require "luv"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local loop = require "tests.support.loop"
local process = require "tests.support.process"
local server = require "tests.support.server"

describe("functions that run at once", function()
  local platform, workspace

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)
  before_each(function() workspace = host.workspace(platform) end)
  after_each(function()
    server.stop_all()
    host.clean_up()
  end)
  teardown(function() platform:stop() end)

  -- A host whose script runs the code, a function's body, for each message; `web` is the URL to ask.
  local function start(code, args, web)
    local all = { "--max-attempts", "1", "--error-reply", "failed", "--script-opt", "url=" .. (web and web.url or "") }
    for _, arg in ipairs(args or {}) do all[#all + 1] = arg end
    return host.connect { platform = platform, workspace = workspace, args = all, script = [[
      local molecule = require "molecule"
      local core = require "molecule.core"
      local all, map, race = molecule.all, molecule.map, molecule.race
      local function later(value, time) return function() molecule.sleep(time or 0.01) return value end end
      local function never() molecule.sleep(1000) end
      local function fail() molecule.sleep(0.01) error "failed here" end
      return {concurrency = 2, handle = function(msg, ctx)
        if msg.text == "ping" then return "pong" end
        local url = ctx.options.url
        ]] .. code .. "\nend}" }
  end

  local function say(text) platform:message { to = workspace.id, text = text or "go" } end

  -- What the code comes to: the reply.
  local function reply(code, args, web)
    local one = start(code, args, web)
    say()
    local text = one:canvas(1)[1]
    one:stop()
    return text
  end

  local function descriptors(one) return #host.list("/proc/" .. one.process.pid .. "/fd") end

  local function children(one)
    local found = {}
    for name in uv.fs_scandir_next, assert(uv.fs_scandir "/proc") do
      local stat = name:match "^%d+$" and host.read("/proc/" .. name .. "/stat")
      if stat and stat:match "%(.-%) %a (%d+)" == tostring(one.process.pid) then found[#found + 1] = name end
    end
    return #found
  end

  -- Waits for what no event tells of: processes and descriptors that come and go.
  local function eventually(done)
    local fine = loop.wait(done)
    loop.flush()
    assert.is_truthy(fine)
  end

  -- A server that answers nothing until it is told to: web.held, its replies; web.closed, how many connections clients closed.
  local function holding()
    local web
    web = server.start(function(request, answer)
      web.held[#web.held + 1] = { path = request.path, answer = answer }
      answer.on_close(function() web.closed = web.closed + 1 end)
    end)
    web.held, web.closed = {}, 0
    return web
  end

  it("ask a web service a hundred times at once and give the answers in order", function()
    local web = holding()
    local one = start([[
      local list = {}
      for i = 1, 100 do list[i] = function() return molecule.http.get(url .. "/" .. i, {timeout = 600}).body end end
      local bodies = all(list)
      return bodies.n .. " " .. table.concat(bodies, " ")]], { "--timeout", "10m" }, web)
    say()
    loop.wait(function() return #web.held == 100 end) -- none was answered yet
    local expected = { "100" }
    for i = 100, 1, -1 do web.held[i].answer(200, web.held[i].path:sub(2)) end
    for i = 1, 100 do expected[i + 1] = tostring(i) end
    assert.same({ table.concat(expected, " ") }, one:canvas(1))
    one:stop()
  end)

  it("let go of every request when one fails, at once, and the handler continues with the error", function()
    local web = holding()
    local one = start([[
      local list = {}
      for i = 1, 99 do list[i] = function() return molecule.http.get(url .. "/" .. i, {timeout = 600}) end end
      list[100] = function() local answer = molecule.http.get(url .. "/fail") error(answer.body, 0) end
      local fine, problem = pcall(all, list)
      return tostring(fine) .. " " .. problem]], { "--timeout", "10m" }, web)
    local before
    for round = 1, 2 do
      web.held, web.closed = {}, 0
      say()
      loop.wait(function() return #web.held == 100 end)
      for _, held in ipairs(web.held) do
        if held.path == "/fail" then held.answer(200, "the reason", { Connection = "close" }) end
      end
      loop.wait(function() return web.closed >= 99 end) -- their time limits are ten minutes away
      assert.equal("false the reason", one:canvas(round)[round])
      before = before or descriptors(one)
    end
    eventually(function() return descriptors(one) <= before end)
    one:stop()
  end)

  it("kill the programs, pipes and streams of the others when one fails", function()
    local web = holding()
    local one = start([[
      local fine, problem = pcall(all, {
        function() molecule.exec {argv = {"sleep", "1000"}} end,
        function() os.execute "sleep 1000" end,
        function() local pipe <close> = io.popen "sleep 1000" return pipe:read "a" end,
        function() local pipe = io.popen("cat >/dev/null; sleep 1000", "w") never() return pipe end,
        function() molecule.http.get(url, {stream = print, timeout = 600}) end,
        function() all {function() molecule.exec {cmd = "sleep 1000"} end, never} end,
        function() molecule.http.get(url .. "/enough", {timeout = 600}) error("enough", 0) end,
      })
      return problem]], { "--timeout", "10m" }, web)
    local before
    for round = 1, 2 do
      web.held, web.closed = {}, 0
      say()
      eventually(function() return #web.held == 2 and children(one) == 5 end) -- all of them run
      for _, held in ipairs(web.held) do
        if held.path == "/enough" then held.answer(200, "", { Connection = "close" }) end
      end
      assert.equal("enough", one:canvas(round)[round])
      eventually(function() return children(one) == 0 and web.closed >= 1 end)
      before = before or descriptors(one)
    end
    eventually(function() return descriptors(one) <= before end)
    one:stop()
  end)

  it("leave nothing open when the message is past --timeout, or the host stops", function()
    local web = holding()
    local code = [[
      all {
        function() molecule.http.get(url, {timeout = 600}) end,
        function() molecule.exec {argv = {"sleep", "1000"}} end,
        function() race {never, function() io.popen("sleep 1000"):read "a" end} end,
      }]]
    local one = start(code, { "--timeout", "2s" }, web)
    local before
    for round = 1, 2 do
      say()
      one:canvas(round) -- the error's reply
      eventually(function() return children(one) == 0 and web.closed == #web.held end)
      before = before or descriptors(one)
    end
    eventually(function() return descriptors(one) <= before end)
    say()
    eventually(function() return #web.held > 2 and children(one) == 2 end)
    one:stop() -- reports what a sanitizer finds
  end)

  it("give nil for nil, the first result of each, and how many there were", function()
    assert.equal("4 a nil nil true", reply [[
      local r = all {later("a", 0.03), later(nil), function() return nil, "message", "CODE" end, function() return true, 2 end}
      return ("%d %s %s %s %s"):format(r.n, r[1], r[2], r[3], r[4])]])
  end)

  it("may be none, one, or ten thousand that never wait", function()
    assert.equal("0 0 one 10000 5000", reply [[
      local many = {}
      for i = 1, 10000 do many[i] = function() return i end end
      local r = all(many)
      return table.concat({all {}.n, map({}, error).n, all {function() return "one" end}[1], r.n, r[5000]}, " ")]])
  end)

  it("may be ten thousand that wait", function()
    assert.equal("10000 10000", reply([[
      local many = {}
      for i = 1, 10000 do many[i] = later(i, 0.1) end
      local r = all(many)
      return r.n .. " " .. r[10000] ]], { "--cpu-limit", "1m" }))
  end)

  it("raise the first error as it was raised: its place in the script, or the value itself", function()
    local text = reply [[
      local value = setmetatable({}, {__name = "mine"})
      local _, same = pcall(all, {never, function() molecule.sleep(0) error(value) end})
      local _, text = pcall(all, {never, fail})
      local _, none = pcall(all, {never, function() error(nil) end})
      return ("%s %s %s"):format(same == value, text:match ":%d+: failed here$", none)]]
    assert.equal("true :6: failed here nil", text)
  end)

  it("are named in the traceback with the line that failed and the line that ran them", function()
    local one = start [[
      all {fail, never}
      return "not reached"]]
    say()
    one:log "set aside"
    one:stop()
    assert.is_truthy(one.process.stderr:find("failed here.*:6: in .*'molecule.all'.*:10: in "), one.process.stderr)
  end)

  it("run the __close of a function that fails, and none of one that is canceled", function()
    assert.equal("failing", reply [[
      local closed = {}
      local function closing(name) return setmetatable({}, {__close = function() closed[#closed + 1] = name end}) end
      pcall(all, {
        function() local x <close> = closing "canceled" pcall(never) closed[#closed + 1] = "went on" end,
        function() local x <close> = closing "failing" fail() end,
      })
      molecule.sleep(0.05)
      return table.concat(closed, " ")]])
  end)

  it("let the first win a race, also with nil, and raise the first error", function()
    assert.equal("fast 2 nil 1 false", reply [[
      local value, which = race {never, later "fast", never}
      local none, first = race {later(nil), never}
      local fine, problem = pcall(race, {later("late", 1000), fail})
      return table.concat({value, which, tostring(none), first, tostring(fine)}, " ")]])
  end)

  it("are at most as many as map's concurrency says, and all items get their turn", function()
    local web = holding()
    local one = start([[
      local items = {}
      for i = 1, 12 do items[i] = i end
      local function ask(item, index) return molecule.http.get(url .. "/" .. item, {timeout = 600}).body .. index end
      return table.concat(map(items, ask, {concurrency = tonumber(msg.text)}), " ")]], { "--timeout", "10m" }, web)
    for round, most in ipairs { 3, 8 } do
      say(round == 1 and "3" or "default")
      local answered = 0
      while answered < 12 do
        local expected = math.min(12, answered + most)
        loop.wait(function() return #web.held == expected end)
        answered = answered + 1
        web.held[answered].answer(200, "ok")
        assert.is_true(#web.held <= answered - 1 + most)
      end
      web.held = {}
      assert.equal("ok1 ok2 ok3 ok4 ok5 ok6 ok7 ok8 ok9 ok10 ok11 ok12", one:canvas(round)[round])
    end
    one:stop()
  end)

  it("know their branch: the same words whenever the handler runs", function()
    assert.equal("all#1[1] all#1[2]/map#1[x] all#1[2]/map#1[y] all#1[2]/map#1[x~2] map#1[k7] race#1[1] all#2[1] nil", reply [[
      local path = core.branch_path
      local words = {}
      local r = all {path, function() return map({"x", "y", "x"}, path) end}
      words[1] = r[1]
      for i = 1, 3 do words[#words + 1] = r[2][i] end
      words[#words + 1] = map({7}, path, {key = function(item) return "k" .. item end})[1]
      words[#words + 1] = race {path}
      words[#words + 1] = all {path}[1]
      return table.concat(words, " ") .. " " .. tostring(path())]])
  end)

  it("have keys that tell items apart, whatever they are", function()
    assert.equal("7 7 true", reply [[
      local items = {"a/b", ("x"):rep(1000), "", 5, 5, {1}, print}
      local seen, count, short = {}, 0, true
      local paths = map(items, core.branch_path)
      for i = 1, paths.n do
        local path = paths[i]
        count = count + (seen[path] and 0 or 1)
        seen[path] = true
        short = short and #path < 64
      end
      return paths.n .. " " .. count .. " " .. tostring(short)]])
  end)

  it("work in a coroutine of the script, which nobody else may resume meanwhile", function()
    assert.equal("ab false cannot resume a coroutine that waits for the host", reply [[
      local co = coroutine.create(function() return table.concat(all {later "a", later "b"}) end)
      local r = all {
        function() return select(2, coroutine.resume(co)) end,
        function() molecule.sleep(0) local fine, problem = coroutine.resume(co) return tostring(fine) .. " " .. problem end,
      }
      return r[1] .. " " .. r[2] ]])
  end)

  it("cannot be resumed or closed from outside", function()
    assert.equal("cannot resume a coroutine that waits for the host; cannot close a coroutine that waits for the host; "
      .. "cannot resume a coroutine that waits for the host", reply [[
      local branch
      local r = all {
        function() branch = coroutine.running() molecule.sleep(0.05) end,
        function()
          while not branch do molecule.sleep(0) end
          local _, resumed = coroutine.resume(branch)
          local _, closed = pcall(coroutine.close, branch)
          return resumed .. "; " .. closed
        end,
      }
      local _, ended = coroutine.resume(branch)
      return r[2] .. "; " .. ended]])
  end)

  it("may share what the handler opened, and hand over what they opened", function()
    assert.equal("from outside, from inside", reply [[
      local outside = io.popen "printf 'from outside'"
      local r = all {function() return outside:read "a" end, function() return io.popen "printf 'from inside'" end}
      return r[1] .. ", " .. r[2]:read "a"]])
  end)

  it("that change the same stored value lose no change, and those of one handler never block each other", function()
    local one = start [[
      local numbers = {}
      for i = 1, 50 do numbers[i] = i end
      map(numbers, function(i)
        molecule.store.update("sum", function(sum) return (sum or 0) + 1 end)
        molecule.store.incr("count")
        molecule.store.update("key " .. i % 5, function() return i end)
      end, {concurrency = 50})
      return molecule.store.get "sum" .. " " .. molecule.store.get "count"]]
    local peer = host.workspace(platform)
    for _ = 1, 3 do
      say()
      platform:message { to = workspace.id, from = peer.id, text = "go" }
    end
    local texts = one:canvas(3)
    for _, text in ipairs((one:peer(peer.id, 3))) do texts[#texts + 1] = text end
    table.sort(texts, function(a, b) return tonumber(a:match "%d+") < tonumber(b:match "%d+") end)
    assert.same({ "50 50", "100 100", "150 150", "200 200", "250 250", "300 300" }, texts)
    one:stop()
  end)

  it("that send messages send them under the same ids when the handler runs again in another order", function()
    local peer, web = host.workspace(platform), holding()
    local one = host.connect { platform = platform, workspace = workspace, args = { "--script-opt", "url=" .. web.url,
      "--script-opt", "peer=" .. peer.id, "--max-attempts", "2" }, script = [[
      local molecule = require "molecule"
      return function(msg, ctx)
        molecule.map({"one", "two"}, function(word)
          molecule.http.get(ctx.options.url .. "/" .. word, {timeout = 600})
          return assert(molecule.send(ctx.options.peer, word, {timeout = 0}))
        end)
        if ctx.attempt == 1 then error "once more" end
        return "sent"
      end]] }
    say()
    local function answer(word)
      loop.wait(function()
        for i, held in ipairs(web.held) do
          if held.path == "/" .. word then
            table.remove(web.held, i)
            held.answer(200, "")
            return true
          end
        end
      end)
    end
    local function sent(count)
      return one:wait { path = ("/workspaces/%s/a2a"):format(peer.id), status = 200, count = count }
    end
    loop.wait(function() return #web.held == 2 end)
    answer "one" sent(1) answer "two" sent(2)
    loop.wait(function() return #web.held == 2 end)
    answer "two"
    answer "one"
    assert.same({ "sent" }, one:canvas(1))
    local ids = {}
    for _, entry in ipairs(sent(2)) do
      local id, word = entry.body:match '"messageId":"([^"]+)"', entry.body:match '"text":"(%a+)"'
      assert.is_true(ids[word] == nil or ids[word] == id, word .. " was sent under two ids")
      ids[word] = id
    end
    assert.is_true(ids.one ~= nil and ids.two ~= nil and ids.one ~= ids.two)
    one:stop()
  end)

  -- A handler that may run again: what its code, which has `ctx`, comes to in the end.
  local function again(code)
    local one = host.connect { platform = platform, workspace = workspace, script = [[
      local molecule = require "molecule"
      local all, map, race = molecule.all, molecule.map, molecule.race
      local function once_more(ctx) if ctx.attempt == 1 then error "once more" end end
      return function(msg, ctx)
        ]] .. code .. "\nend" }
    say()
    return one, one:canvas(1)[1]
  end

  it("do each step once, and get their own results when the handler runs again in another order", function()
    local one, text = again [[
      local words = map({"one", "two", "three"}, function(word)
        molecule.sleep(ctx.attempt == 1 and #word / 100 or 0.1 - #word / 100)
        local first = ctx.step("work", function(step) molecule.log.info("%s works", step.key) return word .. "!" end)
        return ctx.step("work", function(step) molecule.log.info("%s works", step.key) return first .. "!" end)
      end)
      once_more(ctx)
      return table.concat(words, " ")]]
    assert.equal("one!! two!! three!!", text)
    assert.equal(6, one:count_log "works")
    for _, word in ipairs { "one", "two", "three" } do
      assert.equal(2, one:count_log("map#1%[" .. word .. "%]/work#%d works"))
    end
    one:stop()
  end)

  it("leave no step behind when they are canceled: the next run does it again", function()
    local one, text = again [[
      return all {
        function()
          return ctx.step("slow", function()
            molecule.log.info "the step begins"
            molecule.store.set("trace", ctx.attempt)
            if ctx.attempt == 1 then molecule.sleep(1000) end
            return "done " .. molecule.store.get "trace"
          end)
        end,
        function() molecule.sleep(0.05) once_more(ctx) end,
      }[1] ]]
    assert.equal("done 2", text)
    assert.equal(2, one:count_log "the step begins")
    one:stop()
  end)

  it("have one winner, whoever would be first when the handler runs again", function()
    local one, text = again [[
      local function after(word, attempt)
        return function() molecule.sleep(ctx.attempt == attempt and 0 or 1000) return {word = word} end
      end
      local value, which = race {after("first", 2), after("second", 1)}
      local inner = all {function() return race {after("third", 1), after("fourth", 2)} end}
      once_more(ctx)
      local path
      race {function() path = require "molecule.core".branch_path() end}
      return value.word .. " " .. which .. " " .. inner[1].word .. " " .. path]]
    assert.equal("second 2 third race#2[1]", text)
    one:stop()
  end)

  it("go as they were recorded when they are replayed: who lost a race does not win it", function()
    local web = holding()
    local script = [[
      local molecule = require "molecule"
      return function(msg, ctx)
        return (molecule.race {
          function() return molecule.http.get(ctx.options.url .. "/slow", {timeout = 600}).body end,
          function() return molecule.exec({argv = {"sleep", "1000"}}).code end,
          function() return molecule.http.get(ctx.options.url .. "/quick", {timeout = 600}).body end,
        })
      end]]
    local recording = host.directory() .. "/messages.jsonl"
    local one = host.connect { platform = platform, workspace = workspace, script = script, args = { "--record", recording,
      "--script-opt", "url=" .. web.url } }
    say()
    loop.wait(function() return #web.held == 2 end)
    for _, held in ipairs(web.held) do
      if held.path == "/quick" then held.answer(200, "first") end
    end
    assert.same({ "first" }, one:canvas(1))
    one:stop()
    local replayed = process.spawn { command = { emulator.binary(), "replay", recording, one.script_path, "--script-opt",
      "url=" .. web.url } }
    assert.equal(0, replayed:wait_exit(), replayed.stdout .. replayed.stderr)
    assert.equal("1 as recorded, 0 different\n", replayed.stdout)
  end)

  it("cannot start a step inside a step of whoever runs them, and share what that one stores", function()
    assert.equal("ctx.step cannot be used inside the step \"outer#1\" 2", select(2, again [[
      return ctx.step("outer", function()
        molecule.store.set("count", 0)
        local problems = all {
          function() return select(2, pcall(ctx.step, "inner", print)):match ": (.*)" end,
          function() molecule.store.incr("count", 2) end,
        }
        return problems[1] .. " " .. molecule.store.get "count"
      end)]]))
  end)

  it("count together against --cpu-limit, and the line that used it is named", function()
    local one = start([[
      local function work() while true do for _ = 1, 1e4 do end molecule.sleep(0) end end
      all {work, work, work, never}]], { "--cpu-limit", "1s", "--timeout", "10m" })
    say()
    one:log "used more than 1 s of CPU time %(%-%-cpu%-limit%), at [^ ]+:%d+, called from"
    say "ping"
    assert.same({ "failed", "pong" }, one:canvas(2))
    one:stop()
  end)

  it("end together at --timeout, and the line that waits is named", function()
    local one = start("all {later(1), never}", { "--timeout", "1s" })
    say()
    one:log "took longer than its time limit %(%-%-timeout%), at [^ ]+:5, called from .*:10"
    say "ping"
    assert.same({ "failed", "pong" }, one:canvas(2))
    one:stop()
  end)

  it("end together at --memory-limit, and the next message finds a fresh state", function()
    local one = start([[
      all {never, function() local t = {} for i = 1, 1e9 do t[i] = ("x"):rep(1000) .. i end end}]],
      { "--memory-limit", "32MiB", "--cpu-limit", "1m", "--timeout", "10m" })
    say()
    one:log "needed more than 32 MiB of memory %(%-%-memory%-limit%), at [^ ]+:%d+"
    say "ping"
    assert.same({ "failed", "pong" }, one:canvas(2))
    one:stop()
  end)

  it("cannot be so many that their coroutines need more than --memory-limit", function()
    local one = start([[
      local function more() return all {more, more, never} end
      local list = {}
      for i = 1, 1000 do list[i] = function() return map(setmetatable({n = 1000000}, nil), never, {concurrency = 1000}) end end
      all(list)]], { "--memory-limit", "32MiB", "--cpu-limit", "1m", "--timeout", "10m" })
    say()
    one:log "memory"
    say "ping"
    assert.same({ "failed", "pong" }, one:canvas(2))
    one:stop()
  end)

  it("are nested a hundred deep at most", function()
    assert.equal("bottom; all: functions that run at once are nested more than 100 deep", reply [[
      local function nest(depth) return depth == 0 and "bottom" or all {function() return nest(depth - 1) end}[1] end
      local fine, problem = pcall(nest, 101)
      return nest(100) .. "; " .. problem:match ": (.*)"]])
  end)

  it("let other conversations be answered meanwhile", function()
    local one = start([[
      if msg.text == "enough" then enough = true return "told" end
      local function busy() while not enough do for _ = 1, 1e4 do end molecule.sleep(0) end end
      all {busy, busy, busy}
      return "busy"]], { "--cpu-limit", "10m", "--timeout", "10m" })
    local peer = host.workspace(platform)
    say()
    platform:message { to = workspace.id, from = peer.id, text = "enough" }
    assert.same({ "told" }, (one:peer(peer.id, 1)))
    assert.same({ "busy" }, one:canvas(1))
    one:stop()
  end)

  it("run in start, in timers and in the sandbox", function()
    local one = host.connect { platform = platform, workspace = workspace, args = { "--sandbox" }, script = [[
      local molecule = require "molecule"
      local function add(name)
        molecule.all {function() molecule.store.incr(name) end, function() molecule.sleep(0.01) molecule.store.incr(name) end}
      end
      return {
        start = function() add "start" molecule.after(0.01, function() add "timer" end) end,
        handle = function()
          while (molecule.store.get "timer") ~= 2 do molecule.sleep(0.01) end
          add "message"
          return ("%d %d"):format(molecule.store.get "start", molecule.store.get "message")
        end,
      }]] }
    say()
    assert.same({ "2 2" }, one:canvas(1))
    one:stop()
  end)

  it("say what they take when they are given something else", function()
    local one = start [[
      local cases = {
        function() all(print) end,
        function() all {print, 5} end,
        function() all {x = print} end,
        function() race {} end,
        function() map(5, print) end,
        function() map({1, x = 2}, print) end,
        function() map({1}, "print") end,
        function() map({1}, print, {concurrency = 0}) end,
        function() map({1}, print, {concurency = 1}) end,
        function() map({1}, print, {key = function() end}) end,
        function() all {function() coroutine.yield() end} end,
        function() molecule.store.update("x", function() all {print} end) end,
        function() table.sort({1, 2}, function() all {print} end) end,
      }
      local words = {}
      for i, case in ipairs(cases) do words[i] = select(2, pcall(case)):match ": (.*)" end
      return table.concat(words, "\n")]]
    say()
    local nowhere = " cannot wait here: it is inside a function that C calls (a table.sort comparator, a gsub callback, a "
      .. "metamethod, or a file that require loads)"
    assert.same({ table.concat({
      "all: takes a list of functions, molecule.all {f, g}, not a function",
      "all: takes a list of functions, but number 2 is a number",
      "all: takes a list of functions, but this table has the key x",
      "race: the list is empty, so nothing can win; it takes at least one function",
      "map: the first argument must be a list, not a number",
      "map: the first argument must be a list, but this table has the key x",
      "map: the second argument must be a function(item, index), not a string",
      "map: concurrency must be an integer from 1 to 1000, not 0",
      "map: unknown field 'concurency'; did you mean 'concurrency'?",
      "map: key(item) must return a string, not a nil (item 1)",
      "all: function 1 called coroutine.yield outside a coroutine that it created",
      "molecule.all" .. nowhere,
      "molecule.all" .. nowhere,
    }, "\n") }, one:canvas(1))
    one:stop()
  end)

  it("end without a trace when the state they run in is replaced", function()
    local web = holding()
    local one = start([[
      if msg.text == "burst" then local t = {} for i = 1, 1e9 do t[i] = ("x"):rep(1000) .. i end end
      return all {never, function() error(molecule.http.get(url, {timeout = 600}).body, 0) end}]],
      { "--memory-limit", "32MiB", "--cpu-limit", "1m", "--timeout", "10m" }, web)
    local peer = host.workspace(platform)
    say()
    loop.wait(function() return #web.held == 1 end)
    platform:message { to = workspace.id, from = peer.id, text = "burst" }
    loop.wait(function() return #web.held == 2 and web.closed == 1 end) -- it runs again, in a fresh state
    web.held[2].answer(200, "asked again")
    one:log "asked again"
    assert.same({ "failed" }, one:canvas(1))
    one:stop()
  end)

  it("end with the version of the script that runs them, which a reload lets finish", function()
    local web = holding()
    local one = start([[
      return all {function() return molecule.http.get(url, {timeout = 600}).body end}[1] ]], { "--watch", "--timeout", "10m" },
      web)
    say()
    loop.wait(function() return #web.held == 1 end)
    host.write(one.script_path, "return {concurrency = 2, handle = function() return 'new' end}")
    one:log "the script is reloaded"
    local peer = host.workspace(platform)
    platform:message { to = workspace.id, from = peer.id, text = "go" }
    assert.same({ "new" }, (one:peer(peer.id, 1)))
    web.held[1].answer(200, "old")
    assert.same({ "old" }, one:canvas(1))
    one:stop()
  end)
end)
