--- Tasks of A2A clients in the testing kit: what a client of `molecule serve` gets is what a spec sees.
package.path = "./lua/?.lua;./lua/?/init.lua;" .. package.path

local a2a = require "tests.support.a2a"
local host = require "tests.support.host"
local http = require "tests.support.http"
local t = require "molecule.testing"

local SCRIPT = [[
local molecule = require "molecule"
local words = {}
function words.echo(msg) return "echo " .. msg.text end
function words.message() return {text = "a message", as_message = true} end
function words.nothing() end
function words.reject() return molecule.reject "not my job" end
function words.plainreject() return molecule.reject() end
function words.dead() return molecule.dead "out of paper" end
function words.reply()
  return {text = "in short", artifacts = {{name = "report", text = "at length", description = "d", metadata = {a = 1}},
    {text = "no name"}}}
end
function words.alone() return {artifacts = {{name = "report", parts = {{kind = "text", text = "1"}, {text = "2"}}}}} end
function words.pieces(_, ctx)
  ctx.artifact {name = "n", text = "1 "}
  ctx.artifact {name = "other", text = "x"}
  ctx.artifact {name = "n", text = "2", append = true, last = true}
  ctx.artifact {name = "other", text = "y"}
  ctx.artifact {text = "unnamed", description = "d"}
  return "done"
end
function words.replaced(_, ctx)
  ctx.artifact {name = "n", text = "draft"}
  return {artifacts = {{name = "n", text = "final"}}}
end
function words.again(_, ctx)
  ctx.progress "begun"
  ctx.artifact {name = "n", text = "first ", append = true}
  if ctx.attempt == 1 then error "once more" end
  ctx.artifact {name = "n", text = "second", append = true}
end
function words.retry(_, ctx)
  ctx.artifact {name = "n", text = "x", append = true}
  if ctx.attempt == 1 then return molecule.retry {after = 0.05} end
end
function words.problems(_, ctx)
  local told = {}
  for _, piece in ipairs {{text = ""}, {parts = {}}, {parts = {{foo = 1}}}, {text = ("x"):rep(17 << 20)}} do
    told[#told + 1] = select(3, ctx.artifact(piece))
  end
  return table.concat(told, " ")
end
function words.msg(msg)
  local same = msg.task.id == msg.id and msg.task.id == msg.task_id and msg.task.context_id == msg.context_id
  local in_order = msg.conversation == msg.from .. "/" .. msg.context_id
  return ("%s %s %s %s %s"):format(msg.from, msg.principal, msg.peer.id, same, in_order)
end
function words.ask(_, ctx)
  local answer = ctx.ask("Which?", {choices = {"yes", "no"}})
  return ("%s from %s"):format(answer.choice, answer.from)
end
function words.login(_, ctx) return "in as " .. ctx.auth_required("Log in.").text end
return {concurrency = 4, handle = function(msg, ctx) return words[msg.text](msg, ctx) end}]]

local STATES = { replied = "COMPLETED", no_reply = "COMPLETED", rejected = "REJECTED", dead = "FAILED" }

describe("a task in the testing kit", function()
  local one, a, count

  before_each(function()
    a, count = t.agent("agent.lua", { source = SCRIPT }), 0
  end)
  after_each(function()
    t.reset()
    if one then one:stop() end
    one = nil
    host.clean_up()
  end)

  local function text_of(parts)
    local texts = {}
    for i, part in ipairs(parts or {}) do texts[i] = part.text end
    return table.concat(texts)
  end

  local function ask(text, task_id)
    count = count + 1
    local message = { messageId = "m" .. count, taskId = task_id, role = "ROLE_USER", parts = { { text = text } } }
    return http.request { port = tonumber(one.url:match ":(%d+)"), method = "POST", path = "/message:send",
      headers = { ["A2A-Version"] = "1.0" }, json = { message = message } }.json
  end

  local function theirs(text)
    local answer = ask(text)
    if answer.message then return { state = "COMPLETED", reply = text_of(answer.message.parts), as_message = true } end
    local status, said = answer.task.status, {}
    local seen = { state = status.state:match "^TASK_STATE_(.*)", reason = text_of((status.message or {}).parts), artifacts = {} }
    for _, message in ipairs(answer.task.history) do
      if message.role == "ROLE_AGENT" then said[#said + 1] = text_of(message.parts) end
    end
    seen.progress = table.concat(said, "|")
    for _, artifact in ipairs(answer.task.artifacts or {}) do
      seen.artifacts[#seen.artifacts + 1] = { artifact.name, text_of(artifact.parts), artifact.description,
        artifact.metadata and next(artifact.metadata) }
    end
    return seen
  end

  local function ours(text)
    local result = a:send { text = text, principal = "anonymous" }
    if result.outcome == "failed" or result.outcome == "retry" then a:settle() end
    if result.as_message then return { state = "COMPLETED", reply = result.reply, as_message = true } end
    local seen = { state = STATES[result.outcome], reason = result.reason or "", artifacts = {},
      progress = table.concat(result.progress, "|") }
    for i, one_artifact in ipairs(result.artifacts) do
      seen.artifacts[i] = { one_artifact.name, one_artifact.text, one_artifact.description,
        one_artifact.metadata and next(one_artifact.metadata) }
    end
    if result.reply and result.reply ~= "" then table.insert(seen.artifacts, { nil, result.reply }) end
    return seen
  end

  it("ends as in the program, with the same artifacts and words", function()
    one = a2a.serve { script = SCRIPT }
    for _, text in ipairs { "echo", "message", "nothing", "reject", "plainreject", "dead", "reply", "alone", "pieces", "replaced",
      "again", "retry", "problems", "msg" } do
      assert.same({ text, theirs(text) }, { text, ours(text) })
    end
  end)

  it("asks as in the program, and takes the answer", function()
    one = a2a.serve { script = SCRIPT }
    local task = ask "ask".task
    assert.equal("TASK_STATE_INPUT_REQUIRED", task.status.state)
    local result = a:send { text = "ask", principal = "anonymous" }
    assert.asked(result, "Which?")
    assert.equal(text_of(task.status.message.parts), result.sent[1].text)
    local hint = ask("perhaps", task.id).task
    local hinted = a:send { text = "perhaps", principal = "anonymous", task_id = result.task.id }
    assert.equal(text_of(hint.status.message.parts), hinted.sent[1].text)
    local done = ask("YES", task.id).task
    local answered = a:send { text = "YES", principal = "anonymous", task_id = result.task.id }
    assert.equal("answer", answered.outcome)
    assert.replied(result, text_of(done.artifacts[1].parts))
  end)

  it("of several that ask is answered by its own, or by a:answer", function()
    local first, second = a:send { text = "login", task = true }, a:send { text = "login", principal = "bob" }
    assert.asked(first, "Log in.")
    assert.replied(a:answer("bob", { from = "bob" }), "in as bob")
    assert.equal("asleep", first.outcome)
    a:send { text = "ann", task = true, task_id = first.task.id }
    assert.replied(first, "in as ann")
    assert.replied(second, "in as bob")
  end)

  it("records each piece as it was given", function()
    local result = a:send { text = "pieces", principal = "alice", task = { id = "t-1", context_id = "c-1" } }
    assert.same({ id = "t-1", context_id = "c-1" }, result.task)
    assert.same({ { "n", "1 " }, { "other", "x" }, { "n", "2", true, true }, { "other", "y" }, { nil, "unnamed" } },
      (function()
        local list = {}
        for i, piece in ipairs(a.artifacts) do list[i] = { piece.name, piece.text, piece.append, piece.last } end
        return list
      end)())
    assert.equal("1 2", result.artifacts[1].text)
    assert.is_true(result.artifacts[1].last)
  end)

  it("needs a client: elsewhere ctx.artifact fails, and a rejection is a reply", function()
    assert.replied(a:send "reject", "not my job")
    assert.rejected(a:send { text = "reject", principal = "alice" }, "not my job")
    local other = t.agent("agent.lua", { source = [[
      return function(msg, ctx) return select(3, ctx.artifact {text = "x"}) end]] })
    assert.replied(other:send "x", "NO_TASK")
  end)

  it("of a spec that is wrong is told so", function()
    for _, case in ipairs { { "task is true or", { text = "echo", task = 5 } }, { "principal is a name", { principal = 5 } },
      { "no `from`", { principal = "alice", from = "peer" } },
      { "waits for a message", { principal = "alice", task_id = "none" } } } do
      local fine, problem = pcall(a.send, a, case[2])
      assert.is_false(fine)
      assert(problem:find(case[1], 1, true), problem)
    end
  end)
end)
