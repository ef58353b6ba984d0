--- A translator for other agents: an A2A server that shows the translation while the model writes it, and asks for the language
--- if the message does not name one.
---
---   molecule serve examples/translate.lua --no-auth --script-opt url=http://127.0.0.1:11434/v1 --script-opt model=small
---
---   a message:      to German: good morning
---   or:             good morning          (the task asks "Into which language?"; the answer is another message to it)
---
--- Works with molecule connect, too: there the translation comes as one reply.
local molecule = require "molecule"

local LANGUAGES = {"English", "French", "German", "Spanish"}

-- The pieces of what the model writes.
local function pieces(options, language, text)
  local events = molecule.http.sse {url = (options.url or "http://127.0.0.1:11434/v1") .. "/chat/completions", timeout = "5m",
    json = {model = options.model or "small", stream = true, messages = {
      {role = "system", content = ("Translate into %s. Answer with the translation alone."):format(language)},
      {role = "user", content = text}}}}
  return function()
    for event in events do
      if event.data == "[DONE]" then return nil end
      local choice = (molecule.json.decode(event.data) or {}).choices
      local piece = choice and choice[1] and choice[1].delta and choice[1].delta.content
      if type(piece) == "string" and piece ~= "" then return piece end
    end
  end
end

local function find_language(name)
  for _, language in ipairs(LANGUAGES) do
    if language:lower() == name:lower() then return language end
  end
end

return {
  name = "translator",
  description = "translates between " .. table.concat(LANGUAGES, ", "),
  skills = {{id = "translate", name = "Translate", description = "to German: good morning", tags = {"language"}}},
  concurrency = 8,
  handle = function(msg, ctx)
    local name, text = msg.text:match "^%s*[Tt]o (%a+):%s*(.*)$"
    local language = name and find_language(name)
    if name and not language then return molecule.reject(("I do not know %s."):format(name)) end
    text = text or msg.text
    if not text:find "%S" then return molecule.reject "There is nothing to translate." end
    if not language then
      local answer = ctx.ask("Into which language?", {choices = LANGUAGES, timeout = "1h"})
      if not answer then return molecule.reject "Nobody named a language." end
      language = answer.choice
    end
    local all = {}
    for piece in pieces(ctx.options, language, text) do
      all[#all + 1] = piece
      if msg.task then ctx.artifact {name = "draft", text = piece, append = true} end
    end
    if #all == 0 then error "the model has written nothing" end
    -- A handler that runs again does not repeat what it has said, but the model may: the draft is then part of one and the other.
    return {artifacts = {{name = "translation", text = table.concat(all), metadata = {language = language}}}}
  end,
}
