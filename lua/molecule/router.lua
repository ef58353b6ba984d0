--- molecule.router: an agent that is a list of commands.
--
--   local router = molecule.router {allow = {"canvas", "<peer id>"}}
--   router:on("^deploy (%S+)$", "deploy <name>: puts a version live", function(msg, ctx, name) ... end)
--   router:default(function(msg, ctx) return router:help() end)
--   return router
--
-- A route's pattern is a Lua pattern, matched against the trimmed text; its captures follow msg and
-- ctx. The first route that matches answers. Senders not allowed are skipped; allow may also be
-- a function(msg, ctx) -> boolean. Without a default, help is the answer.
local misuse = require "molecule.misuse"
local check_options = require "molecule.options"
local core = require "molecule.core"
local problem_of = require "molecule.pattern"

local Router = {}
Router.__index = Router

local private = setmetatable({}, {__mode = "k"}) -- router -> {routes, allowed, fallback}: an agent has only known fields
local KNOWN = {allow = "any", name = "any", description = "any", skills = "any", concurrency = "any", start = "any",
  stop = "any", conversation = "any", answers_replies = "any"}

---@param pattern string a Lua pattern
---@param about string what help() says; may be omitted
---@param handler fun(msg: table, ctx: table, ...: string): any
function Router:on(pattern, about, handler)
  if type(about) == "function" then about, handler = nil, about end
  if type(pattern) ~= "string" or type(handler) ~= "function" then
    misuse("router:on takes a pattern, optionally a line for help, and a function")
  end
  local problem = problem_of(pattern)
  if problem then misuse(("router:on: the pattern %q: %s"):format(pattern, problem)) end
  local routes = private[self].routes
  routes[#routes + 1] = {pattern = pattern, about = about, handler = handler}
  return self
end

--- Answers what no route matches.
---@param handler fun(msg: table, ctx: table): any
function Router:default(handler)
  if type(handler) ~= "function" then misuse("router:default takes a function") end
  private[self].fallback = handler
  return self
end

--- A line for each route: its description, else its pattern.
---@return string
function Router:help()
  local lines = {"I understand:"}
  for _, route in ipairs(private[self].routes) do lines[#lines + 1] = "  " .. (route.about or route.pattern) end
  return table.concat(lines, "\n")
end

--- The route that matches, and its captures from the fourth value of `found` on.
local function find(router, text)
  for _, route in ipairs(private[router].routes) do
    local found = table.pack(pcall(string.find, text, route.pattern))
    if not found[1] then
      error(("the pattern %q of the route %q: %s"):format(route.pattern, route.about or route.pattern, found[2]), 0)
    end
    if found[2] then return route, found end
  end
end

local function handle(router, msg, ctx)
  local own = private[router]
  if own.allowed and not own.allowed(msg, ctx) then
    return setmetatable({kind = "skip", reason = msg.from .. " is not on the router's allow-list"}, core.verdict)
  end
  local route, found = find(router, msg.text:match("^%s*(.-)%s*$"))
  if route then return route.handler(msg, ctx, table.unpack(found, 4, found.n)) end
  if own.fallback then return own.fallback(msg, ctx) end
  return router:help()
end

for _, name in ipairs {"on", "default"} do Router[name] = core.public(Router[name]) end

---@param options table? allow, and the fields of an agent except handle
---@return table router an agent: return it from the script
return core.public(function(options)
  options = check_options("molecule.router", options, KNOWN)
  local router, own = setmetatable({}, Router), {routes = {}}
  private[router] = own
  for key, value in pairs(options) do
    if key ~= "allow" then router[key] = value end
  end
  if type(options.allow) == "table" then
    local senders = {}
    for _, sender in ipairs(options.allow) do senders[sender] = true end
    own.allowed = function(msg) return senders[msg.from] end
  elseif type(options.allow) == "function" then
    own.allowed = options.allow
  elseif options.allow ~= nil then
    misuse("molecule.router: allow must be a list of senders, or a function(msg, ctx)")
  end
  router.handle = function(msg, ctx) return handle(router, msg, ctx) end
  return router
end)
