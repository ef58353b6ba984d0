--- Reads the answer of a service with OpenAI's interface, whole or in events -> one result:
-- {status, headers, text, refused, reason, complaint}.
--
-- An answer is complete when it says so (`finish_reason`, [DONE], a whole JSON object); what goes wrong later does not
-- invalidate it: it was paid for.
local core = require "molecule.core"
local halves = require "molecule.openai.halves"
local molecule = require "molecule"
local refusal = require "molecule.openai.refusal"

local answer = {}

local ANSWER_MAXIMUM = 16 << 20
local QUOTED = 500 -- bytes of an answer that is an error
local AFTER_END = 5 -- seconds that a complete answer waits for more
local ERROR_LINE_MAXIMUM = 65536

--- A step down into what may be null or missing.
local function field(value, key)
  if type(value) == "table" then return value[key] end
end

local function is_text(value) return type(value) == "string" and value ~= "" end

--- Adds the text of a message's or delta's content: a string, or a list of parts of which some are text.
local function add_content(state, content)
  if is_text(content) then state.pieces[#state.pieces + 1] = content end
  for _, part in ipairs(type(content) == "table" and content or {}) do
    local kind = field(part, "type")
    if is_text(part) then
      state.pieces[#state.pieces + 1] = part
    elseif is_text(field(part, "text")) and kind ~= "thinking" and kind ~= "reasoning" then
      state.pieces[#state.pieces + 1] = part.text
    elseif is_text(field(part, "refusal")) then
      state.refusals[#state.refusals + 1] = part.refusal
    end
  end
end

--- The first choice: of several, events carry one at a time.
local function first_choice(value)
  local choices = field(value, "choices")
  for _, choice in ipairs(type(choices) == "table" and choices or {}) do
    local index = field(choice, "index")
    if type(choice) == "table" and (index == nil or index == molecule.null or index == 0) then return choice end
  end
end

--- Takes what a whole answer or one event says.
local function take_value(state, value, raw)
  local choice = first_choice(value)
  local complaint = refusal.find(value, raw) or choice and field(choice, "error") and refusal.find(choice, raw)
  if complaint then
    state.complaint = state.complaint or complaint
    return
  end
  local message = field(choice, "delta")
  if type(message) ~= "table" then message = field(choice, "message") end
  add_content(state, field(message, "content"))
  if type(message) ~= "table" then add_content(state, field(choice, "text")) end
  if is_text(field(message, "refusal")) then state.refusals[#state.refusals + 1] = message.refusal end
  local reason = field(choice, "finish_reason")
  if is_text(reason) and not state.reason then state.reason = reason end
  state.called = state.called or choice ~= nil
  local usage = field(value, "usage") -- of a stream the last one counts: some servers tell it with every event
  if type(usage) == "table" then state.usage = usage end
end

local function new_state() return {pieces = {}, refusals = {}} end

--- Takes one event's data; `name` is the event's.
local function take_event(state, data, name)
  data = data:match("^%s*(.-)%s*$")
  if data == "" or state.done then return end
  if data == "[DONE]" then
    state.done = true
    return
  end
  state.has_events = true
  local marked, has_halves = halves.mark(data)
  local value = molecule.json.decode(marked)
  state.has_halves = state.has_halves or has_halves
  if name == "error" then
    state.complaint = state.complaint or refusal.read_error(data)
  elseif type(value) ~= "table" then
    state.garbage = state.garbage or data
  else
    take_value(state, value, data)
  end
end

--- Lines `error: {…}`: not in the standard, but how some servers report a failure, in any chunks.
local function take_error_lines(state, chunk)
  local text = state.line .. chunk
  local complete, rest = text:match("^(.*[\r\n])([^\r\n]*)$")
  for line in (complete or ""):gmatch("[^\r\n]+") do
    local data = line:match("^error:%s*(.+)$")
    if data then state.complaint = state.complaint or refusal.read_error(data) end
  end
  rest = rest or text
  local may_be_one = ("error:"):sub(1, #rest) == rest or rest:find("^error:")
  state.line = #rest <= ERROR_LINE_MAXIMUM and may_be_one and rest or rest ~= "" and "\0" or ""
end

--- Whether nothing that comes now could change the answer.
local function is_complete(state)
  if state.reason then return state.reason ~= "error" end
  return state.done and not state.complaint and (not state.garbage or #state.pieces > 0)
end

--- Takes a chunk of an answer that comes in events.
local function take_chunk(state, chunk)
  if not is_complete(state) then take_error_lines(state, chunk) end
  for _, event in ipairs(state.reader:feed(chunk)) do take_event(state, event.data, event.event) end
end

--- What a body with this beginning is: "whole" or "events"; nil: too little has come.
local function form_of(raw)
  local first = raw:gsub("^\xEF\xBB\xBF", ""):match("^%s*(.)")
  return first and (first:find("[{%[<]") and "whole" or "events")
end

--- Reads the connection to its end, or to the answer's: state, and why it ended early.
local function read_all(stream, state, report)
  local raw, size = {}, 0
  while not state.done do
    local chunk, problem, code = stream:read(is_complete(state) and AFTER_END or 0)
    if code == "IDLE" then break end
    if not chunk then return table.concat(raw), problem, code end
    size = size + #chunk
    if size > ANSWER_MAXIMUM then
      stream:close()
      return table.concat(raw), "its answer is larger than 16 MiB", "TOO_LARGE"
    end
    if not state.has_events then raw[#raw + 1] = chunk end
    local status = stream:status()
    if status >= 200 and status <= 299 then
      state.form = state.form or form_of(table.concat(raw))
      if state.form ~= "whole" then
        take_chunk(state, chunk)
        report(state.pieces, state.has_halves)
      end
    end
    if state.complaint and not is_complete(state) then break end
  end
  return table.concat(raw)
end

--- A body that is not made of events: one JSON value, or (from some servers) one in each line.
local function take_whole(state, body, options)
  body = body:gsub("^\xEF\xBB\xBF", "")
  local value = molecule.json.decode(body)
  if type(value) == "table" then
    take_value(state, value, body)
    state.done = not state.complaint and state.called
    if not state.complaint and not state.called then
      error(("%s answered without any text: %s"):format(options.where, answer.quote(options, body)), 0)
    end
    return
  end
  for line in body:gmatch("[^\r\n]+") do take_event(state, line) end
  if state.called and not state.garbage then return end
  state.complaint, state.reason, state.done = nil, nil, nil
  error(("%s did not answer in JSON: %s"):format(options.where, answer.quote(options, body)), 0)
end

--- The beginning of what the service said, without the key, which some services quote.
function answer.quote(options, text)
  if options.key then text = text:gsub(options.key:gsub("%p", "%%%0"), "(the key)") end
  return text:sub(1, QUOTED)
end

--- What went wrong on the way, without the secret parts of the URL.
local function describe(options, problem, code)
  problem = problem:gsub(options.url:gsub("%p", "%%%0"), (options.where:gsub("%%", "%%%%")))
  return ("%s [%s]"):format(problem, code)
end

local function fail(options, problem, code) error(describe(options, problem, code), 0) end

--- Raises the reason why an answer that is not marked as complete cannot be used.
local function check_complete(state, options, problem, code)
  if is_complete(state) or state.complaint then return end
  if problem then fail(options, problem, code) end
  if state.garbage then
    error(("%s sent an event that is not JSON: %s"):format(options.where, answer.quote(options, state.garbage)), 0)
  end
  error(options.where .. (state.reason == "error" and ": the model's server ended the answer with an error (finish_reason)"
    or ": the answer broke off before its end"), 0)
end

local function finish(state, options, problem, code)
  check_complete(state, options, problem, code)
  if is_complete(state) and (problem or state.complaint or state.garbage) then
    local said = state.complaint and state.complaint.text or state.garbage
    molecule.log.warn("openai: %s: using the answer, which was complete before this error: %s", options.where,
      problem and describe(options, problem, code) or answer.quote(options, said))
    state.complaint = nil
  end
  local text, refused = table.concat(state.pieces), table.concat(state.refusals)
  if state.has_halves then text, refused = halves.join(text), halves.join(refused) end
  return {text = text, refused = refused, reason = state.reason, complaint = state.complaint}
end

--- A request that is not answered in events, treated as a stream of one piece.
local function one_piece(request)
  local result, problem, code, partial = core.http(request)
  local got, given = result or partial or {status = 0, headers = {}, body = ""}, false
  return {
    read = function()
      if given or got.body == "" then return nil, problem, code end
      given = true
      return got.body
    end,
    status = function() return got.status end,
    headers = function() return got.headers end,
    close = function() end,
  }
end

--- Asks and reads the answer. Raises if there is none: the connection failed, or the answer is of another kind.
---@param request table as core.http_stream takes it
---@param options table `where`, `key`
---@param report fun(pieces: string[], has_halves: boolean?) is shown what has come
---@return {status: integer, headers: table, text: string, refused: string, reason: string?, complaint: table?}
function answer.ask(request, options, report)
  local began = core.elapsed()
  local state, stream = new_state(), options.stream and core.http_stream(request) or one_piece(request)
  state.reader, state.line = core.sse(), ""
  local body, problem, code = read_all(stream, state, report)
  local status, headers = stream:status(), stream:headers()
  stream:close()
  if problem and status == 0 then fail(options, problem, code) end
  if status < 200 or status > 299 then
    return {status = status, headers = headers, complaint = refusal.read(body)}
  end
  if state.form == "whole" then
    if problem and type(molecule.json.decode(body)) ~= "table" then fail(options, problem, code) end
    take_whole(state, body, options)
  elseif not state.done then
    take_chunk(state, "\n\n") -- the last event may have no line end
    if not state.has_events and not state.complaint and body:find("%S") and not problem and not body:find("^%s*%a*:") then
      error(("%s did not answer in JSON: %s"):format(options.where, answer.quote(options, body)), 0)
    end
  end
  local usage = state.usage or {}
  core.model_called(usage.prompt_tokens, usage.completion_tokens, "openai", options.model, core.elapsed() - began)
  local result = finish(state, options, problem, code)
  result.status, result.headers = status, headers
  return result
end

return answer
