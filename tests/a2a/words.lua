--- What server_1.py and server_03.py do, as a script for `molecule serve`: the first word of a message says what it does.
local molecule = require "molecule"

local words = {}

local function describe(parts)
  local list = {}
  for _, part in ipairs(parts) do
    if part.file then
      local file = part.file
      local content = file.bytes and require "molecule.core".base64_decode(file.bytes) or file.uri
      list[#list + 1] = ("%s:%s:%s"):format(file.name, file.mimeType, content)
    else
      list[#list + 1] = part.text or ("[('k', '%s')]"):format(part.data.k)
    end
  end
  return table.concat(list, " | ")
end

function words.ask(_, ctx)
  local answer = assert(ctx.ask "Which color?")
  return "it is " .. answer.text
end

function words.pieces(_, ctx)
  assert(ctx.progress "writing")
  for number, text in ipairs {"roses ", "are ", "red"} do
    assert(ctx.artifact {name = "poem", text = text, append = number > 1, last = number == 3})
  end
end

function words.file() return {files = {{name = "a.bin", mime_type = "application/x-a", data = "bytes\0\xFF"}}} end

function words.fail() return molecule.dead "it broke" end

function words.slow() molecule.sleep(3600) end

return {name = "words", description = "does what the first word says", concurrency = 8, handle = function(msg, ctx)
  local word = words[msg.text:match "^%S*"]
  if word then return word(msg, ctx) end
  return describe(msg.parts)
end}
