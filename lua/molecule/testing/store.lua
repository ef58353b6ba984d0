--- The stored values of an agent under test, in memory: what handlers changed is applied with their outcome, as the ledger does
--- it. A test reads and writes them as `a.store`.

local Store = {}
Store.__index = Store

local store = {}

---@param json table
---@param clock TestClock
function store.new(json, clock)
  return setmetatable({json = json, clock = clock, values = {}}, Store)
end

--- The JSON text of a key that has not expired.
function Store:text(key)
  local value = self.values[key]
  if value and value.ends <= self.clock:now() then
    self.values[key] = nil
    return nil
  end
  return value and value.text, value and value.ends
end

--- The value of a key, or nil.
function Store:get(key)
  local text = self:text(key)
  return text and self.json.decode(text)
end

--- Puts a value there, as if a handler had stored it; nil deletes.
function Store:set(key, value, options)
  if value == nil then self.values[key] = nil return end
  local ttl = options and options.ttl
  self.values[key] = {text = assert(self.json.encode(value)), ends = ttl and self.clock:now() + ttl or math.huge}
end

--- The keys that begin with `prefix`, in order.
function Store:keys(prefix)
  local keys = {}
  for key in pairs(self.values) do
    if key:sub(1, #(prefix or "")) == (prefix or "") and self:text(key) then keys[#keys + 1] = key end
  end
  table.sort(keys)
  return keys
end

--- Everything: a table of values by key.
function Store:all()
  local all = {}
  for _, key in ipairs(self:keys()) do all[key] = self:get(key) end
  return all
end

local function add(a, b)
  local sum = a + b
  local overflows = math.type(sum) == "integer" and (a ~ sum) & (b ~ sum) < 0
  return overflows and a + 0.0 + b or sum
end

local verbs = {}

function verbs.set(_, change) return change.given, change.ends end

function verbs.delete() return nil end

-- A value of another type is started over, and one that was there keeps its expiry.
function verbs.incr(self, change)
  local text, ends = self:text(change.key)
  local value = text and self.json.decode(text)
  local by = self.json.decode(change.given)
  return self.json.encode(type(value) == "number" and add(value, by) or by), text and ends or change.ends
end

function verbs.append(self, change)
  local text, ends = self:text(change.key)
  local list = text and self.json.decode(text)
  list = type(list) == "table" and (self.json.is_array(list) or next(list) == nil) and self.json.array(list)
    or self.json.array {}
  list[#list + 1] = self.json.decode(change.given)
  while change.most and #list > change.most do table.remove(list, 1) end
  return self.json.encode(list), text and ends or change.ends
end

--- What a handler did, in order.
---@param changes {verb: string, key: string, given: string?, ends: number, most: integer?}[]
function Store:apply(changes)
  for _, change in ipairs(changes) do
    local text, ends = verbs[change.verb](self, change)
    self.values[change.key] = text and {text = text, ends = ends} or nil
  end
end

return store
