--- Faults of what the inbox holds, and of who the platform thinks we are.

local stage = require "tests.fault.stage"

local kinds = {}

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

add("inbox: a row of 5 MB", function(t)
  before(t)
  t.sent = t.sent + 1
  t.platform:message { to = t.workspace.id, from = t.peer.id, text = ("question %d "):format(t.sent) .. ("x"):rep(5000000) }
  after(t)
end)

add("inbox: 700 rows wait, more than a page", function(t)
  for _ = 1, 700 do t:say "peer" end
  t:connect { args = { "--since-secs", "3600" } }
  t:settle(120000)
  after(t)
end)

add("inbox: pruned behind our cursor (410)", function(t)
  before(t)
  t:account()
  t.platform:order("prune", { workspace = t.workspace.id, all = true })
  t:say()
  t:log "no longer knows our cursor"
  after(t)
end)

add("inbox: the cursor lookup fails (500) for good", function(t)
  before(t)
  t.platform:fault({ kind = "status", status = 500, body = { error = "cursor lookup failed" } }, { path = "/activity" },
    { times = 3 })
  t:say()
  t:log "no longer knows our cursor"
  after(t)
end)

add("inbox: rows committed late", function(t)
  before(t)
  for _ = 1, 3 do
    t.host:log_of(t:say "peer"[1], "replied")
    t.sent = t.sent + 1
    t.platform:order("late", { workspace = t.workspace.id, from = t.peer.id, text = "question " .. t.sent })
  end
  after(t)
end)

add("inbox: 20 rows in one microsecond", function(t)
  before(t)
  local messages = {}
  for i = 1, 20 do
    t.sent = t.sent + 1
    messages[i] = { from = i % 2 == 0 and t.peer.id or nil, text = "question " .. t.sent }
  end
  t.platform:order("tie", { workspace = t.workspace.id, messages = messages })
  after(t)
end)

add("inbox: each row three times", function(t)
  before(t)
  for _ = 1, 5 do
    for _, id in ipairs(t:say()) do t.platform:order("duplicate", { workspace = t.workspace.id, id = id, copies = 3 }) end
  end
  after(t)
end)

add("inbox: rows that nobody can read", function(t)
  before(t)
  local ID = '"id":"7f1d9999-0000-4000-8000-00000000000a"'
  local strange = {}
  for _, row in ipairs { "{" .. ID .. ',"request_body":{"params":[tru, nul]}}', '{"id":5}', "null", "[]", "{}", '"text"' } do
    strange[#strange + 1] = t.platform:message { to = t.workspace.id, raw_row = row }[1]
    t:say()
  end
  t:log "7f1d9999.* cannot be read and is set aside"
  t.platform:order("prune", { workspace = t.workspace.id, ids = strange }) -- the test cannot read them either
  after(t)
end)

--- Replies wait for the token; so does the inbox.
add("token: revoked, then replaced in --token-file", function(t)
  local directory = stage.host.directory()
  local file = stage.write(directory .. "/token", t.workspace.token .. "\n")
  before(t, { token = false, args = { "--token-file", file } })
  t.platform:order("revoke", { workspace = t.workspace.id, replace = true })
  t:log "HTTP 401"
  t:say()
  t.host:log "times in a row"
  local token = "secret-of-the-second-kind"
  t.platform:workspace { id = t.workspace.id, token = token }
  stage.write(file, token .. "\n")
  t:settle()
  after(t)
end, { slow = true })

add("token: refused three times by chance (401)", function(t)
  before(t)
  t.platform:fault({ kind = "status", status = 401, body = { error = "invalid workspace auth token" } },
    { path = "/workspaces/" }, { times = 3 })
  t:say()
  t:log "HTTP 401"
  t:settle()
  after(t)
end)

add("platform: restarted on the same port", function(t)
  before(t)
  local start_again = t:replace_platform()
  t:log("poll: .*; retrying") -- sent, or not, as the moment had it
  start_again()
  t:introduce()
  t:say()
  t.host:log("poll: recovered", { timeout_ms = 90000 })
  t:settle()
  after(t)
end, { slow = true })

add("platform: back without its data; our token is unknown", function(t)
  before(t)
  local start_again = t:replace_platform()
  start_again()
  t.platform:workspace { id = t.peer.id, token = t.peer.token }
  t.platform:workspace { id = t.workspace.id, token = "another-token-entirely" }
  t:say()
  t:log "times in a row"
  t:introduce()
  t:settle(90000)
  after(t)
end, { slow = true })

add("platform: back without its data; --bootstrap registers again", function(t)
  t.platform:order("remove", { workspace = t.workspace.id })
  t.workspace = { id = "7f1dabcd-0000-4000-8000-000000000001", token = "never-used-by-anyone" }
  t.platform:workspace { id = t.peer.id, token = t.peer.token, parent_id = t.workspace.id } -- what it registers is a root
  before(t, { token = false, args = { "--bootstrap" } })
  local start_again = t:replace_platform()
  start_again()
  t.platform:workspace { id = t.peer.id, token = t.peer.token, parent_id = t.workspace.id }
  t:log("registered again", 90000)
  t:say()
  t:settle(90000)
  after(t)
end, { slow = true })

add("platform: its rate limit is used up", function(t)
  before(t)
  t.platform:order("config", { rate_limit = 40 })
  t:say()
  t:log "HTTP 429"
  t:settle(90000)
  t.platform:order("config", { rate_limit = 0 })
  after(t)
end, { slow = true })

return kinds
