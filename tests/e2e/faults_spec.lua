local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local proxy = require "tests.fault.proxy"

describe("a platform in trouble", function()
  local platform
  local slow = {} -- hosts whose tests mostly wait: they run beside the others

  local function begin(more)
    local one = { workspace = host.workspace(platform), peer = host.workspace(platform) }
    local all = { platform = platform, workspace = one.workspace, script = host.ECHO }
    for name, value in pairs(more or {}) do all[name] = value end
    one.host = host.connect(all)
    function one.say(text, from_peer)
      return platform:message { to = one.workspace.id, from = from_peer and one.peer.id or nil, text = text }[1]
    end
    function one.fault(action, path, more_of_it)
      return platform:fault(action, { path = path, workspace = path:find "/a2a" and one.peer.id or one.workspace.id },
        more_of_it)
    end
    -- The journal's entries with a fault, and the request that follows each.
    function one.after_fault(ending)
      local pairs_found, before = {}, nil
      for _, entry in ipairs(one.host:posts(ending)) do
        if before then pairs_found[#pairs_found + 1] = { fault = before, next = entry } end
        before = entry.fault and entry or nil
      end
      return pairs_found
    end
    return one
  end

  setup(function()
    platform = emulator.start { profile = "latest", args = { "--rate-limit", "-1" } }

    slow.heartbeat = begin { args = { "--heartbeat-ms", "50" } }
    slow.heartbeat.fault({ kind = "status", status = 400, body = { error = "invalid request body" } },
      "/registry/heartbeat")

    slow.hang = begin()
    slow.hang.fault({ kind = "hang" }, "/activity")

    slow.drip = begin()
    slow.drip.fault({ kind = "slow", piece = 1, every_ms = 100 }, "/activity")
    slow.drip.say "dripping"
  end)

  teardown(function()
    host.clean_up()
    platform:stop()
  end)

  local function within(least_s, pair)
    local seconds = (pair.next.at - pair.fault.at) / 1000
    assert.is_true(seconds >= least_s, ("%.3f s between the refusal and the next try"):format(seconds))
  end

  describe("429 with Retry-After", function()
    local LIMITED = { kind = "status", status = 429, headers = { ["Retry-After"] = "1" },
      body = { error = "rate limit exceeded", retry_after = 1 } }

    it("is waited for by polls, heartbeats and replies, each for itself, and nothing stops", function()
      local one = begin { args = { "--heartbeat-ms", "50" } }
      one.fault(LIMITED, "/activity")
      one.fault(LIMITED, "/registry/heartbeat")
      one.fault(LIMITED, "/notify")
      one.host:log "poll: HTTP 429: rate limit exceeded; retrying"
      one.host:log "heartbeat: HTTP 429: rate limit exceeded; retrying"
      one.say "hello"
      assert.same({ "echo: hello" }, one.host:canvas(1))
      one.host:log "poll: recovered"
      one.host:log "heartbeat: recovered"
      one.host:stop()
      for _, ending in ipairs { "/activity", "/registry/heartbeat", "/notify" } do
        local waited = one.after_fault(ending)
        assert.equal(1, #waited, ending)
        within(1, waited[1])
      end
      local posts = one.host:posts "/notify"
      assert.equal(2, #posts)
      assert.equal(posts[1].body, posts[2].body)
    end)

    it("may say when in the body alone", function()
      local one = begin()
      one.fault({ kind = "status", status = 429, body = { error = "rate limit exceeded", retry_after = 1 } }, "/activity")
      one.host:log "poll: recovered"
      one.host:stop()
      within(1, one.after_fault("/activity")[1])
    end)
  end)

  describe("a poll that fails is tried again and the message is answered once:", function()
    local function survives(name, action, pattern)
      it(name, function()
        local one = begin()
        one.fault(action, "/activity", { times = 2 })
        one.host:log(pattern)
        one.say "hello"
        one.say "again"
        assert.same({ "echo: hello", "echo: again" }, one.host:canvas(2))
        one.host:log "poll: recovered"
        one.host:stop()
        assert.equal(2, #one.host:posts "/notify")
      end)
    end

    survives("500", { kind = "status", status = 500, body = { error = "query failed" } },
      "poll: HTTP 500: query failed; retrying")
    survives("503 of a platform without its database", { kind = "status", status = 503,
      body = { error = "platform datastore unavailable — retry shortly", code = "platform_unavailable" } },
      "poll: HTTP 503: platform datastore unavailable.*; retrying")
    survives("a connection that is reset", { kind = "reset" }, "poll: sent, and no answer.*; retrying")
    survives("an answer cut in its middle", { kind = "cut", bytes = 1 }, "poll: .*; retrying")
    survives("garbage where JSON should be", { kind = "garbage", body = "%%% not JSON %%%" },
      "poll: .*not.*JSON.*; retrying")
    survives("an object where a list should be", { kind = "garbage", body = '{"rows":[]}' },
      "poll: HTTP 200: the answer is not the JSON expected: .*; retrying")
    survives("half a list", { kind = "garbage", body = '[{"id":"' }, "poll: .*the body ends before its array does; retrying")
    survives("an edge's page in HTML", { kind = "html502" }, "poll: HTTP 502.*; retrying")
    survives("a redirect's page in HTML with status 200", { kind = "garbage", body = "<html>login</html>",
      content_type = "text/html" }, "poll: HTTP 200: the answer is not the JSON expected: login; retrying")
  end)

  describe("a reply that fails is posted again, the same bytes:", function()
    local function survives(name, action, ending, from_peer)
      it(name, function()
        local one = begin()
        one.fault(action, ending, { times = 2 })
        local row = one.say("hello", from_peer)
        one.host:log_of(row, "posting the same reply again")
        one.host:log_of(row, "replied")
        one.host:log_of(one.say("next", from_peer), "replied")
        one.host:stop()
        local posts = one.host:posts(ending)
        assert.equal(4, #posts)
        assert.equal(posts[1].body, posts[2].body)
        assert.equal(posts[1].body, posts[3].body)
        assert.not_equal(posts[1].body, posts[4].body)
        if from_peer then
          assert.equal(2, #platform:rows(one.peer.id))
          assert.matches("^%x+%-%x+%-5", cjson.decode(posts[1].body).params.message.messageId)
        end
      end)
    end

    survives("503 to the canvas", { kind = "status", status = 503 }, "/notify")
    survives("503 to a peer", { kind = "status", status = 503 }, "/a2a", true)
    survives("500 to a peer", { kind = "status", status = 500 }, "/a2a", true)
    survives("a reset to the canvas", { kind = "reset" }, "/notify")
    survives("a reset to a peer", { kind = "reset" }, "/a2a", true)
    survives("an edge's page in HTML to the canvas", { kind = "html502" }, "/notify")
    survives("garbage to a peer", { kind = "garbage", body = "ok" }, "/a2a", true)
  end)

  it("a reply whose answer is lost is stored once at the peer, whose platform knows its messageId", function()
    local one = begin()
    one.fault({ kind = "reset_after" }, "/a2a")
    one.say("hello", true)
    one.host:log "posting the same reply again"
    one.host:log "replied"
    one.host:stop()
    local posts = one.host:posts "/a2a"
    assert.equal(2, #posts)
    assert.equal(posts[1].body, posts[2].body)
    assert.equal(1, #platform:rows(one.peer.id))
  end)

  it("a canvas reply whose answer is lost is shown once: its echo in our inbox is the receipt", function()
    local one = begin()
    one.fault({ kind = "reset_after" }, "/notify")
    one.say "hello"
    one.say "next"
    one.host:wait { path = one.workspace.id .. "/notify", body = "echo: next" }
    one.host:stop()
    assert.same({ "echo: hello", "echo: next" }, one.host:told_canvas())
  end)

  it("a canvas reply that an edge takes for failed is shown once: its echo is looked for first", function()
    local middle = proxy.start(platform.port)
    local one = begin { api_url = middle.url }
    middle:meet("/notify", { pass = true, instead = "HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 7\r\n\r\n<html/>" }, 1)
    local row = one.say "hello"
    one.host:log_of(row, "posting the same reply again")
    one.host:log_of(row, "its receipt was found")
    assert.same({ "echo: hello" }, one.host:told_canvas())
    one.host:stop()
    middle:close()
  end)

  it("a reply that meets a redirect is kept and posted again, and nobody else is told the token", function()
    local middle, elsewhere = proxy.start(platform.port), proxy.witness()
    local one = begin { api_url = middle.url }
    local answer = "HTTP/1.1 307 Moved\r\nLocation: %s/\r\nContent-Length: 0\r\n\r\n"
    middle:meet("/a2a", { send = answer:format(elsewhere.url) }, 1)
    local row = one.say("hello", true)
    one.host:log_of(row, "posting the same reply again")
    one.host:log_of(row, "replied")
    assert.equal(0, elsewhere.connections)
    one.host:stop()
    middle:close()
    elsewhere:close()
  end)

  it("registers again with a platform that has forgotten all tokens, though it still takes heartbeats", function()
    local one = begin { args = { "--heartbeat-ms", "50", "--bootstrap" } }
    platform:order("revoke", { workspace = one.workspace.id })
    one.host:log "registered again"
    one.say "hello"
    assert.same({ "echo: hello" }, one.host:canvas(1))
    one.host:stop()
  end)

  it("a peer that received the reply is not sent it again because its own answer was lost", function()
    local one = begin()
    one.fault({ kind = "status", status = 502, body = { error = "failed to read agent response",
      delivery_confirmed = true } }, "/a2a")
    one.say("hello", true)
    one.host:log "replied"
    one.host:stop()
    assert.equal(1, #one.host:posts "/a2a")
  end)

  it("a reply that the platform does not take is set aside, and the next message is answered", function()
    local one = begin()
    one.fault({ kind = "status", status = 402, body = { error = "workspace budget limit exceeded" } }, "/a2a")
    local row = one.say("refused", true):gsub("%-", "%%-")
    one.host:log("reply to a peer: HTTP 402: workspace budget limit exceeded; message " .. row
      .. " is set aside as a dead letter")
    local next_row = one.say("next", true)
    assert.same({ "echo: next" }, (one.host:peer(one.peer.id, 1)))
    one.host:stop_at(next_row)
    assert.equal(2, #one.host:posts "/a2a")
    assert.matches("1 answered, 1 dead%-lettered", one.host.process.stderr)
  end)

  -- As a platform does whose database is down.
  local DENIED = { kind = "status", status = 403, body = { error =
    "access denied: workspaces cannot communicate per hierarchy rules" } }

  it("a reply that is refused for a while is posted again, the same, and arrives", function()
    local one = begin()
    one.fault(DENIED, "/a2a", { times = 3 })
    one.say("hello", true)
    one.host:wait { path = ("/workspaces/%s/a2a"):format(one.peer.id), status = 200, count = 1 }
    one.host:log "replied"
    one.host:stop()
    local posts = one.host:posts "/a2a"
    assert.equal(4, #posts)
    for _, post in ipairs(posts) do assert.equal(posts[1].body, post.body) end
    assert.equal(0, one.host:count_log "dead letter")
  end)

  it("a reply that stays refused is set aside once a poll has succeeded meanwhile, and no sooner", function()
    -- a poll comes when a message does
    local one = begin { args = { "-v", "--refusal-patience", "1ms", "--interval-ms", "60000" } }
    one.host:log "event stream: open"
    one.host:wait { method = "GET", path = one.workspace.id .. "/activity", status = 200, count = 2 }
    one.fault(DENIED, "/a2a", { times = -1 })
    local row = one.say("hello", true)
    one.host:wait { path = ("/workspaces/%s/a2a"):format(one.peer.id), status = 403, count = 3 }
    assert.equal(0, one.host:count_log "dead letter")
    one.say "from the canvas"
    one.host:log(row:gsub("%-", "%%-") .. " is set aside as a dead letter")
    one.host:stop()
    platform:clear_faults()
  end)

  it("a reply that is refused, fails otherwise for a while, and is refused again is not given up for that", function()
    local one = begin { args = { "--refusal-patience", "400ms" } }
    one.fault(DENIED, "/a2a", { times = 1 })
    one.fault({ kind = "status", status = 503, body = { error = "not now" } }, "/a2a", { times = 2 })
    one.fault(DENIED, "/a2a", { times = 1 })
    one.say("hello", true)
    one.host:log ": replied"
    one.host:stop()
    local statuses = {}
    for i, post in ipairs(one.host:posts "/a2a") do statuses[i] = math.tointeger(post.status) end
    assert.same({ 403, 503, 503, 403, 200 }, statuses)
  end)

  it("a reply that the peer itself does not take is a dead letter with its words, and is not sent again", function()
    local one = begin()
    one.peer = host.workspace(platform, { delivery_mode = "push", url = "http://127.0.0.1:1/", push_answer = { body = {
      jsonrpc = "2.0", id = "1", error = { code = -32601, message = "method not found" } } } })
    one.say("hello", true)
    one.host:log "reply to a peer: HTTP 200: the peer answered with an error: method not found.*dead letter"
    one.host:stop()
    assert.equal(1, #one.host:posts "/a2a")
    assert.equal(0, one.host:count_log ": replied")
  end)

  for name, answer in pairs {
    ["nothing"] = { body = "" }, ["plain text"] = { body = "thank you" }, ["an event stream"] = { body = "data: {}\n\n" },
    ["a JSON text"] = { body = '"done"' }, ["JSON that is cut"] = { body = '{"jsonrpc":"2.0","resu' },
    ["a bare message"] = { body = { role = "agent", parts = { { kind = "text", text = "done" } } } },
  } do
    it("a reply that a push peer's agent answers with " .. name .. " was taken, and is not sent again", function()
      local one = begin()
      answer.agent = true
      one.peer = host.workspace(platform, { delivery_mode = "push", url = "https://agent.example/", push_answer = answer })
      one.say("hello", true)
      one.host:log("warn.*reply to a peer: HTTP 200.*answer is not an A2A response")
      one.host:stop()
      assert.equal(1, #one.host:posts "/a2a")
    end)
  end

  it("a reply during which a push peer's agent failed is a dead letter, and is not sent again", function()
    for _, body in ipairs { "", "<html>", { error = "failed to call the model" },
      { error = "out of memory" }, { error = { code = -32603, message = "no" } } } do
      local one = begin()
      one.peer = host.workspace(platform, { delivery_mode = "push", url = "https://agent.example/",
        push_answer = { status = 500, body = body, agent = true } })
      one.say("hello", true)
      one.host:log "error.*reply to a peer: HTTP 500.*the peer answered with an error.*dead letter"
      one.host:stop()
      assert.equal(1, #one.host:posts "/a2a")
    end
  end)

  it("an empty 404 on the inbox is named for what it is: the tenant guard, with what to set; once", function()
    local one = begin()
    one.fault({ kind = "status", status = 404, body = "" }, "/activity", { times = 3 })
    one.host:log "error.*poll: HTTP 404.*tenant guard.*MOLECULE_ORG_ID"
    one.say "hello"
    assert.same({ "echo: hello" }, one.host:canvas(1))
    one.host:stop()
    assert.equal(1, one.host:count_log "tenant guard")
  end)

  it("the tenant guard lets us pass without an organisation's id: our Origin is the platform's own address", function()
    platform:order("config", { org_id = "org-7" })
    local one = begin()
    one.say("hello", true)
    one.host:peer(one.peer.id, 1)
    platform:order("config", { org_id = "" })
    one.host:stop()
    assert.equal(0, one.host:count_log "tenant guard")
  end)

  it("a platform that goes down and comes back is served on, and what was answered is not answered again", function()
    local own = emulator.start { profile = "t1", args = { "--rate-limit", "-1" } }
    local workspace = host.workspace(own)
    local one = host.connect { platform = own, workspace = workspace, script = host.ECHO }
    local row = own:message { to = workspace.id, text = "before" }[1]
    one:canvas(1)
    one:wait_cursor(own:rows(workspace.id)[2].id)
    local port = own.port
    own:stop()
    one:log "poll: .*; retrying"
    own = emulator.start { profile = "t1", port = port, args = { "--rate-limit", "-1" } }
    one.platform = own
    own:workspace { id = workspace.id, token = workspace.token }
    own:message { to = workspace.id, id = row, text = "before" }
    own:message { to = workspace.id, text = "after" }
    assert.same({ "echo: after" }, one:canvas(1))
    one:log "poll: recovered"
    own:message { to = workspace.id, text = "end" }
    assert.same({ "echo: after", "echo: end" }, one:canvas(2))
    one:stop()
    own:stop()
  end)

  describe("slowly:", function()
    it("a poll that hangs is given up, and the message is answered", function()
      local one = slow.hang
      one.say "hello"
      one.host:log("poll: sent, and no answer after 1%d%.%d s.*; retrying")
      assert.same({ "echo: hello" }, one.host:canvas(1))
      assert.is_true(#one.host:posts "/registry/heartbeat" >= 1)
      one.host:stop()
    end)

    it("a poll that drips byte by byte is given up, and the message is answered once", function()
      local one = slow.drip
      one.host:wait { path = one.workspace.id .. "/notify", status = 200 }
      one.say "next"
      assert.same({ "echo: dripping", "echo: next" }, one.host:canvas(2))
      one.host:stop()
    end)

    it("a heartbeat that the platform does not accept stops alone, says so, and resumes when it is accepted", function()
      local one = slow.heartbeat
      one.host:log "error.*heartbeat: HTTP 400: invalid request body; heartbeat stopped, inbox continues"
      one.say "hello"
      assert.same({ "echo: hello" }, one.host:canvas(1))
      one.host:log("heartbeat: resumed")
      one.host:wait { path = "/registry/heartbeat", body = one.workspace.id, status = 200, count = 5 }
      one.host:stop()
      assert.equal(1, one.host:count_log "heartbeat stopped")
    end)
  end)
end)
