--- What an operator may do with workspaces and an agent may not; where push workspaces may be; what `molecule dev` makes easy.

local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local http = require "tests.support.http"
local process = require "tests.support.process"

describe("a workspace of the platform", function()
  local platform, id, token

  setup(function() platform = emulator.start { profile = "latest", args = { "--rate-limit", "-1" } } end)
  teardown(function()
    platform:stop()
    process.kill_all()
  end)
  before_each(function()
    platform:reset()
    platform:order("config", { profile = "latest", admin_token = emulator.ADMIN, delegation_inbox = false })
    id, token = platform:register()
  end)

  local function create(fields)
    local value = { name = "made", runtime = "external" }
    for name, field in pairs(fields or {}) do value[name] = field end
    return platform:admin("POST", "/workspaces", value)
  end
  local function patch(who, value, by) return platform:request("PATCH", "/workspaces/" .. who, { json = value, token = by }) end
  local function push(url)
    return platform:post("/registry/register", { id = emulator.uuid(), delivery_mode = "push", url = url,
      agent_card = { name = "x" } })
  end

  it("is made, listed and deleted by who has the administrator's token, and by nobody when there is none", function()
    local made = create { parent_id = id }
    assert.equal(201, made.status)
    assert.equal(id, platform:get("/workspaces/" .. made.json.id).json.parent_id)
    assert.equal(200, platform:admin("GET", "/workspaces").status)
    for _, by in ipairs { token, "x", "" } do
      assert.equal(401, platform:request("GET", "/workspaces", { token = by }).status)
      assert.equal(401, platform:request("DELETE", "/workspaces/" .. made.json.id, { token = by }).status)
    end
    platform:order("config", { admin_token = "" })
    for _, by in ipairs { "", emulator.ADMIN } do
      assert.equal(401, platform:request("POST", "/workspaces", { json = { name = "x" }, token = by }).status)
    end
  end)

  it("is deleted with all below it once its name was repeated", function()
    local child = create({ parent_id = id }).json
    local below = create({ parent_id = child.id, name = "below" }).json
    local function delete(query, name)
      return platform:request("DELETE", ("/workspaces/%s%s"):format(child.id, query), { token = emulator.ADMIN,
        headers = { ["X-Confirm-Name"] = name } })
    end
    assert.equal("destructive_action_requires_confirmation", delete("").json.error)
    assert.same({ { id = below.id, name = "below" } }, delete("", "made").json.children)
    assert.same({ status = "removed", cascade_deleted = 1 }, delete("?confirm=true", "made").json)
    for _, one in ipairs { child, below } do
      assert.equal("workspace removed", platform:get("/workspaces/" .. one.id).json.error)
      assert.equal(401, platform:get(("/workspaces/%s/activity"):format(one.id), { token = one.connection.auth_token }).status)
    end
    assert.equal(200, platform:get("/workspaces/" .. id).status)
  end)

  it("changes its own name; where it stands only the operator changes, and not everywhere", function()
    assert.same({ status = "updated" }, patch(id, { name = "new", role = "tester" }, token).json)
    assert.equal("new", platform:get("/workspaces/" .. id).json.name)
    local refused = patch(id, { parent_id = emulator.uuid(), tier = 2 }, token)
    assert.equal(403, refused.status)
    assert.same({ "tier", "parent_id" }, refused.json.fields)
    local root, child = create().json.id, create({ name = "child" }).json.id
    assert.same({ "team:" .. root, "org:" .. root .. " (read-only)" },
      patch(child, { parent_id = root }, emulator.ADMIN).json.reparented.namespaces_gained)
    for wanted, code in pairs { [child] = "SELF", [emulator.uuid()] = "PARENT_NOT_FOUND", [id] = "CROSS_ORG" } do
      local answer = patch(child, { parent_id = wanted }, emulator.ADMIN)
      assert.equal(422, answer.status)
      assert.equal("WORKSPACE_REPARENT_" .. code, answer.json.code)
    end
    assert.equal("WORKSPACE_REPARENT_CYCLE", patch(root, { parent_id = child }, emulator.ADMIN).json.code)
    assert.equal(422, patch(child, { parent_id = cjson.null }, emulator.ADMIN).status)
    platform:order("config", { profile = "t1" })
    assert.equal(200, patch(id, { parent_id = cjson.null }, token).status)
    assert.equal(cjson.null, platform:get("/workspaces/" .. id).json.parent_id)
  end)

  for url, label in pairs {
    ["http://127.0.0.1:9/x"] = "loopback address", ["https://127.8.8.8"] = "loopback address",
    ["http://[::1]:80/"] = "IPv6 loopback address", ["http://[::ffff:127.0.0.1]/"] = "loopback address",
    ["http://user@10.1.2.3/"] = "RFC-1918 private address", ["http://172.31.0.1"] = "RFC-1918 private address",
    ["http://192.168.1.1"] = "RFC-1918 private address", ["http://169.254.169.254/latest"] =
    "link-local address (cloud metadata endpoint)", ["http://100.64.0.1"] = "carrier-grade NAT address (RFC-6598)",
    ["http://[fe80::1]"] = "IPv6 link-local address (cloud metadata analogue)",
    ["http://[fd00::1]"] = "IPv6 ULA address (RFC-4193 private)", ["http://224.0.0.1"] = "IPv4 multicast address",
  } do
    it("may not be pushed to at " .. url, function()
      assert.same({ error = "url targets a blocked address: " .. label }, push(url).json)
    end)
  end

  it("may be pushed to at public addresses and names, with http or https alone", function()
    for _, url in ipairs { "http://172.32.0.1/x", "https://agent.example/a2a", "https://[2600::1]/", "http://localhost:9/x" } do
      assert.equal(200, push(url).status, url)
    end
    assert.same({ error = 'url scheme must be http or https, got "ftp"' }, push("ftp://agent.example").json)
    local value = { workspace_id = id, agent_card = { name = "x", url = "http://127.0.0.1/" } }
    assert.equal("workspace agent_card URL not allowed",
      platform:post("/registry/update-card", value, { token = token }).json.error)
  end)

  it("is not sent anything at an address of this machine, whatever it is called", function()
    for _, url in ipairs { "http://localhost:9/x", "http://127.0.0.1/", "http://a.localhost/", "http://0.0.0.0/" } do
      local target = platform:workspace { delivery_mode = "push", url = url }
      local answer = platform:post(("/workspaces/%s/a2a"):format(target.id),
        { method = "message/send", params = { message = { parts = { { kind = "text", text = "x" } } } } }, { token = token })
      assert.same({ error = "workspace URL is not publicly routable" }, answer.json)
    end
  end)

  it("finds the answer to a task among its tasks, and in its inbox where the platform is told so", function()
    local target = platform:workspace { delivery_mode = "push", url = "https://x.example",
      push_answer = { body = { jsonrpc = "2.0", id = "1", result = { parts = { { kind = "text", text = "done" } } } } } }
    local function delegate() return platform:post(("/workspaces/%s/delegate"):format(id),
      { target_id = target.id, task = "do it" }, { token = token }).json.delegation_id end
    local task = delegate()
    platform:rows(id, 2)
    local list = platform:get(("/workspaces/%s/delegations"):format(id), { token = token }).json
    assert.equal("done", list[1].response_preview)
    assert.equal(task, list[2].delegation_id)
    assert.equal("completed", list[2].status)
    platform:order("config", { delegation_inbox = true })
    task = delegate()
    local row = platform:rows(id, 5)[5]
    assert.equal("a2a_receive", row.activity_type)
    assert.equal("delegate_result", row.method)
    assert.same({ delegation_id = task, text = "done" }, row.response_body)
  end)
end)

describe("trying things with molecule dev", function()
  after_each(function()
    process.kill_all()
    host.clean_up()
  end)

  for _, profile in ipairs { "t1", "latest" } do
    it("works without an administrator: workspaces made by the control API are siblings of the script's, " .. profile, function()
      local script = host.write(host.directory() .. "/agent.lua", [[
        local molecule = require "molecule"
        return function() return assert(molecule.send(os.getenv "PEER", "hello", {timeout = 0})).queued and "sent" end]])
      local peer = emulator.uuid()
      local child = process.spawn { command = { emulator.binary(), "dev", "--port", "0", "--profile", profile, script },
        env = { PEER = peer } }
      local port = math.tointeger(tonumber(child:wait_line("^emulator listening on "):match "http://127%.0%.0%.1:(%d+) "))
      local id = child:wait_line(" serves workspace "):match "serves workspace (%S+);"
      child:wait_line("registered as", { stream = "stderr" })
      local function control(path, value)
        local answer = http.start { port = port, method = "POST", path = "/__emulator/" .. path, json = value }:wait()
        assert.equal(200, answer.status)
      end
      control("workspaces", { id = peer })
      control("messages", { to = id, text = "go" })
      local answer = http.start { port = port, path = "/__emulator/wait",
        query = { path = "/notify", status = 200, timeout_ms = 60000 } }:wait()
      assert.equal("sent", cjson.decode(answer.json.entries[1].body).message)
      local rows = http.start { port = port, path = "/__emulator/rows", query = { workspace = peer, count = 1,
        timeout_ms = 60000 } }:wait().json
      assert.equal("hello", rows[1].request_body.params.message.parts[1].text)
      child:signal "sigterm"
      assert.equal(0, (child:wait_exit()), child:report())
    end)
  end
end)
