--- The backends in the binary, and one of the user's own.
local uv = require "luv"
local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local loop = require "tests.support.loop"
local server = require "tests.support.server"

describe("a backend", function()
  local platform, workspace

  setup(function()
    platform = emulator.start { args = { "--rate-limit", "-1" } }
  end)

  before_each(function()
    workspace = host.workspace(platform)
  end)

  after_each(host.clean_up)

  teardown(function()
    platform:stop()
  end)

  local function arguments(name, options, more)
    local args = { "--backend", name }
    for key, value in pairs(options or {}) do
      args[#args + 1] = "--backend-opt"
      args[#args + 1] = key .. "=" .. value
    end
    table.move(more or {}, 1, #(more or {}), #args + 1, args)
    return args
  end

  local function connect(name, options, more, env)
    return host.connect { platform = platform, workspace = workspace, args = arguments(name, options, more), env = env }
  end

  local function ask(one, text)
    platform:message { to = workspace.id, text = text or "hello", message_id = "message-1", task_id = "task-1" }
    local told = one:canvas(1)
    one:stop()
    return told[1]
  end

  local function refused(name, options, pattern)
    local one = host.run({ platform = platform, workspace = workspace, args = arguments(name, options) }, 2)
    one:log("the backend does not load: " .. pattern)
    assert.equal(0, #one:posts "/registry/register")
  end

  it("that is unknown is refused with the names of those there are", function()
    refused("nope", nil,
      'no backend "nope": the binary has claude%-code, exec, http, mock, openai, stdio; .*nope.lua on LUA_PATH')
  end)

  for name, options in pairs { mock = { wrong = 1 }, exec = { cmd = "x", wrong = 1 }, ["claude-code"] = { wrong = 1 } } do
    it("refuses an option that it does not know, with those it knows: " .. name, function()
      local known = { mock = "reply", exec = "cmd, pass_meta, timeout",
        ["claude-code"] = "args, bin, model, pass_meta, session, system, timeout" }
      refused(name, options, ('backend %s has no option "wrong"; it knows %s$'):format(name:gsub("%-", "%%-"), known[name]))
    end)
  end

  it("refuses option values that make no sense", function()
    refused("exec", { cmd = "x", timeout = "soon" }, "backend exec: option timeout must be a duration")
    refused("exec", { cmd = "x", pass_meta = "maybe" }, "backend exec: option pass_meta must be true or false")
    refused("exec", {}, "backend exec needs %-%-backend%-opt cmd=")
    refused("claude-code", { args = "'open" }, "backend claude%-code: option args has an unclosed '")
  end)

  it("of the user's own is found on LUA_PATH and gets its options", function()
    local directory = host.directory()
    host.write(directory .. "/mine.lua", [[
      return function(options)
        return {name = "my own", handle = function(msg) return options.greeting .. ", " .. msg.text end}
      end]])
    local one = connect("mine", { greeting = "good day" }, nil, { LUA_PATH = directory .. "/?.lua;;" })
    local card = cjson.decode(one:wait { path = "/registry/register", body = workspace.id }[1].body).agent_card
    assert.equal("my own", card.name)
    assert.equal("good day, hello", ask(one))
  end)

  it("of the user's own that is invalid is refused", function()
    local directory = host.directory()
    host.write(directory .. "/mine.lua", "return {}")
    local one = host.run({ platform = platform, workspace = workspace, args = { "--backend", "mine" },
      env = { LUA_PATH = directory .. "/?.lua;;" } }, 2)
    one:log "backend mine: its module must return a function%(options%), not a table"
  end)

  describe("mock", function()
    it("echoes", function()
      assert.equal("echo: hello", ask(connect "mock"))
    end)

    it("fills in its template, whatever signs are in the text and around it", function()
      local one = connect("mock", { reply = "100%: %s, again %s %d %%" })
      assert.equal("100%: 50%s %1 %, again 50%s %1 % %d %%", ask(one, "50%s %1 %"))
    end)
  end)

  describe("exec", function()
    it("gives the text to a shell command and answers with its output", function()
      assert.equal("HELLO\n", ask(connect("exec", { cmd = "tr a-z A-Z; echo" })))
    end)

    it("treats a timeout of 0 as none", function()
      assert.equal("HELLO\n", ask(connect("exec", { cmd = "tr a-z A-Z; echo", timeout = "0" })))
    end)

    it("sends nothing for no output", function()
      local one = connect("exec", { cmd = "true" })
      local row = platform:message { to = workspace.id, text = "hello" }[1]
      one:log_of(row, "no_reply")
      one:stop()
    end)

    local ENVIRONMENT = "env | grep ^MOLECULE_ | grep -v -e E2E -e LOG_FORMAT | sort"

    it("does not tell the command of the message unless asked to", function()
      local one = connect("exec", { cmd = ENVIRONMENT .. "; echo end" })
      assert.equal("end\n", ask(one))
    end)

    it("tells the command of the message with pass_meta", function()
      local peer = host.workspace(platform)
      local one = connect("exec", { cmd = ENVIRONMENT, pass_meta = "true" })
      platform:message { to = workspace.id, from = peer.id, text = "x", message_id = "message-1", task_id = "task-1" }
      assert.equal(table.concat({ "MOLECULE_CALLER_ID=" .. peer.id, "MOLECULE_MESSAGE_ID=message-1",
        "MOLECULE_METHOD=message/send", "MOLECULE_TASK_ID=task-1", "MOLECULE_WORKSPACE_ID=" .. workspace.id, "" }, "\n"),
        one:peer(peer.id, 1)[1])
      one:stop()
    end)

    it("quotes the end of the standard error of a command that fails", function()
      local one = connect("exec", { cmd = "printf '%3000s' | tr ' ' x >&2; echo the reason >&2; exit 3" },
        { "--max-attempts", "1", "--error-reply", "it failed" })
      local row = platform:message { to = workspace.id, text = "hello" }[1]
      one:log_of(row, "the handler failed .*exit code 3; its standard error ends with:$")
      local line = one:log "^%s+x+the reason$" or one:log "^%s+x+$"
      assert.equal(1023, #line:match "x.*") -- of the 1024 bytes the last is the line's end
      assert.same({ "it failed" }, one:canvas(1))
      one:stop()
    end)

    it("names the signal that ended a command", function()
      local one = connect("exec", { cmd = "echo dying >&2; kill -9 $$" }, { "--max-attempts", "1" })
      local row = platform:message { to = workspace.id, text = "hello" }[1]
      one:log_of(row, "the handler failed .*ended by signal 9; its standard error ends with:$")
      one:log "^%s+dying$"
      one:stop()
    end)

    it("ends the command and all it started at its timeout", function()
      local pid_file = host.directory() .. "/pid"
      local one = connect("exec", { cmd = "sleep 100 & echo $! > " .. pid_file .. "; echo waiting >&2; wait",
        timeout = "200ms" }, { "--max-attempts", "1", "--error-reply", "it failed" })
      local row = platform:message { to = workspace.id, text = "hello" }[1]
      one:log_of(row, "the handler failed .*timed out after 0.2 s; the whole process group was killed %[TIMEOUT%]")
      local path = "/proc/" .. host.read(pid_file):match "%d+" .. "/stat"
      local ended = loop.wait(function() return not (host.read(path) or ") Z"):find("%) [^Z]") end)
      assert(ended, "it still runs")
      one:stop()
    end)

    it("answers other conversations meanwhile", function()
      local pipe = host.directory() .. "/pipe"
      assert(os.execute("mkfifo " .. pipe))
      local one = connect("exec", { cmd = "read text; if [ $text = wait ]; then cat " .. pipe .. "; fi; echo $text" })
      platform:message { to = workspace.id, text = "wait\n", context_id = "a" }
      platform:message { to = workspace.id, text = "meanwhile\n", context_id = "b" }
      assert.same({ "meanwhile\n" }, one:canvas(1))
      host.write(pipe, "go: ")
      assert.same({ "meanwhile\n", "go: wait\n" }, one:canvas(2))
      one:stop()
    end)

    it("does not hand the workspace's token to the command, wherever it came from", function()
      local command = { cmd = "cat >/dev/null; env; echo end" }
      local function check(one)
        local told = ask(one)
        assert(told:find "end\n$", told)
        assert.is_nil(told:find(workspace.token, 1, true))
      end
      check(connect("exec", command))
      workspace = host.workspace(platform)
      check(host.connect { platform = platform, workspace = workspace, token = false,
        args = arguments("exec", command, { "--token", workspace.token }) })
    end)
  end)

  describe("claude-code", function()
    local function fake(text)
      local path = host.write(host.directory() .. "/claude", "#!/bin/sh\n" .. text)
      assert(uv.fs_chmod(path, 448))
      return path
    end

    it("runs the program with -p and its arguments, the text on standard input", function()
      local bin = fake 'for word; do printf "<%s>" "$word"; done; cat; echo; echo'
      local one = connect("claude-code", { bin = bin, args = [[--model "big one" 'and $HOME' '' --output-format text]] })
      assert.equal("<-p><--output-format><json><--model><big one><and $HOME><><--output-format><text>hello", ask(one))
      workspace = host.workspace(platform)
      one = connect("claude-code", { bin = bin, args = "x", session = "false", model = "small", system = "Be brief." })
      assert.equal("<-p><--model><small><--append-system-prompt><Be brief.><x>hello", ask(one))
    end)

    -- Remembers what each session heard, as the program does.
    local function remembering(directory)
      return fake(([[
session=
while [ $# -gt 0 ]; do
  if [ "$1" = --resume ]; then session=$2; fi
  shift
done
text=$(cat)
if [ -n "$session" ] && ! [ -f "%s/$session" ]; then
  echo "No conversation found with session ID: $session" >&2
  exit 1
fi
[ -n "$session" ] || session=s-$(date +%%s%%N)
printf '%%s.' "$text" >> "%s/$session"
if [ "$text" = broken ]; then
  echo '{"type": "result", "subtype": "success", "is_error": true, "result": "Invalid API key", "session_id": "x"}'
else
  printf '{"type": "result", "is_error": false, "result": "%%s", "session_id": "%%s"}\n' "$(cat "%s/$session")" "$session"
fi
]]):format(directory, directory, directory))
    end

    it("continues each conversation's session, also after a restart", function()
      local directory, state = host.directory(), host.directory()
      local args = arguments("claude-code", { bin = remembering(directory) })
      local function start()
        return host.connect { platform = platform, workspace = workspace, args = args, state_dir = state }
      end
      local one = start()
      local function say(text, context)
        local before = #one:told_canvas()
        platform:message { to = workspace.id, text = text, context_id = context }
        return one:canvas(before + 1)[before + 1]
      end
      assert.equal("a.", say "a")
      assert.equal("a.b.", say "b")
      assert.equal("elsewhere.", say("elsewhere", "another"))
      one:stop()
      one = start()
      assert.equal("a.b.c.", say "c")
      for _, name in ipairs(host.list(directory)) do os.remove(directory .. "/" .. name) end
      assert.equal("d.", say "d")
      one:log "session s%-%d+ no longer exists; starting a new one"
      assert.equal("d.e.", say "e")
      one:stop()
    end)

    it("fails with what the program says is wrong, on whatever way it says it", function()
      local one = connect("claude-code", { bin = remembering(host.directory()) }, { "--max-attempts", "1" })
      one:log_of(platform:message { to = workspace.id, text = "broken" }[1], "it failed %(success%): Invalid API key")
      one:stop()
      one = connect("claude-code", { bin = fake "cat >/dev/null; echo 'out of credit'; exit 1" }, { "--max-attempts", "1" })
      one:log_of(platform:message { to = workspace.id, text = "x" }[1], "exit code 1; its standard output ends with:$")
      one:log "^%s+out of credit$"
      one:stop()
    end)

    it("starts a new session also where the program says without failing that the session is gone", function()
      local bin = fake [[
case "$*" in
  *--resume*) echo '{"type": "result", "is_error": true, "result": "No conversation found with session ID: gone"}' ;;
  *) echo '{"type": "result", "is_error": false, "result": "anew", "session_id": "gone"}' ;;
esac
cat >/dev/null]]
      local one = connect("claude-code", { bin = bin }, { "--max-attempts", "1" })
      for i = 1, 2 do
        platform:message { to = workspace.id, text = "hello" }
        assert.equal("anew", one:canvas(i)[i])
      end
      one:log "session gone no longer exists"
      one:stop()
    end)

    it("finds the result among all that the program did, where its arguments ask for all", function()
      local bin = fake [[cat >/dev/null; echo '[{"type": "system", "session_id": "s"}, {"type": "assistant"},
        {"type": "result", "is_error": false, "result": "found", "session_id": "s"}]']]
      assert.equal("found", ask(connect("claude-code", { bin = bin, args = "--verbose" })))
    end)

    it("says what the program said where its answer has null for a result", function()
      local bin = fake [[cat >/dev/null
echo '{"type": "result", "subtype": null, "result": null, "errors": ["too many turns"]}']]
      local one = connect("claude-code", { bin = bin }, { "--max-attempts", "1" })
      one:log_of(platform:message { to = workspace.id, text = "x" }[1], "it failed %(no result%): .*too many turns")
      one:stop()
    end)

    it("tells the program of the message, unless told not to", function()
      local bin = fake [[echo "{\"result\": \"${MOLECULE_MESSAGE_ID-nothing} ${MOLECULE_CALLER_ID-nothing}\"}"]]
      assert.equal("message-1", ask(connect("claude-code", { bin = bin })))
      workspace = host.workspace(platform)
      assert.equal("nothing nothing", ask(connect("claude-code", { bin = bin, pass_meta = "false" })))
    end)

    it("says when the program is not there", function()
      local one = connect("claude-code", { bin = "/nowhere/claude" }, { "--max-attempts", "1" })
      local row = platform:message { to = workspace.id, text = "hello" }[1]
      one:log_of(row, "/nowhere/claude: cannot run /nowhere/claude: no such file or directory %[ENOENT%]")
      one:stop()
    end)
  end)

  describe("http", function()
    local web

    after_each(server.stop_all)

    local function serve(handler)
      web = server.start(handler)
      return { url = web.url .. "/hook" }
    end

    it("posts the message and replies with what comes back", function()
      local options = serve(function(request, reply)
        reply(200, cjson.encode { text = "heard " .. cjson.decode(request.body).text })
      end)
      assert.equal("heard hello", ask(connect("http", options)))
      local sent = cjson.decode(web.requests[1].body)
      assert.equal("/hook", web.requests[1].path)
      assert.equal("canvas", sent.from)
      assert.equal("message-1", sent.message_id)
      assert.equal(workspace.id, sent.workspace)
      assert.equal("application/json", web.requests[1].headers["content-type"])
      assert.is_nil(web.requests[1].headers.authorization)
    end)

    it("sends the token of token_env, and nothing of ours", function()
      local options = serve(function(_, reply) reply(200, '{"parts": [{"kind": "text", "text": "fine"}]}') end)
      options.token_env = "HOOK_TOKEN"
      assert.equal("fine", ask(connect("http", options, nil, { HOOK_TOKEN = "its-own" })))
      assert.equal("Bearer its-own", web.requests[1].headers.authorization)
    end)

    it("takes 204 and an empty object for no reply, and waits where the service asks for it", function()
      local answers = { { 204, "" }, { 200, "{}" }, { 503, "", { ["Retry-After"] = "1" } }, { 200, '{"text": "at last"}' } }
      local one = connect("http", serve(function(_, reply) reply(table.unpack(table.remove(answers, 1))) end))
      local first = platform:message { to = workspace.id, text = "a" }[1]
      local second = platform:message { to = workspace.id, text = "b" }[1]
      one:log_of(first, "no_reply")
      one:log_of(second, "no_reply")
      local third = platform:message { to = workspace.id, text = "c" }[1]
      one:log_of(third, "retry in 1.0 s: .* answered 503")
      assert.same({ "at last" }, one:canvas(1))
      one:stop()
    end)

    it("waits until the time that the service names, and never without a pause", function()
      local after = os.date("!%a, %d %b %Y %H:%M:%S GMT", os.time() + 60)
      local one = connect("http", serve(function(_, reply) reply(503, "", { ["Retry-After"] = after }) end))
      local function say(context) return platform:message { to = workspace.id, text = "hello", context_id = context }[1] end
      one:log_of(say "a", "retry in [56]%d%.%d s: .* answered 503")
      after = "-1"
      one:log_of(say "b", "retry in [1-9]%d*%.%d s: .* answered 503")
      one:stop()
    end)

    it("does not take a list for an empty reply", function()
      local one = connect("http", serve(function(_, reply) reply(200, '["a"]') end), { "--max-attempts", "1" })
      local row = platform:message { to = workspace.id, text = "hello" }[1]
      one:log_of(row, '/hook did not answer with a JSON object: %["a"%]')
      one:stop()
    end)

    it("says what the service answered when it is no reply", function()
      local one = connect("http", serve(function(_, reply) reply(500, "out of order") end), { "--max-attempts", "1" })
      local row = platform:message { to = workspace.id, text = "hello" }[1]
      one:log_of(row, "/hook answered 500: out of order")
      one:stop()
    end)

    it("says which option is missing", function()
      refused("http", {}, "backend http needs %-%-backend%-opt url=")
      refused("http", { url = "x", token_env = "NOT_SET_AT_ALL" }, "backend http: the variable NOT_SET_AT_ALL")
    end)
  end)
end)
