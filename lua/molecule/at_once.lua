--- molecule.all, molecule.map, molecule.race: functions that run at once, each in a branch of the handler.
--
-- This file checks what they are given and names the branches; core.at_once runs them, and its caller waits. The first error
-- cancels the other branches and is raised: what a canceled one waits for ends, what it opened is closed, and none of its
-- code runs again. What it stored, sent or logged before stays.
local core = require "molecule.core"
local json = require "molecule.json"
local misuse = require "molecule.misuse"
local check_options = require "molecule.options"

local at_once = {}

local CONCURRENCY, CONCURRENCY_MAXIMUM = 8, 1000
local KEY_MAXIMUM = 64 -- bytes of a branch's key

-- A copy of the functions, as the script may change its list meanwhile, and how many they are.
local function check_functions(name, list)
  if type(list) ~= "table" then
    misuse(("%s: takes a list of functions, molecule.%s {f, g}, not a %s"):format(name, name, type(list)))
  end
  local functions = {}
  for i = 1, #list do
    if type(list[i]) ~= "function" then
      misuse(("%s: takes a list of functions, but number %d is a %s"):format(name, i, type(list[i])))
    end
    functions[i] = list[i]
  end
  for key in next, list do
    if not functions[key] then
      misuse(("%s: takes a list of functions, but this table has the key %s"):format(name, tostring(key)))
    end
  end
  return functions, #functions
end

-- A copy of the items, and how many they are: `n` if it is given, as of molecule.all.
local function check_items(list)
  if type(list) ~= "table" then misuse(("map: the first argument must be a list, not a %s"):format(type(list))) end
  local count = rawget(list, "n")
  if math.type(count) ~= "integer" or count < #list then count = #list end
  local items = table.move(list, 1, count, 1, {})
  for key in next, list do
    if key ~= "n" and (math.type(key) ~= "integer" or key < 1 or key > count) then
      misuse(("map: the first argument must be a list, but this table has the key %s"):format(tostring(key)))
    end
  end
  return items, count
end

-- What tells an item's branch from the others, also when the handler runs again.
local function key_of(item, index, key)
  if key then
    local word = key(item)
    if type(word) ~= "string" and type(word) ~= "number" or word == "" then
      misuse(("map: key(item) must return a string, not %s (item %d)"):format(word == "" and "an empty one" or "a "
        .. type(word), index))
    end
    return tostring(word)
  elseif type(item) == "string" and item ~= "" then
    return item
  end
  local text = json.encode(item, {sort = true})
  return text and ("%d-%s"):format(index, core.digest(text):sub(1, 8)) or tostring(index)
end

local function keys_of(items, count, key)
  local keys, seen = {}, {}
  for i = 1, count do
    local word = key_of(items[i], i, key)
    if #word > KEY_MAXIMUM or word:find("[%c%[%]/]") or not utf8.len(word) then word = core.digest(word) end
    local unique, again = word, 1
    while seen[unique] do
      again = again + 1
      unique = ("%s~%d"):format(word, again)
    end
    seen[unique] = true
    keys[i] = unique
  end
  return keys
end

--- Runs the functions at once: `{n =, …}` with the first result of each, in their order.
function at_once.all(list)
  local functions, count = check_functions("all", list)
  return core.at_once("all", functions, count, nil, nil, count)
end

--- Runs `fn(item, index)` for each item, `concurrency` (8) of them at once: `{n =, …}` with the first result of each, in the
--- order of the items.
function at_once.map(list, fn, options)
  local items, count = check_items(list)
  if type(fn) ~= "function" then
    misuse(("map: the second argument must be a function(item, index), not a %s"):format(type(fn)))
  end
  options = check_options("map", options, {concurrency = "number", key = "function"})
  local most = options.concurrency or CONCURRENCY
  if math.type(most) ~= "integer" or most < 1 or most > CONCURRENCY_MAXIMUM then
    misuse(("map: concurrency must be an integer from 1 to %d, not %s"):format(CONCURRENCY_MAXIMUM, tostring(most)))
  end
  return core.at_once("map", items, count, fn, keys_of(items, count, options.key), most)
end

--- Runs the functions at once until the first returns: its first result, and which it is. The others are canceled.
function at_once.race(list)
  local functions, count = check_functions("race", list)
  if count == 0 then misuse("race: the list is empty, so nothing can win; it takes at least one function") end
  -- the winner is recorded like a step, so that the message's handler gets the same one when it runs again
  return require "molecule.steps".race(function() return core.at_once("race", functions, count, nil, nil, count) end,
    function() core.at_once("race", {}, 0, nil, nil, 0) end)
end

return at_once
