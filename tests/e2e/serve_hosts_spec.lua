--- `molecule serve --virtual-host`: agents told apart by the host that a client asks for.

local uv = require "luv"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local http = require "tests.support.http"
local loop = require "tests.support.loop"
local process = require "tests.support.process"
local served = require "tests.support.served"

local CARD = "/.well-known/agent-card.json"

local function agent(name)
  return ('return {name = "%s", handle = function(msg) return "%s heard " .. msg.text end}'):format(name, name)
end

describe("molecule serve --virtual-host", function()
  after_each(served.clean_up)

  --- Agents of these names with these further options.
  local function start(names, args, more)
    local scripts, options = {}, { args = args }
    for _, name in ipairs(names) do scripts[name] = agent(name) end
    options.scripts = scripts
    for name, value in pairs(more or {}) do options[name] = value end
    return served.start(options)
  end

  --- The name on the card that is found there; else the status and the error.
  local function whose(one, at, path, headers)
    local all = { Host = at }
    for name, value in pairs(headers or {}) do all[name] = value end
    local answer = http.request { port = one.port, path = (path or "") .. CARD, headers = all }
    if answer.status == 200 then return answer.json.name end
    return answer.status, answer.json.error
  end

  local function card_url(one, at, path)
    local answer = http.request { port = one.port, path = (path or "") .. CARD, headers = { Host = at } }
    local card = answer.json
    assert.equal(card.supportedInterfaces[1].url, card.url)
    return card.url
  end

  --- What the agent there says to "hello".
  local function ask(one, at, path)
    local task = one:send("hello", nil, { path = path, headers = { Host = at } }).task
    return select(2, served.outcome(task))
  end

  it("chooses the agent by the host, without case, port and the dot at its end", function()
    local one = start({ "billing", "search" },
      { "--virtual-host", "billing=Billing.Example.org", "--virtual-host", "search=search.example.org." })
    for _, at in ipairs { "billing.example.org", "BILLING.example.ORG", "billing.example.org.", "billing.example.org:8090" } do
      assert.equal("billing", whose(one, at))
      assert.equal("billing heard hello", ask(one, at))
    end
    assert.equal("search", whose(one, "search.example.org"))
    assert.equal("search heard hello", ask(one, "search.example.org"))
    local task = one:send("hello", nil, { headers = { Host = "billing.example.org" } }).task
    assert.equal(task.id, one:get(task.id, { headers = { Host = "billing.example.org" } }).id)
    assert.equal(-32001, (one:problem("GetTask", { id = task.id }, { headers = { Host = "search.example.org" } })))
    one:stop()
  end)

  it("chooses it by the host of a target in absolute form, which is that of Host", function()
    local one = start({ "billing", "search" },
      { "--virtual-host", "billing=billing.example.org", "--virtual-host", "search=search.example.org" })
    local function raw(target, at)
      return http.raw(one.port, ("GET %s%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n"):format(target, CARD, at)):wait()
    end
    assert.equal("search", raw("http://search.example.org", "search.example.org").json.name)
    assert.equal("search", raw("http://Search.example.org:80", "search.example.org").json.name)
    assert.equal(400, raw("http://search.example.org", "billing.example.org").status)
    one:stop()
  end)

  it("answers 421 for a host that no agent has, before it looks at the token", function()
    local one = start({ "billing" }, { "--virtual-host", "billing=billing.example.org" }, { tokens = "alice " .. ("a"):rep(20) })
    for _, at in ipairs { "other.example.org", "127.0.0.1:" .. one.port, "[::1]", "example.org", "x.billing.example.org" } do
      assert.same({ 421, "no agent here has the host that the request names" }, { whose(one, at) })
      assert.equal(421, one:call("SendMessage", {}, { headers = { Host = at } }).status)
    end
    local nameless = http.raw(one.port, "GET " .. CARD .. " HTTP/1.0\r\n\r\n"):wait()
    assert.equal(421, nameless.status)
    assert.equal(401, one:call("SendMessage", {}, { headers = { Host = "billing.example.org" } }).status)
    one:stop()
  end)

  it("leaves agents without one under their paths, at every host", function()
    local one = start({ "billing", "search" }, { "--virtual-host", "billing=billing.example.org" })
    assert.equal("billing", whose(one, "billing.example.org"))
    for _, at in ipairs { "127.0.0.1", "other.example.org", "billing.example.org" } do
      assert.equal("search", whose(one, at, "/search"))
    end
    assert.equal("search heard hello", ask(one, "other.example.org", "/search"))
    assert.same({ 404, "there is no agent here" }, { whose(one, "other.example.org") })
    assert.same({ 404, "there is no agent here" }, { whose(one, "other.example.org", "/billing") })
    assert.equal(one.url .. "/search", card_url(one, "billing.example.org", "/search"))
    one:stop()
  end)

  it("takes a path, too", function()
    local one = start({ "billing", "search", "old" }, { "--virtual-host", "billing=example.org/v2/billing", "--virtual-host",
      "search=example.org/", "--virtual-host", "old=old.example.org/billing" })
    assert.equal("billing", whose(one, "example.org", "/v2/billing"))
    assert.equal("billing heard hello", ask(one, "example.org", "/v2/billing/"))
    assert.equal("search", whose(one, "example.org"))
    assert.equal("old", whose(one, "old.example.org", "/billing"))
    assert.same({ 404, "there is no agent here" }, { whose(one, "old.example.org") })
    assert.equal(("http://example.org:%d/v2/billing"):format(one.port), card_url(one, "example.org", "/v2/billing"))
    one:stop()
  end)

  it("is on the card, with the scheme and the port of --public-url", function()
    for public, expected in pairs {
      ["https://agents.example.org"] = "https://billing.example.org",
      ["https://agents.example.org:8443/all/"] = "https://billing.example.org:8443",
      ["http://[::1]:81"] = "http://billing.example.org:81",
    } do
      local one = start({ "billing", "search" }, { "--virtual-host", "billing=billing.example.org", "--public-url", public })
      assert.equal(expected, card_url(one, "billing.example.org"))
      assert.equal(public:gsub("/$", "") .. "/search", card_url(one, "x", "/search"))
      one:stop()
    end
    local one = start({ "billing" }, { "--virtual-host", "billing=billing.example.org" })
    assert.equal("http://billing.example.org:" .. one.port, card_url(one, "billing.example.org"))
    assert.truthy(one.process.stderr:find("serving billing at http://billing.example.org:" .. one.port, 1, true))
    one:stop()
  end)

  it("is what a proxy says with --trust-proxy, and not without", function()
    local args = { "--virtual-host", "billing=billing.example.org", "--virtual-host", "search=search.example.org" }
    local function with(one, headers) return (whose(one, "search.example.org", nil, headers)) end
    local one = start({ "billing", "search" }, args)
    assert.equal("search", with(one, { ["X-Forwarded-Host"] = "billing.example.org" }))
    assert.equal("search", with(one, { Forwarded = "host=billing.example.org" }))
    one:stop()
    args[#args + 1] = "--trust-proxy"
    local two = start({ "billing", "search" }, args)
    assert.equal("billing", with(two, { ["X-Forwarded-Host"] = "search.example.org, Billing.example.org:443" }))
    assert.equal("billing", with(two, { Forwarded = 'for=1.2.3.4;host="billing.example.org:443";proto=https' }))
    assert.equal(421, with(two, { ["X-Forwarded-Host"] = "other.example.org" }))
    assert.equal("search", with(two))
    two:stop()
  end)

  it("stays as it is when scripts are read again", function()
    local one = start({ "billing", "search" }, { "--virtual-host", "billing=billing.example.org" })
    host.write(one.directory .. "/billing.lua", agent "renamed")
    one.process:signal "sighup"
    assert(loop.wait(function() return whose(one, "billing.example.org") == "renamed" end))
    assert.equal("http://billing.example.org:" .. one.port, card_url(one, "billing.example.org"))
    assert.equal("search", whose(one, "other.example.org", "/search"))
    one:stop()
  end)

  it("may stand in the config file, and the command line beats it", function()
    local directory = host.directory()
    local config = host.write(directory .. "/config.lua", [[
return {
  virtual_hosts = {
    billing = "billing.example.org",
    search = "search.example.org",
  },
}]])
    uv.fs_chmod(config, 384)
    local one = start({ "billing", "search" }, { "--config", config, "--virtual-host", "search=find.example.org" })
    assert.equal("billing", whose(one, "billing.example.org"))
    assert.equal("search", whose(one, "find.example.org"))
    assert.equal(421, (whose(one, "search.example.org")))
    one:stop()
    local child = process.spawn { command = { emulator.binary(), "config", "serve", "billing.lua", "--config", config } }
    assert.equal(0, (child:wait_exit()))
    assert.truthy(child.stdout:find("billing=billing.example.org", 1, true), child:report())
  end)

  --- What it says before it exits with 2.
  local function refused(names, args)
    local directory = host.directory()
    local words = {}
    for _, name in ipairs(names) do words[#words + 1] = host.write(("%s/%s.lua"):format(directory, name), agent(name)) end
    for _, word in ipairs(args) do words[#words + 1] = word end
    words[#words + 1] = "--no-auth"
    local run = host.serve(words, { directory = directory })
    run:wait_exit(2)
    return run.process.stderr, directory
  end

  it("refuses two agents of one host and path, and names both", function()
    local said = refused({ "billing", "search" },
      { "--virtual-host", "billing=example.org", "--virtual-host", "search=EXAMPLE.org./" })
    assert.truthy(said:find("billing and search would both be at example.org/; give one of them another host or a path: "
      .. "--virtual-host search=example.org/search", 1, true), said)
    said = refused({ "billing", "search" },
      { "--virtual-host", "billing=example.org/a", "--virtual-host", "search=example.org/a/" })
    assert.truthy(said:find("billing and search would both be at example.org/a;", 1, true), said)
  end)

  it("refuses what is no host and no path, and names that are none of the scripts'", function()
    for value, expected in pairs {
      ["billing=exa_mple.org"] = "exa_mple.org is not a host name: letters, digits,",
      ["billing=example.org:8090"] = "is not a host name: letters, digits, \"-\" and \".\", without a port",
      ["billing=*.example.org"] = "*.example.org is not a host name",
      ["billing=a..b"] = "a..b has an empty part",
      ["billing=-a.b"] = "begins or ends with \"-\"",
      ["billing=b\u{fc}cher.example"] = "is not ASCII; write it as DNS has it (xn--…)",
      ["billing="] = "the host is empty",
      ["billing=/path"] = "the host is empty",
      ["billing=" .. ("a"):rep(64) .. ".b"] = "has a part of more than 63 characters",
      ["billing=" .. ("a."):rep(127) .. "b"] = "has more than 253 characters",
      ["billing=example.org/a//b"] = "the path /a//b",
      ["billing=example.org/../b"] = "the path /../b",
      ["billing=example.org/a?b"] = "the path /a?b",
      ["billnig=example.org"] = "no agent here is called billnig; did you mean billing?",
      ["else=example.org"] = "no agent here is called else; they are billing, search",
      ["example.org"] = "takes NAME=VALUE",
    } do
      local said = refused({ "billing", "search" }, { "--virtual-host", value })
      assert.truthy(said:find("--virtual-host", 1, true), said)
      assert.truthy(said:find(expected, 1, true), value .. ": " .. said)
    end
  end)

  it("refuses an agent whose path another one needs for A2A", function()
    for name, expected in pairs { tasks = "/tasks", v1 = "/v1" } do
      local said = refused({ "billing", name }, { "--virtual-host", "billing=example.org" })
      local words = "%s would hide %s of billing at example.org, which belongs to A2A; give it another host or path"
      words = words:format(name, expected)
      assert.truthy(said:find(words, 1, true), said)
    end
    local said = refused({ "billing", "search" },
      { "--virtual-host", "billing=example.org/a", "--virtual-host", "search=example.org/a/.well-known" })
    assert.truthy(said:find("search would hide /a/.well-known of billing at example.org", 1, true), said)
  end)

  it("names the file and the line of what is wrong in a config file", function()
    local directory = host.directory()
    local config = host.write(directory .. "/config.lua", [[
return {
  virtual_hosts = {
    billing = "billing.example.org",
    search = "search example",
  },
}]])
    uv.fs_chmod(config, 384)
    local said = refused({ "billing", "search" }, { "--config", config })
    assert.truthy(said:find(config .. ':4: "virtual_hosts.search": search example is not a host name', 1, true), said)
    host.write(config, 'return {\n  virtual_hosts = {\n    billing = "a.org",\n    nobody = "b.org",\n  },\n}')
    said = refused({ "billing" }, { "--config", config })
    assert.truthy(said:find(config .. ':4: "virtual_hosts.nobody": no agent here is called nobody', 1, true), said)
  end)
end)
