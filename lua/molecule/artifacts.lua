--- ctx.artifact: pieces of a task's result, for A2A clients (molecule serve).
local core = require "molecule.core"
local json = require "molecule.json"
local misuse = require "molecule.misuse"
local check_options = require "molecule.options"

local artifacts = {}

--- Adds a piece of the result to the message's task: {name=, text= or parts=, append=, last=, description=, metadata=}.
function artifacts.artifact(piece)
  piece = check_options("ctx.artifact", piece, {
    name = "string", text = "string", parts = "table", append = "boolean", last = "boolean", description = "string",
    metadata = "table",
  })
  if (piece.text == nil) == (piece.parts == nil) then misuse "ctx.artifact: give either `text` or `parts`" end
  if piece.text == "" then return nil, "ctx.artifact: the text is empty", "EMPTY" end
  local text, problem = json.encode(piece)
  if not text then return nil, "ctx.artifact: " .. problem, "BAD_PARTS" end
  return core.artifact(text)
end

artifacts.artifact = core.public(artifacts.artifact)

return artifacts
