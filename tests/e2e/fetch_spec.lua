local cjson = require "cjson"
local uv = require "luv"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"

local BACKLOG = 3000  -- six pages

local platforms = {}

setup(function()
  for _, profile in ipairs { "t1", "latest" } do
    platforms[profile] = emulator.start { profile = profile, args = { "--rate-limit", "-1" } }
  end
end)

teardown(function()
  for _, platform in pairs(platforms) do platform:stop() end
end)

local function numbers(from, to)
  local list = {}
  for i = from, to do list[#list + 1] = "echo: " .. i end
  return list
end

-- Rows that come late are found when the inbox is read again, 10 to 25 s later: these hosts run beside the other tests.
describe("rows that appear in the past", function()
  local late, tie, backlog = {}, {}, {}

  local function connect(case, profile)
    case.platform = platforms[profile]
    case.workspace, case.peer = host.workspace(case.platform), host.workspace(case.platform)
    case.host = host.connect { platform = case.platform, workspace = case.workspace, script = host.ECHO }
  end

  local function say(case, text, more)
    local value = { to = case.workspace.id, from = case.peer.id, text = text }
    for name, field in pairs(more or {}) do value[name] = field end
    return case.platform:message(value)[1]
  end

  local function check(case, texts)
    local answered = case.host:wait { path = ("/workspaces/%s/a2a"):format(case.peer.id), status = 200,
      count = #texts }
    for i, entry in ipairs(answered) do
      assert.equal(texts[i], cjson.decode(entry.body).params.message.parts[1].text)
    end
    case.host:stop()
    assert.equal(#texts, #case.host:posts "/a2a")
  end

  -- After the first late row was answered, a second one: by the first test that finds it so, whatever the order.
  local function go_on_with_late()
    if late.second then return end
    for _, entry in ipairs(late.host:posts "/a2a") do
      if entry.status == 200 and entry.body:find("echo: late", 1, true) then
        late.second = true
        say(late, "third")
        late.host:wait { path = ("/workspaces/%s/a2a"):format(late.peer.id), status = 200, body = "echo: third" }
        late.platform:order("late", { to = late.workspace.id, from = late.peer.id, text = "later" })
        return
      end
    end
  end

  before_each(go_on_with_late)

  setup(function()
    connect(late, "latest")
    say(late, "first")
    say(late, "second")
    late.host:peer(late.peer.id, 2)
    late.platform:order("late", { to = late.workspace.id, from = late.peer.id, text = "late" })

    connect(tie, "t1")
    say(tie, "first")
    say(tie, "cursor")
    tie.host:peer(tie.peer.id, 2)
    local rows = tie.platform:rows(tie.workspace.id)
    tie.cursor = rows[#rows]
    say(tie, "same microsecond", { created_at = tie.cursor.created_at })

    -- The first message takes so long that the inbox is read again while most of it was never read.
    backlog.platform = platforms.latest
    backlog.workspace, backlog.peer = host.workspace(backlog.platform), host.workspace(backlog.platform)
    say(backlog, "first")
    backlog.host = host.connect { platform = backlog.platform, workspace = backlog.workspace, script = [[
      local molecule = require "molecule"
      return function(msg)
        if msg.text == "1" then molecule.sleep(11) end
        return "echo: " .. msg.text
      end]], args = { "-v" } }
    backlog.host:peer(backlog.peer.id, 1)
    say(backlog, "%n", { count = BACKLOG })
  end)

  teardown(host.clean_up)

  describe("meanwhile:", function()
    local platform, workspace, peer

    before_each(function()
      platform = platforms.latest
    end)

    local function every_profile(profile)
      describe("(" .. profile .. ")", function()
        local spare = {}

        before_each(function()
          platform = platforms[profile]
          workspace, peer = host.workspace(platform), host.workspace(platform)
        end)

        after_each(function()
          for _, one in ipairs(spare) do one:kill() end
          spare = {}
        end)

        local function connect_here(options)
          options = options or {}
          options.platform, options.workspace = platform, workspace
          options.script = options.script or host.ECHO
          local one = host.connect(options)
          spare[1] = one
          return one
        end

        local function send(text, more)
          local value = { to = workspace.id, from = peer.id, text = text }
          for name, field in pairs(more or {}) do value[name] = field end
          return platform:message(value)[1]
        end

        -- The texts that the peer was sent once `last` was answered too.
        local function answered(one, last)
          send(last)
          one:wait { path = ("/workspaces/%s/a2a"):format(peer.id), status = 200, body = "echo: " .. last }
          return (one:peer(peer.id, 1))
        end

        local function write_cursor(id)
          local directory = host.directory() .. "/state"
          assert(uv.fs_mkdir(directory, 448))
          host.write(("%s/%s.json"):format(directory, workspace.id),
            cjson.encode { workspace_id = workspace.id, last_since_id = id })
          return directory
        end

        it("what waits at a first start is answered oldest first, each once; what is too old is not", function()
          send("too old", { created_at = host.ago(120) })
          for i = 1, 3 do send(tostring(i)) end
          local one = connect_here()
          local texts = answered(one, "4")
          one:stop()
          assert.same(numbers(1, 4), texts)
        end)

        it("--since-secs says how far back that is", function()
          send("within", { created_at = host.ago(120) })
          send("too old", { created_at = host.ago(400) })
          local one = connect_here { args = { "--since-secs", "300" } }
          local texts = answered(one, "new")
          one:stop()
          assert.same({ "echo: within", "echo: new" }, texts)
        end)

        it("a pruned cursor is dropped: new messages are answered, answered ones are not again", function()
          local one = connect_here()
          platform:message { to = workspace.id, text = "one" }
          platform:message { to = workspace.id, text = "two" }
          one:canvas(2)
          local rows = platform:rows(workspace.id)
          one:wait_cursor(rows[#rows].id)
          platform:order("prune", { workspace = workspace.id, ids = { rows[#rows].id } })
          one:log "no longer knows our cursor"
          platform:message { to = workspace.id, text = "three" }
          assert.same({ "echo: one", "echo: two", "echo: three" }, one:canvas(3))
          platform:message { to = workspace.id, text = "four" }
          one:canvas(4)
          local last = platform:rows(workspace.id)
          one:wait_cursor(last[#last].id)
          one:stop()
          assert.equal(4, #one:posts "/notify")
        end)

        it("1200 rows are answered in order, each once", function()
          local one = connect_here()
          send "0"
          one:peer(peer.id, 1)
          local rows = platform:message { to = workspace.id, from = peer.id, text = "%n", count = 1200 }
          local texts = one:peer(peer.id, 1201)
          one:stop_at(rows[1200])
          assert.same(numbers(0, 1200), texts)
          assert.equal(1201, #one:posts "/a2a")
        end)

        it("a row that the platform sends twice is answered once", function()
          local first = send "first"
          local twice = send "twice"
          local cold = send "cold"
          platform:order("duplicate", { workspace = workspace.id, id = twice, copies = 3 })
          local one = connect_here { state_dir = write_cursor(first) }
          assert.same({ "echo: twice", "echo: cold", "echo: end" }, answered(one, "end"))
          one:stop()
          platform:order("duplicate", { workspace = workspace.id, id = cold, copies = 2 })
          local two = connect_here() -- all four, by window
          local texts = answered(two, "again")
          two:stop()
          assert.same({ "echo: first", "echo: twice", "echo: cold", "echo: end", "echo: again" },
            { table.unpack(texts, 4) })
        end)

        it("rows of one microsecond are all answered, in the platform's order", function()
          local first = send "first"
          local list = {}
          for i = 1, 5 do list[i] = { from = peer.id, text = tostring(i) } end
          platform:order("tie", { to = workspace.id, messages = list })
          local one = connect_here { state_dir = write_cursor(first) }
          local texts = answered(one, "6")
          one:stop()
          assert.same(numbers(1, 6), texts)
        end)

        it("rows of one microsecond are all answered where a page ends between them", function()
          local first = send("first", { created_at = host.ago(20) })
          platform:message { to = workspace.id, from = peer.id, text = "%n", count = 498 }
          local list = {}
          for i = 1, 5 do list[i] = { from = peer.id, text = "tied " .. i } end
          platform:order("tie", { to = workspace.id, messages = list })
          local one = connect_here { state_dir = write_cursor(first) }
          local texts = answered(one, "end")
          one:stop()
          local expected = numbers(1, 498)
          for i = 1, 5 do expected[#expected + 1] = "echo: tied " .. i end
          expected[#expected + 1] = "echo: end"
          assert.same(expected, texts)
        end)

        it("a cursor that is no UUID is given up after three refusals", function()
          local one = connect_here { state_dir = write_cursor "row-17" }
          one:log "no longer knows our cursor"
          assert.same({ "echo: hello" }, answered(one, "hello"))
          one:stop()
          local refused = 0
          for _, entry in ipairs(one:posts "/activity") do
            if entry.status == 500 then refused = refused + 1 end
          end
          assert.equal(3, refused)
        end)

        it("rows that are no messages to us are passed: echoes, self reports, uploads, what was answered", function()
          local one = connect_here()
          local function row(fields)
            return platform:message { to = workspace.id, text = "not for us", row = fields }
          end
          row { method = "notify", request_body = cjson.null, response_body = { result = "our own words" } }
          row { source_id = workspace.id }
          row { method = "delegate_result", source_id = workspace.id, response_body = { text = "done" } }
          row { method = "chat_upload_receive" }
          row { source_id = peer.id, response_body = { result = "a push agent answered" } }
          row { source_id = peer.id, status = "error" }
          row { source_id = peer.id, summary = "message/send (queued: target busy)" }
          row { source_id = peer.id, method = cjson.null, request_body = cjson.null }
          assert.same({ "echo: for us" }, answered(one, "for us"))
          local rows = platform:rows(workspace.id)
          one:stop_at(rows[#rows].id)
          assert.equal(0, #one:posts "/notify")
          assert.equal(1, #one:posts "/a2a")
        end)

        local function raw(id, envelope, extra)
          return ([[{"id":"%s","workspace_id":"%s","activity_type":"a2a_receive","source_id":"%s","method":]]
            .. [["message/send","status":"ok","created_at":"%s"%s%s}]]):format(id, workspace.id, peer.id, host.ago(0),
            extra or "", envelope and ',"request_body":' .. envelope or "")
        end

        local ENVELOPE = [[{"jsonrpc":"2.0","method":"message/send","params":{"message":{"parts":[%s]}}}]]

        -- name, request_body as JSON or nil for none, what is answered
        local odd = {
          { "a number of 30 digits",
            ENVELOPE:format [[{"kind":"text","text":"big"},{"kind":"data","data":123456789012345678901234567890}]],
            "echo: big" },
          { "half a surrogate pair", ENVELOPE:format [[{"kind":"text","text":"half \ud83d pair"}]],
            "echo: half \u{fffd} pair" },
          { "bytes that are no UTF-8", ENVELOPE:format '{"kind":"text","text":"bad \xff\xfe byte"}',
            "echo: bad \u{fffd}\u{fffd} byte" },
          { "a request_body that is a string", [["just text"]], "echo: " },
          { "a request_body that is null", "null", "echo: " },
          { "no request_body", nil, "echo: " },
          { "a request_body that is a number", "42", "echo: " },
          { "a request_body that is a list", "[[],{}]", "echo: " },
          { "parts that are no list", [[{"params":{"message":{"parts":"text"}}}]], "echo: " },
          { "parts that are no objects", ENVELOPE:format [=[1,null,"text",[],{"kind":"text","text":"one"}]=],
            "echo: one" },
        }
        for _, case in ipairs(odd) do
          it(case[1] .. " is no reason to stop", function()
            local one = connect_here()
            send "before"
            local id = emulator.uuid()
            platform:message { to = workspace.id, raw_row_base64 = host.base64(raw(id, case[2])), id = id }
            local texts = answered(one, "after")
            one:stop()
            assert.same({ "echo: before", case[3], "echo: after" }, texts)
          end)
        end

        for _, case in ipairs {
          { "text that is no JSON", "%s is not JSON" },
          { "an object without an end to its string's escape", [[{"id":"%s","summary":"\x"}]] },
          { "a source_id that is a number", [[{"id":"%s","source_id":7,"method":"message/send"}]] },
          { "a list", [=[["%s"]]=] },
        } do
          it("a row that is " .. case[1] .. " is set aside with a word in the log, the rows around it are answered",
            function()
              local one = connect_here()
              send "before"
              local id = emulator.uuid()
              platform:message { to = workspace.id, raw_row = case[2]:format(id), id = id }
              one:log "row .* cannot be read and is set aside: .*; the inbox continues"
              local texts = answered(one, "after")
              local rows = one:count_log "cannot be read and is set aside"
              one:stop()
              assert.same({ "echo: before", "echo: after" }, texts)
              assert.equal(1, rows)
            end)
        end

        it("a row of 5 MB is answered, and so are those around it", function()
          local one = connect_here { script = [[return function(msg) return "echo: " .. #msg.text end]] }
          send "1"
          send(("x"):rep(5000000))
          send "12"
          local texts = one:peer(peer.id, 3)
          one:stop()
          assert.same({ "echo: 1", "echo: 5000000", "echo: 2" }, texts)
        end)
      end)
    end

    every_profile "t1"

    every_profile "latest"

    it("1200 rows that wait at a first start are all answered where the platform can page back", function()
      workspace, peer = host.workspace(platform), host.workspace(platform)
      platform:message { to = workspace.id, from = peer.id, text = "%n", count = 1200 }
      local one = host.connect { platform = platform, workspace = workspace, script = host.ECHO }
      local texts = one:peer(peer.id, 1200)
      one:stop()
      assert.same(numbers(1, 1200), texts)
      assert.equal(1200, #one:posts "/a2a")
    end)

    it("of 1200 rows that wait at a first start the newest 500 are answered where it cannot, and it says so", function()
      platform = platforms.t1
      workspace, peer = host.workspace(platform), host.workspace(platform)
      platform:message { to = workspace.id, from = peer.id, text = "%n", count = 1200 }
      local one = host.connect { platform = platform, workspace = workspace, script = host.ECHO }
      one:log "older ones may be missing"
      local texts = one:peer(peer.id, 500)
      one:stop()
      assert.same(numbers(701, 1200), texts)
    end)
  end)

  it("a long inbox that is read again is not read beyond where it was read before", function()
    local texts = backlog.host:peer(backlog.peer.id, BACKLOG + 1)
    backlog.host:stop()
    assert.equal("echo: first", texts[1])
    for i = 1, BACKLOG do assert.equal("echo: " .. i, texts[i + 1]) end
    assert.equal(0, backlog.host:count_log "came late")
    assert.equal(0, backlog.host:count_log "known already")
    local asked, pages, polls = {}, 0, backlog.host:posts "/activity"
    for _, entry in ipairs(polls) do
      local from = entry.query.since_id or "window"
      if not asked[from] then pages = pages + 1 end
      asked[from] = true
    end
    local rereads = (polls[#polls].at - polls[1].at) // 10000 + backlog.host:count_log "an announced message did not arrive"
    rereads = 2 * rereads -- each from a row of its own, and on from where it paused
    assert.is_true(pages <= BACKLOG // 500 + 5 + rereads, pages .. " pages")
  end)

  it("a row in the cursor's own microsecond is answered where the platform does not show it", function()
    check(tie, { "echo: first", "echo: cursor", "echo: same microsecond" })
  end)

  it("a row that was committed late is answered, and so is one that came after the inbox was read again", function()
    late.host:wait { path = ("/workspaces/%s/a2a"):format(late.peer.id), status = 200, body = "echo: late" }
    go_on_with_late()
    check(late, { "echo: first", "echo: second", "echo: late", "echo: third", "echo: later" })
  end)
end)
