--- http: POSTs every message to a URL; the answer is the reply.
-- Options: url (required), timeout (60s), token_env (none: the name of the variable that holds a bearer token).
local backend = require "molecule.backend"
local core = require "molecule.core"
local molecule = require "molecule"

return function(given)
  local options = backend.options("http", given, {url = false, timeout = "60s", token_env = false})
  if not options.url then error("backend http needs --backend-opt url=https://…", 0) end
  local timeout = backend.seconds("http", "timeout", options.timeout)
  if options.token_env and core.sandbox then
    error("backend http: option token_env reads the environment, which --sandbox forbids: leave one of the two away", 0)
  end
  local token = options.token_env and os.getenv(options.token_env)
  if options.token_env and not token then
    error(("backend http: the variable %s (token_env) is not set"):format(options.token_env), 0)
  end
  return {
    name = "http",
    description = "answers with what a web service says",
    concurrency = 8,
    handle = function(msg, ctx)
      local answer, problem, code = molecule.http.post {
        url = options.url,
        json = backend.describe(msg, ctx),
        headers = token and {Authorization = "Bearer " .. token} or nil,
        timeout = timeout,
      }
      if not answer then error(("%s [%s]"):format(problem, code), 0) end
      if answer.status == 204 then return nil end
      if answer.status == 429 or answer.status == 503 then
        return molecule.retry {after = backend.retry_after(answer.headers), hold = true,
          reason = options.url .. " answered " .. answer.status}
      end
      if answer.status < 200 or answer.status > 299 then
        error(("%s answered %d: %s"):format(options.url, answer.status, answer.body:sub(1, 500)), 0)
      end
      local reply, why = answer:json()
      if type(reply) ~= "table" or molecule.json.is_array(reply) then
        error(("%s answered what is not a JSON object: %s"):format(options.url, why or answer.body:sub(1, 500)), 0)
      end
      local text, parts = reply.text, reply.parts
      if text == molecule.null then text = nil end
      if parts == molecule.null then parts = nil end
      if text == nil and parts == nil then return nil end
      return {text = text, parts = parts}
    end,
  }
end
