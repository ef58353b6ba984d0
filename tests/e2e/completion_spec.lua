--- `molecule completion`: what a shell offers is what there is, in real shells.
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local process = require "tests.support.process"

local function run(command, options)
  options = options or {}
  local child = process.spawn { command = command, env = options.env }
  assert(child:wait_exit() == 0, child:report())
  return child.stdout
end

-- What may stand for the last word; {value = what it is}.
local function words(typed, env)
  local list = { emulator.binary(), "completion", "words" }
  table.move(typed, 1, #typed, #list + 1, list)
  local found = {}
  for line in run(list, { env = env }):gmatch "[^\n]+" do
    local value, about = line:match "^([^\t]*)\t?(.*)$"
    assert.is_nil(found[value], line)
    found[value] = about
  end
  return found
end

local function keys(set)
  local list = {}
  for key in pairs(set) do list[#list + 1] = key end
  table.sort(list)
  return list
end

local function split(text, pattern)
  local list = {}
  for word in text:gmatch(pattern) do list[#list + 1] = word end
  table.sort(list)
  return list
end

local function help(command) return run { emulator.binary(), command, "--help" } end

local function commands()
  local list = {}
  for name in run({ emulator.binary(), "--help" }):gmatch "\n  (%l+) [^\n]*" do list[#list + 1] = name end
  table.sort(list)
  return list
end

-- A folder with the program under test in it, as `molecule`.
local function on_path()
  local folder, binary = host.directory(), emulator.binary()
  if binary:sub(1, 1) ~= "/" then binary = require("luv").cwd() .. "/" .. binary end
  require("luv").fs_symlink(binary, folder .. "/molecule")
  return folder .. ":" .. os.getenv "PATH"
end

local function has(shell) return os.execute("command -v " .. shell .. " >/dev/null") end

-- Words of a line, and what the last of them becomes.
local LINES = {
  { { "molecule", "vers" }, "version" },
  { { "molecule", "dead", "sh" }, "show" },
  { { "molecule", "config", "ser" }, "serve" },
  { { "molecule", "config", "serve", "--task" }, "--task-ttl" },
  { { "molecule", "init", "--templ" }, "--template" },
  { { "molecule", "init", "--template", "we" }, "webhook" },
  { { "molecule", "init", "-t", "we" }, "webhook" },
  { { "molecule", "init", "--template=we" }, "--template=webhook" },
  { { "molecule", "connect", "--backend", "cl" }, "claude-code" },
  { { "molecule", "check", "CMakeL" }, "CMakeLists.txt" },
  { { "molecule", "connect", "--script", "CMakeL" }, "CMakeLists.txt" },
  { { "molecule", "connect", "--script=CMakeL" }, "--script=CMakeLists.txt" },
  { { "molecule", "connect", "--state-dir", "exam" }, "examples" },
  { { "molecule", "connect", "--state-dir=exam" }, "--state-dir=examples" },
}

describe("completion", function()
  after_each(function()
    process.kill_all()
    host.clean_up()
  end)

  it("offers every command, and what it does", function()
    local found = words { "" }
    assert.same(commands(), keys(found))
    for name, about in pairs(found) do
      assert(run({ emulator.binary(), "--help" }):find(("\n  %s +"):format(name) .. about:gsub("%p", "%%%0") .. "\n"), about)
    end
    assert.same({ "--help", "--version" }, keys(words { "-" }))
  end)

  it("offers every option of every command, and each word of one that takes few", function()
    local count = 0
    for _, command in ipairs(commands()) do
      local listed = help(command):match "\nOptions:\n(.*)" or ""
      local expected = split("\n" .. listed:gsub("\nExamples:.*", ""), "\n  %-?%a?,? ?(%-%-[%l%d-]+)")
      table.insert(expected, "--help")
      table.sort(expected)
      assert.same(expected, keys(words { command, "-" }))
      for name, argument in listed:gmatch "(%-%-[%l%d-]+) ([%w.]+|[%w.|]+)" do
        count = count + 1
        assert.same(split(argument, "%f[%w.][%l%d.][^|]*"), keys(words { command, name, "" }))
      end
    end
    assert(count >= 8, count)
  end)

  it("knows what stands in each place of each usage", function()
    local known = { ["workspace-id"] = true, script = ":files", recording = ":files", FILE = ":files", FOLDER = ":files",
      DIR = ":directories", ["message-id"] = true, code = true, answer = true, ["peer-id"] = true, TEXT = true }
    for _, command in ipairs(commands()) do
      local usage = help(command):match "^Usage: molecule %l+ ?([^\n]*)"
      local bare = usage:gsub("%[options.*", ""):gsub("%-%-[%l-]+ %u+", ""):gsub("%-%-[%l-]+", ""):gsub("…", "")
      local first = true
      for place in bare:gmatch "[%w|-]+" do
        if place:find "%w" and not place:find "|" then
          assert(known[place], ("%s: what is %q?"):format(command, place))
          if first and known[place] ~= true then assert.same({ known[place] }, keys(words { command, "" })) end
        end
        first = false
      end
    end
  end)

  it("offers nothing in the place of what it cannot know, and none of the options after --", function()
    assert.same({}, words { "init", "a", "" })
    assert.same({}, words { "nonsense", "" })
    assert.same({}, words { "connect", "--api-url", "" })
    assert.same({ ":files" }, keys(words { "check", "--", "-" }))
    assert.same(keys(words { "" }), keys(words {}))
  end)

  it("offers workspaces, dead letters and questions, but no id that a shell would not take literally", function()
    local platform = emulator.start { args = { "--rate-limit", "-1" } }
    local workspace = host.workspace(platform)
    local hostile = { "$(touch x)", "a;b", "--all", "a b", "\27[31m" }
    for _, id in ipairs(hostile) do platform:message { to = workspace.id, text = "x", row = { id = id } } end
    platform:message { to = workspace.id, text = "x", row = { id = "plain-1" } }
    platform:message { to = workspace.id, text = "ask" }
    local one = host.connect { platform = platform, workspace = workspace, args = { "--max-attempts", "1" }, script = [[
      return {concurrency = 8, conversation = function(msg) return msg.id end, handle = function(msg, ctx)
        if msg.text == "ask" then return ctx.ask("really?", {hold = false}) end
        error("no \27]0;title\7 way")
      end}]] }
    local number = 0
    for _ = 1, #hostile + 1 do
      local _, at = one:log("is set aside as a dead letter", { from = number + 1 })
      number = at
    end
    one:canvas(1) -- the question
    local env = { MOLECULE_STATE_DIR = one.state_dir }
    for _ = 1, 2 do -- with a live host, and without
      assert.same({ workspace.id }, keys(words({ "status", workspace.id:sub(1, 4) }, env)))
      assert.same({ workspace.id }, keys(words({ "dead", "--state-dir", one.state_dir, "list", "" })))
      assert.same({ workspace.id }, keys(words({ "answer", "--state-dir=" .. one.state_dir, "" })))
      local letters = words({ "dead", "show", workspace.id, "" }, env)
      assert.same({ "plain-1" }, keys(letters))
      assert(letters["plain-1"]:find("no \\x1b]0;title\\x07 way", 1, true), letters["plain-1"])
      assert.same({ "plain-1" }, keys(words({ "dead", "retry", workspace.id, "plain-0", "" }, env)))
      local questions = words({ "answer", workspace.id, "" }, env)
      assert.same({ "really?" }, { questions[next(questions)] })
      assert.is_nil(next(questions, next(questions)))
      if one.process:running() then one:stop() end
    end
    assert.same({}, words({ "status", "" }, { MOLECULE_STATE_DIR = one.directory .. "/nothing" }))
    platform:stop()
  end)

  it("works in bash", function()
    local asked = { ". <(molecule completion bash)", "compopt() { :; }", -- which is for a completion that readline asks for
      [[ask() { COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _molecule molecule; printf '%s\n' "${COMPREPLY[*]}"; }]] }
    for _, line in ipairs(LINES) do
      local list = table.concat(line[1], " "):gsub("=", " = ")
      asked[#asked + 1] = "ask " .. list
    end
    asked[#asked + 1] = "complete -p molecule"
    local shown = split(run({ "bash", "--norc", "-c", table.concat(asked, "\n") }, { env = { PATH = on_path() } }), "[^\n]+")
    local expected = { "complete -F _molecule molecule" }
    for _, line in ipairs(LINES) do expected[#expected + 1] = line[2]:match "^%-%-%l[%l-]*=(.*)" or line[2] end
    table.sort(expected)
    assert.same(expected, shown)
  end)

  it("works in zsh", function()
    if not has "zsh" then return pending "no zsh here" end
    local path = host.directory() .. "/ask.zsh"
    local asked = { [[
zmodload zsh/zpty
zpty z "zsh -f -i"
zpty -w z "PS1='READY'; PS1+='>'; stty -echo; autoload -Uz compinit; compinit -u -D; source <(molecule completion zsh)
bindkey '^I' complete-word; shown() { print -r -- \"<\$BUFFER>\"; BUFFER= }; zle -N shown; bindkey '^O' shown; print LOA''DED"
zpty -r z seen '*LOADED*READY>*'
ask() {
    zpty -w -n z "$1"$'\t\x0f'
    zpty -r z seen '*<*>*'
    print -r -- "${${seen##*<}%%>*}"
}]] }
    for _, line in ipairs(LINES) do asked[#asked + 1] = ("ask '%s'"):format(table.concat(line[1], " ")) end
    host.write(path, table.concat(asked, "\n") .. "\nzpty -d z\n")
    local shown, number = run({ "zsh", "-f", path }, { env = { PATH = on_path(), TERM = "dumb" } }), 0
    for line in shown:gmatch "[^\n]+" do
      number = number + 1
      local typed = table.move(LINES[number][1], 1, #LINES[number][1] - 1, 1, {})
      typed[#typed + 1] = LINES[number][2]
      assert.equal(table.concat(typed, " "), (line:gsub("[ /]$", "")))
    end
    assert.equal(#LINES, number)
  end)

  it("works in fish", function()
    if not has "fish" then return pending "no fish here" end
    local asked = { "molecule completion fish | source" }
    for _, line in ipairs(LINES) do asked[#asked + 1] = ("complete -C '%s'"):format(table.concat(line[1], " ")) end
    local home = host.directory()
    local shown = run({ "fish", "--no-config", "-c", table.concat(asked, "\n") },
      { env = { PATH = on_path(), HOME = home, XDG_CONFIG_HOME = home, XDG_DATA_HOME = home } })
    local number = 0
    for line in shown:gmatch "[^\n]+" do
      number = number + 1
      assert.equal(LINES[number][2], (line:gsub("\t.*", ""):gsub("/$", "")))
    end
    assert.equal(#LINES, number)
  end)

  it("says which shells there are", function()
    for words_, problem in pairs { ["tcsh"] = '"tcsh" is not bash, zsh or fish', ["../templates/luarc.json"] = "is not bash",
      [""] = "missing the shell" } do
      local child = process.spawn { command = { emulator.binary(), "completion", words_ ~= "" and words_ or nil } }
      assert.equal(2, child:wait_exit())
      assert(child.stderr:find(problem, 1, true), child.stderr)
    end
  end)
end)
