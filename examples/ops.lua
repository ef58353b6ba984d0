--- An operator's responder: answers `status`, `disk` and `uptime` about the machine it runs on.
--- molecule connect <workspace-id> --script examples/ops.lua --script-opt allow=canvas,<peer id>
local molecule = require "molecule"

local COMMANDS = {
  status = {argv = {"uptime"}, about = "load and users"},
  disk = {argv = {"df", "-h", "/"}, about = "space on the root file system"},
  uptime = {argv = {"uptime", "-p"}, about = "how long the machine has been up"},
}

local function help()
  local lines = {"I know:"}
  for name, command in pairs(COMMANDS) do
    lines[#lines + 1] = ("  %s: %s"):format(name, command.about)
  end
  table.sort(lines, function(a, b) return a > b end)
  return table.concat(lines, "\n")
end

--- Who may ask: `--script-opt allow=canvas,<peer id>`; by default the human in the canvas alone.
local function may_ask(msg, ctx)
  for name in (ctx.options.allow or "canvas"):gmatch("[^,%s]+") do
    if name == msg.from then return true end
  end
  return false
end

return {
  name = "ops",
  description = "answers status, disk and uptime for an operator",
  skills = {{id = "ops", name = "operations", description = "status, disk, uptime"}},

  handle = function(msg, ctx)
    if not may_ask(msg, ctx) then
      return molecule.skip("not on the allow list: " .. msg.from)
    end
    local command = COMMANDS[msg.text:lower():match("^%s*(%a+)%s*$") or ""]
    if not command then return help() end
    local result, problem = molecule.exec {argv = command.argv, timeout = "10s"}
    if not result then error(problem) end
    if result.code ~= 0 then
      return ("%s failed with code %d: %s"):format(command.argv[1], result.code, result.stderr)
    end
    return result.stdout
  end,
}
