--- The fuzzer of a whole host; see tests/fuzz/platform.

package.path = "./?.lua;" .. package.path

local uv = require "luv"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local loop = require "tests.support.loop"
local noise = require "tests.fuzz.noise"
local process = require "tests.support.process"
local tally = require "tests.fault.tally"

local NOISE_MS, MESSAGE_MS = 4000, 150
local ANSWER_MS = 180000 -- a backoff may have grown to a minute
local SCRIPT = [[
return function(msg)
  local number = msg.text:match "^question (%d+)$"
  return number and "answer " .. number or "noise"
end]]

local chance, pick = noise.chance, noise.pick

-- --- the platform's other face: every answer passes here ---

local Between = {}
Between.__index = Between

local function close(self, handle)
  self.open[handle] = nil
  if not handle:is_closing() then handle:close() end
end

local function write(handle, bytes)
  if not handle:is_closing() then handle:write(bytes) end
end

local function later(self, ms, action)
  local timer = uv.new_timer()
  self.timers[timer] = true
  timer:start(ms, 0, function()
    self.timers[timer] = nil
    timer:close()
    action()
  end)
end

local function mangle(self, client, path, answer)
  local head, body = answer:match "^(.-\r\n)\r\n(.*)$"
  if not head or chance(45) then return write(client, answer) end
  local waits = path:find("/heartbeat", 1, true) ~= nil
  local text = answer
  if chance(60) then body = noise.body(body) end
  if chance(50) then
    text = noise.head(waits) .. noise.frame(body)
  else
    local first = head:match "^[^\r\n]*"
    if not first:find(" 401 ", 1, true) and not first:find(" 410 ", 1, true) then text = first .. "\r\n" .. noise.frame(body) end
  end
  if chance(10) then text = "HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" .. text end
  if chance(10) then text = text .. pick { "HTTP/1.1 500 stray\r\nContent-Length: 0\r\n\r\n", "\0", "\r\n" } end
  if chance(15) then text = text:sub(1, math.random(#text)) end
  local ending = math.random(6)
  if ending == 1 then
    local at = math.random(#text)
    write(client, text:sub(1, at))
    return later(self, math.random(300), function()
      write(client, text:sub(at + 1))
      if chance(30) then close(self, client) end
    end)
  end
  write(client, text)
  if ending == 2 then later(self, 20, function() close(self, client) end) end
  if ending == 3 and not client:is_closing() then
    self.open[client] = nil
    client:close_reset()
  end
end

local function shout(self, client)
  if client:is_closing() or not self.noisy then return end
  write(client, noise.event())
  if chance(5) then return close(self, client) end
  later(self, math.random(60), function() shout(self, client) end)
end

-- Sends one request on and gives its answer back; the event stream stays open.
local function forward(self, client, request, path)
  local upstream, answer, stream = uv.new_tcp(), {}, path:find("/events/stream", 1, true)
  self.open[upstream] = true
  local quiet = not self.noisy
  if not quiet and chance(6) then return close(self, upstream), close(self, client) end -- it was never heard
  upstream:connect("127.0.0.1", self.port, function(problem)
    if problem then return close(self, upstream), close(self, client) end
    write(upstream, (request:gsub("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1)))
    if stream then later(self, 50, function() if not quiet then shout(self, client) end end) end
    upstream:read_start(function(_, bytes)
      if bytes and stream then return write(client, bytes) end
      if bytes then
        answer[#answer + 1] = bytes
        return
      end
      close(self, upstream)
      if stream then return close(self, client) end
      if quiet then
        write(client, table.concat(answer))
        return close(self, client)
      end
      mangle(self, client, path, table.concat(answer))
    end)
  end)
end

local function accept(self)
  local client, text = uv.new_tcp(), ""
  self.listener:accept(client)
  self.open[client] = true
  client:read_start(function(_, bytes)
    if not bytes then return close(self, client) end
    text = text .. bytes
    while true do
      local head_end, body_start = text:find("\r\n\r\n", 1, true)
      if not head_end then return end
      local length = tonumber(text:sub(1, head_end):lower():match "\r\ncontent%-length: *(%d+)") or 0
      if #text - body_start < length then return end
      local request = text:sub(1, body_start + length)
      text = text:sub(body_start + length + 1)
      self.requests = self.requests + 1
      forward(self, client, request, request:match "^%S+ (%S*)" or "")
    end
  end)
end

local function start_between(port)
  local self = setmetatable({ port = port, open = {}, timers = {}, requests = 0, listener = uv.new_tcp() }, Between)
  assert(self.listener:bind("127.0.0.1", 0))
  assert(self.listener:listen(128, function() accept(self) end))
  self.url = "http://127.0.0.1:" .. self.listener:getsockname().port
  return self
end

-- From now on it is an honest proxy; what is open ends, so that nothing hangs in what was said before.
function Between:fall_silent()
  self.noisy = false
  for handle in pairs(self.open) do close(self, handle) end
end

function Between:stop()
  self:fall_silent()
  for timer in pairs(self.timers) do timer:close() end
  self.timers = {}
  self.listener:close()
  loop.flush()
end

-- --- rounds ---

local function pass(ms, each_ms, action)
  local ticks, until_ms, next_ms = uv.new_timer(), loop.now() + ms, loop.now()
  ticks:start(0, 10, function() end) -- the loop turns
  loop.wait(function()
    if loop.now() >= next_ms then
      next_ms = loop.now() + each_ms
      action()
    end
    return loop.now() >= until_ms
  end, ms + loop.LIMIT_MS)
  ticks:close()
end

local function check(condition, text, ...)
  if not condition then error(text:format(...), 0) end
end

local function start_host(self)
  self.host = host.start { platform = self.platform, workspace = self.workspace, api_url = self.between.url, script = SCRIPT,
    state_dir = self.state_dir, args = { "--heartbeat-ms", "1000", "--drain", "3s", "--register-attempts", "0",
      "--concurrency", "4", "--refusal-patience", "1h", "--interval-ms", "30" } }
end

local function ask(self, from)
  self.sent = self.sent + 1
  self.platform:message { to = self.workspace.id, from = from, text = "question " .. self.sent }
  return self.sent
end

local function run_round(platform, seed)
  math.randomseed(seed)
  local self = { platform = platform, workspace = host.workspace(platform), between = start_between(platform.port), sent = 0,
    state_dir = host.directory() .. "/state" }
  local peers = { host.workspace(platform).id, host.workspace(platform).id }
  local early = chance(40)
  local fine, problem = pcall(function()
    start_host(self)
    self.host:log "registered as"
    self.between.noisy = true
    pass(NOISE_MS, MESSAGE_MS, function() ask(self, pick { peers[1], peers[2], false } or nil) end)
    check(self.host.process:running(), "it ended during the noise\n%s", self.host.process:report())
    if early then -- the end comes in the middle of it
      self.host:stop()
      start_host(self)
    end
    self.between:fall_silent()
    local good = ask(self, peers[1])
    local counted = tally.new(platform, self.workspace)
    local next_look_ms, deadline_ms = 0, loop.now() + ANSWER_MS
    local ticks = uv.new_timer()
    ticks:start(0, 100, function() end)
    repeat
      uv.run "once"
      if loop.now() >= next_look_ms then
        next_look_ms = loop.now() + 200
        counted:read()
      end
    until counted.answers[good] or self.host.process.ended or loop.now() > deadline_ms
    ticks:close()
    check(counted.answers[good], "a good message was not answered when the noise had stopped\n%s", self.host.process:report())
    self.host:stop()
    counted:read()
    local report = counted:report(self.sent)
    check(report.two_ids == 0, "%d messages were answered under two ids\n%s", report.two_ids, self.host.process:report())
    self.answered = self.sent - report.lost
  end)
  self.between:stop()
  host.clean_up()
  return fine, problem, self
end

local function parse(words)
  local options = { seconds = 30, seed = os.time() % 1000000 }
  for i = 1, #words, 2 do
    local name, number = words[i], math.tointeger(tonumber(words[i + 1]))
    if name == "--seconds" and number then options.seconds = number
    elseif name == "--minutes" and number then options.seconds = number * 60
    elseif name == "--seed" and number then options.seed = number
    else
      io.stderr:write "usage: tests/fuzz/platform [--seconds N | --minutes N] [--seed N]\n"
      os.exit(2)
    end
  end
  return options
end

local function main()
  local options = parse(arg)
  local broken_pipe = uv.new_signal()
  broken_pipe:start("sigpipe", function() end)
  broken_pipe:unref()
  local began, seed, requests, messages, answered = loop.now(), options.seed, 0, 0, 0
  io.stdout:setvbuf "line"
  print("seeds from " .. seed)
  repeat
    local platform = emulator.start { args = { "--rate-limit", "-1" } }
    local fine, problem, round = run_round(platform, seed)
    if not fine then
      print(("seed %d: %s\nthe same noise again: tests/fuzz/platform --seconds 1 --seed %d"):format(seed, problem, seed))
      process.kill_all()
      os.exit(1)
    end
    platform:stop()
    requests, messages, answered = requests + round.between.requests, messages + round.sent, answered + round.answered
    seed = seed + 1
  until loop.now() - began >= options.seconds * 1000
  print(("seeds %d to %d: %d rounds, %d requests, %d messages, %d answered, none under two ids; each round's good message was")
    :format(options.seed, seed - 1, seed - options.seed, requests, messages, answered))
  broken_pipe:close()
  loop.flush()
end

main()
