--- `require "molecule"`: what a script can ask of its host.
-- C does the work (molecule.core); this file gives it its shape.
local core = require "molecule.core"
local json = require "molecule.json"
local misuse = require "molecule.misuse"
local check_options = require "molecule.options"
local require = require

local public = core.public

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
}

molecule.exec = public(function(options)
  if type(options) ~= "table" or options.step == nil then return core.exec(options) end
  local plain = {}
  for name, value in pairs(options) do plain[name] = name ~= "step" and value or nil end
  return require "molecule.once"("exec", options.step, {argv = plain.argv, cmd = plain.cmd, stdin = plain.stdin}, function()
    return core.exec(plain)
  end)
end)

-- Loaded when a script first uses it, so that a state that does not stays small.
local later = {
  a2a = function() return require "molecule.a2a" end,
  cron = function() return require "molecule.cron" end,
  http = function() return require "molecule.http" end,
  router = function() return require "molecule.router" end,
  store = function() return require "molecule.store" end,
}
for _, name in ipairs {"send", "notify", "peers", "delegate"} do
  later[name] = function() return require "molecule.peers"[name] end
end
for _, name in ipairs {"all", "map", "race"} do
  later[name] = function() return public(require "molecule.at_once"[name]) end
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
    for _, name in ipairs {"a2a", "cron", "http", "router", "store", "send", "notify", "peers", "delegate", "all", "map",
      "race"} do
      local _ = self[name]
    end
    return next, self, nil
  end,
})

--- Log lines of the script: molecule.log.info("took %d rows", n). Also callable: molecule.log("text") is info.
local function logger(level)
  return public(function(format, ...)
    if select("#", ...) == 0 then return core.log(level, tostring(format)) end
    local fine, text = pcall(string.format, format, ...)
    if not fine then misuse(("log.%s: %s"):format(level, text)) end
    core.log(level, text)
  end)
end
molecule.log = setmetatable({
  error = logger "error",
  warn = logger "warn",
  info = logger "info",
  debug = logger "debug",
}, {__call = public(function(self, ...) self.info(...) end)})

--- An environment variable, or `default`. The host's token is not among them.
molecule.env = public(function(name, default)
  if core.sandbox then misuse("molecule.env is not in the sandbox (--sandbox): use --script-opt K=V") end
  if type(name) ~= "string" then misuse(("env: the name must be a string, not a %s"):format(type(name))) end
  local value = os.getenv(name)
  if value == nil then return default end
  return value
end)

local function check_reason(what, reason)
  if reason ~= nil and type(reason) ~= "string" then
    misuse(("%s: the reason must be a string, not a %s"):format(what, type(reason)))
  end
end

--- The message needs no answer.
molecule.skip = public(function(reason)
  check_reason("skip", reason)
  return setmetatable({kind = "skip", reason = reason}, core.verdict)
end)

--- Retry this message later: after `after` seconds (default: the host's backoff). With `hold` the later messages of its
--- conversation wait too.
molecule.retry = public(function(options)
  options = check_options("retry", options, {after = "duration", reason = "string", hold = "boolean"})
  if options.after and not (options.after >= 0 and options.after <= 366 * 86400) then
    misuse("retry: `after` must be between 0 seconds and 366 days")
  end
  return setmetatable({kind = "retry", after = options.after, reason = options.reason, hold = options.hold},
    core.verdict)
end)

--- This message can never be answered: set it aside as a dead letter.
molecule.dead = public(function(reason)
  check_reason("dead", reason)
  return setmetatable({kind = "dead", reason = reason}, core.verdict)
end)

--- This message is refused: the task of an A2A client ends as rejected; elsewhere the reason is the reply.
molecule.reject = public(function(reason)
  check_reason("reject", reason)
  return setmetatable({kind = "reject", reason = reason}, core.verdict)
end)

return molecule
