local t = require "molecule.testing"

local URL = "https://api.openai.com/v1/chat/completions"

describe("llm", function()
  local a, asked

  before_each(function()
    asked = {}
    a = t.agent("examples/llm.lua", {env = {OPENAI_API_KEY = "sk-test"}})
    a:http("POST", URL, function(request)
      asked[#asked + 1] = t.json.decode(request.body)
      return {json = {choices = {{message = {role = "assistant", content = "answer " .. #asked}, finish_reason = "stop"}}}}
    end)
  end)
  after_each(t.reset)

  it("answers with what the model says", function()
    assert.replied(a:send {text = "hello"}, "answer 1")
  end)

  it("remembers the conversation", function()
    a:send {text = "my name is Ada"}
    a:send {text = "what is my name?"}
    local words = {}
    for _, message in ipairs(asked[2].messages) do words[#words + 1] = message.content end
    assert.truthy(table.concat(words, "\n"):find("my name is Ada", 1, true))
  end)

  it("has a command of its own", function()
    assert.replied(a:send {text = "/model"}, "gpt-4o-mini")
    assert.equal(0, #asked)
  end)
end)
