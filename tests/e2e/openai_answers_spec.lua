--- The backend openai: however servers word a refusal, end an answer or cut it, and how it is configured.

local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local loop = require "tests.support.loop"
local server = require "tests.support.server"

describe("the backend openai", function()
  local platform, workspace, web, answers, state

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)

  before_each(function()
    workspace, answers, state = host.workspace(platform), {}, host.directory()
    web = server.start(function(request, reply)
      local answer = table.remove(answers, 1)
      if answer then return answer(reply, cjson.decode(request.body)) end
      local messages = cjson.decode(request.body).messages
      reply(200, cjson.encode { choices = { { message = { role = "assistant",
        content = ("%d: %s"):format(#messages, messages[#messages].content) } } } })
    end)
  end)

  after_each(function()
    server.stop_all()
    host.clean_up()
  end)

  teardown(function() platform:stop() end)

  local function options_of(options)
    local args = { "--backend", "openai" }
    local given = { url = web.url .. "/v1/", model = "test-model" }
    for name, value in pairs(options or {}) do given[name] = value end
    for name, value in pairs(given) do
      args[#args + 1] = "--backend-opt"
      args[#args + 1] = name .. "=" .. value
    end
    return args
  end

  local function connect(options, more, env)
    local args = options_of(options)
    for _, argument in ipairs(more or {}) do args[#args + 1] = argument end
    return host.connect { platform = platform, workspace = workspace, args = args, state_dir = state,
      env = env or { OPENAI_API_KEY = false } }
  end

  local function say(text) return platform:message { to = workspace.id, text = text or "hello" }[1] end

  local function ask(one, text)
    local before = #one:told_canvas()
    say(text)
    return one:canvas(before + 1)[before + 1]
  end

  local function sent(number) return cjson.decode(web.requests[number].body) end

  local function status(code, body, headers)
    return function(reply) reply(code, type(body) == "table" and cjson.encode(body) or body, headers) end
  end

  local function whole(message, reason) return status(200, { choices = { { message = message, finish_reason = reason } } }) end

  local HEAD = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"

  local function event(content, reason)
    local choice = { index = 0, delta = { content = content }, finish_reason = reason }
    return "data: " .. cjson.encode { choices = { choice } } .. "\n\n"
  end

  -- Sends the pieces and closes the connection.
  local function stream(...)
    local pieces = { ... }
    return function(reply)
      reply.raw(HEAD .. table.concat(pieces))
      reply.finish()
    end
  end

  describe("forgets the older half of a conversation that is too long", function()
    local function said(message, more)
      local problem = { message = message }
      for name, value in pairs(more or {}) do problem[name] = value end
      return { error = problem }
    end

    -- Each server's own way to say it: {status, body} or a function(reply)
    local ways = {
      ["OpenAI"] = { 400, said("This model's maximum context length is 8192 tokens. However, your messages resulted in more.",
        { code = "context_length_exceeded" }) },
      ["OpenAI, newer"] = { 400, said "Your input exceeds the context window of this model. Please adjust your input." },
      ["OpenAI, a request above the rate alone"] = { 429, said("Request too large for gpt-4o in organization org-x on tokens per "
        .. "min (TPM): Limit 30000, Requested 40000.", { type = "tokens", code = "rate_limit_exceeded" }) },
      ["Azure through a gateway"] = { 422, said("Too long", { code = "context_length_exceeded" }) },
      ["Anthropic"] = { 400, { type = "error", error = { type = "invalid_request_error",
        message = "prompt is too long: 208310 tokens > 200000 maximum" } } },
      ["Anthropic, with max_tokens"] = { 400, said "input length and `max_tokens` exceed context limit: 199000 + 8192 > 200000" },
      ["Anthropic, by bytes"] = { 413, said("Request exceeds the maximum size", { type = "request_too_large" }) },
      ["Bedrock"] = { 400, { message = "Input is too long for requested model." } },
      ["Gemini"] = { 400, "[" .. cjson.encode(said("The input token count (1250000) exceeds the maximum number of tokens allowed "
        .. "(1048576).", { code = 400, status = "INVALID_ARGUMENT" })) .. "]" },
      ["vLLM"] = { 400, { object = "error", code = 400, type = "BadRequestError",
        message = "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens" } },
      ["vLLM, newer"] = { 400, said("The decoder prompt (length 5000) is longer than the maximum model length of 4096.",
        { type = "BadRequestError", code = 400 }) },
      ["SGLang"] = { 400, { object = "error", message = "The input (5000 tokens) is longer than the model's context length "
        .. "(4096 tokens).", code = 400 } },
      ["TGI"] = { 422, { error = "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000",
        error_type = "validation" } },
      ["llama.cpp"] = { 400, said("the request exceeds the available context size, try increasing it",
        { code = 400, type = "exceed_context_size_error" }) },
      ["llama.cpp, as a failure"] = { 500, said("Context size has been exceeded.", { code = 500, type = "server_error" }) },
      ["LM Studio"] = { 400, { error = "Trying to keep the first 5000 tokens when context the overflows. However, the model is "
        .. "loaded with context length of only 4096 tokens" } },
      ["Ollama"] = { 400, { error = "the input length exceeds the context length" } },
      ["Mistral"] = { 400, { object = "error", type = "invalid_request_message_order", message = "Prompt contains 40000 tokens "
        .. "and 0 draft tokens, too large for model with 32768 maximum context length" } },
      ["Groq"] = { 400, said("Please reduce the length of the messages or completion.", { type = "invalid_request_error" }) },
      ["Groq, by rate"] = { 413, said("Request too large for model `x` in organization `y` on tokens per minute (TPM): Limit 9, "
        .. "please reduce your message size.", { type = "tokens", code = "rate_limit_exceeded" }) },
      ["xAI"] = { 400, { code = "Client specified an invalid argument", error = "This model's maximum prompt length is 131072 "
        .. "but the request contains 537812 tokens." } },
      ["Cohere"] = { 400, { message = "too many tokens: total number of tokens in the prompt cannot exceed 4081" } },
      ["a server of llama.cpp's kind"] = { 400, said "Requested tokens (5000) > n_ctx (4096)" },
      ["MiniMax"] = { 400, said "invalid params, context window exceeds limit (2013)" },
      ["Zhipu"] = { 400, said("Prompt exceeds max length", { code = "1261" }) },
      ["DashScope"] = { 400, said("Range of input length should be [1, 30720]", { code = "invalid_parameter_error" }) },
      ["GitHub Models"] = { 413, said("Request body too large for gpt-4o model. Max size: 8000 tokens.",
        { code = "tokens_limit_reached" }) },
      ["OpenRouter, for the provider behind it"] = { 400, said("Provider returned error", { code = 400,
        metadata = { raw = '{"error":{"message":"This model\'s maximum context length is 8192 tokens"}}' } }) },
      ["LiteLLM"] = { 400, said("litellm.BadRequestError: litellm.ContextWindowExceededError: AnthropicError",
        { type = "None", code = "400" }) },
      ["a proxy that takes no more bytes"] = { 413, "<html><h1>413 Request Entity Too Large</h1></html>" },
      ["an answer with status 200"] = { 200, said "the request exceeds the available context size" },
    }
    local ERROR = cjson.encode { code = 400, message = "the request exceeds the available context size", type = "x" }
    local streamed = {
      ["as an event"] = 'data: {"error":' .. ERROR .. "}\n\ndata: [DONE]\n\n",
      ["as an event of that name"] = "event: error\ndata: " .. ERROR .. "\n\n",
      ["as an event without a blank line"] = 'data: {"error":' .. ERROR .. "}",
      ["as a field"] = "error: " .. ERROR .. "\n\ndata: [DONE]\n\n",
      ["after a role"] = 'data: {"choices":[{"delta":{"role":"assistant","content":""}}]}\n\ndata: {"type":"error","error":'
        .. ERROR .. "}\n\n",
      ["in a choice"] = 'data: {"choices":[{"finish_reason":"error","error":' .. ERROR .. "}]}\n\n",
    }

    local function check(one, refuse, name)
      local turns = #web.requests
      answers[1] = refuse
      local told = ask(one, name)
      assert.equal(turns + 2, #web.requests, name)
      return told
    end

    it("whatever the server's words", function()
      local one = connect({ history = "2" }, { "--max-attempts", "1" })
      ask(one, "first")
      for name, way in pairs(ways) do
        assert.equal("1: " .. name, check(one, status(table.unpack(way)), name))
      end
      one:stop()
    end)

    it("also where it says so in events", function()
      local one = connect({ history = "2", stream = "true" }, { "--max-attempts", "1" })
      ask(one, "first")
      for name, body in pairs(streamed) do
        assert.equal("1: " .. name, check(one, stream(body), name))
      end
      answers[1] = status(400, 'data: {"error":' .. ERROR .. "}\n\n")
      assert.equal("1: last", ask(one, "last"))
      one:stop()
    end)

    it("again and again until it fits, whatever it takes", function()
      local one = connect(nil, { "--max-attempts", "1" })
      for i = 1, 9 do ask(one, "m" .. i) end
      for i = 1, 4 do answers[i] = status(400, said "prompt is too long") end
      assert.equal("1: short", ask(one, "short"))
      assert.equal("3: next", ask(one, "next"))
      one:stop()
    end)

    it("but not for what is too large for another reason", function()
      local one = connect(nil, { "--max-attempts", "1" })
      ask(one, "first")
      for i, way in ipairs {
        { 429, said "Rate limit reached for gpt-4o on tokens per min (TPM): Limit 30000, Used 29000, Requested 2000" },
        { 429, said "Too many tokens, please wait before trying your request again." },
      } do
        answers[1] = status(way[1], way[2], { ["Retry-After"] = "1" })
        one:log_of(say "again", "retry in 1.0 s: .*answered 429")
        assert.equal(("%d: again"):format(2 * i + 1), one:canvas(i + 1)[i + 1]) -- asked once more, with all of its history
      end
      one:stop()
    end)
  end)

  describe("uses an answer that is complete, however the stream ends:", function()
    local FINISHED = event("all of ") .. event("it", "stop")
    local CUT = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 100000\r\n\r\n"
    local endings = {
      ["[DONE] without a blank line"] = stream(event "all of ", event "it", "data: [DONE]"),
      ["[DONE] with blanks"] = stream(event "all of ", event "it", "data: [DONE] \n\n"),
      ["[DONE] after the colon at once"] = stream(event "all of ", event "it", "data:[DONE]\r\n\r\n"),
      ["empty data"] = stream("data:\n\n", event "all of ", "data: \n\n", event "it", "data: [DONE]\n\n"),
      ["a finish reason without [DONE]"] = stream(FINISHED),
      ["a finish reason in a last event without a blank line"] = stream((FINISHED:gsub("\n+$", ""))),
      ["a finish reason of its own with null for a delta"] = stream(event "all of ", event "it",
        'data: {"choices":[{"index":0,"delta":null,"finish_reason":"stop"}]}\n\n'),
      ["usage without choices"] = stream(FINISHED, 'data: {"choices":[],"usage":{"total_tokens":3}}\n\n', "data: [DONE]\n\n"),
      ["a finish reason in every event"] = stream(event("all of ", "stop"), event("it", "stop"), "data: [DONE]\n\n"),
      ["a BOM at the beginning"] = stream("\u{FEFF}", FINISHED),
      ["comments and pings"] = stream(": PROCESSING\n\n", 'event: ping\ndata: {"type": "ping"}\n\n', FINISHED),
      ["an error after the end"] = stream(FINISHED, 'data: {"error": {"message": "usage cannot be counted"}}\n\n'),
      ["nonsense after the end"] = stream(FINISHED, "data: <html>busy\n\n"),
      ["nonsense between events"] = stream(event "all of ", "data: ping\n\n", event("it", "stop")),
      ["a connection cut after the finish reason"] = function(reply)
        reply.raw(CUT .. FINISHED)
        reply.finish()
      end,
      ["a connection cut within the last event"] = function(reply)
        reply.raw(CUT .. FINISHED .. 'data: {"choi')
        reply.finish()
      end,
      ["another choice meanwhile"] = stream(event "all of ",
        'data: {"choices":[{"index":1,"delta":{"content":"NO"},"finish_reason":"stop"}]}\n\n', event("it", "stop")),
      ["one JSON object a line"] = stream((FINISHED:gsub("data: ", ""):gsub("\n\n", "\n"))),
      ["a whole answer cut after its JSON"] = function(reply)
        reply.raw("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" .. '{"choices":[{"message":{"content":"all of it"}}]}')
        reply.finish()
      end,
    }

    it("all of its ways", function()
      local one = connect({ stream = "true", history = "0" }, { "--max-attempts", "1" })
      for name, ending in pairs(endings) do
        answers[1] = ending
        assert.equal("all of it", ask(one, name), name)
      end
      assert.equal(0, #answers)
      one:stop()
    end)

    it("with events that nobody asked for, and a whole answer that is cut after its JSON", function()
      answers[1] = stream(FINISHED .. "data: [DONE]\n\n")
      local one = connect({ url = web.url .. "/v1?key=hidden-word" }, { "--max-attempts", "1" })
      assert.equal("all of it", ask(one))
      answers[1] = endings["a whole answer cut after its JSON"]
      assert.equal("all of it", ask(one))
      local line = one:log "using the answer, which was complete before this error: .*%[NETWORK%]"
      assert.is_nil(line:find("hidden-word", 1, true))
      answers[1] = function(reply)
        reply.raw('HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{"choices":[{"message":{"content":"all of')
        reply.finish()
      end
      one:log_of(say(), "the handler failed .*%[NETWORK%]")
      one:stop()
    end)

    it("silence", function()
      answers[1] = function(reply) reply.raw(HEAD .. FINISHED) end
      local one = connect({ stream = "true", timeout = "0" }, { "--max-attempts", "1" })
      assert.equal("all of it", ask(one))
      one:stop()
    end)

    it("silence that meets the timeout", function()
      answers[1] = function(reply) reply.raw(HEAD .. FINISHED) end
      local one = connect({ stream = "true", timeout = "300ms" }, { "--max-attempts", "1" })
      assert.equal("all of it", ask(one))
      one:log "using the answer, which was complete before this error: .*timed out"
      one:stop()
    end)
  end)

  it("does not take an answer for complete that is not", function()
    local one = connect({ stream = "true" }, { "--max-attempts", "1" })
    for _, case in ipairs {
      { stream(event "half"), "broke off before its end" },
      { stream(event "half", 'data: {"choi'), "sent an event that is not JSON: {\"choi" },
      { stream(event "half", event(nil, "error")), "ended the answer with an error %(finish_reason%)" },
      { stream(event "half", 'data: {"error": "out of memory"}\n\n', "data: [DONE]\n\n"), "with an error: out of memory" },
      { stream("data: out of order\n\n", "data: [DONE]\n\n"), "sent an event that is not JSON: out of order" },
    } do
      answers[1] = case[1]
      one:log_of(say(), case[2])
    end
    one:stop()
  end)

  it("joins characters that the service cuts in two between events", function()
    local function raw(content) return 'data: {"choices":[{"delta":{"content":"' .. content .. '"}}]}\n\n' end
    answers[1] = stream(raw "a\\ud83d", raw "\\ude00b ", raw "\xE2\x82", raw "\xAC \\ud83d", raw " \\\\ud83d", "data: [DONE]\n\n")
    local one = connect { stream = "true" }
    assert.equal("a\u{1F600}b \u{20AC} \u{FFFD} \\ud83d", ask(one))
    ask(one, "again")
    assert.equal("a\u{1F600}b \u{20AC} \u{FFFD} \\ud83d", sent(2).messages[2].content)
    one:stop()
  end)

  describe("that gets no text", function()
    it("replies with the words of a refusal, whole, as a part or in events", function()
      local one = connect({ stream = "true", history = "0" }, { "--max-attempts", "1" })
      for _, answer in ipairs {
        whole({ content = cjson.null, refusal = "I can't help with that." }, "stop"),
        whole({ content = { { type = "refusal", refusal = "I can't help with that." } } }, "stop"),
        stream('data: {"choices":[{"delta":{"refusal":"I can\'t "}}]}\n\n',
          'data: {"choices":[{"delta":{"refusal":"help with that."},"finish_reason":"stop"}]}\n\n'),
      } do
        answers[1] = answer
        assert.equal("I can't help with that.", ask(one))
      end
      one:stop()
    end)

    it("says why, tells the sender, and does not pay for the same again", function()
      local one = connect(nil, { "--error-reply", "it failed" })
      local count = 0
      for pattern, answer in pairs {
        ["content filter withheld it %(finish_reason content_filter%)"] = whole({ content = "" }, "content_filter"),
        ["the token limit was reached .*%(finish_reason length%): raise max_tokens"] =
          whole({ content = cjson.null, reasoning_content = "hm" }, "length"),
        ["wants to call a tool %(finish_reason tool_calls%)"] =
          whole({ content = cjson.null, tool_calls = { { id = "1" } } }, "tool_calls"),
        ["finish_reason recitation"] = whole({}, "recitation"),
        ["finish_reason length"] = whole({ content = "<think>\nwell, " }, "length"),
        ["answered with an error: max_tokens must be at least 1$"] =
          status(200, { object = "error", message = "max_tokens must be at least 1", code = 40303 }),
        ["answered 400: max_tokens is too large: 100000"] =
          status(400, { error = { message = "max_tokens is too large: 100000. This model supports at most 16384 tokens" } }),
        ["answered 400: Unknown parameter: 'x'$"] =
          status(400, { error = { message = "Unknown parameter: 'x'", code = "unknown_parameter" } }),
        ["answered 422: .*field required"] = status(422, { detail = { { loc = { "body" }, msg = "field required" } } }),
      } do
        answers[1] = answer
        count = count + 1
        one:log_of(say(), "attempt 1 of 1%): .*" .. pattern)
        assert.equal("it failed", one:canvas(count)[count])
        assert.equal(count, #web.requests)
      end
      one:stop()
    end)

    it("uses what was said before the limit was reached", function()
      answers[1] = whole({ content = "as far as it" }, "length")
      local one = connect()
      assert.equal("as far as it", ask(one))
      one:log "using an answer that was cut short %(finish_reason length%)"
      one:stop()
    end)
  end)

  describe("does not repeat what the model thinks aloud", function()
    local cases = {
      ["<think>\nsecret\n</think>\n\n4"] = "4",
      ["secret\n</think>\n\n4"] = "4",
      ["<thinking>secret</thinking>4\n<think>secret</think>\n5"] = "4\n5",
      ["[THINK]secret[/THINK]4"] = "4",
      ["The <think> tag ends with </think> always"] = "The <think> tag ends with </think> always",
      ["```\n<think>\nshown\n</think>\n```"] = "```\n<think>\nshown\n</think>\n```",
    }

    it("in a whole answer, nor in the history, unless asked for", function()
      local one = connect { history = "1" }
      for text, expected in pairs(cases) do
        answers[1] = whole({ content = text }, "stop")
        assert.equal(expected, ask(one))
        local number = #web.requests + 1
        ask(one, "next")
        assert.equal(expected, sent(number).messages[2].content)
      end
      one:stop()
      one = connect { thinking = "true" }
      answers[1] = whole({ content = "<think>loud</think>4" }, "stop")
      assert.equal("<think>loud</think>4", ask(one))
      one:stop()
    end)

    it("in parts that are thoughts", function()
      answers[1] = whole({ content = { { type = "thinking", thinking = { { type = "text", text = "secret" } } },
        { type = "text", text = "4" } } }, "stop")
      local one = connect()
      assert.equal("4", ask(one))
      one:stop()
    end)

    it("nor in interim words", function()
      local more
      answers[1] = function(reply)
        more = reply
        reply.raw(HEAD .. event "<thi" .. event "nk>secret")
      end
      local one = connect { stream = "true", progress = "0.01" }
      local row = say()
      loop.wait(function() return more end)
      local timer = require("luv").new_timer()
      more.raw(event " thoughts</think>first")
      timer:start(30, 30, function() more.raw(": still here\n\n" .. event ".") end)
      assert.equal("first", one:canvas(1)[1]:sub(1, 5))
      timer:close()
      more.raw(event(" last", "stop") .. "data: [DONE]\n\n")
      more.finish()
      one:log_of(row, "replied")
      loop.flush()
      for _, told in ipairs(one:told_canvas()) do assert.is_nil(told:find("secret", 1, true)) end
      one:stop()
    end)
  end)

  describe("whose account is empty", function()
    for name, way in pairs {
      ["OpenAI"] = { 429, { error = { message = "You exceeded your current quota, please check your plan and billing details.",
        type = "insufficient_quota", code = "insufficient_quota" } } },
      ["DeepSeek"] = { 402, { error = { message = "Insufficient Balance", type = "unknown_error" } } },
      ["Anthropic"] = { 400, { error = { message = "Your credit balance is too low to access the Anthropic API." } } },
      ["OpenRouter, in a 200"] = { 200, { error = { code = 402, message = "This request requires more credits" } } },
      ["a limit in billing"] = { 400, { error = { message = "limit", code = "billing_hard_limit_reached" } } },
    } do
      it("asks once, and tells the operator and the sender: " .. name, function()
        answers[1] = status(way[1], way[2])
        local one = connect(nil, { "--error-reply", "sorry" })
        one:log_of(say(), "attempt 1 of 1%): .*quota or credit is used up")
        assert.same({ "sorry" }, one:canvas(1))
        assert.equal(1, #web.requests)
        one:stop()
      end)
    end

    it("is not one that has used up its rate, however that is worded", function()
      local one = connect()
      for i, way in ipairs {
        { 429, { error = { code = 429, status = "RESOURCE_EXHAUSTED", message = "You exceeded your current quota, please "
          .. "check your plan and billing details. Please retry in 1.1s." } } },
        { 429, { error = { message = "Rate limit reached. Please try again in 1.1s.", code = "rate_limit_exceeded" } } },
        { 429, { error = { message = "slow down" } }, { ["retry-after-ms"] = "1100" } },
        { 200, { error = { type = "rate_limit_error", message = "try again in 1100ms" } } },
      } do
        answers[1] = status(table.unpack(way))
        one:log_of(say(), "retry in 1.1 s: ")
        one:canvas(i)
      end
      one:stop()
    end)

    for name, way in pairs { ["an overload"] = { 529, { error = { type = "overloaded_error", message = "Overloaded" } } },
      ["an overload in a 200"] = { 200, { type = "error", error = { type = "overloaded_error", message = "Overloaded" } } } } do
      it("is not one whose service has " .. name, function()
        answers[1] = status(way[1], way[2])
        local one = connect()
        one:log_of(say(), "retry in %d+%.%d s: .*Overloaded")
        one:canvas(1)
        one:stop()
      end)
    end
  end)

  describe("is configured", function()
    for name, key in pairs { ["a line end"] = "its-own-key\n", ["a CR and blanks"] = " its-own-key \r\n",
      ["quotes"] = '"its-own-key"', ["a BOM"] = "\u{FEFF}its-own-key", ["Bearer"] = "Bearer its-own-key" } do
      it("with a key that has around it " .. name, function()
        local one = connect(nil, nil, { OPENAI_API_KEY = key })
        ask(one)
        assert.equal("Bearer its-own-key", web.requests[1].headers.authorization)
        one:stop()
      end)
    end

    it("with a URL that has a query, ends with the path, or has blanks around it", function()
      for url, target in pairs {
        ["/openai/deployments/d?api-version=2024-06-01"] = "/openai/deployments/d/chat/completions?api-version=2024-06-01",
        ["/openai/deployments/d/?api-version=2024-06-01"] = "/openai/deployments/d/chat/completions?api-version=2024-06-01",
        ["/d/chat/completions?api-version=1"] = "/d/chat/completions?api-version=1",
        ["/v1/chat/completions"] = "/v1/chat/completions?",
        ["/v1/chat/completions/ "] = "/v1/chat/completions?",
        ["/v1//"] = "/v1/chat/completions?",
        ["/v1#here"] = "/v1/chat/completions?",
        [""] = "/chat/completions?",
      } do
        local one = connect { url = web.url .. url, history = "0" }
        ask(one)
        local request = web.requests[#web.requests]
        assert.equal((target:gsub("%?$", "")), request.path .. (request.query ~= "" and "?" .. request.query or ""))
        one:stop()
        workspace = host.workspace(platform)
      end
    end)

    it("with the key in another header", function()
      local one = connect({ key_header = "api-key" }, nil, { OPENAI_API_KEY = "its-own-key" })
      ask(one)
      assert.equal("its-own-key", web.requests[1].headers["api-key"])
      assert.is_nil(web.requests[1].headers.authorization)
      one:stop()
    end)

    it("with a URL whose query is a secret, which no log shows", function()
      answers[1] = status(400, { error = { message = "no" } })
      local one = connect({ url = web.url .. "/v1?key=hidden-word" }, { "--max-attempts", "1" })
      one:log_of(say(), "/v1/chat/completions answered 400: no")
      answers[1] = function(reply) reply.reset() end
      one:log_of(say(), "/v1/chat/completions: .*%[NETWORK%]")
      one:stop()
      assert.is_nil((one.process.stdout .. one.process.stderr):find("hidden-word", 1, true))
    end)

    it("with members of the request that it does not know", function()
      local one = connect { max_completion_tokens = "100", reasoning_effort = "low", temperature = "0.7", history = "0",
        extra = '{"top_p": 0.9, "temperature": null, "stop": ["x"], "chat_template_kwargs": {"enable_thinking": false}}' }
      ask(one)
      assert.same({ model = "test-model", max_completion_tokens = 100, reasoning_effort = "low", top_p = 0.9, stop = { "x" },
        chat_template_kwargs = { enable_thinking = false }, messages = { { role = "user", content = "hello" } } }, sent(1))
      one:stop()
    end)

    it("with max_tokens for a model that wants max_completion_tokens", function()
      answers[1] = function(reply, body)
        assert.equal(100, body.max_tokens)
        reply(400, cjson.encode { error = { message = "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
          .. "'max_completion_tokens' instead.", code = "unsupported_parameter" } })
      end
      local one = connect { max_tokens = "100", history = "0" }
      assert.equal("1: a", ask(one, "a"))
      assert.equal("1: b", ask(one, "b"))
      assert.equal(3, #web.requests)
      assert.equal(100, sent(3).max_completion_tokens)
      assert.is_nil(sent(3).max_tokens)
      one:stop()
    end)

    it("with options that make no sense, which are refused", function()
      for pattern, case in pairs {
        ["option extra must be a JSON object.*: line 1"] = { { extra = "{" } },
        ["option extra must be a JSON object"] = { { extra = "[1]" } },
        ["option extra must not contain messages"] = { { extra = '{"messages": []}' } },
        ["option extra must not contain stream: use the option stream"] = { { extra = '{"stream": true}' } },
        ["option url ends with /responses, another interface"] = { { url = web.url .. "/v1/responses" } },
        ["option url must not contain blanks"] = { { url = web.url .. "/v 1" } },
        ["option key_header must be the name of a header"] = { { key_header = "a b" } },
        ["variable OPENAI_API_KEY contains blanks, line breaks"] = { {}, { OPENAI_API_KEY = "one two" } },
      } do
        local one = host.run({ platform = platform, workspace = workspace, args = options_of(case[1]), env = case[2] }, 2)
        one:log("backend openai.*" .. pattern)
        assert.is_nil(one.process.stderr:find("one two", 1, true))
      end
    end)

    it("with a URL that lacks its path, which is said when it is not there", function()
      answers[1] = status(404, "404 page not found")
      local one = connect({ url = web.url }, { "--max-attempts", "1" })
      one:log_of(say(), "answered 404: .*; is the path missing from the option url, as in http://127.0.0.1:%d+/v1%?")
      one:stop()
    end)
  end)
end)
