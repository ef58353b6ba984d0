--- conversation(msg): the agent says itself which messages belong together.
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"

describe("an agent with conversation(msg)", function()
  local platform, workspace, one

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)
  before_each(function() workspace = host.workspace(platform) end)
  after_each(host.clean_up)
  teardown(function() platform:stop() end)

  local function start(script, args, more)
    local all = { platform = platform, workspace = workspace, script = script, args = args }
    for name, value in pairs(more or {}) do all[name] = value end
    one = host.connect(all)
  end

  local function send(text, context, from)
    return platform:message { to = workspace.id, text = text, context_id = context, from = from }[1]
  end

  -- Handles what begins with "slow" until the flag is there; logs what it begins and ends.
  local function script_of(flag)
    return ([[
local molecule = require "molecule"
return {
  concurrency = 8,
  conversation = function(msg) return msg.text:match("#%%d+") end,
  handle = function(msg)
    molecule.log("begins " .. msg.text)
    if msg.text:find("^slow") then molecule.exec {cmd = "until [ -e %s ]; do sleep 0.02; done"} end
    molecule.log("ends " .. msg.text)
    return msg.conversation
  end,
}]]):format(flag)
  end

  local function lines_of(pattern)
    local found = {}
    for _, line in ipairs(one.process.lines.stderr) do
      found[#found + 1] = line:match(pattern)
    end
    return found
  end

  it("has one key in order, whoever writes, and answers each sender", function()
    local flag = host.directory() .. "/flag"
    local peer = host.workspace(platform)
    start(script_of(flag))
    send("slow #1 from the canvas", "context-1")
    one:log "begins slow #1"
    local second = send("#1 from a peer", nil, peer.id)
    local third = send("#1 again", "context-2")
    local other = send("#2 from the canvas", "context-1")
    local default = send("without a key", "context-3")
    one:log_of(other, "replied")
    one:log_of(default, "replied")
    assert.equal(0, one:count_log "begins #1")
    host.write(flag, "")
    one:log_of(second, "replied")
    one:log_of(third, "replied")
    assert.same({ "slow #1 from the canvas", "#1 from a peer", "#1 again" }, lines_of "script: begins (.*#1.*)$")
    assert.same({ "#1" }, (one:peer(peer.id, 1)))
    local told = one:canvas(4)
    table.sort(told)
    assert.same({ "#1", "#1", "#2", "canvas/context-3" }, told)
    one:stop()
    local place = {} -- of each row; the echoes of what the canvas was told may have been read behind the last message, or not
    for i, row in ipairs(platform:rows(workspace.id)) do place[row.id] = i end
    assert.is_true(place[one:state().last_since_id] >= place[default])
  end)

  it("keeps the order of arrival within a key over many messages", function()
    start [[
local molecule = require "molecule"
return {
  concurrency = 8,
  conversation = function(msg) return "key " .. tonumber(msg.text) % 5 end,
  handle = function(msg) molecule.sleep(math.random() / 100) molecule.log("handled " .. msg.text) return nil end,
}]]
    local rows = platform:message { to = workspace.id, text = "%n", count = 200 }
    for _ = 1, 100 do rows[#rows + 1] = send(tostring(200 + _), "context-" .. _ % 7) end
    one:wait_cursor(rows[#rows])
    local last, count = {}, 0
    for _, number in ipairs(lines_of "handled (%d+)$") do
      local key = tonumber(number) % 5
      assert(tonumber(number) > (last[key] or -1), number)
      last[key] = tonumber(number)
      count = count + 1
    end
    assert.equal(300, count)
    one:stop()
  end)

  it("keeps the order after a restart, also after what waits in the ledger", function()
    local state = host.directory() .. "/state"
    local script = [[
local molecule = require "molecule"
return {
  concurrency = 8,
  conversation = function(msg) return msg.text:match("#%d+") end,
  handle = function(msg)
    molecule.log("begins " .. msg.text)
    if msg.text:find("later") then return molecule.retry {after = 60, hold = true} end
    return msg.conversation
  end,
}]]
    start(script, nil, { state_dir = state })
    local later = send("#1 later", "context-1")
    one:log_of(later, "retry in 60")
    one:wait_cursor(later)
    one:stop()
    send("#1 second", "context-2")
    local other = send("#2", "context-3")
    start(script, nil, { state_dir = state })
    one:log_of(other, "replied")
    assert.same({ "#2" }, lines_of "begins (.*)$")
    one:stop()
  end)

  it("that fails, waits or returns an invalid key leaves a message where it was, and the log says where", function()
    start([[
local molecule = require "molecule"
local ways = {
  error = function() error("no key for you") end,
  sleep = function() molecule.sleep(1) end,
  exec = function() molecule.exec {cmd = "true"} end,
  popen = function() return io.popen("echo x"):read() end,
  yield = function() coroutine.yield() end,
  number = function() return 7 end,
  table = function() return {} end,
  empty = function() return "" end,
  long = function() return ("x"):rep(513) end,
  loop = function() while true do end end,
  fine = function() return "fine" end,
}
return {
  conversation = function(msg) return ways[msg.text](msg) end,
  handle = function(msg) return msg.conversation end,
}]], { "--cpu-limit", "200ms" })
    for _, case in ipairs {
      { "error", "agent.lua:3: no key for you" },
      { "sleep", "agent.lua:4: molecule.sleep cannot wait in conversation%(msg%)" },
      { "exec", "agent.lua:5: molecule.exec cannot wait in conversation%(msg%)" },
      { "popen", "agent.lua:6: a pipe's read cannot wait in conversation%(msg%)" },
      { "yield", "called coroutine.yield outside" },
      { "number", "agent.lua:16: conversation%(msg%) returned a number; it must return a string or nil" },
      { "table", "agent.lua:16: conversation%(msg%) returned a table" },
      { "empty", "agent.lua:16: conversation%(msg%) returned a string that is empty" },
      { "long", "agent.lua:16: .*longer than 512 bytes" },
      { "loop", "used more than 0.2 s of CPU time %(%-%-cpu%-limit%), at .*agent.lua:12" },
    } do
      local row = send(case[1], "context")
      one:log_of(row, 'conversation%(msg%) failed, so it stays in the conversation "canvas/context": .*' .. case[2])
      one:log_of(row, "replied")
      local told = one:told_canvas()
      assert.equal("canvas/context", told[#told])
    end
    local row = send("fine", "context")
    one:log_of(row, "replied")
    local told = one:told_canvas()
    assert.equal("fine", told[#told])
    one:stop_at(row)
  end)

  it("that uses up the memory gets a fresh state and continues", function()
    start([[
return {
  conversation = function(msg)
    if msg.text == "much" then local t = {} for i = 1, 1e8 do t[i] = {} end end
    return "key " .. msg.text
  end,
  handle = function(msg) return msg.conversation end,
}]], { "--memory-limit", "16MiB" })
    local rows = { send "much", send "little", send "less" }
    one:log_of(rows[1], "conversation%(msg%) failed.*needed more than 16 MiB")
    for _, row in ipairs(rows) do one:log_of(row, "replied") end
    local told = one:told_canvas()
    table.sort(told)
    assert.same({ "canvas", "key less", "key little" }, { told[1]:match "^canvas", told[2], told[3] })
    one:stop()
  end)

  it("must be a function", function()
    one = host.run({ platform = platform, workspace = workspace,
      script = "return {handle = function() end, conversation = 'x'}" }, 2)
    one:log "the agent's `conversation` must be a function"
  end)

  it("says nothing to a peer before a reply that is on its way there, and waits for no reply to someone else", function()
    local other, peer = host.workspace(platform), host.workspace(platform)
    platform:fault({ kind = "status", status = 503 }, { method = "POST", path = ("/workspaces/%s/a2a"):format(peer.id) },
      { times = 2 })
    start(([[
      local molecule = require "molecule"
      return {
        conversation = function() return "one" end,
        handle = function(msg)
          if msg.text == "second" then
            assert(molecule.send("%s", "said to the other", {timeout = 0}))
            assert(molecule.send("%s", "said to the peer", {timeout = 0}))
          end
          return "echo: " .. msg.text
        end,
      }]]):format(other.id, peer.id))
    send("first", nil, peer.id)
    one:log "posting the same reply again"
    send("second", nil, other.id)
    assert.same({ "said to the other" }, (one:peer(other.id, 1)))
    assert.same({}, one:peer(peer.id, 0))
    assert.same({ "echo: first", "said to the peer" }, (one:peer(peer.id, 2)))
    assert.same({ "said to the other", "echo: second" }, (one:peer(other.id, 2)))
    one:stop()
  end)

  it("stuck in C code is noticed as a stuck handler is", function()
    start([[
return {
  conversation = function(msg) return ("a"):rep(30000):find((".-"):rep(30) .. "b") and "x" end,
  handle = function() return "never" end,
}]], { "--stuck-after", "2s", "--cpu-limit", "100ms" })
    local row = send "hello"
    one:wait_exit(75)
    one:log("stuck in C code .* with message " .. row:gsub("%-", "%%-") .. " .*conversation%(msg%)")
  end)

  it("counts a message that ends the process each time, and sets it aside; the others are answered", function()
    local state = host.directory() .. "/state"
    local script = [[
return {
  conversation = function(msg) return msg.text:match("^" .. (".-"):rep(30) .. "#$") end,
  handle = function(msg) return "got " .. #msg.text end,
}]]
    local args = { "--stuck-after", "2s", "--cpu-limit", "100ms", "--max-attempts", "2" }
    start(script, args, { state_dir = state })
    local fine = send "short"
    one:log_of(fine, "replied")
    local row = send(("a"):rep(30000))
    local behind = send "later" -- five characters: what the pattern does grows fast
    one:wait_exit(75)
    start(script, args, { state_dir = state })
    one:log_of(row, "was being handled when an earlier process ended")
    one:wait_exit(75)
    start(script, args, { state_dir = state })
    one:log_of(row, "set aside as a dead letter: the process ended 2 times while handling this message")
    one:log_of(behind, "replied")
    one:stop()
  end)
end)
