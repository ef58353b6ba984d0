--- Reads a compiled chunk of Lua 5.4 (ldump.c of its source): functions, instructions, constants and names, by which a
--- mistake is found where Lua itself would meet it, with scopes resolved.

local chunk = {}

local HEADER = "\x1bLua\x54\0\x19\x93\r\n\x1a\n\4\8\8"
local NUMBERS = 16 -- bytes of the two numbers after it, by which a machine's format is recognized
local ABSOLUTE = -128 -- a line difference that says: the line is in the other list

-- Of lopcodes.h, those that are looked at.
local NAMES = { [0] = "MOVE", "LOADI", "LOADF", "LOADK", "LOADKX", "LOADFALSE", "LFALSESKIP", "LOADTRUE", "LOADNIL",
  "GETUPVAL", "SETUPVAL", "GETTABUP", "GETTABLE", "GETI", "GETFIELD", "SETTABUP", "SETTABLE", "SETI", "SETFIELD",
  "NEWTABLE", "SELF", [56] = "JMP", [66] = "TEST", [68] = "CALL", [69] = "TAILCALL", [70] = "RETURN", [71] = "RETURN0",
  [72] = "RETURN1", [73] = "FORLOOP", [74] = "FORPREP", [75] = "TFORPREP", [76] = "TFORCALL", [77] = "TFORLOOP", [78] = "SETLIST",
  [79] = "CLOSURE", [80] = "VARARG" }

-- Of the others, those that leave their register A as it is.
local KEEPING = { [46] = true, [47] = true, [48] = true, [54] = true, [55] = true, [57] = true, [58] = true, [59] = true,
  [60] = true, [61] = true, [62] = true, [63] = true, [64] = true, [65] = true, [78] = true, [81] = true, [82] = true }

---@class Instruction
---@field name string? nil: of no interest
---@field keeps boolean? it writes no register
---@field a integer
---@field b integer
---@field c integer
---@field k boolean
---@field bx integer
---@field target integer? where a jump leads
---@field line integer

---@class Proto
---@field first_line integer 0 for a main chunk
---@field parameters integer
---@field code Instruction[]
---@field constants table<integer, any> from 0
---@field upvalues {instack: boolean, index: integer, name: string?}[] from 0
---@field protos Proto[] from 0

local Reader = {}
Reader.__index = Reader

function Reader:byte()
  local value = self.text:byte(self.at)
  self.at = self.at + 1
  return value
end

function Reader:size()
  local value = 0
  repeat
    local byte = self:byte()
    value = value << 7 | byte & 0x7f
  until byte & 0x80 ~= 0
  return value
end

function Reader:string()
  local size = self:size()
  if size == 0 then return nil end
  local text = self.text:sub(self.at, self.at + size - 2)
  self.at = self.at + size - 1
  return text
end

function Reader:unpack(format)
  local value
  value, self.at = string.unpack(format, self.text, self.at)
  return value
end

local function decode(word, pc)
  local instruction = { name = NAMES[word & 0x7f], a = word >> 7 & 0xff, k = word >> 15 & 1 == 1, b = word >> 16 & 0xff,
    c = word >> 24 & 0xff, bx = word >> 15 & 0x1ffff }
  local name = instruction.name
  instruction.keeps = KEEPING[word & 0x7f]
  if name == "JMP" then
    instruction.target = pc + 1 + (word >> 7 & 0x1ffffff) - 0xffffff
  elseif name == "FORLOOP" or name == "TFORLOOP" then
    instruction.target = pc + 1 - instruction.bx
  elseif name == "FORPREP" then
    instruction.target = pc + 2 + instruction.bx
  elseif name == "TFORPREP" then
    instruction.target = pc + 1 + instruction.bx
  end
  return instruction
end

function Reader:constants()
  local constants = {}
  for i = 0, self:size() - 1 do
    local kind = self:byte()
    if kind == 3 then constants[i] = self:unpack "<i8"
    elseif kind == 19 then constants[i] = self:unpack "<d"
    elseif kind == 4 or kind == 20 then constants[i] = self:string()
    elseif kind == 1 or kind == 17 then constants[i] = kind == 17 end
  end
  return constants
end

-- Differences from instruction to instruction; where one is too large, the line itself.
function Reader:lines(proto)
  local differences, absolute = {}, {}
  for i = 1, self:size() do differences[i] = self:unpack "<i1" end
  for _ = 1, self:size() do
    local pc = self:size()
    absolute[pc + 1] = self:size()
  end
  local line = proto.first_line
  for i, instruction in ipairs(proto.code) do
    line = differences[i] == ABSOLUTE and absolute[i] or line + (differences[i] or 0)
    instruction.line = line
  end
end

function Reader:proto()
  self:string() -- where it comes from
  local proto = { first_line = self:size(), code = {}, upvalues = {}, protos = {} }
  self:size()
  proto.parameters = self:byte()
  self.at = self.at + 2
  for i = 1, self:size() do proto.code[i] = decode(self:unpack "<I4", i) end
  proto.constants = self:constants()
  for i = 0, self:size() - 1 do
    proto.upvalues[i] = { instack = self:byte() == 1, index = self:byte() }
    self.at = self.at + 1
  end
  for i = 0, self:size() - 1 do proto.protos[i] = self:proto() end
  self:lines(proto)
  for _ = 1, self:size() do
    self:string()
    self:size()
    self:size()
  end
  for i = 0, self:size() - 1 do proto.upvalues[i].name = self:string() end
  return proto
end

---@param fn function a main chunk
---@return Proto? nil: this Lua writes another format
function chunk.read(fn)
  local text = string.dump(fn)
  if text:sub(1, #HEADER) ~= HEADER then return nil end
  local reader = setmetatable({ text = text, at = #HEADER + NUMBERS + 2 }, Reader)
  return reader:proto()
end

return chunk
