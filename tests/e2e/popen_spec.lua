--- io.popen and os.execute: a script waits for a command, and nobody else does.
local uv = require "luv"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local loop = require "tests.support.loop"

describe("io.popen", function()
  local platform, workspace, one

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)
  before_each(function() workspace = host.workspace(platform) end)
  after_each(host.clean_up)
  teardown(function() platform:stop() end)

  local function start(script, args)
    one = host.connect { platform = platform, workspace = workspace, script = script, args = args }
  end

  -- The body of a handler, with `show` to make one text of several values.
  local function start_handler(body, args)
    start([[
local molecule = require "molecule"
local function show(...)
  local all = table.pack(...)
  for i = 1, all.n do all[i] = tostring(all[i]) end
  return table.concat(all, "|")
end
return function(msg, ctx)
]] .. body .. "\nend", args)
  end

  local function ask(text, context)
    local row = platform:message { to = workspace.id, text = text or "go", context_id = context }[1]
    one:log_of(row, "replied")
    local told = one:told_canvas()
    return told[#told]
  end

  -- The file's first number is the id of a process: waits until there is none.
  local function wait_gone(path)
    local process = "/proc/" .. host.read(path):match "%d+"
    local gone = loop.wait(function()
      local stat = host.read(process .. "/stat")
      return not stat or stat:find "%) Z "
    end)
    assert(gone, "it still runs")
  end

  local function run_cases(cases)
    local lines = { "local cases = {}" }
    for i, case in ipairs(cases) do lines[#lines + 1] = ("cases[%d] = function() %s end"):format(i, case[1]) end
    lines[#lines + 1] = "return cases[tonumber(msg.text)]()"
    start_handler(table.concat(lines, "\n"))
    for i, case in ipairs(cases) do
      local told = ask(tostring(i))
      if case.pattern then
        assert(told:find(case[2]), case[1] .. "\n" .. told)
      else
        assert(told == case[2], case[1] .. "\n" .. told)
      end
    end
    one:stop()
  end

  it("reads as a file of Lua's does, in all formats", function()
    run_cases {
      { [[return show(io.popen("printf 'one\ntwo\n\nlast'"):read("l", "L", "l", "l", "l"))]], "one|two\n||last|nil" },
      { [[return show(io.popen("printf 'one\ntwo'"):read())]], "one" },
      { [[return show(io.popen("printf 'all of it\n'; sleep 0.1; printf more"):read("a"))]], "all of it\nmore" },
      { [[local p = io.popen("true") return show(p:read "a", p:read "l", p:read "n", p:read(1), p:read(0))]],
        "|nil|nil|nil|nil" },
      { [[local p = io.popen("printf abcdef") return show(p:read(0, 2, 0, 3, 5, 1))]], "|ab||cde|f|nil" },
      { [[return show(io.popen("printf ' 12 -3.5e2 0x1F 0x.8p1 7x'"):read("n", "n", "n", "n", "n", 1))]],
        "12|-350.0|31|1.0|7|x" },
      { [[local n = io.popen("printf 4; sleep 0.1; printf '2 '"):read("n") return show(n, math.type(n))]], "42|integer" },
      { [[return show(io.popen("printf 'word 5'"):read("n", "n"))]], "nil" },
      { [[return show(io.popen("printf '1e+ 5'"):read("n"))]], "nil" },
      { [[local p = io.popen("printf '%0201d z'") return show(p:read "n", p:read "a")]], "nil|0 z" },
      { [[return show(io.popen("printf 'a\nb\n'"):read("*l", "*L"))]], "a|b\n" },
      { [[return show(#io.popen("head -c 3000000 /dev/zero"):read("a"))]], "3000000" },
      { [[return show(#io.popen("head -c 3000000 /dev/zero | tr '\\0' x; echo; echo end"):read("l"))]], "3000000" },
      { [[return show(pcall(function() io.popen("true"):read("x") end))]], "bad argument #1 to 'read' %(invalid format%)",
        pattern = true },
    }
  end)

  it("gives lines to a generic for, which waits for each", function()
    run_cases {
      { [[local seen = {}
        for line in io.popen("for i in 1 2 3; do echo line $i; sleep 0.05; done"):lines() do seen[#seen + 1] = line end
        return table.concat(seen, ",")]], "line 1,line 2,line 3" },
      { [[local seen = {}
        for a, b in io.popen("printf '1 x\n2 y\n'"):lines("n", "l") do seen[#seen + 1] = a .. ":" .. b end
        return table.concat(seen, ",")]], "1: x,2: y" },
      { [[local lines = coroutine.wrap(function()
          for line in io.popen("echo a; sleep 0.05; echo b"):lines("L") do coroutine.yield(line) end
        end)
        return lines() .. lines()]], "a\nb\n" },
      { [[local fine, problem = pcall(table.sort, {1, 2}, function() return io.popen("sleep 0.1; echo"):read() end)
        return tostring(problem)]], "a pipe's read cannot wait here", pattern = true },
    }
  end)

  it("writes, also more than a pipe holds, and says how the command ended", function()
    local directory = host.directory()
    run_cases {
      { ([[local p = io.popen("cat > %s/out", "w")
        assert(p:write("one ", 2, " ", 3.5) == p and p:flush() == p and p:setvbuf("full"))
        local ended = show(p:close())
        return ended .. " " .. io.open("%s/out"):read "a"]]):format(directory, directory), "true|exit|0 one 2 3.5" },
      { ([[local p = io.popen("sleep 0.1; wc -c > %s/count; exit 3", "w")
        for _ = 1, 3 do p:write(("x"):rep(500000)) end
        local ended = show(p:close())
        return ended .. " " .. io.open("%s/count"):read "n"]]):format(directory, directory), "nil|exit|3 1500000" },
      { [[local p = io.popen("cat /dev/stdin > /dev/null && exit 5", "w") p:write("x") return show(p:close())]],
        "nil|exit|5" },
      { [[return show(io.popen("kill -TERM $$"):close())]], "nil|signal|15" },
      { [[return show(io.close(io.popen("exit 7")))]], "nil|exit|7" },
      { [[local p = io.popen("yes") local got = p:read(4) return show(got, p:close())]],
        "^y\ny\n|nil|.*1[43]1?$", pattern = true },
      { [[local p = io.popen("exec 0<&-; sleep 0.2", "w") molecule.sleep(0.1)
        local written, problem, code = p:write(("x"):rep(1000)) return show(written, problem, code)]],
        "nil|broken pipe|32" },
      { [[local p = io.popen("true", "w") return show(p:read())]], "nil|bad file descriptor|9" },
      { [[local p = io.popen("true") return show(p:write "x")]], "nil|bad file descriptor|9" },
      { [[local p = io.popen("true") return show(p:seek())]], "nil|invalid seek|29" },
      { [[local ended do local p <close> = io.popen("sleep 0.05; exit 4") ended = p end
        return show(io.type(ended))]], "closed file" },
    }
  end)

  it("looks like a file", function()
    run_cases {
      { [[local p = io.popen("true") local before = show(io.type(p), (tostring(p):gsub("0x%x+", "ADDRESS"))) p:close()
        return show(before, io.type(p), tostring(p), io.type(io.stdout), io.type(1))]],
        "file|file (ADDRESS)|closed file|file (closed)|file|nil" },
      { [[local p = io.popen("true") p:close() return show(pcall(p.read, p))]], "attempt to use a closed file", pattern = true },
      { [[return show(pcall(io.popen, "true", "rw"))]], "invalid mode", pattern = true },
      { [[return show(getmetatable(io.popen("true")))]], "false" },
      { [[return show(pcall(io.popen("true").read, io.stdout))]], "molecule.pipe expected, got FILE", pattern = true },
      { [[local f = io.open("/dev/null") f:close() return show(io.type(f), io.close(io.open("/dev/null")))]],
        "closed file|true" },
    }
  end)

  it("lets other conversations continue while a script waits for it", function()
    local flag = host.directory() .. "/flag"
    start(([[
local execute, popen = os.execute, io.popen -- as a script may take hold of them before anything else
local slow = "until [ -e %s ]; do sleep 0.02; done; echo done"
local ways = {
  popen = function() return popen(slow):read("l") end,
  close = function() return select(2, popen(slow .. " > /dev/null"):close()) end,
  execute = function() return select(2, execute(slow .. " > /dev/null")) end,
}
return {concurrency = 2, handle = function(msg)
  if msg.text == "go on" then io.open("%s", "w"):close() return "went on" end
  return ways[msg.text]()
end}]]):format(flag, flag))
    for way, expected in pairs { popen = "done", close = "exit", execute = "exit" } do
      local since = #one:told_canvas()
      platform:message { to = workspace.id, text = way, context_id = "slow" }
      platform:message { to = workspace.id, text = "go on", context_id = "fast" }
      local told = one:canvas(since + 2)
      assert.same({ "went on", expected }, { told[since + 1], told[since + 2] })
      uv.fs_unlink(flag)
    end
    one:stop()
  end)

  it("works while a script loads", function()
    start [[
local version = io.popen("echo 5"):read("n")
return function() return "version " .. version end]]
    assert.equal("version 5", ask())
    one:stop()
  end)

  it("ends with the handler that is abandoned, and so do its children", function()
    local pid = host.directory() .. "/pid"
    for _, wait in ipairs { "read 'a'", "close()" } do
      start_handler(([[io.popen("sleep 100 & echo $! > %s; wait"):%s]]):format(pid, wait),
        { "--timeout", "400ms", "--max-attempts", "1", "--error-reply", "failed" })
      platform:message { to = workspace.id, text = "go" }
      one:log "handler failed.*longer than its time limit"
      wait_gone(pid)
      one:stop()
      workspace = host.workspace(platform)
    end
  end)

  it("ends with the handler that forgot it, also what its shell left behind", function()
    local pid = host.directory() .. "/pid"
    for _, command in ipairs { "echo $$ > %s; echo ready; exec sleep 100", "sleep 100 & echo $! > %s; echo ready" } do
      start_handler(([[return io.popen("%s"):read()]]):format(command:format(pid)))
      assert.equal("ready", ask())
      wait_gone(pid)
      one:stop()
      workspace = host.workspace(platform)
    end
  end)

  it("says what became of a pipe that outlived its handler, or that is another's", function()
    start([[
local molecule = require "molecule"
local kept
return {concurrency = 2, handle = function(msg)
  if msg.text == "open" then kept = io.popen("echo hello; sleep 100") return "opened" end
  if msg.text == "hold" then kept = io.popen("sleep 100") molecule.log("holding") molecule.sleep(100) end
  return select(2, pcall(kept.read, kept)) .. " " .. tostring(kept):gsub("0x%x+", "")
end}]], { "--drain", "100ms" })
    ask "open"
    local told = ask "read"
    assert(told:find "the handler that opened this pipe has ended, and its command with it %(echo hello; sleep 100%)", told)
    assert(told:find("file (closed)", 1, true), told)
    platform:message { to = workspace.id, text = "hold", context_id = "other" }
    one:log "holding"
    told = ask "read"
    assert(told:find "this pipe belongs to another handler %(sleep 100%)", told)
    one:stop()
  end)

  it("leaves neither zombies nor descriptors, however many there were", function()
    start_handler [[
      for i = 1, tonumber(msg.text) do
        local p = io.popen("echo x")
        assert(p:read("l") == "x")
        if i % 3 == 0 then assert(p:close()) end
        if i % 3 == 1 then p:read("a") end
        local w <close> = io.popen("cat > /dev/null", "w")
        w:write("x")
        if i % 20 == 0 then p, w2 = nil, nil collectgarbage() end
      end
      return msg.text]]
    local function run(count)
      assert.equal(tostring(count), ask(tostring(count)))
      return #host.list("/proc/" .. one.process.pid .. "/fd")
    end
    local before = run(5)
    local after = run(150)
    assert(after <= before + 2, ("%d descriptors, %d before"):format(after, before))
    local children = {}
    for name in uv.fs_scandir_next, assert(uv.fs_scandir "/proc") do
      local stat = name:match "^%d+$" and host.read("/proc/" .. name .. "/stat")
      local command, state, parent = (stat or ""):match "%((.-)%) (%a) (%d+)"
      if parent == tostring(one.process.pid) then children[#children + 1] = command .. " " .. state end
    end
    assert.same({}, children)
    one:stop()
  end)
end)
