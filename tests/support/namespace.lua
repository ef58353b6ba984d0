--- A mount namespace of one's own, for tests that need a file system or a socket in another place. Containers and roots of
--- chroot often allow none.
local process = require "tests.support.process"

local namespace = {}

local WORDS = { "unshare", "--user", "--map-root-user", "--mount", "sh", "-c" }
local allowed

---Whether this machine lets us have one; else the test is pending.
---@return boolean
function namespace.allowed()
  if allowed == nil then
    local command = { table.unpack(WORDS) }
    command[#command + 1] = "mount -t tmpfs none /mnt"
    allowed = process.spawn { command = command }:wait_exit() == 0
  end
  return allowed
end

---Words in front of a program that runs in it, after a shell has run this.
---@param shell string
---@return string[]
function namespace.after(shell)
  local command = { table.unpack(WORDS) }
  command[#command + 1] = shell .. ' && exec "$@"'
  command[#command + 1] = "sh"
  return command
end

namespace.PENDING = "no user namespaces are allowed here"

return namespace
