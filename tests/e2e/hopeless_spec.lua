--- A mistake that is the same however often a handler runs is no reason to run it again, with all that it does on its way.

local emulator = require "tests.support.emulator"
local host = require "tests.support.host"

describe("a handler that", function()
  local platform, workspace

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)
  before_each(function() workspace = host.workspace(platform) end)
  after_each(host.clean_up)
  teardown(function() platform:stop() end)

  local function run(body)
    local one = host.connect { platform = platform, workspace = workspace,
      script = 'local molecule = require "molecule"\nreturn function(msg, ctx)\n' .. body .. "\nend" }
    platform:message { to = workspace.id, text = "x" }
    return one
  end

  for what, body in pairs {
    ["misuses molecule.send"] = "molecule.send(5)", ["misuses molecule.notify"] = "molecule.notify({})",
    ["misuses an option of molecule.send"] = [[molecule.send(msg.id, "x", {timout = 5})]],
    ["misuses the store"] = [[molecule.store.set("key", function() end)]],
    ["misuses molecule.http"] = "molecule.http.get(5)",
    ["returns a number"] = "return 5",
  } do
    it(what .. " makes its message a dead letter at once", function()
      local one = run(body)
      one:log "attempt 1 of 1"
      one:stop()
      assert.equal(0, one:count_log "retrying in")
    end)
  end

  for what, body in pairs {
    ["catches its misuse and fails otherwise"] = [[pcall(molecule.send, 5) error "no luck"]],
    ["raises an error of its own"] = [[error "no luck"]],
  } do
    it(what .. " is run again", function()
      local one = run("if ctx.attempt == 2 then return 'fine' end " .. body)
      one:log "attempt 1 of %d+, retrying in"
      assert.same({ "fine" }, one:canvas(1))
      one:stop()
    end)
  end
end)
