--- What is written for people is so: links lead somewhere, files and options exist, commands parse, and what the pages show of a
--- session is what happens.
local uv = require "luv"
local cjson = require "cjson"
local docs = require "tests.support.docs"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local process = require "tests.support.process"

local function run(command, code, options)
  options = options or {}
  local child = process.spawn { command = command, cwd = options.cwd, env = options.env }
  local ended = child:wait_exit()
  assert(ended == code, child:report())
  return child.stdout
end

local function exists(path) return uv.fs_stat(path) ~= nil end

-- Programs that the pages use and that are not ours.
local OTHERS = {}
for name in ("apt-get busted cd cmake ctest curl echo export gdb gh git install man minisign sha256sum sudo systemctl tar tee " ..
  "valgrind"):gmatch "%S+" do
  OTHERS[name] = true
end
local FOLDERS = "^(%l+)/"
local OURS = { src = true, lua = true, tests = true, docs = true, cmake = true, include = true, examples = true, [".ci"] = true }

describe("the documentation", function()
  local binary, helps, script_helps

  -- {option = "takes a value" or "flag"} of a command
  local function options_of(command)
    if helps[command] then return helps[command] end
    local found = { ["--help"] = "flag" }
    for line in run({ binary, command, "--help" }, 0):gmatch "[^\n]+" do
      local letter, name, argument = line:match "^  (%-?%a?,? ?)(%-%-[%l-]+) ?(%S*)"
      if name then
        found[name] = argument ~= "" and "takes a value" or "flag"
        if letter:find "%a" then found[letter:sub(1, 2)] = found[name] end
      end
    end
    helps[command] = found
    return found
  end

  local function commands_of_binary()
    local list = {}
    for name in run({ binary, "--help" }, 0):gmatch "\n  (%l+) [^\n]*" do list[name] = true end
    return list
  end

  setup(function()
    binary, helps, script_helps = emulator.binary(), {}, {}
    if binary:sub(1, 1) ~= "/" then binary = uv.cwd() .. "/" .. binary end
  end)

  after_each(function()
    process.kill_all()
    host.clean_up()
  end)

  it("has no link that leads nowhere", function()
    local count = 0
    for _, page in ipairs(docs.pages()) do
      for _, link in ipairs(docs.links(page)) do
        count = count + 1
        assert(exists(link.target), ("%s: %s leads to no file"):format(page, link.shown))
        assert(not link.anchor or docs.anchors(link.target)[link.anchor],
          ("%s: %s leads to no heading"):format(page, link.shown))
      end
    end
    assert(count >= 40)
  end)

  it("has no page that cannot be reached from the README", function()
    local reached, queue = { ["README.md"] = true }, { "README.md" }
    while #queue > 0 do
      for _, link in ipairs(docs.links(table.remove(queue))) do
        if link.target:find "%.md$" and not reached[link.target] then
          reached[link.target] = true
          queue[#queue + 1] = link.target
        end
      end
    end
    for _, page in ipairs(docs.pages()) do assert(reached[page], page .. " cannot be reached from README.md") end
  end)

  it("names files that there are, and what is in them", function()
    local count = 0
    for _, page in ipairs(docs.pages()) do
      for _, span in ipairs(docs.spans(page)) do
        local path = span:match "^[%w_./-]+" or ""
        if OURS[path:match "^([%l.]+)/"] then
          count = count + 1
          assert(exists(path), ("%s: there is no %s"):format(page, path))
        end
      end
      for name, path in host.read(page):gmatch "`([%w_ ]+)`%s+in%s+`([%w_/.]+)`" do
        count = count + 1
        assert(host.read(path):find(name, 1, true), ("%s: there is no %s in %s"):format(page, name, path))
      end
    end
    assert(count >= 60)
  end)

  it("names options that there are", function()
    local known = { ["--help"] = true }
    for command in pairs(commands_of_binary()) do
      for option in pairs(options_of(command)) do known[option] = true end
    end
    local seen = 0
    for _, page in ipairs(docs.pages()) do
      local own = page:find "^docs/" or page == "README.md"
      for _, span in ipairs(docs.spans(page)) do
        local option = span:match "^(%-%-%l[%l-]+)"
        if option and own and page ~= "docs/benchmarks.md" then -- which names the benchmark's own
          assert(known[option], ("%s: %s is in no --help"):format(page, option))
          seen = seen + 1
        end
      end
    end
    assert(seen > 60)
  end)

  local function check_molecule(words, where)
    local command = words[2]
    assert(commands_of_binary()[command], ("%s: there is no command %s"):format(where, tostring(command)))
    local options, i = options_of(command), 3
    while i <= #words do
      local option = words[i]:match "^(%-%-?%l[%l-]*)"
      if option then
        local kind = options[option]
        assert(kind, ("%s: molecule %s has no option %s"):format(where, command, option))
        if kind ~= "flag" and not words[i]:find "=" then i = i + 1 end
        assert(words[i], ("%s: %s needs a value"):format(where, option))
      end
      i = i + 1
    end
  end

  -- A script of ours: it can be run, and its --help, or else its text, has the options.
  local function check_script(words, where)
    local status = assert(uv.fs_stat(words[1]), ("%s: there is no %s"):format(where, words[1]))
    assert(status.mode & 64 ~= 0, ("%s: %s cannot be run"):format(where, words[1]))
    local text = host.read(words[1])
    if text:find("--help", 1, true) and not script_helps[words[1]] then
      script_helps[words[1]] = run({ words[1], "--help" }, 0)
    end
    for i = 2, #words do
      if words[i]:find "^%-%-" then
        assert((script_helps[words[1]] or text):find(words[i], 1, true), ("%s: %s has no %s"):format(where, words[1], words[i]))
      end
    end
  end

  local function check_cmake(words, where)
    for i = 2, #words do
      if words[i - 1] == "--preset" then
        local found = false
        for _, preset in ipairs(cjson.decode(host.read "CMakePresets.json").configurePresets) do
          found = found or preset.name == words[i]
        end
        assert(found, ("%s: there is no preset %s"):format(where, words[i]))
      end
      local option = words[i]:match "^%-D(MOLECULE_%u+)"
      assert(not option or host.read("CMakeLists.txt"):find(option, 1, true), ("%s: %s"):format(where, words[i]))
    end
  end

  local function check_command(words, where)
    while words[1] == "sudo" or words[1] == "nice" or words[1]:find "^%u[%u_]+=" do words = { table.unpack(words, 2) } end
    local unit = words[1]:match "^build/%l+/(tests/unit/[%w_]+)$"
    if words[1] == "molecule" or words[1]:find "^build/%l+/molecule$" then check_molecule(words, where)
    elseif unit then assert(exists(unit .. ".c"), ("%s: there is no %s.c"):format(where, unit))
    elseif words[1]:find "/" then check_script(words, where)
    else assert(OTHERS[words[1]], ("%s: what is %s?"):format(where, words[1])) end
    if words[1] == "cmake" then check_cmake(words, where) end
    for i = 2, #words do
      local folder = words[i]:match(FOLDERS)
      if folder and OURS[folder] and not words[i]:find "[A-Z]+_spec" then
        assert(exists(words[i]), ("%s: there is no %s"):format(where, words[i]))
      end
    end
  end

  it("shows commands that parse: options that there are, files that there are", function()
    local count = 0
    for _, page in ipairs(docs.pages()) do
      for _, block in ipairs(docs.blocks(page)) do
        local number = block.line - 1
        for line in block.language == "sh" and block.text:gmatch "[^\n]+" or function() end do
          number = number + 1
          for _, words in ipairs(docs.commands(line)) do
            count = count + 1
            check_command(words, ("%s:%d"):format(page, number))
          end
        end
      end
    end
    assert(count >= 30)
  end)

  it("shows Lua that compiles", function()
    local count = 0
    for _, page in ipairs(docs.pages()) do
      for _, block in ipairs(docs.blocks(page)) do
        if block.language == "lua" then
          count = count + 1
          assert(load(block.text, ("@%s:%d"):format(page, block.line)))
        end
      end
    end
    assert(count >= 5)
  end)

  it("has every state that an inbox entry has, and no other", function()
    local states, page = {}, host.read "docs/internals/states.md"
    local enum = host.read("src/messages/inbox.h"):match "enum inbox_state {(.-)};"
    for name in enum:gmatch "INBOX_%u+" do
      states[name] = true
      assert(page:find("| `" .. name .. "` |", 1, true), name .. " is not in docs/internals/states.md")
    end
    for name in page:gmatch "INBOX_%u+" do assert(states[name], name .. " is no state") end
  end)

  it("boasts in the README of what stands among the figures", function()
    local figures, count = host.read "docs/benchmarks.md", 0
    for line in host.read("README.md"):match "prints these figures:\n\n(.-)\n\n":gmatch "[^\n]+" do
      local number = line:match "%*%*(%d[%d.,]* %a+)"
      assert(figures:find(number, 1, true), number .. " is not in docs/benchmarks.md")
      count = count + 1
    end
    assert.equal(3, count)
  end)

  it("has the options that --help has: docs/configuration.md", function()
    run({ "cmake/option-reference", "--check", binary }, 0)
  end)

  it("shows a fleet's file that would run", function()
    local directory = host.directory()
    assert(uv.fs_mkdir(directory .. "/tokens", 448))
    for _, block in ipairs(docs.blocks "docs/fleets.md") do
      if block.language == "lua" then host.write(directory .. "/fleet.lua", block.text) end
    end
    host.write(directory .. "/agent.lua", host.ECHO)
    for id in host.read(directory .. "/fleet.lua"):gmatch "%x+%-%x+%-%x+%-%x+%-%x+" do
      host.write(directory .. "/tokens/" .. id, "token-" .. id)
    end
    local said = run({ binary, "fleet", "fleet.lua", "--dry-run", "--state-dir", directory .. "/state" }, 0,
      { cwd = directory, env = { SECOND_TOKEN = "another-token", MOLECULE_WORKSPACE_TOKEN = false } })
    assert(said:find("7f1d0c9e", 1, true) and said:find("c31b42e5", 1, true), said)
  end)

  -- Times differ from run to run, and codes of questions.
  local function timeless(line)
    return (line:gsub("%d[%d.]* m?s%f[%W]", "N ms"):gsub("uestion %w%w%w%w%f[%W]", "uestion CODE"))
  end

  local function compare_output(directory, words, lines, where)
    local child = process.spawn { command = { binary, table.unpack(words, 2) }, cwd = directory }
    child:wait_exit()
    for i = 2, #lines do
      local line = child.lines.stdout[i - 1] or ""
      assert(timeless(lines[i]) == timeless(line), ("%s shows %q; it is %q"):format(where, lines[i], line))
    end
    assert(#child.lines.stdout == #lines - 1, child:report())
  end

  -- What follows a prompt is typed; the other lines come.
  local function compare_prompt(directory, words, lines, where)
    local typed, shown = {}, {}
    for i = 2, #lines do
      local line = lines[i]:match "^>>? (.*)$"
      table.insert(line and typed or shown, line or lines[i])
    end
    local child = process.spawn { command = { binary, table.unpack(words, 2) }, cwd = directory,
      stdin = table.concat(typed, "\n") .. "\n" }
    assert(child:wait_exit() == 0, child:report())
    for i, line in ipairs(shown) do
      local came = child.lines.stdout[i] or ""
      assert(timeless(line) == timeless(came), ("%s shows %q; it is %q"):format(where, line, came))
    end
    assert(#child.lines.stdout == #shown, child:report())
  end

  -- Types what the picture shows to be typed, and compares what comes with what it shows.
  local function replay(directory, picture, where)
    local lines = {}
    for line in picture:gmatch "[^\n]+" do lines[#lines + 1] = line end
    local words = docs.commands(lines[1]:match "^%$ (.*)$")[1]
    if words[2] == "try" then return compare_output(directory, words, lines, where) end
    if words[2] == "repl" then return compare_prompt(directory, words, lines, where) end
    assert(words[1] == "molecule" and words[2] == "dev", where)
    local child = process.spawn { command = { binary, "dev", "--port", "0", table.unpack(words, 3) }, cwd = directory,
      keep_stdin = true }
    child:wait_line("registered as", { stream = "stderr" })
    child:wait_line "^its state"
    local from, answered, shown = #child.lines.stdout + 1, 0, {}
    -- What the host says and what the platform gets may come in either order.
    local function compare_shown()
      local came = {}
      for n = 1, #shown do
        came[n], from = child:wait_line("%S", { from = from })
        came[n], from = timeless(came[n]), from + 1
      end
      table.sort(came)
      table.sort(shown)
      assert.same(shown, came, where)
      answered, shown = answered + #came, {}
    end
    for i = 2, #lines do
      if lines[i]:find "^[%[ ]" then
        shown[#shown + 1] = timeless(lines[i])
      else
        compare_shown()
        child:write(lines[i] .. "\n")
      end
    end
    compare_shown()
    assert(answered >= 2, where)
    child:close_stdin()
    assert(child:wait_exit() == 0, child:report())
  end

  it("shows sessions as they are", function()
    local count = 0
    for _, page in ipairs(docs.pages()) do
      local directory = host.directory()
      for _, block in ipairs(docs.blocks(page)) do
        local name = block.language == "lua" and block.text:match "^%-%- ([%w_]+%.lua)\n"
        if name then host.write(directory .. "/" .. name, block.text) end
        if block.language == "console" then
          count = count + 1
          replay(directory, block.text, ("%s:%d"):format(page, block.line))
        end
      end
    end
    assert(count >= 4)
  end)
end)
