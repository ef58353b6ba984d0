--- The open questions of handlers (ctx.ask), as the host has them, and what answers or cancels one. The page is told of them
--- whenever they change.

local host = require "molecule.emulator.host"
local json = require "molecule.json"
local changes = require "molecule.playground.changes"
local live = require "molecule.playground.live"
local shown = require "molecule.playground.shown"
local stream = require "molecule.playground.stream"
local summary = require "molecule.playground.summary"
local watch = require "molecule.emulator.watch"

local questions = {}

local SOON_MS, AGAIN_MS = 20, 1000
local TEXT_MAXIMUM = 500 -- bytes; the whole text is with its message
local NONE = "[]"

local item           -- what the page is told
local known = NONE   -- the same as JSON
local asking, outdated, planned = false, false, {} -- planned: by milliseconds

local function described(one)
  local text, cut = shown.cut(one.text, TEXT_MAXIMUM)
  return { code = one.code, text = text, cut = cut or nil, choices = one.choices, to = one.to,
    to_name = one.to ~= "canvas" and summary.name_of(one.to) or one.to, message = one.message, asked = one.asked,
    ["until"] = one["until"] }
end

local function take(list)
  local open = json.array {}
  for i, one in ipairs(list) do open[i] = described(one) end
  local text = assert(json.encode(open, { sort = true }))
  if text == known then return end
  known = text
  item = item or { kind = "questions", version = 0 }
  item.told = { kind = "questions", questions = open }
  changes.touch(item)
end

local look

local function plan(ms)
  if planned[ms] then return end
  planned[ms] = true
  host.after(ms, function()
    planned[ms] = nil
    look()
  end)
end

-- An operator may answer one while the worker is busy, so while some are open, or the host is not there, it is asked again.
function look()
  outdated = asking
  if asking then return end
  asking = true
  host.ask('{"do":"status"}', function(answer)
    local value = answer and json.decode(answer)
    local list = type(value) == "table" and type(value.status) == "table" and value.status.questions
    asking = false
    if list then take(list) end
    if outdated then return plan(SOON_MS) end
    if (not list or known ~= NONE) and stream.is_heard() then plan(AGAIN_MS) end
  end)
end

local CHANGES = { attempt = true, ended = true, later = true, finished = true }

local function hear(event)
  if event.what == "ctx.ask" or event.kind == "script" or event.kind == "host" or CHANGES[event.kind] and known ~= NONE then
    plan(SOON_MS)
  end
end

---A page begins to listen.
function questions.look()
  plan(SOON_MS)
end

---Items were forgotten; the questions are still open.
function questions.reset()
  item, known = nil, NONE
  plan(SOON_MS)
end

function questions.start()
  watch.add(hear)
end

---@param request Request
function questions.list(request)
  live.ask(request, { ["do"] = "status" }, function(answer)
    request:json(200, { questions = json.array(answer.status.questions) })
  end)
end

local function close(request, text)
  live.ask(request, { ["do"] = "answer", code = request.parameters.code, text = text }, function()
    plan(SOON_MS)
    request:json(200, { ok = true })
  end)
end

---@param request Request
function questions.answer(request)
  local given = request:object()
  local text = given and given.text
  if type(text) ~= "string" or not text:find "%S" then return request:json(400, { error = "text is needed: the answer" }) end
  close(request, text)
end

---@param request Request
function questions.cancel(request)
  close(request, nil)
end

return questions
