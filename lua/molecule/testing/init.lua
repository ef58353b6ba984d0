--- molecule.testing: scripts in tests, without a host, a platform or a network. See docs/testing.md.
---
---   local t = require "molecule.testing"
---   local a = t.agent("agent.lua", {options = {city = "Oslo"}})
---   a:http("GET", "https://weather.example.com/*", {json = {degrees = 3}})
---   assert.replied(a:send {text = "weather"}, "3 degrees in Oslo")
---
--- The API's Lua files (lua/molecule/*.lua) are those of the program; what it does in C is done here in Lua, over stubs and a
--- clock that the test moves. tests/e2e/testing_kit_spec.lua sends the same messages through both.

local agent = require "molecule.testing.agent"
local assertions = require "molecule.testing.assertions"
local clock = require "molecule.testing.clock"

local testing = {}

-- The program's own, or the one in Lua.
local json = package.preload["molecule.json"] and require "molecule.json" or require "molecule.testing.json"

testing.json = json
testing.clock = clock.new()

local agents = {}

-- As the working directory has it, or else beside the spec.
local function find(path, level)
  local file = io.open(path, "rb")
  local folder = debug.getinfo(level + 1, "S").source:match("^@(.*/)")
  if file or path:sub(1, 1) == "/" or not folder then
    if file then file:close() end
    return path
  end
  file = io.open(folder .. path, "rb")
  if not file then return path end
  file:close()
  return folder .. path
end

--- Loads a script and calls its `start`.
---@param path string from the working directory, or from where the spec is
---@param options {options: table?, env: table?, store: table?, source: string?, workspace: string?, timeout: any,
---  max_attempts: integer?, error_reply: string?, reply_ttl: any, concurrency: integer?}? source: the script's text instead of
---  the file's
---@return TestAgent
function testing.agent(path, options)
  if type(path) ~= "string" then error("agent takes the path of a script", 2) end
  local one = agent.new({clock = testing.clock, json = json, version = testing.version}, find(path, 2),
    options)
  agents[#agents + 1] = one
  return one
end

--- Ends every agent, and with them their timers; for after_each.
function testing.reset()
  for _, one in ipairs(agents) do one:close() end
  agents = {}
end

-- What was not stubbed while the clock moved.
testing.clock.passed = function()
  for _, one in ipairs(agents) do one:check(3) end
end

testing.version = package.preload["molecule.testing.version_text"] and require "molecule.testing.version_text" or "0.1.0"

assertions.install()

return testing
