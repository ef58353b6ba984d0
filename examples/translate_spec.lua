local t = require "molecule.testing"

local URL = "http://model.example/v1"

describe("translate", function()
  local a

  local function event(text) return ('data: {"choices":[{"delta":{"content":"%s"}}]}\n\n'):format(text) end

  before_each(function()
    a = t.agent("translate.lua", {options = {url = URL}})
    a:http("POST", URL .. "/chat/completions", {chunks = {event "guten ", event "Morgen", "data: [DONE]\n\n"}})
  end)
  after_each(t.reset)

  it("shows an A2A client each piece as it comes, and all of it at the end", function()
    local result = a:send {text = "to German: good morning", principal = "alice"}
    assert.equal("guten ", a.artifacts[1].text)
    assert.equal("Morgen", a.artifacts[2].text)
    assert.truthy(a.artifacts[2].append)
    assert.equal("draft", result.artifacts[1].name)
    assert.equal("translation", result.artifacts[2].name)
    assert.equal("guten Morgen", result.artifacts[2].text)
    assert.same({language = "German"}, result.artifacts[2].metadata)
  end)

  it("asks for the language, and takes the answer from the task's client", function()
    local result = a:send {text = "good morning", principal = "alice"}
    assert.asked(result, "Into which language?")
    a:send {text = "ger", principal = "alice", task_id = result.task.id}
    assert.equal("guten Morgen", result.artifacts[2].text)
    assert.truthy(a.calls[1].body:find("Translate into German", 1, true))
  end)

  it("begins again after an error, and the translation is of one run", function()
    a:http("POST", URL .. "/chat/completions", {{chunks = {event "gute ", "data: {\n\n", 'data: {"choices":5}\n\n'}},
      {chunks = {event "guten ", event "Morgen"}}})
    local result = a:send {text = "to German: good morning", principal = "alice"}
    assert.failed(result)
    assert.equal("gute ", result.artifacts[1].text)
    a:settle()
    assert.equal("guten Morgen", result.artifacts[2].text)
  end)

  it("rejects what it cannot do", function()
    assert.rejected(a:send {text = "to Klingon: good morning", principal = "alice"}, "I do not know Klingon.")
    assert.rejected(a:send {text = "to German: ", principal = "alice"}, "nothing to translate")
    assert.equal(0, #a.calls)
  end)

  it("gives up after an hour without an answer", function()
    local result = a:send {text = "good morning", principal = "alice"}
    t.clock:advance "61m"
    assert.rejected(result, "Nobody named a language.")
  end)

  it("is one reply in the canvas", function()
    assert.replied(a:send "to German: good morning", "guten Morgen")
    assert.equal(0, #a.artifacts)
  end)
end)
