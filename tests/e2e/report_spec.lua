--- `molecule report`: what is in it, and that no secret is.
local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local process = require "tests.support.process"
local server = require "tests.support.server"

local FILES = { "doctor.json", "log.txt", "metrics.txt", "options.txt", "state.txt", "status.json", "versions.txt" }

-- Says what it is told in every place: the log, an error, a question, a dead letter.
local SCRIPT = [[
  local molecule = require "molecule"
  return function(msg, ctx)
    molecule.log.info("script says " .. msg.text)
    if msg.text:find "ask" then return ctx.ask("may I " .. msg.text) end
    if msg.text:find "dead" then return molecule.dead("because " .. msg.text) end
    error("failing with " .. msg.text)
  end]]

describe("molecule report", function()
  local platform, workspace, directory

  before_each(function()
    platform = emulator.start { args = { "--rate-limit", "-1" } }
    workspace = host.workspace(platform)
    directory = host.directory()
  end)

  after_each(function()
    process.kill_all(platform.process)
    server.stop_all()
    host.clean_up()
    platform:stop()
  end)

  local function report(words, env)
    local all = { MOLECULE_WORKSPACE_TOKEN = false, MOLECULE_API_URL = platform.url, MOLECULE_STATE_DIR = false,
      STATE_DIRECTORY = false, HOME = directory, MOLECULE_WORKSPACE_TOKEN_FILE = false, MOLECULE_ORG_ID = false }
    for name, value in pairs(env or {}) do all[name] = value end
    local out = host.directory() .. "/report"
    local child = process.spawn { command = { emulator.binary(), "report", "-o", out, table.unpack(words) }, env = all }
    local code, files = child:wait_exit(), {}
    for _, name in ipairs(host.list(out)) do files[name] = host.read(out .. "/" .. name) end
    return code, files, child, out
  end

  -- One that logs to a file.
  local function connect(options)
    local one = host.start(options)
    one:wait { path = "/activity", workspace = workspace.id, status = 200, count = 1 }
    return one
  end

  it("has what a maintainer asks for, in files for this user alone", function()
    local log = directory .. "/log"
    local one = connect { platform = platform, workspace = workspace, script = host.ECHO,
      args = { "--metrics", "127.0.0.1:0", "--log-file", log, "--log-format", "logfmt", "--max-attempts", "7" } }
    local port = assert(host.read(log)):match "http://127.0.0.1:(%d+)/metrics"
    local code, files, child, out = report({ "--state-dir", one.state_dir, "--log-file", log, "--metrics", "127.0.0.1:" .. port,
      "--online" }, { MOLECULE_WORKSPACE_TOKEN = workspace.token })
    assert.equal(0, code, child:report())
    local names = {}
    for name in pairs(files) do names[#names + 1] = name end
    table.sort(names)
    assert.same(FILES, names)
    assert.equal("700", host.mode(out))
    assert.equal("600", host.mode(out .. "/log.txt"))
    assert(files["versions.txt"]:find "^molecule %d" and files["versions.txt"]:find "\nsqlite 3")
    assert.equal("running", cjson.decode(files["status.json"])[1].state)
    assert(files["state.txt"]:find(workspace.id .. ".lock", 1, true))
    assert(files["options.txt"]:find("--max-attempts 7", 1, true), files["options.txt"])
    assert(files["options.txt"]:find("--api-url " .. platform.url, 1, true))
    assert(files["log.txt"]:find "event=registered workspace=%S+ msg=\"?registered", files["log.txt"])
    assert(files["metrics.txt"]:find "\nmolecule_build_info{")
    local checks = {}
    for _, each in ipairs(cjson.decode(files["doctor.json"])) do checks[each.name] = each.result end
    assert.equal("ok", checks.token)
    assert.equal("ok", checks.lock)
    assert(child.stdout:find("tar -czf", 1, true))
    one:stop()
  end)

  it("has no secret and no text of a message, wherever they are", function()
    local random = "Zq9" .. emulator.uuid():gsub("%-", "") .. "Xy"
    local secrets = { token = workspace.token, script = "script-secret-2", proxy = "proxy-secret-3", env = "env-secret-4",
      hosts = "hosts-secret-5", minted = "minted-secret-6", inbound = "inbound-secret-7", text = "the words of a message",
      random = random, key = "sk-abcdefghijkl", hex = ("0123456789abcdef"):rep(3), reply = "reply-secret-8",
      peer = "peer-secret-9", file = "file-secret-10" }
    local log = directory .. "/log"
    local one = connect { platform = platform, workspace = workspace, script = SCRIPT, token = workspace.token,
      args = { "--script-opt", "password=" .. secrets.script, "--error-reply", secrets.reply, "--max-attempts", "2",
        "--log-level", "debug", "--log-file", log, "--log-format", "logfmt" },
      env = { OPENAI_API_KEY = secrets.hosts, http_proxy = ("http://user:%s@127.0.0.1:9"):format(secrets.proxy) } }
    for _, word in ipairs { "dead", "error", "ask" } do
      platform:message { to = workspace.id, text = ("%s %s, Bearer %s"):format(word, secrets.text, random) }
    end
    platform:wait { path = "/notify", body = "may I", count = 1 }
    host.write(("%s/%s.inbound"):format(one.state_dir, workspace.id), secrets.inbound)
    local other = emulator.uuid()
    host.write(("%s/%s.token"):format(one.state_dir, other), secrets.minted)
    host.write(("%s/%s.json"):format(one.state_dir, other), "{}")
    -- lines as others may have written them
    local file = assert(io.open(log, "ab"))
    for _, line in ipairs {
      "time=2026-01-01T00:00:00.000Z level=warn event=poll.failing workspace=x msg=\"poll: HTTP 500: key " .. secrets.key ..
        " for " .. secrets.hex .. ", " .. secrets.minted .. ", " .. secrets.inbound .. ", " .. secrets.hosts .. "\"",
      "time=2026-01-01T00:00:00.000Z level=warn event=token.tried msg=\"Authorization: Bearer " .. secrets.env .. "\"",
      cjson.encode { time = "2026-01-01T00:00:00.000Z", level = "info", event = "script.log", msg = secrets.text },
      cjson.encode { time = "2026-01-01T00:00:00.000Z", level = "info", event = "push.x",
        msg = "https://u:" .. secrets.peer .. "@h/" },
      "2026-01-01T00:00:00.000Z info  7f1d: " .. secrets.text, "    " .. secrets.text } do
      file:write(line, "\n")
    end
    file:close()
    local metrics = server.start(function(_, reply) reply(200, "molecule_x{peer=\"" .. secrets.minted .. "\"} 1\n") end)
    local token_file = host.write(directory .. "/token", secrets.file .. "\n")
    local code, files, child = report({ "--state-dir", one.state_dir, "--log-file", log, "--metrics",
      "127.0.0.1:" .. metrics.port, "--token-file", token_file, "--online", workspace.id:upper() }, { SOME_PASSWORD = secrets.env,
      https_proxy = ("http://user:%s@127.0.0.1:9"):format(secrets.proxy) })
    assert.equal(0, code, child:report())
    local _, all = report({ "--state-dir", one.state_dir, "--log-file", log, "--metrics", "127.0.0.1:" .. metrics.port,
      "--token-file", token_file },
      { SOME_PASSWORD = secrets.env })
    for _, bundle in ipairs { files, all } do
      for _, name in ipairs(FILES) do
        for what, secret in pairs(secrets) do
          if bundle == all or what ~= "minted" then -- without an id the tokens of all are known
            local at = bundle[name]:find(secret, 1, true)
            assert(not at, ("%s: the secret of %s: %s"):format(name, what, bundle[name]:sub((at or 1) - 80, (at or 1) + 80)))
          end
        end
      end
    end
    -- what there is instead, so that the above could have failed
    assert(files["options.txt"]:find("--script-opt password=[hidden]", 1, true), files["options.txt"])
    assert(files["options.txt"]:find("--error-reply [hidden]", 1, true))
    assert(files["options.txt"]:find("http_proxy http://[hidden]@127.0.0.1:9", 1, true), files["options.txt"])
    assert(files["options.txt"]:find("\n  OPENAI_API_KEY", 1, true))
    assert(files["log.txt"]:find("event=handler.failed workspace=%S+ row=%S+ [^\n]*%[text hidden%]"), files["log.txt"])
    assert(files["log.txt"]:find("poll: HTTP 500: key [hidden] for [hidden]", 1, true), files["log.txt"])
    local questions = cjson.decode(files["status.json"])[1].questions
    assert.equal("[hidden]", questions[1].text)
    assert.equal(1, #questions)
    one:stop()
  end)

  it("takes the last 200 lines of the log, or the journal's, without what scripts say", function()
    local lines = {}
    for i = 1, 500 do lines[i] = ("time=2026-01-01T00:00:00.000Z level=info event=poll.busy msg=\"line %d\""):format(i) end
    local log = host.write(directory .. "/log", table.concat(lines, "\n") .. "\n")
    local state = directory .. "/state"
    local _, files = report { "--state-dir", state, "--log-file", log }
    assert.equal(200, select(2, files["log.txt"]:gsub("\n", "")))
    assert(files["log.txt"]:find("line 301", 1, true) and files["log.txt"]:find("line 500", 1, true))
    local folder = host.directory()
    host.write(folder .. "/journalctl", [[#!/bin/sh
      echo '{"__REALTIME_TIMESTAMP":"1767225600000000","PRIORITY":"4","MOLECULE_EVENT":"poll.failing","MESSAGE":"no route"}'
      echo '{"__REALTIME_TIMESTAMP":"1767225600000000","PRIORITY":"6","MOLECULE_EVENT":"script.log","MESSAGE":"my secret"}']])
    assert(os.execute("chmod +x " .. folder .. "/journalctl"))
    _, files = report({ "--state-dir", state }, { PATH = folder .. ":" .. os.getenv "PATH" })
    assert.equal("time=2026-01-01T00:00:00.000Z level=4 event=poll.failing msg=no route\n" ..
      "time=2026-01-01T00:00:00.000Z level=6 event=script.log [text hidden]\n", files["log.txt"])
  end)

  it("is named by the time, and packed by the command that it prints", function()
    local child = process.spawn { command = { emulator.binary(), "report", "--state-dir", directory .. "/none" },
      env = { HOME = directory, MOLECULE_WORKSPACE_TOKEN = false }, cwd = directory }
    assert.equal(0, child:wait_exit())
    local name = assert(child.stdout:match "^(molecule%-report%-[%d%-T]+)/\n")
    assert(os.execute(("cd '%s' && %s"):format(directory, child.stdout:match "pack it: ([^\n]+)")))
    local pipe = assert(io.popen(("tar -tzf '%s/%s.tar.gz'"):format(directory, name)))
    local list = pipe:read "a"
    pipe:close()
    for _, file in ipairs(FILES) do assert(list:find(name .. "/" .. file, 1, true), list) end
  end)

  it("says what is not there, asks nothing of the platform, and overwrites nothing", function()
    local mark = platform:mark()
    local code, files, child, out = report { "--state-dir", directory .. "/none", "--log-file", directory .. "/none" }
    assert.equal(0, code, child:report())
    assert.equal(mark, platform:mark())
    assert(files["log.txt"]:find "^no log: .*No such file")
    assert(files["metrics.txt"]:find "^no metrics")
    assert(files["options.txt"]:find "no host is running")
    assert(files["state.txt"]:find "No such file")
    local again = process.spawn { command = { emulator.binary(), "report", "-o", out }, env = { HOME = directory } }
    assert.equal(1, again:wait_exit())
    assert(again.stderr:find "cannot be made: File exists")
  end)
end)
