--- How busted tells tests/support/specs.lua what became of each test: a line of JSON each, into the file named with
--- -Xoutput. What the tests print themselves stays on standard output.

local cjson = require "cjson"

return function(options)
  local busted = require "busted"
  local handler = require "busted.outputHandlers.base" ()
  local out = assert(io.open(options.arguments[1], "w"))

  local function tell(result, formatted, seconds)
    local message = formatted.message
    if type(message) == "table" then message = message.message or require("pl.pretty").write(message) end
    local at = formatted.element and formatted.element.trace or formatted.trace
    out:write(cjson.encode { result = result, name = formatted.name or "?", seconds = seconds or 0,
      file = at and at.short_src or "?", line = at and at.currentline or 0,
      message = message and tostring(message) or nil }, "\n")
    out:flush()
  end

  local function last(list) return list[#list] end

  busted.subscribe({ "test", "end" }, function(element, _, status)
    local seconds = element.duration
    if status == "success" then tell("passed", last(handler.successes), seconds)
    elseif status == "pending" then tell("skipped", last(handler.pendings), seconds)
    elseif status == "failure" then tell("failed", last(handler.failures), seconds)
    else tell("failed", last(handler.errors), seconds) end
    return nil, true
  end)

  -- outside of a test: a file that does not load, a setup or a teardown that fails
  local function outside(element)
    if element.descriptor ~= "it" then tell("failed", last(handler.errors)) end
    return nil, true
  end
  busted.subscribe({ "error" }, outside)
  busted.subscribe({ "failure" }, outside)

  return handler
end
