--- `molecule serve`: what is large, what comes at its end, and what a client takes back.

local cjson = require "cjson"
local host = require "tests.support.host"
local loop = require "tests.support.loop"
local served = require "tests.support.served"
local server = require "tests.support.server"

local LARGE = [[
local molecule = require "molecule"
return { concurrency = 8, handle = function(msg, ctx)
  if msg.text:sub(1, 5) == "large" then return ("x"):rep(5 << 20) end
  if msg.text == "twice" then
    for i = 1, 9 do assert(ctx.artifact { name = "a", text = ("y"):rep(2 << 20) }) end
    return nil
  end
  if msg.text == "much" then
    local said, problem, code = ctx.progress(("z"):rep(70000))
    return ("%s %s"):format(said, code)
  end
  if msg.text:sub(1, 4) == "wait" then ctx.progress "waiting" molecule.sleep(60) end
  return "done"
end }]]

describe("molecule serve", function()
  after_each(served.clean_up)

  -- Bytes that a process has written so far.
  local function written(one)
    return tonumber(host.read(("/proc/%d/io"):format(one.process.pid)):match "wchar: (%d+)")
  end

  it("many artifacts cost as much as they say, not the square of it, and survive a kill", function()
    local gate = served.gate()
    local script = [[
      local molecule = require "molecule"
      return { concurrency = 4, handle = function(msg, ctx)
        local count = tonumber(msg.text)
        for i = 1, count do assert(ctx.artifact { name = "artifact " .. i, text = ("x"):rep(200) }) end
        molecule.http.get(ctx.options.gate .. "/made")
      end }]]
    local one = served.start { gate = gate, script = script }
    local function cost(count, waiting)
      local before = written(one)
      local id = one:begin(tostring(count)).id
      gate.wait(waiting)
      return written(one) - before, id
    end
    cost(10, 1)
    local few = cost(300, 2)
    local many, id = cost(2400, 3)
    assert(many < 16 * few, ("%d bytes for 300, %d for 2400"):format(few, many)) -- eight times as many
    one:kill()
    local two = served.start { gate = gate, script = script, state_dir = one.host.state_dir }
    gate.open()
    two:wait_state(id, "COMPLETED")
    local task = two:result("GetTask", { id = id })
    assert.equal(2400, #task.artifacts)
    for i, artifact in ipairs(task.artifacts) do assert.equal("artifact " .. i, artifact.name) end
    two:stop()
  end)

  -- The pages of a list, each as the ids of its tasks.
  local function pages_of(one, params)
    local pages, token = {}, nil
    repeat
      params.pageSize, params.pageToken = 100, token
      local page, ids = one:result("ListTasks", params), {}
      for i, task in ipairs(page.tasks) do ids[i] = task.id end
      pages[#pages + 1], token = ids, page.nextPageToken
    until token == ""
    return pages
  end

  it("lists tasks that have not ended page by page, too, if they are large", function()
    local one = served.start { script = LARGE }
    local padding, wanted = ("p"):rep(3 << 20), {}
    for i = 1, 3 do
      local id = one:begin(("wait %d %s"):format(i, padding)).id
      wanted[id] = true
      -- what changes while it is listed comes first then, and would be passed by
      assert(loop.wait(function() return one:get(id).status.message end), "the task did not say that it waits")
    end
    local pages = pages_of(one, {})
    for i = 1, 3 do
      assert.equal(1, #pages[i])
      wanted[pages[i][1]] = nil
    end
    assert.is_nil(next(wanted))
    one:kill()
  end)

  it("reads the artifacts of listed tasks only for whom wants them", function()
    local one = served.start { script = LARGE }
    for _ = 1, 3 do one:send "twice" end
    assert.equal(3, #pages_of(one, {})[1])
    assert(#pages_of(one, { includeArtifacts = true }) > 1, "it was one page")
    local page = one:result("ListTasks", { includeArtifacts = true })
    assert.equal(2 << 20, #page.tasks[1].artifacts[1].parts[1].text)
    assert.is_nil(one:result("ListTasks", {}).tasks[1].artifacts)
    one:stop()
  end)

  it("lists tasks with large messages page by page, none left out", function()
    local one = served.start { script = LARGE }
    local padding, wanted = ("p"):rep(3 << 20), {}
    for i = 1, 5 do wanted[one:send(("small %d %s"):format(i, padding)).task.id] = true end
    local token, pages = nil, 0
    repeat
      local page = one:result("ListTasks", { pageSize = 100, pageToken = token })
      assert.equal(5, page.totalSize)
      for _, task in ipairs(page.tasks) do
        assert.is_true(wanted[task.id])
        wanted[task.id] = nil
      end
      pages, token = pages + 1, page.nextPageToken
    until token == ""
    assert.is_nil(next(wanted))
    assert(pages > 1, "it was one page")
    one:stop()
  end)

  it("streams a result of many megabytes whole", function()
    local one = served.start { script = LARGE }
    local events = one:stream("large"):finish()
    local size = 0
    for _, event in ipairs(events) do
      if event.artifactUpdate then size = size + #event.artifactUpdate.artifact.parts[1].text end
    end
    assert.equal(5 << 20, size)
    assert.equal("COMPLETED", served.word(events[#events]))
    one:stop()
  end)

  it("counts an artifact that is replaced once", function()
    local one = served.start { script = LARGE }
    local task = one:send("twice").task
    assert.equal("TASK_STATE_COMPLETED", task.status.state)
    assert.equal(2 << 20, #task.artifacts[1].parts[1].text)
    one:stop()
  end)

  it("takes progress messages of at most 64 KiB", function()
    local one = served.start { script = LARGE }
    assert.equal("nil TOO_LARGE", served.text(one:send("much").task.artifacts[1].parts))
    one:stop()
  end)

  it("tells whoever waits when the time to finish is over", function()
    local one = served.start { script = LARGE, args = { "--drain", "100ms" } }
    local waiting = one:start("SendMessage", { message = served.message "wait" })
    local stream = one:stream "wait"
    stream:wait(2)
    one:stop()
    local answer = cjson.decode(waiting:wait().body)
    assert.truthy(answer.error.message:find("stopping", 1, true))
    assert.equal(503, waiting.status)
    stream.exchange:wait_body("the agent is stopping", 5000)
  end)

  it("posts nothing to a webhook that its client has deleted", function()
    local refuse, posts = true, 0
    local hook = server.start(function(_, reply)
      posts = posts + 1
      reply(refuse and 503 or 200, "")
    end)
    local one = served.start { script = LARGE, args = { "--allow-webhook", "127.0.0.1" } }
    local config = { url = hook.url, id = "mine" }
    local task = one:send("hello", { taskPushNotificationConfig = config }).task
    loop.wait(function() return posts > 0 end)
    one:result("DeleteTaskPushNotificationConfig", { taskId = task.id, id = "mine" })
    refuse = false
    local before = posts
    local other = one:send("hello", { taskPushNotificationConfig = { url = hook.url, id = "other" } }).task
    loop.wait(function() return posts >= before + 3 end) -- submitted, the reply, completed
    local page = one:result("ListTaskPushNotificationConfigs", { taskId = task.id })
    assert.equal(0, #page.configs)
    assert.equal("TASK_STATE_COMPLETED", one:get(other.id).status.state)
    one:stop()
    assert.equal(before + 3, posts)
  end)

  it("refuses a repeated messageId in another context, and webhooks that would break a header", function()
    local one = served.start { script = LARGE, args = { "--allow-webhook", "127.0.0.1" } }
    local message = served.message("hello", { contextId = "c1", messageId = "m1" })
    one:result("SendMessage", { message = message })
    one:result("SendMessage", { message = message })
    assert.equal(-32602, (one:problem("SendMessage", { message = served.message("hello"),
      configuration = { taskPushNotificationConfig = { url = "http://127.0.0.1:1/", token = "a\r\nX: y" } } })))
    message.contextId = "c2"
    assert.equal(-32602, (one:problem("SendMessage", { message = message })))
    one:stop()
  end)

  describe("a message that could not be read again", function()
    cjson.encode_max_depth(4000)
    cjson.decode_max_depth(4000)
    local function nested(levels) return cjson.decode(("["):rep(levels) .. ("]"):rep(levels)) end

    -- Each is refused as it comes, and nothing is left of it.
    local refused = {
      ["data of very many values"] = { parts = { { data = cjson.decode("[" .. ("{},"):rep(499999) .. "{}]") } } },
      ["data that is nested deeply"] = { parts = { { data = nested(2040) } } },
      ["metadata that is nested deeply"] = { metadata = { x = nested(2040) } },
    }
    for name, more in pairs(refused) do
      it("is refused: " .. name, function()
        local one = served.start { script = LARGE }
        local code, words = one:problem("SendMessage", { message = served.message("hello", more) })
        assert.equal(-32602, code)
        assert.matches("^the message ", words)
        assert.equal(0, #one:result("ListTasks", {}).tasks)
        one:stop()
      end)
    end

    it("is no answer, and the task still waits for one", function()
      local one = served.start { script = [[return function(msg, ctx) return "heard " .. ctx.ask("Which?").text end]] }
      local task = one:send("go").task
      assert.equal("TASK_STATE_INPUT_REQUIRED", task.status.state)
      for _, more in pairs(refused) do
        local message = served.message("this", more)
        message.taskId = task.id
        assert.equal(-32602, (one:problem("SendMessage", { message = message })))
      end
      local ended = one:send(served.message("that", { taskId = task.id })).task
      assert.equal("heard that", served.text(ended.artifacts[1].parts))
      one:stop()
    end)

    it("is none of 1900 levels: the task and its message survive a restart", function()
      local one = served.start { script = LARGE }
      local message = served.message("wait", { metadata = { x = nested(1900) } })
      local task = one:begin(message)
      one:kill()
      local two = served.start { script = LARGE:gsub("molecule.sleep%(60%)", ""), state_dir = one.host.state_dir }
      two:wait_state(task.id, "COMPLETED")
      two:stop()
    end)
  end)

  it("ends the streams of a client whose token is taken away", function()
    local alice, bob = ("a1"):rep(12), ("b2"):rep(12)
    local one = served.start { script = LARGE, tokens = ("alice %s\nbob %s\n"):format(alice, bob), secrets = { alice, bob } }
    local stream = one:stream("wait", nil, { token = bob })
    stream:wait(2)
    host.write(one.token_file, ("alice %s\n"):format(alice))
    one.process:signal "sighup"
    stream.exchange:wait_body("no longer valid", 10000)
    stream:close()
    one:kill()
  end)
end)
