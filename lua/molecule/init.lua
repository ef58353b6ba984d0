--- `require "molecule"`: what a script can ask of its host.
-- C does the work (molecule.core); this file gives it its shape.
local core = require "molecule.core"
local json = require "molecule.json"
local misuse = require "molecule.misuse"
local require = require

local molecule = {
  version = core.version,
  json = json,
  null = json.null,
  array = json.array,
  sleep = core.sleep,
  every = core.every,
  after = core.after,
  now = core.now,
  uuid = core.uuid,
  exec = core.exec,
}

-- What is loaded when a script first touches it: a state that does without stays small.
local later = {
  http = function() return require "molecule.http" end,
  router = function() return require "molecule.router" end,
  store = function() return require "molecule.store" end,
}
for _, name in ipairs {"send", "notify", "peers", "delegate"} do
  later[name] = function() return require "molecule.peers"[name] end
end

setmetatable(molecule, {
  __index = function(self, name)
    local open = later[name]
    if not open then return nil end
    later[name] = nil
    self[name] = open()
    return self[name]
  end,
  __pairs = function(self)
    for _, name in ipairs {"http", "router", "store", "send", "notify", "peers", "delegate"} do local _ = self[name] end
    return next, self, nil
  end,
})

--- Log lines of the script: molecule.log.info("took %d rows", n). Also callable: molecule.log("text") is info.
local function logger(level)
  return function(format, ...)
    if select("#", ...) == 0 then return core.log(level, tostring(format)) end
    local fine, text = pcall(string.format, format, ...)
    if not fine then misuse(("log.%s: %s"):format(level, text)) end
    core.log(level, text)
  end
end
molecule.log = setmetatable({
  error = logger "error",
  warn = logger "warn",
  info = logger "info",
  debug = logger "debug",
}, {__call = function(self, ...) self.info(...) end})

--- An environment variable, or `default`. The host's token is not among them.
function molecule.env(name, default)
  if core.sandbox then error("molecule.env is not in the sandbox (--sandbox): give the script --script-opt K=V", 2) end
  local value = os.getenv(name)
  if value == nil then return default end
  return value
end

local function check(value, expected, position, name)
  if value ~= nil and type(value) ~= expected then
    error(("bad argument %s to molecule.%s: %s expected, got %s"):format(position, name, expected, type(value)), 3)
  end
end

--- The message needs no answer.
function molecule.skip(reason)
  check(reason, "string", "#1", "skip")
  return setmetatable({kind = "skip", reason = reason}, core.verdict)
end

--- Try this message again later: after `after` seconds (default: the host's backoff). With `hold` the messages behind
--- it in its conversation wait too.
function molecule.retry(options)
  check(options, "table", "#1", "retry")
  options = options or {}
  check(options.after, "number", "`after`", "retry")
  check(options.reason, "string", "`reason`", "retry")
  check(options.hold, "boolean", "`hold`", "retry")
  if options.after and (options.after < 0 or options.after > 366 * 86400 or options.after ~= options.after) then
    error("molecule.retry: `after` must be between 0 seconds and 366 days", 2)
  end
  return setmetatable({kind = "retry", after = options.after, reason = options.reason, hold = options.hold},
    core.verdict)
end

--- This message can never be answered: set it aside as a dead letter.
function molecule.dead(reason)
  check(reason, "string", "#1", "dead")
  return setmetatable({kind = "dead", reason = reason}, core.verdict)
end

return molecule
