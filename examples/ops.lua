--- An operator's responder: `status`, `disk` and `uptime` of the machine it runs on. A router picks the command, molecule.exec
--- runs it, and only those on the allow-list are answered: by default the human in the canvas.
--- molecule connect <workspace-id> --script examples/ops.lua --script-opt allow=canvas,<peer id>
local molecule = require "molecule"

local function is_allowed(msg, ctx)
  for name in (ctx.options.allow or "canvas"):gmatch("[^,%s]+") do
    if name == msg.from then return true end
  end
  return false
end

local router = molecule.router {
  name = "ops",
  description = "answers status, disk and uptime for an operator",
  skills = {{id = "ops", name = "operations", description = "status, disk, uptime"}},
  allow = is_allowed,
}

--- A route that answers with what a program prints.
local function program(pattern, about, argv)
  router:on(pattern, about, function()
    local result, problem = molecule.exec {argv = argv, timeout = "10s"}
    if not result then error(problem) end
    if result.code ~= 0 then return ("%s failed with code %d: %s"):format(argv[1], result.code, result.stderr) end
    return result.stdout
  end)
end

program("^[Ss]tatus$", "status: load and users", {"uptime"})
program("^[Dd]isk$", "disk: space on the root file system", {"df", "-h", "/"})
program("^[Uu]ptime$", "uptime: how long the machine has been up", {"uptime", "-p"})

return router
