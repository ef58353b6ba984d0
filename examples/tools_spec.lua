local t = require "molecule.testing"

local URL = "https://api.openai.com/v1/chat/completions"

describe("tools", function()
  local a, asked, answers

  before_each(function()
    asked, answers = {}, {}
    a = t.agent("tools.lua", {env = {OPENAI_API_KEY = "sk-test"}})
    a:http("POST", URL, function(request)
      asked[#asked + 1] = t.json.decode(request.body)
      return {json = {choices = {{message = answers[#asked] or answers[#answers]}}}}
    end)
  end)
  after_each(t.reset)

  local function call(name, arguments)
    return {role = "assistant", tool_calls = {{id = "c1", type = "function",
      ["function"] = {name = name, arguments = t.json.encode(arguments)}}}}
  end

  it("runs what the model asks for, and gives it the result", function()
    a:exec("df -h /", {stdout = "81 % full"})
    answers = {call("disk", {path = "/"}), {role = "assistant", content = "The disk is fairly full."}}
    assert.replied(a:send {text = "how is the disk?"}, "The disk is fairly full.")
    local last = asked[2].messages[#asked[2].messages]
    assert.same({"tool", "c1", "81 % full"}, {last.role, last.tool_call_id, last.content})
  end)

  it("tells the model of a tool that there is not", function()
    answers = {call("reboot", {}), {role = "assistant", content = "I cannot do that."}}
    assert.replied(a:send {text = "reboot"}, "I cannot do that.")
    assert.equal("there is no tool reboot", asked[2].messages[#asked[2].messages].content)
  end)

  it("does not go round forever", function()
    answers = {call("note", {})}
    assert.replied(a:send {text = "notes"}, "more than 5 rounds")
    assert.equal(5, #asked)
  end)
end)
