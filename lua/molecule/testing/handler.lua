--- One run of script code, in its own coroutine: a message, a timer, start or stop. It ends with what its body returned, with
--- an error, or at its time limit.

local branches = require "molecule.testing.branches"
local environment = require "molecule.testing.environment"

local handler = {}

local FIELDS_MAXIMUM = 12

local function describe_table(value)
  local fields = {}
  for key, field in pairs(value) do
    local text = type(field) == "string" and ('"%s"'):format(field) or (type(field) == "number" or type(field) == "boolean")
      and tostring(field) or ("(a %s)"):format(type(field))
    fields[#fields + 1] = type(key) == "string" and key .. " = " .. text or text
  end
  table.sort(fields)
  if #fields > FIELDS_MAXIMUM then fields = {table.unpack(fields, 1, FIELDS_MAXIMUM), "…"} end
  return ("the error object is a table: {%s}"):format(table.concat(fields, ", "))
end

--- What an error says.
local function error_text(value)
  if type(value) == "string" then return value end
  if type(value) == "number" then return ("%g"):format(value) end
  if value == nil then return "error() was called with nil" end
  local meta = getmetatable(value)
  if type(meta) == "table" and meta.__tostring then
    local fine, text = pcall(tostring, value)
    return fine and text or ("an error object (%s) whose __tostring failed"):format(type(value))
  end
  if type(value) == "table" and next(value) ~= nil then return describe_table(value) end
  return ("the error object is a %s value"):format(type(value))
end

-- Frames of the script alone.
local function script_frames(traceback)
  local lines = {}
  for line in traceback:gmatch("[^\n]+") do
    local is_ours = line:find("molecule/[%w_/]*%.lua:") or line:find("^%s*%[C%]: in %?") or line:find("function 'xpcall'", 1,
      true)
    if #lines > 0 and not is_ours or line == "stack traceback:" then lines[#lines + 1] = line end
  end
  while lines[#lines] == "\t(...tail calls...)" do lines[#lines] = nil end
  return #lines > 1 and table.concat(lines, "\n") or nil
end

-- "agent.lua:12", where the coroutine is in the script.
local function place(co)
  for level = 0, 60 do
    local info = debug.getinfo(co, level, "Sl")
    if not info then break end
    if info.currentline > 0 and not environment.is_ours(info.source) then
      return ("%s:%d"):format(info.short_src, info.currentline)
    end
  end
  return "?"
end

local function finish(self, ended)
  if self.over then return end
  self.over = true
  if self.limit then self.limit.cancelled = true end
  branches.stop(self)
  self.version.handlers[self] = nil
  self.done(self, ended)
  self.version.agent.locks:release(self)
end

local function step(self, ...)
  if self.over then return end
  local version, agent = self.version, self.version.agent
  local running, active, branch = version.running, agent.active, version.branch
  version.running, agent.active, version.branch, self.waiting = self, self, self, nil
  local results = table.pack(coroutine.resume(self.co, ...))
  version.running, agent.active, version.branch = running, active, branch
  if self.over then return end
  if coroutine.status(self.co) ~= "dead" then
    if results[2] == environment.WAIT then
      return branches.wait(self, results[3], function(...) step(self, ...) end)
    end
    results = {false, "the handler called coroutine.yield outside a coroutine that it created", n = 2}
  elseif results[1] then -- of the xpcall inside
    results = table.pack(table.unpack(results, 2, results.n))
  end
  if results[1] then return finish(self, {fine = true, results = results}) end
  finish(self, {reason = error_text(results[2]), traceback = self.traceback,
    misuse = self.misuse and error_text(results[2]):find(self.misuse, 1, true) ~= nil})
end

--- Starts it. `done(handler, ended)` is called once with {fine, results} (from the second on) or {reason, traceback, misuse}.
---@param version table
---@param options {body: function, done: function, entry: table?, timeout: number?, may_not_wait: string?}
function handler.start(version, options)
  local agent = version.agent
  local self = {version = version, entry = options.entry, done = options.done, may_not_wait = options.may_not_wait, changes = {},
    values = {}, bytes = 0, finish = finish}
  branches.root(self)
  version.handlers[self] = true
  self.co = coroutine.create(function()
    return xpcall(options.body, function(problem)
      self.traceback = branches.traceback(self, problem, script_frames(debug.traceback(nil, 2)))
      return problem
    end)
  end)
  if options.timeout and options.timeout > 0 then
    self.limit = agent.clock:at(agent.clock:now() + options.timeout, function()
      finish(self, {reason = "took longer than its time limit (--timeout), at " .. place(branches.innermost(self))})
    end)
  end
  step(self)
  return self
end

--- The script's frames of the error that is being raised: for a message handler of xpcall that calls the caller.
function handler.frames() return script_frames(debug.traceback(nil, 3)) end

--- Ends it without a word: its process is gone.
function handler.abandon(self)
  self.done = function() end
  finish(self)
end

return handler
