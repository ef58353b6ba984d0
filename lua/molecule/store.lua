--- molecule.store: values that survive restarts, by key, one store per workspace: any value that JSON can hold.
--
-- A handler sees its own changes at once; others see them, and they are on disk, when the handler's outcome is: a handler that
-- fails leaves the store as it was. Failures are nil, message, CODE (TYPE, TOO_LARGE, DEADLOCK, OFFLINE). A key is 1 to 512
-- bytes of UTF-8 without control characters, a value at most 1 MiB as JSON, all changes of one handler together 64 MiB. A
-- write waits while another handler's store.update has the key; so does store.update itself.
local core = require "molecule.core"
local json = require "molecule.json"
local misuse = require "molecule.misuse"
local check_table = require "molecule.options"

local store = {}

local VALUE_MAXIMUM = 1024 * 1024
local KEYS_MAXIMUM = 100000 -- of one list

local function check_key(name, key)
  if type(key) ~= "string" or key == "" or #key > 512 or not utf8.len(key) or key:find("%c") then
    misuse(("store.%s: a key must be 1 to 512 bytes of UTF-8 without control characters, not %s"):format(name,
      type(key) == "string" and ("%q"):format(key:sub(1, 40)) or "a " .. type(key)))
  end
end

local function check_options(name, options, known)
  options = check_table("store." .. name, options, known)
  for option, value in pairs(options) do
    if not (value > 0 and value < 1e10) then misuse(("store.%s: %s must be above 0"):format(name, option)) end
  end
  return options
end

--- What the running handler itself made of `key`: JSON text; false: deleted or expired; nil: untouched.
local function own_text(key)
  local own = core.store_values()[key]
  if own and own.ends <= core.elapsed() then return false end
  return own and own.text
end

--- What the running handler would read: JSON text, or nil.
local function read(key)
  local own = own_text(key)
  if own ~= nil then return own or nil end
  local text, problem, code = core.store_get(key)
  own = own_text(key) -- another branch of the handler may have changed it meanwhile
  if own ~= nil then return own or nil end
  return text, problem, code
end

--- When a value expires. One that continues from `before` keeps its expiry, which is not known here if it is the ledger's.
local function end_of(key, ttl, before)
  if before then return own_text(key) and core.store_values()[key].ends or math.huge end
  return ttl and core.elapsed() + ttl or math.huge
end

local function encode(name, value)
  local text, problem = json.encode(value)
  if not text then misuse(("store.%s: the value cannot be stored: %s"):format(name, problem)) end
  return text
end

local function too_large(name, key)
  return nil, ("store.%s: the value of %q would be larger than 1 MiB, or all changes of this handler than 64 MiB"):format(
    name, key), "TOO_LARGE"
end

--- A handler that runs again would lose one of two changes of a key, if one was a step's.
local function check_scope(name, key)
  local state = core.step_state(true)
  if not state then return end
  local step = core.step_inside()
  if step and core.store_values(true)[key] ~= nil then
    misuse(("store.%s: the step %q changes %q, which its handler changed before: change a key either inside or outside of steps")
      :format(name, step, key))
  elseif not step and state.kept and state.kept[key] then
    misuse(("store.%s: %q was changed in the step %q: change a key either inside or outside of steps"):format(name, key,
      state.kept[key]))
  elseif step then
    state.kept = state.kept or {}
    state.kept[key] = step
  end
end

--- Buffers the change; `text` is what the handler reads from now on, in place of `before`, which it continues.
local function change(name, verb, key, text, given, ttl, most, before)
  check_scope(name, key)
  if text and #text > VALUE_MAXIMUM then return too_large(name, key) end
  if not core.store_change(verb, key, given, ttl, most) then return too_large(name, key) end
  core.store_values()[key] = text and {text = text, ends = end_of(key, ttl, before)} or false
  return true
end

local function write(name, key, value, ttl)
  if value == nil then return change(name, "delete", key) end
  local text = encode(name, value)
  return change(name, "set", key, text, text, ttl)
end

--- The value of `key`; nil: none, or it has expired.
function store.get(key)
  check_key("get", key)
  local text, problem, code = read(key)
  if not text then return nil, problem, code end
  return json.decode(text)
end

--- Stores `value`, for `ttl` seconds if given; nil deletes. true, or nil, message, CODE.
function store.set(key, value, options)
  check_key("set", key)
  options = check_options("set", options, {ttl = "duration"})
  if value ~= nil then encode("set", value) end
  check_scope("set", key) -- before it could wait for itself
  local locked, problem, code = core.store_lock(key, false)
  if not locked then return nil, problem, code end
  return write("set", key, value, options.ttl)
end

function store.delete(key)
  check_key("delete", key)
  return store.set(key, nil)
end

--- Adds like the ledger when it records the change: an integer that would overflow becomes a real number.
local function add(a, b)
  local sum = a + b
  local overflows = math.type(sum) == "integer" and (a ~ sum) & (b ~ sum) < 0
  return overflows and a + 0.0 + b or sum
end

--- Adds `by` (1) to a number that is 0 if there is none, and returns the sum as this handler sees it. Concurrent handlers'
--- increments all count. `ttl` counts from the first one.
function store.incr(key, by, options)
  check_key("incr", key)
  options = check_options("incr", options, {ttl = "duration"})
  by = by == nil and 1 or by
  if type(by) ~= "number" or by ~= by or by == math.huge or by == -math.huge then
    misuse("store.incr: the second argument must be a finite number")
  end
  check_scope("incr", key) -- before it could wait for itself
  local locked, problem, code = core.store_lock(key, false)
  if not locked then return nil, problem, code end
  local text
  text, problem, code = read(key)
  if problem then return nil, problem, code end
  local value = json.decode(text or "0")
  if type(value) ~= "number" then
    return nil, ("store.incr: %q holds a %s, not a number"):format(key, type(value)), "TYPE"
  end
  local sum = add(value, by)
  local changed
  changed, problem, code = change("incr", "incr", key, encode("incr", sum), encode("incr", by), options.ttl, nil, text)
  if not changed then return nil, problem, code end
  return sum
end

--- Replaces the value with what `fn(value)` returns (nil deletes), and returns that. Until this handler's outcome is
--- recorded no other handler changes the key, so nothing is lost between reading and writing. `fn` cannot wait.
function store.update(key, fn, options)
  check_key("update", key)
  options = check_options("update", options, {ttl = "duration"})
  if type(fn) ~= "function" then misuse("store.update: the second argument must be a function(value)") end
  check_scope("update", key) -- before it could wait for itself
  local locked, problem, code = core.store_lock(key, true)
  if not locked then return nil, problem, code end
  local text
  text, problem, code = read(key)
  if problem then return nil, problem, code end
  local value = core.call_at_once(fn, text and json.decode(text))
  local changed
  changed, problem, code = write("update", key, value, options.ttl)
  if not changed then return nil, problem, code end
  return value
end

--- An empty table is stored as an object, but may have been meant as a list.
local function is_list(value)
  return type(value) == "table" and (json.is_array(value) or next(value) == nil)
end

--- Appends `value` to a list, keeping the last `max`; returns the list as this handler sees it.
function store.append(key, value, options)
  check_key("append", key)
  options = check_options("append", options, {max = "number", ttl = "duration"})
  if value == nil then misuse("store.append: the value is nil") end
  if options.max and math.type(options.max) ~= "integer" then misuse("store.append: max must be an integer") end
  local given = encode("append", value)
  check_scope("append", key) -- before it could wait for itself
  local locked, problem, code = core.store_lock(key, false)
  if not locked then return nil, problem, code end
  local text
  text, problem, code = read(key)
  if problem then return nil, problem, code end
  local list = json.decode(text or "[]")
  if not is_list(list) then return nil, ("store.append: %q holds a %s, not a list"):format(key, type(list)), "TYPE" end
  list = json.array(list)
  list[#list + 1] = json.decode(given)
  while options.max and #list > options.max do table.remove(list, 1) end
  local changed
  changed, problem, code = change("append", "append", key, encode("append", list), given, options.ttl, options.max,
    text)
  if not changed then return nil, problem, code end
  return list
end

--- How many keys with that prefix the running handler deleted: they may all be in the page that the ledger returns.
local function count_gone(prefix)
  local count = 0
  for key in pairs(core.store_values()) do
    if not own_text(key) and key:sub(1, #prefix) == prefix then count = count + 1 end
  end
  return count
end

--- The keys that begin with `prefix` (default: all), in order, at most `limit` (1000).
function store.keys(prefix, options)
  prefix = prefix == nil and "" or prefix
  if prefix ~= "" then check_key("keys", prefix) end
  options = check_options("keys", options, {limit = "number"})
  local limit = math.min(math.tointeger(options.limit or 1000) or 1000, KEYS_MAXIMUM)
  local stored, problem, code = core.store_keys(prefix, limit + count_gone(prefix))
  if not stored then return nil, problem, code end
  local seen, keys = {}, {}
  for _, key in ipairs(stored) do
    seen[key] = true
    if own_text(key) ~= false then keys[#keys + 1] = key end
  end
  for key in pairs(core.store_values()) do
    if own_text(key) and not seen[key] and key:sub(1, #prefix) == prefix then keys[#keys + 1] = key end
  end
  table.sort(keys)
  for i = #keys, limit + 1, -1 do keys[i] = nil end
  return keys
end

for name, call in pairs(store) do store[name] = core.public(call) end

return store
