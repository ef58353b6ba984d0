--- molecule serve under kill -9; see tests/fault/serve.

package.path = "./?.lua;" .. package.path

local cjson = require "cjson"
local loop = require "tests.support.loop"
local served = require "tests.support.served"
local server = require "tests.support.server"

local AT_ONCE = 32 -- clients
-- a message is set aside after so many kills while it is handled
local ARGS = { "--allow-webhook", "127.0.0.1", "--max-attempts", "100" }
local SCRIPT = [[
local molecule = require "molecule"
return { name = "served", concurrency = 16, handle = function(msg, ctx)
  local number = msg.text:match "%d+"
  ctx.progress("begun " .. number)
  molecule.sleep(0.02)
  ctx.artifact {name = "pieces", text = "one "}
  ctx.artifact {name = "pieces", text = "two", append = true, last = true}
  molecule.sleep(0.02)
  local more = msg.text:find "^ask" and ctx.ask("sure " .. number .. "?").text or "none"
  return "answer " .. number .. " " .. more
end }]]
-- What a webhook is told of a task, each at least once. That the handler works is told besides, or not.
local TOLD = { "SUBMITTED", "WORKING begun", "pieces one ", "+pieces two", "reply answer", "COMPLETED" }
local TOLD_ASKING = { "SUBMITTED", "WORKING begun", "pieces one ", "+pieces two", "INPUT_REQUIRED sure", "WORKING",
  "reply answer", "COMPLETED" }

local function parse(arguments)
  local options = { kills = 100, tasks = 200, seed = 1 }
  for i = 1, #arguments, 2 do
    local name = arguments[i]:match "^%-%-(%a+)$"
    if not options[name or ""] or not tonumber(arguments[i + 1]) then
      io.stderr:write "usage: tests/fault/serve [--kills N] [--tasks N] [--seed N]\n"
      os.exit(2)
    end
    options[name] = math.tointeger(tonumber(arguments[i + 1]))
  end
  return options
end

local options = parse(arg)
math.randomseed(options.seed)
local counts = { streams = 0, broken = 0, resent = 0, subscribed = 0, notified = 0, refused = 0 }
local broken = {} -- promises
local function promise(kept, words, ...)
  if not kept then broken[#broken + 1] = words:format(...) end
end

-- --- the webhooks: one path for each task; one of eight requests fails ---

local told, last_told = {}, {} -- by task number: the words, in order of arrival
local hook = server.start(function(request, reply)
  local number = tonumber(request.path:match "%d+")
  if math.random(8) == 1 then
    counts.refused = counts.refused + 1
    return reply(503, "")
  end
  counts.notified = counts.notified + 1
  told[number] = told[number] or {}
  local word = served.word(cjson.decode(request.body)):gsub(" ?%d.*$", "")
  table.insert(told[number], word)
  last_told[number] = word
  reply(200, "")
end)

-- --- the clients ---

local clients, by_number, next_number, ended = {}, {}, 1, 0

local function asks(number) return number % 5 == 0 end

local function message(client)
  local words = (asks(client.number) and "ask " or "do ") .. client.number
  return served.message(client.answers and "yes" or words, { messageId = (client.answers and "answer-" or "m-") .. client.number,
    contextId = "c-" .. client.number % 40, taskId = client.answers and client.id or nil })
end

local function begin(one, client)
  counts.streams = counts.streams + 1
  client.seen = 0
  if client.id and not client.answers and client.tries % 2 == 1 then
    counts.subscribed = counts.subscribed + 1
    client.stream = one:subscribe(client.id)
  else
    if client.tries > 0 then counts.resent = counts.resent + 1 end
    local config = { url = hook.url .. "/" .. client.number } -- with the answer it would be another webhook
    client.stream = one:stream(message(client), { taskPushNotificationConfig = not client.answers and config or nil })
  end
  client.tries = client.tries + 1
end

local function finish(client, status)
  promise(not client.ended, "task %d ended twice", client.number)
  client.ended = status
  ended = ended + 1
  client.stream:close()
  client.stream = nil
  for i, each in ipairs(clients) do
    if each == client then return table.remove(clients, i) end
  end
end

local ENDS = { TASK_STATE_COMPLETED = true, TASK_STATE_FAILED = true, TASK_STATE_CANCELED = true, TASK_STATE_REJECTED = true }

-- Looks at what came since the last look. true: the client has what it wants of this stream.
local function take(client, event)
  local status = event.task and event.task.status or event.statusUpdate and event.statusUpdate.status
  client.id = event.task and event.task.id or client.id
  if event.code == -32004 then -- subscribed to a task that has ended
    client.look = true
  elseif status and ENDS[status.state] then
    finish(client, status)
    return true
  elseif status and status.state == "TASK_STATE_INPUT_REQUIRED" and not client.answers then
    client.answers = true
    client.stream:close()
    client.stream = nil
    return true
  end
  return false
end

local function follow(client)
  local exchange = client.stream.exchange
  if exchange.received ~= client.received then
    client.received = exchange.received
    local events = client.stream:events()
    for i = client.seen + 1, #events do
      client.seen = i
      if take(client, events[i]) then return end
    end
  end
  if not exchange.done then return end
  local problem = exchange.json and exchange.json.error
  if problem and problem.code == -32004 then client.look = true end
  counts.broken = counts.broken + 1
  client.stream:close()
  client.stream = nil
end

local function look(one, client)
  client.asking = client.asking or one:start("GetTask", { id = client.id })
  if not client.asking.done then return end
  local task = client.asking.json and client.asking.json.result
  client.asking = nil
  if task and ENDS[task.status.state] then
    client.look = nil
    client.stream = { close = function() end }
    finish(client, task.status)
  end
end

local function pump(one)
  while #clients < AT_ONCE and next_number <= options.tasks do
    local client = { number = next_number, tries = 0, seen = 0 }
    clients[#clients + 1], by_number[next_number] = client, client
    next_number = next_number + 1
  end
  for _, client in ipairs { table.unpack(clients) } do
    if client.look then look(one, client)
    elseif client.stream then follow(client)
    else begin(one, client) end
  end
  return ended == options.tasks
end

-- --- the kills ---

local one = served.start { script = SCRIPT, args = ARGS }
local state_dir, listen = one.host.state_dir, "127.0.0.1:" .. one.port
local function start_again()
  return served.start { script = SCRIPT, args = ARGS, state_dir = state_dir, listen = listen }
end

local kills, began = 0, loop.now()
while kills < options.kills and not loop.wait(function() return pump(one) end, math.random(5, 120)) do
  one:kill()
  kills = kills + 1
  one = start_again()
end
promise(loop.wait(function() return pump(one) end), "%d of %d tasks ended", ended, options.tasks)

-- --- the promises ---

local function all_told()
  for number = 1, options.tasks do
    if last_told[number] ~= "COMPLETED" then return false end
  end
  return true
end

promise(loop.wait(all_told), "a webhook was not told the end")

local function check_told(number)
  local expected, place, at = asks(number) and TOLD_ASKING or TOLD, {}, 0
  for i, word in ipairs(expected) do place[word] = i end
  for _, word in ipairs(told[number] or {}) do
    local its = place[word]
    if its then
      promise(its <= at + 1, "task %d: a webhook was told %q too early: %s", number, word, table.concat(told[number], ", "))
      at = math.max(at, its)
    else
      promise(word == "WORKING", "task %d: a webhook was told %q", number, word)
    end
  end
  promise(at == #expected, "task %d: a webhook was not told all: %s", number, table.concat(told[number] or {}, ", "))
end

local before = {}
for number = 1, options.tasks do
  local client = by_number[number]
  local task = one:get(client.id)
  before[number] = cjson.encode(task)
  local state, text = served.outcome(task)
  promise(state == "COMPLETED", "task %d is %s", number, state)
  local answer = ("one two|answer %d %s"):format(number, asks(number) and "yes" or "none")
  promise(text == answer, "task %d has %q, not %q", number, text, answer)
  promise(client.ended and task.status.timestamp == client.ended.timestamp, "task %d ended at %s, and its stream says %s", number,
    task.status.timestamp, client.ended and client.ended.timestamp or "nothing")
  check_told(number)
end

one:kill()
one = start_again()
local total = math.tointeger(one:result("ListTasks", { pageSize = 1 }).totalSize)
promise(total == options.tasks, "there are %d tasks", total)
for number = 1, options.tasks do
  local client = by_number[number]
  promise(cjson.encode(one:get(client.id)) == before[number], "task %d differs after a restart", number)
  client.answers = false
  local again = one:send(message(client)).task
  local same = again.id == client.id and again.status.timestamp == client.ended.timestamp
  promise(same, "task %d: the same message ran again", number)
end
one:stop()
hook:stop()
served.clean_up()

local function row(words, value) print(("%s%s %8s"):format(words, (" "):rep(52 - utf8.len(words)), value)) end
row("kill -9", kills)
row("tasks, ended once each", ended)
row("streams", counts.streams)
row("… broken by a kill", counts.broken)
row("… after a message that was sent again", counts.resent)
row("… after subscribing again", counts.subscribed)
row("notifications that webhooks took", counts.notified)
row("… that they refused", counts.refused)
row("seconds", ("%.1f"):format((loop.now() - began) / 1000))
row("broken promises", #broken)
for i = 1, math.min(#broken, 20) do print("  " .. broken[i]) end
os.exit(#broken == 0 and 0 or 1, true)
