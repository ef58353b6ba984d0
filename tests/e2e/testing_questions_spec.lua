--- Questions of handlers in the testing kit: a spec answers them, days later if it likes; and what the canvas and peers are told
--- is what the program tells them.
package.path = "./lua/?.lua;./lua/?/init.lua;" .. package.path

local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local t = require "molecule.testing"

local PEER, OTHER = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"

-- The body sees msg, ctx, molecule. A message that begins with "ask" is asked about; others are repeated.
local function script(body, more)
  return ([[
    local molecule = require "molecule"
    local agent = {}
    function agent.handle(msg, ctx)
      if not msg.text:find "^ask" then return "heard " .. msg.text end
      %s
    end
    %s
    return agent]]):format(body, more or "")
end

local ANSWER = [[
  local answer, problem, code = ctx.ask("Shall I?")
  if not answer then return ("%s: %s"):format(code, problem) end
  return ("answer: %s from %s"):format(answer.text, answer.from)]]
local CHOICE = [[
  local answer, problem = ctx.ask("Deploy?", {choices = {"yes", "yes, later", "No"}, timeout = "7d"})
  return answer and answer.choice or problem]]
local TO_PEER = ([[
  local answer, problem, code = ctx.ask(msg.text, {from = "%s", timeout = "1h"})
  return answer and answer.text .. " from " .. answer.from or code .. problem]]):format(PEER)

-- What the canvas sees: name -> {a handler's body, messages…}. CODE1 is the code of the first question that it was told.
local CONVERSATIONS = {
  ["an answer, and what comes after it"] = { ANSWER, "ask", "yes,\n do ", "and" },
  ["an answer with the code, though it is the only one"] = { ANSWER, "ask", "CODE1: yes", "ask", "code2" },
  ["a choice"] = { CHOICE, "ask", " yes , L", "ask", "NO", "ask", "y", "maybe", "n" },
  ["several questions"] = { [[return ctx.ask("What about " .. msg.text .. ",\nthen?", {hold = false}).text]], "ask 1", "ask 2",
    "yes", "no", "CODE2 the second", "the first", "late" },
  ["long questions in the list of several"] = { [[return ctx.ask(("ä"):rep(#msg.text * 10), {hold = false}).text]], "ask", "asks",
    "asked", "CODE3:c", "CODE1:a", "b" },
  ["several at once"] = { [[
    local all = molecule.all {
      function() return ctx.ask("First?").text end,
      function() return molecule.race {function() return ctx.ask("Second?").text end, function() ctx.sleep "1d" end} end,
      function() molecule.sleep(0.05) return ctx.step("third", function() return "third" end) end,
    }
    return table.concat(all, " ")]], "ask", "CODE2 b", "a" },
  ["questions in a row, and an error between them"] = { [[
    local name = ctx.ask("Your name?").text
    if not ctx.step("fine", function() return ctx.attempt > 1 and true or nil, "not yet" end) then error "again" end
    local sure = ctx.ask("Sure, " .. name .. "?", {choices = {"yes", "no"}, hold = false})
    return ("%s: %s %d"):format(name, sure.choice, ctx.attempt)]], "ask", "Ada", "no doubt", "Yes" },
}

describe("a question in the testing kit", function()
  local platform

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)
  after_each(function()
    t.reset()
    host.clean_up()
  end)
  teardown(function() platform:stop() end)

  local function agent(body, options)
    options = options or {}
    options.source = script(body, options.source)
    return t.agent("agent.lua", options)
  end

  local function replace_codes(text, codes)
    local code = text:match "%(Question (%w+)"
    if code then codes[#codes + 1] = code end
    for i, one in ipairs(codes) do text = text:gsub(one, "CODE" .. i) end
    return text
  end

  local function with_codes(text, codes)
    text = text:gsub("CODE(%d)", function(i) return codes[tonumber(i)] end)
    return (text:gsub("code(%d)", function(i) return codes[tonumber(i)]:lower() end))
  end

  -- After each message what the canvas is told, in any order. `say(text, i)` returns that.
  local function converse(conversation, say)
    local codes, steps = {}, {}
    for i, message in ipairs { table.unpack(conversation, 2) } do
      local told = {}
      for j, text in ipairs(say(with_codes(message, codes), i)) do told[j] = replace_codes(text, codes) end
      table.sort(told)
      steps[i] = { message, told }
    end
    return steps
  end

  local function converse_here(conversation)
    local a, results, seen, count = agent(conversation[1]), {}, {}, 0
    return converse(conversation, function(text, i)
      results[i] = a:send(text)
      t.clock:advance "1s" -- for another attempt
      local told = { table.unpack(a.progress, count + 1) }
      count = #a.progress
      for _, result in ipairs(results) do
        if result.reply and not seen[result] then
          told[#told + 1] = result.reply
          seen[result] = true
        end
      end
      return told
    end)
  end

  local function converse_there(conversation, ours)
    local workspace, count = host.workspace(platform), 0
    local one = host.connect { platform = platform, workspace = workspace, script = script(conversation[1]) }
    local theirs = converse(conversation, function(text, i)
      platform:message { to = workspace.id, text = text }
      local before = count
      count = count + #ours[i][2]
      return { table.unpack(one:canvas(count), before + 1) }
    end)
    one:stop()
    return theirs
  end

  for name, conversation in pairs(CONVERSATIONS) do
    it("is told and answered as in the program: " .. name, function()
      local ours = converse_here(conversation)
      assert.same(converse_there(conversation, ours), ours)
    end)
  end

  it("to the peer that asks is told as in the program", function()
    local body = [[
      local first = ctx.ask("How many?", {choices = {"one", "three"}})
      return first.choice .. ", " .. ctx.ask("Sure?").text]]
    local said = { "ask", "what?", "thr", "yes" }
    local function id(i) return ("11111111-0000-4000-8000-%012d"):format(i) end
    local workspace, peer = host.workspace(platform), host.workspace(platform).id
    local one = host.connect { platform = platform, workspace = workspace, script = script(body) }
    local theirs, ours = {}, {}
    for i, text in ipairs(said) do
      platform:message { to = workspace.id, from = peer, text = text, request_body = { jsonrpc = "2.0", id = id(i),
        method = "message/send", params = { message = { role = "user", messageId = id(i), parts = { { kind = "text",
        text = text } } } } } }
      one:peer(peer, i < 4 and i or 5)
    end
    local texts, entries = one:peer(peer, 5)
    for i = 1, 3 do
      theirs[i] = { texts[i], cjson.decode(entries[i].body).params.message.metadata.molecule.in_reply_to }
    end
    local a = agent(body)
    local asked, behind
    for i, text in ipairs(said) do
      local result = a:send { from = peer, text = text, message_id = id(i) }
      if i == 1 then asked = result elseif i == 2 then behind = result end
    end
    for i, one_sent in ipairs(a.sent) do ours[i] = { one_sent.text, one_sent.in_reply_to } end
    assert.same(theirs, ours)
    assert.same({ texts[4], texts[5] }, { asked.reply, behind.reply })
    one:stop()
  end)

  it("finds steps that come in another order than they were recorded, unless the script has changed", function()
    local body = [[
      for _, name in ipairs(ctx.attempt == 1 and {"a", "b"} or {"b", "a"}) do ctx.step(name, function() return name end) end
      if ctx.attempt == 1 then error "again" end
      return "done"]]
    local result = agent(body):send "ask"
    t.clock:advance "1m"
    assert.equal("dead", result.outcome)
    assert.matches("REPLAY: step b#1 comes where a#1 came when they were recorded", result.reason)
    local a = agent [[ctx.step("a", function() return 1 end) ctx.ask "?"]]
    a:send "ask"
    t.clock:advance "1m"
    a:reload(script [[ctx.ask "?" return "changed"]])
    assert.replied(a:answer "yes", "changed")
  end)

  it("shows that its handler waits, for what and until when", function()
    local a = agent(CHOICE)
    local result = a:send "ask"
    local question = { code = result.questions[1].code, text = "Deploy?", choices = { "yes", "yes, later", "No" }, to = "canvas",
      ["until"] = result.questions[1]["until"] }
    assert.is_true(math.abs(t.clock:now() + 7 * 86400 - question["until"]) < 0.01)
    assert.equal("asleep", result.outcome)
    assert.equal("waiting for the answer to question " .. question.code, result.reason)
    assert.equal(7 * 86400, math.floor(result.again_in + 0.5)) -- less what the run took
    assert.same({ question }, result.questions)
    assert.same({ question }, a.questions)
    assert.same({ ("Deploy?\n\nPlease answer yes, yes, later or No. (Question %s)"):format(question.code) }, result.progress)
    assert.asked(result, "Deploy")
    assert.is_not.asked(result, "Destroy")
    assert.equal(result, a:answer "n")
    assert.replied(result, "No")
    assert.same({ {}, {} }, { result.questions, a.questions })
    assert.is_not.asked(result)
  end)

  it("is answered days later, after a restart, by a script that was changed meanwhile", function()
    local a = agent([[
      local began = ctx.step("began", function() return molecule.now() end)
      local answer = ctx.ask("Shall I?", {timeout = "7d"})
      return ("%s after %g days, attempt %d"):format(answer.text, (molecule.now() - began) / 86400, ctx.attempt)]])
    local result = a:send "ask"
    local code = result.questions[1].code
    t.clock:advance "3d"
    a:restart()
    a:reload((a.options.source:gsub("%%s after", "changed: %0")))
    a:restart()
    assert.equal(code, a.questions[1].code)
    assert.equal(1, #a.progress) -- it is not told again
    assert.replied(a:answer "yes", "changed: yes after 3 days, attempt 1")
    assert.equal(1, result.attempts)
  end)

  it("is answered by a message, which no handler and no conversation(msg) sees", function()
    local a = agent([[return ctx.ask("Shall I?").text .. " " .. table.concat(seen, ",")]], { source = [[
      seen = {}
      function agent.conversation(msg) seen[#seen + 1] = msg.text return "all" end]] })
    local result = a:send "ask"
    local answer = a:send { text = "yes", context_id = "canvas-" .. a.workspace }
    assert.equal("answer", answer.outcome)
    assert.equal(0, answer.attempts)
    assert.replied(result, "yes ask")
    assert.replied(a:send "yes", "heard yes")
  end)

  it("is answered by nobody else, and not in another conversation", function()
    local a = agent(ANSWER)
    local result = a:send "ask"
    assert.replied(a:send { text = "hello", from = "peer" }, "heard hello")
    assert.replied(a:send { text = "hello", context_id = "another" }, "heard hello")
    assert.asked(result)
    a:send "yes"
    assert.replied(result, "answer: yes from canvas")
  end)

  it("holds the messages behind it, unless it says otherwise", function()
    local a = agent(CHOICE)
    local asked = a:send "ask"
    local behind = a:send "something else"
    assert.is_nil(behind.outcome)
    assert.same({ "Please answer yes, yes, later or No." }, behind.progress)
    assert.is_nil(a:send("something else").progress[1])
    a:answer "yes"
    assert.replied(asked, "yes")
    assert.replied(behind, "heard something else")
    a = agent [[return ctx.ask("Which?", {choices = {"a", "b"}, hold = false}).choice]]
    asked = a:send "ask"
    assert.replied(a:send "something else", "heard something else")
    assert.replied(a:answer "b", "b")
    assert.equal("replied", asked.outcome)
  end)

  it("lets time pass for the handler that its answer wakes", function()
    local a = agent [[
      local answer = ctx.ask "Which?"
      molecule.sleep(20)
      return answer.text]]
    a:send "ask"
    assert.replied(a:answer "this", "this")
    local asked = a:send "ask"
    a:send "that"
    assert.replied(asked, "that")
  end)

  it("times out, and a later answer is an ordinary message", function()
    local a = agent [[
      local answer, problem, code = ctx.ask("Quick?", {timeout = "2h"})
      return ("%s %s"):format(code, problem)]]
    local result = a:send "ask"
    t.clock:advance(7199)
    assert.equal("asleep", result.outcome)
    t.clock:advance(1)
    assert.replied(result, "^TIMEOUT ctx%.ask: question %w+: no answer within 2 h$")
    assert.same({}, a.questions)
    assert.replied(a:send "late", "heard late")
    result = a:send "ask"
    a:settle() -- which waits for nobody
    assert.replied(result, "^TIMEOUT")
  end)

  it("is canceled", function()
    local a = agent(ANSWER)
    local code = a:send("ask").questions[1].code
    local canceled = ("CANCELLED: ctx.ask: question %s: it was canceled by the operator"):format(code)
    assert.equal(canceled, a:cancel_question().reply)
    code = a:send("ask").questions[1].code
    assert.replied(a:cancel_question(code:lower()), "CANCELLED")
  end)

  it("is answered from the shell", function()
    local a = agent(ANSWER)
    a:send "ask"
    assert.replied(a:answer("yes", { from = "operator" }), "answer: yes from operator")
  end)

  it("is answered with files", function()
    local a = agent [[
      local answer = ctx.ask "Which?"
      return answer.text .. ": " .. answer.files[1].name .. " " .. answer.files[1]:read()]]
    for _, from in ipairs { "canvas", "peer" } do
      a:send { text = "ask", from = from }
      assert.replied(a:answer { text = "this", files = { { name = "a.txt", data = "bytes" } } }, "this: a.txt bytes")
      local asked = a:send { text = "ask", from = from }
      a:send { text = "that", from = from, files = { { name = "b.txt", data = "more" } } }
      assert.replied(asked, "that: b.txt more")
    end
  end)

  it("is asked by a schedule's run, too", function()
    local a = agent("", { source = [[
      molecule.cron("* * * * *", function(run, ctx)
        molecule.notify("it is " .. ctx.ask("Which number today?", {timeout = "1h"}).text)
      end)]] })
    t.clock:advance "1m"
    assert.asked(a.runs[1], "Which number")
    assert.no_reply(a:answer "7")
    assert.equal("it is 7", a.progress[2])
  end)

  it("to another peer is sent, and what that peer says next is the answer", function()
    local a = agent(TO_PEER)
    local asked = a:send "ask 1"
    local sent = asked.sent[1]
    assert.same({ PEER, "ask 1" }, { sent.to, sent.text })
    assert.equal(PEER, asked.questions[1].to)
    a:send { text = "to something else", from = PEER, in_reply_to = OTHER }
    assert.asked(asked)
    a:send { text = "fine", from = PEER:upper(), in_reply_to = sent.message_id }
    assert.replied(asked, "fine from " .. PEER)
    a:send "ask 2"
    assert.replied(a:answer "good", "good from " .. PEER)
  end)

  it("waits until the peer has answered the one before it", function()
    local a = agent(TO_PEER)
    local first, second = a:send { text = "ask 1", from = OTHER }, a:send "ask 2"
    assert.equal(1, #a.sent)
    assert.is_nil(second.questions[1]["until"])
    t.clock:advance "1m"
    assert.equal(first, a:answer "one")
    assert.replied(first, "one")
    assert.equal("ask 2", a.sent[2].text)
    assert.equal(t.clock:now() + 3600, second.questions[1]["until"])
    assert.replied(a:answer("two", { from = PEER }), "two")
  end)

  it("is answered by what the peer's stub says at once, or undelivered", function()
    local a = agent(TO_PEER)
    local said
    a:peer(PEER, function(text, about)
      said = about
      return text == "ask 1" and "at once" or nil, "it does not want to"
    end)
    assert.replied(a:send "ask 1", "at once from " .. PEER)
    assert.equal(a.sent[1].message_id, said.message_id)
    assert.same({ { kind = "ask", to = PEER, text = "ask 1" } }, a.calls)
    assert.replied(a:send "ask 2", "^UNDELIVEREDctx%.ask: question %w+: it could not be delivered: it does not want to$")
    a:peer(PEER)
    assert.asked(a:send "ask 3")
    assert.replied(a:answer "later", "later")
  end)

  it("is canceled by the death of its message, and asked again when that is retried; answers stay", function()
    local a = agent(TO_PEER, { max_attempts = 1 })
    local source = a.options.source
    local first, second = a:send { text = "ask 1", from = OTHER }, a:send "ask 2"
    local code = second.questions[1].code
    assert.is_true(a:reload [[return function() error "broken" end]])
    a:answer("one", { code = first.questions[1].code })
    assert.dead(first, "broken")
    assert.dead(second, "broken")
    assert.same({ {}, {}, {} }, { a.questions, first.questions, second.questions })
    a:reload(source)
    assert.replied(a:retry(first), "one")
    assert.equal(1, #a.sent)
    assert.asked(a:retry(second), "ask 2")
    assert.not_equal(code, a.questions[1].code)
    assert.replied(a:answer "two", "two")
    assert.has_error(function() a:retry(second) end, "retry takes the result of a dead letter")
  end)

  it("says what is wrong with an answer, and what is open", function()
    local a = agent [[return ctx.ask(msg.text, {choices = {"yes", "no"}, hold = false, from = msg.peer and "canvas"}).choice]]
    local function fails(problem, call, ...)
      local fine, text = pcall(call, a, ...)
      assert.is_false(fine)
      assert(text:find(problem), text)
      assert(text:find "testing_questions_spec%.lua:%d+: " or not text:find "^[%w/]*%.lua", text)
    end
    fails("no question is open$", a.answer, "yes")
    fails("no question is open$", a.cancel_question)
    local code = a:send("ask 1").questions[1].code
    local open = ("open are:\n  %s to the canvas: ask 1"):format(code)
    fails('"maybe" is none of the choices: Please answer yes or no%.$', a.answer, "maybe")
    fails('no question with the code "ABCD" is open; ' .. open .. "$", a.answer, "yes", { code = "ABCD" })
    fails(('no question that "%s" may answer is open; '):format("peer") .. open .. "$", a.answer, "yes", { from = "peer" })
    fails(('question %s is not for "peer" to answer'):format(code), a.answer, "yes", { code = code, from = "peer" })
    fails("unknown field 'form'; did you mean 'from'%?", a.answer, "yes", { form = "canvas" })
    fails("unknown field 'txt'; did you mean 'text'%?", a.answer, { txt = "yes" })
    fails("takes a text or a table, not a nil", a.answer)
    local other = a:send { text = "ask 2", from = "peer" }
    local second = other.questions[1].code
    fails("several questions are open, so name one by its code; " .. open .. ("\n  %s to the canvas: ask 2$"):format(second),
      a.answer, "yes")
    fails("several questions are open", a.cancel_question)
    assert.equal(other, a:answer(second .. ": n"))
    assert.replied(other, "no")
    assert.replied(a:answer("y", { code = code, from = "canvas" }), "yes")
  end)

  it("is a mistake at the script's line where it cannot be asked", function()
    for code, problem in pairs {
      ['ctx.ask()'] = "the question must be a text",
      ['ctx.ask("?", {timout = 1})'] = "did you mean 'timeout'",
      ['ctx.ask("?", {choices = {"a b", "AB"}})'] = 'the choices "a b" and "AB" are the same to whoever answers',
      ['ctx.step("s", function() ctx.ask "?" end)'] = 'ctx%.ask cannot be used inside the step "s#1"',
    } do
      assert.dead(agent(code):send "ask", "agent%.lua:5: .*" .. problem)
    end
  end)
end)
