--- mock: answers every message with a template. Option `reply` (default "echo: %s"): each %s becomes the text.
local backend = require "molecule.backend"

return function(given)
  local options = backend.options("mock", given, {reply = "echo: %s"})
  return {
    name = "mock",
    description = "answers with a template",
    handle = function(msg)
      return (options.reply:gsub("%%s", function() return backend.text(msg) end))
    end,
  }
end
