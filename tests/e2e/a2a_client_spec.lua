--- molecule.a2a, as a script uses it: against `molecule serve`, against agents built on the SDK for Python, and against servers
--- that do what agents should not.

local cjson = require "cjson"
local a2a = require "tests.support.a2a"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local loop = require "tests.support.loop"
local process = require "tests.support.process"
local server = require "tests.support.server"

-- A message is code for the body of a handler, which sees agent, molecule, ctx and msg.
local SCRIPT = [[
local molecule = require "molecule"
return {concurrency = 8, handle = function(msg, ctx)
  local agent = molecule.a2a(%q, {%s})
  local results = table.pack((assert(load("local molecule, agent, ctx, msg = ... " .. msg.text, "=chunk"))(molecule, agent, ctx, msg)))
  return results[1] ~= nil and tostring(results[1]) or "nothing"
end}]]

local function script_for(url, options) return (SCRIPT:format(url, options or "")) end

describe("molecule.a2a", function()
  local platform

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)
  teardown(function()
    platform:stop()
    process.kill_all()
  end)

  --- A client of the agent at the URL: {host, ask(code) -> what the code returned}.
  local function client_of(url, options, args, script)
    local workspace = host.workspace(platform)
    local one = host.connect { platform = platform, workspace = workspace, args = args,
      script = script or script_for(url, options) }
    local count = 0
    return { host = one, ask = function(code)
      count = count + 1
      platform:message { to = workspace.id, text = code }
      return one:canvas(count)[count]
    end, tell = function(code) return platform:message { to = workspace.id, text = code }[1] end }
  end

  --- What every agent should make of it, whatever it is built with and whatever it speaks.
  ---@param name string
  ---@param target {start: (fun(): A2aAgent?, string?), options: string?, version: string, messages: boolean?, quiet: boolean?}
  local function behaves(name, target)
    describe(name, function()
      local agent, client, problem

      setup(function()
        agent, problem = target.start()
        client = agent and client_of(agent.url, target.options)
      end)
      teardown(function()
        if client then client.host:stop() end
        if agent then agent:stop() end
        host.clean_up()
      end)

      local function test(what, code, expected)
        it(what, function()
          if not agent then return pending(problem) end
          local told = client.ask(code)
          if type(expected) == "string" then assert.equal(expected, told) else expected(told) end
        end)
      end

      test("is asked, and answers with a task", [[
        local r = assert(agent:send "hello")
        assert(r.task.id == r.task_id and r.context_id == r.task.context_id and #r.context_id > 0)
        assert(#r.parts == 1 and r.parts[1].kind == "text" and #r.task.artifacts == 1)
        return r.state .. " " .. r.text]], "completed hello")

      if target.messages then
        test("answers with a message alone", [[
          local r = assert(agent:send "message")
          return tostring(r.state) .. " " .. tostring(r.task) .. " " .. r.message.role .. " " .. r.text]], "nil nil agent a message")
      end

      test("gets files and data in either spelling", [[
        return assert(agent:send {text = "what", parts = {
          {kind = "file", file = {name = "a.txt", mimeType = "text/plain", bytes = "aGk="}},
          {url = "https://e.example/b", filename = "b", mediaType = "t/x"}, {kind = "data", data = {k = "v"}},
          {raw = "aG8=", filename = "c.txt", mediaType = "text/plain"}}}).text]],
        "what | a.txt:text/plain:hi | b:t/x:https://e.example/b | [('k', 'v')] | c.txt:text/plain:ho")

      test("gives files that can be read", [[
        local r = assert(agent:send "file")
        local file = r.files[1]
        assert(file:read() == "bytes\0\xFF" and r.task.artifacts[1].files[1].name == "a.bin")
        return #r.files .. " " .. file.name .. " " .. file.mime_type]], "1 a.bin application/x-a")

      test("asks back, and continues with the answer", [[
        local asked = assert(agent:send "ask")
        local r = assert(agent:send {text = "red", task_id = asked.task_id, context_id = asked.context_id})
        return table.concat({asked.state, asked.text, r.state, r.text, tostring(r.task_id == asked.task_id)}, ", ")]],
        "input-required, Which color?, completed, it is red, true")

      test("fails, which is a result", [[
        local r, problem = agent:send "fail"
        assert(not problem)
        return r.state .. ": " .. r.text]], "failed: it broke")

      test("is followed while it works", [[
        local list, text, final = {}, "", nil
        for event in agent:stream "pieces" do
          assert(event.task_id and event.context_id and final ~= true)
          final = event.final
          list[#list + 1] = event.kind .. (event.state and " " .. event.state or "")
          if event.kind == "status" and event.text then list[#list] = list[#list] .. " " .. event.text end
          if event.kind == "artifact" then
            assert(event.artifact.name == "poem" and event.append == (text ~= ""))
            text = text .. event.text
            list[#list] = event.last and "last" or "piece"
          end
        end
        assert(final == true)
        return table.concat(list, ", ") .. ": " .. text]], function(told)
        assert.truthy(told:find "^task submitted, .*status working writing, piece, piece, last, .*status completed: roses are red$",
          told)
      end)

      test("its pieces are one text in the end", [[return assert(agent:send "pieces").text]], "roses are red")

      test("gives its task at once if nobody waits, and can be canceled", [[
        local r = assert(agent:send("slow", {wait = false}))
        local canceled = assert(agent:cancel(r.task_id))
        local again, problem, code = agent:cancel(r.task_id)
        assert(again == nil and type(problem) == "string")
        assert(agent:task(r.task_id, {history = 0}).id == r.task_id)
        return table.concat({canceled.state, agent:task(r.task_id).state, code}, " ")]],
        function(told) assert.equal("canceled canceled TASK_NOT_CANCELABLE", told) end)

      test("says that it knows no such task", [[
        local codes = {}
        for i, call in ipairs {function() return agent:task "none" end, function() return agent:cancel "none" end,
                               function() return agent:send {text = "x", task_id = "none"} end} do
          local nothing, problem, code = call()
          assert(nothing == nil and type(problem) == "string")
          codes[i] = code
        end
        return table.concat(codes, " ")]], "TASK_NOT_FOUND TASK_NOT_FOUND TASK_NOT_FOUND")

      test("raises what goes wrong with a stream at the line of the loop", [[
        local fine, problem = pcall(function()
          for _ in agent:subscribe "none" do end
        end)
        return problem]], function(told) assert.truthy(told:find "^chunk:%d+: a2a: .* %[TASK_NOT_FOUND%]$", told) end)

      if not target.quiet then
        test("tells those who subscribe how a task ends", [[
          local r = assert(agent:send("slow", {wait = false}))
          local list = {}
          for event in agent:subscribe(r.task_id) do
            list[#list + 1] = event.kind .. " " .. event.state
            if #list == 1 then assert(agent:cancel(r.task_id)) end
          end
          return list[1]:match "^%a+" .. ", " .. list[#list] ]], "task, status canceled")
      end

      test("lists its tasks, if its version can", [[
        local first, problem, code = agent:tasks {page_size = 1}
        if not first then return code end
        local second = assert(agent:tasks {page_size = 1, page_token = first.next_page_token})
        local r = assert(agent:send "hello")
        local found = assert(agent:tasks {context_id = r.context_id, state = "completed"})
        assert(#first.tasks == 1 and #second.tasks == 1 and first.tasks[1].id ~= second.tasks[1].id and first.total > 2)
        return #found.tasks .. " " .. tostring(found.tasks[1].id == r.task_id) .. " " .. tostring(found.next_page_token)]],
        target.version == "1.0" and "1 true nil" or "UNSUPPORTED_OPERATION")

      test("is a tool for a model", [[
        local tool = assert(agent:tool())
        assert(tool.parameters.properties.message.type == "string" and tool.parameters.required[1] == "message")
        local nothing, problem = tool.call {message = "fail"}
        assert(nothing == nil and select(2, tool.call {}):find "message")
        return table.concat({tool.name, tool.description, tool.call {message = "hello"}, problem}, ", ")]],
        "words, does what the first word says, hello, the task failed: it broke")
    end)
  end

  local function served() return a2a.serve { script = host.read "tests/a2a/words.lua" } end

  behaves("a script of molecule serve, with 1.0", { start = served, version = "1.0" })
  behaves("a script of molecule serve, with 0.3", { start = served, version = "0.3", options = 'version = "0.3"' })
  for _, binding in ipairs { "JSONRPC", "HTTP+JSON" } do
    behaves("an agent built on the SDK, 1.0 over " .. binding, { version = "1.0", messages = true,
      start = function() return a2a.sdk("1.3.0", { "tests/a2a/server_1.py", binding }) end })
  end
  -- to whom cancels, not to who subscribed, does that version tell the end
  behaves("an agent built on the SDK, 0.3", { version = "0.3", messages = true, quiet = true,
    start = function() return a2a.sdk("0.3.26", { "tests/a2a/server_03.py" }) end })
end)
