--- Asks two peers at once and merges their answers. One that does not answer in time, or fails, is named instead.
---
---   molecule connect <workspace-id> --script examples/fanout.lua --script-opt peers=<workspace id>,<workspace id>
local molecule = require "molecule"

local function peers_of(ctx)
  local list = {}
  for id in (ctx.options.peers or ""):gmatch "[^,%s]+" do list[#list + 1] = id end
  return list
end

local function names()
  local by_id = {}
  for _, peer in ipairs(molecule.peers() or {}) do by_id[peer.id] = peer.name end
  return by_id
end

--- What a peer said, as a paragraph.
local function ask(id, name, text)
  local answer, problem = molecule.send(id, text, {timeout = "45s"})
  if not answer then return ("**%s** could not be asked: %s"):format(name, problem) end
  if answer.queued then return ("**%s** has not answered yet."):format(name) end
  return ("**%s**: %s"):format(name, answer.text or "(no words)")
end

return {
  name = "fanout",
  description = "asks several agents and puts their answers together",

  start = function(ctx)
    if #peers_of(ctx) < 2 then error("fanout.lua needs --script-opt peers=<workspace id>,<workspace id>", 0) end
  end,

  handle = function(msg, ctx)
    local known = names()
    for _, id in ipairs(peers_of(ctx)) do
      if msg.from == id then return molecule.skip "one of those asked: it would hear its own question" end
    end
    local paragraphs = molecule.map(peers_of(ctx), function(id)
      ctx.progress(("asking %s"):format(known[id] or id))
      return ask(id, known[id] or id, msg.text)
    end)
    return table.concat(paragraphs, "\n\n")
  end,
}
