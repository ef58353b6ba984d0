--- molecule.router: a script that is a list of commands.

local emulator = require "tests.support.emulator"
local host = require "tests.support.host"

local SCRIPT = [[
local molecule = require "molecule"
local router = molecule.router {allow = {"canvas"}, name = "operator"}
router:on("^deploy (%S+) to (%S+)$", "deploy <what> to <where>", function(msg, ctx, what, where)
  return ("%s -> %s (%s)"):format(what, where, msg.from)
end)
router:on("^status", function() return "fine" end)
return router]]

describe("a router", function()
  local platform, workspace

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)
  before_each(function() workspace = host.workspace(platform) end)
  after_each(host.clean_up)
  teardown(function() platform:stop() end)

  local function connect(script)
    return host.connect { platform = platform, workspace = workspace, script = script }
  end

  local function ask(one, text)
    local before = #one:told_canvas()
    platform:message { to = workspace.id, text = text }
    local told = one:canvas(before + 1)
    return told[#told]
  end

  it("gives a command's words to its function, and help to everything else", function()
    local one = connect(SCRIPT)
    assert.equal("web -> production (canvas)", ask(one, "  deploy web to production\n"))
    assert.equal("fine", ask(one, "status please"))
    assert.equal("I understand:\n  deploy <what> to <where>\n  ^status", ask(one, "what?"))
    assert.equal("operator", require("cjson").decode(one:posts("/registry/register")[1].body).agent_card.name)
    one:stop()
  end)

  it("skips who is not on the allow-list, and says so", function()
    local one = connect(SCRIPT)
    local stranger = host.workspace(platform)
    local row = platform:message { to = workspace.id, from = stranger.id, text = "status" }[1]
    one:log_of(row, "skipped: .* is not on the router's allow%-list")
    assert.equal(0, #one:posts("/a2a"))
    one:stop()
  end)

  it("answers with its default where it has one", function()
    local one = connect [[
      local router = require "molecule".router()
      router:on("^a$", function() return "A" end):default(function(msg) return "not a but " .. msg.text end)
      return router]]
    assert.equal("A", ask(one, "a"))
    assert.equal("not a but b", ask(one, "b"))
    one:stop()
  end)

  it("says at the script's own line what is wrong with a route", function()
    local one = host.run({ platform = platform, workspace = workspace,
      script = 'local router = require "molecule".router()\nrouter:on("(", function() end)\nreturn router' }, 2)
    one:log "agent.lua:2: router:on: the pattern"
    local two = host.run({ platform = platform, workspace = workspace,
      script = 'return (require "molecule".router {allow = "canvas"})' }, 2)
    two:log "agent.lua:1: molecule.router: allow must be a list"
  end)
end)
