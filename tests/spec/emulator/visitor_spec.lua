--- No web page steers `molecule dev` or reads from it, by whatever route.
local emulator = require "tests.support.emulator"

describe("a web page", function()
  local platform, id, token, routes

  setup(function()
    platform = emulator.start { profile = "latest", args = { "--rate-limit", "-1" } }
    id, token = platform:register()
    local own = "/workspaces/" .. id
    routes = { { "GET", "/health" }, { "GET", "/nowhere" }, { "GET", own }, { "GET", own .. "/state" },
      { "GET", own .. "/activity" }, { "GET", own .. "/tokens" }, { "GET", own .. "/events/stream" },
      { "GET", "/registry/" .. id .. "/peers" }, { "POST", "/registry/register" }, { "POST", "/registry/heartbeat" },
      { "POST", own .. "/a2a" }, { "POST", own .. "/notify" }, { "POST", own .. "/tokens" }, { "POST", own .. "/delegate" },
      { "POST", own .. "/chat/uploads" }, { "DELETE", own } }
    for _, name in ipairs { "state", "rows", "journal", "wait" } do routes[#routes + 1] = { "GET", "/__emulator/" .. name } end
    for _, name in ipairs { "workspaces", "messages", "late", "tie", "faults", "prune", "duplicate", "revoke", "remove", "events",
      "config", "reset", "quit" } do
      routes[#routes + 1] = { "POST", "/__emulator/" .. name }
    end
    routes[#routes + 1] = { "DELETE", "/__emulator/faults" }
  end)

  teardown(function()
    platform:stop()
  end)

  -- Every route answers so, and the platform has noticed nothing.
  local function all_refuse(headers, expected, only)
    local mark = platform:mark()
    for _, route in ipairs(routes) do
      if not only or only == route[1] then
        local answer = platform:request(route[1], route[2], { headers = headers, body = route[1] ~= "GET" and "{}" or nil })
        assert.equal(expected, answer.status, route[1] .. " " .. route[2])
        assert.is_string(answer.json.error)
        assert.is_nil(answer.body:find(id, 1, true))
      end
    end
    assert.equal(mark, platform:mark())
    assert.equal("online", platform:state_of(id).status)
  end

  for _, name in ipairs { "evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example",
    "127.0.0.1@evil.example", "evil.localhost.example", "192.0.2.1", "[2001:db8::1]:8080", "", "127.0.0.1 evil.example" } do
    it(("is refused when it had its own name, %q, point here"):format(name), function()
      -- what is no host at all is refused by the server itself
      local status = name:find "[@ ]" and 400 or 421
      all_refuse({ Host = name, ["Content-Type"] = "application/json", Authorization = "Bearer " .. token }, status)
    end)
  end

  for _, origin in ipairs { "https://evil.example", "http://127.0.0.1:1", "http://localhost:3000", "null", "file://" } do
    it("is refused with the origin " .. origin, function()
      all_refuse({ Origin = origin, ["Content-Type"] = "application/json" }, 403)
      all_refuse({ Origin = origin, ["Content-Type"] = "text/plain" }, 403)
      all_refuse({ Origin = origin, Authorization = "Bearer " .. token }, 403)
    end)
  end

  for _, site in ipairs { "cross-site", "same-site" } do
    it("is refused when the browser says " .. site, function()
      all_refuse({ ["Sec-Fetch-Site"] = site, ["Content-Type"] = "application/json" }, 403)
    end)
  end

  for _, kind in ipairs { "text/plain", "text/plain;charset=UTF-8", " Text/Plain", "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x" } do
    it("cannot post " .. kind, function()
      all_refuse({ ["Content-Type"] = kind }, 415, "POST")
    end)
  end

  it("cannot post without a type", function()
    all_refuse({ ["Sec-Fetch-Site"] = "none" }, 415, "POST")
  end)

  it("of the emulator's own origin is let in, as are programs", function()
    for _, name in ipairs { "127.0.0.1", "localhost", "LOCALHOST", "[::1]", "a.localhost", "platform.test" } do
      local authority = ("%s:%d"):format(name, platform.port)
      local headers = { Host = authority, Origin = "http://" .. authority:lower(), ["Sec-Fetch-Site"] = "same-origin" }
      assert.equal(200, platform:get("/__emulator/state", { headers = headers }).status, name)
      assert.equal(200, platform:post("/__emulator/messages", { to = id, text = "x" }, { headers = headers }).status, name)
    end
    local body = ('{"to":%q,"text":"x"}'):format(id)
    for _, headers in ipairs { { ["Content-Type"] = "text/plain", ["X-Molecule-Emulator"] = "1" }, {} } do
      assert.equal(200, platform:request("POST", "/__emulator/messages", { body = body, headers = headers }).status)
    end
  end)
end)
