--- Questions of handlers where something else happens at the same time: no message is lost, and none waits for nothing.

local cjson = require "cjson"
local asking = require "tests.support.asking"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local preload = require "tests.support.preload"

local eventually, kill, pause = asking.eventually, asking.kill, asking.pause

describe("a question meanwhile", function()
  local platform, workspace, state_dir, stage

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)
  before_each(function()
    stage = asking.new(platform)
    workspace, state_dir = stage.workspace, stage.state_dir
  end)
  after_each(host.clean_up)
  teardown(function() platform:stop() end)

  local function connect(...) return stage:connect(...) end
  local function say(...) return stage:say(...) end
  local function from_peer(...) stage:from_peer(...) end
  local function molecule(words) return stage:molecule(words) end
  local function open_questions() return stage:open() end
  local function wait_open(count) return stage:wait_open(count) end

  it("is asked once, though the run that asked it ended before the inbox was looked at", function()
    local one = connect([[
      molecule.log "begins"
      if ctx.attempt == 1 then molecule.sleep(0.3) end
      return "answer: " .. ctx.ask("Shall I?").text]], { args = { "--timeout", "1.5s" } })
    say "ask"
    one:log "begins"
    platform:fault({ kind = "status", status = 503, headers = { ["Retry-After"] = "3" } }, { path = "/activity" })
    one:log "attempt 1 of"
    one:canvas(1)
    pause(500)
    assert.equal(1, #open_questions())
    say "yes"
    assert.equal("answer: yes", one:canvas(2)[2])
    one:stop()
  end)

  it("to a peer has its turn, though it came while the handler still ran", function()
    local peer, other = host.workspace(platform).id, host.workspace(platform).id
    local one = connect(([[
      local both = molecule.all {
        function() return ctx.ask(msg.text, {from = "%s"}).text end,
        function() if msg.text == "ask 2" then molecule.sleep(2) end return "" end,
      }
      return both[1] ]]):format(peer), { args = { "--concurrency", "2" } })
    say("ask 1", { from = other })
    one:peer(peer, 1)
    wait_open(1)
    say "ask 2"
    eventually(function() return #open_questions() == 2 end)
    from_peer(peer, "33333333-0000-4000-8000-000000000001", "one")
    assert.equal("one", one:peer(other, 1)[1])
    assert.equal("ask 2", one:peer(peer, 2)[2])
    from_peer(peer, "33333333-0000-4000-8000-000000000002", "two")
    assert.equal("two", one:canvas(1)[1])
    one:stop()
  end)

  it("to a peer has its turn, though the host was killed before it was posted", function()
    local peer, other = host.workspace(platform).id, host.workspace(platform).id
    local body = ([[return ctx.ask(msg.text, {from = "%s"}).text]]):format(peer)
    local one = connect(body, { args = { "--concurrency", "2" } })
    say("ask 1", { from = other })
    one:peer(peer, 1)
    wait_open(1)
    say "ask 2"
    eventually(function() return #open_questions() == 2 end)
    pause(200)
    platform:fault({ kind = "status", status = 503 }, { path = peer .. "/a2a" }, { times = -1 })
    local mark = platform:mark()
    from_peer(peer, "33333333-0000-4000-8000-000000000001", "one")
    platform:wait { path = peer .. "/a2a", count = 1, since = mark }
    kill(one)
    platform:clear_faults()
    local again = connect(body, { args = { "--concurrency", "2" } })
    eventually(function() return #again:peer(peer, 2) == 2 end)
    from_peer(peer, "33333333-0000-4000-8000-000000000002", "two")
    assert.equal("two", again:canvas(1)[1])
    again:stop()
  end)

  it("of a message that another client had, and that comes back, is asked again", function()
    local body = [[
      molecule.log "begins"
      return "answer: " .. ctx.ask("Shall I?", {timeout = "25s"}).text]]
    local one = connect(body)
    local first = say "1"
    say "2"
    say "3"
    one:canvas(3)
    pause(300)
    say "ask"
    wait_open(1)
    kill(one)
    local state = one:state()
    state.last_since_id = first
    host.write(one.state_path, cjson.encode(state))
    local again = connect(body)
    again:canvas(5)
    say "yes"
    assert.equal("answer: yes", again:canvas(6)[6])
    again:stop()
    assert.is_true(again:count_log "begins" < 5)
  end)

  it("of a schedule is answered, though the host's clock is ahead of the platform's", function()
    local directory = host.directory()
    local library = preload.build("tests/fault/shim.c", directory)
    local function set_clock(ahead)
      host.write(directory .. "/clock.new", ("%d"):format(ahead))
      assert(os.rename(directory .. "/clock.new", directory .. "/clock"))
    end
    local midnight = (os.time() // 86400 + 1) * 86400 - os.time()
    set_clock(midnight + 7 * 3600)
    local one = host.connect { platform = platform, workspace = workspace, state_dir = state_dir, args = { "-v" },
      env = { LD_PRELOAD = library, FAULT_SHIM = directory }, script = [[
      local molecule = require "molecule"
      molecule.cron("0 8 * * *", function(run, ctx) molecule.log("heard %s", ctx.ask("Shall I?").text) end, { timezone = "UTC" })
      return function(msg) return "not for the schedule" end]] }
    one:log "is due next at"
    set_clock(midnight + 8 * 3600)
    one:canvas(1)
    wait_open(1)
    say "you may"
    one:log "heard you may"
    one:stop()
  end)

  it("to a peer that answers before its post is known to have arrived is told the choices", function()
    local peer = host.workspace(platform).id
    local one = connect(([[
      local answer, problem = ctx.ask("Which?", {from = "%s", choices = {"left", "right"}})
      return answer and answer.choice or problem]]):format(peer), { args = { "-v" } })
    platform:fault({ kind = "reset_after" }, { path = peer .. "/a2a" }, { times = 1 })
    say "ask"
    eventually(function() return #open_questions() == 1 end)
    local sent = platform:wait { path = "/workspaces/" .. peer .. "/a2a", count = 1 }
    local id = cjson.decode(sent[1].body).params.message.messageId
    from_peer(peer, "55555555-0000-4000-8000-000000000001", "perhaps", id)
    platform:wait { path = "/workspaces/" .. peer .. "/a2a", count = 3 } -- the question twice
    local told = one:peer(peer, 2)
    table.sort(told)
    assert.equal("Please answer left or right.", told[1])
    from_peer(peer, "55555555-0000-4000-8000-000000000002", "left", id)
    assert.equal("left", one:canvas(1)[1])
    one:stop()
  end)

  it("with choices refuses a long answer from the shell in words", function()
    local one = connect [[return ctx.ask("Which?", {choices = {"left", "right"}}).choice]]
    say "ask"
    local code = wait_open(1)[1].code
    assert.matches("is none of the choices", (molecule(("answer %s %s x%s"):format(workspace.id, code, ("é"):rep(700)))))
    one:stop()
  end)

  it("is asked once, and answered, though the host is stopped at any stage of it", function()
    local body = [[return "answer: " .. ctx.ask("Shall I?").text]]
    local faults = {
      { kind = "hang" }, -- while the inbox is read, and while it is posted
      { kind = "status", status = 503 },
    }
    local count = 0
    for _, path in ipairs { "/activity", "/notify" } do
      for _, fault in ipairs(faults) do
        stage, count = asking.new(platform), count + 1
        workspace = stage.workspace
        local one = connect(body, { args = { "--drain", "100ms" } })
        one:wait { path = "/workspaces/" .. workspace.id .. "/activity" }
        local mark = platform:mark()
        if path == "/notify" then platform:fault(fault, { path = path }, { times = -1 }) end
        say "ask"
        if path == "/activity" then
          one:wait { path = "/workspaces/" .. workspace.id .. "/activity", since = mark }
          platform:fault(fault, { path = path }, { times = -1 })
        else
          eventually(function() return #open_questions() == 1 end)
        end
        one:stop()
        platform:clear_faults()
        local again = connect(body)
        wait_open(1)
        say "yes"
        assert.equal("answer: yes", again:canvas(2)[2])
        again:stop()
      end
    end
    assert.equal(4, count)
  end)

  it("that lost a race before it was asked is not asked, and blocks no other", function()
    local peer = host.workspace(platform).id
    local one = connect(([[
      molecule.log "begins"
      molecule.sleep(0.3)
      local won = molecule.race {
        function() return ctx.ask("First?", {from = "%s"}).text end,
        function() molecule.sleep(0.2) return "won" end,
      }
      molecule.log "raced"
      return ctx.ask("Second?", {from = "%s"}).text]]):format(peer, peer))
    say "ask"
    one:log "begins"
    platform:fault({ kind = "status", status = 503 }, { path = "/activity" }, { times = -1 })
    one:log "raced"
    platform:clear_faults()
    assert.equal("Second?", one:peer(peer, 1)[1])
    assert.equal("Second?", wait_open(1)[1].text)
    one:stop()
  end)

  it("that could not yet be shown is not answered by what is said meanwhile", function()
    platform:fault({ kind = "status", status = 503 }, { path = "/notify" }, { times = -1 })
    local one = connect [[return "answer: " .. ctx.ask("Shall I?").text]]
    local mark = platform:mark()
    say "ask"
    platform:wait { path = "/workspaces/" .. workspace.id .. "/notify", count = 2, since = mark }
    mark = platform:mark()
    say "something else"
    platform:wait { path = "/workspaces/" .. workspace.id .. "/activity", count = 3, since = mark }
    platform:clear_faults()
    assert.matches("^Shall I", one:canvas(1)[1])
    say "yes"
    assert.same({ "answer: yes", "heard something else" }, { table.unpack(one:canvas(3), 2) })
    one:stop()
  end)
end)
