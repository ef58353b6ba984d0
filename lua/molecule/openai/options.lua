--- The options of the backend openai: checked before the first message, so that a mistake shows at startup.
local backend = require "molecule.backend"
local core = require "molecule.core"
local molecule = require "molecule"

local NAME, PATH = "openai", "/chat/completions"
local EFFORTS = "none, minimal, low, medium, high, xhigh"

-- Ends of addresses that speak something else.
local OTHER_PATHS = {"/responses", "/messages", "/completions", "/embeddings", "/models", "/api/chat", "/api/generate"}

local options = {}

local function fail(text, ...) error("backend openai: " .. text:format(...), 0) end

local function ends_with(text, ending) return text:sub(-#ending) == ending end

--- Where requests go, and how messages call it: without a query or a user, which may be secret.
local function endpoint(given)
  local url = tostring(given):match("^%s*(.-)%s*$"):gsub("#.*$", "")
  if not url:lower():find("^https?://[^/?]") then
    fail("option url must begin with http:// or https://, not %q", tostring(given))
  elseif url:find("[%s%c]") then
    fail("option url must not contain blanks or line breaks: %q", url)
  end
  local base, query = url:match("^([^?]*)(%??.*)$")
  base = base:gsub("/+$", "")
  if not ends_with(base, PATH) then
    for _, path in ipairs(OTHER_PATHS) do
      if ends_with(base, path) then
        fail("option url ends with %s, another interface; give what precedes it: requests go to <url>%s", path, PATH)
      end
    end
    base = base .. PATH
  end
  return base .. query, (base:gsub("^(%a+://)[^/@]*@", "%1"))
end

--- Members of the request as given in JSON (command line) or as a table (a script).
local function read_extra(given)
  local extra, problem = given, nil
  if type(given) == "string" then extra, problem = molecule.json.decode(given) end
  if type(extra) ~= "table" or molecule.json.is_array(extra) or #extra > 0 then
    fail("option extra must be a JSON object, such as {\"reasoning_effort\": \"low\"}%s", problem and ": " .. problem or "")
  end
  for _, name in ipairs {"messages", "stream"} do
    if extra[name] ~= nil then
      fail("option extra must not contain %s: %s", name, name == "stream" and "use the option stream"
        or "the backend writes the conversation itself")
    end
  end
  return extra
end

--- Azure takes a key, which is not a bearer token, in its own header.
local function key_header(given, url)
  local host = url:match("^%a+://[^/?]*"):lower():gsub(":%d+$", "")
  local header = given or ((host:find("%.azure%.com$") or host:find("%.azure%-api%.net$")) and "api-key") or "Authorization"
  if not header:find("^[%w%-_]+$") then fail("option key_header must be the name of a header, not %q", header) end
  return header
end

local function read_numbers(found)
  found.history = backend.number(NAME, "history", found.history, 0, 10000, true)
  found.history_ttl = backend.seconds(NAME, "history_ttl", found.history_ttl)
  if found.history_ttl <= 0 then fail("option history_ttl must be above 0") end
  found.temperature = backend.number(NAME, "temperature", found.temperature, 0, 100)
  found.max_tokens = backend.number(NAME, "max_tokens", found.max_tokens, 1, 1e9, true)
  found.max_completion_tokens = backend.number(NAME, "max_completion_tokens", found.max_completion_tokens, 1, 1e9, true)
  found.timeout = backend.seconds(NAME, "timeout", found.timeout)
  if found.timeout == 0 then found.timeout = 86400 end
  found.progress = backend.number(NAME, "progress", found.progress, 0, 86400)
end

function options.read(given)
  local found = backend.options(NAME, given, {model = false, url = "https://api.openai.com/v1", key_env = false,
    key_header = false, system = false, history = 20, history_ttl = "720h", temperature = false, max_tokens = false,
    max_completion_tokens = false, reasoning_effort = false, extra = false, thinking = "false", timeout = "120s",
    stream = "false", progress = 0})
  if not found.model or found.model == "" then error("backend openai needs --backend-opt model=NAME", 0) end
  found.url, found.where = endpoint(found.url)
  found.key_header = key_header(found.key_header, found.url)
  read_numbers(found)
  found.stream = backend.boolean(NAME, "stream", found.stream)
  found.thinking = backend.boolean(NAME, "thinking", found.thinking)
  found.extra = found.extra and read_extra(found.extra) or {}
  if found.reasoning_effort and not found.reasoning_effort:find("^%a+$") then
    fail("option reasoning_effort must be a word (%s), not %q", EFFORTS, found.reasoning_effort)
  end
  if found.progress > 0 and not found.stream then
    fail("option progress needs stream=true: without it the answer comes whole")
  end
  if found.key_env or not core.sandbox then
    found.key = backend.secret(NAME, "key_env", found.key_env or "OPENAI_API_KEY")
  end
  found.key_env = found.key_env or "OPENAI_API_KEY"
  return found
end

return options
