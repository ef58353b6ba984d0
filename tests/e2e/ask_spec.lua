--- A handler asks a human or a peer, and runs again with the answer: once, however long that takes and whatever happens.

local cjson = require "cjson"
local asking = require "tests.support.asking"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"

local eventually, kill = asking.eventually, asking.kill

describe("a question", function()
  local platform, workspace, state_dir, stage

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)
  before_each(function()
    stage = asking.new(platform)
    workspace, state_dir = stage.workspace, stage.state_dir
  end)
  after_each(host.clean_up)
  teardown(function() platform:stop() end)

  local function connect(...) return stage:connect(...) end
  local function say(...) return stage:say(...) end
  local function from_peer(...) stage:from_peer(...) end
  local function molecule(words) return stage:molecule(words) end
  local function open_questions() return stage:open() end
  local function wait_open(count) return stage:wait_open(count) end

  local ANSWER = [[
    local answer, problem, code = ctx.ask("Shall I?")
    if not answer then return ("%s: %s"):format(code, problem) end
    return ("answer: %s from %s"):format(answer.text, answer.from)]]


  it("is answered by the next message of whom it asks, and that one is not handled", function()
    local one = connect(ANSWER)
    say "ask"
    assert.matches("^Shall I%?\n\n%(Question %w%w%w%w%)$", one:canvas(1)[1])
    say "yes, do"
    say "and"
    assert.same({ "answer: yes, do from canvas", "heard and" }, { table.unpack(one:canvas(3), 2) })
    one:stop()
  end)

  it("is not answered by what was sent before it", function()
    say "ask"
    say "earlier"
    local one = connect(ANSWER)
    one:canvas(1)
    say "the answer"
    assert.same({ "answer: the answer from canvas", "heard earlier" }, { table.unpack(one:canvas(3), 2) })
    one:stop()
  end)

  local CHOICE = [[
    local answer, problem = ctx.ask("Deploy?", {choices = {"yes", "yes, later", "No"}})
    return answer and answer.choice or problem]]

  for text, choice in pairs { yes = "yes", [" YES , L"] = "yes, later", n = "No", ["NO"] = "No" } do
    it(("with choices takes %q for %q"):format(text, choice), function()
      local one = connect(CHOICE)
      say "ask"
      assert.matches("^Deploy%?\n\nPlease answer yes, yes, later or No%. %(Question %w+%)$", one:canvas(1)[1])
      say(text)
      assert.equal(choice, one:canvas(2)[2])
      one:stop()
    end)
  end

  it("with choices tells once what they are, and what is none of them waits behind it", function()
    local one = connect(CHOICE)
    say "ask"
    one:canvas(1)
    say "y"
    assert.equal("Please answer yes, yes, later or No.", one:canvas(2)[2])
    say "maybe"
    say "no"
    assert.same({ "No", "heard y", "heard maybe" }, { table.unpack(one:canvas(5), 3) })
    one:stop()
  end)

  it("with hold = false lets the conversation continue", function()
    local one = connect [[
      local answer = ctx.ask("Which?", {choices = {"a", "b"}, hold = false})
      return "chose " .. answer.choice]]
    say "ask"
    one:canvas(1)
    say "something else"
    local told = one:canvas(3)
    table.sort(told)
    assert.equal("heard something else", told[3])
    say "b"
    assert.equal("chose b", one:canvas(4)[4])
    one:stop()
  end)

  it("is answered after kill -9, by a script that was changed meanwhile", function()
    local one = connect(ANSWER)
    say "ask"
    wait_open(1)
    kill(one)
    local again = connect((ANSWER:gsub("answer: ", "changed: ")))
    wait_open(1)
    say "yes"
    assert.same({ "changed: yes from canvas" }, { table.unpack(again:canvas(2), 2) }) -- and was not shown again
    again:stop()
  end)

  it("is answered while no host runs", function()
    local one = connect(ANSWER)
    say "ask"
    wait_open(1)
    one:stop()
    say "meanwhile"
    local again = connect(ANSWER)
    assert.equal("answer: meanwhile from canvas", again:canvas(2)[2])
    again:stop()
  end)

  it("is answered while no host runs, and the platform forgets the cursor", function()
    local one = connect(ANSWER)
    say "first"
    say "ask"
    wait_open(1)
    kill(one)
    platform:order("prune", { workspace = workspace.id, all = true })
    say "meanwhile"
    local again = connect(ANSWER)
    assert.equal("answer: meanwhile from canvas", again:canvas(3)[3])
    again:stop()
  end)

  it("is answered once: the next message is an ordinary one, also after kill -9", function()
    local one = connect(ANSWER)
    say "ask"
    wait_open(1)
    say "yes"
    one:canvas(2)
    kill(one)
    say "yes"
    local again = connect(ANSWER)
    assert.equal("heard yes", again:canvas(3)[3])
    again:stop()
  end)

  it("is answered by nobody else, and not in another conversation", function()
    local peer = host.workspace(platform)
    local one = connect(ANSWER)
    say("ask", { request_body = { jsonrpc = "2.0", id = "1", method = "message/send", params = { message = { role = "user",
      messageId = "m1", contextId = "c1", parts = { { kind = "text", text = "ask" } } } } } })
    one:canvas(1)
    say("from a peer", { from = peer.id })
    say "in another conversation"
    assert.matches("heard from a peer", one:peer(peer.id, 1)[1])
    assert.equal("heard in another conversation", one:canvas(2)[2])
    say("x", { request_body = { jsonrpc = "2.0", id = "2", method = "message/send", params = { message = { role = "user",
      messageId = "m2", contextId = "c1", parts = { { kind = "text", text = "in this one" } } } } } })
    assert.equal("answer: in this one from canvas", one:canvas(3)[3])
    one:stop()
  end)

  it("goes past --allow-from, and conversation(msg) never sees the answer", function()
    local peer = host.workspace(platform)
    local one = host.connect { platform = platform, workspace = workspace, state_dir = state_dir,
      args = { "--allow-from", peer.id }, script = [[
      local seen = 0
      return {
        conversation = function(msg) seen = seen + 1 return "all" end,
        handle = function(msg, ctx)
          local answer = ctx.ask("A peer wants it. May I?", {from = "canvas"})
          return ("%s, %d seen"):format(answer.text, seen)
        end,
      }]] }
    say("please", { from = peer.id })
    one:canvas(1)
    say "you may"
    assert.equal("you may, 1 seen", one:peer(peer.id, 1)[1])
    one:stop()
  end)

  it("is one of several only where its code says so", function()
    local a, b = host.workspace(platform), host.workspace(platform)
    local one = connect([[
      local answer = ctx.ask("What about " .. msg.text .. "?", {from = "canvas"})
      return answer.text]], { args = { "--concurrency", "2" } })
    say("ask 1", { from = a.id })
    wait_open(1)
    say("ask 2", { from = b.id })
    local list = wait_open(2)
    local code = {}
    for _, each in ipairs(list) do code[each.text] = each.code end
    local second = one:canvas(2)[2]
    assert.matches("^What about ask 2%?\n\n%(Question " .. code["What about ask 2?"]
      .. "%. Others are open too, so begin your answer with its code%.%)\n" .. code["What about ask 1?"]
      .. ": What about ask 1%?$", second)
    say "yes" -- which?
    local told = one:canvas(4)
    table.sort(told)
    assert.equal("heard yes", told[4])
    assert.matches("^Several questions are open", told[1])
    say(code["What about ask 2?"]:lower() .. ": the second")
    assert.equal("the second", one:peer(b.id, 1)[1])
    say "the first" -- the only one that is left
    assert.equal("the first", one:peer(a.id, 1)[1])
    one:stop()
  end)

  it("times out, and a later answer is an ordinary message", function()
    local one = connect [[
      local answer, problem, code = ctx.ask("Quick?", {timeout = 0.2})
      return ("%s %s"):format(code, problem)]]
    say "ask"
    assert.matches("^TIMEOUT ctx%.ask: question %w+: no answer within 0%.2 s$", one:canvas(2)[2])
    say "late"
    assert.equal("heard late", one:canvas(3)[3])
    assert.same({}, open_questions())
    one:stop()
  end)

  it("is answered by what was sent in time, though it could not be read until later", function()
    local one = connect [[
      local answer, problem, code = ctx.ask("Quick?", {timeout = 1})
      return answer and answer.text or problem]]
    say "ask"
    wait_open(1)
    platform:fault({ kind = "status", status = 503 }, { path = "/activity" }, { times = -1 })
    local mark = platform:mark()
    say "in time"
    platform:wait { path = "/workspaces/" .. workspace.id .. "/activity", count = 3, since = mark }
    asking.pause(1500) -- its deadline passes
    platform:clear_faults()
    assert.equal("in time", one:canvas(2)[2])
    one:stop()
  end)

  it("is answered from the shell", function()
    local one = connect(CHOICE)
    say "ask"
    local code = wait_open(1)[1].code
    assert.matches("question%s+" .. code .. " to the canvas: Deploy%?\n", (molecule("status " .. workspace.id)))
    assert.matches("\"maybe\" is none of the choices: Please answer yes, yes, later or No%.",
      (molecule(("answer %s %s maybe"):format(workspace.id, code))))
    assert.matches("no question with the code \"ABCD\" is open", (molecule("answer " .. workspace.id .. " ABCD yes")))
    assert.equal(("question %s: answered\n"):format(code), (molecule(("answer %s %s yes, l"):format(workspace.id, code))))
    assert.equal("yes, later", one:canvas(2)[2])
    one:stop()
    assert.matches("no host serves workspace .* here; start it, then answer",
      (molecule(("answer %s %s yes"):format(workspace.id, code))))
  end)

  it("is canceled from the shell", function()
    local one = connect(ANSWER)
    say "ask"
    local code = wait_open(1)[1].code
    assert.equal(("question %s: canceled\n"):format(code), (molecule(("answer %s %s --cancel"):format(workspace.id, code))))
    assert.equal(("CANCELLED: ctx.ask: question %s: it was canceled by the operator"):format(code), one:canvas(2)[2])
    one:stop()
  end)

  it("is canceled by the death of its message, and asked again when that is retried; answers stay", function()
    local body = [[
      local name = ctx.ask("Your name?").text
      local sure = ctx.step("half", function() return 1 end) and ctx.ask("Sure, " .. name .. "?")
      return name .. " is " .. sure.text]]
    local one = connect(body)
    local id = say "ask"
    wait_open(1)
    platform:fault({ kind = "status", status = 503 }, { path = "/notify" })
    say "Ada"
    local first
    eventually(function()
      first = open_questions()[1]
      return first and first.text == "Sure, Ada?"
    end)
    kill(one) -- while it is posted
    platform:clear_faults()
    local broken = connect([[ error "broken" ]], { args = { "--max-attempts", "1" } })
    broken:log "dead letter"
    assert.same({}, open_questions())
    broken:stop()
    local again = connect(body)
    say "too late"
    assert.equal("heard too late", again:canvas(2)[2])
    assert.matches("runs again", (molecule(("dead retry %s %s"):format(workspace.id, id))))
    local second = wait_open(1)[1]
    assert.equal("Sure, Ada?", second.text) -- Ada was not asked again
    assert.not_equal(first.code, second.code)
    say "yes"
    assert.equal("Ada is yes", again:canvas(4)[4])
    again:stop()
  end)

  -- A2A: what a peer gets, and what it answers with.
  local function posted(one, peer, count)
    local _, entries = one:peer(peer, count)
    local message = cjson.decode(entries[count].body).params.message
    return message.parts[1].text, message.metadata.molecule.in_reply_to, message.messageId
  end

  it("to the peer that asks is the reply to its message, and the reply then answers what it said last", function()
    local peer = host.workspace(platform).id
    local one = connect [[
      local first = ctx.ask "How many?"
      local second = ctx.ask "Sure?"
      return first.text .. ", " .. second.text]]
    from_peer(peer, "11111111-0000-4000-8000-000000000001", "ask")
    local text, in_reply_to = posted(one, peer, 1)
    assert.same({ "How many?", "11111111-0000-4000-8000-000000000001" }, { text, in_reply_to })
    from_peer(peer, "11111111-0000-4000-8000-000000000002", "three")
    text, in_reply_to = posted(one, peer, 2)
    assert.same({ "Sure?", "11111111-0000-4000-8000-000000000002" }, { text, in_reply_to })
    from_peer(peer, "11111111-0000-4000-8000-000000000003", "yes")
    text, in_reply_to = posted(one, peer, 3)
    assert.same({ "three, yes", "11111111-0000-4000-8000-000000000003" }, { text, in_reply_to })
    one:stop()
  end)

  it("to another peer is a message, and its reply the answer, whatever else it says meanwhile", function()
    local peer = host.workspace(platform).id
    local one = connect(([[
      local answer = ctx.ask("What do you think?", {from = "%s", timeout = "1h"})
      return answer.text .. " from " .. answer.from]]):format(peer:upper()))
    say "ask"
    local text, in_reply_to, id = posted(one, peer, 1)
    assert.same({ "What do you think?" }, { text, in_reply_to })
    wait_open(1)
    local something = "99999999-0000-4000-8000-000000000001"
    from_peer(peer, "22222222-0000-4000-8000-000000000001", "an answer to something else", something)
    from_peer(peer, "22222222-0000-4000-8000-000000000002", "fine", id)
    assert.equal("fine from " .. peer, one:canvas(1)[1])
    one:stop()
  end)

  it("waits until the peer has answered the one before it", function()
    local peer = host.workspace(platform).id
    local one = connect(([[return ctx.ask(msg.text, {from = "%s"}).text]]):format(peer),
      { args = { "--concurrency", "2" } })
    local other = host.workspace(platform).id
    say("ask 1", { from = other })
    assert.equal("ask 1", (posted(one, peer, 1)))
    say "ask 2"
    eventually(function() return #open_questions() == 2 end)
    from_peer(peer, "33333333-0000-4000-8000-000000000001", "one")
    assert.equal("one", one:peer(other, 1)[1])
    assert.equal("ask 2", (posted(one, peer, 2)))
    from_peer(peer, "33333333-0000-4000-8000-000000000002", "two")
    assert.equal("two", one:canvas(1)[1])
    one:stop()
  end)

  it("is answered by what a peer says at once", function()
    local answer = { jsonrpc = "2.0", id = "1", result = { parts = { { kind = "text", text = "at once" } } } }
    local peer = host.workspace(platform,
      { delivery_mode = "push", url = "http://127.0.0.1:1/", push_answer = { body = answer } }).id
    local one = connect(([[return ctx.ask("Well?", {from = "%s"}).text]]):format(peer))
    say "ask"
    assert.equal("at once", one:canvas(1)[1])
    one:stop()
  end)

  it("that the platform refuses is undelivered", function()
    local one = connect(([[
      local answer, problem, code = ctx.ask("Well?", {from = "%s"})
      return code .. ": " .. problem]]):format(emulator.uuid()))
    say "ask"
    assert.matches("^UNDELIVERED: ctx%.ask: question %w+: it could not be delivered: message.*HTTP 403", one:canvas(1)[1])
    one:stop()
  end)

  it("is shown once, though the answer to its post is lost", function()
    platform:fault({ kind = "reset_after" }, { path = "/notify" }, { times = 1 })
    local one = connect(ANSWER, { args = { "--timeout", "5s" } })
    say "ask"
    wait_open(1)
    say "yes"
    local told = one:canvas(2)
    assert.matches("^Shall I", told[1])
    assert.equal("answer: yes from canvas", told[2])
    one:stop()
  end)

  it("is a mistake at the script's line where it cannot be asked", function()
    for code, problem in pairs {
      ['ctx.ask()'] = "the question must be a text",
      ['ctx.ask("")'] = "the question must be a text",
      ['ctx.ask("a\0b")'] = "the question must be a text",
      ['ctx.ask("?", {choices = {}})'] = "choices must be a list of 1 to 20 texts",
      ['ctx.ask("?", {choices = {"a", 1}})'] = "choice 2 must be a line of 1 to 100 bytes of UTF%-8",
      ['ctx.ask("?", {choices = {"a b", "AB"}})'] = 'the choices "a b" and "AB" are the same to whoever answers',
      ['ctx.ask("?", {from = "nobody"})'] = 'from must be "canvas" or a workspace id, not "nobody"',
      ['ctx.ask("?", {timeout = 0})'] = "timeout must be more than 0",
      ['ctx.ask("?", {timout = 1})'] = "timout",
      ['ctx.step("s", function() ctx.ask "?" end)'] = 'ctx%.ask cannot be used inside the step "s#1"',
    } do
      local one = connect(code, { args = { "--max-attempts", "1" } })
      say "ask"
      one:log("agent%.lua:4: .*" .. problem)
      one:stop()
    end
  end)

  it("may be one of several at once, answered in any order, over kill -9", function()
    local peer = host.workspace(platform).id
    local body = ([[
      local both = molecule.all {
        function() return ctx.ask("Canvas?", {from = "canvas"}).text end,
        function() return ctx.ask("Peer?", {from = "%s"}).text end,
        function() return ctx.step("count", function() return 1 end) end,
      }
      return table.concat(both, " ")]]):format(peer)
    local one = connect(body)
    say "ask"
    wait_open(2)
    kill(one)
    from_peer(peer, "44444444-0000-4000-8000-000000000001", "two")
    local again = connect(body)
    wait_open(1)
    say "one"
    assert.equal("one two 1", again:canvas(2)[2])
    again:stop()
  end)

  it("is raced by a long sleep", function()
    local one = connect [[
      local won, which = molecule.race {
        function() return ctx.ask("Hurry?").text end,
        function() ctx.sleep "1h" return "too late" end,
      }
      return ("%s %d"):format(won, which)]]
    say "ask"
    wait_open(1)
    say "here"
    assert.equal("here 1", one:canvas(2)[2])
    one:stop()
  end)

  it("that lost a race is answered by nobody", function()
    local one = connect([[
      local won = molecule.race {
        function() return ctx.ask("Hurry?", {from = "canvas"}).text end,
        function() molecule.sleep(0.3) return "too late" end,
      }
      local answer = ctx.ask("Sorry, " .. won .. ". Go on?")
      return answer.text]])
    say "ask"
    one:canvas(2)
    assert.equal("Sorry, too late. Go on?", wait_open(1)[1].text)
    say "yes"
    assert.equal("yes", one:canvas(3)[3])
    one:stop()
  end)

  it("of a function that another one has ended by an error is answered by nobody", function()
    local one = connect [[
      local fine, problem = pcall(molecule.all, {
        function() return ctx.ask "First?" end,
        function() molecule.sleep(0.3) error("enough", 0) end,
      })
      return problem .. " " .. ctx.ask("Second?").text]]
    say "ask"
    one:canvas(2)
    assert.equal("Second?", wait_open(1)[1].text)
    say "yes"
    assert.equal("enough yes", one:canvas(3)[3])
    one:stop()
  end)

  it("of one function at once lets the others finish first", function()
    local one = connect [[
      local all = molecule.all {
        function() return ctx.ask("Well?").text end,
        function() molecule.sleep(0.3) return ctx.step("slow", function() molecule.sleep(0.2) return "done" end) end,
      }
      return table.concat(all, " ")]]
    say "ask"
    one:canvas(1)
    say "yes"
    assert.equal("yes done", one:canvas(2)[2])
    one:stop()
  end)

  it("is told again after another client had the inbox", function()
    local one = connect(ANSWER)
    say "first"
    say "ask"
    wait_open(1)
    one:stop()
    local state = one:state()
    state.last_since_id = say "to the other client"
    host.write(one.state_path, cjson.encode(state))
    local again = connect(ANSWER)
    local told = again:canvas(3)
    assert.equal(told[2], told[3])
    say "yes"
    assert.equal("answer: yes from canvas", again:canvas(4)[4])
    again:stop()
  end)
end)
