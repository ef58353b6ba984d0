--- The backend openai, against a stand-in for the model's service.

local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
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
      if value then
        args[#args + 1] = "--backend-opt"
        args[#args + 1] = name .. "=" .. value
      end
    end
    return args
  end

  local function connect(options, more, env)
    local args = options_of(options)
    for _, argument in ipairs(more or {}) do args[#args + 1] = argument end
    return host.connect { platform = platform, workspace = workspace, args = args, state_dir = state,
      env = env or { OPENAI_API_KEY = false } }
  end

  local function ask(one, text, context)
    local before = #one:told_canvas()
    platform:message { to = workspace.id, text = text, context_id = context }
    return one:canvas(before + 1)[before + 1]
  end

  local function sent(number) return cjson.decode(web.requests[number].body) end

  local function status(code, body, headers)
    return function(reply) reply(code, type(body) == "table" and cjson.encode(body) or body, headers) end
  end

  local function events(...)
    local text = {}
    for _, piece in ipairs { ... } do
      text[#text + 1] = "data: " .. cjson.encode { choices = { { delta = { content = piece } } } } .. "\n\n"
    end
    return table.concat(text)
  end

  it("sends what the options say, and answers with the model's words", function()
    local one = connect({ system = "Be brief.", temperature = "0.5", max_tokens = "100", key_env = "MY_KEY" }, nil,
      { MY_KEY = "its-own-key" })
    assert.equal("2: hello", ask(one, "hello"))
    assert.equal("/v1/chat/completions", web.requests[1].path)
    assert.equal("Bearer its-own-key", web.requests[1].headers.authorization)
    assert.same({ model = "test-model", temperature = 0.5, max_tokens = 100, messages = {
      { role = "system", content = "Be brief." }, { role = "user", content = "hello" } } }, sent(1))
    one:stop()
  end)

  it("needs no key", function()
    local one = connect()
    assert.equal("1: hello", ask(one, "hello"))
    assert.is_nil(web.requests[1].headers.authorization)
    one:stop()
  end)

  it("remembers a conversation, and no other, also after a restart, as many turns as it was told", function()
    local one = connect { history = 2 }
    assert.equal("1: a", ask(one, "a"))
    assert.equal("3: b", ask(one, "b"))
    assert.equal("1: elsewhere", ask(one, "elsewhere", "another"))
    one:stop()
    one = connect { history = 2 }
    local before = #one:told_canvas()
    platform:message { to = workspace.id, text = "c" }
    assert.equal("5: c", one:canvas(before + 1)[before + 1])
    assert.equal("5: d", ask(one, "d"))
    assert.same({ { role = "user", content = "b" }, { role = "assistant", content = "3: b" },
      { role = "user", content = "c" }, { role = "assistant", content = "5: c" }, { role = "user", content = "d" } },
      sent(5).messages)
    one:stop()
  end)

  it("forgets with history=0, and what is older than history_ttl", function()
    local one = connect { history = 0 }
    assert.equal("1: a", ask(one, "a"))
    assert.equal("1: b", ask(one, "b"))
    one:stop()
    workspace = host.workspace(platform)
    one = connect { history_ttl = "1ms" }
    assert.equal("1: a", ask(one, "a"))
    assert.equal("1: b", ask(one, "b"))
    one:stop()
  end)

  for code, name in pairs { [401] = "401", [403] = "403" } do
    it("names the variable of the key, and never the key, when it is refused with " .. name, function()
      local function refusal(env)
        answers[1] = status(code, { error = { message = "Incorrect API key provided: its-own-key" } })
        local one = connect(nil, { "--max-attempts", "1" }, env)
        local row = platform:message { to = workspace.id, text = "hello" }[1]
        local line = one:log_of(row, ("refuses the key %%(%d%%)"):format(code))
        one:stop()
        assert.is_nil((one.process.stdout .. one.process.stderr):find("its%-own%-key"))
        return line
      end
      local line = refusal { OPENAI_API_KEY = "its-own-key" }
      assert(line:find("Incorrect API key provided: (the key); look at the variable OPENAI_API_KEY (key_env)", 1, true), line)
      workspace = host.workspace(platform)
    end)
  end

  it("says that the variable of the key is not set when the service wants one", function()
    answers[1] = status(401, { error = { message = "no key" } })
    local one = connect(nil, { "--max-attempts", "1" })
    local row = platform:message { to = workspace.id, text = "hello" }[1]
    one:log_of(row, "no key; the variable OPENAI_API_KEY %(key_env%) is not set")
    one:stop()
  end)

  it("waits as long as the service asks for when there are too many requests or it is down", function()
    answers[1] = status(429, { error = { message = "slow down" } }, { ["Retry-After"] = "1.2" })
    local one = connect()
    local row = platform:message { to = workspace.id, text = "hello" }[1]
    one:log_of(row, "retry in 1%.2 s: .*answered 429: slow down")
    assert.same({ "1: hello" }, one:canvas(1))
    answers[1] = status(503, "overloaded", { ["Retry-After"] = os.date("!%a, %d %b %Y %H:%M:%S GMT", os.time() + 60) })
    row = platform:message { to = workspace.id, text = "hello" }[1]
    one:log_of(row, "retry in [56]%d%.%d s: .*answered 503: overloaded")
    one:stop()
  end)

  local PAST = os.date("!%a, %d %b %Y %H:%M:%S GMT", os.time() - 5)
  for _, value in ipairs { "0", "-1", "0.001", PAST, "Sun, 99999999999 Nov 1994 08:49:37 GMT" } do
    it("does not hammer a service whose Retry-After is " .. value:gsub("%w+, .*", "a date of no use"), function()
      for i = 1, 100 do answers[i] = status(429, "slow down", { ["Retry-After"] = value }) end
      local one = connect()
      local row = platform:message { to = workspace.id, text = "hello" }[1]
      one:log_of(row, "retry in [1-9]%d*%.%d s: .*answered 429: slow down")
      one:stop()
    end)
  end

  it("forgets the older half of a conversation that is too long for the model, and of the rest", function()
    local too_long = status(400, { error = { code = "context_length_exceeded", message = "too many tokens" } })
    local one = connect(nil, { "--max-attempts", "1" })
    for _, text in ipairs { "a", "b", "c" } do ask(one, text) end
    answers[1] = too_long
    assert.equal("3: d", ask(one, "d"))
    assert.equal("c", sent(5).messages[1].content)
    assert.equal("5: e", ask(one, "e")) -- c, d and e: what was dropped stays forgotten
    answers[1], answers[2] = too_long, too_long
    assert.equal("1: f", ask(one, "f"))
    answers[1], answers[2] = too_long, too_long
    local row = platform:message { to = workspace.id, text = "g" }[1]
    one:log_of(row, "answered 400: too many tokens; the message alone is too long for the model")
    assert.equal("3: h", ask(one, "h")) -- what was not answered is not remembered, f is
    one:stop()
  end)

  it("does not remember a turn that failed", function()
    answers[1] = status(200, { choices = { { message = { content = " " } } } })
    local one = connect(nil, { "--max-attempts", "1", "--error-reply", "it failed" })
    local row = platform:message { to = workspace.id, text = "a" }[1]
    one:log_of(row, "answered without any text")
    one:canvas(1)
    assert.equal("1: b", ask(one, "b"))
    one:stop()
  end)

  for what, case in pairs {
    ["no JSON"] = { "<html>", "did not answer in JSON: " },
    ["no choices"] = { "{}", "answered without any text" },
    ["null for an answer"] = { '{"choices": [{"message": {"content": null}}]}', "answered without any text" },
  } do
    it("says so when the service answers with " .. what, function()
      answers[1] = status(200, case[1])
      local one = connect(nil, { "--max-attempts", "1" })
      local row = platform:message { to = workspace.id, text = "a" }[1]
      one:log_of(row, case[2])
      one:stop()
    end)
  end

  for body, pattern in pairs {
    ['{"error": {"code": 502, "message": "no provider is left"}}'] = ": no provider is left",
    ['{"error": "no such model"}'] = ": no such model",
    ['{"error": {"code": 7, "message": null}, "choices": []}'] = ': {"error": {"code": 7,',
    ['{"choices": [{"error": {"message": "the filter struck"}, "message": {"content": ""}}]}'] = ": the filter struck",
    ['{"error": null, "choices": [{"message": {"content": "fine"}}]}'] = "replied",
  } do
    it("gives the service's own words where it says in its answer what went wrong: " .. body, function()
      answers[1] = status(200, body)
      local one = connect(nil, { "--max-attempts", "1" })
      one:log_of(platform:message { to = workspace.id, text = "a" }[1], pattern)
      one:stop()
    end)
  end

  it("never quotes its key, not even the part that fits", function()
    answers[1] = status(200, { error = { message = ("x"):rep(490) .. " its-own-key-of-some-length" } })
    answers[2] = status(200, ("y"):rep(490) .. " its-own-key-of-some-length")
    answers[3] = status(400, ("z"):rep(490) .. " its-own-key-of-some-length")
    local one = connect(nil, { "--max-attempts", "3" }, { OPENAI_API_KEY = "its-own-key-of-some-length" })
    one:log_of(platform:message { to = workspace.id, text = "a" }[1], "zzz %(the key")
    one:stop()
    local said = one.process.stdout .. one.process.stderr
    assert(said:find("xxx (the key", 1, true) and said:find("yyy (the key", 1, true), said)
    assert.is_nil(said:find("its-own", 1, true))
  end)

  it("ends a request that takes longer than its timeout", function()
    answers[1] = function() end
    local one = connect({ timeout = "100ms" }, { "--max-attempts", "1" })
    local row = platform:message { to = workspace.id, text = "a" }[1]
    one:log_of(row, "%[TIMEOUT%]")
    one:stop()
  end)

  describe("with stream=true", function()
    local HEAD = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"

    it("puts the answer together from its pieces", function()
      answers[1] = function(reply, body)
        assert.equal(true, body.stream)
        reply.raw(HEAD .. events("one ", cjson.null, "two ") .. ": a comment\n\n" .. events "three" .. "data: [DONE]\n\n")
        reply.finish()
      end
      local one = connect { stream = "true" }
      assert.equal("one two three", ask(one, "hello"))
      answers[1] = status(200, events "x" .. "data: [DONE]\n\n")
      ask(one, "again")
      assert.equal("one two three", sent(2).messages[2].content)
      one:stop()
    end)

    it("shows the human what has come so far, each piece once, where it was asked to", function()
      local more
      answers[1] = function(reply)
        more = reply
        reply.raw(HEAD .. events("first"))
      end
      local one = connect { stream = "true", progress = "0.01" }
      local row = platform:message { to = workspace.id, text = "hello" }[1]
      require("tests.support.loop").wait(function() return more end)
      -- a piece is shown with the one that comes after the time is over
      local timer = require("luv").new_timer()
      timer:start(30, 30, function() more.raw(": still here\n\n" .. events ".") end)
      assert.equal("first", one:canvas(1)[1]:sub(1, 5)) -- on a slow machine its time is over before the next one
      timer:close()
      more.raw(events("last") .. "data: [DONE]\n\n")
      more.finish()
      one:log_of(row, "replied")
      require("tests.support.loop").flush()
      local told = one:told_canvas()
      local whole = table.remove(told)
      assert.equal("first.", whole:sub(1, 6))
      assert.equal("last", whole:sub(-4))
      assert.equal(whole:sub(1, #table.concat(told)), table.concat(told))
      one:stop()
    end)

    it("gives a peer the whole answer alone", function()
      local peer = host.workspace(platform)
      answers[1] = status(200, events("one ", "two") .. "data: [DONE]\n\n")
      local one = connect { stream = "true", progress = "0.001" }
      platform:message { to = workspace.id, from = peer.id, text = "hello" }
      assert.same({ "one two" }, (one:peer(peer.id, 1)))
      one:stop()
    end)

    local EVENTS = "text/event-stream"
    for what, case in pairs {
      ["an event's error is a text"] = { EVENTS, 'data: {"error": "the model fell over"}\n\n', ": the model fell over" },
      ["an event's error has no message"] = { EVENTS, 'data: {"error": {"code": 9}}\n\n', ': {"error": {"code": 9}}' },
      ["an event's choice has the error"] = { EVENTS,
        'data: {"choices": [{"error": {"message": "the filter struck"}}]}\n\n', ": the filter struck" },
      ["no events come but an error"] = { "application/json", '{"error": {"message": "no such model"}}', ": no such model" },
      ["no events come but a page"] = { "text/html", "<html>busy", "did not answer in JSON: <html>busy" },
    } do
      it("gives the service's own words where " .. what, function()
        answers[1] = status(200, case[2], { ["Content-Type"] = case[1] })
        local one = connect({ stream = "true" }, { "--max-attempts", "1" })
        one:log_of(platform:message { to = workspace.id, text = "a" }[1], (case[3]:gsub("[%[%]]", "%%%0")))
        one:stop()
      end)
    end

    it("takes an answer that comes whole all the same", function()
      answers[1] = status(200, { choices = { { message = { content = "whole" } } } }, { ["Content-Type"] = "application/json" })
      local one = connect { stream = "true" }
      assert.equal("whole", ask(one, "hello"))
      one:stop()
    end)

    it("takes an answer for complete that the service calls so, also where [DONE] is missing", function()
      answers[1] = status(200, events("all of ", "it") .. 'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\n')
      local one = connect { stream = "true" }
      assert.equal("all of it", ask(one, "hello"))
      one:stop()
    end)

    it("waits, says what was refused, and notices an answer that broke off, as without", function()
      answers[1] = status(429, { error = { message = "slow down" } }, { ["Retry-After"] = "1" })
      answers[2] = function(reply)
        reply.raw(HEAD .. events("half an ans"))
        reply.finish()
      end
      answers[3] = function(reply)
        reply.raw(HEAD .. 'data: {"error": {"message": "the model fell over"}}\n\n')
        reply.finish()
      end
      answers[4] = status(200, events("whole") .. "data: [DONE]\n\n")
      local one = connect({ stream = "true" }, { "--max-attempts", "9" })
      local row = platform:message { to = workspace.id, text = "hello" }[1]
      one:log_of(row, "retry in 1%.0 s: .*answered 429: slow down")
      one:log_of(row, "the answer broke off before its end")
      one:log_of(row, "the model fell over")
      assert.same({ "whole" }, one:canvas(1))
      one:stop()
    end)
  end)

  it("refuses options that make no sense", function()
    for pattern, options in pairs {
      ["needs %-%-backend%-opt model="] = { model = false },
      ["option url must begin with http"] = { url = "ftp://x" },
      ["option history must be a whole number from 0 to 10000, not \"1.5\""] = { history = "1.5" },
      ["option temperature must be a number"] = { temperature = "warm" },
      ["option progress needs stream=true"] = { progress = "3" },
      ["it knows extra, history, history_ttl, key_env, key_header, max_completion_tokens, max_tokens, model"] = { wrong = "1" },
    } do
      local one = host.run({ platform = platform, workspace = workspace, args = options_of(options) }, 2)
      one:log("backend openai.*" .. pattern)
    end
  end)

  it("works in the sandbox with the host it may reach, without a key", function()
    local one = connect(nil, { "--sandbox", "--allow-host", "127.0.0.1" }, { OPENAI_API_KEY = "its-own-key" })
    assert.equal("1: hello", ask(one, "hello"))
    assert.is_nil(web.requests[1].headers.authorization)
    one:stop()
    local args = options_of { key_env = "OPENAI_API_KEY" }
    args[#args + 1] = "--sandbox"
    host.run({ platform = platform, workspace = workspace, args = args }, 2):log "option key_env reads the environment"
  end)
end)
