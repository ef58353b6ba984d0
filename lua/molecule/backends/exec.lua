--- exec: runs a shell command for each message: text on standard input, standard output is the reply.
-- Options: cmd (required), timeout (60s), pass_meta (false; true puts MOLECULE_* into its environment).
local backend = require "molecule.backend"
local command = require "molecule.command"

return function(given)
  command.check_sandbox("exec")
  local options = backend.options("exec", given, {cmd = false, timeout = "60s", pass_meta = "false"})
  if not options.cmd or options.cmd == "" then
    error("backend exec needs --backend-opt cmd=\"a shell command\"", 0)
  end
  local pass_meta = backend.boolean("exec", "pass_meta", options.pass_meta)
  local timeout = backend.duration("exec", "timeout", options.timeout)
  return {
    name = "exec",
    description = "answers with the output of a command",
    concurrency = 8,
    handle = function(msg, ctx)
      return command.run("exec: " .. options.cmd, {
        cmd = options.cmd,
        stdin = backend.text(msg),
        timeout = timeout,
        env = pass_meta and command.meta(msg, ctx) or nil,
      })
    end,
  }
end
