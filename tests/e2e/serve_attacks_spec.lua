--- `molecule serve` and those who mean it harm: each gets a clear status, and a normal request works afterwards.

local cjson = require "cjson"
local uv = require "luv"
local host = require "tests.support.host"
local http = require "tests.support.http"
local loop = require "tests.support.loop"
local served = require "tests.support.served"

local HEAD = "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nA2A-Version: 1.0\r\nContent-Type: application/json\r\n"

describe("molecule serve, attacked by", function()
  local one

  before_each(function() one = served.start {} end)
  after_each(served.clean_up)

  local function still_serves()
    assert.same({ "COMPLETED", "echo fine" }, { served.outcome(one:send("echo fine").task) })
    one:stop()
  end

  local function status_of(text)
    local exchange = http.raw(one.port, text):wait()
    return exchange.status or exchange.problem
  end

  it("a head that comes byte by byte, or not at all, ends it with 408", function()
    local slow = http.raw(one.port, "POST / HTTP/1.1\r\nHost: x\r\n")
    local timer = uv.new_timer()
    timer:start(100, 100, function()
      if not slow.socket:is_closing() then slow.socket:write "X" end
    end)
    local silent = http.raw(one.port, "")
    one:send "echo meanwhile"
    slow:wait()
    timer:stop()
    timer:close()
    silent:wait()
    assert.equal(408, slow.status)
    assert.truthy(silent.status == 408 or silent.problem == "EOF", silent.problem)
    still_serves()
  end)

  it("bodies larger than --max-body, announced or not", function()
    assert.equal(413, status_of(HEAD .. "Content-Length: 67108864\r\n\r\n"))
    local chunk = ("100000\r\n%s\r\n"):format((" "):rep(0x100000))
    assert.equal(413, status_of(HEAD .. "Transfer-Encoding: chunked\r\n\r\n" .. chunk:rep(64) .. "0\r\n\r\n"))
    still_serves()
  end)

  it("ten thousand headers, and long ones", function()
    assert.equal(431, status_of(HEAD .. ("X-One: 1\r\n"):rep(10000) .. "\r\n"))
    assert.equal(431, status_of(HEAD .. "X-One: " .. ("x"):rep(100000) .. "\r\n\r\n"))
    assert.equal(414, status_of("GET /" .. ("x"):rep(100000) .. " HTTP/1.1\r\nHost: x\r\n\r\n"))
    still_serves()
  end)

  it("two lengths of one body, and other ways to smuggle a request", function()
    for _, headers in ipairs {
      "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "Content-Length: 4\r\nContent-Length: 5\r\n",
      "Transfer-Encoding: chunked, identity\r\n", "Transfer-Encoding: xchunked\r\n", "Transfer-Encoding : chunked\r\n",
      "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "Content-Length: +4\r\n", "Content-Length: -1\r\n",
      "Content-Length: 0x4\r\n", "Content-Length: 4,4\r\n", "Content-Length: 99999999999999999999\r\n", "X: 1\n", "Host: y\r\n",
      " folded\r\n", "X\0: 1\r\n",
    } do
      local status = status_of(HEAD .. headers .. "\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
      assert.truthy(status == 400 or status == 413 or status == 501, ("%s: %s"):format(cjson.encode(headers), status))
    end
    still_serves()
  end)

  it("chunks whose sizes are none", function()
    for _, chunk in ipairs { "FFFFFFFFFFFFFFFFF\r\n", "-1\r\n", "zz\r\n", "\r\n" } do
      local status = status_of(HEAD .. "Transfer-Encoding: chunked\r\n\r\n" .. chunk .. "x\r\n0\r\n\r\n")
      assert.truthy(status == 400 or status == 413, ("%s: %s"):format(cjson.encode(chunk), status))
    end
    still_serves()
  end)

  it("JSON of a depth that nobody means, and JSON that is none", function()
    local function code_of(body)
      local answer = http.request { port = one.port, method = "POST", path = "/", body = body,
        headers = { ["A2A-Version"] = "1.0", ["Content-Type"] = "application/json" } }
      return answer.status, answer.json and answer.json.error and math.tointeger(answer.json.error.code)
    end
    local frame = [[{"jsonrpc":"2.0","id":1,"method":"SendMessage","params":{"message":{"messageId":"d","role":"ROLE_USER",]]
      .. [["parts":[{"data":%s}]}}}]]
    for _, body in ipairs { ("["):rep(1000000), ('{"a":'):rep(500000), frame:format(("["):rep(5000) .. ("]"):rep(5000)), "{",
      "\255\254", '{"jsonrpc":"2.0","id":1', "nonsense" } do
      assert.same({ 200, -32700 }, { code_of(body) })
    end
    for _, body in ipairs { "[]", "{}", "1", '"text"', "null" } do
      assert.same({ 200, -32600 }, { code_of(body) })
    end
    still_serves()
  end)

  it("texts of the wrong kind where ids stand", function()
    for _, message in ipairs {
      { role = "ROLE_USER", parts = { { text = "x" } } }, { messageId = ("x"):rep(100000), role = "ROLE_USER",
        parts = { { text = "x" } } }, { messageId = 1, role = "ROLE_USER", parts = { { text = "x" } } },
      { messageId = "a", role = "ROLE_KING", parts = { { text = "x" } } }, { messageId = "a", role = "ROLE_USER" },
      { messageId = "a", role = "ROLE_USER", parts = "x" }, { messageId = "a", role = "ROLE_USER", parts = { { text = 1 } } },
    } do
      assert.equal(-32602, (one:problem("SendMessage", { message = message })))
    end
    still_serves()
  end)

  it("a thousand streams of one task, each of which gets its end", function()
    one:stop()
    local gate = served.gate()
    one = served.start { gate = gate }
    local limit = tonumber((host.read "/proc/self/limits"):match "Max open files%s+(%d+)") or 1024
    local count = math.min(1000, limit - 100)
    local id = one:begin "gate s".id
    gate.wait(1)
    local streams = {}
    for i = 1, count do streams[i] = one:subscribe(id) end
    for _, stream in ipairs(streams) do stream:wait(1) end
    local maps = host.read(("/proc/%d/maps"):format(one.process.pid))
    local memory = tonumber((host.read(("/proc/%d/status"):format(one.process.pid))):match "VmRSS:%s+(%d+)") / 1024
    if not maps:find "lib[at]san" then
      assert.truthy(memory < 100, ("%d MiB for %d streams"):format(math.floor(memory), count))
    end
    gate.open()
    for _, stream in ipairs(streams) do
      local words = served.words(stream:finish())
      assert.equal("COMPLETED", words[#words])
    end
    still_serves()
  end)

  it("readers who leave, each at another place of a stream", function()
    local streams = {}
    for i = 1, 50 do
      streams[i] = one:stream "count"
      if i % 3 == 0 then streams[i]:close() end
      if i % 3 == 1 then
        streams[i]:wait(2)
        streams[i]:close()
      end
    end
    assert(loop.wait(function()
      for i = 2, 50, 3 do
        if not streams[i].exchange.done then return false end
      end
      return true
    end))
    still_serves()
  end)
end)
