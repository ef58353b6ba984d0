--- A random walk through what happens to a host between two messages: stops, kills, hours that pass, a platform that is away
--- or forgets the cursor, files that are damaged. Afterwards every message must have been answered, under one id, and once but
--- for a kill or a damaged ledger while it was under way. A walk is its seed: what it says in a failure repeats it, as far as
--- the instants of a kill can be repeated.

local cjson = require "cjson"
local uv = require "luv"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local loop = require "tests.support.loop"
local preload = require "tests.support.preload"
local tally = require "tests.fault.tally"

local PEERS = 3
local LATE_MS = 4000 -- a row is committed late by seconds, not by hours
local SETTLE_MS = 90000 -- only ends a hang
local ROUNDS = 6 -- of the end
local SCRIPT = [[
local molecule = require "molecule"
return function(msg, ctx)
  local slow, fails, later = msg.text:match "slow=(%d+)", msg.text:match "fails=(%d+)", msg.text:match "later=(%d+)"
  if slow then molecule.sleep(tonumber(slow) / 1000) end
  if later and ctx.attempt == 1 then return molecule.retry { after = tonumber(later) } end
  if fails and ctx.attempt <= tonumber(fails) then error "not yet" end
  return "answer " .. msg.text:match "%d+"
end]]

---@class Walk
---@field platform Emulator
---@field host Host? the process that runs
---@field messages table[] {row, sent_run, sent_damage}
local Walk = {}
Walk.__index = Walk

local hazards = {}

local function wait_ms(milliseconds)
  loop.wait(function() return false end, milliseconds) -- the random instant is the thing waited for
end

-- Looks now and again: what is looked at is asked from the platform.
local function watch(done, timeout_ms)
  local deadline = loop.now() + timeout_ms
  while not done() do
    if loop.now() > deadline then return false end
    wait_ms(30)
  end
  return true
end

function Walk:random(...)
  self.state = (self.state * 6364136223846793005 + 1442695040888963407) -- our own: others may use math.random between steps
  local low, high = ...
  if not high then low, high = 1, low end
  return low + ((self.state >> 33) % (high - low + 1))
end

function Walk:chance(one_in)
  return self:random(one_in) == 1
end

function Walk:note(...)
  self.log[#self.log + 1] = ("%6.0f ms  "):format(loop.now() - self.began_ms) .. (...):format(select(2, ...))
end

-- The host ---------------------------------------------------------------------------------------------------------------

function Walk:start(drain)
  self.run = self.run + 1
  self.host = host.start { platform = self.platform, workspace = self.workspace, script = SCRIPT, state_dir = self.state_dir,
    args = { "--concurrency", "3", "--max-attempts", "200", "--reply-ttl", "0", "--register-attempts", "0",
      "--refusal-patience", "1h", "--drain", drain, "-v" }, env = self.env }
  self:note("run %d (drain %s)", self.run, drain)
end

function Walk:read()
  self.tally:read()
  for number, message in ipairs(self.messages) do
    if not message.answered_run and self.tally.answers[number] then message.answered_run = self.run end
  end
end

function Walk:ended(how)
  self.reports[#self.reports + 1] = ("--- run %d ---\n%s"):format(self.run, self.host.process.stderr)
  self.host = nil
  self:note("%s", how)
  self:read()
end

function Walk:kill()
  self.host:kill()
  self.kills[self.run] = true
  self:ended "killed"
end

function Walk:stop()
  self.host.process:signal "sigterm"
  local _, signal = self.host.process:wait_exit()
  if signal == 15 then -- it did not even listen yet
    self.host:kill()
    return self:ended "stopped while it started"
  end
  self.host:wait_exit(0)
  self:ended "stopped"
end

-- What happens -----------------------------------------------------------------------------------------------------------

-- Some words that make the script slow, fail at first or wait for long.
function Walk:words()
  local kind = self:random(8)
  if kind == 1 then return (" slow=%d"):format(self:random(50, 1500)) end
  if kind == 2 then return (" fails=%d"):format(self:random(2)) end
  if kind == 3 then return " later=45" end -- beyond half a minute it is kept in the ledger and the cursor passes it
  return ""
end

function Walk:next_message(plain)
  local number = #self.messages + 1
  local peer = self.peers[self:random(0, PEERS)]
  self.messages[number] = { sent_run = self.run, sent_damage = self.damages }
  return { to = self.workspace.id, workspace = self.workspace.id, from = peer,
    text = ("question %d%s"):format(number, plain and "" or self:words()) }, number
end

function Walk:sent(how, number, ids)
  for i, id in ipairs(ids) do self.messages[number + i - 1].row = id end
  self.last_row_ms = loop.now()
  self:note("%s %d%s", how, number, #ids > 1 and ("-%d"):format(number + #ids - 1) or "")
end

local STEPS = {}

function STEPS.send(self)
  for _ = 1, self:random(4) do
    local message, number = self:next_message()
    self:sent("row" .. (message.text:match " %a+=%d+" or ""), number, self.platform:message(message))
  end
end

function STEPS.late(self)
  if not self.last_row_ms or loop.now() - self.last_row_ms > LATE_MS then return end
  if #self.platform:rows(self.workspace.id) == 0 then return end -- pruned
  local message, number = self:next_message()
  self.messages[number].late = true
  local last = self.last_row_ms
  self:sent("late row" .. (message.text:match " %a+=%d+" or ""), number, self.platform:order("late", message).ids)
  self.last_row_ms = last
end

function STEPS.tie(self)
  local all, first = {}, nil
  for i = 1, self:random(2, 4) do
    local number
    all[i], number = self:next_message()
    first = first or number
  end
  self:sent("tie", first, self.platform:order("tie", { workspace = self.workspace.id, messages = all }).ids)
end

function STEPS.wait(self)
  wait_ms(self:random(0, 400))
  self:read()
end

-- Until what can be answered now is.
function STEPS.rest(self)
  if not self.host or self.away then return end
  watch(function() return self:unanswered() == 0 end, 1500)
  self:note("%d unanswered", self:unanswered())
end

function STEPS.stop(self)
  if self.host then self:stop() end
end

function STEPS.kill(self)
  if self.host then self:kill() end
end

function STEPS.start(self)
  if not self.host then self:start(self:chance(2) and "50ms" or "2s") end
end

-- While nobody runs: a frozen process is another matter.
function STEPS.pass(self)
  if self.host then return end
  self:let_pass(self:chance(2) and self:random(61, 200) or self:random(3600, 10000))
end

function STEPS.away(self)
  if self.away then
    self.away = false
    self.platform:clear_faults()
    self:note "the platform is back"
    return
  end
  local kinds = { { kind = "reset" }, { kind = "status", status = 503 }, { kind = "database" }, { kind = "html502" } }
  local action = kinds[self:random(#kinds)]
  self.away = true
  self.platform:fault(action, {}, { times = -1 })
  self:note("the platform is away: %s", action.kind)
end

function Walk:state_file()
  local text = host.read(self.state_path)
  local fine, members = pcall(cjson.decode, text or "")
  return fine and type(members) == "table" and members or nil
end

-- Row ids of what was not answered yet.
function Walk:waiting()
  self:read()
  local waiting = {}
  for _, message in ipairs(self.messages) do
    if not message.answered_run and message.row then waiting[message.row] = true end
  end
  return waiting
end

-- The rows up to the cursor's; nil: there is none, or it is not there any more.
function Walk:passed_rows()
  local state = self:state_file()
  local cursor, passed = state and state.last_since_id, {}
  if type(cursor) ~= "string" then return nil end
  for _, row in ipairs(self.platform:rows(self.workspace.id)) do
    passed[#passed + 1] = row.id
    if row.id == cursor then return passed end
  end
  return nil
end

-- The cursor's row is gone, and sometimes those in front of it; never one that only the inbox still has.
function STEPS.prune(self)
  local passed = self:passed_rows()
  if not passed then return end
  local waiting, deep, ids = self:waiting(), self:chance(2), {}
  for i, id in ipairs(passed) do
    if not waiting[id] and (deep or i == #passed) then ids[#ids + 1] = id end
  end
  if #ids == 0 then return end
  self.platform:order("prune", { workspace = self.workspace.id, ids = ids })
  self:note("%d rows are pruned up to the cursor", #ids)
end

local function write(path, text)
  local file = assert(io.open(path, "r+b"))
  file:write(text)
  file:close()
end

local function ask(path, query)
  local pipe = assert(io.popen(("sqlite3 -cmd '.timeout 5000' '%s' \"%s\" 2>&1"):format(path, query)))
  local answer = pipe:read "a"
  return pipe:close() and answer:match "^[^\n]+" or nil
end

-- The cursor file of a host that does not run, where its ledger has a copy.
function STEPS.cursor(self)
  local state = not self.host and self:state_file()
  local copy = state and uv.fs_stat(self.ledger_path) and ask(self.ledger_path, "SELECT value FROM meta WHERE key = 'cursor'")
  if not copy or not copy:find "^%x+%-" then return end
  local before = ask(self.ledger_path, "SELECT value FROM meta WHERE key = 'cursor_before'")
  local kind = self:random(4)
  if kind == 1 then
    host.write(self.state_path, "{\"workspace_id\": \"7f")
  elseif kind == 2 then
    host.write(self.state_path, "")
  elseif kind == 3 then
    uv.fs_unlink(self.state_path)
  elseif before then
    state.last_since_id = before
    host.write(self.state_path, cjson.encode(state))
  end
  self:note("cursor file: %s", ({ "damaged", "emptied", "deleted", "one step behind" })[kind])
end

-- The ledger of a host that does not run, where the cursor file is well: it lists what the cursor has passed and is not finished
-- (a message that waits for long).
function STEPS.ledger(self)
  if self.host or not uv.fs_stat(self.ledger_path) or not self:passed_rows() then return end
  for number, message in ipairs(self.messages) do -- what was committed late is found again by what the ledger has
    if message.late and not self.tally.answers[number] then return end
  end
  self.last_row_ms = nil -- until the next row none comes late
  write(self.ledger_path, ("no database "):rep(20))
  self.damages = self.damages + 1
  self:note "ledger: damaged"
end

local WEIGHTS = { send = 10, late = 3, tie = 3, wait = 6, rest = 4, stop = 4, kill = 4, start = 9, pass = 3, away = 3, prune = 3,
  cursor = 3, ledger = 3 }

local function steps_of(options)
  local names, list = {}, {}
  for name in pairs(WEIGHTS) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    for _ = 1, options.without and options.without[name] and 0 or WEIGHTS[name] do list[#list + 1] = name end
  end
  return list
end

-- The end ----------------------------------------------------------------------------------------------------------------

function Walk:let_pass(seconds)
  self.passed = self.passed + seconds
  self.last_row_ms = nil
  host.write(self.directory .. "/passed.new", tostring(self.passed))
  assert(os.rename(self.directory .. "/passed.new", self.directory .. "/passed"))
  self:note("%d s pass", seconds)
end

function Walk:unanswered()
  self:read()
  local count = 0
  for number in ipairs(self.messages) do
    if not self.tally.answers[number] then count = count + 1 end
  end
  return count
end

-- Everything is recovered, and time passes: what waits for its time has it.
function Walk:settle()
  if self.away then STEPS.away(self) end
  for _ = 1, ROUNDS do
    if self.host then self:stop() end
    self:let_pass(120)
    self:start "10s"
    local last, changed = self:unanswered(), loop.now()
    watch(function()
      local left = self:unanswered()
      if left ~= last then last, changed = left, loop.now() end
      return left == 0 or loop.now() - changed > 5000
    end, SETTLE_MS)
    if last == 0 then break end
  end
  if self.host then self:stop() end
end

-- Once all is answered, nothing is answered again, though the platform forgets the cursor.
function Walk:come_back()
  local before = 0
  for _, answer in pairs(self.tally.answers) do before = before + answer.posts end
  STEPS.prune(self)
  self:let_pass(4000)
  self:start "10s"
  local message, number = self:next_message(true)
  self:sent("row", number, self.platform:message(message))
  watch(function() return self:unanswered() == 0 end, SETTLE_MS)
  self:stop()
  local after = 0
  for _, answer in pairs(self.tally.answers) do after = after + answer.posts end
  return after - before - 1
end

function Walk:problem(...)
  self.problems[#self.problems + 1] = (...):format(select(2, ...))
end

function Walk:judge()
  for number, message in ipairs(self.messages) do
    local answer = self.tally.answers[number]
    if not answer then
      self:problem("message %d (row %s) was never answered", number, message.row)
    else
      local allowed = 1 + self.damages - message.sent_damage
      for run = message.sent_run, message.answered_run do allowed = allowed + (self.kills[run] and 1 or 0) end
      if answer.distinct > 1 then self:problem("message %d was answered under %d ids", number, answer.distinct) end
      if answer.posts > allowed then
        self:problem("message %d was answered %d times, %d allowed", number, answer.posts, allowed)
      end
    end
  end
  local pipe = assert(io.popen(("%s dead list %s --state-dir '%s' --json"):format(emulator.binary(), self.workspace.id,
    self.state_dir)))
  local dead = cjson.decode(pipe:read "a")
  pipe:close()
  if #dead > 0 then self:problem("%d dead letters", #dead) end
end

local function begin(options)
  local self = setmetatable({ state = options.seed, log = {}, reports = {}, problems = {}, messages = {}, kills = {}, run = 0,
    damages = 0, passed = 0, away = false, began_ms = loop.now() }, Walk)
  self.directory = host.directory()
  self.env = { LD_PRELOAD = preload.build("tests/fault/shim.c", self.directory), FAULT_SHIM = self.directory }
  self.platform = emulator.start { profile = options.profile, args = { "--rate-limit", "-1" }, env = self.env }
  self.workspace = host.workspace(self.platform)
  self.peers = {}
  for i = 1, PEERS do self.peers[i] = host.workspace(self.platform).id end
  self.state_dir = self.directory .. "/state"
  self.state_path = ("%s/%s.json"):format(self.state_dir, self.workspace.id)
  self.ledger_path = ("%s/%s.db"):format(self.state_dir, self.workspace.id)
  self.tally = tally.new(self.platform, self.workspace)
  return self
end

local function walk(self, options)
  self:start "10s"
  watch(function() return self:state_file() end, SETTLE_MS) -- from here on nothing may be lost
  assert(self:state_file(), "the host keeps no state")
  local names = steps_of(options)
  for _ = 1, options.steps do
    STEPS[names[self:random(#names)]](self)
    wait_ms(self:random(0, 120))
  end
  self:settle()
  if #self.problems == 0 and self:unanswered() == 0 then
    local again = self:come_back()
    if again > 0 then self:problem("%d answers were repeated at the end, for nothing", again) end
  end
  self:judge()
end

---@param options {seed: integer, steps: integer, profile: "t1"|"latest", without: table<string, boolean>?}
---  without: steps that do not happen, by name
---@return string? problem what is broken, and what was done
function hazards.walk(options)
  local self = begin(options)
  local fine, problem = xpcall(walk, debug.traceback, self, options)
  if not fine then self:problem("%s", problem) end
  if self.host then self.host:kill() end
  local stopped, complaint = pcall(self.platform.stop, self.platform)
  if not stopped then self:problem("%s", complaint) end
  if #self.problems == 0 then return nil end
  local without = {}
  for name in pairs(options.without or {}) do without[#without + 1] = name end
  table.sort(without)
  return ("tests/fault/walk --runs 1 --seed %d --steps %d --profile %s --without '%s'\n  %s\nafter:\n  %s\n%s"):format(
    options.seed, options.steps, options.profile, table.concat(without, ","),
    table.concat(self.problems, "\n  "), table.concat(self.log, "\n  "), table.concat(self.reports, "\n"))
end

return hazards
