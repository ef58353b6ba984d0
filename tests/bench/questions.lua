--- What messages cost whose handlers have asked, and wait for days.

local cjson = require "cjson"
local uv = require "luv"
local support = require "tests.support.host"
local sheet = require "tests.bench.table"
local stage = require "tests.bench.stage"

local questions = {}

local MESSAGES, FEW, IDLE_SECONDS = 10000, 1000, 5
local WORKSPACE = "00000000-0000-4000-8000-000000000001"
local DRAIN_MS = 600000
local SCRIPT = [[return function(msg, ctx) return ctx.ask("sure of " .. msg.text .. "?", {timeout = "3d"}).text end]]

local function status(host)
  local pipe = assert(io.popen(("build/release/molecule status %s --json --state-dir %s"):format(WORKSPACE, host.state)))
  local value = cjson.decode(pipe:read "a")
  pipe:close()
  return value
end

-- A host that has asked about so many messages, each of another conversation, and runs none.
local function waiting(count)
  local platform = stage.platform { rows = count, peers = count }
  local host = stage.host { platform = platform, script = SCRIPT, args = { "--concurrency", "16", "--interval-ms", "3600000" } }
  platform:ask("wait?replies=" .. count, DRAIN_MS)
  while status(host).messages.kept < count do stage.pass(0.1) end
  stage.pass(1) -- the allocator gives back what it has not used
  return platform, host
end

---@return table<string, number> for the baseline
function questions.run()
  local platform, host = waiting(FEW)
  local few = host:private_kib()
  host:stop()
  platform:stop()
  platform, host = waiting(MESSAGES)
  local many = host:private_kib()
  local before = host:cpu_ns()
  stage.pass(IDLE_SECONDS)
  local busy = (host:cpu_ns() - before) / (IDLE_SECONDS * 1e9) * 100
  host:stop()
  local again = stage.host { platform = platform, again = host, args = { "--concurrency", "16" } }
  while not again.ended and not support.read(again.log):find("registered as", 1, true) do stage.pass(0.001) end
  local started = (uv.hrtime() - again.began_ns) / 1e6
  local resumed = again:private_kib()
  again:stop()
  platform:stop()
  sheet.section(("%d messages whose handlers wait for an answer (ctx.ask)"):format(MESSAGES))
  sheet.row { name = ("private memory of each: %d less %d of them"):format(MESSAGES, FEW), unit = "KiB",
    values = { (many - few) / (MESSAGES - FEW) }, under = 8, target = "< 8 KiB" }
  sheet.row { name = "private memory of all after a restart", unit = "KiB", values = { resumed } }
  sheet.row { name = "processor time of all threads meanwhile", unit = "%", values = { busy }, under = 1, target = "< 1 %" }
  sheet.row { name = "from exec to the registration", unit = "ms", values = { started }, under = 2000,
    target = "< 2,000 ms" }
  return {}
end

return questions
