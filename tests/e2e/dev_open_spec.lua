--- `molecule dev --open`: the playground in the user's browser.

local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local http = require "tests.support.http"
local loop = require "tests.support.loop"
local process = require "tests.support.process"

describe("molecule dev --open", function()
  after_each(function()
    process.kill_all()
    host.clean_up()
    loop.flush()
  end)

  local function start(directory, script)
    host.write(directory .. "/agent.lua", "return function(msg) return msg.text end")
    if script then
      host.write(directory .. "/xdg-open", script)
      assert(os.execute("chmod +x " .. directory .. "/xdg-open"))
    end
    return process.spawn { command = { emulator.binary(), "dev", directory .. "/agent.lua", "--port", "0", "--open" },
      keep_stdin = true, env = { PATH = script and directory .. ":" .. os.getenv "PATH" or directory } }
  end

  it("shows the page in the browser", function()
    local directory = host.directory()
    local child = start(directory, "#!/bin/sh\necho \"$1\" > " .. directory .. "/shown.part\nmv " .. directory .. "/shown.part "
      .. directory .. "/shown\n")
    local url = child:wait_line "^playground: ":match "http%S+"
    local port = math.tointeger(tonumber(url:match ":(%d+)/"))
    local deadline = loop.now() + loop.LIMIT_MS
    repeat
      http.request { port = port, path = "/__emulator/state" }
    until host.read(directory .. "/shown") or loop.now() > deadline
    assert.equal(url .. "\n", host.read(directory .. "/shown"))
    child:signal "sigterm"
    assert.equal(0, (child:wait_exit()), child:report())
  end)

  it("works without a browser, and says where the page is", function()
    local child = start(host.directory())
    child:wait_line("there is no xdg%-open; open http://127.0.0.1:%d+/__emulator/playground yourself", { stream = "stderr" })
    child:signal "sigterm"
    assert.equal(0, (child:wait_exit()), child:report())
  end)
end)
