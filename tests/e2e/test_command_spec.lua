--- `molecule test`: busted inside the program, and the same kit in a separate busted.
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local process = require "tests.support.process"

local ROOT = assert(io.popen("pwd")):read "l"

describe("molecule test", function()
  after_each(function()
    process.kill_all()
    host.clean_up()
  end)

  local function run(words, options)
    options = options or {}
    local command = { emulator.binary(), "test" }
    for _, word in ipairs(words) do command[#command + 1] = word end
    local one = process.spawn { command = options.command or command, cwd = options.cwd, env = options.env }
    local code = one:wait_exit()
    assert(not one.stderr:find("Sanitizer", 1, true), one.stderr)
    return code, one.stdout, one.stderr
  end

  local function folder(files)
    local directory = host.directory()
    for name, text in pairs(files) do
      local inner = name:match "^(.*)/"
      if inner then assert(os.execute(("mkdir -p '%s/%s'"):format(directory, inner))) end
      host.write(directory .. "/" .. name, text)
    end
    return directory
  end

  it("runs the specs of the examples, from anywhere", function()
    local code, printed = run { "examples" }
    assert.equal(0, code, printed)
    local count = tonumber(printed:match "(%d+) successes / 0 failures / 0 errors / 0 pending")
    assert(count and count >= 20, printed)
    code, printed = run({ "echo_spec.lua" }, { cwd = ROOT .. "/examples" })
    assert.equal(0, code, printed)
  end)

  it("finds what is in the working directory, in spec/ and in tests/", function()
    local spec = "it('%s', function() assert.replied(require 'molecule.testing'.agent('agent.lua'):send 'x', 'x') end)"
    local directory = folder { ["agent.lua"] = "return function(msg) return msg.text end", ["a_spec.lua"] = spec:format "here",
      ["spec/b_spec.lua"] = spec:format "below",
      ["tests/deep/c_spec.lua"] = spec:format "deep", ["other/d_spec.lua"] = "error()" }
    local code, printed = run({}, { cwd = directory })
    assert.equal(0, code, printed)
    assert(printed:find("3 successes / 0 failures / 0 errors", 1, true), printed)
    code, printed = run({ "--filter", "deep", "-o", "TAP" }, { cwd = directory })
    assert.equal(0, code)
    assert(printed:find "ok 1 %- deep" and not printed:find "below", printed)
  end)

  it("exits with 1 when a test failed, and shows what a script did", function()
    local directory = folder { ["a_spec.lua"] = [[
local t = require "molecule.testing"
it("fails", function()
  local a = t.agent("agent.lua", {source = "local x\nreturn function() return x.y end"})
  assert.replied(a:send "go", "fine")
end)
it("is not stubbed", function()
  local a = t.agent("agent.lua", {source = "return function() return require 'molecule'.http.get 'http://x/' end"})
  a:send "go"
end)]] }
    local code, printed = run({}, { cwd = directory })
    assert.equal(1, code)
    assert(printed:find("0 successes / 1 failure / 1 error", 1, true), printed)
    for _, words in ipairs { 'Expected replied "fine", but it was', "failed: agent.lua:2: attempt to index a nil value" } do
      assert(printed:find(words, 1, true), printed)
    end
    assert(printed:find('molecule.http GET http://x/ is not stubbed; add a:http("GET", "http://x/", {…})', 1, true), printed)
  end)

  it("has the program's JSON and cjson", function()
    local directory = folder { ["a_spec.lua"] = [[
it("has both", function()
  local json, cjson = require "molecule.json", require "cjson"
  assert.equal('{"a":[]}', json.encode {a = json.array {}})
  assert.equal("[1,null]", cjson.encode {1, cjson.null})
  assert.equal(json.null, cjson.null)
  assert.has_error(function() cjson.decode "{" end)
  assert.is_nil((require "cjson.safe".decode "{"))
end)]] }
    local code, printed = run({}, { cwd = directory })
    assert.equal(0, code, printed)
  end)

  it("says what is missing", function()
    local code, _, errors = run({}, { cwd = host.directory() })
    assert.equal(2, code)
    assert(errors:find("there is no *_spec.lua in this directory, in spec/ or in tests/", 1, true), errors)
    code, _, errors = run({ "examples" }, { env = { LUA_PATH = "/nowhere/?.lua", LUA_PATH_5_4 = "/nowhere/?.lua" } })
    assert.equal(1, code)
    assert(errors:find("apt-get install lua-busted", 1, true), errors)
  end)

  it("explains itself", function()
    local code, printed = run { "--help" }
    assert.equal(0, code)
    assert(printed:find("^Usage: molecule test "), printed)
  end)

  it("has a kit that a plain busted runs, too", function()
    local code, printed, errors = run({}, { command = { "busted", "--lua=lua5.4", "examples" }, env = {
      LUA_PATH = "lua/?.lua;lua/?/init.lua;;" } })
    assert.equal(0, code, printed .. errors)
    assert(printed:find("0 failures / 0 errors", 1, true), printed)
  end)
end)
