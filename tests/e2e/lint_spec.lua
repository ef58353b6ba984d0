--- What tests/lint --fast and the hooks refuse: the rules that no compiler knows.
local uv = require "luv"
local host = require "tests.support.host"
local process = require "tests.support.process"

local function run(command, input)
  local child = process.spawn { command = command, stdin = input }
  local code = child:wait_exit()
  return code, child.stdout .. child.stderr
end

describe("the rules of the house", function()
  local root

  before_each(function() root = host.directory() end)
  after_each(host.clean_up)

  local function make(path, text)
    local folder = root
    for part in path:gmatch "([^/]+)/" do
      folder = folder .. "/" .. part
      uv.fs_mkdir(folder, 448)
    end
    host.write(root .. "/" .. path, text)
  end

  local function rules(option)
    local command = { "lua5.4", "tests/support/rules.lua", option or root, option and root }
    return run(command)
  end

  local function refuses(entry, because)
    local code, said = rules()
    assert(code == 1 and said:find(entry, 1, true), said)
    assert(not because or said:find(because, 1, true), said)
  end

  it("are kept by this tree", function()
    local code, said = run { "lua5.4", "tests/support/rules.lua" }
    assert(code == 0, said)
  end)

  it("let a file include its own folder and what is below, skipping floors", function()
    make("src/main.c", '#include "commands/a.h"\n')
    make("src/commands/a.c", '#include "commands/a.h"\n#include "molecule/molecule.h"\n#include "base/a.h"\n')
    make("src/messages/a.c", '#include "link/a.h"\n#include "journal/a.h"\n#include "wire/a.h"\n')
    make("src/script/a.c", '#include "wire/a.h"\n#include "net/a.h"\n#include <lua.h>\n')
    local code, said = rules()
    assert(code == 0, said)
    assert.equal("", said)
  end)

  for name, case in pairs {
    ["what is above it"] = { "src/base/a.c", "state/a.h" },
    ["a neighbor on its floor"] = { "src/wire/a.c", "net/a.h" },
    ["link from journal"] = { "src/journal/a.c", "link/a.h" },
    ["journal from link"] = { "src/link/a.c", "journal/a.h" },
    ["state from script"] = { "src/script/a.c", "state/a.h" },
    ["the library's face from the host"] = { "src/host/a.h", "molecule/molecule.h" },
    ["a folder that has no floor"] = { "src/host/a.c", "elsewhere/a.h" },
  } do
    it("refuse to include " .. name, function()
      make(case[1], ('#include "%s"\n'):format(case[2]))
      refuses(("floor %s %s"):format(case[1], case[2]))
    end)
  end

  it("refuse a circle of four files, through their sources, too, but not one of three", function()
    make("src/host/a.h", '#include "host/b.h"\n')
    make("src/host/b.c", '#include "host/c.h"\n')
    make("src/host/c.h", '#include "host/a.h"\n')
    assert.equal(0, (rules()))
    make("src/host/c.h", '#include "host/d.h"\n')
    make("src/host/d.c", '#include "host/a.h"\n')
    refuses "circle src/host/a 4"
  end)

  it("refuse long files, long functions and wide lines", function()
    make("src/base/a.c", ("\n"):rep(451))
    make("lua/a.lua", ("\n"):rep(450))
    make("src/base/b.c", "static int fine(int a,\n                int b)\n{\n" .. ("    a;\n"):rep(60) .. "}\n\n"
      .. "int too_long(int a,\n             int b)\n{\n" .. ("    a;\n"):rep(61) .. "}\n")
    make("src/base/c.h", "/* " .. ("é"):rep(97) .. "\n/* " .. ("x"):rep(98) .. "\n")
    local code, said = rules()
    assert.equal(1, code)
    assert(said:find "lines src/base/a.c 451 ", said)
    assert(said:find "function src/base/b.c too_long 61 ", said)
    assert(said:find "columns src/base/c.h 1 ", said)
    assert.equal(3, select(2, said:gsub("\n", "")))
  end)

  it("let pass what tests/lint.allow lists, but not more of it", function()
    make("src/base/a.c", ("\n"):rep(500))
    make("src/wire/a.c", '#include "net/a.h"\n')
    make("tests/lint.allow", "# a comment\nlines src/base/a.c 500\nfloor src/wire/a.c net/a.h   # another\n")
    assert.equal(0, (rules()))
    make("src/base/a.c", ("\n"):rep(501))
    refuses "lines src/base/a.c 501"
    make("src/base/a.c", ("\n"):rep(500))
    make("src/wire/a.c", '#include "net/b.h"\n')
    refuses("floor src/wire/a.c net/b.h")
  end)

  it("refuse an entry that is no longer needed, and take it out on request", function()
    make("src/base/a.c", ("\n"):rep(470))
    make("tests/lint.allow", "# a comment\nlines src/base/a.c 500\nfloor src/wire/a.c net/a.h\n")
    refuses("floor src/wire/a.c net/a.h", "run tests/lint --shrink")
    assert.equal(0, (rules "--shrink"))
    assert.equal("# a comment\nlines src/base/a.c 470\n", host.read(root .. "/tests/lint.allow"))
    make("src/base/b.c", ("\n"):rep(470))
    assert.equal(1, (rules "--shrink"))
    assert.equal("# a comment\nlines src/base/a.c 470\n", host.read(root .. "/tests/lint.allow"))
  end)
end)

describe("tests/lint --format", function()
  local path

  before_each(function() path = host.directory() end)
  after_each(host.clean_up)

  local function tool(name, text)
    host.write(path .. "/" .. name, "#!/bin/sh\n" .. text .. "\n")
    assert(uv.fs_chmod(path .. "/" .. name, 493))
  end

  local function lint(...)
    local child = process.spawn { command = { "tests/lint", ... }, env = { PATH = path .. ":" .. os.getenv "PATH" } }
    local code = child:wait_exit()
    return code, child.stdout .. child.stderr
  end

  it("is silent where nothing differs", function()
    tool("clang-format", 'cat "$1"')
    local code, said = lint("--format", "src/main.c", "src/base/uuid.c")
    assert.equal(0, code, said)
    assert.equal("", said)
  end)

  it("shows what differs, in which file", function()
    tool("clang-format", 'case $1 in src/main.c) cat "$1" ;; *) sed s/uuid/UUID/ "$1" ;; esac')
    local code, said = lint("--format", "src/main.c", "src/base/uuid.c")
    assert.equal(1, code)
    assert(said:find("--- src/base/uuid.c\n", 1, true) and not said:find("src/main.c", 1, true), said)
  end)

  it("says what is wrong with an option that there is not", function()
    local code, said = lint "--fromat"
    assert.equal(2, code)
    assert(said:find("unknown option --fromat", 1, true), said)
  end)
end)

describe("the check of commit messages", function()
  after_each(host.clean_up)

  local function check(message)
    return run { "cmake/hooks/commit-msg", host.write(host.directory() .. "/message", message) }
  end

  for name, message in pairs {
    ["a subject with a part"] = "host: stops in time\n\nA body of any width " .. ("x"):rep(100) .. "\n",
    ["72 characters, not bytes"] = "docs: " .. ("é"):rep(66) .. "\n",
    ["comments of git before it"] = "# Please enter\n\ntests: wait for events\n",
    ["a merge"] = "Merge branch 'work'\n",
  } do
    it("accepts " .. name, function()
      local code, said = check(message)
      assert(code == 0, said)
    end)
  end

  for name, case in pairs {
    ["73 characters"] = { "docs: " .. ("x"):rep(67), "it has 73 characters, at most 72 fit" },
    ["no part"] = { "Fix things", "part: what it does now" },
    ["a part alone"] = { "docs: ", "part: what it does now" },
    ["a period at the end"] = { "docs: more words.", "ends with a period" },
    ["nothing"] = { "\n# only comments\n", "it is empty" },
  } do
    it("refuses " .. name, function()
      local code, said = check(case[1])
      assert.equal(1, code)
      assert(said:find(case[2], 1, true), said)
    end)
  end
end)
