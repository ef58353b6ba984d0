--- The backends http and stdio: what comes back in whatever shape is a reply, or an error that quotes it; nothing is silent.

local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local server = require "tests.support.server"

describe("the backend", function()
  local platform, workspace

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)
  before_each(function() workspace = host.workspace(platform) end)
  after_each(function()
    server.stop_all()
    host.clean_up()
  end)
  teardown(function() platform:stop() end)

  local function say(text) return platform:message { to = workspace.id, text = text or "hello" }[1] end

  local function ask(one, text)
    local before = #one:told_canvas()
    say(text)
    return one:canvas(before + 1)[before + 1]
  end

  local function connect(name, options, more, env)
    local args = { "--backend", name }
    for key, value in pairs(options) do
      args[#args + 1] = "--backend-opt"
      args[#args + 1] = key .. "=" .. value
    end
    for _, argument in ipairs(more or {}) do args[#args + 1] = argument end
    return host.connect { platform = platform, workspace = workspace, args = args, env = env }
  end

  local function plain(text) return (text:gsub("[%^%$%(%)%%%.%[%]%*%+%-%?]", "%%%0")) end

  describe("http", function()
    local web, answer

    before_each(function() web = server.start(function(_, reply) reply(table.unpack(answer)) end) end)

    it("quotes an answer that is no reply, and does not make the service do its work again", function()
      local one = connect("http", { url = web.url }, { "--error-reply", "it failed" })
      local count = 0
      for body, said in pairs {
        ['{"reply":"hello"}'] = "answered neither `text` nor `parts`",
        ['{"message":"hello"}'] = "answered neither `text` nor `parts`",
        ['{"ok":true}'] = "answered neither `text` nor `parts`",
        ['{"jsonrpc":"2.0","id":1,"result":{"parts":[]}}'] = "answered neither `text` nor `parts`",
        ['{"text":5}'] = "sent an invalid reply, its `text` is not a string",
        ['{"parts":{"text":"x"}}'] = "sent an invalid reply, its `parts` are not a list",
        ['{"parts":["x"]}'] = "sent an invalid reply, its `parts` are not a list of objects",
      } do
        answer = { 200, body }
        count = count + 1
        local line = one:log_of(say(), plain(said))
        for word in body:gmatch '"[^"]+"' do assert.truthy(line:find(word, 1, true), line) end
        assert.equal("it failed", one:canvas(count)[count])
        assert.equal(count, #web.requests)
      end
      one:stop()
    end)

    it("quotes an error in an answer with status 200, and what is not a JSON object", function()
      local one = connect("http", { url = web.url }, { "--max-attempts", "1" })
      for body, said in pairs {
        ['{"error":"quota exceeded"}'] = 'answered with an error: {"error":"quota exceeded"}',
        ['{"text":"","error":{"code":7}}'] = '"code":7',
        ["<html>busy"] = "did not answer with a JSON object: <html>busy",
        ['"hello"'] = 'did not answer with a JSON object: "hello"',
        ["[]"] = "did not answer with a JSON object: []",
        [""] = "did not answer with a JSON object: nothing (204 is for no reply)",
        ['{"text":"cut'] = 'did not answer with a JSON object: {"text":"cut',
      } do
        answer = { 200, body }
        one:log_of(say(), plain(said))
      end
      assert.equal(0, #one:told_canvas())
      one:stop()
    end)

    it("takes a reply even with an empty error beside it", function()
      local one = connect("http", { url = web.url })
      for _, body in ipairs { '{"text":"fine","error":null}', '{"text":"fine","error":"but"}', '\u{FEFF}{"text":"fine"}',
        '{"text":null,"parts":[{"text":"fine"}]}' } do
        answer = { 201, body }
        assert.equal("fine", ask(one))
      end
      for _, body in ipairs { "{}", '{"text":null}', '{"text":""}', '{"parts":[]}' } do
        answer = { 200, body }
        one:log_of(say(), "no_reply")
      end
      one:stop()
    end)

    it("sends a token without the line end that was in its file", function()
      answer = { 200, '{"text":"fine"}' }
      local one = connect("http", { url = " " .. web.url .. " ", token_env = "HOOK_TOKEN" }, nil, { HOOK_TOKEN = "its-own\r\n" })
      assert.equal("fine", ask(one))
      assert.equal("Bearer its-own", web.requests[1].headers.authorization)
      one:stop()
    end)

    it("refuses an invalid URL at the start", function()
      local args = { "--backend", "http", "--backend-opt", "url=localhost:1" }
      local one = host.run({ platform = platform, workspace = workspace, args = args }, 2)
      one:log 'option url must begin with http:// or https://, not "localhost:1"'
    end)
  end)

  describe("stdio", function()
    -- Prints what the text says, ID being the request's id; "die" ends it. What it is told beside messages goes to `told`.
    local PROGRAM = [[
local cjson = require "cjson"
io.stdout:setvbuf "no"
for line in io.lines() do
  local request = cjson.decode(line)
  if not request.method then
    io.open(arg[1], "w"):write(line, "\n"):close()
  else
    local text = request.params.text:gsub("ID", ("%d"):format(request.id // 1))
    io.write((text:gsub("die$", "")))
    if text:find "die$" then os.exit(0) end
  end
end]]
    local one, told

    before_each(function()
      local directory = host.directory()
      told = directory .. "/told"
      host.write(directory .. "/program.lua", PROGRAM)
      one = connect("stdio", { argv = cjson.encode { "lua5.4", directory .. "/program.lua", told }, timeout = "60s" },
        { "--max-attempts", "1" })
    end)

    after_each(function() one:stop() end)

    it("takes an answer in every shape that says whose it is", function()
      for name, line in pairs {
        ["an id as text"] = '{"id":"ID","result":"fine"}\n',
        ["an id as a decimal"] = '{"id":ID.0,"result":"fine"}\n',
        ["no id, where one message waits"] = '{"result":"fine"}\n',
        ["null for an id"] = '{"id":null,"result":"fine"}\n',
        ["CR LF"] = '{"id":ID,"result":"fine"}\r\n',
        ["a BOM"] = '\u{FEFF}{"id":ID,"result":"fine"}\n',
        ["a logger's prefix"] = 'INFO 12:00 {"id":ID,"result":"fine"}\n',
        ["a batch"] = '[{"jsonrpc":"2.0","method":"log"},{"id":ID,"result":"fine"}]\n',
        ["null for an error"] = '{"id":ID,"error":null,"result":{"text":"fine","parts":null}}\n',
        ["no line end before its end"] = '{"id":ID,"result":"fine"}die',
      } do
        assert.equal("fine", ask(one, line), name)
      end
    end)

    it("does not take a request of the program's own for an answer, refuses it, and says so", function()
      assert.equal("fine", ask(one, '{"jsonrpc":"2.0","id":ID,"method":"ping"}\n{"id":ID,"result":"fine"}\n'))
      one:log 'refused a request from the program: {"jsonrpc":"2.0","id":%d+,"method":"ping"}'
      assert.equal("fine", ask(one, '{"id":ID,"result":"fine"}\n'))
      local refusal = cjson.decode(host.read(told))
      assert.equal(-32601, refusal.error.code)
      assert.equal("fine", ask(one, '{"jsonrpc":"2.0","method":"progress","params":{"n":1}}\n{"id":ID,"result":"fine"}\n'))
      one:log 'notification from the program: {"jsonrpc":"2.0","method":"progress"'
      assert.equal("fine", ask(one, '{"id":ID,"result":"fine"}\n{"id":ID,"result":"again"}\n'))
      one:log 'ignoring an answer that nobody is waiting for: {"id":%d+,"result":"again"}'
      assert.equal("fine", ask(one, '{"half":\n{"id":ID,"result":"fine"}\n'))
      one:log 'ignoring a line that is not a JSON object: {"half":'
    end)

    it("quotes an invalid result", function()
      for result, said in pairs {
        ["42"] = "the result must be a string, an object or null, not a number: 42",
        ["false"] = "the result must be a string, an object or null, not a boolean: false",
        ['["a"]'] = 'the result must be a string, an object or null, not a list: ["a"]',
        ['{"reply":"hi"}'] = 'the result has neither text, parts, skip, retry nor dead: {"reply":"hi"}',
        ['{"reason":"hi"}'] = 'the result has neither text, parts, skip, retry nor dead: {"reason":"hi"}',
        ['{"text":5}'] = 'invalid result, its `text` is not a string: {"text":5}',
        ['{"parts":"x"}'] = 'invalid result, its `parts` are not a list: {"parts":"x"}',
        ['{"retry":"soon"}'] = "retry must be between 0 seconds and 366 days, not soon",
      } do
        one:log_of(say('{"id":ID,"result":' .. result .. "}\n"), plain(said))
      end
      one:log_of(say '{"id":ID}\n', "its answer has neither a result nor an error: {\"id\":%d+}")
      one:log_of(say '{"id":ID,"error":{"message":{"a":1}}}\n', 'answered with an error: {"a":1}')
      one:log_of(say '{"error":{"code":-32700,"message":"Parse error"},"id":null}\n', "with an error %(%-32700%): Parse error")
      for _, result in ipairs { "{}", "null", '{"text":""}', '{"skip":false}' } do
        one:log_of(say('{"id":ID,"result":' .. result .. "}\n"), "no_reply")
      end
    end)
  end)
end)
