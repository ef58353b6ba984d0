--- Files both ways.

local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"

describe("a file", function()
  local platform, workspace, peer

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)
  before_each(function()
    workspace, peer = host.workspace(platform), host.workspace(platform)
  end)
  after_each(host.clean_up)
  teardown(function() platform:stop() end)

  local function connect(script, args)
    return host.connect { platform = platform, workspace = workspace, script = script, args = args }
  end

  --- What the canvas does: uploads, then a message that names the upload.
  local function stage(name, content, mime)
    local boundary = "test-boundary"
    local body = ('--%s\r\nContent-Disposition: form-data; name="files"; filename="%s"\r\n'
      .. "Content-Type: %s\r\n\r\n%s\r\n--%s--\r\n"):format(boundary, name, mime or "text/plain", content, boundary)
    local answer = platform:request("POST", ("/workspaces/%s/chat/uploads"):format(workspace.id), { body = body,
      token = workspace.token, headers = { ["Content-Type"] = "multipart/form-data; boundary=" .. boundary,
        Authorization = "Bearer " .. workspace.token } })
    assert.equal(200, answer.status, answer.body)
    return answer.json.files[1]
  end

  local function send(files, text)
    local parts = { text and { kind = "text", text = text } or nil }
    for _, file in ipairs(files) do parts[#parts + 1] = { kind = "file", file = file } end
    return platform:message { to = workspace.id, parts = parts }[1]
  end

  local function canvas_posts(one)
    local bodies = {}
    for _, entry in ipairs(one:posts "/notify") do bodies[#bodies + 1] = cjson.decode(entry.body) end
    return bodies
  end

  it("of the human is read, whatever its bytes, and acknowledged when the reply stands", function()
    local bytes = {}
    for i = 0, 255 do bytes[i + 1] = string.char(i) end
    local content = table.concat(bytes):rep(40)
    local one = connect [[
      return function(msg)
        local file = msg.files[1]
        local content = assert(file:read())
        local sum = 0
        for i = 1, #content do sum = sum + content:byte(i) * i % 7 end
        return ("%s %s %d %d %d"):format(file.name, file.mime_type, file.size, #content, sum)
      end]]
    local sum = 0
    for i = 1, #content do sum = sum + content:byte(i) * i % 7 end
    send { stage("data.bin", content, "application/x-test") }
    assert.equal(("data.bin application/x-test %d %d %d"):format(#content, #content, sum), one:canvas(1)[1])
    one:wait { method = "POST", path = "/ack", status = 200 }
    one:stop()
  end)

  it("is not acknowledged when the handler fails, so that the next attempt can read it", function()
    local one = connect [[
      return function(msg, ctx)
        local content = assert(msg.files[1]:read())
        if ctx.attempt == 1 then error "not now" end
        return content
      end]]
    send { stage("a.txt", "the content") }
    assert.equal("the content", one:canvas(1)[1])
    one:wait { method = "POST", path = "/ack", status = 200 }
    local acks, reads = 0, 0
    for _, entry in ipairs(platform:journal()) do
      if entry.path:find(workspace.id, 1, true) and entry.path:find "/ack$" then acks = acks + 1 end
      if entry.path:find(workspace.id, 1, true) and entry.path:find "/content$" then reads = reads + 1 end
    end
    assert.equal(1, acks)
    assert.equal(2, reads)
    one:stop()
  end)

  it("is saved whole, and what cannot be written is said", function()
    local directory = host.directory()
    local one = connect([[
      return function(msg, ctx)
        assert(msg.files[1]:save(ctx.options.to .. "/saved.txt"))
        local _, problem, code = msg.files[1]:save(ctx.options.to .. "/no/such/place.txt")
        return code .. " " .. problem
      end]], { "--script-opt", "to=" .. directory })
    send { stage("a.txt", "the content") }
    local told = one:canvas(1)[1]
    assert.truthy(told:find("^FILE file:save: .*/no/such/place.txt: No such file or directory"), told)
    assert.equal("the content", host.read(directory .. "/saved.txt"))
    assert.same({ "saved.txt" }, host.list(directory))
    one:stop()
  end)

  it("that is gone, or was never there for us, is told with a code", function()
    local one = connect [[
      return function(msg)
        local codes = {}
        for i, file in ipairs(msg.files) do codes[i] = select(3, file:read()) end
        return table.concat(codes, " ")
      end]]
    send { { uri = "platform-pending:" .. workspace.id .. "/00000000-0000-4000-8000-000000000000", name = "a" },
      { uri = "workspace:/tmp/b", name = "b" }, { name = "c" } }
    assert.equal("NOT_FOUND UNAVAILABLE UNAVAILABLE", one:canvas(1)[1])
    one:stop()
  end)

  it("inside a peer's message is read without asking the platform", function()
    local one = connect [[return function(msg) return msg.files[1]:read() .. "|" .. msg.files[1].name end]]
    platform:message { to = workspace.id, from = peer.id, parts = { { kind = "file", file = { name = "x.txt",
      bytes = host.base64 "hello, bytes" } } } }
    assert.same({ "hello, bytes|x.txt" }, (one:peer(peer.id, 1)))
    one:stop()
  end)

  it("inside a peer's message is read though it is large", function()
    local one = connect [[return function(msg)
      local bytes = assert(msg.files[1]:read())
      return ("%d %s"):format(#bytes, bytes:sub(-6))
    end]]
    local text = host.base64("123456789abc"):rep(1 << 20)
    platform:message { to = workspace.id, from = peer.id, parts = { { kind = "file", file = { name = "x", bytes = text } } } }
    assert.same({ "12582912 789abc" }, (one:peer(peer.id, 1)))
    one:stop()
  end)

  it("inside a peer's message whose bytes are no base64 is told with the place", function()
    local one = connect [[return function(msg)
      local told = {}
      for i, file in ipairs(msg.files) do told[i] = table.concat({select(2, file:read())}, " ") end
      return table.concat(told, ", ")
    end]]
    local parts = {}
    for i, bytes in ipairs { "aGVsb?8=", "aGVsb", "aGVs=bG8" } do
      parts[i] = { kind = "file", file = { name = tostring(i), bytes = bytes } }
    end
    platform:message { to = workspace.id, from = peer.id, parts = parts }
    assert.same({ "file 1: its bytes are not base64 at byte 6 of 8 UNAVAILABLE, "
      .. "file 2: its bytes are base64 that ends too early, after 5 bytes UNAVAILABLE, "
      .. "file 3: its bytes are not base64 at byte 5 of 8 UNAVAILABLE" }, (one:peer(peer.id, 1)))
    one:stop()
  end)

  it("goes to the human with the reply, from disk and from memory, and its row is not answered", function()
    local directory = host.directory()
    host.write(directory .. "/report.md", "# Report\n")
    local one = connect([[
      return function(msg, ctx)
        return {text = "here you are", files = {ctx.options.from .. "/report.md", {name = "data.json", data = "{}"}}}
      end]], { "--script-opt", "from=" .. directory })
    platform:message { to = workspace.id, text = "the report, please" }
    one:canvas(1)
    local sent = canvas_posts(one)[1]
    assert.equal("here you are", sent.message)
    assert.equal(2, #sent.attachments)
    assert.equal("report.md", sent.attachments[1].name)
    assert.equal("text/markdown", sent.attachments[1].mimeType)
    assert.equal("application/json", sent.attachments[2].mimeType)
    local id = sent.attachments[1].uri:match "/([%w%-]+)$"
    local content = platform:get(("/workspaces/%s/pending-uploads/%s/content"):format(workspace.id, id),
      { headers = { Authorization = "Bearer " .. workspace.token } })
    assert.equal("# Report\n", content.body)
    local last = platform:message { to = workspace.id, text = "and again" }[1]
    one:log_of(last, "replied")
    assert.equal(2, #canvas_posts(one))
    one:stop()
  end)

  it("alone is told by its name", function()
    local one = connect [[return function() return {files = {{name = "only.txt", data = "x"}}} end]]
    platform:message { to = workspace.id, text = "x" }
    assert.equal("only.txt", one:canvas(1)[1])
    one:stop()
  end)

  it("goes to a peer inside the message", function()
    local one = connect [[return function() return {text = "see", files = {{name = "x.bin", data = "\0\1\2 hello"}}} end]]
    platform:message { to = workspace.id, from = peer.id, text = "x" }
    local _, entries = one:peer(peer.id, 1)
    local parts = cjson.decode(entries[1].body).params.message.parts
    assert.equal("see", parts[1].text)
    assert.same({ name = "x.bin", mimeType = "application/octet-stream", bytes = host.base64 "\0\1\2 hello" }, parts[2].file)
    one:stop()
  end)

  it("that does not exist makes the attempt fail with its path", function()
    local one = connect([[return function() return {text = "x", files = {"/no/such/file"}} end]], { "--max-attempts", "1" })
    local id = platform:message { to = workspace.id, text = "x" }[1]
    one:log_of(id, "/no/such/file: No such file or directory")
    one:stop()
  end)

  it("that is no list, a directory or nothing makes the attempt fail with what is wrong", function()
    local one = connect([[
      local files = {
        single = {name = "a.txt", data = "x"}, directory = {"/tmp"}, hole = {nil, "/etc/hostname"}, text = "/etc/hostname",
      }
      return function(msg) return {text = "x", files = files[msg.text]} end]], { "--max-attempts", "1" })
    for text, problem in pairs {
      single = "files must be a list, not a table with the field `",
      directory = "files[1]: /tmp: Is a directory",
      hole = "files[1] must be a path or {name =, mime_type =, data =}, not a nil",
      text = "files must be a list of paths",
    } do
      local id = platform:message { to = workspace.id, text = text }[1]
      one:log_of(id, (problem:gsub("%p", "%%%0")))
    end
    one:stop()
  end)

  for profile, limit in pairs { t1 = "720 KiB", latest = "11.95 MiB" } do
    it("too large for a peer is left out with the platform's limit, and the text goes out (" .. profile .. ")", function()
      local own = emulator.start { profile = profile, args = { "--rate-limit", "-1" } }
      local boss, other = host.workspace(own), host.workspace(own)
      local one = host.connect { platform = own, workspace = boss, script = [[
        return function(msg)
          return {text = "see", files = {{name = "x", data = ("x"):rep(math.tointeger(tonumber(msg.text)))}}}
        end]] }
      local function sent(size, count)
        local id = own:message { to = boss.id, from = other.id, text = tostring(size) }[1]
        local entries = one:wait { path = ("/workspaces/%s/a2a"):format(other.id), status = 200, count = count }
        return id, entries[count].body:match '"text":"(.-)"'
      end
      local _, text = sent(700 * 1024, 1)
      assert.equal("see", text)
      local id
      id, text = sent(13 << 20, 2)
      assert.equal("see\\n\\n[x could not be sent: file x: more than " .. limit ..
        " of files in a message to a peer, which carries their bytes]", text)
      one:log_of(id, "the reply goes out without its files")
      one:stop()
      own:stop()
    end)
  end

  it("that the platform takes none of is left out: the text goes out with a note, and the handler runs once", function()
    local old = emulator.start { profile = "t1", args = { "--rate-limit", "-1" } }
    local one_workspace = host.workspace(old)
    local one = host.connect { platform = old, workspace = one_workspace, script = [[
      local runs = 0
      return function(msg)
        runs = runs + 1
        return {text = msg.text == "alone" and "" or "run " .. runs, files = {{name = "x.txt", data = "y"}}}
      end]] }
    local id = old:message { to = one_workspace.id, text = "x" }[1]
    one:canvas(1)
    one:log_of(id, "HTTP 503: workspace url not registered yet")
    old:message { to = one_workspace.id, text = "alone" }
    local texts = one:canvas(2)
    assert.matches("^run 1\n\n%[x.txt could not be sent: .*workspace url not registered yet%]$", texts[1])
    assert.matches("^%[x.txt could not be sent: .*%]$", texts[2])
    one:stop()
    old:stop()
  end)

  it("that is larger than the platform says it takes is not uploaded", function()
    local own = emulator.start { args = { "--rate-limit", "-1" } }
    own:order("config", { upload_maximum = 1000 })
    local boss = host.workspace(own)
    local one = host.connect { platform = own, workspace = boss, script = [[
      return function() return {text = "see", files = {{name = "x", data = ("x"):rep(1001)}}} end]] }
    own:message { to = boss.id, text = "x" }
    assert.matches("^see\n\n%[x could not be sent: file x is larger than the platform accepts, 0.9766 KiB%]$", one:canvas(1)[1])
    one:stop()
    assert.equal(0, #one:posts "/chat/uploads")
    own:stop()
  end)

  it("that is given wrongly makes the message a dead letter at once: it would be wrong each time", function()
    local one = connect [[return function() return {text = "x", files = {5}} end]]
    local id = platform:message { to = workspace.id, text = "x" }[1]
    one:log_of(id, "attempt 1 of 1.*files%[1%] must be a path")
    one:stop()
  end)
end)
