--- The backend claude-code: whatever the program prints around its result, and however it ends.

local uv = require "luv"
local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"

describe("the backend claude-code", function()
  local platform, workspace, bin, output

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)

  -- Prints a file; then does what the file "then" says.
  before_each(function()
    workspace = host.workspace(platform)
    local directory = host.directory()
    output = directory .. "/output"
    bin = host.write(directory .. "/claude", ([[#!/bin/sh
cat > %s/heard
echo "$@" >> %s/arguments
cat %s/output
. %s/then
]]):format(directory, directory, directory, directory))
    assert(uv.fs_chmod(bin, 448))
    host.write(directory .. "/then", "")
  end)

  after_each(host.clean_up)
  teardown(function() platform:stop() end)

  local function beside(name) return bin:gsub("claude$", name) end

  local function connect(options, more)
    local args = { "--backend", "claude-code" }
    options = options or {}
    options.bin = bin
    for name, value in pairs(options) do
      args[#args + 1] = "--backend-opt"
      args[#args + 1] = name .. "=" .. value
    end
    for _, argument in ipairs(more or { "--max-attempts", "1" }) do args[#args + 1] = argument end
    return host.connect { platform = platform, workspace = workspace, args = args }
  end

  local function say(more)
    local message = { to = workspace.id, text = not (more and more.parts) and "hello" or nil }
    for name, value in pairs(more or {}) do message[name] = value end
    return platform:message(message)[1]
  end

  local function ask(one, more)
    local before = #one:told_canvas()
    say(more)
    return one:canvas(before + 1)[before + 1]
  end

  local function result(fields)
    local value = { type = "result", subtype = "success", is_error = false, result = "The answer", session_id = "session-1",
      total_cost_usd = 0.01, cwd = "/secret" }
    for name, field in pairs(fields or {}) do value[name] = field end
    return cjson.encode(value)
  end

  local INIT = cjson.encode { type = "system", subtype = "init", session_id = "session-1", cwd = "/secret", tools = { "Bash" } }
  local SAID = cjson.encode { type = "assistant", session_id = "session-1",
    message = { content = { { type = "text", text = "The {\"type\":\"result\"} answer" } } } }

  it("finds the result anywhere, and continues its session", function()
    local one = connect()
    for name, text in pairs {
      ["alone"] = result(),
      ["indented"] = result():gsub(",", ",\n  "),
      ["behind a banner"] = "Now using node v20.11.0 (npm v10.2.4)\n" .. result() .. "\n",
      ["behind a banner without a line end"] = "Loading... " .. result(),
      ["behind a banner with braces and quotes"] = "it's {\"half of } it \\\nwarning: {} {\"a\": 1}\n" .. result(),
      ["before a notice"] = result() .. "\nnpm notice New minor version {available}\n",
      ["behind a title"] = "\27]0;claude\7" .. result() .. "\27]0;\27\\",
      ["in color"] = "\27[?25l\27[32m" .. result() .. "\27[0m\27[?25h\n",
      ["behind a BOM"] = "\u{FEFF}" .. result(),
      ["with CR LF"] = "\r\n" .. result() .. "\r\n",
      ["among lines of all it did"] = table.concat({ INIT, SAID, result() }, "\n") .. "\n",
      ["among lines, cut behind it"] = table.concat({ INIT, SAID, result(), INIT:sub(1, 30) }, "\n"),
      ["in a list of all it did"] = "[" .. table.concat({ INIT, SAID, result() }, ",\n") .. "]",
      ["in a list that is cut behind it"] = "[" .. table.concat({ INIT, result(), "" }, ","),
      ["as the last of several"] = result { result = "Not this" } .. "\n" .. result(),
    } do
      host.write(output, text)
      assert.equal("The answer", ask(one), name)
    end
    one:stop()
    local arguments = host.read((beside "arguments"))
    assert.equal("-p --output-format json\n-p --output-format json --resume session-1\n", arguments:match "^[^\n]*\n[^\n]*\n")
  end)

  it("never sends what else it printed: without a result it has failed", function()
    local one = connect()
    for pattern, text in pairs {
      ["its JSON output is cut off"] = result { result = ("x"):rep(200000) }:sub(1, 65536),
      ["its JSON output is cut off; with session"] = table.concat({ INIT, SAID, result():sub(1, 40) }, "\n"),
      ["its JSON output has no result"] = INIT .. "\n" .. SAID .. "\n",
      ["it did not answer in JSON"] = "Now using node v20.11.0\n",
      ["it printed nothing"] = "",
      ["it printed nothing; with session=false"] = " \n",
      ["claude: its result is empty"] = result { result = "" },
      ["it failed %(success%): Invalid API key"] = result { is_error = true, result = "Invalid API key" },
      ["it failed %(error_max_turns%): it does not say why"] = result { subtype = "error_max_turns", result = cjson.null },
      ["it failed %(error_during_execution%): too bad"] =
        result { subtype = "error_during_execution", result = cjson.null, errors = { "too bad" } },
    } do
      host.write(output, text)
      local row = say()
      one:log_of(row, "the handler failed .*" .. pattern)
    end
    assert.equal(0, #one:told_canvas())
    one:stop()
  end)

  it("fails also without a session when it prints nothing, and unpacks a result that nobody asked for", function()
    local one = connect({ session = "false" })
    host.write(output, "")
    one:log_of(say(), "it printed nothing")
    host.write(output, result())
    assert.equal("The answer", ask(one))
    host.write(output, "plain words\n")
    assert.equal("plain words", ask(one))
    one:stop()
    workspace = host.workspace(platform)
    host.write(output, "banner\n" .. result())
    one = connect({ session = "false", args = "--output-format json" })
    assert.equal("The answer", ask(one))
    one:stop()
  end)

  it("uses a result that is there when the program fails afterwards", function()
    host.write(output, result())
    host.write((beside "then"), "echo 'cannot clean up' >&2; exit 1")
    local one = connect()
    assert.equal("The answer", ask(one))
    one:log "exit code 1; using its result, which was already complete"
    one:stop()
  end)

  it("says what the result says where the program fails because of it", function()
    host.write(output, result { is_error = true, result = "Claude AI usage limit reached" })
    host.write((beside "then"), "exit 1")
    local one = connect()
    one:log_of(say(), "it failed %(success%): Claude AI usage limit reached")
    one:stop()
  end)

  it("uses a result that is there when the program does not end, and ends it", function()
    host.write(output, result():gsub('": "', '":"') .. "\n")
    host.write((beside "then"), "exec sleep 1000")
    local one = connect({ timeout = "0" })
    assert.equal("The answer", ask(one))
    one:log "ended by signal 15; using its result, which was already complete"
    one:stop() -- which looks for children that were left behind
  end)

  it("uses a result that is there at the timeout", function()
    host.write(output, (result():gsub('"type":"result"', '"type" : "result"')))
    host.write((beside "then"), "exec sleep 1000")
    local one = connect({ timeout = "1s" })
    assert.equal("The answer", ask(one))
    one:log "timed out after 1.0 s; .*using its result, which was already complete"
    one:stop()
  end)

  it("takes what a structured answer is for the reply", function()
    host.write(output, result { result = "", structured_output = { town = "Ulm" } })
    local one = connect()
    assert.equal('{"town":"Ulm"}', ask(one))
    one:stop()
  end)

  it("is told of files and data where a message has no text", function()
    host.write(output, result())
    local one = connect()
    ask(one, { parts = { { kind = "file", file = { name = "report.pdf", mimeType = "application/pdf", size = 12345,
      uri = "https://example.com/x" } } } })
    assert.equal("[file: report.pdf, application/pdf, 12 KB]", host.read((beside "heard")))
    ask(one, { parts = { { kind = "data", data = { town = "Ulm" } } } })
    assert.equal('[data: {"town":"Ulm"}]', host.read((beside "heard")))
    one:stop()
  end)
end)
