--- Keys of the store that handlers have changed stay theirs until their outcome, as src/script/locks.c does it: changes that add
--- up may be made by several at once, store.update wants the key alone.

local Locks = {}
Locks.__index = Locks

local locks = {}

function locks.new()
  return setmetatable({held = {}, waiting = {}}, Locks)
end

local function in_the_way(self, handler, key, alone)
  local others = {}
  for holder, theirs in pairs(self.held[key] or {}) do
    if holder ~= handler and (alone or theirs) then others[#others + 1] = holder end
  end
  return others
end

-- Whether one of them waits, however far, for this handler.
local function wait_for(self, others, handler)
  for _, other in ipairs(others) do
    if other == handler then return true end
    local wait = self.waiting[other]
    if wait and wait_for(self, in_the_way(self, other, wait.key, wait.alone), handler) then return true end
  end
  return false
end

local function grant(self, handler, key, alone)
  self.held[key] = self.held[key] or {}
  self.held[key][handler] = self.held[key][handler] or alone
end

--- true: it has the key; false: it has to wait; false, "deadlock": it would wait for ever.
function Locks:take(handler, key, alone)
  local others = in_the_way(self, handler, key, alone)
  if #others == 0 then
    grant(self, handler, key, alone)
    return true
  end
  return false, wait_for(self, others, handler) and "deadlock" or nil
end

--- `resume` is called once it has the key.
function Locks:wait(handler, key, alone, resume)
  self.count = (self.count or 0) + 1
  local wait = {key = key, alone = alone, resume = resume, number = self.count}
  self.waiting[handler] = wait
  return wait
end

--- The handler has ended.
function Locks:release(handler)
  for _, holders in pairs(self.held) do holders[handler] = nil end
  self.waiting[handler] = nil
  local list = {}
  for other, wait in pairs(self.waiting) do list[#list + 1] = {handler = other, wait = wait} end
  table.sort(list, function(a, b) return a.wait.number < b.wait.number end)
  for _, one in ipairs(list) do
    local wait = one.wait
    if self.waiting[one.handler] == wait and #in_the_way(self, one.handler, wait.key, wait.alone) == 0 then
      self.waiting[one.handler] = nil
      grant(self, one.handler, wait.key, wait.alone)
      if not wait.cancelled then wait.resume() end
    end
  end
end

return locks
