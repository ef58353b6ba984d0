--- `molecule test`: busted inside the program. The words of the command line are in `arg`.

local NOT_INSTALLED = [[
molecule test: busted is not installed; on Debian and Ubuntu:
  apt-get install lua-busted
elsewhere: luarocks install busted, for Lua 5.4
]]
local NO_SPECS = "molecule test: there is no *_spec.lua in this directory, in spec/ or in tests/; name a file or a folder\n"

-- Options of busted whose value is the next word.
local TAKES = {}
for name in ([[-p --pattern --exclude-pattern -e -o --output -C --directory -f --config-file --coverage-config-file -t --tags
  --exclude-tags --filter --filter-out -m --lpath --cpath -r --run --repeat --seed --lang --loaders --helper --lua -Xoutput
  -Xhelper]]):gmatch("%S+") do TAKES[name] = true end

local function leave(code, text)
  io.stderr:write(text)
  os.exit(code, true)
end

local function names_path(words)
  local skip = false
  for _, word in ipairs(words) do
    if not skip and word:sub(1, 1) ~= "-" then return true end
    skip = not skip and TAKES[word] or false
  end
  return false
end

local function has(words, wanted)
  for _, word in ipairs(words) do
    if word == wanted or word:sub(1, #wanted + 1) == wanted .. "=" then return true end
  end
  return false
end

-- What is there of the usual places.
local function find_specs(path)
  local found = {}
  for name in path.dir(".") do
    if name:find("_spec%.lua$") and path.isfile(name) then found[#found + 1] = name end
  end
  for _, folder in ipairs {"spec", "tests"} do
    if path.isdir(folder) then found[#found + 1] = folder end
  end
  table.sort(found)
  return found
end

local has_busted, runner = pcall(require, "busted.runner")
if not has_busted then leave(1, NOT_INSTALLED) end

package.preload.cjson = function() return require("molecule.testing.cjson").make(require "molecule.json") end
package.preload["cjson.safe"] = function() return require("molecule.testing.cjson").make(require "molecule.json", true) end

local path = require "pl.path"
local elsewhere = has(arg, "-C") or has(arg, "--directory") or has(arg, "--version") or path.isfile ".busted"
if not names_path(arg) and not elsewhere then
  local specs = find_specs(path)
  if #specs == 0 then leave(2, NO_SPECS) end
  table.move(specs, 1, #specs, #arg + 1, arg)
end
if not has(arg, "--ignore-lua") then table.insert(arg, 1, "--ignore-lua") end -- a .busted file may name an interpreter
runner {standalone = false}
