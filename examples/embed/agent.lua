return function(msg) return "embedded: " .. msg.text end
