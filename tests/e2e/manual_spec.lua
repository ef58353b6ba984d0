--- The manual pages: each command, each of its options and each topic is in them, and man takes them without a word.
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"

local function run(command)
  local pipe = assert(io.popen(command .. " 2>&1"))
  local text = pipe:read "a"
  return text, pipe:close()
end

local function has(program) return os.execute("command -v " .. program .. " >/dev/null") end

describe("the manual", function()
  local folder, names

  setup(function()
    folder = host.directory()
    local said, fine = run(("cmake/manual-pages %q %s"):format(emulator.binary(), folder))
    assert(fine and said == "", said)
    names = host.list(folder)
  end)

  teardown(host.clean_up)

  -- A page as words on a line; what roff escapes is as it was.
  local function page(name)
    local text = host.read(folder .. "/" .. name):gsub("\\f[BRI]", ""):gsub("\\&", ""):gsub("\\%-", "-"):gsub("\\e", "\\")
    return (text:gsub("Fl %-", "--"):gsub("\\%(dq", " "):gsub('"', ""):gsub("%s+", " "))
  end

  local function help(command) return (run(("%q %s --help"):format(emulator.binary(), command))) end

  it("has a page of the program, of each command, of scripts and of guarantees", function()
    local expected = { "molecule.1", "molecule-script.7", "molecule-guarantees.7" }
    for name, about in help "":gmatch "\n  (%l+) +([^\n]*)" do
      expected[#expected + 1] = "molecule-" .. name .. ".1"
      assert(page "molecule.1":find(".It Xr molecule-" .. name .. " 1 " .. about, 1, true), name)
    end
    table.sort(expected)
    table.sort(names)
    assert.same(expected, names)
  end)

  it("has each option with all that --help says of it, and the usage, the examples and the exit codes", function()
    local count = 0
    for command in help "":gmatch "\n  (%l+) [^\n]*" do
      local text, shown = help(command), page("molecule-" .. command .. ".1")
      assert(shown:find((text:match "^Usage: (molecule[^\n]*)":gsub("…", "...")), 1, true), command)
      for block in (text:match "\nOptions:\n(.*)" or ""):gsub("\nExamples:.*", ""):gmatch "  %-[^\n]*[^-]*" do
        local name = block:match "%-%-([%l%d-]+)"
        count = count + 1
        assert(shown:find("--" .. name, 1, true), ("%s: no --%s"):format(command, name))
      end
      for line in (text:match "\nExamples:\n(.*)" or ""):gmatch "[^\n]+" do
        local words = line:gsub("…", "..."):gsub('"', ""):gsub("%s+", " ")
        assert(shown:find(words, 1, true), line)
      end
      for code in (text:match "\nExit codes:(.-)\n\n" or ""):gmatch "%f[%w]%d+%f[ ]" do
        assert(shown:match "%.Sh EXIT STATUS(.*)":find(code, 1, true), command .. " " .. code)
      end
    end
    assert(count >= 130, count)
    local connect = page "molecule-connect.1"
    assert(connect:find(".It Fl s , --script Ar FILE the Lua script that answers messages", 1, true))
    assert(connect:find("Default: http://localhost:8080. .Ev MOLECULE_API_URL is used if it is not given.", 1, true))
  end)

  it("tells of all that docs/script-api.md and docs/guarantees.md have", function()
    for name, path in pairs { ["molecule-script.7"] = "docs/script-api.md", ["molecule-guarantees.7"] = "docs/guarantees.md" } do
      local shown, count = page(name):lower():gsub("[^%w]+", " "), 0
      for line in host.read(path):gsub("[^\n]*\n|%-[^\n]*", ""):gmatch "[^\n]+" do -- without the headings of tables
        local is_other = line:find "%]%(" or line:find "^<!%-%-" or line:find "^# " or line:find "markers" or line:find "^```"
        if not is_other and not line:find "[\xC2-\xF4]" then
          for cell in line:gsub("^%d+%. ", ""):gsub("\\|", "\0"):gmatch "[^|]+" do
            local words = cell:lower():gsub("[^%w]+", " "):gsub("^ ", ""):gsub(" $", "")
            count = count + 1
            assert(shown:find(words, 1, true), ("%s: %s"):format(name, line))
          end
        end
      end
      assert(count > 80, count)
    end
  end)

  it("is fine with mandoc", function()
    if not has "mandoc" then return pending "no mandoc here" end
    -- it looks for the pages that are referred to among those that are installed
    local said = run(("mandoc -T lint %s/*"):format(folder)):gsub("[^\n]*referenced manual not found: Xr molecule[^\n]*\n", "")
    assert.equal("", said)
  end)

  it("is fine with man", function()
    if not has "man" then return pending "no man here" end
    for _, name in ipairs(names) do
      assert.equal("", (run(("LC_ALL=C.UTF-8 man --warnings -E UTF-8 -l -Tutf8 -Z %s/%s >/dev/null"):format(folder, name))))
    end
  end)

  it("refers to pages that there are", function()
    local there = {}
    for _, name in ipairs(names) do there[name] = true end
    for _, name in ipairs(names) do
      for other, part in host.read(folder .. "/" .. name):gmatch "%.Xr (%S+) (%d)" do
        assert(there[other .. "." .. part], ("%s refers to %s(%s)"):format(name, other, part))
      end
    end
  end)
end)
