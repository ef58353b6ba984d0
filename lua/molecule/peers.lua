--- Talking to others from inside a handler: other workspaces, and the human in our own canvas.
--
-- Failures are nil, message, CODE: UNAUTHORIZED, FORBIDDEN, NOT_FOUND, TOO_LARGE, BUDGET, REFUSED (the platform's words are
-- in the message), PEER (the peer answered with an error), UNAVAILABLE and TIMEOUT (still failing when the time was over),
-- UNCONFIRMED (it may have arrived), EMPTY (there is nothing to say), BAD_ID, STOPPED (the host stops), OFFLINE (no
-- platform: --dry-run).
local core = require "molecule.core"
local files = require "molecule.files"
local misuse = require "molecule.misuse"

local peers = {}

local SEND_TIMEOUT = 60

local function check_options(name, options, known)
  if options == nil then return {} end
  if type(options) ~= "table" then misuse(("%s: options must be a table, not a %s"):format(name, type(options))) end
  for option, value in pairs(options) do
    if not known[option] then misuse(("%s: unknown option %q"):format(name, tostring(option))) end
    if type(value) ~= known[option] then
      misuse(("%s: %s must be a %s, not a %s"):format(name, option, known[option], type(value)))
    end
  end
  return options
end

--- A string, {text=, parts=, files=} or a list of parts -> text, parts
local function content(name, value)
  if type(value) == "string" then return value, nil end
  if type(value) ~= "table" then misuse(("%s: a text or parts expected, not a %s"):format(name, type(value))) end
  if value.text == nil and value.parts == nil and value.files == nil then return nil, value end
  if value.text ~= nil and type(value.text) ~= "string" then misuse(("%s: text must be a string"):format(name)) end
  if value.parts ~= nil and type(value.parts) ~= "table" then misuse(("%s: parts must be a list"):format(name)) end
  return value.text, value.parts
end

--- Sends a message to another workspace and waits up to `timeout` (60) seconds for its answer: {text, parts}. A peer that
--- has not answered by then has it in its inbox: {queued = true, id}; 0 does not wait. `context_id` continues an exchange.
--- Run again after a crash, the same handler sends it under the same id, and gets an answer that had come without asking.
function peers.send(workspace_id, message, options)
  if type(workspace_id) ~= "string" then misuse("send: the first argument must be a workspace id") end
  options = check_options("send", options, {timeout = "number", context_id = "string"})
  local timeout = options.timeout or SEND_TIMEOUT
  if not (timeout >= 0 and timeout <= 1e6) then misuse("send: timeout must be between 0 and 1e6 seconds") end
  local text, parts = content("send", message)
  if type(message) == "table" and message.files then
    local problem, code
    parts, problem, code = files.for_peer(message.files, parts)
    if not parts then return nil, problem, code end
  end
  if (text == nil or text == "") and (parts == nil or #parts == 0) then return nil, "send: there is nothing to send", "EMPTY" end
  return core.send(workspace_id, text, parts, timeout, options.context_id)
end

--- Shows `text` to the human in our canvas, with `files` if given. true, or nil, message, CODE.
function peers.notify(text, options)
  if type(text) ~= "string" or text == "" then misuse("notify: the text must be a string that is not empty") end
  options = check_options("notify", options, {files = "table"})
  local parts
  if options.files then
    local problem, code
    parts, problem, code = files.for_canvas(options.files)
    if not parts then return nil, problem, code end
  end
  return core.notify(text, parts)
end

--- The workspaces we may talk to: a list of {id, name, role, status, …}; `q` is a part of the name.
function peers.peers(options)
  options = check_options("peers", options, {q = "string"})
  return core.peers(options.q)
end

--- Hands a task to another workspace through the platform's delegations: {delegation_id, status}. With `timeout` seconds it
--- waits for the result: `text`; a peer that polls and has not answered by then has it in its inbox: `queued`. Without, a push
--- peer's result only comes, as a message with the method "delegate_result", where the platform is set up to put it into the
--- inbox. delegate{target=, task=, timeout=} or delegate(target, task, {timeout=}).
function peers.delegate(target, task, options)
  if type(target) == "table" then
    options = check_options("delegate", target, {target = "string", task = "string", timeout = "number"})
    target, task = target.target, target.task
  end
  options = check_options("delegate", options, {target = "string", task = "string", timeout = "number"})
  local timeout = options.timeout or 0
  if not (timeout >= 0 and timeout <= 1e6) then misuse("delegate: timeout must be between 0 and 1e6 seconds") end
  if type(target) ~= "string" or type(task) ~= "string" or task == "" then
    misuse("delegate: the target's workspace id and the task are needed, both as strings")
  end
  return core.delegate(target, task, timeout)
end

return peers
