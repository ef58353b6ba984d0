-- The agent that the A2A conformance kit talks to (a2aproject/a2a-tck): the id of a message says what is to happen, in the kit's
-- words. See tests/a2a/tck.
local molecule = require "molecule"

local FILE = { kind = "file", file = { bytes = "b3V0cHV0", name = "output.txt", mimeType = "text/plain" } }

local function text(words)
  return { artifacts = { { name = "output", text = words } } }
end

local function parts(...)
  return { artifacts = { { name = "output", parts = { ... } } } }
end

local function stream(words)
  return function(_, ctx)
    ctx.artifact { name = "output", text = words, last = true }
  end
end

-- Longer prefixes come before those that they begin with.
local scenarios = {
  { "tck-complete-task", function() return { text = "Hello from TCK" } end },
  { "tck-artifact-text", function() return text "Generated text content" end },
  { "tck-artifact-file-url", function()
    return parts { kind = "file", file = { uri = "https://example.com/output.txt", name = "output.txt",
      mimeType = "text/plain" } }
  end },
  { "tck-artifact-file", function() return parts(FILE) end },
  { "tck-artifact-data", function() return parts { kind = "data", data = { key = "value", count = 42 } } end },
  { "tck-message-response", function() return { text = "Direct message response", as_message = true } end },
  { "tck-input-required", function(_, ctx)
    local answer = ctx.ask "What else?"
    return answer and answer.text or nil
  end },
  { "tck-reject-task", function() return molecule.reject "rejected" end },
  { "tck-stream-001", stream "Stream hello from TCK" },
  { "tck-stream-003", stream "Stream task lifecycle" },
  { "tck-stream-ordering-001", stream "Ordered output" },
  { "tck-stream-artifact-text", stream "Streamed text content" },
  { "tck-stream-artifact-file", function(_, ctx) ctx.artifact { name = "output", parts = { FILE }, last = true } end },
  { "tck-stream-artifact-chunked", function(_, ctx)
    ctx.artifact { name = "output", text = "chunk-1 " }
    ctx.artifact { name = "output", text = "chunk-2", append = true, last = true }
  end },
  { "test-resubscribe-message-id", function(_, ctx)
    ctx.progress "working"
    molecule.sleep(tonumber(ctx.options.pause) or 4)
  end },
}

return {
  name = "TCK agent",
  description = "does what the conformance kit asks for",
  concurrency = 16,
  finds_repeats = false, -- the kit uses the same messageId many times
  card = { form = "1.0" }, -- and knows nothing but the schema of 1.0
  skills = { { id = "tck", name = "TCK", description = "does what the conformance kit asks for", tags = { "test" } } },
  handle = function(msg, ctx)
    for _, scenario in ipairs(scenarios) do
      if msg.message_id and msg.message_id:sub(1, #scenario[1]) == scenario[1] then return scenario[2](msg, ctx) end
    end
    return "done"
  end,
}
