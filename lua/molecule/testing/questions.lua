--- Questions of handlers under test: the host's side of lua/molecule/questions.lua, as src/messages/questions.c has it. They
--- are the agent's, and last over a.restart and a.reload.

local message = require "molecule.testing.message"
local question_words = require "molecule.testing.question_words"
local words = require "molecule.testing.words"

local questions = {}

local CANVAS, OPERATOR = "canvas", "operator"
local CANCELED = {problem = "it was canceled by the operator", code = "CANCELLED"}

local function is_same(one, other)
  return one == other or one ~= nil and other ~= nil and one:lower() == other:lower()
end

-- Who sent a message, and what a reply to it would name. `sender` is nil for the canvas; `nobody`: no reply is possible.
local function origin(agent, row)
  if row.run then return {nobody = true, id = row.id, hops = 0} end
  local msg = message.read(agent, row)
  local mark = msg.metadata and msg.metadata.molecule
  local nobody = msg.method == "delegate_result"
  return {nobody = nobody, sender = not nobody and row.from ~= CANVAS and row.from or nil, id = msg.message_id or row.id,
    context_id = msg.context_id, hops = mark and mark.hops or 0, msg = msg}
end

local function record(agent, question, ending, kind, value)
  table.insert(question.entry.steps, {question.key .. ending, kind, "", assert(agent.json.encode(value, {sort = true})),
    math.floor(agent.clock:now() * 1000)})
end

-- --- those that are open ---

--- nil: it has its answer.
function questions.find(agent, entry, key)
  for _, one in ipairs(agent.asked) do
    if one.entry == entry and one.key == key then return one end
  end
end

local function find_code(agent, code)
  for _, one in ipairs(agent.asked) do
    if is_same(one.code, code) then return one end
  end
end

local function find_of(agent, peer)
  for _, one in ipairs(agent.asked) do
    if is_same(one.peer, peer) and not one.task then return one end
  end
end

local function in_canvas(agent)
  local list = {}
  for _, one in ipairs(agent.asked) do
    if not one.peer then list[#list + 1] = one end
  end
  return list
end

local function remove(list, value)
  for i, one in ipairs(list) do
    if one == value then return table.remove(list, i) end
  end
end

local function drop(agent, question)
  remove(agent.asked, question)
  remove(agent.questions, question.shown)
  remove(question.entry.result.questions, question.shown)
end

-- A peer is asked one question at a time.
local function wake_next(agent, peer)
  local one = peer and find_of(agent, peer)
  if one and not one.deadline_ms then agent:wake(one.entry) end
end

local function open(agent, entry, key, spec)
  local from = origin(agent, entry.row)
  local peer = spec.peer ~= CANVAS and spec.peer or nil
  agent.question_count = agent.question_count + 1
  local question = {entry = entry, key = key, code = question_words.code(agent.question_count), peer = peer, text = spec.text,
    choices = spec.choices, task = peer and is_same(peer, from.sender) and entry.row.task or nil,
    to_sender = not from.nobody and is_same(peer, from.sender), context_id = from.context_id,
    message_id = words.uuid(), timeout_ms = spec.timeout_ms, asked_ms = math.floor(agent.clock:now() * 1000)}
  question.announcement = question_words.announce(spec.text, spec.choices, not peer and question.code or nil, in_canvas(agent))
  question.shown = {code = question.code, text = spec.text, to = peer or CANVAS,
    choices = spec.choices and {table.unpack(spec.choices)} or nil}
  for _, list in ipairs {agent.questions, entry.result.questions} do list[#list + 1] = question.shown end
  table.insert(agent.asked, question)
  entry.failures = 0
  return question
end

local function describe(question)
  local value = {}
  for _, name in ipairs {"code", "peer", "to_sender", "context_id", "text", "choices", "message_id", "asked_ms", "timeout_ms",
    "announcement"} do
    value[name] = question[name]
  end
  return value
end

--- It has its answer, or the problem that stands in its place: its handler runs again.
---@param value {text: string?, choice: string?, from: string?, files: table?, problem: string?, code: string?}
function questions.close(agent, question, value)
  record(agent, question, "/answer", "answer", value)
  drop(agent, question)
  agent:wake(question.entry)
  wake_next(agent, question.peer)
  agent:pump()
end

--- The message is over: what it asked can no longer be answered. If it is handled again, it asks again.
function questions.forget(agent, entry)
  local lost = {}
  for i = #agent.asked, 1, -1 do
    local one = agent.asked[i]
    if one.entry == entry then
      lost[one.key], lost[one.key .. "/posted"] = true, true
      drop(agent, one)
      wake_next(agent, one.peer)
    end
  end
  for i = #(entry.steps or {}), 1, -1 do
    if lost[entry.steps[i][1]] then table.remove(entry.steps, i) end
  end
end

-- --- what handlers ask ---

local function find_peer(agent, id)
  for known in pairs(agent.peers) do
    if is_same(known, id) then return known end
  end
end

-- To a peer: a stub may answer at once; one that is not stubbed has it in its inbox.
local function post(agent, question, peer, text, context_id, reply_to)
  local said = {message_id = question.message_id, context_id = context_id, in_reply_to = reply_to}
  agent:note("sent", {to = peer, text = text, message_id = said.message_id, context_id = context_id, in_reply_to = reply_to})
  local known = not question.task and find_peer(agent, peer)
  if not known then return {queued = true, id = said.message_id} end
  local answer, problem, code = agent.stubs:answer_peer("ask", known, text, said)
  if answer == nil and problem then return nil, "molecule.send: " .. problem, code or "PEER" end
  if answer == nil then return {queued = true, id = said.message_id} end
  return type(answer) == "table" and answer or {text = answer}
end

---@param api table molecule.core
---@param version table
function questions.add(api, version)
  local agent = version.agent
  local json = agent.json
  local function here(key)
    local entry = api.check_await("ctx.ask").entry
    return questions.find(agent, entry, key), entry
  end
  function api.ask_open(key, spec)
    local question, entry = here(key)
    if not question and spec then
      question = open(agent, entry, key, json.decode(spec))
      record(agent, question, "", "ask", describe(question))
    end
    if not question then return json.null end
    local value = describe(question)
    value.may_post = not question.peer or question.task ~= nil or find_of(agent, question.peer) == question
    return value
  end
  function api.ask_posted(key, task_id)
    local question = here(key)
    if not question then return json.null end
    question.deadline_ms = math.floor(agent.clock:now() * 1000) + question.timeout_ms
    question.task_id, question.shown["until"] = task_id, question.deadline_ms / 1000
    record(agent, question, "/posted", "posted", {deadline_ms = question.deadline_ms, task_id = task_id})
    return question.deadline_ms
  end
  function api.ask_close(key, text, how)
    local question = here(key)
    if not question then return true end
    if how ~= "ANSWER" then
      questions.close(agent, question, {problem = text, code = how})
      return true
    end
    local given = json.decode(text).text
    local choice = question.choices and question_words.choice(question.choices, given)
    if question.choices and not choice then return false end
    questions.close(agent, question, {text = given, choice = choice, from = question.peer})
    return true
  end
  function api.ask_post(_, purpose, text, peer, context_id, reply_to)
    if not peer then return api.notify(text) end
    return post(agent, here(purpose:match("^/question(.*)/%w+$")), peer, text, context_id, reply_to)
  end
  function api.ask_sender()
    local from = origin(agent, version.running.entry.row)
    return from.sender, from.id, from.context_id, from.hops
  end
  function api.reply_to() end -- a result does not say which message its reply names
end

-- --- answers ---

local function has_its_context(question, msg)
  return not question.to_sender or is_same(question.context_id, msg.context_id)
end

local function match_peer(agent, from, msg)
  for _, one in ipairs(agent.asked) do
    local is_named = msg.in_reply_to and is_same(one.message_id, msg.in_reply_to)
      or msg.task_id and is_same(one.task_id, msg.task_id)
    if one.peer and not one.task and is_same(one.peer, from) and is_named then return one end
  end
  local first = not msg.in_reply_to and find_of(agent, from)
  return first and has_its_context(first, msg) and first or nil
end

-- Of several whose code the answer does not begin with, none is meant.
local function which(list)
  local is_hinted = true
  for _, one in ipairs(list) do is_hinted, one.hinted = is_hinted and one.hinted, true end
  return not is_hinted and question_words.which(list) or nil
end

-- question, text; or nil, nil, a hint
local function match_canvas(agent, msg)
  local list, candidate = in_canvas(agent), nil
  for _, one in ipairs(list) do
    local text = question_words.after_code(msg.text, one.code)
    if text then return one, text end
    if has_its_context(one, msg) then candidate = one end
  end
  if not candidate or #list == 1 then return candidate, msg.text end
  return nil, nil, which(list)
end

-- A message to a task answers what it asks, whatever that is.
local function match_task(agent, task, msg)
  for _, one in ipairs(agent.asked) do
    if one.task and one.task.id == task.continues and one.task.principal == task.principal then return one, msg.text end
  end
  error(("send: no task %q of %s waits for a message; it has ended, or does not exist"):format(task.continues, task.principal), 5)
end

-- What is recorded of an answer.
local function value_of(from, text, choice)
  local msg = from.msg
  return {text = text, choice = choice, from = from.sender or CANVAS, files = #msg.files > 0 and msg.files or nil,
    message_id = from.sender and msg.message_id or nil, hops = from.hops}
end

--- Which question a message answers, and with what; or nil, nil and what its sender is told instead, if anything.
---@return table? question, table? value, string? hint
function questions.match(agent, row)
  if row.task and not row.task.continues then return nil end
  local from = (row.task or #agent.asked > 0) and origin(agent, row)
  if not from or from.nobody then return nil end
  local question, text, hint
  if row.task then
    question, text = match_task(agent, row.task, from.msg)
  elseif from.sender then
    question, text = match_peer(agent, from.sender, from.msg), from.msg.text
  else
    question, text, hint = match_canvas(agent, from.msg)
  end
  if not question then return nil, nil, hint end
  if not question.choices then return question, value_of(from, text) end
  local choice = question_words.choice(question.choices, text)
  if choice then return question, value_of(from, text, choice) end
  hint, question.hinted = (row.task or not question.hinted) and question_words.hint(question.choices) or nil, true
  return nil, nil, hint
end

-- --- what a test answers ---

local function list_open(agent)
  local lines = {}
  for i, one in ipairs(agent.questions) do
    lines[i] = ("\n  %s to %s: %s"):format(one.code, one.to == CANVAS and "the canvas" or one.to, one.text)
  end
  return #lines > 0 and "; open are:" .. table.concat(lines) or "; none is"
end

-- The one that is meant; raises which there are. `text` may begin with its code.
local function choose(agent, what, code, from, text)
  local list, of_one_peer = {}, true
  if code then
    local question = find_code(agent, code)
    if not question then error(("%s: no question with the code %q is open%s"):format(what, code, list_open(agent)), 4) end
    if from and from ~= OPERATOR and not is_same(from, question.peer or CANVAS) then
      error(("%s: question %s is not for %q to answer%s"):format(what, question.code, from, list_open(agent)), 4)
    end
    return question
  end
  for _, one in ipairs(agent.asked) do
    if not from or from == OPERATOR or is_same(from, one.peer or CANVAS) then list[#list + 1] = one end
  end
  for _, one in ipairs(list) do
    if text and not one.peer and question_words.after_code(text, one.code) then return one end
    of_one_peer = of_one_peer and one.peer and not one.task and is_same(one.peer, list[1].peer)
  end
  if #list == 1 or #list > 1 and of_one_peer then return list[1] end
  error(("%s: %s%s"):format(what, #list > 0 and "several questions are open, so name one by its code"
    or from and ("no question that %q may answer is open"):format(from) or "no question is open",
    #agent.asked > 0 and list_open(agent) or ""), 4)
end

local function check(what, given, known)
  for name in pairs(given) do
    if not known[name] then
      local names = {}
      for word in pairs(known) do names[#names + 1] = word end
      local best = words.nearest(tostring(name), names)
      error(("%s: unknown field '%s'%s"):format(what, tostring(name), best and ("; did you mean '%s'?"):format(best) or ""), 4)
    end
  end
  return given
end

--- Which question a test answers, and with what; raises why it is none.
---@param given string|{text: string, files: table?}
---@param options {code: string?, from: string?}?
---@return table question, table value
function questions.answered(agent, given, options)
  options = check("answer", options or {}, {code = true, from = true})
  if type(given) == "string" then given = {text = given} end
  if type(given) ~= "table" then error(("answer takes a text or a table, not a %s"):format(type(given)), 3) end
  check("answer", given, {text = true, files = true})
  local text = given.text or ""
  local question = choose(agent, "answer", options.code, options.from, text)
  local is_operator = options.from == OPERATOR
  if not question.peer and not is_operator then text = question_words.after_code(text, question.code) or text end
  local choice = question.choices and question_words.choice(question.choices, text)
  if question.choices and not choice then
    error(("answer: %q is none of the choices: %s"):format(text, question_words.hint(question.choices)), 3)
  end
  if is_operator then return question, {text = text, choice = choice, from = OPERATOR} end
  local row = message.row(agent, {text = text, files = given.files, from = not question.task and (question.peer or CANVAS) or nil,
    task = question.task, principal = question.task and question.task.principal,
    context_id = question.to_sender and question.context_id or nil})
  return question, value_of(origin(agent, row), text, choice)
end

--- Cancels one, as `molecule answer --cancel` does: the value.
---@return table question, table value
function questions.canceled(agent, code)
  local question = choose(agent, "cancel_question", code)
  return question, CANCELED
end

return questions
