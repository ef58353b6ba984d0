--- openai: asks a language model behind any OpenAI-compatible chat endpoint, and remembers what was said.
-- Options: model (required), url (https://api.openai.com/v1; requests go to <url>/chat/completions), key_env
-- (OPENAI_API_KEY: the variable that holds the key; without a key none is sent), system, history (20 earlier turns of the
-- conversation; 0: none), history_ttl (720h after the last turn), temperature, max_tokens, timeout (120s), stream (false),
-- progress (0: off; seconds between interim words to the human, each a bubble of its own; needs stream).
-- Of a script's own: require "molecule.backends.openai" {model = ...} is an agent; its handle(msg, ctx) answers.
local backend = require "molecule.backend"
local core = require "molecule.core"
local molecule = require "molecule"

local NAME, QUOTED = "openai", 500 -- bytes quoted of an answer that is an error

local function read_options(given)
  local options = backend.options(NAME, given, {model = false, url = "https://api.openai.com/v1", key_env = false,
    system = false, history = 20, history_ttl = "720h", temperature = false, max_tokens = false, timeout = "120s",
    stream = "false", progress = 0})
  if not options.model then error("backend openai needs --backend-opt model=NAME", 0) end
  if not tostring(options.url):find("^https?://[^/]") then
    error(("backend openai: option url must begin with http:// or https://, not %q"):format(tostring(options.url)), 0)
  end
  options.url = options.url:gsub("/+$", "") .. "/chat/completions"
  options.history = backend.number(NAME, "history", options.history, 0, 10000, true)
  options.history_ttl = backend.seconds(NAME, "history_ttl", options.history_ttl)
  if options.history_ttl <= 0 then error("backend openai: option history_ttl must be above 0", 0) end
  options.temperature = backend.number(NAME, "temperature", options.temperature, 0, 100)
  options.max_tokens = backend.number(NAME, "max_tokens", options.max_tokens, 1, 1e9, true)
  options.timeout = backend.seconds(NAME, "timeout", options.timeout)
  options.stream = backend.boolean(NAME, "stream", options.stream)
  options.progress = backend.number(NAME, "progress", options.progress, 0, 86400)
  if options.progress > 0 and not options.stream then
    error("backend openai: option progress needs stream=true: without it the answer comes whole", 0)
  end
  if options.key_env or not core.sandbox then
    options.key = backend.secret(NAME, "key_env", options.key_env or "OPENAI_API_KEY")
  end
  options.key_env = options.key_env or "OPENAI_API_KEY"
  return options
end

--- The request's body.
local function compose(options, turns, text)
  local messages = molecule.array {}
  if options.system then messages[1] = {role = "system", content = options.system} end
  for _, turn in ipairs(turns) do
    messages[#messages + 1] = {role = "user", content = turn.user}
    messages[#messages + 1] = {role = "assistant", content = turn.assistant}
  end
  messages[#messages + 1] = {role = "user", content = text}
  return {model = options.model, messages = messages, temperature = options.temperature,
    max_tokens = options.max_tokens, stream = options.stream or nil}
end

--- Text of a message's or delta's content: a string, or a list of parts of which some are text.
local function text_of(content)
  if type(content) == "string" then return content end
  local pieces = {}
  for _, part in ipairs(type(content) == "table" and content or {}) do
    if type(part) == "table" and type(part.text) == "string" then pieces[#pieces + 1] = part.text end
  end
  return table.concat(pieces)
end

--- A step down into what may be null or missing.
local function field(value, key)
  if type(value) == "table" then return value[key] end
end

--- The beginning of what the service said, without the key, which some services quote.
local function quote(options, text)
  if options.key then text = text:gsub(options.key:gsub("%p", "%%%0"), "(the key)") end
  return text:sub(1, QUOTED)
end

--- What the service says of an error: text (`raw` where it says nothing else), code; nil: there is none.
local function complaint(value, raw)
  local problem = field(value, "error")
  if not problem or problem == molecule.null or problem == "" then return nil end
  local message = type(problem) == "string" and problem or field(problem, "message")
  return type(message) == "string" and message or raw, field(problem, "code")
end

--- The first choice of an answer or event that came with status 200. Raises what is no such, and the errors in it.
local function read_choice(raw, options, what)
  local value = molecule.json.decode(raw)
  if type(value) ~= "table" then error(("%s %s: %s"):format(options.url, what, quote(options, raw)), 0) end
  local choice = field(value.choices, 1)
  local problem = complaint(value, raw) or complaint(choice, raw)
  if problem then error(("%s: %s"):format(options.url, quote(options, problem)), 0) end
  return choice
end

local function read_whole(body, options)
  local choice = read_choice(body, options, "answered what is not JSON")
  return text_of(field(field(choice, "message"), "content"))
end

--- Takes the events that a chunk completes into the answer {reader, pieces}; notes in it that some came (`has_events`), that
--- the service calls the text complete, and that it is done.
local function take_events(answer, chunk, options)
  for _, event in ipairs(answer.reader:feed(chunk)) do
    answer.has_events = true
    answer.done = answer.done or event.data == "[DONE]"
    if not answer.done then
      local choice = read_choice(event.data, options, "sent an event that is not JSON")
      local text, reason = text_of(field(field(choice, "delta"), "content")), field(choice, "finish_reason")
      if text ~= "" then answer.pieces[#answer.pieces + 1] = text end
      answer.complete = answer.complete or type(reason) == "string" and reason ~= ""
    end
  end
end

--- Shows the human what came since the last time, at most every options.progress seconds.
local function reporter(options, ctx)
  local last, shown = core.elapsed(), 0
  return function(pieces)
    if options.progress <= 0 or core.elapsed() - last < options.progress then return end
    local text = table.concat(pieces, "", shown + 1)
    if not text:find("%S") then return end
    local told, _, code = ctx.progress(text)
    if not told and code == "PEER" then options = {progress = 0} end -- for this message: a peer takes it for the answer
    last, shown = core.elapsed(), #pieces
  end
end

--- Whether a body without any event is an answer of another kind, not just the comments before the first event.
local function is_whole(raw) return raw:find("%S") and not raw:find("^%s*%a*:") end

--- Reads an answer that comes in events -> text; for another status than 200 nil and {status, headers, body}.
local function read_stream(request, options, ctx)
  local stream, report = core.http_stream(request), reporter(options, ctx)
  local answer, raw = {reader = core.sse(), pieces = {}}, {}
  while not answer.done do
    local chunk, problem, code = stream:read()
    if problem then error(("%s [%s]"):format(problem, code), 0) end
    if not chunk then break end
    if not answer.has_events then raw[#raw + 1] = chunk end
    if stream:status() == 200 then
      take_events(answer, chunk, options)
      report(answer.pieces)
    end
  end
  local body = table.concat(raw)
  if stream:status() ~= 200 then return nil, {status = stream:status(), headers = stream:headers(), body = body} end
  stream:close()
  if not answer.has_events and is_whole(body) then return read_whole(body, options) end
  if not answer.done and not answer.complete then error(options.url .. ": the answer broke off before its end", 0) end
  return table.concat(answer.pieces)
end

--- Asks once -> text, or nil and the answer {status, headers, body} of another status than 200.
local function ask(options, turns, msg, ctx)
  local headers = {Authorization = options.key and "Bearer " .. options.key or nil}
  local body = compose(options, turns, msg.text)
  if options.stream then
    headers["Content-Type"], headers.Accept = "application/json", "text/event-stream"
    return read_stream({url = options.url, method = "POST", headers = headers, body = molecule.json.encode(body),
      timeout = options.timeout}, options, ctx)
  end
  local answer, problem, code = molecule.http.post {url = options.url, json = body, headers = headers,
    timeout = options.timeout}
  if not answer then error(("%s [%s]"):format(problem, code), 0) end
  if answer.status ~= 200 then return nil, answer end
  return read_whole(answer.body, options)
end

--- What the service says is wrong: text, code.
local function refusal(answer)
  local text, code = complaint(molecule.json.decode(answer.body), answer.body)
  return text or answer.body, code
end

local function is_too_long(answer)
  if answer.status ~= 400 and answer.status ~= 413 then return false end
  local text, code = refusal(answer)
  text = text:lower()
  return code == "context_length_exceeded" or text:find("context length", 1, true) ~= nil
    or text:find("context window", 1, true) ~= nil or text:find("context size", 1, true) ~= nil
end

--- A retry, or an error, of an answer that is none.
local function refuse(options, answer)
  local text = quote(options, refusal(answer))
  if answer.status == 401 or answer.status == 403 then
    error(("%s refuses the key (%d): %s; %s"):format(options.url, answer.status, text, options.key
      and ("look at the variable %s (key_env)"):format(options.key_env)
      or ("the variable %s (key_env) is not set"):format(options.key_env)), 0)
  end
  if answer.status == 429 or answer.status >= 500 then
    return molecule.retry {after = backend.retry_after(answer.headers), hold = true,
      reason = ("%s answered %d: %s"):format(options.url, answer.status, text)}
  end
  error(("%s answered %d: %s"):format(options.url, answer.status, text), 0)
end

--- Keeps the turn, with as many before it as the option says and the store takes. Its time begins again with each.
local function remember(options, key, turns, turn)
  if options.history == 0 then return end
  turns[#turns + 1] = turn
  while #turns > options.history do table.remove(turns, 1) end
  while #turns > 0 do
    local kept, problem, code = molecule.store.set(key, turns, {ttl = options.history_ttl})
    if kept then return end
    if code ~= "TOO_LARGE" then error("the history cannot be stored: " .. problem, 0) end
    table.remove(turns, 1)
  end
end

local function recall(options, key)
  if options.history == 0 then return molecule.array {} end
  local turns, problem = molecule.store.get(key)
  if problem then error("the history cannot be read: " .. problem, 0) end
  turns = type(turns) == "table" and turns or molecule.array {}
  while #turns > options.history do table.remove(turns, 1) end
  return turns
end

return function(given)
  local options = read_options(given)
  return {
    name = NAME,
    description = "answers with the language model " .. options.model,
    concurrency = 8,
    handle = function(msg, ctx)
      local key = backend.key("openai:", msg.conversation)
      local turns = recall(options, key)
      local text, answer = ask(options, turns, msg, ctx)
      if not text and #turns > 0 and is_too_long(answer) then
        molecule.log.info("%s: the conversation is too long for the model; its older half is forgotten", NAME)
        for _ = 1, (#turns + 1) // 2 do table.remove(turns, 1) end
        text, answer = ask(options, turns, msg, ctx)
      end
      if not text then return refuse(options, answer) end
      if not text:find("%S") then error(options.url .. " answered without any text", 0) end
      remember(options, key, turns, {user = msg.text, assistant = text})
      return text
    end,
  }
end
