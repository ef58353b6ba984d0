--- claude-code: runs `<bin> -p <args>` for each message: text on standard input, standard output is the reply.
-- Options: bin (claude), args (none; split at blanks, quotes keep blanks), timeout (5m), pass_meta (true).
local backend = require "molecule.backend"
local command = require "molecule.command"

--- Splits as a shell would, without expanding anything.
local function split(text)
  local words, word, quote = {}, nil, nil
  for character in text:gmatch(".") do
    if quote then
      if character == quote then quote = nil else word = word .. character end
    elseif character == '"' or character == "'" then
      quote, word = character, word or ""
    elseif character:match("%s") then
      words[#words + 1], word = word, nil
    else
      word = (word or "") .. character
    end
  end
  if quote then error("backend claude-code: option args has an unclosed " .. quote, 0) end
  words[#words + 1] = word
  return words
end

return function(given)
  local options = backend.options("claude-code", given,
    {bin = "claude", args = "", timeout = "5m", pass_meta = "true"})
  local pass_meta = backend.boolean("claude-code", "pass_meta", options.pass_meta)
  local timeout = backend.duration("claude-code", "timeout", options.timeout)
  local argv = {options.bin, "-p", table.unpack(split(options.args))}
  return {
    name = "claude-code",
    description = "answers with Claude Code",
    concurrency = 8,
    handle = function(msg, ctx)
      local output = command.run(options.bin, {
        argv = argv,
        stdin = msg.text,
        timeout = timeout,
        env = pass_meta and command.meta(msg, ctx) or nil,
      })
      return (output:gsub("%s+$", ""))
    end,
  }
end
