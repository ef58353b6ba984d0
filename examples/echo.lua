--- The smallest agent: says back what it hears.
--- molecule connect <workspace-id> --script examples/echo.lua
return function(msg)
  return "you said: " .. msg.text
end
