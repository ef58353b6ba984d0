--- Remembers what it is told, separately for each sender, across restarts. molecule.store keeps the facts, and a counter that
--- restarts every day says how often it was asked.
---
---   remember the door code is 4711      what is the door code?      forget the door code      list
---
---   molecule connect <workspace-id> --script examples/remember.lua
local molecule = require "molecule"
local store = molecule.store

local DAY = 24 * 3600

--- What a sender calls a thing -> its key.
local function key_of(msg, thing)
  return ("fact:%s:%s"):format(msg.from, thing:lower():gsub("%c", " "):sub(1, 300))
end

local function count_question(msg)
  return store.incr("asked:" .. msg.from, 1, {ttl = DAY})
end

local router = molecule.router {name = "memory", description = "remembers what it is told"}

router:on("^[Rr]emember%s+(.-)%s+is%s+(.+)$", "remember <thing> is <what it is>", function(msg, _, thing, what)
  local kept, problem = store.set(key_of(msg, thing), {thing = thing, what = what})
  if not kept then return nil, problem end
  return ("I will remember: %s is %s."):format(thing, what)
end)

router:on("^[Ww]hat%s+is%s+(.-)%s*%??$", "what is <thing>?", function(msg, _, thing)
  local asked = count_question(msg)
  local fact = store.get(key_of(msg, thing))
  if not fact then return ("I do not know what %s is. (question %d of today)"):format(thing, asked) end
  return ("%s is %s. (question %d of today)"):format(fact.thing, fact.what, asked)
end)

router:on("^[Ff]orget%s+(.+)$", "forget <thing>", function(msg, _, thing)
  local key = key_of(msg, thing)
  if store.get(key) == nil then return ("I knew nothing about %s."):format(thing) end
  store.delete(key)
  return ("%s is forgotten."):format(thing)
end)

router:on("^[Ll]ist$", "list", function(msg)
  local lines = {}
  for _, key in ipairs(store.keys(("fact:%s:"):format(msg.from))) do
    local fact = store.get(key)
    if fact then lines[#lines + 1] = ("%s is %s"):format(fact.thing, fact.what) end
  end
  return #lines > 0 and table.concat(lines, "\n") or "I know nothing so far."
end)

return router
