--- claude-code: runs `<bin> -p --output-format json <args>` for each message: text on standard input, the JSON's `result` is
--- the reply. Each conversation goes on in its own session: its id is kept for 30 days and given with --resume.
-- Options: bin (claude), args (none; split at blanks, quotes keep blanks), model, system (what is added to the system prompt),
-- session (true; false: every message begins anew, and the program's output is the reply), timeout (5m), pass_meta (true).
local backend = require "molecule.backend"
local command = require "molecule.command"
local molecule = require "molecule"

local SESSION_KEPT = 30 * 86400 -- seconds; the program forgets its sessions about then

--- Splits as a shell would, without expanding anything.
local function split(text)
  local words, word, quote = {}, nil, nil
  for character in text:gmatch(".") do
    if quote then
      if character == quote then quote = nil else word = word .. character end
    elseif character == '"' or character == "'" then
      quote, word = character, word or ""
    elseif character:match("%s") then
      words[#words + 1], word = word, nil
    else
      word = (word or "") .. character
    end
  end
  if quote then error("backend claude-code: option args has an unclosed " .. quote, 0) end
  words[#words + 1] = word
  return words
end

--- The arguments of one run. What the user wrote comes last and so has the last word.
local function arguments(options, extra, session)
  local argv = {options.bin, "-p"}
  local function add(...) table.move({...}, 1, select("#", ...), #argv + 1, argv) end
  if options.session then add("--output-format", "json") end
  if options.model then add("--model", options.model) end
  if options.system then add("--append-system-prompt", options.system) end
  if session then add("--resume", session) end
  add(table.unpack(extra))
  return argv
end

--- The result in what the program printed; nil: it printed none. With --verbose it stands last in a list of all it did.
local function find_result(output)
  local value = molecule.json.decode(output)
  if type(value) ~= "table" then return nil end
  for i = #value, 1, -1 do
    if type(value[i]) == "table" and value[i].type == "result" then return value[i] end
  end
  return (value.type == "result" or value.result ~= nil) and value or nil
end

local function trim(text) return (text:gsub("%s+$", "")) end

local function text_of(value) return type(value) == "string" and value or nil end

--- What the program printed -> {reply, session}, or nil and what is wrong. Where `args` ask for plain text, that is the
--- reply.
local function read_output(output, bin)
  local value = find_result(output)
  if not value then return {reply = trim(output)} end
  local result = text_of(value.result)
  if value.is_error == true or not result then
    return nil, ("%s: it failed (%s): %s"):format(bin, text_of(value.subtype) or "no result",
      result or molecule.json.encode(value):sub(1, 500))
  end
  return {reply = trim(result), session = text_of(value.session_id)}
end

local function is_unknown_session(problem)
  problem = problem:lower()
  return problem:find("no conversation found", 1, true) ~= nil or problem:find("session.-not found") ~= nil
end

--- Runs the program once -> {reply, session}, or nil and what is wrong.
local function run(options, request)
  local output, problem = command.try(options.bin, request)
  if not output then return nil, problem end
  if not options.session then return {reply = trim(output)} end
  return read_output(output, options.bin)
end

local function ask(options, extra, msg, ctx, session)
  local request = {stdin = msg.text, timeout = options.timeout, env = options.pass_meta and command.meta(msg, ctx) or nil}
  request.argv = arguments(options, extra, session)
  local answer, problem = run(options, request)
  if not answer and session and is_unknown_session(problem) then
    molecule.log.info("%s: the session %s is not there any more; the conversation begins anew", options.bin, session)
    request.argv = arguments(options, extra)
    answer, problem = run(options, request)
  end
  if not answer then error(problem, 0) end
  return answer
end

return function(given)
  command.check_sandbox("claude-code")
  local options = backend.options("claude-code", given, {bin = "claude", args = "", model = false, system = false,
    session = "true", timeout = "5m", pass_meta = "true"})
  options.pass_meta = backend.boolean("claude-code", "pass_meta", options.pass_meta)
  options.session = backend.boolean("claude-code", "session", options.session)
  options.timeout = backend.duration("claude-code", "timeout", options.timeout)
  local extra = split(options.args)
  return {
    name = "claude-code",
    description = "answers with Claude Code",
    concurrency = 8,
    handle = function(msg, ctx)
      local key = options.session and backend.key("claude-code:", msg.conversation)
      local answer = ask(options, extra, msg, ctx, key and molecule.store.get(key))
      if answer.session then molecule.store.set(key, answer.session, {ttl = SESSION_KEPT}) end
      return answer.reply
    end,
  }
end
