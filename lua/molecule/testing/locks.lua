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

-- What it waits for: one key at a time; what its branches take meanwhile comes after that.
local function wait_of(self, handler)
  for _, wait in ipairs(self.waiting) do
    if wait.handler == handler then return wait end
  end
end

-- Whether one of them waits, however far, for this handler.
local function wait_for(self, others, handler)
  for _, other in ipairs(others) do
    if other == handler then return true end
    local wait = wait_of(self, other)
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
  if wait_of(self, handler) then return false end
  local others = in_the_way(self, handler, key, alone)
  if #others == 0 then
    grant(self, handler, key, alone)
    return true
  end
  return false, wait_for(self, others, handler) and "deadlock" or nil
end

-- The first wait that is over, taken out of the list, and whether that is since it would never end.
local function next_settled(self)
  for place, wait in ipairs(self.waiting) do
    local others = wait_of(self, wait.handler) == wait and in_the_way(self, wait.handler, wait.key, wait.alone)
    local deadlock = others and #others > 0 and not wait.checked and wait_for(self, others, wait.handler)
    if others then wait.checked = true end
    if others and (#others == 0 or deadlock) then
      table.remove(self.waiting, place)
      return wait, deadlock
    end
  end
end

local function settle(self)
  local wait, deadlock = next_settled(self)
  while wait do
    if not deadlock then grant(self, wait.handler, wait.key, wait.alone) end
    wait.resume(deadlock and "deadlock" or nil)
    wait, deadlock = next_settled(self)
  end
end

--- `resume` is called once it has the key, or with "deadlock".
function Locks:wait(handler, key, alone, resume)
  local wait = {handler = handler, key = key, alone = alone, resume = resume, checked = wait_of(self, handler) == nil}
  table.insert(self.waiting, wait)
  function wait.cancel()
    for place, one in ipairs(self.waiting) do
      if one == wait then
        table.remove(self.waiting, place)
        return settle(self)
      end
    end
  end
  return wait
end

--- The handler has ended.
function Locks:release(handler)
  for _, holders in pairs(self.held) do holders[handler] = nil end
  for place = #self.waiting, 1, -1 do
    if self.waiting[place].handler == handler then table.remove(self.waiting, place) end
  end
  settle(self)
end

return locks
