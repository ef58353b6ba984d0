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
local DONE = {} -- what reading an event returns at the end

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

local function read_whole(answer, url)
  local value, problem = answer:json()
  if type(value) ~= "table" then
    error(("%s answered what is not JSON: %s"):format(url, problem or answer.body:sub(1, QUOTED)), 0)
  end
  return text_of(field(field(field(value.choices, 1), "message"), "content"))
end

--- The text that one event brings; DONE at the end; raises an error that came inside the stream.
local function read_event(event, url)
  if event.data == "[DONE]" then return DONE end
  local value = molecule.json.decode(event.data)
  if type(value) ~= "table" then error(("%s sent an event that is not JSON: %s"):format(url, event.data:sub(1, QUOTED)), 0) end
  if field(value.error, "message") then error(("%s: %s"):format(url, tostring(value.error.message)), 0) end
  return text_of(field(field(field(value.choices, 1), "delta"), "content"))
end

--- Shows the human what came since the last time, at most every options.progress seconds.
local function reporter(options, ctx)
  local last, shown = core.now(), 0
  return function(pieces)
    if options.progress <= 0 or core.now() - last < options.progress then return end
    local text = table.concat(pieces, "", shown + 1)
    if not text:find("%S") then return end
    local told, _, code = ctx.progress(text)
    if not told and code == "PEER" then options = {progress = 0} end -- for this message: a peer takes it for the answer
    last, shown = core.now(), #pieces
  end
end

--- Reads an answer that comes in events -> text; for another status than 200 nil and {status, headers, body}.
local function read_stream(request, options, ctx)
  local stream, reader, pieces, report = core.http_stream(request), core.sse(), {}, reporter(options, ctx)
  local refusal, ended = {}, false
  while not ended do
    local chunk, problem, code = stream:read()
    if problem then error(("%s [%s]"):format(problem, code), 0) end
    if not chunk then break end
    if stream:status() ~= 200 then
      refusal[#refusal + 1] = chunk
    else
      for _, event in ipairs(reader:feed(chunk)) do
        local text = read_event(event, options.url)
        ended = ended or text == DONE
        if text ~= DONE and text ~= "" then pieces[#pieces + 1] = text end
      end
      report(pieces)
    end
  end
  if stream:status() ~= 200 then
    return nil, {status = stream:status(), headers = stream:headers(), body = table.concat(refusal)}
  end
  stream:close()
  if not ended then error(options.url .. ": the answer broke off before its end", 0) end
  return table.concat(pieces)
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
  return read_whole(answer, options.url)
end

--- What the service says is wrong: text, code.
local function complaint(answer)
  local problem = field(molecule.json.decode(answer.body), "error")
  local text, code = field(problem, "message"), field(problem, "code")
  if type(problem) == "string" then text = problem end
  return type(text) == "string" and text or answer.body:sub(1, QUOTED), code
end

local function is_too_long(answer)
  if answer.status ~= 400 and answer.status ~= 413 then return false end
  local text, code = complaint(answer)
  text = text:lower()
  return code == "context_length_exceeded" or text:find("context length", 1, true) ~= nil
    or text:find("context window", 1, true) ~= nil or text:find("context size", 1, true) ~= nil
end

--- A retry, or an error, of an answer that is none.
local function refuse(options, answer)
  local text = complaint(answer):sub(1, QUOTED)
  if options.key then text = text:gsub(options.key:gsub("%p", "%%%0"), "(the key)") end -- some services quote it
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
