--- C libraries that are put in front of the host's own, to give it another clock, resolver or file system.
local emulator = require "tests.support.emulator"

local preload = {}

local function run(command)
  local pipe = assert(io.popen(command .. " 2>&1"))
  local output = pipe:read "a"
  return pipe:close(), output
end

---Builds a C file and gives the value of LD_PRELOAD: a sanitizer's library must come first.
---@param source string "tests/fault/shim.c"
---@param directory string where the library goes
---@return string
function preload.build(source, directory)
  local library = directory .. "/preloaded.so"
  local built, problem = run(("cc -shared -fPIC -O1 -o '%s' %s -ldl"):format(library, source))
  assert(built, problem)
  local _, libraries = run("ldd " .. emulator.binary())
  local sanitizer = libraries:match "=> (%S*lib[at]san%S*)"
  return (sanitizer and sanitizer .. ":" or "") .. library
end

return preload
