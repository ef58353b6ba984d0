--- Follows what a script's registers hold, and reports names that nothing has: fields of the API, of `msg` and `ctx`, and
--- globals. What it cannot follow it does not report.

local known = require "molecule.check.known"

local names = {}

---@class Held what a register is known to hold
---@field class string? a class of known.lua
---@field text string? how the script calls it: "molecule.http", "msg"
---@field global string? a global of this name
---@field word string? a constant string
---@field proto Proto? a function of the script
---@field table table<string, Held>? a table made here: what its fields hold, {}: unknown
---@field items table<integer, Held>? … and its list
---@field kind string? a constant: "a number"
---@field at_once string? a function of the API that runs others: "all", "map", "race"

---@class Walk
---@field classes Classes
---@field globals table<string, true> those that exist, or that the script sets
---@field tested table<string, true> globals that the script asks for, as in `if x then`
---@field set table<string, true> fields that the script sets anywhere
---@field report fun(finding: table)
---@field returned Held? what the main chunk returns

local WRITES_NOTHING = { SETUPVAL = true, SETTABUP = true, SETTABLE = true, SETI = true, SETFIELD = true, RETURN = true,
  RETURN0 = true, RETURN1 = true, JMP = true, TEST = true }

-- The registers that an instruction writes, from and to.
local function written(instruction)
  local name, a = instruction.name, instruction.a
  if instruction.keeps or WRITES_NOTHING[name] then return 1, 0 end
  if name == "CALL" or name == "TAILCALL" or name == "VARARG" then return a, 255 end
  if name == "LOADNIL" then return a, a + instruction.b end
  if name == "SELF" then return a, a + 1 end
  if name == "FORLOOP" or name == "FORPREP" then return a, a + 3 end
  if name == "TFORPREP" then return a + 3, a + 3 end
  if name == "TFORCALL" then return a + 4, 255 end
  if name == "TFORLOOP" then return a + 2, a + 2 end
  return a, a
end

-- pc -> the jumps that lead there, as ranges of instructions that ran in one way and not in the other.
local function ranges_to(code)
  local ranges = {}
  for pc, instruction in ipairs(code) do
    local target = instruction.target
    if target then
      ranges[target] = ranges[target] or {}
      table.insert(ranges[target], { math.min(pc, target), math.max(pc, target) })
    end
  end
  return ranges
end

local function forget(held, code, range)
  for pc = range[1], math.min(range[2], #code) do
    local from, to = written(code[pc])
    for register = from, math.min(to, 255) do held[register] = nil end
  end
end

-- What is done with the value in a register next: "call", "index" or nil.
local function next_use(code, pc, register)
  for i = pc + 1, math.min(pc + 40, #code) do
    local instruction = code[i]
    local name = instruction.name
    if (name == "CALL" or name == "TAILCALL") and instruction.a == register then return "call" end
    if (name == "GETFIELD" or name == "SELF" or name == "GETTABLE" or name == "GETI") and instruction.b == register then
      return "index"
    end
    if (name == "SETFIELD" or name == "SETTABLE" or name == "SETI") and instruction.a == register then return "index" end
    if instruction.target or name == "TEST" and instruction.a == register then return nil end
    local from, to = written(instruction)
    if register >= from and register <= to then return nil end
  end
end

local CONSTANTS = { LOADI = "a number", LOADF = "a number", LOADTRUE = "a boolean", LOADFALSE = "a boolean" }

-- The list of the table in a register gets what the registers after it hold.
local function add_items(held, instruction)
  local made = held[instruction.a]
  if not made or not made.table or instruction.k then return end -- k: it has very many
  made.items = made.items or {}
  for i = 1, instruction.b do made.items[instruction.c + i] = held[instruction.a + i] end
end

local KINDS = { LOADI = "a number", LOADF = "a number" } -- no reply

local AT_ONCE = { all = true, map = true, race = true }

-- What a register holds, where a function is wanted; nil: a function, or it is not known.
local function no_function(held)
  return held and not held.proto and (held.kind or held.table and "a table") or nil
end

-- A call of molecule.all, map or race: a mistake that is known to be one, in words.
local function misused(name, first, second)
  if name == "map" then
    local wrong = no_function(second)
    return wrong and ("molecule.map: the second argument must be a function(item, index), not %s"):format(wrong)
  end
  local wrong = first and (first.kind or first.proto and "a function")
  if wrong then return ("molecule.%s takes a list of functions, molecule.%s {f, g}, not %s"):format(name, name, wrong) end
  for i, item in pairs(first and first.items or {}) do
    wrong = no_function(item)
    if wrong then return ("molecule.%s takes a list of functions, but number %d is %s"):format(name, i, wrong) end
  end
end

---@param walk Walk
---@param proto Proto
---@param parameters Held[] what its parameters hold, from 1
---@param upvalues table<integer, Held> from 0
local function follow(walk, proto, parameters, upvalues)
  local held, code, constants = {}, proto.code, proto.constants
  local ranges = ranges_to(code)
  for i, value in ipairs(parameters) do held[i - 1] = i <= proto.parameters and value or nil end

  local function member(owner, field, instruction)
    if not owner or not owner.class then return nil end
    local value = known.field(walk.classes, owner.class, field)
    if not value and not walk.set[field] then
      walk.report { line = instruction.line, owner = owner.text, word = field,
        fields = known.fields(walk.classes, owner.class) }
    end
    local class = type(value) == "string" and value or nil
    if owner.class == "molecule" and AT_ONCE[field] then return { at_once = field } end
    return class and { class = class, text = owner.text .. "." .. field } or nil
  end

  local function global(name, pc)
    local instruction = code[pc]
    if not walk.globals[name] then
      local use = not walk.tested[name] and next_use(code, pc, instruction.a) or nil
      walk.report { line = instruction.line, word = name, use = use, global = true }
    end
    return { global = name }
  end

  local function call(instruction)
    local fn, argument = held[instruction.a], held[instruction.a + 1]
    local words = fn and fn.at_once and misused(fn.at_once, argument, held[instruction.a + 2])
    if words then walk.report { line = instruction.line, word = fn.at_once, misused = words } end
    local module = fn and fn.global == "require" and argument and argument.word
    if not module then return nil end
    local class = module:match "^molecule[%w_.]*$"
    return class and walk.classes[class] and { class = class, text = class } or nil
  end

  local function closure(instruction)
    local child = proto.protos[instruction.bx]
    local given = {}
    for i, upvalue in pairs(child.upvalues) do
      given[i] = upvalue.name == "_ENV" and { global = "_ENV" } or
        upvalue.instack and held[upvalue.index] or not upvalue.instack and upvalues[upvalue.index] or nil
    end
    child.given = given
    return { proto = child }
  end

  for pc, instruction in ipairs(code) do
    for _, range in ipairs(ranges[pc] or {}) do forget(held, code, range) end
    local name, a, b, c = instruction.name, instruction.a, instruction.b, instruction.c
    local value
    if name == "MOVE" then value = held[b]
    elseif name == "LOADK" then
      local constant = constants[instruction.bx]
      value = { word = type(constant) == "string" and constant or nil, kind = "a " .. type(constant) }
    elseif CONSTANTS[name] then value = { kind = CONSTANTS[name] }
    elseif name == "GETUPVAL" then value = upvalues[b]
    elseif name == "GETTABUP" then
      local from = proto.upvalues[b]
      if from.name == "_ENV" then value = global(constants[c], pc) else value = member(upvalues[b], constants[c], instruction) end
    elseif name == "GETFIELD" then value = member(held[b], constants[c], instruction)
    elseif name == "SELF" then
      if instruction.k then member(held[b], constants[c], instruction) end
    elseif name == "NEWTABLE" then value = { table = {} }
    elseif name == "SETFIELD" and held[a] and held[a].table then
      held[a].table[constants[b]] = not instruction.k and held[c] or {}
    elseif name == "SETLIST" then add_items(held, instruction)
    elseif name == "CALL" then value = call(instruction)
    elseif name == "TAILCALL" then call(instruction)
    elseif name == "CLOSURE" then value = closure(instruction)
    elseif name == "RETURN" and proto.first_line == 0 and b == 2 then
      walk.returned = walk.returned or held[a]
    elseif name == "RETURN1" and proto.first_line == 0 then walk.returned = walk.returned or held[a] end
    local from, to = written(instruction)
    for register = from, math.min(to, 255) do held[register] = nil end
    if from <= to then held[a] = value end
  end
end

---What the script sets: globals, and fields of anything.
---@param walk Walk
---@param proto Proto
function names.collect(walk, proto)
  for pc, instruction in ipairs(proto.code) do
    local key, next = proto.constants[instruction.b], proto.code[pc + 1]
    if instruction.name == "GETTABUP" and next and next.name == "TEST" and next.a == instruction.a then
      walk.tested[proto.constants[instruction.c]] = true
    end
    if instruction.name == "SETTABUP" and proto.upvalues[instruction.a].name == "_ENV" then walk.globals[key] = true end
    if instruction.name == "SETFIELD" and type(key) == "string" then walk.set[key] = true end
  end
  for _, child in pairs(proto.protos) do names.collect(walk, child) end
end

---The modules that are required by a constant name.
---@param proto Proto
---@return string[]
function names.modules(proto)
  local found = {}
  local function look(each)
    for pc, instruction in ipairs(each.code) do
      local upvalue = instruction.name == "GETTABUP" and each.upvalues[instruction.b]
      local next = each.code[pc + 1]
      if upvalue and upvalue.name == "_ENV" and each.constants[instruction.c] == "require" and next and next.name == "LOADK" then
        found[#found + 1] = each.constants[next.bx]
      end
    end
    for _, child in pairs(each.protos) do look(child) end
  end
  look(proto)
  return found
end

local MESSAGE = { class = "Message", text = "msg" }
local CONTEXT = { class = "Context", text = "ctx" }
local PARAMETERS = { handle = { MESSAGE, CONTEXT }, conversation = { MESSAGE }, start = { CONTEXT }, stop = { CONTEXT } }

-- What a handler returns: whether it returns a value at all or does anything, and any constant of a wrong type.
local function look_at_handler(walk, proto)
  local returns, does, last = false, false, nil
  for _, instruction in ipairs(proto.code) do
    local name = instruction.name
    if name == "RETURN1" then
      returns = true
      if last and last.a == instruction.a and KINDS[last.name] then
        walk.report { line = instruction.line, word = "return", wrong = KINDS[last.name] }
      end
    elseif name == "TAILCALL" or name == "RETURN" and instruction.b ~= 1 then
      returns = true
    end
    does = does or name == "CALL" or name == "TAILCALL"
    last = instruction
  end
  if not returns and not does then
    walk.report { line = proto.first_line, word = "function", useless = true }
  end
end

local function each_child(proto, fn)
  for i = 0, #proto.protos do
    if proto.protos[i] then fn(proto.protos[i]) end
  end
end

-- Which functions of the script are the agent's, by what the main chunk returns.
local function find_handlers(returned)
  if not returned then return {} end
  if returned.proto then return { [returned.proto] = "handle" } end
  local handlers = {}
  for field, value in pairs(returned.table or {}) do
    if PARAMETERS[field] and value.proto then handlers[value.proto] = field end
  end
  return handlers
end

---The fields of the table that a main chunk returns; none: it returns something else, or cannot be followed.
---@param main Proto
---@return table<string, Held>
function names.returned_fields(main)
  local walk = { classes = {}, globals = {}, set = {}, tested = {}, report = function() end }
  follow(walk, main, {}, { [0] = { global = "_ENV" } })
  return walk.returned and walk.returned.table or {}
end

---Reports what is wrong with the names of a main chunk.
---@param walk Walk
---@param main Proto
---@param is_agent boolean it returns the agent
function names.check(walk, main, is_agent)
  follow(walk, main, {}, { [0] = { global = "_ENV" } })
  local handlers = is_agent and find_handlers(walk.returned) or {}
  local function visit(proto)
    local role = handlers[proto]
    follow(walk, proto, PARAMETERS[role] or {}, proto.given or {})
    if role == "handle" then look_at_handler(walk, proto) end
    each_child(proto, visit)
  end
  each_child(main, visit)
end

return names
