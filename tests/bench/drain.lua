--- How fast a backlog is answered, beside what wrk and libcurl alone reach with the same requests at the same server.

local support = require "tests.support.host"
local sheet = require "tests.bench.table"
local stage = require "tests.bench.stage"

local DRAIN_MS = 300000

local function wrk(platform, reply, connections, seconds)
  local lines = { 'wrk.method = "POST"', ("wrk.body = %q"):format(reply.body) }
  for name, value in reply.head:gmatch "\r\n([^:\r\n]+):%s*([^\r\n]*)" do
    if name ~= "Host" and name ~= "Content-Length" then
      lines[#lines + 1] = ("wrk.headers[%q] = %q"):format(name, value)
    end
  end
  local script = support.write(stage.directory "memory" .. "/wrk.lua", table.concat(lines, "\n"))
  local before = platform:ask "stats"
  local output = stage.run { "wrk", "-t1", "-c" .. connections, "-d" .. seconds .. "s", "-s", script,
    platform.url .. reply.path }
  local after = platform:ask "stats"
  if output:find "Non%-2xx" or after.replies == before.replies then error("wrk was not answered:\n" .. output) end
  return tonumber(output:match "Requests/sec:%s*([%d.]+)")
end

---@return number requests a second, number median in microseconds
local function multi(platform, reply, in_flight, count)
  local output = stage.run { stage.program "bench_multi", platform.url .. reply.path, reply.file, tostring(in_flight),
    tostring(count) }
  local rate, median = output:match "^(%S+) (%S+)"
  return tonumber(rate), tonumber(median)
end

local drain = { multi = multi }

---One drain; the platform is left running.
---@param case {peers: integer, place: string, messages: integer, args: string[]?, script: string?}
---@return number messages a second, number share of the server's core, Platform
local function once(case)
  local platform = stage.platform { rows = case.messages, peers = case.peers }
  local host = stage.host { platform = platform, place = case.place, args = case.args, script = case.script }
  local before = platform:ask "wait?registered=1"
  local figures = platform:ask("wait?replies=" .. case.messages, DRAIN_MS)
  host:stop()
  if figures.out_of_order + figures.duplicates + figures.unknown > 0 then
    error(("%d out of order, %d twice, %d unknown"):format(figures.out_of_order, figures.duplicates, figures.unknown))
  end
  local taken_ns = figures.last_reply_ns - figures.first_sent_ns
  return case.messages / taken_ns * 1e9, (figures.cpu_ns - before.cpu_ns) / taken_ns, platform
end

local function add(lists, name, value)
  lists[name] = lists[name] or {}
  table.insert(lists[name], value)
end

---@param options {runs: integer, messages: integer, seconds: integer}
---@param case {title: string, peers: integer, args: string[], wrk: integer, multi: integer[], target: table}
local function measure(options, case)
  local found = {}
  for _ = 1, options.runs do
    for _, place in ipairs { "disk", "memory" } do
      local rate, busy, platform = once { peers = case.peers, place = place, messages = options.messages, args = case.args }
      add(found, place, rate)
      if place == "disk" then
        local reply = stage.reply(platform)
        add(found, "busy", busy * 100)
        add(found, "wrk", wrk(platform, reply, case.wrk, options.seconds))
        for _, in_flight in ipairs(case.multi) do
          add(found, "multi" .. in_flight, multi(platform, reply, in_flight, options.requests))
        end
      end
      platform:stop()
    end
  end
  sheet.section(case.title)
  local ceilings = { wrk = sheet.middle(found.wrk) }
  for _, in_flight in ipairs(case.multi) do ceilings["multi" .. in_flight] = sheet.middle(found["multi" .. in_flight]) end
  local best = ceilings[case.compare]
  sheet.row { name = "ledger on the disk", unit = "/s", values = found.disk, of = best, over = case.over,
    target = case.target }
  sheet.row { name = "ledger on tmpfs (it writes, the disk does not)", unit = "/s", values = found.memory, of = best }
  sheet.row { name = ("ceiling: wrk -c%d"):format(case.wrk), unit = "/s", values = found.wrk }
  for _, in_flight in ipairs(case.multi) do
    sheet.row { name = ("ceiling: libcurl multi, %d in flight"):format(in_flight), unit = "/s",
      values = found["multi" .. in_flight] }
  end
  sheet.row { name = "the server's share of its core meanwhile", unit = "%", values = found.busy }
end

function drain.one(options)
  measure(options, { title = "drain, one conversation", peers = 1, wrk = 1, multi = { 1 }, compare = "wrk", over = 0.40,
    target = ">= 0.40 of wrk" })
end

function drain.many(options)
  measure(options, { title = "drain, 64 conversations, --concurrency 16", peers = 64, args = { "--concurrency", "16" },
    wrk = 16, multi = { 16, 64 }, compare = "multi16", over = 0.55, target = ">= 0.55 of 16" })
end

local THREE_STEPS = [[
local function one() return {n = 1} end
return function(msg, ctx)
  for i = 1, 3 do ctx.step("s", one) end
  return "done: " .. msg.text
end]]

---Messages whose handlers record three steps, beside the same without.
function drain.steps(options)
  local found = {}
  for _ = 1, options.runs do
    for name, script in pairs { with = THREE_STEPS, without = stage.SCRIPT } do
      local rate, _, platform = once { peers = 64, place = "disk", messages = options.messages, args = { "--concurrency", "16" },
        script = script }
      add(found, name, rate)
      platform:stop()
    end
  end
  sheet.section "drain, 64 conversations, --concurrency 16, three steps a message"
  sheet.row { name = "with three steps", unit = "/s", values = found.with, of = sheet.middle(found.without), over = 0.5,
    target = ">= 0.50 of without" }
  sheet.row { name = "without", unit = "/s", values = found.without }
end

---Lua and JSON by themselves.
function drain.alone(options)
  local platform = stage.platform { rows = 500, peers = 64 }
  local answer = require "tests.support.http".request { port = platform.port,
    path = "/workspaces/00000000-0000-4000-8000-000000000001/activity?limit=500" }
  platform:stop()
  local directory = stage.directory "memory"
  local page = support.write(directory .. "/page.json", answer.body)
  local script = support.write(directory .. "/agent.lua", stage.SCRIPT)
  local lua, json = {}, {}
  for i = 1, options.runs do
    lua[i] = tonumber(stage.run { stage.program "bench_alone", "lua", script, "1000000" })
    json[i] = tonumber(stage.run { stage.program "bench_alone", "json", page, "50000" })
  end
  sheet.section "parts by themselves"
  sheet.row { name = "the handler called in a loop, Lua alone", unit = "/s", values = lua }
  sheet.row { name = "rows parsed and printed, jansson alone", unit = "/s", values = json }
end

return drain
