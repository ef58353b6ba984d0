--- Why an A2A agent did not answer -> nil, message, CODE.
local json = require "molecule.json"
local parts = require "molecule.a2a.parts"

local text, map = parts.text, parts.map

local problems = {}

local QUOTED = 500 -- bytes of what the agent said

local BY_NUMBER = {
  [-32001] = "TASK_NOT_FOUND", [-32002] = "TASK_NOT_CANCELABLE", [-32003] = "PUSH_NOTIFICATION_NOT_SUPPORTED",
  [-32004] = "UNSUPPORTED_OPERATION", [-32005] = "CONTENT_TYPE_NOT_SUPPORTED", [-32006] = "INVALID_AGENT_RESPONSE",
  [-32007] = "EXTENDED_AGENT_CARD_NOT_CONFIGURED", [-32008] = "EXTENSION_SUPPORT_REQUIRED",
  [-32009] = "VERSION_NOT_SUPPORTED", [-32700] = "PARSE_ERROR", [-32600] = "INVALID_REQUEST",
  [-32601] = "METHOD_NOT_FOUND", [-32602] = "INVALID_PARAMS", [-32603] = "INTERNAL_ERROR",
}
local BY_STATUS = {[401] = "UNAUTHORIZED", [403] = "UNAUTHORIZED", [404] = "NOT_FOUND", [405] = "NOT_FOUND",
  [413] = "TOO_LARGE", [429] = "UNAVAILABLE", [500] = "INTERNAL_ERROR", [502] = "UNAVAILABLE", [503] = "UNAVAILABLE",
  [504] = "UNAVAILABLE"}

-- google.rpc.ErrorInfo among an error's details.
local function reason_of(details)
  for _, detail in ipairs(map(details) or {}) do
    local reason = map(detail) and text(detail.reason)
    if reason and reason:find "^%u[%u%d_]*$" then return reason end
  end
end

local function quote(said) return (said:sub(1, QUOTED):gsub("[%c]+", " ")) end

--- The `error` of an answer. `fallback` is the code where nothing tells of one.
function problems.of_error(url, error_object, fallback)
  local number, said = error_object.code, text(error_object.message)
  local details = map(error_object.data) or map(error_object.details)
  local code = reason_of(details) or BY_NUMBER[number] or fallback or "PEER"
  return nil, ("%s: %s"):format(url, said and said ~= "" and quote(said) or "the agent answered with an error"), code
end

--- An answer whose status is not 2xx.
function problems.of_status(url, status, body)
  local value = json.decode(body)
  local error_object = map(value) and map(value.error)
  local code = BY_STATUS[status] or "REFUSED"
  if status == 401 or status == 403 then
    return nil, ("%s answered %d: %s"):format(url, status, body ~= "" and quote(body) or "the agent asks for a token"), code
  end
  if error_object then return problems.of_error(url, error_object, code) end
  return nil, ("%s answered %d: %s"):format(url, status, body ~= "" and quote(body) or "no body"), code
end

--- An answer that is not what the protocol says.
function problems.of_answer(url, body)
  return nil, ("%s did not answer as an A2A agent does: %s"):format(url, body ~= "" and quote(body) or "no body"),
    "INVALID_AGENT_RESPONSE"
end

return problems
