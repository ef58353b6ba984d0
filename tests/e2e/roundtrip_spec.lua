local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"

local OUTCOMES = [[
local molecule = require "molecule"
local attempts = {}
local answers = {
  string = function() return "plain" end,
  text = function() return {text = "from a table"} end,
  parts = function() return {parts = {{kind = "text", text = "part one, "}, {kind = "text", text = "part two"}}} end,
  ["nil"] = function() return nil end,
  nothing = function() end,
  empty = function() return "" end,
  skip = function() return molecule.skip("not for me") end,
  retry = function(_, ctx)
    if ctx.attempt == 1 then return molecule.retry{after = 0.05, reason = "not yet"} end
    return "attempt " .. ctx.attempt
  end,
  dead = function() return molecule.dead("unanswerable") end,
  once = function(_, ctx)
    if ctx.attempt == 1 then error("first time fails") end
    return "second time works"
  end,
  always = function() error("this never works") end,
  failed = function() return nil, "the backend said no" end,
  number = function() return 42 end,
  boolean = function() return false end,
  done = function() return true end,
  ["function"] = function() return print end,
  table = function() return {answer = "?"} end,
  number_text = function() return {text = 42} end,
  string_parts = function() return {parts = "text"} end,
  named_parts = function() return {parts = {text = "text"}} end,
  no_parts = function() return {parts = molecule.array()} end,
  no_text_no_parts = function() return {text = "", parts = {}} end,
  no_files = function() return {files = {}} end,
  text_no_parts = function() return {text = "text alone", parts = molecule.array(), files = {}} end,
}
return function(msg, ctx) return answers[msg.text](msg, ctx) end
]]

local FILES = [[
return function(msg)
  local lines = {msg.text}
  for _, file in ipairs(msg.files) do
    lines[#lines + 1] = ("%s|%s|%s|%s"):format(file.name, file.mime_type, file.uri, file.size)
  end
  return table.concat(lines, "\n")
end
]]

for _, profile in ipairs { "t1", "latest" } do
  describe("a message's way to the script and back (" .. profile .. ")", function()
    local platform, workspace, peer

    setup(function()
      platform = emulator.start { profile = profile, args = { "--rate-limit", "-1" } }
    end)

    before_each(function()
      workspace = host.workspace(platform)
      peer = host.workspace(platform, { name = "Peer" })
    end)

    after_each(host.clean_up)

    teardown(function()
      platform:stop()
    end)

    it("a peer gets the reply as a separate message, with everything the platform asks for", function()
      local one = host.connect { platform = platform, workspace = workspace, script = host.ECHO }
      local row = platform:message { to = workspace.id, from = peer.id, text = "hello" }[1]
      local _, posts = one:peer(peer.id, 1)
      local body, headers = cjson.decode(posts[1].body), posts[1].headers
      assert.equal("2.0", body.jsonrpc)
      assert.equal("message/send", body.method)
      assert.equal("user", body.params.message.role)
      assert.same({ { kind = "text", text = "echo: hello" } }, body.params.message.parts)
      assert.equal(workspace.id, headers["x-workspace-id"])
      assert.equal(platform.url, headers.origin)
      assert.equal("Bearer " .. workspace.token, headers.authorization)
      assert.equal("application/json", headers["content-type"])
      one:wait_cursor(row)
      one:stop()
      assert.same({ workspace_id = workspace.id, last_since_id = row, last_poll_ms = one:state().last_poll_ms },
        one:state())
      assert.equal("600", host.mode(one.state_path))
      assert.equal("700", host.mode(one.state_dir))
    end)

    it("a reply to the same row has the same messageId in another run, another row's has another", function()
      local one = host.connect { platform = platform, workspace = workspace, script = host.ECHO }
      platform:message { to = workspace.id, from = peer.id, text = "first" }
      one:peer(peer.id, 1)
      one:stop()
      platform:message { to = workspace.id, from = peer.id, text = "second" }
      local two = host.connect { platform = platform, workspace = workspace, script = host.ECHO }
      local texts, posts = two:peer(peer.id, 3)
      two:stop()
      assert.same({ "echo: first", "echo: first", "echo: second" }, texts)
      local ids = {}
      for i, post in ipairs(posts) do ids[i] = cjson.decode(post.body).params.message.messageId end
      assert.equal(ids[1], ids[2])
      assert.not_equal(ids[1], ids[3])
      assert.matches("^%x+%-%x+%-5%x+%-%x+%-%x+$", ids[1])
    end)

    it("the platform hears a heartbeat at once, not only after its interval", function()
      local one = host.connect { platform = platform, workspace = workspace, script = host.ECHO,
        args = { "--heartbeat-ms", "80000" } }
      one:wait { path = "/registry/heartbeat", body = workspace.id, status = 200 }
      assert.equal("online", platform:state_of(workspace.id).status)
      one:stop()
    end)

    it("the human in the canvas is answered there, and our own words there are not answered", function()
      local one = host.connect { platform = platform, workspace = workspace, script = host.ECHO }
      platform:message { to = workspace.id, text = "one" }
      one:canvas(1)
      platform:message { to = workspace.id, text = "two" }
      assert.same({ "echo: one", "echo: two" }, one:canvas(2))
      local rows = platform:rows(workspace.id)
      assert.equal(4, #rows)
      assert.equal("notify", rows[4].method)
      one:wait_cursor(rows[4].id)
      one:stop()
      assert.equal(2, #one:posts "/notify")
      assert.equal(0, #one:posts "/a2a")
    end)

    describe("what the script returns:", function()
      local one

      before_each(function()
        one = host.connect { platform = platform, workspace = workspace, script = OUTCOMES,
          args = { "--max-attempts", "2" } }
      end)

      local function send(what)
        return platform:message { to = workspace.id, from = peer.id, text = what }[1]
      end

      -- The conversation goes on behind it, and nothing else was posted.
      local function goes_on(row)
        platform:message { to = workspace.id, from = peer.id, text = "string" }
        local texts = one:peer(peer.id, 1)
        assert.same({ "plain" }, texts)
        one:stop_at(platform:rows(workspace.id)[2].id)
        assert.equal(1, #one:posts "/a2a")
        assert.equal(1, one:count_log(row:gsub("%-", "%%-") .. ".*from " .. peer.id:gsub("%-", "%%-")))
      end

      local function replies(what, text)
        it(what .. " is the reply", function()
          local row = send(what)
          local _, posts = one:peer(peer.id, 1)
          local said = {}
          for i, part in ipairs(cjson.decode(posts[1].body).params.message.parts) do said[i] = part.text end
          assert.equal(text, table.concat(said))
          one:stop_at(row)
        end)
      end

      replies("string", "plain")
      replies("text", "from a table")
      replies("parts", "part one, part two")
      replies("text_no_parts", "text alone")

      for _, what in ipairs { "nil", "nothing", "empty", "no_parts", "no_text_no_parts", "no_files" } do
        it(what .. " is no reply", function()
          local row = send(what)
          one:log_of(row, "no_reply")
          goes_on(row)
        end)
      end

      it("skip ends the message, with its reason in the log", function()
        local row = send "skip"
        one:log_of(row, "skipped: not for me")
        goes_on(row)
      end)

      it("retry comes back after its time, and the reply is posted then", function()
        local row = send "retry"
        one:log_of(row, "retry in 0%.%d s: not yet")
        assert.same({ "attempt 2" }, (one:peer(peer.id, 1)))
        one:stop_at(row)
      end)

      it("dead sets the message aside, with its reason in the log", function()
        local row = send "dead"
        one:log_of(row, "dead letter: unanswerable")
        goes_on(row)
      end)

      it("an error is tried again, and a later success is posted", function()
        local row = send "once"
        one:log_of(row, "the handler failed %(attempt 1 of 2, retrying in [%d.]+ s%): .*first time fails")
        assert.same({ "second time works" }, (one:peer(peer.id, 1)))
        one:stop_at(row)
      end)

      it("an error every time sets the message aside, says in which line, and the next is answered", function()
        local row = send "always"
        one:log_of(row, "attempt 2 of 2%): .*agent%.lua:20: this never works")
        one:log "the message is set aside as a dead letter.*; the inbox continues"
        platform:message { to = workspace.id, from = peer.id, text = "string" }
        assert.same({ "plain" }, (one:peer(peer.id, 1)))
        one:stop()
        assert.matches("stack traceback:.-agent%.lua:20: in ", one.process.stderr)
        assert.equal(2, one:count_log(row:gsub("%-", "%%-") .. ".*the handler failed"))
      end)

      it("true is no reply", function()
        one:log_of(send "done", "no_reply")
        one:stop()
        assert.equal(0, #one:posts "/a2a")
      end)

      -- What a handler returns by mistake it would return each time: whatever it did is done once.
      local function fails(what, pattern, attempts)
        it(what .. " is an error that says what was wrong", function()
          local row = send(what)
          for attempt = 1, attempts or 1 do
            one:log_of(row, ("attempt %d of %d.*"):format(attempt, attempts or 1) .. pattern)
          end
          platform:message { to = workspace.id, from = peer.id, text = "string" }
          assert.same({ "plain" }, (one:peer(peer.id, 1)))
          one:stop()
        end)
      end

      fails("failed", "the backend said no", 2)
      fails("number", "returned a number; allowed are a string")
      fails("boolean", "returned false; allowed are a string")
      fails("function", "returned a function; allowed are a string")
      fails("table", "returned a table without `text` or `parts`; allowed are")
      fails("number_text", "returned a table whose `text` is a number; allowed are")
      fails("string_parts", "returned a table whose `parts` is a string; allowed are")
      fails("named_parts", "returned a table whose `parts` is not a list; allowed are")
    end)

    it("--error-reply tells the sender once, when its message is given up", function()
      local one = host.connect { platform = platform, workspace = workspace, script = OUTCOMES,
        args = { "--max-attempts", "2", "--error-reply", "something is broken here" } }
      local row = platform:message { to = workspace.id, from = peer.id, text = "always" }[1]
      one:log_of(row, "attempt 1 of 2")
      assert.same({ "something is broken here" }, (one:peer(peer.id, 1)))
      one:stop_at(row)
      assert.equal(1, #one:posts "/a2a")
    end)

    it("text parts count under kind and under type, and files under every spelling", function()
      local one = host.connect { platform = platform, workspace = workspace, script = FILES }
      platform:message { to = workspace.id, from = peer.id, parts = {
        { kind = "text", text = "by kind, " }, { type = "text", text = "by type" },
        { kind = "file", file = { name = "a.log", mimeType = "text/plain", uri = "workspace:/a.log", size = 812 } },
        { type = "file", name = "b.png", mime_type = "image/png", uri = "workspace:/b.png", size = 3 } } }
      assert.same({ "by kind, by type\na.log|text/plain|workspace:/a.log|812\nb.png|image/png|workspace:/b.png|3" },
        (one:peer(peer.id, 1)))
      one:stop()
    end)

    it("the row's summary is the text only where there are no parts at all", function()
      local one = host.connect { platform = platform, workspace = workspace, script = FILES }
      platform:message { to = workspace.id, from = peer.id, row = { summary = "only a summary" },
        request_body = { jsonrpc = "2.0", method = "message/send", params = cjson.null } }
      platform:message { to = workspace.id, from = peer.id, row = { summary = "not this" },
        parts = { { kind = "file", file = { name = "c", mimeType = "text/csv", uri = "workspace:/c", size = 1 } } } }
      assert.same({ "only a summary", "\nc|text/csv|workspace:/c|1" }, (one:peer(peer.id, 2)))
      one:stop()
    end)
  end)
end
