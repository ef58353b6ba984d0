--- What backends are told of messages that are not only text.

local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local server = require "tests.support.server"

describe("a message", function()
  local platform, workspace, web

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)
  before_each(function()
    workspace = host.workspace(platform)
    web = server.start(function(request, reply)
      local body = cjson.decode(request.body)
      local heard = body.messages and body.messages[#body.messages].content
        or ("%s|%s|%s"):format(body.text, #body.parts, body.files[1] and body.files[1].name)
      reply(200, cjson.encode { text = heard, choices = { { message = { content = heard } } } })
    end)
  end)
  after_each(function()
    server.stop_all()
    host.clean_up()
  end)
  teardown(function() platform:stop() end)

  local FILE = { kind = "file", file = { name = "report.pdf", mimeType = "application/pdf", size = 12345, uri = "https://x" } }
  local BYTES = { raw = host.base64(("x"):rep(3000)), filename = "new.bin", mediaType = "x/y" }
  local DATA = { data = { town = "Ulm" } }
  local TEXT = { kind = "text", text = "look" }
  local PDF = "[file: report.pdf, application/pdf, 12 KB]"

  local backends = {
    exec = { options = function() return { cmd = "cat" } end, alone = PDF, with_text = "look" },
    mock = { options = function() return { reply = "%s" } end, alone = PDF, with_text = "look" },
    openai = { options = function() return { url = web.url, model = "m", history = 0 } end, alone = PDF,
      with_text = "look\n" .. PDF },
    http = { options = function() return { url = web.url } end, alone = "|1|report.pdf", with_text = "look|2|report.pdf" },
  }

  for name, backend in pairs(backends) do
    it("that has a file is told to the backend " .. name, function()
      local args = { "--backend", name }
      for key, value in pairs(backend.options()) do
        args[#args + 1] = "--backend-opt"
        args[#args + 1] = key .. "=" .. value
      end
      local one = host.connect { platform = platform, workspace = workspace, args = args }
      local function ask(...)
        local before = #one:told_canvas()
        platform:message { to = workspace.id, parts = { ... } }
        return one:canvas(before + 1)[before + 1]
      end
      assert.equal(backend.alone, ask(FILE))
      assert.equal(backend.with_text, ask(TEXT, FILE))
      if name ~= "http" then
        assert.equal("[file: new.bin, x/y, 3 KB]", ask(BYTES))
        assert.equal('[data: {"town":"Ulm"}]', ask(DATA))
        assert.equal(PDF .. '\n[data: {"town":"Ulm"}]', ask(DATA, FILE))
      end
      one:stop()
    end)
  end
end)
