--- Faults of single answers: what a platform, or what stands in front of it, says instead of what it should say.

local kinds = {}

-- Where a fault meets the host: a part of the path, what the log calls it, what it says when all is well again.
local PLACES = {
  { name = "poll", path = "/activity", log = "poll: .*; trying again", well = "poll: well again" },
  { name = "heartbeat", path = "/registry/heartbeat", log = "heartbeat: .*; trying again",
    well = "heartbeat: well again" },
  { name = "canvas reply", path = "/notify", log = "reply to the canvas: .*posting the same reply again" },
  { name = "peer reply", path = "/a2a", log = "reply to a peer: .*posting the same reply again" },
}

local ANSWERS = {
  { name = "429 with Retry-After: 1", action = { kind = "status", status = 429, headers = { ["Retry-After"] = "1" },
    body = { error = "rate limit exceeded" } } },
  { name = "500", action = { kind = "status", status = 500, body = { error = "query failed" } } },
  { name = "503 with retry_after: 1", action = { kind = "status", status = 503,
    body = { error = "busy", retry_after = 1 } } },
  { name = "502 in HTML", action = { kind = "html502" } },
  { name = "reset before the answer", action = { kind = "reset" } },
  { name = "reset after the effect", action = { kind = "reset_after" } },
  { name = "body cut after 1 byte", action = { kind = "cut", bytes = 1 } },
  { name = "garbage where JSON should be", action = { kind = "garbage", body = "%%% not JSON %%%" } },
  { name = "empty 404 of a tenant guard", action = { kind = "status", status = 404, body = "" } },
}

local GUARD_LOGS = { poll = "poll: HTTP 404", heartbeat = "heartbeat: HTTP 404" }
local GUARD_WELL = { heartbeat = "heartbeat: resumed" }

local function add(name, run, more)
  local kind = { name = name, run = run }
  for key, value in pairs(more or {}) do kind[key] = value end
  kinds[#kinds + 1] = kind
end

local function before(t, options)
  t:connect(options)
  t:say()
  assert(t:settle(), "not answered before the fault")
end

local function after(t)
  t:say()
  t:settle()
end

for _, place in ipairs(PLACES) do
  for _, answer in ipairs(ANSWERS) do
    local guard = answer.name:find "tenant guard"
    add(place.name .. ": " .. answer.name, function(t)
      before(t)
      -- one that the canvas was shown leaves a receipt, and is not posted again to meet the next
      t.platform:fault(answer.action, { path = place.path }, { times = place.name == "canvas reply" and 1 or 3 })
      t:say()
      t:log(guard and GUARD_LOGS[place.name] or place.log)
      t:spent(60000)
      local well = guard and GUARD_WELL[place.name] or place.well
      if well then t.host:log(well, { timeout_ms = 60000 }) end
      after(t)
    end, { slow = guard and place.name == "heartbeat" })
  end
end

-- One byte now and then: the answer is there, but nobody waits for it so long.
local DRIP = { kind = "slow", piece = 1, every_ms = 15000 }

local SILENCES = { { name = "one byte in 15 s", action = DRIP }, { name = "no answer at all", action = { kind = "hang" } } }

for _, silence in ipairs(SILENCES) do
  for _, place in ipairs(PLACES) do
    local unserved = silence.action.kind == "hang"
    if not (unserved and place.name == "peer reply") then -- below: a peer that got it and says nothing
      add(place.name .. ": " .. silence.name, function(t)
        before(t)
        t.platform:fault(silence.action, { path = place.path })
        t:say()
        t:log(place.log, 150000)
        if place.well then t.host:log(place.well, { timeout_ms = 60000 }) end
        after(t)
      end, { slow = true })
    end
  end
end

--- Through a man in the middle.
local function between(name, path, action, times, log, more)
  add(name, function(t)
    local middle = t:proxy()
    before(t, { api_url = middle.url })
    middle:meet(path, action, times)
    t:say()
    t:log(log, 150000)
    t:settle()
    middle.rule = function() end
    after(t)
  end, more)
end

local function answer(head, body)
  return ("HTTP/1.1 %s\r\n%s\r\n"):format(head, body or "")
end

local POLL, POST_AGAIN, TRYING = "/activity", "posting the same reply again", "poll: .*; trying again"

between("canvas reply: delivered, and no answer", "/notify", { pass = true, swallow = true }, 1, POST_AGAIN, { slow = true })
between("peer reply: delivered, and no answer", "/a2a", { pass = true, swallow = true }, 1,
  "the peer polls.*" .. POST_AGAIN, { slow = true })
-- The platform did it, and what stands in front of it says that it did not.
local EDGE = { pass = true, instead = answer("504 Gateway Timeout\r\nContent-Type: text/html\r\nContent-Length: 21\r\n",
  "<html>timeout</html>\n") }
between("canvas reply: delivered, and the edge says 504", "/notify", EDGE, 2, POST_AGAIN)
between("peer reply: delivered, and the edge says 504", "/a2a", EDGE, 2, POST_AGAIN)
between("canvas reply: answer cut in its head", "/notify", { pass = true, cut = 20 }, 2, POST_AGAIN)
between("peer reply: answer cut in its head", "/a2a", { pass = true, cut = 20 }, 2, POST_AGAIN)
between("poll: cut inside a chunk", POLL, { close = true, send = answer("200 OK\r\nTransfer-Encoding: chunked\r\n",
  '1000\r\n[{"id":"') }, 3, TRYING)
between("peer reply: chunks without an end", "/a2a", { close = true, send = answer(
  "502 Bad Gateway\r\nTransfer-Encoding: chunked\r\n", "5\r\nhello\r\n") }, 3, POST_AGAIN)
between("poll: shorter than its Content-Length", POLL, { close = true,
  send = answer("200 OK\r\nContent-Length: 4000\r\n", "[]") }, 3, TRYING)
between("poll: not HTTP at all", POLL, { close = true, send = "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n" }, 3, TRYING)
between("poll: a flood of headers", POLL, { send = "HTTP/1.1 200 OK\r\n", endless = ("X-Flood: %s\r\n"):format(
  ("f"):rep(1000)) }, 2, TRYING)
between("heartbeat: a flood of headers", "/registry/heartbeat", { send = "HTTP/1.1 200 OK\r\n",
  endless = ("X-Flood: %s\r\n"):format(("f"):rep(1000)) }, 2, "heartbeat: .*; trying again")
between("poll: an endless body", POLL, { send = answer "200 OK\r\n" .. "[", endless = (" "):rep(1 << 20) }, 1,
  "a page is larger than")
between("peer reply: delivered, and an endless answer", "/a2a", { pass = true, instead = answer "200 OK\r\n" .. "{",
  endless = (" "):rep(1 << 20) }, 1, "counts as answered")
between("poll: a second answer nobody asked for", POLL, { send = answer("200 OK\r\nContent-Length: 2\r\n",
  "[]" .. answer("200 OK\r\nContent-Length: 2\r\n", "{}")) }, 3, "registered as")

add("poll: a gzip bomb", function(t)
  local pipe = assert(io.popen("head -c 300000000 /dev/zero | gzip -1"))
  local bomb = pipe:read "a"
  pipe:close()
  local middle = t:proxy()
  before(t, { api_url = middle.url })
  middle:meet(POLL, { send = answer(("200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n" ..
    "Content-Length: %d\r\n"):format(#bomb), bomb) }, 2)
  t:say()
  t:log(TRYING)
  after(t)
  middle:close()
end)

--- A redirect is not followed: whoever stands there gets neither the token nor the messages.
local function redirected(place, path, status, log)
  add(("%s: %d to another host"):format(place, status), function(t)
    local middle, elsewhere = t:proxy(), t:witness()
    before(t, { api_url = middle.url })
    middle:meet(path, { send = answer(("%d Moved\r\nLocation: %s/elsewhere\r\nContent-Length: 0\r\n"):format(status,
      elsewhere.url)) }, 1)
    t:say()
    t:log(log)
    t:settle(90000) -- a poll that is told to go elsewhere asks again every minute
    after(t)
    assert(elsewhere.connections == 0, "the redirect was followed")
  end, { slow = true })
end

redirected("poll", POLL, 301, "poll: HTTP 301")
redirected("heartbeat", "/registry/heartbeat", 302, "heartbeat: HTTP 302")
redirected("canvas reply", "/notify", 307, "HTTP 307")
redirected("peer reply", "/a2a", 308, "HTTP 308")

return kinds
