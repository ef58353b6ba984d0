--- tests/a2a/tck, which runs a conformance kit that is not part of this project: a small kit stands in for it here.

local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local process = require "tests.support.process"

local KIT = [[
import json, os, sys, urllib.request, xml.sax.saxutils
url = sys.argv[sys.argv.index("--sut-host") + 1]
card = json.load(urllib.request.urlopen(url + "/.well-known/agent-card.json"))
body = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": {
    "messageId": "tck-complete-task-1", "role": "ROLE_USER", "parts": [{"text": "hello"}]}}}
request = urllib.request.Request(url, json.dumps(body).encode(), {"A2A-Version": "1.0", "Content-Type": "application/json"})
answer = json.load(urllib.request.urlopen(request))
print(json.dumps({"card": card["name"], "state": answer["result"]["task"]["status"]["state"], "words": sys.argv[3:]}))
os.makedirs("reports", exist_ok=True)
open("reports/junitreport.xml", "w").write(
    '<testsuites><testsuite tests="7" failures="%s" errors="0" skipped="2"/></testsuites>' % os.environ["KIT_FAILS"])
]]

describe("tests/a2a/tck", function()
  after_each(host.clean_up)

  local function run(failures, ...)
    local folder = host.directory()
    host.write(folder .. "/pyproject.toml", "[project]\ndependencies = []\n")
    host.write(folder .. "/run_tck.py", KIT)
    local child = process.spawn { command = { "tests/a2a/tck", folder, ... },
      env = { MOLECULE = emulator.binary(), KIT_FAILS = tostring(failures) } }
    return child, child:wait_exit()
  end

  it("runs a kit against molecule serve, and counts what it reports", function()
    local child, code = run(0, "--level", "must")
    assert(code == 0, child:report())
    local said = cjson.decode(child.stdout:match "%b{}")
    assert.equal("TASK_STATE_COMPLETED", said.state)
    assert.same({ "--level", "must" }, said.words)
    assert.matches("\n5 passed, 0 failed, 2 skipped\n$", child.stdout)
  end)

  it("fails if a test of the kit does", function()
    local child, code = run(3)
    assert(code == 1, child:report())
    assert.matches("\n2 passed, 3 failed, 2 skipped\n$", child.stdout)
  end)

  it("says what is missing", function()
    local child = process.spawn { command = { "tests/a2a/tck", host.directory() } }
    assert.equal(2, child:wait_exit())
    assert.matches("there is no run_tck.py in /", child.stderr)
  end)
end)
