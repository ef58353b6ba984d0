--- A long job with progress: the steps of a release, each said before it begins. Every step is a separate attempt that
--- ends with molecule.retry: what is done is recorded, and after a crash only the step that was running runs again.
---
---   release 1.4      (a message)
---
---   molecule connect <workspace-id> --script examples/job.lua --script-opt dir=/srv/app
local molecule = require "molecule"
local store = molecule.store

local STEPS = {
  {name = "fetch", argv = {"git", "fetch", "--tags"}},
  {name = "check out", argv = {"git", "checkout", "@"}},
  {name = "build", argv = {"make", "build"}},
  {name = "test", argv = {"make", "test"}},
  {name = "install", argv = {"make", "install"}},
}

--- The program and its arguments, with the version in place of @.
local function command(step, version)
  local argv = {}
  for i, word in ipairs(step.argv) do argv[i] = word == "@" and "v" .. version or word end
  return argv
end

local function run(step, version, dir)
  local result, problem = molecule.exec {argv = command(step, version), cwd = dir, timeout = "20m"}
  if not result then return nil, problem end
  if result.code ~= 0 then return nil, ("code %d: %s"):format(result.code, result.stderr:sub(-500)) end
  return true
end

return {
  name = "job",
  description = "releases a version, step by step",

  handle = function(msg, ctx)
    local version = msg.text:match "^[Rr]elease (%d[%w.-]*)$"
    if not version then return "Say `release 1.4`." end
    local key = "done:" .. msg.id -- a second message starts over
    local at = (store.get(key) or 0) + 1
    local step = STEPS[at]
    ctx.progress(("%d/%d %s"):format(at, #STEPS, step.name))
    local fine, problem = run(step, version, ctx.options.dir)
    if not fine then
      store.delete(key)
      return ("%s was not released: %s failed, %s"):format(version, step.name, problem)
    end
    if at < #STEPS then
      store.set(key, at, {ttl = "7d"})
      return molecule.retry {after = 0, hold = true, reason = step.name .. " is done"}
    end
    store.delete(key)
    return ("%s is released."):format(version)
  end,
}
