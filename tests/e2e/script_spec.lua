--- What a script sees of a message, what it can ask of its host, and what becomes of what it returns.
local uv = require "luv"
local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local loop = require "tests.support.loop"

local REPLACEMENT = "\u{FFFD}"

-- What cases may use. A killed process takes a moment to end, and may then wait for its new parent to notice.
local PRELUDE = [[
local molecule = require "molecule"
local cases = {}
local function state_of(pid)
  for _ = 1, 500 do
    local file = io.open("/proc/" .. pid .. "/stat")
    local stat = file and file:read("a") or ""
    if file then file:close() end
    if not stat:match("%) [^Z] ") then return "nothing" end
    molecule.sleep(0.01)
  end
  return "process " .. pid
end]]

-- Each case is the body of a handler and the reply that is expected.
local function script_of(cases)
  local lines = { PRELUDE }
  for i, case in ipairs(cases) do
    lines[#lines + 1] = ("cases[%q] = function(msg, ctx)\n%s\nend"):format("case " .. i, case[2])
  end
  lines[#lines + 1] = "return function(msg, ctx) return cases[msg.text](msg, ctx) end"
  return table.concat(lines, "\n")
end

-- The reply of `code` as a handler's body, on a host of its own that is stopped afterwards.
local function answers(platform, code, options)
  local all = { platform = platform, workspace = host.workspace(platform),
    script = "local molecule = require 'molecule'\nreturn function(msg, ctx)\n" .. code .. "\nend" }
  for name, value in pairs(options or {}) do all[name] = value end
  local one = host.connect(all)
  platform:message { to = all.workspace.id, text = "hello" }
  local told = one:canvas(1)
  one:stop()
  return told[1]
end

local function describe_with_platform(name, body)
  describe(name, function()
    local context = {}
    setup(function()
      context.platform = emulator.start { args = { "--rate-limit", "-1" } }
    end)
    before_each(function()
      context.workspace = host.workspace(context.platform)
    end)
    after_each(host.clean_up)
    teardown(function()
      context.platform:stop()
    end)
    body(context)
  end)
end

-- All cases on one host; a reply that did not come does not disturb the next.
local function describe_cases(name, cases, options)
  describe(name, function()
    local platform, workspace, one
    setup(function()
      platform = emulator.start { args = { "--rate-limit", "-1" } }
      workspace = host.workspace(platform)
      local all = { platform = platform, workspace = workspace, script = script_of(cases) }
      for key, value in pairs(options or {}) do all[key] = value end
      one = host.start(all)
      host.write(one.directory .. "/sleeper.lua", "require('molecule').sleep(0.01)\nreturn 'slept'\n")
      host.write(one.directory .. "/helper.lua", "return {greet = function(name) return 'hello ' .. name end}\n")
      one:log "registered as"
    end)
    teardown(function()
      one:stop()
      host.clean_up()
      platform:stop()
    end)
    for i, case in ipairs(cases) do
      it(case[1], function()
        local since = platform:mark()
        local row = platform:message { to = workspace.id, text = "case " .. i, context_id = "case-" .. i }[1]
        one:log_of(row, "replied")
        local told = cjson.decode(one:wait({ path = "/notify", since = since, status = 200 })[1].body).message
        if case.pattern then
          assert(told:find(case[3]), told)
        else
          assert.equal(case[3], told)
        end
      end)
    end
  end)
end

local SHOW = [[
local molecule = require "molecule"
return function(msg, ctx)
  local raw, log = msg.raw, ctx.log
  msg.raw, ctx.log = #raw, log == molecule.log
  ctx.now = molecule.now()
  assert(type(ctx.progress) == "function")
  ctx.progress = nil
  return assert(molecule.json.encode({msg = msg, ctx = ctx}))
end]]

describe_with_platform("what a script is given", function(context)
  it("tells all of a message from the canvas", function()
    local workspace = context.workspace
    local one = host.connect { platform = context.platform, workspace = workspace, script = SHOW, args = {
      "--script-opt", "color=blue", "--script-opt", "empty=", "--script-opt", "sum=1+1=2", "--timeout", "60s" } }
    local row = context.platform:message { to = workspace.id, message_id = "message-1", context_id = "context-1",
      task_id = "task-1", metadata = { mine = "yes" }, parts = { { kind = "text", text = "look " },
        { kind = "file", file = { name = "a.txt", mimeType = "text/plain", uri = "workspace:/a.txt", size = 3 } },
        { kind = "text", text = "at this" } } }[1]
    local shown = cjson.decode(one:canvas(1)[1])
    local msg, ctx = shown.msg, shown.ctx
    assert.equal(row, msg.id)
    assert.equal("message-1", msg.message_id)
    assert.equal("context-1", msg.context_id)
    assert.equal("task-1", msg.task_id)
    assert.equal("look at this", msg.text)
    assert.equal("canvas", msg.from)
    assert.is_nil(msg.peer)
    assert.equal("canvas/context-1", msg.conversation)
    assert.equal("message/send", msg.method)
    assert.equal("yes", msg.metadata.mine)
    assert.same({ { name = "a.txt", mime_type = "text/plain", uri = "workspace:/a.txt", size = 3 } }, msg.files)
    assert.equal(3, #msg.parts)
    assert.equal("a.txt", msg.parts[2].file.name)
    local inbox = context.platform:rows(workspace.id)
    assert.equal(inbox[1].created_at, msg.created_at)
    assert.equal(1, ctx.attempt)
    assert.is_false(ctx.redelivered)
    assert.equal(workspace.id, ctx.workspace)
    assert.same({ color = "blue", empty = "", sum = "1+1=2" }, ctx.options)
    assert.is_true(ctx.log)
    assert(math.abs(ctx.deadline - ctx.now - 60) < 5, "the deadline is --timeout away")
    one:stop()
  end)

  it("tells all of a message from a peer", function()
    local workspace = context.workspace
    local peer = host.workspace(context.platform, { name = "Peer", role = "tester" })
    local one = host.connect { platform = context.platform, workspace = workspace, script = SHOW }
    local history = { { role = "user", parts = { { kind = "text", text = "before" } } } }
    context.platform:message { to = workspace.id, from = peer.id, text = "hello", history = history }
    local shown = cjson.decode(one:peer(peer.id, 1)[1])
    assert.equal(peer.id, shown.msg.from)
    assert.same({ id = peer.id, name = "Peer", role = "tester" }, shown.msg.peer)
    assert.equal(peer.id, shown.msg.conversation)
    assert.is_nil(shown.msg.context_id)
    assert.same({ { kind = "text", text = "hello" } }, shown.msg.parts)
    assert.same({}, shown.msg.files)
    assert.is_nil(shown.msg.metadata)
    assert.same(history, shown.msg.history)
    one:stop()
  end)

  it("counts the attempts", function()
    local workspace = context.workspace
    local one = host.connect { platform = context.platform, workspace = workspace, script = [[
      return function(_, ctx)
        if ctx.attempt < 3 then error("not yet") end
        return ("attempt %d, redelivered %s"):format(ctx.attempt, ctx.redelivered)
      end]] }
    context.platform:message { to = workspace.id, text = "hello" }
    assert.same({ "attempt 3, redelivered true" }, one:canvas(1))
    one:stop()
  end)
end)

-- A row as the platform would never write it, but may hand on.
local function raw_row(workspace, source, body)
  local id = emulator.uuid()
  return ('{"id":"%s","workspace_id":"%s","activity_type":"a2a_receive","source_id":%s,"target_id":"%s",'
    .. '"method":"message/send","summary":"said","request_body":%s,"response_body":null,"status":"ok",'
    .. '"created_at":"%s"}'):format(id, workspace, source and '"' .. source .. '"' or "null", workspace, body, host.ago(0))
end

local function envelope(text, metadata)
  return ('{"jsonrpc":"2.0","id":"1","method":"message/send","params":{"message":{"role":"user","messageId":"m-1",'
    .. '"parts":[{"kind":"text","text":"%s"}],"metadata":%s}}}'):format(text, metadata or "null")
end

describe_with_platform("JSON on its way through a script", function(context)
  local function sent_to_peer(script, body)
    local workspace, peer = context.workspace, host.workspace(context.platform)
    local one = host.connect { platform = context.platform, workspace = workspace, script = script }
    context.platform:message { to = workspace.id, raw_row = raw_row(workspace.id, peer.id, body) }
    local text = one:wait { path = ("/workspaces/%s/a2a"):format(peer.id), status = 200 }[1].body
    one:stop()
    return text
  end

  local function told_canvas(script, body)
    local one = host.connect { platform = context.platform, workspace = context.workspace, script = script }
    context.platform:message { to = context.workspace.id, raw_row = raw_row(context.workspace.id, nil, body) }
    local text = one:canvas(1)[1]
    one:stop()
    return text
  end

  it("keeps integers, decimals, empty arrays and objects, and null", function()
    local metadata = {
      '"largest":9223372036854775807', '"smallest":-9223372036854775808', '"exact":123456789012345', '"one":1',
      '"decimal":1.0', '"half":0.5', '"empty":[]', '"object":{}', '"nothing":null', '"deep":[[],[1,[]],{"x":[]}]',
      '"no":false', '"text":"\\"quoted\\" \\\\ é"' }
    local text = sent_to_peer([[
      return function(msg) return {parts = {{kind = "data", data = msg.metadata}}} end]],
      envelope("hello", "{" .. table.concat(metadata, " , ") .. "}"))
    local data = text:match '"data":(%b{})'
    for _, member in ipairs(metadata) do
      assert(data:find(member, 1, true), ("%s is not in %s"):format(member, data))
    end
  end)

  it("gives null one value, whichever library made it", function()
    assert.equal("true true true false", told_canvas([[
      local molecule, cjson = require "molecule", require "cjson"
      return function(msg)
        local null = msg.metadata.nothing
        return table.concat({tostring(null == cjson.null), tostring(null == molecule.null),
          tostring(molecule.json.decode("null") == null), tostring(null == nil)}, " ")
      end]], envelope("hello", '{"nothing":null}')))
  end)

  it("gives a number too large for 64 bits as text", function()
    assert.equal("string 123456789012345678901234567890", told_canvas([[
      return function(msg) return type(msg.metadata.huge) .. " " .. msg.metadata.huge end]],
      envelope("hello", '{"huge":123456789012345678901234567890}')))
  end)

  it("gives U+FFFD for half a surrogate pair", function()
    assert.equal("a" .. REPLACEMENT .. "b", told_canvas("return function(msg) return msg.text end", envelope "a\\ud800b"))
  end)

  it("reads by require 'cjson' what lua-cjson reads, and refuses the rest in the same words", function()
    local texts = { [["\u0041\u00e9\u20AC\ud83d\uDE00\n\/\""]], [["half \ud83d pair"]], [["\ud83d\u0041"]], [["\ude00"]],
      [["\ud83d\ude0"]], [["\u00g1"]], [["\u00]], [["ab\x"]], [["a\]], [["a]], '"a\tb\n"', '"a\0"', "[1,", "[1,]",
      "[1 2]", "{a:1}", '{"a" 1}', "nul", "[1]x", "-", "[01]", "[+1]", "[xyz]", "[]]", "{}null", "[1:2]",
      "[[]{}]", '[1"a"]', '{"a":1 "b"}', "{true:1}", "[false", "", " " }
    local wanted, quoted = {}, {}
    for i, text in ipairs(texts) do
      local read, value = pcall(cjson.decode, text)
      wanted[i] = read and type(value) == "table" and "a table" or tostring(value)
      quoted[i] = ("%q"):format(text)
    end
    assert.equal("Aé€\u{1F600}\n/\"", wanted[1])
    assert.equal(table.concat(wanted, "|\n"), told_canvas(([[
      local cjson = require "cjson"
      return function()
        local told = {}
        for i, text in ipairs {%s} do
          local read, value = pcall(cjson.decode, text)
          told[i] = read and type(value) == "table" and "a table" or tostring(value)
        end
        return table.concat(told, "|\n")
      end]]):format(table.concat(quoted, ",")), envelope "hello"))
  end)

  it("writes by require 'cjson' what lua-cjson writes, and refuses the rest in the same words", function()
    local encode = [[
      local told = {}
      for _, value in ipairs {"a/b\"\\\8\9\10\12\13\31\127é", {}, {1, 2}, {[3] = 1}, {[1] = 1, [20] = 2}, {[1.5] = 2},
          {1, a = 2}, print, {print}, 0/0, 1/0, true, cjson.null, 1.0, 1e15, {[true] = 1}, {[0] = 1}} do
        told[#told + 1] = tostring(select(2, pcall(cjson.encode, value)))
      end
      return table.concat(told, "|\n")]]
    local wanted = assert(load("local cjson = ... " .. encode))(cjson)
    assert.equal(wanted, told_canvas(
      'local cjson = require "cjson" return function() ' .. encode .. " end", envelope "hello"))
  end)

  it("gives the envelope's exact bytes as raw", function()
    local body = ' { "params" : {"message":{"parts":[ {"kind":"text","text":"\\u0061\\ud800"} ],"messageId":"m"}},\n'
      .. '\t"x" : 1.50e2, "x" : 123456789012345678901234567890 ,"jsonrpc":"2.0" } '
    local inner = body:match "^%s*(.-)%s*$"
    assert.equal(("%d %s"):format(#inner, inner:gsub("[^%w]", "")), told_canvas([[
      return function(msg) return ("%d %s"):format(#msg.raw, (msg.raw:gsub("[^%w]", ""))) end]], body) .. "")
  end)

  it("posts a reply without U+0000 and with U+FFFD for bytes that are no UTF-8", function()
    assert.equal("a" .. "b" .. REPLACEMENT .. "c" .. REPLACEMENT .. "é", told_canvas(
      [[return function() return "a\0b\xffc\xc3é" end]], envelope "hello"))
    local text = sent_to_peer([[
      return function() return {parts = {{kind = "data", data = {["k\xff"] = {"a\0b\xff"}}}}} end]], envelope "hello")
    assert(text:find('"data":{"k' .. REPLACEMENT .. '":["ab' .. REPLACEMENT .. '"]}', 1, true), text)
  end)

  it("sets a message aside whose reply is larger than the platform takes, and goes on", function()
    local workspace, peer = context.workspace, host.workspace(context.platform)
    local one = host.connect { platform = context.platform, workspace = workspace, script = [[
      return function(msg) return ("x"):rep(tonumber(msg.text)) end]] }
    local row = context.platform:message { to = workspace.id, from = peer.id, text = tostring(16 << 20) }[1]
    context.platform:message { to = workspace.id, from = peer.id, text = "1000" }
    assert.same({ ("x"):rep(1000) }, (one:peer(peer.id, 1)))
    local line = one:log_of(row, "is set aside as a dead letter: its reply cannot be sent: ")
    assert(line:find "the reply is %d+ bytes as JSON, the platform takes at most 16777216", line)
    one:stop()
  end)
end)

describe_cases("a script's own coroutines", {
  { "may wait", "local co = coroutine.wrap(function() molecule.sleep(0.01) return 'slept' end) return co()", "slept" },
  { "may wait two deep", [[
      local outer = coroutine.wrap(function()
        local inner = coroutine.wrap(function() molecule.sleep(0.01) return "in" end)
        local first = inner()
        molecule.sleep(0.01)
        return first .. " and out"
      end)
      return outer()]], "in and out" },
  { "may wait and yield in turn", [[
      local values = {}
      for value in coroutine.wrap(function()
        for i = 1, 3 do
          molecule.sleep(0.005)
          coroutine.yield(i)
          coroutine.yield(molecule.exec {argv = {"echo", "-n", tostring(i * 10)}}.stdout)
        end
      end) do values[#values + 1] = value end
      return table.concat(values, " ")]], "1 10 2 20 3 30" },
  { "may wait two deep and yield in turn, resumed and wrapped", [[
      local inner = coroutine.create(function(a)
        molecule.sleep(0.005)
        local b = coroutine.yield(a + 1)
        molecule.sleep(0.005)
        return b + 1
      end)
      local outer = coroutine.wrap(function(a)
        local fine, b = coroutine.resume(inner, a)
        molecule.sleep(0.005)
        local c = coroutine.yield(b)
        local fine2, d = coroutine.resume(inner, c)
        return tostring(fine and fine2) .. d
      end)
      local first = outer(1)
      return first .. " " .. outer(10) .. " " .. coroutine.status(inner)]], "2 true11 dead" },
  { "see their errors as usual after a wait", [[
      local co = coroutine.create(function() molecule.sleep(0.005) error("late", 0) end)
      local fine, problem = coroutine.resume(co)
      local again, dead = coroutine.resume(co)
      return ("%s %s %s %s"):format(fine, problem, again, dead)]], "false late false cannot resume dead coroutine" },
  { "hand an error object through wrap", [[
      local fine, problem = pcall(coroutine.wrap(function() molecule.sleep(0.005) error({code = 7}) end))
      return tostring(fine) .. problem.code]], "false7" },
  { "run their __close when wrap passes an error on", [[
      local closed = "open"
      local fine, problem = pcall(coroutine.wrap(function()
        local x <close> = setmetatable({}, {__close = function() closed = "closed" end})
        molecule.sleep(0.005)
        error("late", 0)
      end))
      return tostring(fine) .. " " .. closed .. " " .. problem]], "^false closed .*late$", pattern = true },
  { "take and give nil and many values", [[
      local co = coroutine.create(function(...)
        molecule.sleep(0.001)
        return select("#", ...), select("#", coroutine.yield(nil, nil, nil))
      end)
      local given = select("#", coroutine.resume(co, nil, nil))
      local _, a, b = coroutine.resume(co, table.unpack({}, 1, 200))
      return ("%d %d %d"):format(given, a, b)]], "4 2 200" },
  { "may be closed while they are suspended", [[
      local closed
      local co = coroutine.create(function()
        local x <close> = setmetatable({}, {__close = function() closed = true end})
        coroutine.yield()
      end)
      coroutine.resume(co)
      return tostring(coroutine.close(co)) .. tostring(closed)]], "truetrue" },
  { "may run many at once", [[
      local sum = 0
      for i = 1, 200 do
        coroutine.wrap(function() molecule.sleep(0) sum = sum + i end)()
      end
      return tostring(sum)]], "20100" },
}, { args = { "--concurrency", "4" } })

describe_cases("waiting", {
  { "goes on after a sleep of nothing", "molecule.sleep(0) return 'here'", "here" },
  { "works inside pcall", "return tostring(select('#', pcall(molecule.sleep, 0.01)))", "1" },
  { "works inside pcall inside pcall, with an error after it", [[
      local fine, inner, problem = pcall(pcall, function() molecule.sleep(0.01) error("late", 0) end)
      return ("%s %s %s"):format(fine, inner, problem)]], "true false late" },
  { "works inside xpcall", [[
      return table.concat({select(2, xpcall(function(...) molecule.sleep(0.01) return ... end, print, "x", "y"))})]],
    "xy" },
  { "works in xpcall's handler", [[
      local fine, problem = xpcall(error, function(problem) molecule.sleep(0.01) return problem .. " seen" end, "boom")
      return tostring(fine) .. " " .. problem]], "false boom seen" },
  { "works in __close", [[
      local order = {}
      do
        local x <close> = setmetatable({}, {__close = function() molecule.sleep(0.01) order[#order + 1] = "closed" end})
        order[#order + 1] = "body"
      end
      return table.concat(order, " ")]], "body closed" },
  { "works in an iterator", [[
      local n = 0
      for i in function(_, i) molecule.sleep(0.001) i = (i or 0) + 1 return i <= 3 and i or nil end do n = n + i end
      return tostring(n)]], "6" },
  { "works in a metamethod that Lua code calls", [[
      local t = setmetatable({}, {__index = function(_, key) molecule.sleep(0.001) return key end})
      return t.found]], "found" },
  { "is refused in a sort comparator, with the line", [[
      local fine, problem = pcall(table.sort, {3, 2, 1}, function(a, b)
        molecule.sleep(0.01)
        return a < b
      end)
      return problem]], "agent.lua:%d+: molecule.sleep cannot wait here: it is inside a function that C calls",
    pattern = true },
  { "is refused in a gsub callback, with the line", [[
      return select(2, pcall(string.gsub, "x", "x", function() molecule.exec {cmd = "true"} end))]],
    "agent.lua:%d+: molecule.exec cannot wait here: it is inside a function that C calls", pattern = true },
  { "is refused to os.execute in a gsub callback", [[
      return select(2, pcall(string.gsub, "x", "x", function() os.execute("true") end))]],
    "agent.lua:%d+: os.execute cannot wait here", pattern = true },
  { "is refused at the top level of a module, with its line",
    "return select(2, pcall(require, 'sleeper'))", "sleeper.lua:1: molecule.sleep cannot wait here", pattern = true },
  { "is refused in a coroutine that a sort comparator resumes", [[
      return select(2, pcall(table.sort, {2, 1}, function(a, b)
        coroutine.wrap(function() molecule.sleep(0.01) end)()
        return a < b
      end))]], "agent.lua:%d+: molecule.sleep cannot wait here: it is inside a function that C calls", pattern = true },
  { "refuses what is no time", [[
      local problems = {}
      for _, time in ipairs {-1, 1e9, "x", 0/0} do problems[#problems + 1] = tostring(pcall(molecule.sleep, time)) end
      return table.concat(problems, " ")]], "false false false false" },
})

describe_cases("errors", {
  { "show in debug.traceback of xpcall where they were raised", [[
      local function deep() error("boom") end
      local fine, trace = xpcall(function() deep() end, debug.traceback)
      return trace]], "agent.lua:%d+: boom\nstack traceback:.*in upvalue 'deep'", pattern = true },
  { "show in xpcall's handler where they were raised", [[
      local function deep() local x = nil; return x.y end
      local fine, trace = xpcall(function() molecule.sleep(0.001) deep() end,
        function(problem) return debug.traceback("told: " .. problem, 2) end)
      return trace]], "^told: .*agent.lua:%d+: attempt to index a nil value %(local 'x'%).*deep", pattern = true },
  { "of a message handler are what xpcall returns", [[
      local fine, problem = xpcall(error, function() error("worse", 0) end, "bad")
      return tostring(fine) .. " " .. tostring(problem)]], "false worse" },
  { "of xpcall's function may be any value", [[
      local thing = {}
      local fine, same = xpcall(error, function(...) return ... end, thing)
      return tostring(fine) .. tostring(same == thing)]], "falsetrue" },
  { "leave nothing in debug.traceback afterwards", [[
      pcall(xpcall, error, error, "boom")
      xpcall(error, function() end, "boom")
      return debug.traceback("here")]], "^here\nstack traceback:\n%s.*agent.lua:%d+: in", pattern = true },
})

describe_cases("molecule.exec", {
  { "runs a program with its arguments as they are", [[
      return molecule.exec {argv = {"printf", "%s|", "a b", "$HOME", "*", 7}}.stdout]], "a b|$HOME|*|7|" },
  { "runs a shell command", "return molecule.exec {cmd = 'echo one; echo two >&2 | cat'}.stdout", "one\n" },
  { "gives text on standard input", "return molecule.exec {cmd = 'tr a-z A-Z', stdin = 'hello'}.stdout", "HELLO" },
  { "gives a megabyte on standard input and takes it back", [[
      local text = ("x"):rep(1 << 20)
      return tostring(molecule.exec {argv = {"cat"}, stdin = text}.stdout == text)]], "true" },
  { "gives an empty standard input", "return molecule.exec {cmd = 'wc -c | tr -d \" \"'}.stdout", "0\n" },
  { "does not mind a program that does not read its input", [[
      local result = molecule.exec {argv = {"true"}, stdin = ("x"):rep(1 << 20)}
      return tostring(result.code)]], "0" },
  { "tells the exit code, the signal, and both outputs", [[
      local a = molecule.exec {cmd = "echo out; echo err >&2; exit 3"}
      local b = molecule.exec {cmd = "kill -9 $$"}
      return ("%s %s%s%s %s %s"):format(a.code, a.stdout, a.stderr, a.signal, b.code, b.signal)]], "3 out\nerr\nnil -1 9" },
  { "adds to the environment", "return molecule.exec {cmd = 'echo $MINE $HOME', env = {MINE = 'yes', HOME = '/x'}}.stdout",
    "yes /x\n" },
  { "removes from the environment",
    "return molecule.exec {cmd = 'echo ${HOME-none}', env = {HOME = false}}.stdout", "none\n" },
  { "runs elsewhere", "return molecule.exec {argv = {'pwd'}, cwd = '/'}.stdout", "/\n" },
  { "tells that it cannot run elsewhere when there is no such place", [[
      local result, problem, code = molecule.exec {argv = {"pwd"}, cwd = "/nowhere"}
      return ("%s %s %s"):format(result, problem, code)]],
    "nil cannot run pwd in cwd /nowhere: no such file or directory ENOENT" },
  { "tells when there is no such program", [[
      local result, problem, code = molecule.exec {argv = {"no-such-program", "x"}}
      return ("%s %s %s"):format(result, problem, code)]],
    "nil cannot run no-such-program: no such file or directory ENOENT" },
  { "keeps the start of the output and the end of the errors", [[
      local result = molecule.exec {cmd = "seq 1 1000; seq 1 1000 >&2", max_output = 100}
      return ("%d %s %s %s"):format(#result.stdout, result.stdout:sub(1, 5):gsub("\n", ","), result.truncated,
        result.stderr:sub(-9):gsub("\n", ","))]], "100 1,2,3 true 999,1000," },
  { "says that nothing was cut", [[
      return tostring(molecule.exec {cmd = "printf 1234567890", max_output = 10}.truncated)]], "false" },
  { "ends the whole group at the timeout and keeps what was said so far", [[
      local result, problem, code, partial = molecule.exec {timeout = "200ms", cmd = "echo begun; sleep 60 & echo $!; wait"}
      local pid = partial.stdout:match("begun\n(%d+)")
      return ("%s %s %s, left: %s"):format(result, problem, code, state_of(pid))]],
    "nil timed out after 0.2 s; the whole process group was killed TIMEOUT, left: nothing" },
  { "ends a group that ignores SIGTERM", [[
      local started = molecule.now()
      local result, problem, code, partial = molecule.exec {timeout = 0.2,
        cmd = "trap '' TERM; (trap '' TERM; while :; do sleep 0.1; done) & echo $!; while :; do sleep 0.1; done"}
      return ("%s %s, left: %s"):format(code, molecule.now() - started < 8, state_of(partial.stdout:match("%d+")))]],
    "TIMEOUT true, left: nothing" },
  { "has time limits of less than a millisecond too", [[
      return select(3, molecule.exec {cmd = "sleep 60", timeout = 0.0001})]], "TIMEOUT" },
  { "does not wait for what a program leaves behind", [[
      local started = molecule.now()
      local result = molecule.exec {cmd = "sleep 60 & echo $!"}
      os.execute("kill " .. result.stdout)
      return tostring(molecule.now() - started < 10)]], "true" },
  { "raises misuse at the caller's line", [[
      local problems = {}
      for _, request in ipairs {{}, {argv = {}}, {argv = {"a"}, cmd = "b"}, {argv = {"a", {}}}, {cmd = "a\0b"},
          {cmd = "a", timeout = "soon"}, {cmd = "a", timeout = 0}, {cmd = "a", timeout = "0s"},
          {cmd = "a", env = {["a=b"] = "c"}}, {cmd = "a", env = {x = 1}}, {argv = "a"}} do
        local fine, problem = pcall(function() molecule.exec(request) end)
        problems[#problems + 1] = tostring(fine) .. tostring(problem:find("agent.lua:%d+: ") ~= nil)
      end
      return table.concat(problems, " ")]], ("falsetrue "):rep(11):sub(1, -2) },
  { "names the option that is wrong", [[
      local problems = {}
      for i, option in ipairs {{"stdin", {}}, {"max_output", 1.5}, {"max_output", "many"}, {"cwd", true}, {"cwd", "/\0x"},
          {"envv", {}}} do
        local _, problem = pcall(function() molecule.exec {argv = {"true"}, [option[1] ] = option[2]} end)
        problems[i] = problem:match("agent.lua:%d+: (.*)")
      end
      return table.concat(problems, "\n")]], [[
exec: stdin must be a string, not a table
exec: max_output must be a whole number of bytes between 0 and 64 MiB
exec: max_output must be a whole number of bytes between 0 and 64 MiB
exec: cwd must be a string, not a boolean
exec: cwd holds a zero byte
exec: unknown field 'envv'; did you mean 'env'?]] },
  { "runs what a table only seems to hold, and what it held when it was called", [[
      local seeming = setmetatable({}, {__len = function() return 2 end, __newindex = function() end,
        __index = function(_, i) return ({"echo", "hello"})[i] end})
      local argv, env = {"/bin/sh", "-c", "echo $X"}, {X = "x"}
      local options = setmetatable({argv = argv, env = env}, {__index = function(_, name)
        if name == "timeout" then argv[1], argv[2], argv[3], env.X = nil, nil, nil, nil end
      end})
      local _, problem = pcall(molecule.exec, {argv = setmetatable({}, {__len = function() return 1 end})})
      return molecule.exec({argv = seeming}).stdout .. molecule.exec(options).stdout .. problem]],
    "^hello\n\n%S+agent.lua:%d+: exec: argv%[1%] is a nil, not a string$", pattern = true },
  { "runs at the end of a coroutine of the script's", [[
      return coroutine.wrap(function() return molecule.exec {argv = {"echo", "in"}}.stdout end)()]], "in\n" },
})

describe_cases("os.execute", {
  { "tells success as Lua's does", "local a, b, c = os.execute('true') return ('%s %s %s'):format(a, b, c)", "true exit 0" },
  { "tells an exit code as Lua's does", "local a, b, c = os.execute('exit 3') return ('%s %s %s'):format(a, b, c)",
    "nil exit 3" },
  { "tells a signal as Lua's does", "local a, b, c = os.execute('kill -15 $$') return ('%s %s %s'):format(a, b, c)",
    "nil signal 15" },
  { "tells that there is a shell", "return tostring(os.execute())", "true" },
})

describe_cases("molecule.json and its neighbours", {
  { "tells what is wrong with a text", [[
      local value, problem, code = molecule.json.decode('{"a": }')
      return ("%s|%s|%s"):format(value, problem, code)]], "^nil|line 1, column 7: .+|JSON$", pattern = true },
  { "tells where a value cannot be JSON", [[
      local text, problem, code = molecule.json.encode({list = {1, {inner = print}}})
      return ("%s|%s|%s"):format(text, problem, code)]], "nil|list[2].inner: a function cannot be JSON|JSON" },
  { "refuses nan, holes and circles", [[
      local circle = {}
      circle.self = circle
      local problems = {}
      for _, value in ipairs {0/0, {1, nil, 3}, circle, {1, a = 2}} do
        problems[#problems + 1] = tostring((molecule.json.encode(value)))
      end
      return table.concat(problems, " ")]], "nil nil nil nil" },
  { "writes what it read", [[
      return molecule.json.encode(molecule.json.decode('[1,1.0,[],{},null,"x",9007199254740993]'))]],
    '[1,1.0,[],{},null,"x",9007199254740993]' },
  { "writes for people", "return molecule.json.encode({b = 1, a = molecule.array {}}, {indent = 2, sort = true})",
    '{\n  "a": [],\n  "b": 1\n}' },
  { "has lua-cjson beside it", "return require('cjson').encode({1, 2})", "[1,2]" },
  { "finds the script's own modules beside it", "return require('helper').greet('you')", "hello you" },
  { "gives ids that differ", "return tostring(molecule.uuid() ~= molecule.uuid() and #molecule.uuid())", "36" },
  { "knows the environment", "return molecule.env('HOME'):sub(1, 5) .. molecule.env('NOT_THERE', 'else')", "/tmp/else" },
  { "tells the time", "return tostring(math.abs(molecule.now() - os.time()) < 2)", "true" },
  { "refuses misuse of outcomes at the caller's line", [[
      return select(2, pcall(function() local _ = molecule.retry {after = "soon"} end))]],
    'agent.lua:%d+: retry: after must be a number of seconds or a duration like "10s" or "5m", not "soon"', pattern = true },
})

describe_with_platform("an agent", function(context)
  it("is registered with its name, description and skills, and its start and stop are called", function()
    local one = host.connect { platform = context.platform, workspace = context.workspace, args = { "--script-opt",
      "who=me" }, script = [[
      local molecule = require "molecule"
      local started
      return {
        name = "deployer",
        description = "deploys things",
        skills = {{id = "d", name = "deploy", tags = molecule.array {}}},
        start = function(ctx) molecule.sleep(0.01) started = ctx.options.who end,
        stop = function(ctx) molecule.log.info("stopped %s in %s", ctx.options.who, ctx.workspace) end,
        handle = function() return "started by " .. started end,
      }]] }
    local card = cjson.decode(one:wait { path = "/registry/register", body = context.workspace.id }[1].body).agent_card
    assert.equal("deployer", card.name)
    assert.equal("deploys things", card.description)
    assert.same({ { id = "d", name = "deploy", tags = {} } }, card.skills)
    context.platform:message { to = context.workspace.id, text = "hello" }
    assert.same({ "started by me" }, one:canvas(1))
    one:stop()
    one:log("script: stopped me in " .. context.workspace.id:gsub("%-", "%%-"))
  end)

  it("finds its own modules when it loads", function()
    local directory = host.directory()
    host.write(directory .. "/helper.lua", "return 'from the helper'")
    host.write(directory .. "/main.lua", "local text = require 'helper' return function() return text end")
    local one = host.connect { platform = context.platform, workspace = context.workspace,
      script_path = directory .. "/main.lua" }
    context.platform:message { to = context.workspace.id, text = "hello" }
    assert.same({ "from the helper" }, one:canvas(1))
    one:stop()
  end)

  it("runs its __close when its handler throws", function()
    local one = host.connect { platform = context.platform, workspace = context.workspace, script = [[
      local molecule = require "molecule"
      return function(msg, ctx)
        local lock <close> = setmetatable({}, {__close = function()
          molecule.log("released by attempt %d", ctx.attempt)
        end})
        if ctx.attempt == 1 then error("first time") end
        return "done"
      end]] }
    context.platform:message { to = context.workspace.id, text = "hello" }
    assert.same({ "done" }, one:canvas(1))
    one:log "released by attempt 1"
    one:log "released by attempt 2"
    one:stop()
  end)

  it("says in the log what failed and where, whatever it threw", function()
    local one = host.connect { platform = context.platform, workspace = context.workspace, args = { "--max-attempts", "1" },
      script = [[
      local function deep() error("deep down") end
      return function(msg)
        if msg.text == "object" then
          error(setmetatable({}, {__tostring = function() return "an object of mine" end}))
        elseif msg.text == "pair" then
          return nil, "no such customer"
        end
        deep()
      end]] }
    local function failed(text, pattern)
      local row = context.platform:message { to = context.workspace.id, text = text }[1]
      one:log_of(row, "the handler failed %(attempt 1 of 1%): " .. pattern)
    end
    failed("object", "an object of mine$")
    failed("pair", "no such customer$")
    failed("error", ".*/agent.lua:1: deep down$")
    one:log "^%s+.*/agent.lua:1: in upvalue 'deep'"
    one:log "^%s+.*/agent.lua:8: in function"
    one:stop()
  end)

  it("is told at its own line what does not fit a log line's format", function()
    local one = host.connect { platform = context.platform, workspace = context.workspace, script = [[
      local molecule = require "molecule"
      return function()
        local problems = {}
        for i, log in ipairs {molecule.log.info, molecule.log} do
          problems[i] = select(2, pcall(function()
            log("%d", "x")
          end))
        end
        return table.concat(problems, "|")
      end]] }
    context.platform:message { to = context.workspace.id, text = "hello" }
    local problem = "agent%.lua:6: log%.info: bad argument #2 to '[%w.]*format' %(number expected, got string%)"
    local told = one:canvas(1)[1]
    assert(told:find(problem .. "|.*" .. problem), told)
    one:stop()
  end)

  it("writes log lines at its level", function()
    local script = [[
      local molecule = require "molecule"
      return function(_, ctx)
        molecule.log.error("level %s", "error")
        molecule.log.warn("level warn")
        ctx.log.info("level info")
        molecule.log("level info too")
        molecule.log.debug("level debug")
        molecule.log("100% as it is")
        return "logged"
      end]]
    local one = host.connect { platform = context.platform, workspace = context.workspace, script = script }
    context.platform:message { to = context.workspace.id, text = "hello" }
    one:canvas(1)
    one:log " error .*: script: level error$"
    one:log " warn  .*: script: level warn$"
    one:log " info  .*: script: level info$"
    one:log " info  .*: script: level info too$"
    one:log "script: 100%% as it is$"
    one:stop()
    assert.equal(0, one:count_log "level debug")
    local two = host.connect { platform = context.platform, workspace = host.workspace(context.platform), script = script,
      args = { "-v" } }
    context.platform:message { to = two.workspace.id, text = "hello" }
    two:log " debug .*: script: level debug$"
    two:stop()
  end)
end)

describe_with_platform("handlers at once", function(context)
  local function start(script, args)
    return host.connect { platform = context.platform, workspace = context.workspace, script = script, args = args }
  end

  local function say(text, conversation)
    return context.platform:message { to = context.workspace.id, text = text, context_id = conversation }[1]
  end

  local SLEEPER = [[
    local molecule = require "molecule"
    local released = false
    return {concurrency = 2, handle = function(msg)
      if msg.text == "wait" then
        while not released do molecule.sleep(0.01) end
      elseif msg.text == "release" then
        released = true
      end
      return msg.text
    end}]]

  it("answer one conversation while another sleeps, each in its order", function()
    local one = start(SLEEPER)
    for _, text in ipairs { "wait", "a1", "a2", "a3" } do say(text, "a") end
    for _, text in ipairs { "b1", "b2", "release", "b3" } do say(text, "b") end
    local a, b = {}, {}
    for _, text in ipairs(one:canvas(8)) do
      local list = (text:find "^b" or text == "release") and b or a
      list[#list + 1] = text
    end
    assert.same({ "wait", "a1", "a2", "a3" }, a)
    assert.same({ "b1", "b2", "release", "b3" }, b)
    one:stop()
  end)

  it("are one at a time unless asked for", function()
    local one = start [[
      local molecule = require "molecule"
      local running = 0
      return function(msg)
        running = running + 1
        molecule.sleep(0.05)
        running = running - 1
        return msg.text .. " " .. running
      end]]
    say("a", "a") say("b", "b")
    local texts = one:canvas(2)
    table.sort(texts) -- two conversations: either may arrive first
    assert.same({ "a 0", "b 0" }, texts)
    one:stop()
  end)

  it("answer one conversation while another is in os.execute", function()
    local pipe = host.directory() .. "/pipe"
    assert(os.execute("mkfifo " .. pipe))
    local one = start([[
      return function(msg, ctx)
        if msg.text == "wait" then os.execute("read line < " .. ctx.options.pipe) end
        return msg.text
      end]], { "--concurrency", "2", "--script-opt", "pipe=" .. pipe })
    say("wait", "a") say("meanwhile", "b")
    assert.same({ "meanwhile" }, one:canvas(1))
    host.write(pipe, "go\n")
    assert.same({ "meanwhile", "wait" }, one:canvas(2))
    one:stop()
  end)

  it("cannot resume or close a coroutine that waits for the host in another handler without harm", function()
    local one = start([[
      local molecule = require "molecule"
      local shared
      return function(msg)
        if msg.text == "own" then
          shared = coroutine.create(function() molecule.sleep(0.2) return "slept" end)
          local _, result = coroutine.resume(shared)
          return "own: " .. tostring(result)
        end
        while not shared do molecule.sleep(0.01) end
        local fine, problem = coroutine.resume(shared)
        local closed, why = pcall(coroutine.close, shared)
        return ("%s %s; %s %s"):format(fine, problem, closed, why)
      end]], { "--concurrency", "2" })
    say("own", "a") say("other", "b")
    assert.same({ "false cannot resume a coroutine that waits for the host; false cannot close a coroutine that waits for "
      .. "the host", "own: slept" }, one:canvas(2))
    one:stop()
  end)
end)

describe_with_platform("a script's child processes", function(context)
  it("do not hold the lock when the host was killed", function()
    local pid_file = host.directory() .. "/pid"
    local one = host.connect { platform = context.platform, workspace = context.workspace, args = { "--script-opt",
      "pid=" .. pid_file }, script = [[
      return function(msg, ctx)
        os.execute("sleep 100 >/dev/null 2>&1 & echo $! > " .. ctx.options.pid)
        return "left behind"
      end]] }
    context.platform:message { to = context.workspace.id, text = "hello" }
    one:canvas(1)
    one:kill()
    local pid = assert(math.tointeger(tonumber(host.read(pid_file))))
    assert.is_table(uv.fs_stat("/proc/" .. pid))
    local two = host.connect { platform = context.platform, workspace = context.workspace, script = host.ECHO,
      state_dir = one.state_dir }
    uv.kill(pid, "sigkill")
    two:stop()
  end)

  -- name and state of every child of the process
  local function children(pid)
    local found = {}
    for name in uv.fs_scandir_next, assert(uv.fs_scandir "/proc") do
      local stat = name:match "^%d+$" and host.read("/proc/" .. name .. "/stat")
      local command, state, parent = (stat or ""):match "%((.-)%) (%a) (%d+)"
      if parent == tostring(pid) then found[#found + 1] = command .. " " .. state end
    end
    return found
  end

  it("leave neither zombies nor descriptors, however many there were", function()
    local one = host.connect { platform = context.platform, workspace = context.workspace, script = [[
      local molecule = require "molecule"
      return function(msg)
        local done = 0
        for i = 1, tonumber(msg.text) do
          if molecule.exec {argv = {"true"}, stdin = "x"} then done = done + 1 end
          if i % 10 == 0 then assert(not molecule.exec {argv = {"no-such-program"}}) end
          if i % 50 == 0 then assert(not molecule.exec {cmd = "sleep 9", timeout = 0.01}) end
        end
        return tostring(done)
      end]] }
    local function run(count)
      local since = context.platform:mark()
      context.platform:message { to = context.workspace.id, text = tostring(count) }
      one:wait { path = "/notify", since = since, body = '"' .. count .. '"' }
      return #host.list("/proc/" .. one.process.pid .. "/fd")
    end
    local before = run(5)
    local after = run(200)
    assert(after <= before + 2, ("%d descriptors, %d before"):format(after, before))
    assert.same({}, children(one.process.pid))
    one:stop()
  end)

  it("are ended with the handler that waits for them", function()
    local pid_file = host.directory() .. "/pid"
    local one = host.connect { platform = context.platform, workspace = context.workspace, args = { "--timeout", "300ms",
      "--max-attempts", "1", "--error-reply", "failed", "--script-opt", "pid=" .. pid_file }, script = [[
      local molecule = require "molecule"
      return function(msg, ctx)
        molecule.exec {cmd = "echo $$ > " .. ctx.options.pid .. "; sleep 100"}
      end]] }
    context.platform:message { to = context.workspace.id, text = "hello" }
    assert.same({ "failed" }, one:canvas(1))
    local path = "/proc/" .. host.read(pid_file):match "%d+"
    assert(loop.wait(function() return not uv.fs_stat(path) end), "it still runs")
    one:stop()
  end)

  it("do not get the workspace's token", function()
    local told = answers(context.platform, [[
      return molecule.exec {cmd = "env | grep -ci token; true"}.stdout .. tostring(os.getenv("MOLECULE_WORKSPACE_TOKEN"))]])
    assert.equal("0\nnil", told)
  end)
end)
