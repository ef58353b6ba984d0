--- Questions that a handler asks, and waits for: ctx.ask.
--
-- A question is a step: it is recorded, then posted, then the run ends. The handler runs again when the answer is recorded, or
-- the time is up; a later run gets the same answer. Its steps have the kinds "ask", "posted" (key/posted) and "answer"
-- (key/answer).
local core = require "molecule.core"
local files = require "molecule.files"
local json = require "molecule.json"
local misuse = require "molecule.misuse"
local check_options = require "molecule.options"
local step_state = require "molecule.step_state"

local questions = {}

local TIMEOUT, TIMEOUT_MAXIMUM = 86400, 366 * 86400 -- seconds
local TEXT_MAXIMUM, CHOICE_MAXIMUM, CHOICES_MAXIMUM = 100000, 100, 20 -- bytes, bytes, choices
local AGAIN = 5 -- seconds until a post that failed, or a look at the inbox, is tried again
local CANVAS = "canvas"

-- What a later try may change.
local TRANSIENT = { UNAVAILABLE = true, TIMEOUT = true, UNCONFIRMED = true, STOPPED = true, OFFLINE = true }

local function is_text(text, maximum)
  return type(text) == "string" and text:find "%S" and #text <= maximum and utf8.len(text) and not text:find "%z"
end

local function check_choices(choices)
  local seen = {}
  if choices == nil then return nil end
  if #choices < 1 or #choices > CHOICES_MAXIMUM then
    misuse(("ctx.ask: choices must be a list of 1 to %d texts"):format(CHOICES_MAXIMUM))
  end
  for i, choice in ipairs(choices) do
    if not is_text(choice, CHOICE_MAXIMUM) or choice:find "%c" then
      misuse(("ctx.ask: choice %d must be a line of 1 to %d bytes of UTF-8"):format(i, CHOICE_MAXIMUM))
    end
    local plain = choice:lower():gsub("%s+", "")
    if seen[plain] then misuse(("ctx.ask: the choices %q and %q are the same to whoever answers"):format(seen[plain], choice)) end
    seen[plain] = choice
  end
  return choices
end

-- Its own sender is asked as nobody else.
local function check_peer(from, sender)
  if from == nil then return sender end
  if from ~= CANVAS and not from:find "^%x+%-%x+%-%x+%-%x+%-%x+$" then
    misuse(("ctx.ask: from must be \"canvas\" or a workspace id, not %q"):format(from))
  end
  if from ~= CANVAS then return from:lower() end
end

-- What is recorded under the key, decoded.
local function found(state, key, kind)
  local one = step_state.recorded(state)[key]
  if not one then return nil end
  if one.kind ~= kind then misuse(("REPLAY: %s was a step when it was recorded, and is a question now"):format(key)) end
  return json.decode(one.value)
end

-- This run ends; it returns when there is something new, or then.
local function wait(key, asked, epoch)
  core.defer(epoch, asked.hold, ("waiting for the answer to question %s"):format(asked.code), key)
end

local function check(value, problem)
  if value == nil then error(problem, 0) end
  return value
end

local function close(key, asked, text, how)
  local closed = check(core.ask_close(key, text, how))
  wait(key, asked, closed and core.now() or core.now() + AGAIN)
end

local function give_up(key, asked, problem)
  close(key, asked, "it could not be delivered: " .. problem:gsub("^molecule%.%a+: ", ""), "UNDELIVERED")
end

-- What it says to its receiver replies to that one's last message, as far as there is one.
local function reply_to(state, asked)
  local sender, id, context, hops = core.ask_sender()
  local last = asked.peer and state.consumed and state.consumed[asked.peer]
  if last then return last.message_id, last.hops, asked.to_sender and context or nil end
  if asked.to_sender and sender then return id, hops, context end
  return nil, hops, nil
end

local function post(state, key, asked)
  local latest = (asked.asked_ms + asked.timeout_ms) / 1000
  if not asked.may_post and core.now() < latest then wait(key, asked, latest) end
  if not asked.may_post then give_up(key, asked, "another question to the same peer was open all the time") end
  local id, hops, context = reply_to(state, asked)
  local sent, problem, code = core.ask_post(key, ("/question%s/%s"):format(key, asked.code), asked.announcement, asked.peer,
    context, id, hops)
  if not sent then
    if not TRANSIENT[code] or core.now() > latest then give_up(key, asked, problem) end
    wait(key, asked, core.now() + AGAIN)
  end
  local answered = type(sent) == "table" and not sent.queued
  if answered and check(core.ask_close(key, json.encode { text = sent.text }, "ANSWER")) then wait(key, asked, core.now()) end
  local until_ms = check(core.ask_posted(key, type(sent) == "table" and sent.task_id or nil))
  wait(key, asked, until_ms == json.null and core.now() or until_ms / 1000)
end

local function result(state, asked, answer)
  if answer.code then return nil, ("ctx.ask: question %s: %s"):format(asked.code, answer.problem), answer.code end
  if asked.peer and answer.message_id then
    state.consumed = state.consumed or {}
    state.consumed[asked.peer] = answer
    if asked.to_sender then core.reply_to(answer.message_id, answer.hops) end
  end
  return {
    text = answer.text, choice = answer.choice, from = answer.from, files = answer.files and files.adopt(answer.files) or nil,
  }
end

-- Records a new question: what question_describe (src/messages/questions.h) says of it, and may_post; json.null: it is
-- answered.
local function open(state, key, spec)
  step_state.check_total(state, key)
  return check(core.ask_open(key, json.encode(spec)))
end

local function ask(question, options, authorization)
  local state = step_state.begin "ctx.ask"
  core.step_check "ctx.ask"
  if not is_text(question, TEXT_MAXIMUM) then
    misuse(("ctx.ask: the question must be a text of 1 to %d bytes of UTF-8"):format(TEXT_MAXIMUM))
  end
  options = check_options("ctx.ask", options, { from = "string", choices = "table", timeout = "duration", hold = "boolean" })
  local timeout = options.timeout or TIMEOUT
  if not (timeout > 0 and timeout <= TIMEOUT_MAXIMUM) then misuse "ctx.ask: timeout must be more than 0, and at most 366 days" end
  local spec = { text = question, choices = check_choices(options.choices), timeout_ms = math.ceil(timeout * 1000),
    peer = check_peer(options.from, core.ask_sender()) or CANVAS, authorization = authorization or nil }
  step_state.abandon(state)
  local key = step_state.next_key(state, "/ask")
  local asked = found(state, key, "ask")
  local answer = asked and found(state, key .. "/answer", "answer")
  if answer then return result(state, asked, answer) end
  state.open = state.open or {}
  state.open[key] = core.branch_path() or ""
  local posted = asked and found(state, key .. "/posted", "posted")
  local now = asked or open(state, key, spec)
  if asked and not posted then now = check(core.ask_open(key)) end
  if now == json.null then core.defer(core.now() + 0.2, true, "answered meanwhile") end
  asked = asked or now
  asked.hold = options.hold ~= false
  asked.may_post = now.may_post
  if not posted then post(state, key, asked) end
  if core.now() < posted.deadline_ms / 1000 then wait(key, asked, posted.deadline_ms / 1000) end
  local seconds = asked.timeout_ms / 1000
  close(key, asked, ("no answer within %s"):format(seconds % 3600 == 0 and ("%d h"):format(seconds // 3600)
    or ("%g s"):format(seconds)), "TIMEOUT")
end

--- Asks the sender, or `from`, and waits for the answer; it may come days later, after restarts: {text, choice, from, files}.
--- nil, message, CODE: TIMEOUT, UNDELIVERED, CANCELLED.
function questions.ask(question, options)
  return ask(question, options)
end

--- ctx.ask for what the sender must do before the handler can continue: log in, grant a right. The task of an A2A client is
--- `auth-required` meanwhile; elsewhere it is a question like others.
function questions.auth_required(question, options)
  return ask(question, options, true)
end

for name, call in pairs(questions) do questions[name] = core.public(call) end

return questions
