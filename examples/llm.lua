--- A language model with a role, plus commands of the script's. The model is behind any OpenAI-compatible endpoint; the
--- backend openai does the talking and remembers each conversation.
---
---   molecule connect <workspace-id> --script examples/llm.lua        with OPENAI_API_KEY in the environment
---   LLM_URL=http://localhost:11434/v1 LLM_MODEL=llama3.2 molecule connect <workspace-id> --script examples/llm.lua
---
--- Without a role and commands, no script is needed: --backend openai --backend-opt model=gpt-4o-mini
local molecule = require "molecule"

local model = require "molecule.backends.openai" {
  url = molecule.env("LLM_URL", "https://api.openai.com/v1"),
  model = molecule.env("LLM_MODEL", "gpt-4o-mini"),
  system = "You help the people of a small company. Be brief. Say so when you do not know.",
  history = 10,
  temperature = 0.3,
}

return {
  name = "assistant",
  description = "answers questions with a language model",
  concurrency = 8,

  handle = function(msg, ctx)
    if msg.text:match("^%s*/model%s*$") then
      return molecule.env("LLM_MODEL", "gpt-4o-mini")
    end
    return model.handle(msg, ctx) -- its answer, or a retry while the service is busy
  end,
}
