--- What a service that speaks OpenAI's interface says when it does not answer, and what that means for the message.
--
-- Every server words the same trouble differently, and sends it with any status, even 200, so words and codes count: those of
-- OpenAI, Azure, Anthropic, Gemini, Bedrock, Mistral, Groq, OpenRouter, LiteLLM, vLLM, SGLang, TGI, llama.cpp, LM Studio,
-- Ollama and FastChat.
local molecule = require "molecule"

local refusal = {}

local SEARCHED = 16384 -- bytes of an answer that are searched for words

local function field(value, key)
  if type(value) == "table" then return value[key] end
end

local function given(value)
  if value == nil or value == molecule.null or value == false or value == "" or value == 0 then return nil end
  if type(value) == "table" and next(value) == nil then return nil end
  return value
end

local function text_of(value) return type(value) == "string" and value ~= "" and value or nil end

local function set(words)
  local found = {}
  for word in words:gmatch("%S+") do found[word] = true end
  return found
end

local OVERFLOW_CODES = set [[context_length_exceeded exceed_context_size_error request_too_large tokens_limit_reached
  model_max_prompt_tokens_exceeded context_window_exceeded model_context_window_exceeded contextwindowexceedederror
  context_overflow max_tokens_exceeded 1261]]
local QUOTA_CODES = set [[insufficient_quota billing_hard_limit_reached billing_not_active insufficient_balance
  insufficient_credits exceeded_current_quota_error quota_exceeded access_terminated arrearage payment_required
  billing_error account_deactivated 42902 402]]
local KEY_CODES = set "invalid_api_key authentication_error incorrect_api_key permission_error 40101 40102 40103"
local LATER_CODES = set [[rate_limit_exceeded rate_limit_error overloaded_error overloaded server_error service_unavailable
  api_error timeout_error resource_exhausted unavailable engine_overloaded internal_server_error internal_error
  insufficient_system_resource 42901 42903]]
local FINAL_CODES = set [[invalid_request_error badrequesterror bad_request invalid_argument content_filter
  content_policy_violation unsupported_parameter unsupported_value unprocessable_entity 40001 40301 40302 40303]]

local QUOTA_WORDS = {"exceeded your current quota", "insufficient balance", "insufficient credit", "insufficient funds",
  "insufficient quota", "credit balance is too low", "out of credits", "not enough credits", "requires more credits",
  "requires at least", "billing hard limit", "billing details", "payment required", "spending limit", "account is not active",
  "used all available credits", "usage limit", "monthly limit", "key limit exceeded", "in arrears"}
local RATE_WORDS = {"rate limit", "rate_limit", "ratelimit", "per minute", "per min", "per day", "per second",
  "too many requests", "please wait", "slow down", "throttl"}
local SPLIT_WORDS = {"request too large for", "reduce your message size"} -- a rate that this request alone exceeds

-- An overflow names what is too large, and that it is.
local CONTEXT_WORDS = {"context length", "context window", "context size", "context limit", "context_length", "context-length",
  "contextwindow", "context overflow", "context is full", "max_model_len", "max_seq_len", "max_total_tokens", "n_ctx", "kv cache",
  "maximum model length", "max_new_tokens` must be"}
local SUBJECTS = {"prompt", "input", "message", "request", "conversation", "token", "sequence", "context"}
local EXCESSES = {"too long", "too large", "too big", "too many", "exceed", "longer than", "larger than", "greater than",
  "maximum length", "max length", "maximum prompt length", "maximum input length", "must have less than", "must be <=",
  "reduce the length", "reduce your prompt", "shorter prompt", "input length should be", "only supports up to",
  "over the limit", "overflow", "cannot fit", "must be less than or equal to"}

local function has_one(words, list)
  for _, word in ipairs(list) do
    if words:find(word, 1, true) then return true end
  end
  return false
end

--- The object that says what went wrong; nil: none.
local function find_problem(value)
  if type(value) ~= "table" then return nil end
  if molecule.json.is_array(value) then value = value[1] end
  local problem = given(field(value, "error")) or given(field(value, "errors"))
  if problem then return problem end
  local kind = field(value, "object") == "error" or field(value, "type") == "error" or field(value, "type") == "exception"
  local bare = given(field(value, "choices")) == nil and given(field(value, "message") or field(value, "detail"))
  if kind or bare and type(bare) == "string" or bare and given(field(value, "detail")) then return value end
  return nil
end

--- A complaint made of an error, a text or an object: {text, words, codes}.
local function describe(problem, raw)
  if type(problem) == "table" and molecule.json.is_array(problem) then problem = problem[1] end
  local text = text_of(problem) or text_of(field(problem, "message")) or text_of(field(problem, "detail"))
    or text_of(field(problem, "msg")) or raw
  local upstream = text_of(field(field(problem, "metadata"), "raw")) -- what the provider behind it said (OpenRouter)
  if upstream then text = text .. ": " .. upstream end
  local codes = {}
  for _, name in ipairs {"code", "type", "status", "name"} do
    local code = field(problem, name)
    if type(code) == "string" or math.type(code) then codes[#codes + 1] = tostring(code):lower():gsub("%.0$", "") end
  end
  return {text = text, words = (text .. "\n" .. raw:sub(1, SEARCHED)):lower(), said = text:lower(), codes = codes}
end

--- What a value (an answer, an event, a choice of one) says is wrong; nil: nothing.
---@param raw string the JSON it was
function refusal.find(value, raw)
  local problem = find_problem(value)
  return problem and describe(problem, raw)
end

--- The complaint in a text: itself, or JSON in it, whole or in lines, as events or not.
function refusal.read(body)
  local found = refusal.find(molecule.json.decode(body), body)
  if found then return found end
  for line in body:sub(1, SEARCHED):gmatch("[^\r\n]+") do
    local data = line:match("^%s*%a+:%s*(.*)$")
    found = data and refusal.find(molecule.json.decode(data), data)
    if found then return found end
  end
  return describe(body, body)
end

--- The complaint that an error line or event is: JSON with or without an `error` of its own, or text.
function refusal.read_error(data)
  local value = molecule.json.decode(data)
  return refusal.find(value, data) or describe(type(value) == "table" and value or data, data)
end

local function has_code(complaint, codes)
  for _, code in ipairs(complaint.codes) do
    if codes[code] then return true end
  end
  return false
end

--- How many seconds it asks to wait, in words; nil: it does not.
local function said_wait(words)
  local minutes, seconds = words:match("in (%d+)m([%d%.]+)s")
  if minutes then return tonumber(minutes) * 60 + (tonumber(seconds) or 0) end
  local milliseconds = words:match("in ([%d%.]+)%s?ms")
  if milliseconds then return (tonumber(milliseconds) or 0) / 1000 end
  return tonumber(words:match("in ([%d%.]+)%s?s") or words:match("after ([%d%.]+)%s?s")
    or words:match('retrydelay":%s*"([%d%.]+)s') or "")
end

--- How long to wait before the next request, within reason.
function refusal.wait(complaint)
  local seconds = said_wait(complaint.words)
  return seconds and math.max(1, math.min(seconds, 86400)) or nil
end

local function is_overflow(status, complaint)
  if has_code(complaint, OVERFLOW_CODES) or has_one(complaint.said, SPLIT_WORDS) then return true end
  if status == 429 or status == 401 or status == 403 or status == 404 then return false end
  if has_one(complaint.words, CONTEXT_WORDS) then return true end
  if has_one(complaint.said, RATE_WORDS) then return false end
  if status == 413 then return true end
  if complaint.said:find("max_[%l_]*tokens.* too large") then return false end -- the answer's limit is above the model's
  return has_one(complaint.said, SUBJECTS) and has_one(complaint.said, EXCESSES)
end

--- A free tier's rate limit is also worded as a quota, but passes by itself.
local function is_quota(status, complaint)
  if has_code(complaint, QUOTA_CODES) or status == 402 then return true end
  return has_one(complaint.said, QUOTA_WORDS) and not said_wait(complaint.words)
    and not has_code(complaint, {resource_exhausted = true})
end

--- The effective status: an error in an answer with status 200 has one as its code.
local function status_of(status, complaint)
  if status < 200 or status > 299 then return status end
  for _, code in ipairs(complaint.codes) do
    local number = tonumber(code)
    if number and number >= 400 and number <= 599 then return number end
  end
  return status
end

--- What follows from it.
---@return "overflow"|"quota"|"key"|"later"|"final"|"failed" kind, integer status
function refusal.judge(status, complaint)
  status = status_of(status, complaint)
  if is_quota(status, complaint) then return "quota", status end
  if is_overflow(status, complaint) then return "overflow", status end
  if status == 401 or status == 403 or has_code(complaint, KEY_CODES) then return "key", status end
  if status == 408 or status == 409 or status == 429 or status >= 500 or has_code(complaint, LATER_CODES) then
    return "later", status
  end
  local final = status == 400 or status == 405 or status == 415 or status == 422 or has_code(complaint, FINAL_CODES)
  return final and "final" or "failed", status
end

return refusal
