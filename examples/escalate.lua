--- Escalation to a human: what the agent knows it answers; every other question of a peer is shown in the canvas, and the
--- human's words go back to who asked. The next time the same question is known.
---
---   in the canvas:   answer 7F3K We open at nine.
---
---   molecule connect <workspace-id> --script examples/escalate.lua
local molecule = require "molecule"
local store = molecule.store

--- The same question, however it is spaced and punctuated.
local function key_of(question)
  return "known:" .. question:lower():gsub("%p", ""):gsub("%s+", " "):match("^ ?(.-) ?$"):sub(1, 400)
end

local function code_of(id)
  return id:gsub("%-", ""):sub(1, 4):upper()
end

local function pass_on(msg)
  local code = code_of(msg.id)
  store.set("open:" .. code, {question = msg.text, from = msg.from}, {ttl = "7d"})
  molecule.notify(("%s asks: %s\nAnswer with `answer %s …`"):format(msg.peer.name or msg.from, msg.text, code))
  return "I have passed this on to a human, and will come back to you."
end

local function answer(code, text)
  local key = "open:" .. code:upper()
  local open = store.get(key)
  if not open then return ("No question is open under %s."):format(code:upper()) end
  local sent, problem = molecule.send(open.from, text, {timeout = 0})
  if not sent then return ("The answer could not be sent: %s"):format(problem) end
  store.set(key_of(open.question), text)
  store.delete(key)
  return "Sent, and remembered."
end

return {
  name = "escalate",
  description = "answers what it knows, and asks a human about the rest",

  handle = function(msg)
    if msg.from ~= "canvas" then return store.get(key_of(msg.text)) or pass_on(msg) end
    local code, text = msg.text:match "^[Aa]nswer (%w+)%s+(.+)$"
    if code then return answer(code, text) end
    local open = store.keys "open:"
    return #open == 0 and "No question is open." or ("%d questions are open."):format(#open)
  end,
}
