--- An agent's card, and which of its interfaces is asked.
local core = require "molecule.core"
local json = require "molecule.json"
local parts = require "molecule.a2a.parts"
local problems = require "molecule.a2a.problems"
local transport = require "molecule.a2a.transport"

local text, map = parts.text, parts.map

local card = {}

local PATHS = {"/.well-known/agent-card.json", "/.well-known/agent.json"} -- the second one up to A2A 0.2
local TIMEOUT = 30
local CARD_MAXIMUM = 1024 * 1024 -- bytes

--- The card; nil, message, CODE. NOT_FOUND: there is none.
---@param agent table `url` and `headers`
function card.fetch(agent)
  for _, path in ipairs(PATHS) do
    local url = agent.url:gsub("/$", "") .. path
    local answer, problem, code = core.http {url = url, method = "GET", headers = transport.headers(agent), timeout = TIMEOUT,
      max_bytes = CARD_MAXIMUM}
    if not answer then return nil, problem, code end
    if answer.status >= 200 and answer.status <= 299 then
      local value = json.decode(answer.body)
      if map(value) and not json.is_array(value) then return value end
      return problems.of_answer(url, answer.body)
    end
    if answer.status ~= 404 and answer.status ~= 405 and answer.status ~= 410 then
      return problems.of_status(url, answer.status, answer.body)
    end
  end
  return nil, agent.url .. " has no agent card; if it is the endpoint itself, give version = \"1.0\" or \"0.3\"", "NOT_FOUND"
end

-- "0.3.0" -> "0.3"; of 0.x only 0.3 counts, whose messages 0.2 has, too.
local function version_of(value)
  local major, minor = (text(value) or ""):match "^v?(%d+)%.(%d+)"
  if not major then return nil end
  if major == "0" and (minor == "2" or minor == "3") then return "0.3" end
  return major == "1" and "1.0" or nil
end

local BINDINGS = {["1.0 JSONRPC"] = true, ["1.0 HTTP+JSON"] = true, ["0.3 JSONRPC"] = true}

-- All interfaces of the card, in its order.
local function interfaces(value)
  local list = {}
  for _, one in ipairs(map(value.supportedInterfaces) or {}) do
    if map(one) then
      list[#list + 1] = {url = text(one.url), binding = text(one.protocolBinding), version = version_of(one.protocolVersion),
        tenant = text(one.tenant)}
    end
  end
  if text(value.url) then
    list[#list + 1] = {url = value.url, binding = text(value.preferredTransport) or "JSONRPC", version = "0.3"}
  end
  for _, one in ipairs(map(value.additionalInterfaces) or {}) do
    if map(one) then list[#list + 1] = {url = text(one.url), binding = text(one.transport), version = "0.3"} end
  end
  return list
end

-- A token that was given for https does not leave it.
local function is_safe(agent, url)
  if url:lower():find "^https://" then return true end
  return url:lower():find "^http://" ~= nil and not (agent.token and agent.url:lower():find "^https://")
end

--- The interface to ask -> {url, binding, version, tenant}; nil, message, CODE.
function card.choose(agent, value)
  local offered = {}
  for _, one in ipairs(interfaces(value)) do
    local name = ("%s %s"):format(one.version or "?", one.binding or "?")
    if one.url and BINDINGS[name] and (not agent.version or agent.version == one.version) and is_safe(agent, one.url) then
      if one.tenant == "" then one.tenant = nil end
      return one
    end
    offered[#offered + 1] = ("%s at %s"):format(name, one.url or "?")
  end
  return nil, ("%s: no interface of its card can be used%s; it has %s"):format(agent.url,
    agent.version and " with version " .. agent.version or "", #offered > 0 and table.concat(offered, ", ") or "none"),
    "VERSION_NOT_SUPPORTED"
end

return card
