--- The collector never rests: what we hand to Lua must be anchored at every allocation.

local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local server = require "tests.support.server"

local SCRIPT = [[
collectgarbage("incremental", 1, 1000, 6) -- a new cycle at once, in large steps, after 64 bytes
local molecule = require "molecule"
return {concurrency = 4, handle = function(msg, ctx)
  local value = assert(molecule.json.decode('{"list": [1, 2.5, "three", null, [], {}], "n": 9007199254740993}'))
  local text = assert(molecule.json.encode(value))
  local out = assert(molecule.exec {argv = {"cat"}, stdin = msg.text}).stdout
  local pages = {}
  for page in coroutine.wrap(function()
    for _ = 1, 2 do coroutine.yield(assert(molecule.http.get(ctx.options.url)).body) end
  end) do
    pages[#pages + 1] = page
  end
  for event in molecule.http.sse {url = ctx.options.url .. "/events"} do pages[#pages + 1] = event.data end
  local fine, problem = xpcall(function() error {code = 7} end, function(object) return object.code end)
  molecule.sleep(0.001)
  local _ = tostring(setmetatable({}, {__tostring = function() return ("x"):rep(100) end}))
  if msg.text == "fails" then error(setmetatable({}, {__tostring = function() return "an object" end})) end
  return {parts = {{kind = "text", text = ("%s %s %d %s %d"):format(out, table.concat(pages), #text, tostring(fine), problem)}}}
end}]]

describe("under a collector that never rests", function()
  local platform, workspace

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)
  before_each(function() workspace = host.workspace(platform) end)
  after_each(function()
    server.stop_all()
    host.clean_up()
  end)
  teardown(function() platform:stop() end)

  it("everything works as ever", function()
    local web = server.start(function(request, reply)
      if request.path == "/events" then
        reply(200, "data: e\n\ndata: f\n\n", { ["Content-Type"] = "text/event-stream" })
      else
        reply(200, "page ")
      end
    end)
    local one = host.connect { platform = platform, workspace = workspace, script = SCRIPT,
      args = { "--script-opt", "url=" .. web.url, "--max-attempts", "1" } }
    local row = platform:message { to = workspace.id, text = "fails" }[1]
    one:log_of(row, "an object")
    for i = 1, 40 do platform:message { to = workspace.id, context_id = "context " .. i % 5, text = "message " .. i } end
    local told = one:canvas(40)
    table.sort(told)
    local _, rest = told[1]:match "^(message %d+) (.*)$"
    assert.truthy(rest:match "^page page ef %d+ false 7$", rest)
    for _, text in ipairs(told) do assert.equal(rest, text:match "^message %d+ (.*)$") end
    one:stop()
  end)
end)
