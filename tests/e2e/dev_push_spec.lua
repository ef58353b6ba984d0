--- `molecule dev --mode push`: the emulator posts messages to the host, and a person sees what they see in poll mode.

local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local http = require "tests.support.http"
local loop = require "tests.support.loop"
local process = require "tests.support.process"

local TALKER = [[
local molecule = require "molecule"
return {concurrency = 4, handle = function(msg, ctx)
  if msg.text == "boom" then error "boom" end
  if msg.text == "skip" then return molecule.skip "not for me" end
  if msg.text == "progress" then ctx.progress "working on it" return "two\nlines" end
  if msg.text == "dead" then return molecule.dead "never" end
  if msg.text == "nothing" then return end
  if msg.text == "choose" then return "so you like " .. ctx.ask("red or blue?").text end
  if msg.text == "slow" then molecule.sleep(0.5) end
  if msg.text == "stuck" and not io.open "DIRECTORY/go" then molecule.log.info "working" molecule.sleep(60) end
  if msg.files[1] then return ("%s: %d bytes of %s"):format(msg.text, #msg.files[1]:read(), msg.files[1].name) end
  return ("%s said: %s"):format(msg.from, msg.text)
end}]]

describe("molecule dev --mode push", function()
  local directory

  before_each(function()
    directory = host.directory()
    host.write(directory .. "/agent.lua", (TALKER:gsub("DIRECTORY", directory)))
  end)

  after_each(function()
    process.kill_all()
    host.clean_up()
    loop.flush()
  end)

  local function start(input, arguments, mode)
    local command = { emulator.binary(), "dev", directory .. "/agent.lua", "--port", "0", "--mode", mode or "push" }
    for _, word in ipairs(arguments or {}) do command[#command + 1] = word end
    return process.spawn { command = command, stdin = input, keep_stdin = input == nil }
  end

  local function ended(child)
    assert.equal(0, (child:wait_exit()), child:report())
    assert.is_nil(child.stderr:find("Sanitizer", 1, true), child:report())
    return child
  end

  local function talk(lines, arguments, mode)
    return ended(start(table.concat(lines, "\n") .. "\n", arguments, mode))
  end

  -- The lines about messages, each message's by itself, without what differs from run to run.
  local function story(child)
    local by_number, inside = {}, nil
    for _, line in ipairs(child.lines.stdout) do
      local number = line:match "^%[(%d+)%]"
      inside = number or line:find "^    " and inside
      if inside then
        by_number[inside] = (by_number[inside] or "") .. line:gsub("in %d+%.?%d* m?s", "in TIME") .. "\n"
      end
    end
    return by_number
  end

  -- Runs with a host that stays: the port of its emulator, and the workspace.
  local function open(arguments)
    local child = start(nil, arguments)
    local port = math.tointeger(tonumber(child:wait_line "^playground: ":match ":(%d+)/"))
    local workspace = child:wait_line " serves workspace ":match "workspace (%x[%x%-]+)"
    child:wait_line("mode push", { stream = "stderr" })
    local function ask(method, path, json)
      return http.request { port = port, method = method, path = "/__emulator/" .. path, json = json }
    end
    return child, ask, workspace
  end

  local function close(child)
    child:signal "sigterm"
    ended(child)
  end

  for _, profile in ipairs { "latest", "t1" } do
    it("shows what poll mode shows (" .. profile .. ")", function()
      host.write(directory .. "/some notes.txt", "0123456789")
      local lines = { "hello", "nothing", "skip", "dead", "boom", "/file " .. directory .. "/some notes.txt look at this" }
      local arguments = { "--profile", profile, "--max-attempts", "1" }
      local pushed = story(talk(lines, arguments))
      pushed["6"] = pushed["6"]:gsub("some.notes%.txt, 10 bytes", "FILE"):gsub("some.notes%.txt", "FILE")
      local polled = story(talk(lines, arguments, "poll"))
      polled["6"] = polled["6"]:gsub("some.notes%.txt, 10 bytes", "FILE"):gsub("some.notes%.txt", "FILE")
      assert.same(polled, pushed)
      assert.equal("[1] canvas: hello\n[1] agent: canvas said: hello\n[1] replied in TIME\n", pushed["1"])
    end)
  end

  it("a pipe of lines is answered in their order", function()
    local lines = {}
    for i = 1, 300 do lines[i] = "line " .. i end
    local child = talk(lines)
    local seen = {}
    for _, line in ipairs(child.lines.stdout) do seen[#seen + 1] = line:match "agent: canvas said: (line %d+)$" end
    assert.same(lines, seen)
  end)

  it("a peer gets the answer, too, though the script is not told who asks", function()
    local told = story(talk { "/as bob", "hello" })
    assert.equal("[1] bob: hello\n[1] agent: canvas said: hello\n[1] replied in TIME\n", told["1"])
  end)

  it("what takes longer than --answer-within is announced, and follows", function()
    local told = story(talk({ "slow" }, { "--answer-within", "50ms" }))
    assert.equal("[1] canvas: slow\n[1] agent: This takes longer; the answer follows.\n[1] agent: canvas said: slow\n"
      .. "[1] replied in TIME\n", told["1"])
  end)

  it("a question is asked in the canvas, and the next message answers it", function()
    local child, ask, workspace = open()
    assert.equal(200, ask("POST", "messages", { to = workspace, text = "choose" }).status)
    child:wait_line "waiting for the answer to question"
    ask("POST", "messages", { to = workspace, text = "blue" })
    child:wait_line "%[1%] agent: so you like blue"
    child:wait_line "%[1%] replied in"
    close(child)
  end)

  it("a host that is killed gets the message again, and it is answered once", function()
    local child, ask, workspace = open()
    ask("POST", "messages", { to = workspace, text = "stuck" })
    child:wait_line("working", { stream = "stderr" })
    host.write(directory .. "/go", "")
    assert.equal(200, ask("POST", "kill").status)
    child:wait_line "the host runs again"
    child:wait_line "%[1%] replied in"
    close(child)
    local count = 0
    for _, line in ipairs(child.lines.stdout) do count = count + (line:find("agent: canvas said: stuck", 1, true) and 1 or 0) end
    assert.equal(1, count)
  end)

  it("--keep keeps what was not answered, and continues in either mode", function()
    local kept = directory .. "/kept"
    local child, ask, workspace = open { "--keep", kept, "--drain", "100ms" }
    ask("POST", "messages", { to = workspace, text = "first" })
    child:wait_line "%[1%] replied in"
    ask("POST", "messages", { to = workspace, text = "stuck" })
    child:wait_line("working", { stream = "stderr" })
    close(child)
    host.write(directory .. "/go", "")
    local again = start(nil, { "--keep", kept })
    again:wait_line "agent: canvas said: stuck"
    close(again)
    local polls = start(nil, { "--keep", kept }, "poll")
    polls:write "hello\n"
    polls:wait_line "agent: canvas said: hello"
    close(polls)
    for _, line in ipairs(polls.lines.stdout) do assert.is_nil(line:find("said: first", 1, true), line) end
  end)

  it("shows the playground each message with what was posted, and no secret", function()
    local child, ask, workspace = open()
    local id = ask("POST", "messages", { to = workspace, text = "hello" }).json.ids[1]
    child:wait_line "%[1%] replied in"
    local detail = ask("GET", "playground/messages/" .. id).json
    assert.equal("canvas said: hello", detail.reply.text)
    assert.equal("hello", detail.envelope.params.message.parts[1].text)
    assert.is_true(detail.posts[1].pushed)
    assert.equal(200, detail.posts[1].status)
    assert.equal("canvas said: hello", cjson.decode(detail.posts[1].answer).result.parts[1].text)
    local line = cjson.decode(ask("GET", "playground/export").body:match "[^\n]+")
    assert.equal("canvas said: hello", line.reply.message)
    local again = ask("POST", "playground/messages/" .. id .. "/again").json.id
    assert.is_string(again)
    child:wait_line "%[2%] replied in"
    local message = { to = workspace, request_body = detail.envelope }
    local refused = ask("POST", "messages", message)
    assert.equal(400, refused.status)
    assert.truthy(refused.json.error:find("this messageId was pushed before", 1, true), refused.body)
    refused = ask("POST", "late", { workspace = workspace, text = "late" })
    assert.equal(400, refused.status)
    assert.truthy(refused.json.error:find("messages are pushed to this workspace", 1, true), refused.body)
    close(child)
  end)

  it("says what does not go together", function()
    local function complains(words, arguments)
      local child = process.spawn { command = { emulator.binary(), "dev", table.unpack(arguments) } }
      assert.equal(2, (child:wait_exit()), child:report())
      assert(child.stderr:find(words, 1, true), child:report())
    end
    local script = directory .. "/agent.lua"
    complains("--headless runs the emulator alone; remove --mode push", { "--headless", "--mode", "push" })
    complains("--mode is poll or push", { script, "--mode", "pull" })
    complains("--listen is for A2A clients", { script, "--mode", "push", "--listen", "127.0.0.1:9000" })
    complains("molecule serve", { script, "--public-url", "https://example.org" })
  end)
end)
