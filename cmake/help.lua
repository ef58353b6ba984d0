--- What the program prints with --help, taken apart. For cmake/option-reference and cmake/manual-pages.
local help = {}

local COLUMN = 26 -- of what an option does

---@return string text that `BINARY COMMAND --help` prints
function help.of(binary, command, fail)
  local pipe = assert(io.popen(("'%s' %s --help"):format(binary:gsub("'", "'\\''"), command)))
  local text = pipe:read "a"
  if not pipe:close() then fail("%s %s --help failed", binary, command) end
  return text
end

--- "help text [default] ($VARIABLE)" -> its three parts
local function split(text)
  local variable, default
  text = text:gsub(" %(%$([%u_]+)%)$", function(found) variable = found return "" end)
  text = text:gsub(" (%b[])$", function(found) default = found:sub(2, -2) return "" end)
  return text, default, variable
end

--- The command's options, in order: {shown =, words = all of its text, about =, default =, variable =}
function help.options(text)
  local list, current = {}, nil
  for line in (text:match "\nOptions:\n(.-)\n\n" or text:match "\nOptions:\n(.*)$" or ""):gmatch "[^\n]+" do
    local shown, rest = line:match "^  (%-%S.-)  +(.*)$"
    shown = shown or line:match "^  (%-%S.*)$"
    if shown then
      current = {shown = shown, words = rest}
      list[#list + 1] = current
    else
      current.words = (current.words and current.words .. " " or "") .. line:sub(COLUMN + 1)
    end
  end
  for _, option in ipairs(list) do option.about, option.default, option.variable = split(option.words) end
  return list
end

--- The commands, in order: {name =, about =, group = the heading above it}
function help.commands(text)
  local list, group = {}, nil
  for line in text:gmatch "[^\n]+" do
    local name, about = line:match "^  (%l+) +(.*)$"
    if name then list[#list + 1] = {name = name, about = about, group = group} end
    group = line:match "^(%u.*):$" or group
  end
  return list
end

return help
