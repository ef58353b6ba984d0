--- stdio: one long-lived program answers every message: a line of JSON-RPC 2.0 each way.
--
-- To its standard input: {"jsonrpc": "2.0", "id": 1, "method": "message", "params": {"id", "text", "from", "peer",
-- "conversation", "parts", "metadata", "attempt", …}}. From its standard output, in any order: {"id": 1, "result": "a text"},
-- or as result {"text": …}, {"parts": […]}, null (no reply), {"skip": reason}, {"retry": seconds}, {"dead": reason}; or
-- {"id": 1, "error": {"code", "message"}}. The id may come back as text, and be left out while one message waits. Requests
-- from the program are refused; these, its notifications, lines that are not JSON and its standard error are logged.
-- Options: command (for /bin/sh) or argv (a JSON list), one of them required; timeout (60s for an answer).
--
-- When it exits, waiting messages are retried; it is restarted for the next message, after 0.2 to 30 seconds: longer each time
-- it exits without an answer. On stop its standard input is closed.
local backend = require "molecule.backend"
local command = require "molecule.command"
local core = require "molecule.core"
local molecule = require "molecule"

local NAME = "stdio"
local DELAY_LEAST, DELAY_MOST = 0.2, 30 -- seconds between two starts
local PATIENCE = 3                      -- attempts at a message that do not count as failures when it exits
local GRACE = 2                         -- seconds it has to exit by itself on stop

local Program = {}
Program.__index = Program

local function read_arguments(options)
  if (options.command == nil) == (options.argv == nil) then
    error("backend stdio needs either --backend-opt command=\"a shell command\" or argv='[\"program\", …]'", 0)
  end
  if options.command then return nil end
  local argv, problem = options.argv, nil
  if type(argv) == "string" then argv, problem = molecule.json.decode(argv) end
  local fine = type(argv) == "table" and #argv > 0
  for _, word in ipairs(fine and argv or {}) do fine = fine and type(word) == "string" end
  if not fine then
    error(("backend stdio: option argv must be a JSON list of strings%s"):format(problem and ": " .. problem or ""), 0)
  end
  return argv
end

--- The running program, started if necessary: nil, message if it does not start.
function Program:running()
  while not (self.child and self.child:is_running()) do
    local wait = self.next_start - core.elapsed()
    if wait <= 0 then
      local child, problem = core.child {cmd = self.command, argv = self.argv, name = self.command or self.argv[1]}
      self.next_start, self.delay = core.elapsed() + self.delay, math.min(self.delay * 2, DELAY_MOST)
      if not child then return nil, problem end
      self.child = child
    else
      molecule.sleep(math.min(wait, DELAY_MOST))
    end
  end
  return self.child
end

--- Sends one request and waits for its answer -> the answer, or nil, message, CODE.
function Program:ask(method, params)
  local child, problem = self:running()
  if not child then return nil, problem, "START" end
  self.last = self.last + 1
  local line = molecule.json.encode {jsonrpc = "2.0", id = self.last, method = method, params = params}
  local answer, code, written
  local id = self.last
  written, problem, code = child:write(line .. "\n")
  if not written then return nil, problem, code end
  answer, problem, code = child:await(id, self.timeout)
  if answer then self.delay = DELAY_LEAST end
  return answer, problem, code
end

local function value_of(value)
  if value == molecule.null then return nil end
  return value
end

--- Without the fields that are null: many serializers write them all.
local function without_nulls(object)
  local copy = {}
  for name, value in pairs(object) do copy[name] = value_of(value) end
  return copy
end

local function text_of(reason) return type(reason) == "string" and reason or nil end

local VERDICTS = {skip = true, dead = true, retry = true}

local function read_retry(result, name)
  local after = tonumber(result.retry)
  if result.retry ~= true and not (after and after >= 0 and after <= 366 * 86400) then
    return backend.hopeless(("%s: retry must be between 0 seconds and 366 days, not %s"):format(name,
      backend.quote(result.retry)))
  end
  return molecule.retry {after = after, reason = text_of(result.reason)}
end

--- An answer's result -> what the handler returns. An invalid result is an error that another attempt would only repeat.
local function read_result(result, name)
  if result == molecule.null or type(result) == "string" then return value_of(result) end
  if type(result) ~= "table" or molecule.json.is_array(result) then
    return backend.hopeless(("%s: the result must be a string, an object or null, not a %s: %s"):format(name,
      type(result) == "table" and "list" or type(result), backend.quote(result)))
  end
  local given = result
  result = without_nulls(given)
  if result.skip then return molecule.skip(text_of(result.skip)) end
  if result.dead then return molecule.dead(text_of(result.dead)) end
  if result.retry then return read_retry(result, name) end
  if result.text == nil and result.parts == nil then
    for field in pairs(result) do
      if not VERDICTS[field] then
        return backend.hopeless(("%s: the result has neither text, parts, skip, retry nor dead: %s"):format(name,
          backend.quote(given)))
      end
    end
    return nil
  end
  local reply, problem = backend.read_reply(result)
  return reply or backend.hopeless(("%s: invalid result, %s: %s"):format(name, problem, backend.quote(given)))
end

local function read_error(problem, name)
  local fields = type(problem) == "table" and without_nulls(problem) or {message = problem}
  local message = fields.message or backend.quote(problem)
  error(("%s answered with an error%s: %s"):format(name, fields.code and (" (%s)"):format(tostring(fields.code)) or "",
    type(message) == "table" and backend.quote(message) or tostring(message)), 0)
end

return function(given)
  command.check_sandbox(NAME)
  local options = backend.options(NAME, given, {command = false, argv = false, timeout = "60s"})
  local argv, timeout = read_arguments(options), backend.seconds(NAME, "timeout", options.timeout)
  if timeout <= 0 then error("backend stdio: option timeout must be above 0", 0) end
  local program = setmetatable({command = options.command, argv = argv, last = 0, next_start = 0, delay = DELAY_LEAST,
    timeout = timeout}, Program)
  local name = NAME .. ": " .. (options.command or argv[1])
  return {
    name = NAME,
    description = "answers with what a program says",
    concurrency = 8,
    start = function() assert(program:running()) end,
    stop = function()
      if program.child then program.child:close(GRACE) end
    end,
    handle = function(msg, ctx)
      local answer, problem, code = program:ask("message", backend.describe(msg, ctx))
      if not answer and code == "ENDED" and ctx.attempt <= PATIENCE then
        return molecule.retry {after = program.delay, hold = true, reason = name .. ": " .. problem}
      end
      if not answer then error(("%s: %s [%s]"):format(name, problem, code), 0) end
      if value_of(answer.error) ~= nil then return read_error(answer.error, name) end
      if answer.result == nil then
        return backend.hopeless(("%s: its answer has neither a result nor an error: %s"):format(name, backend.quote(answer)))
      end
      return read_result(answer.result, name)
    end,
  }
end
