--- `cjson` and `cjson.safe` over molecule.json: what scripts use of them most. The program's own has all of lua-cjson.

local cjson = {}

local SETTINGS = {"encode_sparse_array", "encode_max_depth", "decode_max_depth", "encode_number_precision",
  "encode_keep_buffer", "encode_invalid_numbers", "decode_invalid_numbers", "encode_empty_table_as_object",
  "decode_array_with_array_mt", "encode_escape_forward_slash"}

---@param json table molecule.json
---@param is_safe boolean? failures are nil, message
---@return table
function cjson.make(json, is_safe)
  local module = {null = json.null, empty_array = json.array {}, array_mt = getmetatable(json.array {}),
    empty_array_mt = getmetatable(json.array {}), _NAME = is_safe and "cjson.safe" or "cjson", _VERSION = "2.1.0"}
  local function result(value, problem)
    if problem == nil then return value end
    if is_safe then return nil, problem end
    error(problem, 3)
  end
  function module.decode(text)
    local value, problem = json.decode(text)
    return result(value, problem)
  end
  function module.encode(value)
    local text, problem = json.encode(value)
    return result(text, problem)
  end
  for _, name in ipairs(SETTINGS) do
    module[name] = function() error(("cjson.%s is not in the testing kit"):format(name), 2) end
  end
  function module.new() return cjson.make(json, is_safe) end
  return module
end

return cjson
