--- claude-code: runs `<bin> -p --output-format json <args>` for each message: text on standard input, the JSON's `result` is
--- the reply, wherever in the output it is; nothing else of the output is ever sent. Each conversation continues in its own
--- session: its id is kept for 30 days and passed with --resume.
-- Options: bin (claude), args (none; split at blanks, quotes keep blanks), model, system (added to the system prompt),
-- session (true; false: each message starts a new session, and the output is the reply), timeout (5m), pass_meta (true).
local backend = require "molecule.backend"
local command = require "molecule.command"
local molecule = require "molecule"
local printed = require "molecule.printed"

local LAST_WORD = '"type":"result"' -- contained in the program's last object
local OUTPUT_MAXIMUM = 32 << 20     -- bytes: with --verbose it prints everything it did
local MARGIN = 5                    -- seconds between the program's end and the handler's
local EMPTY = "its result is empty"
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

--- The arguments of one run. The user's come last, so they win.
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

local function trim(text) return (text:gsub("%s+$", "")) end

local function text_of(value) return type(value) == "string" and value or nil end

local function is_unknown_session(problem)
  problem = problem:lower()
  return problem:find("no conversation found", 1, true) ~= nil or problem:find("session.-not found") ~= nil
end

--- What the program's errors say; nil: nothing.
local function errors_of(value)
  local words = {}
  for _, one in ipairs(type(value.errors) == "table" and value.errors or {}) do
    words[#words + 1] = text_of(one) or molecule.json.encode(one)
  end
  return #words > 0 and table.concat(words, "; ") or nil
end

--- The reply in the program's result; nil and what is wrong. An empty one does not count: the sender would hear nothing.
local function reply_of(value)
  local reply = text_of(value.result)
  if reply and not reply:find("%S") then reply = nil end
  if value.is_error == true or (text_of(value.subtype) or ""):find("^error") then
    return nil, reply or errors_of(value) or "it does not say why"
  end
  local structured = value.structured_output
  if not reply and type(structured) == "table" then reply = molecule.json.encode(structured) end
  if not reply then return nil, errors_of(value) or EMPTY end
  return trim(reply)
end

--- What the program printed; `problem` is how it ended (nil: well) -> {reply, session}, or nil and what is wrong.
local function read_output(bin, output, problem)
  local value, session, trouble = printed.find_result(output)
  if not value then
    return nil, problem or ("%s: %s; with session=false its output is the reply, verbatim"):format(bin, trouble)
  end
  local reply, why = reply_of(value)
  if why == EMPTY then return nil, ("%s: %s"):format(bin, why) end
  if not reply then return nil, ("%s: it failed (%s): %s"):format(bin, text_of(value.subtype) or "no result", why) end
  if problem then
    molecule.log.warn("%s; using its result, which was already complete", problem:match("^[^\n;]*"))
  end
  return {reply = reply, session = session}
end

--- Runs the program once -> {reply, session}, or nil and what is wrong.
local function run(options, request)
  local output, problem, said = command.try(options.bin, request, options.json and LAST_WORD or nil)
  if options.json then return read_output(options.bin, output or said, problem) end
  if output and printed.is_result(output) then return read_output(options.bin, output) end
  if not output then return nil, problem end
  if not output:find("%S") then return nil, options.bin .. ": it printed nothing" end
  return {reply = trim(output)}
end

--- Seconds that the program has: its result must come before the handler's own time runs out.
local function time_of(options, ctx)
  local left = ctx.deadline and ctx.deadline - molecule.now() - MARGIN
  local seconds = options.timeout
  if left and left > MARGIN and (seconds == 0 or left < seconds) then seconds = left end
  return seconds > 0 and seconds or nil
end

local function ask(options, text, msg, ctx, session)
  local request = {stdin = text, timeout = time_of(options, ctx), env = options.pass_meta and command.meta(msg, ctx) or nil,
    max_output = options.json and OUTPUT_MAXIMUM or nil}
  request.argv = arguments(options, options.extra, session)
  local answer, problem = run(options, request)
  if not answer and session and is_unknown_session(problem) then
    molecule.log.info("%s: session %s no longer exists; starting a new one", options.bin, session)
    request.argv, request.timeout = arguments(options, options.extra), time_of(options, ctx)
    answer, problem = run(options, request)
  end
  if not answer then error(problem, 0) end
  return answer
end

--- The output's format: what the user's arguments ask for; else JSON where there are sessions.
local function format_of(options)
  local format = options.session and "json" or "text"
  for i, word in ipairs(options.extra) do
    format = word == "--output-format" and options.extra[i + 1] or word:match("^%-%-output%-format=(.*)$") or format
  end
  return format
end

return function(given)
  command.check_sandbox("claude-code")
  local options = backend.options("claude-code", given, {bin = "claude", args = "", model = false, system = false,
    session = "true", timeout = "5m", pass_meta = "true"})
  options.pass_meta = backend.boolean("claude-code", "pass_meta", options.pass_meta)
  options.session = backend.boolean("claude-code", "session", options.session)
  options.timeout = backend.seconds("claude-code", "timeout", options.timeout)
  options.extra = split(options.args)
  options.json = format_of(options) ~= "text"
  return {
    name = "claude-code",
    description = "answers with Claude Code",
    concurrency = 8,
    handle = function(msg, ctx)
      local text = backend.text_with_files(msg)
      if not text:find("%S") then return molecule.skip("it has no text, no file and no data") end
      local key = options.session and backend.key("claude-code:", msg.conversation)
      local answer = ask(options, text, msg, ctx, key and molecule.store.get(key))
      if key and answer.session then molecule.store.set(key, answer.session, {ttl = SESSION_KEPT}) end
      return answer.reply
    end,
  }
end
