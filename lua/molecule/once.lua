--- `step = "name"` of molecule.http and molecule.exec: the call is a step (ctx.step), and its result is recorded.
local core = require "molecule.core"
local misuse = require "molecule.misuse"
local steps = require "molecule.steps"

-- JSON is UTF-8; other bytes are kept as they are, too.
local function pack(result)
  local plain, bytes = {}, {}
  for name, value in pairs(result) do
    if type(value) == "string" and not utf8.len(value) then
      bytes[name] = core.base64_encode(value)
    else
      plain[name] = value
    end
  end
  return { plain = plain, base64 = next(bytes) and bytes or nil }
end

local function unpack_result(packed)
  for name, text in pairs(packed.base64 or {}) do packed.plain[name] = core.base64_decode(text) end
  return packed.plain
end

---@param what string the function's name, for errors
---@param name any the step's
---@param given table what the call is told apart by
---@param call fun(): table?, string?, string?, ...
---@return table? result, string? problem, string? code, ...
return function(what, name, given, call)
  if type(name) ~= "string" then misuse(("%s: step must be a string, the step's name, not a %s"):format(what, type(name))) end
  local failure
  local result = steps.step(name, function()
    local answer = table.pack(call())
    if not answer[1] then
      failure = answer
      return nil, tostring(answer[2])
    end
    return pack(answer[1])
  end, given)
  if failure then return table.unpack(failure, 1, failure.n) end
  return unpack_result(result)
end
