--- A language model that may use tools: it is told which there are, asks for one, gets its result, and answers in the end.
--- Any service with OpenAI's chat completions will do.
---
---   molecule connect <workspace-id> --script examples/tools.lua      with OPENAI_API_KEY in the environment
---   LLM_URL=http://localhost:11434/v1 LLM_MODEL=llama3.2 molecule connect <workspace-id> --script examples/tools.lua
local molecule = require "molecule"

local URL = molecule.env("LLM_URL", "https://api.openai.com/v1")
local MODEL = molecule.env("LLM_MODEL", "gpt-4o-mini")
local KEY = molecule.env("OPENAI_API_KEY", "")
local ROUNDS = 5 -- requests to the model for one message

--- name -> {about, parameters (JSON Schema), run(arguments) -> text}
local tools = {
  disk = {
    about = "How full the disks of this machine are.",
    parameters = {type = "object", properties = {path = {type = "string", description = "a directory; default: all disks"}}},
    run = function(arguments)
      local path = type(arguments.path) == "string" and arguments.path:find "^/" and arguments.path or nil
      local result, problem = molecule.exec {argv = {"df", "-h", path}, timeout = "10s"}
      return result and result.stdout .. result.stderr or problem
    end,
  },
  note = {
    about = "Keeps a sentence for later, or returns those kept so far.",
    parameters = {type = "object", properties = {text = {type = "string", description = "what to keep; leave out to read"}}},
    run = function(arguments)
      if type(arguments.text) == "string" then molecule.store.append("notes", arguments.text, {max = 50}) end
      return table.concat(molecule.store.get "notes" or {"nothing so far"}, "\n")
    end,
  },
}

local function describe_tools()
  local list = molecule.array {}
  for name, tool in pairs(tools) do
    list[#list + 1] = {type = "function", ["function"] = {name = name, description = tool.about, parameters = tool.parameters}}
  end
  table.sort(list, function(a, b) return a["function"].name < b["function"].name end)
  return list
end

--- The text for the model; a tool that fails says so, and the model carries on.
local function use(call)
  local asked = call["function"]
  local tool = tools[asked.name]
  if not tool then return "there is no tool " .. tostring(asked.name) end
  local arguments = molecule.json.decode(asked.arguments or "{}")
  if type(arguments) ~= "table" then return "the arguments are not a JSON object" end
  local fine, text = pcall(tool.run, arguments)
  molecule.log.info("tool %s: %s", asked.name, fine and "done" or text)
  return fine and text or "it failed: " .. tostring(text)
end

local function ask(messages)
  local answer, problem, code = molecule.http.post(URL .. "/chat/completions", {
    headers = {Authorization = "Bearer " .. KEY},
    json = {model = MODEL, messages = messages, tools = describe_tools()},
    timeout = "2m",
  })
  if not answer then return nil, molecule.retry {after = 5, hold = true, reason = ("%s [%s]"):format(problem, code)} end
  if answer.status == 429 or answer.status >= 500 then
    return nil, molecule.retry {after = tonumber(answer.headers["retry-after"]) or 10, hold = true,
      reason = "the model answered " .. answer.status}
  end
  local value = answer:json()
  local choice = type(value) == "table" and type(value.choices) == "table" and value.choices[1]
  if answer.status ~= 200 or not choice then
    return nil, molecule.dead(("the model answered %d: %s"):format(answer.status, answer.body:sub(1, 300)))
  end
  return choice.message
end

return {
  name = "tools",
  description = "a language model that may look at this machine",
  concurrency = 4,

  handle = function(msg, ctx)
    local messages = molecule.array {
      {role = "system", content = "You help an operator. Use the tools where they help. Be brief."},
      {role = "user", content = msg.text},
    }
    for _ = 1, ROUNDS do
      local said, verdict = ask(messages)
      if not said then return verdict end
      if type(said.tool_calls) ~= "table" or #said.tool_calls == 0 then return said.content end
      messages[#messages + 1] = said
      for _, call in ipairs(said.tool_calls) do
        ctx.progress("looking at " .. tostring(call["function"].name))
        messages[#messages + 1] = {role = "tool", tool_call_id = call.id, content = use(call)}
      end
    end
    return ("The model wanted more than %d rounds of tools."):format(ROUNDS)
  end,
}
