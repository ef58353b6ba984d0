--- molecule test examples/llm_spec.lua
local t = require "molecule.testing"

describe("llm.lua", function()
  local URL = "https://api.openai.com/v1/chat/completions"
  local a

  before_each(function() a = t.agent("llm.lua", {env = {OPENAI_API_KEY = "sk-test"}}) end)
  after_each(t.reset)

  local function answer(text) return {json = {choices = {{message = {role = "assistant", content = text}}}}} end

  it("sends its role, the conversation and the key", function()
    a:http("POST", URL, function(request)
      local messages = request.json.messages
      return answer(("%s %d %s"):format(messages[1].role, #messages, messages[#messages].content))
    end)
    assert.replied(a:send "hello", "system 2 hello")
    assert.replied(a:send "and again", "system 4 and again")
    assert.equal("Bearer sk-test", a.calls[1].headers.Authorization)
  end)

  it("waits for a service that is busy", function()
    a:http("POST", URL, {{status = 429, headers = {["Retry-After"] = "20"}}, answer "now"})
    local result = a:send "hello"
    assert.retried(result)
    t.clock:advance("20s")
    assert.replied(result, "now")
  end)

  it("knows its own command", function()
    assert.replied(a:send "/model", "gpt-4o-mini")
  end)
end)
