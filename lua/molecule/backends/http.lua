--- http: POSTs every message to a URL; the answer is the reply: {"text": …}, {"parts": […]}; 204 or {}: no reply. Anything
--- else is an error that quotes it.
-- Options: url (required), timeout (60s), token_env (none: the name of the variable that holds a bearer token).
local backend = require "molecule.backend"
local core = require "molecule.core"
local molecule = require "molecule"

local NAME = "http"

local function read_options(given)
  local options = backend.options(NAME, given, {url = false, timeout = "60s", token_env = false})
  if not options.url then error("backend http needs --backend-opt url=https://…", 0) end
  options.timeout = backend.seconds(NAME, "timeout", options.timeout)
  if options.timeout == 0 then options.timeout = 86400 end
  if options.token_env and core.sandbox then
    error("backend http: option token_env reads the environment, which --sandbox forbids: use one or the other", 0)
  end
  options.token = options.token_env and backend.secret(NAME, "token_env", options.token_env)
  if options.token_env and not options.token then
    error(("backend http: the variable %s (token_env) is not set"):format(options.token_env), 0)
  end
  options.url = tostring(options.url):match("^%s*(.-)%s*$")
  if not options.url:lower():find("^https?://[^/?]") then
    error(("backend http: option url must begin with http:// or https://, not %q"):format(options.url), 0)
  end
  return options
end

--- A JSON object that came with success -> what the handler returns. An invalid reply would be invalid the next time, too, and
--- the service has done its work: it is not asked again.
local function read_object(url, object)
  if next(object) == nil then return nil end
  local function is_blank(value) return value == nil or value == molecule.null or value == false or value == "" end
  if is_blank(object.text) and is_blank(object.parts) and not is_blank(object.error) then
    error(("%s answered with an error: %s"):format(url, backend.quote(object)), 0)
  end
  if object.text == nil and object.parts == nil then
    return backend.hopeless(("%s answered neither `text` nor `parts`: %s"):format(url, backend.quote(object)))
  end
  local reply, problem = backend.read_reply(object)
  if not reply then
    return backend.hopeless(("%s sent an invalid reply, %s: %s"):format(url, problem, backend.quote(object)))
  end
  if reply.text == nil and reply.parts == nil then return nil end
  return reply
end

local function read_answer(url, answer)
  if answer.status == 204 then return nil end
  if answer.status == 429 or answer.status == 503 then
    return molecule.retry {after = backend.retry_after(answer.headers), hold = true,
      reason = ("%s answered %d: %s"):format(url, answer.status, backend.quote(answer.body))}
  end
  if answer.status < 200 or answer.status > 299 then
    error(("%s answered %d: %s"):format(url, answer.status, backend.quote(answer.body)), 0)
  end
  local object = molecule.json.decode((answer.body:gsub("^\xEF\xBB\xBF", "")))
  if type(object) ~= "table" or molecule.json.is_array(object) then
    error(("%s did not answer with a JSON object: %s"):format(url, answer.body:find("%S") and backend.quote(answer.body)
      or "nothing (204 is for no reply)"), 0)
  end
  return read_object(url, object)
end

return function(given)
  local options = read_options(given)
  return {
    name = NAME,
    description = "answers with what a web service says",
    concurrency = 8,
    handle = function(msg, ctx)
      local answer, problem, code = molecule.http.post {
        url = options.url,
        json = backend.describe(msg, ctx),
        headers = options.token and {Authorization = "Bearer " .. options.token} or nil,
        timeout = options.timeout,
      }
      if not answer then error(("%s [%s]"):format(problem, code), 0) end
      return read_answer(options.url, answer)
    end,
  }
end
