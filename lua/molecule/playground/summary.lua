--- What the page is told of an item of the session: a summary with the stream, everything on request.

local json = require "molecule.json"
local shown = require "molecule.playground.shown"
local store = require "molecule.emulator.store"

local summary = {}

local TEXT_MAXIMUM = 2000

---@param id string?
---@return string? name of the workspace, or its id
function summary.name_of(id)
  local workspace = id and store.find(id)
  return workspace and workspace.name ~= workspace.id and workspace.name or id
end

local name_of = summary.name_of

---Those that may speak to the workspace.
---@param own string its id
---@return table[]
function summary.peers(own)
  local list = json.array {}
  for _, workspace in ipairs(store.order) do
    if workspace.id ~= own and workspace.id ~= store.parent_id and workspace.status ~= "removed" then
      list[#list + 1] = { id = workspace.id, name = name_of(workspace.id) }
    end
  end
  return list
end

-- The code of the question that the agent asks with it.
local function question_in(text)
  return text:match "%(Question (%w%w%w%w)[%).]"
end

-- A handler that was asleep continues: that is no other attempt.
local function count_attempts(item)
  local count = #item.attempts
  for i = 1, #item.attempts - 1 do
    if item.attempts[i].outcome == "asleep" then count = count - 1 end
  end
  return count
end

local function summary_of_reply(one)
  if not one then return nil end
  local text, cut = shown.cut(one.text, TEXT_MAXIMUM)
  return { text = text, cut = cut or nil, files = shown.files(one.files), times = one.times, question = question_in(one.text) }
end

---What the page keeps of a message or of what the agent said: no envelope, no log, and only the beginning of a long text.
---@param item Item
---@return table
function summary.item(item)
  local text, cut = shown.cut(item.text, TEXT_MAXIMUM)
  local result = { kind = item.kind, n = item.n, id = item.id, at = item.us // 1000, state = item.state, text = text,
    cut = cut or nil, level = item.level, from = item.from, from_name = name_of(item.from), to = item.to,
    to_name = name_of(item.to), claimed = item.claimed, client = item.client }
  if item.kind == "log" then return result end
  result.files = shown.files(item.files)
  if item.kind == "said" then
    result.question = question_in(item.text)
    return result
  end
  local interim = json.array {}
  for i, said in ipairs(item.interim) do interim[i] = summary_of_reply(said) end
  result.outcome, result.reason, result.again_at, result.took_ms = item.outcome, item.reason, item.again_at, item.took_ms
  result.place, result.reply, result.interim = item.place, summary_of_reply(item.reply), interim
  result.attempts, result.posts = count_attempts(item), #item.posts
  result.again_of, result.edited, result.dropped = item.again_of, item.edited, item.dropped
  return result
end

---Everything about a message.
---@param item Item
---@return table
function summary.detail(item)
  local row = item.row and json.decode(item.row.text) or {}
  local result = summary.item(item)
  result.text, result.cut = item.text, nil
  if item.reply then
    result.reply.text, result.reply.cut = item.reply.text, nil
  end
  result.envelope = row.request_body
  row.request_body = nil
  result.row = item.row and row or nil
  result.attempts, result.asked, result.posts = json.array(item.attempts), json.array(item.asked), json.array(item.posts)
  return result
end

return summary
