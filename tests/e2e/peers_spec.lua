--- molecule.send, notify, peers, delegate and ctx.progress: a handler that talks to others before it answers.

local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"

describe("a handler", function()
  local platform, workspace, peer

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)
  before_each(function()
    workspace, peer = host.workspace(platform), host.workspace(platform)
  end)
  after_each(host.clean_up)
  teardown(function() platform:stop() end)

  local function connect(script, args, who, state)
    return host.connect { platform = platform, workspace = who or workspace, script = script, args = args,
      state_dir = state }
  end

  local function ask(one, text)
    local before = #one:told_canvas()
    platform:message { to = workspace.id, text = text }
    return one:canvas(before + 1)[before + 1]
  end

  local function posts_to(target)
    local found = {}
    for _, entry in ipairs(platform:journal()) do
      if entry.method == "POST" and entry.path == ("/workspaces/%s/a2a"):format(target.id) then
        found[#found + 1] = cjson.decode(entry.body)
      end
    end
    return found
  end

  local RELAY = [[
    local molecule = require "molecule"
    return function(msg, ctx)
      local answer, problem, code = molecule.send(ctx.options.peer, msg.text, {timeout = 60})
      if not answer then return code .. ": " .. problem end
      return answer.queued and "queued" or "the peer says: " .. answer.text
    end]]

  local function relay(more)
    local args = { "--script-opt", "peer=" .. peer.id }
    for _, argument in ipairs(more or {}) do args[#args + 1] = argument end
    return connect(RELAY, args)
  end

  it("asks a peer that polls and gets its answer", function()
    local one, two = relay(), connect(host.ECHO, nil, peer)
    assert.equal("the peer says: echo: ping", ask(one, "ping"))
    assert.equal(1, #posts_to(peer))
    one:log "answer"
    one:stop()
    two:stop()
  end)

  it("asks a peer that answers at once and gets its answer", function()
    peer = host.workspace(platform, { delivery_mode = "push", url = "http://127.0.0.1:1/", push_answer = { body = {
      jsonrpc = "2.0", id = "1", result = { parts = { { kind = "text", text = "at once" } } } } } })
    local one = relay()
    assert.equal("the peer says: at once", ask(one, "ping"))
    one:stop()
  end)

  it("gets the answer although the conversation with that very peer is busy with the question", function()
    local one = connect([[
      local molecule = require "molecule"
      return function(msg)
        return "you said: " .. molecule.send(msg.from, "what do you mean?", {timeout = 60}).text
      end]])
    local two = connect([[return function(msg) return "I mean it" end]], nil, peer)
    platform:message { to = workspace.id, from = peer.id, text = "hello" }
    assert.equal("you said: I mean it", one:peer(peer.id, 2)[2])
    one:stop()
    two:stop()
  end)

  it("continues when the peer does not answer in time: the message waits in its inbox", function()
    local one = connect([[
      local molecule = require "molecule"
      return function(msg, ctx)
        local answer = molecule.send(ctx.options.peer, msg.text, {timeout = 0.2})
        return tostring(answer.queued) .. " " .. tostring(answer.text)
      end]], { "--script-opt", "peer=" .. peer.id })
    assert.equal("true nil", ask(one, "ping"))
    assert.equal("ping", posts_to(peer)[1].params.message.parts[1].text)
    one:stop()
  end)

  it("is told why the platform would not take the message", function()
    local one = relay()
    platform:fault({ kind = "status", status = 403, body = '{"error":"access denied"}' },
      { method = "POST", path = ("/workspaces/%s/a2a"):format(peer.id) }, { times = 1 })
    local told = ask(one, "ping")
    assert.truthy(told:find("^FORBIDDEN: molecule%.send: message to a peer: HTTP 403: access denied"), told)
    one:stop()
  end)

  it("tries again what failed for the moment, under the same id", function()
    local path = ("/workspaces/%s/a2a"):format(peer.id)
    platform:fault({ kind = "status", status = 503 }, { method = "POST", path = path }, { times = 2 })
    local one, two = relay(), connect(host.ECHO, nil, peer)
    assert.equal("the peer says: echo: ping", ask(one, "ping"))
    local sent = posts_to(peer)
    assert.equal(3, #sent)
    assert.equal(sent[1].params.message.messageId, sent[3].params.message.messageId)
    one:stop()
    two:stop()
  end)

  it("does not ask again after a crash when the answer had come", function()
    local state = host.directory()
    local script = [[
      local molecule = require "molecule"
      return function(msg, ctx)
        local answer = molecule.send(ctx.options.peer, msg.text, {timeout = 60})
        if ctx.attempt == 1 then molecule.sleep(60) end
        return "after " .. ctx.attempt .. ": " .. answer.text
      end]]
    local args = { "--script-opt", "peer=" .. peer.id }
    local one, two = connect(script, args, workspace, state), connect(host.ECHO, nil, peer)
    platform:message { to = workspace.id, text = "ping" }
    one:log "answer to what a handler asked"
    one:kill()
    two:stop()
    local three = connect(script, args, workspace, state)
    assert.equal("after 2: echo: ping", three:canvas(1)[1])
    assert.equal(1, #posts_to(peer))
    three:stop()
  end)

  it("has all of its time to wait for an answer, though its question waited for the reply before", function()
    platform:fault({ kind = "delay", ms = 1500 }, { method = "POST", path = ("/workspaces/%s/a2a"):format(peer.id) },
      { times = 1 })
    local one = connect [[
      local molecule = require "molecule"
      return function(msg)
        if msg.text == "first" then return "the first" end
        local answer = assert(molecule.send(msg.from, "and you?", {timeout = 1}))
        return "it says: " .. tostring(answer.text)
      end]]
    local two = connect([[return function() return "I am well" end]], nil, peer)
    platform:message { to = workspace.id, from = peer.id, text = "first" }
    platform:message { to = workspace.id, from = peer.id, text = "second" }
    assert.same({ "the first", "and you?", "it says: I am well" }, (one:peer(peer.id, 3)))
    one:stop()
    two:stop()
  end)

  it("asks again after molecule.retry", function()
    local one = connect([[
      local molecule = require "molecule"
      return function(msg, ctx)
        local answer = assert(molecule.send(ctx.options.peer, "is it done?", {timeout = 60}))
        if answer.text ~= "done" then return molecule.retry {after = 0} end
        return "done after " .. ctx.attempt
      end]], { "--script-opt", "peer=" .. peer.id })
    local two = connect([[
      local asked = 0
      return function()
        asked = asked + 1
        return asked == 3 and "done" or "running"
      end]], nil, peer)
    assert.equal("done after 3", ask(one, "ping"))
    assert.equal(3, #posts_to(peer))
    one:stop()
    two:stop()
  end)

  it("does not ask again after an attempt that did not count when the answer had come", function()
    local state, runs = host.directory(), host.directory() .. "/runs"
    local script = [[
      local molecule = require "molecule"
      return function(msg, ctx)
        local answer = molecule.send(ctx.options.peer, msg.text, {timeout = 60})
        if not io.open(ctx.options.runs) then
          print "has its answer"
          molecule.sleep(60)
        end
        return "after " .. ctx.attempt .. ": " .. answer.text
      end]]
    local args = { "--script-opt", "peer=" .. peer.id, "--script-opt", "runs=" .. runs, "--drain", "200ms" }
    local one, two = connect(script, args, workspace, state), connect(host.ECHO, nil, peer)
    platform:message { to = workspace.id, text = "ping" }
    one.process:wait_line("has its answer", { stream = "stdout" })
    one:stop()
    two:stop()
    host.write(runs, "")
    local three = connect(script, args, workspace, state)
    assert.equal("after 1: echo: ping", three:canvas(1)[1])
    assert.equal(1, #posts_to(peer))
    three:stop()
  end)

  it("shows interim words to the human before its reply", function()
    local one = connect [[
      return function(msg, ctx)
        assert(ctx.progress("looking"))
        assert(ctx.progress("found it"))
        return "done"
      end]]
    platform:message { to = workspace.id, text = "x" }
    assert.same({ "looking", "found it", "done" }, one:canvas(3))
    one:stop()
  end)

  it("is told that it says nothing", function()
    local one = connect([[
      local molecule = require "molecule"
      return function(msg, ctx)
        return select(3, molecule.send(ctx.options.peer, "")) .. " " .. select(3, ctx.progress(""))
      end]], { "--script-opt", "peer=" .. peer.id })
    assert.equal("EMPTY EMPTY", ask(one, "x"))
    one:stop()
  end)

  it("cannot show interim words to a peer, and is told so", function()
    local one = connect [[return function(msg, ctx) return select(3, ctx.progress("looking")) end]]
    platform:message { to = workspace.id, from = peer.id, text = "x" }
    assert.same({ "PEER" }, (one:peer(peer.id, 1)))
    one:stop()
  end)

  it("tells the human something of its own accord, once, though the answer to that was lost", function()
    local one = connect [[
      local molecule = require "molecule"
      return function(msg)
        local told, problem, code = molecule.notify("by the way")
        return told and "told" or code
      end]]
    platform:fault({ kind = "reset_after" }, { method = "POST", path = "/notify" }, { times = 1 })
    platform:message { to = workspace.id, text = "x" }
    one:wait { path = ("/workspaces/%s/notify"):format(workspace.id), status = 200, body = "UNCONFIRMED" }
    local shown = 0
    for _, row in ipairs(platform:rows(workspace.id)) do
      if row.method == "notify" and row.response_body.result == "by the way" then shown = shown + 1 end
    end
    assert.equal(1, shown)
    one:stop()
  end)

  it("finds its peers and hands them tasks, the same task once however often it runs", function()
    host.workspace(platform, { name = "the-builder" })
    local one = connect([[
      local molecule = require "molecule"
      return function(msg, ctx)
        local found = assert(molecule.peers {q = "build"})
        local task = assert(molecule.delegate {target = found[1].id, task = "build it"})
        if ctx.attempt == 1 then error "once more" end
        return ("%d %s %s %s"):format(#found, found[1].name, task.status, tostring(task.idempotent_hit))
      end]])
    assert.equal("1 the-builder completed true", ask(one, "x"))
    one:stop()
  end)

  it("is given what allowed senders say, and nothing else", function()
    local other = host.workspace(platform)
    local one = connect(host.ECHO, { "--allow-from", peer.id:upper(), "--allow-from", "canvas" })
    local turned_away = platform:message { to = workspace.id, from = other.id, text = "hello" }[1]
    platform:message { to = workspace.id, from = peer.id, text = "hello" }
    assert.equal("echo: human", ask(one, "human"))
    one:log_of(turned_away, "skipped: sender not in %-%-allow%-from")
    assert.same({ "echo: hello" }, (one:peer(peer.id, 1)))
    assert.equal(0, #posts_to(other))
    one:stop()
    host.run({ platform = platform, workspace = workspace, script = host.ECHO, args = { "--allow-from", "a/b" } }, 2)
      :log "%-%-allow%-from takes canvas .*; got \"a/b\""
  end)

  it("is stopped from asking in circles by the hop limit", function()
    local script = [[
      local molecule = require "molecule"
      return function(msg, ctx)
        local answer = molecule.send(ctx.options.peer, "you tell me", {timeout = 0})
        return nil
      end]]
    local one = connect(script, { "--script-opt", "peer=" .. peer.id, "--max-hops", "5" })
    local two = connect(script, { "--script-opt", "peer=" .. workspace.id, "--max-hops", "5" }, peer)
    platform:message { to = workspace.id, text = "go" }
    two:log "%-%-max%-hops"
    one:stop()
    two:stop()
    assert.equal(5, #posts_to(peer) + #posts_to(workspace))
  end)

  it("is told at its own line about an invalid workspace id or message", function()
    local one = connect [[
      local molecule = require "molecule"
      return function()
        local _, first = pcall(function() molecule.send({}, "x") end)
        local _, _, code = molecule.send("../admin", "x")
        local _, third = pcall(function() molecule.notify("") end)
        return first .. "|" .. code .. "|" .. third
      end]]
    local told = ask(one, "x")
    assert.truthy(told:find("agent.lua:3: send: the first argument must be a workspace id|BAD_ID|", 1, true), told)
    assert.truthy(told:find("agent.lua:5: notify: the text must be", 1, true), told)
    one:stop()
  end)

  it("does not keep the host from stopping while it waits for a peer", function()
    local one = relay { "--drain", "300ms" }
    platform:message { to = workspace.id, text = "ping" }
    one:wait { path = ("/workspaces/%s/a2a"):format(peer.id), status = 200 }
    one:stop()
  end)
end)
