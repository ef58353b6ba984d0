--- cmake/install-dependencies: what a newcomer is told before anything is built.
local uv = require "luv"
local host = require "tests.support.host"
local process = require "tests.support.process"

local SCRIPT = "cmake/install-dependencies"

describe("cmake/install-dependencies", function()
  local tools

  -- A PATH that has nothing but what is put there: the machine's own packages do not matter.
  before_each(function()
    tools = host.directory()
    for _, name in ipairs { "bash", "dirname", "env" } do
      assert(os.execute(("ln -s $(command -v %s) %s/%s"):format(name, tools, name)))
    end
  end)
  after_each(host.clean_up)

  local function tool(name, text)
    host.write(tools .. "/" .. name, "#!" .. tools .. "/bash\n" .. text .. "\n")
    assert(uv.fs_chmod(tools .. "/" .. name, 493))
  end

  local function run(what, script)
    local child = process.spawn { command = { tools .. "/bash", script or SCRIPT, what }, env = { PATH = tools } }
    local code = child:wait_exit()
    return code, child.stderr .. child.stdout
  end

  -- Everything is installed but ninja-build and nettle-dev.
  local function debian()
    tool("dpkg-query", [[case "${!#}" in ninja-build|nettle-dev) exit 1 ;; *) echo -n installed ;; esac]])
    tool("apt-get", [[echo "apt-get $*"]])
  end

  it("prints the line to run as root for who is neither root nor has sudo: only what is missing", function()
    debian()
    tool("id", "echo 1000")
    local code, said = run "build"
    assert.equal(1, code)
    assert.truthy(said:find("apt-get update && apt-get install -y --no-install-recommends ninja-build nettle-dev\n", 1, true),
      said)
  end)

  it("prints that line too where sudo wants a password that nobody can type", function()
    debian()
    tool("id", "echo 1000")
    tool("sudo", "exit 1")
    local code, said = run "build"
    assert.equal(1, code)
    assert.truthy(said:find("sudo asks for a password", 1, true), said)
    assert.truthy(said:find("install -y --no-install-recommends ninja-build nettle-dev\n", 1, true), said)
  end)

  it("installs by way of sudo", function()
    debian()
    tool("id", "echo 1000")
    tool("sudo", [[[ "$1" = -n ] && exit 0; echo "sudo $*" >&2]])
    local code, said = run "build"
    assert.equal(0, code, said)
    assert.truthy(said:find("sudo apt-get update", 1, true), said)
    assert.truthy(said:find "sudo env DEBIAN_FRONTEND=noninteractive apt%-get install .*ninja%-build nettle%-dev", said)
  end)

  it("says so when apt-get fails, and with what line to try again", function()
    debian()
    tool("id", "echo 0")
    tool("apt-get", "echo 'E: no network' >&2; exit 100")
    local code, said = run "build"
    assert.equal(1, code)
    assert.truthy(said:find("E: no network", 1, true) and said:find("apt-get update failed", 1, true), said)
    assert.truthy(said:find("apt-get update && apt-get install", 1, true), said)
  end)

  it("is silent where nothing is missing", function()
    tool("dpkg-query", "echo -n installed")
    tool("apt-get", "exit 1")
    local code, said = run "full"
    assert.equal(0, code)
    assert.equal("", said)
  end)

  it("names what it would need where there is no apt-get", function()
    local code, said = run "build"
    assert.equal(1, code)
    assert.truthy(said:find("no apt-get here; install what your system calls: gcc ", 1, true), said)
  end)

  it("says how to build elsewhere when the checkout is read-only", function()
    local checkout = assert(uv.fs_mkdtemp "/tmp/molecule-checkout-XXXXXX") -- where another user may look, too
    assert(os.execute(("mkdir %s/cmake && cp %s %s/cmake/ && chmod 555 %s"):format(checkout, SCRIPT, checkout, checkout)))
    local words = { "bash", checkout .. "/cmake/install-dependencies", "build" }
    if uv.getuid() == 0 then words = { "setpriv", "--reuid=65534", "--clear-groups", table.unpack(words) } end
    local child = process.spawn { command = words }
    local code = child:wait_exit()
    assert(os.execute(("chmod 755 %s && rm -r %s"):format(checkout, checkout)))
    assert.equal(0, code, child.stderr)
    assert.truthy(child.stderr:find("this checkout is read-only; build elsewhere: cmake -S " .. checkout .. " -B ", 1, true),
      child.stderr)
  end)
end)
