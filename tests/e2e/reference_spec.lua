--- What is written of the API is what there is: lua/molecule/types.lua, docs/script-api.md, and the binary.

local cjson = require "cjson"
local a2a = require "tests.support.a2a"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local http = require "tests.support.http"

-- Answers with every name that a script can reach, a line each.
local WALK = [[
local molecule = require "molecule"
local names = {}
local function add(name) names[#names + 1] = name end
local function walk(prefix, values)
  for key, value in pairs(values) do
    local name = prefix .. "." .. key
    local meta = type(value) == "table" and getmetatable(value)
    if type(value) ~= "table" or meta and meta.__call then add(name) end
    if type(value) == "table" then walk(name, value) end
  end
end
local function methods(class, object)
  for name, value in pairs(debug.getmetatable(object).__index) do
    if type(value) == "function" then add(class .. ":" .. name) end
  end
end
local function fields(class, values)
  for name in pairs(values) do add(class .. "." .. name) end
end
return {answers_replies = true, handle = function(msg, ctx)
  names = {}
  fields("Message", msg)
  if msg.files[1] then
    methods("File", msg.files[1])
    fields("File", msg.files[1])
  end
  fields("Context", ctx)
  ctx.step("walk", function(step) fields("Step", step) end)
  walk("molecule", molecule)
  methods("Router", molecule.router {})
  methods("A2aAgent", molecule.a2a "http://agent.example")
  local timer = molecule.after(100, print)
  if timer.cancel then add "Timer:cancel" end -- its metatable is not handed out
  timer:cancel()
  local response = assert(molecule.http.get(ctx.options.url))
  methods("HttpResponse", response)
  fields("HttpResponse", response)
  fields("ExecResult", assert(molecule.exec {cmd = "kill -9 $$"}))
  return table.concat(names, "\n")
end}]]

describe("the reference of the API", function()
  local platform

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)
  after_each(host.clean_up)
  teardown(function() platform:stop() end)

  local function run(option)
    local pipe = assert(io.popen("cmake/api-reference " .. option .. " 2>&1"))
    local text = pipe:read "a"
    return pipe:close(), text
  end

  local function lines_of(text, into)
    local set = into or {}
    for line in text:gmatch "[^\n]+" do set[line] = true end
    return set
  end

  local function missing(wanted, there)
    local list = {}
    for name in pairs(wanted) do
      if not there[name] then list[#list + 1] = name end
    end
    table.sort(list)
    return list
  end

  -- What a message of an A2A client has.
  local function add_served(names)
    local one = a2a.serve { script = WALK, args = { "--script-opt", "url=" .. platform.url } }
    local message = { messageId = "m", role = "ROLE_USER", parts = { { text = "x" } } }
    local answer = http.request { port = tonumber(one.url:match ":(%d+)"), method = "POST", path = "/message:send",
      headers = { ["A2A-Version"] = "1.0" }, json = { message = message } }
    lines_of(cjson.decode(answer.body).task.artifacts[1].parts[1].text, names)
    one:stop()
  end

  -- All that scripts meet, whatever the message.
  local function reachable()
    local workspace, peer = host.workspace(platform), host.workspace(platform)
    local one = host.connect { platform = platform, workspace = workspace, script = WALK,
      args = { "--script-opt", "url=" .. platform.url } }
    local file = { kind = "file", file = { name = "a.txt", mimeType = "text/plain", size = 1, bytes = "eA==" } }
    local stored = { kind = "file", file = { name = "b.txt", uri = "workspace:/b.txt" } }
    platform:message { to = workspace.id, from = peer.id, context_id = "c", task_id = "t",
      metadata = { color = "blue", molecule = { in_reply_to = "m" } },
      parts = { { kind = "text", text = "x" }, file },
      history = { { role = "user", parts = { { kind = "text", text = "before" } } } } }
    platform:message { to = workspace.id, context_id = "d", parts = { stored } }
    local names = lines_of(one:canvas(1)[1])
    lines_of(one:peer(peer.id, 1)[1], names)
    one:stop()
    add_served(names)
    return names
  end

  -- What no walk finds: what scripts give, what is there by other means, and what only a due run has (cron_spec.lua), an
  -- answer (ask_spec.lua), or an A2A agent's (a2a_client_spec.lua).
  local function is_given(name)
    return name:find "^Agent%." or name:find "^%w+Options%." or name:find "^CronRun%." or name:find "^Answer%."
      or name:find "^A2a%w+%." or name:find "^ArtifactPiece%." or name:find "^AgentCard%."
  end

  it("tells of everything that scripts can reach, and of nothing else", function()
    local fine, text = run "--names"
    assert(fine, text)
    local described, there = lines_of(text), reachable()
    assert.same({}, missing(there, described))
    for name in pairs(described) do
      if is_given(name) then described[name] = nil end
    end
    described["Context.progress"] = true
    assert.same({}, missing(described, there))
  end)

  it("tells of the fields of an agent that the host looks at", function()
    local _, text = run "--names"
    local described, known = {}, { ["Agent.handle"] = true }
    for name in text:gmatch "Agent%.[%w_]+" do described[name] = true end
    local source = host.read("src/script/agent.c"):match "fields%[%] = {(.-)};"
    for name in source:gmatch '{"([%w_]+)", LUA_T' do known["Agent." .. name] = true end
    assert.same({}, missing(known, described))
    assert.same({}, missing(described, known))
  end)

  it("tells of the fields of a card that the host looks at, and of those of ctx.artifact", function()
    local _, text = run "--names"
    local described, known = {}, {}
    for name in text:gmatch "%f[%w]AgentCard%.[%w_]+" do described[name] = true end
    for name in text:gmatch "%f[%w]ArtifactPiece%.[%w_]+" do described[name] = true end
    for name in host.read("src/doors/a2a_card_file.c"):match "#define CARD_MEMBERS(.-)\n\n":gmatch 'X%("([%w_]+)"' do
      known["AgentCard." .. name] = true
    end
    for name in host.read("lua/molecule/artifacts.lua"):match '"ctx.artifact", piece, {(.-)}':gmatch "([%w_]+) =" do
      known["ArtifactPiece." .. name] = true
    end
    assert.same({}, missing(known, described))
    assert.same({}, missing(described, known))
  end)

  it("tells of the options of http, exec, cron and a2a that there are", function()
    local _, text = run "--names"
    local described = lines_of(text)
    local known = {}
    for name in host.read("lua/molecule/http.lua"):match "local KNOWN = {(.-)}":gmatch "([%w_]+) =" do
      known["HttpOptions." .. name] = true
    end
    for name in host.read("src/script/api_exec.c"):match "known%[%] = {(.-)}":gmatch '"([%w_]+)"' do
      known["ExecOptions." .. name] = true
    end
    for name in host.read("lua/molecule/cron.lua"):match '"cron", options, {(.-)}':gmatch "([%w_]+) =" do
      known["CronOptions." .. name] = true
    end
    local client = host.read "lua/molecule/a2a.lua"
    for class, list in pairs { A2aOptions = client:match '%("a2a", options, {(.-)}',
      A2aSendOptions = client:match '"a2a: send"\n  options = check_options%(what, options, {(.-)}' } do
      for name in list:gmatch "([%w_]+) =" do known[class .. "." .. name] = true end
    end
    assert.same({}, missing(known, described))
    for name in pairs(described) do
      if not name:find "^%w+Options%." then described[name] = nil end
    end
    assert.same({}, missing(described, known))
  end)

  it("is the same in docs/script-api.md", function()
    local fine, text = run "--check"
    assert(fine, text)
  end)
end)
