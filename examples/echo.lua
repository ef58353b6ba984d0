--- The smallest agent: says back what it hears.
return function(msg)
  return "you said: " .. msg.text
end
