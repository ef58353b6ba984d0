--- openai: asks a language model behind any OpenAI-compatible chat endpoint, and remembers what was said.
-- Options: model (required), url (https://api.openai.com/v1; requests go to <url>/chat/completions, a query is kept),
-- key_env (OPENAI_API_KEY: the variable that holds the key; without a key none is sent), key_header (Authorization; api-key
-- for Azure), system, history (20 earlier turns of the conversation; 0: none), history_ttl (720h after the last turn),
-- temperature, max_tokens, max_completion_tokens, reasoning_effort, extra (a JSON object: further members of the request; null
-- removes one), thinking (false; true leaves <think>…</think> in the answer), timeout (120s), stream (false), progress (0:
-- off; seconds between interim messages to the human, each a separate bubble; needs stream).
-- In a script: require "molecule.backends.openai" {model = ...} is an agent; its handle(msg, ctx) answers.
local answer = require "molecule.openai.answer"
local backend = require "molecule.backend"
local core = require "molecule.core"
local halves = require "molecule.openai.halves"
local molecule = require "molecule"
local read_options = require "molecule.openai.options".read
local refusal = require "molecule.openai.refusal"
local thinking = require "molecule.openai.thinking"

local NAME = "openai"

--- The request's body.
local function compose(options, turns, text)
  local messages = molecule.array {}
  if options.system then messages[1] = {role = "system", content = options.system} end
  for _, turn in ipairs(turns) do
    messages[#messages + 1] = {role = "user", content = turn.user}
    messages[#messages + 1] = {role = "assistant", content = turn.assistant}
  end
  messages[#messages + 1] = {role = "user", content = text}
  local body = {model = options.model, messages = messages, temperature = options.temperature,
    max_tokens = options.max_tokens, max_completion_tokens = options.max_completion_tokens,
    reasoning_effort = options.reasoning_effort, stream = options.stream or nil}
  for name, value in pairs(options.extra) do
    if value == molecule.null then value = nil end
    body[name] = value
  end
  return body
end

--- Shows the human what has come since the last time, at most every options.progress seconds.
local function reporter(options, ctx)
  local last, shown, seconds = core.elapsed(), 0, options.progress
  return function(pieces, has_halves)
    if seconds <= 0 or core.elapsed() - last < seconds then return end
    local text = table.concat(pieces)
    if has_halves then text = halves.join(text) end
    if not options.thinking then text = thinking.strip_partial(text) end
    local more = text:sub(shown + 1)
    if not more:find("%S") then return end
    local told, _, code = ctx.progress(more)
    if not told and code == "PEER" then seconds = 0 end -- a peer takes it for the answer
    last, shown = core.elapsed(), #text
  end
end

--- Asks once -> the result of answer.ask.
local function ask_once(options, turns, text, report)
  local headers = {["Content-Type"] = "application/json", Accept = options.stream and "text/event-stream" or "application/json"}
  if options.key then
    headers[options.key_header] = (options.key_header:lower() == "authorization" and "Bearer " or "") .. options.key
  end
  return answer.ask({url = options.url, method = "POST", headers = headers, timeout = options.timeout,
    body = molecule.json.encode(compose(options, turns, text))}, options, report)
end

--- Newer models refuse max_tokens, and name the replacement.
local function wants_other_limit(options, complaint)
  return options.max_tokens and not options.max_completion_tokens
    and complaint.said:find("max_completion_tokens", 1, true) ~= nil and complaint.said:find("unsupported", 1, true) ~= nil
end

--- Asks, and asks again with less if that helps -> the result, and for a complaint what follows from it.
local function ask(options, turns, text, ctx)
  local report = reporter(options, ctx)
  while true do
    local result = ask_once(options, turns, text, report)
    local kind, status
    if result.complaint then
      kind, status = refusal.judge(result.status, result.complaint)
    elseif result.reason == "model_context_window_exceeded" and not result.text:find("%S") then
      kind, status = "overflow", result.status
      result.complaint = {text = "the context window is full (model_context_window_exceeded)", said = "", words = ""}
    end
    if kind == "final" and wants_other_limit(options, result.complaint) then
      molecule.log.info("%s: the model takes max_completion_tokens, not max_tokens; sending that from now on", NAME)
      options.max_completion_tokens, options.max_tokens = options.max_tokens, nil
    elseif kind == "overflow" and #turns > 0 then
      molecule.log.info("%s: the conversation is too long for the model; dropping its older half", NAME)
      for _ = 1, (#turns + 1) // 2 do table.remove(turns, 1) end
    else
      return result, kind, status
    end
  end
end

--- For a URL without a path on a server that has nothing there.
local function hint(options, status)
  if status ~= 404 or not options.where:find("^%a+://[^/]+/chat/completions$") then return "" end
  return "; is the path missing from the option url, as in " .. options.where:gsub("/chat/completions$", "") .. "/v1?"
end

--- A retry or an error, for a response without an answer.
local function refuse(options, result, kind, status)
  local text = answer.quote(options, result.complaint.text)
  local said = ("%s %s: %s"):format(options.where, result.status == status and status >= 200 and status <= 299
    and "answered with an error" or "answered " .. status, text)
  if kind == "quota" then
    return backend.hopeless(said .. "; the account's quota or credit is used up. Top it up, then run "
      .. "molecule dead retry")
  elseif kind == "overflow" then
    return backend.hopeless(said .. "; the message alone is too long for the model")
  elseif kind == "key" then
    error(("%s refuses the key (%d): %s; %s"):format(options.where, status, text, options.key
      and ("look at the variable %s (key_env)"):format(options.key_env)
      or ("the variable %s (key_env) is not set"):format(options.key_env)), 0)
  elseif kind == "later" then
    return molecule.retry {after = backend.retry_after(result.headers) or refusal.wait(result.complaint), hold = true,
      reason = said}
  elseif kind == "final" then
    return backend.hopeless(said)
  end
  error(said .. hint(options, status), 0)
end

local WHY_EMPTY = {
  length = "the token limit was reached before it said anything (finish_reason length): raise max_tokens or "
    .. "max_completion_tokens, or lower reasoning_effort",
  content_filter = "the service's content filter withheld it (finish_reason content_filter)",
  tool_calls = "the model wants to call a tool (finish_reason tool_calls), and this backend offers none",
  function_call = "the model wants to call a function (finish_reason function_call), and this backend offers none",
}

--- An empty answer was paid for, so it is not requested again if the next one would be the same.
local function refuse_empty(options, result, ctx)
  local reason, why = result.reason, nil
  if reason and reason ~= "stop" then why = WHY_EMPTY[reason] or "finish_reason " .. reason:sub(1, 100) end
  local text = options.where .. " answered without any text" .. (why and ": " .. why or result.thought
    and ": the model only thought aloud" or "")
  if why and reason ~= "insufficient_system_resource" and reason ~= "abort" or ctx.attempt > 1 then
    return backend.hopeless(text)
  end
  error(text, 0)
end

--- What the sender gets; nil: nothing was said.
local function read_text(options, result)
  local text = options.thinking and result.text or thinking.strip(result.text)
  result.thought = text ~= result.text
  if not text:find("%S") then text = result.refused end
  if not text:find("%S") then return nil end
  if result.reason == "length" or result.reason == "content_filter" then
    molecule.log.warn("%s: using an answer that was cut short (finish_reason %s)", NAME, result.reason)
  end
  return text
end

--- Keeps the turn, with as many before it as the option says and the store takes. Each turn restarts their expiry.
local function remember(options, key, turns, turn)
  if options.history == 0 then return end
  turns[#turns + 1] = turn
  while #turns > options.history do table.remove(turns, 1) end
  while #turns > 0 do
    local kept, problem, code = molecule.store.set(key, turns, {ttl = options.history_ttl})
    if kept then return end
    if code ~= "TOO_LARGE" then -- the answer was paid for, and goes out anyway
      molecule.log.warn("%s: this turn will not be remembered, because the history cannot be stored: %s", NAME, problem)
      return
    end
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
      local said = backend.text_with_files(msg)
      if not said:find("%S") then return molecule.skip("it has no text, no file and no data") end
      local key = backend.key("openai:", msg.conversation)
      local turns = recall(options, key)
      local result, kind, status = ask(options, turns, said, ctx)
      if result.complaint then return refuse(options, result, kind, status) end
      local text = read_text(options, result)
      if not text then return refuse_empty(options, result, ctx) end
      remember(options, key, turns, {user = said, assistant = text})
      return text
    end,
  }
end
