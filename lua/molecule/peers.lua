--- Talking to others from inside a handler: other workspaces, and the human in our own canvas.
--
-- Failures are nil, message, CODE: UNAUTHORIZED, FORBIDDEN, NOT_FOUND, TOO_LARGE, BUDGET, REFUSED (the platform's words are
-- in the message), PEER (the peer answered with an error), UNAVAILABLE and TIMEOUT (still failing when time ran out),
-- UNCONFIRMED (it may have arrived), EMPTY (nothing to say), BAD_ID, STOPPED (the host is stopping), OFFLINE (no
-- platform: --dry-run).
local core = require "molecule.core"
local files = require "molecule.files"
local misuse = require "molecule.misuse"
local check_options = require "molecule.options"

local peers = {}

local SEND_TIMEOUT = 60

--- A string, {text=, parts=, files=} or a list of parts -> text, parts
local function content(name, value)
  if type(value) == "string" then return value, nil end
  if type(value) ~= "table" then misuse(("%s: a text or parts expected, not a %s"):format(name, type(value))) end
  if #value > 0 or next(value) == nil then return nil, value end
  check_options(name, value, {text = "string", parts = "table", files = "table"})
  return value.text, value.parts
end

--- Sends a message to another workspace and waits up to `timeout` (60) seconds for its answer: {text, parts}. A peer that
--- has not answered by then has it in its inbox: {queued = true, id}; 0 does not wait. `context_id` continues an exchange.
--- Run again after a crash, the same handler sends it under the same id, and gets an answer that has already come without asking.
function peers.send(workspace_id, message, options)
  if type(workspace_id) ~= "string" then misuse("send: the first argument must be a workspace id") end
  options = check_options("send", options, {timeout = "duration", context_id = "string"})
  local timeout = options.timeout or SEND_TIMEOUT
  if not (timeout >= 0 and timeout <= 1e6) then misuse("send: timeout must be between 0 and 1e6 seconds") end
  local text, parts = content("send", message)
  if type(message) == "table" and message.files then
    local problem, code
    parts, problem, code = files.for_peer(message.files, parts)
    if not parts then return nil, problem, code end
  end
  if (text == nil or text == "") and (parts == nil or #parts == 0) then return nil, "send: nothing to send", "EMPTY" end
  return core.send(workspace_id, text, parts, timeout, options.context_id)
end

--- Shows `text` to the human in our canvas, with `files` if given. true, or nil, message, CODE.
function peers.notify(text, options)
  if type(text) ~= "string" or text == "" then misuse("notify: the text must be a non-empty string") end
  options = check_options("notify", options, {files = "table"})
  local parts
  if options.files then
    local problem, code
    parts, problem, code = files.for_canvas(options.files)
    if not parts then return nil, problem, code end
  end
  return core.notify(text, parts)
end

--- The workspaces we may talk to: a list of {id, name, role, status, …}; `q` is part of the name.
function peers.peers(options)
  options = check_options("peers", options, {q = "string"})
  return core.peers(options.q)
end

--- Delegates a task to another workspace through the platform: {delegation_id, status}. With `timeout` it waits for the
--- result: `text`; a peer that polls and has not answered by then has it in its inbox: `queued`. Without, a push peer's result
--- comes only if the platform is set up to put it into the inbox, and the agent has answers_replies = true: as a message with
--- the method "delegate_result", which cannot be replied to. delegate{target=, task=, timeout=} or delegate(target, task,
--- {timeout=}).
function peers.delegate(target, task, options)
  if type(target) == "table" then
    options = check_options("delegate", target, {target = "string", task = "string", timeout = "duration"})
    target, task = target.target, target.task
  end
  options = check_options("delegate", options, {target = "string", task = "string", timeout = "duration"})
  local timeout = options.timeout or 0
  if not (timeout >= 0 and timeout <= 1e6) then misuse("delegate: timeout must be between 0 and 1e6 seconds") end
  if type(target) ~= "string" or type(task) ~= "string" or task == "" then
    misuse("delegate: the target's workspace id and the task are required, both as strings")
  end
  return core.delegate(target, task, timeout)
end

for name, call in pairs(peers) do peers[name] = core.public(call) end

return peers
