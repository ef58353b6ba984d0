--- The tables of options that functions of the API take.
local core = require "molecule.core"
local misuse = require "molecule.misuse"

--- A copy of the options, or an empty table; a mistake in them is an error at the script's line.
---@param what string the function's name, for errors
---@param given table?
---@param known table<string, string> name -> its type: of Lua's, "any", or "duration", which becomes a number of seconds
---@return table
return function(what, given, known)
  if given == nil then return {} end
  if type(given) ~= "table" then misuse(("%s: options must be a table, not a %s"):format(what, type(given))) end
  local options = {}
  for name, value in pairs(given) do
    local wanted = known[name]
    if not wanted then
      local names = {}
      for word in pairs(known) do names[#names + 1] = word end
      table.sort(names)
      core.refuse_field(what, name, names)
    elseif wanted == "duration" then
      options[name] = core.seconds(value) or misuse(
        ("%s: %s must be a number of seconds or a duration like \"10s\" or \"5m\", not %s"):format(what, name,
          type(value) == "string" and ("%q"):format(value) or "a " .. type(value)))
    elseif wanted ~= "any" and type(value) ~= wanted then
      misuse(("%s: %s must be a %s, not a %s"):format(what, name, wanted, type(value)))
    else
      options[name] = value
    end
  end
  return options
end
