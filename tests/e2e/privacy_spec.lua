--- What others on the machine can reach: the state directory, files that are led elsewhere, descriptors of children.
local uv = require "luv"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"


describe("others on the machine", function()
  local platform, workspace, directory

  setup(function()
    platform = emulator.start { args = { "--rate-limit", "-1" } }
  end)

  before_each(function()
    workspace = host.workspace(platform)
    directory = host.directory() .. "/state"
  end)

  after_each(host.clean_up)

  teardown(function()
    platform:stop()
  end)

  local function options(more)
    local all = { platform = platform, workspace = workspace, script = host.ECHO, state_dir = directory }
    for name, value in pairs(more or {}) do all[name] = value end
    return all
  end

  for _, mode in ipairs { "755", "750", "701", "770" } do
    it(("cannot enter a state directory that had mode %s: it is tightened, with a word"):format(mode), function()
      host.connect(options()):stop()
      assert(uv.fs_chmod(directory, tonumber(mode, 8)))
      local one = host.connect(options())
      one:log("warn .*" .. directory:gsub("%p", "%%%0") .. " was open to other users.*now 0700")
      one:stop()
      assert.equal("700", host.mode(directory))
      local two = host.connect(options())
      assert.equal(0, two:count_log "was open to other users")
      two:stop()
    end)

    it(("are not shut out of a directory with other files and mode %s: it is refused, and left alone"):format(mode), function()
      assert(uv.fs_mkdir(directory, tonumber("700", 8)))
      host.write(directory .. "/somebody-elses", "x")
      assert(uv.fs_chmod(directory, tonumber(mode, 8)))
      local one = host.run(options(), 1)
      one:log(("the directory %s is accessible to others.*chmod 700"):format(directory:gsub("%p", "%%%0")))
      assert.equal(mode, host.mode(directory))
      assert.same({ "somebody-elses" }, host.list(directory))
    end)
  end

  for _, ending in ipairs { "json", "db", "runs", "lock", "token" } do
    it(("cannot have <id>.%s lead elsewhere"):format(ending), function()
      local target = host.write(host.directory() .. "/target", "precious")
      local mode = host.mode(target) -- as the umask has it
      assert(uv.fs_mkdir(directory, tonumber("700", 8)))
      assert(uv.fs_symlink(target, ("%s/%s.%s"):format(directory, workspace.id, ending)))
      local one = host.start(options(ending == "token" and { token = false } or {}))
      if ending == "runs" then
        platform:message { to = workspace.id, text = "hello" }
        one:log("symbolic link")
        one:stop()
      else
        one:wait_exit(ending == "token" and 2 or 1)
      end
      assert.equal("precious", host.read(target))
      assert.equal(mode, host.mode(target))
    end)
  end

  it("cannot have --record lead elsewhere, and a pipe there holds nothing up", function()
    local target = host.write(host.directory() .. "/target", "precious")
    local link, pipe = host.directory() .. "/link", host.directory() .. "/pipe"
    assert(uv.fs_symlink(target, link))
    assert(os.execute("mkfifo " .. pipe))
    for path, word in pairs { [link] = "symbolic link", [pipe] = "No such device" } do
      workspace = host.workspace(platform)
      local one = host.connect(options { args = { "--record", path } })
      platform:message { to = workspace.id, text = "hello" }
      assert.same({ "echo: hello" }, one:canvas(1))
      one:log("%-%-record .*" .. word)
      one:stop()
    end
    assert.equal("precious", host.read(target))
  end)

  it("may have a token file behind a symbolic link, as Kubernetes mounts them", function()
    local file = host.write(host.directory() .. "/token", workspace.token)
    local link = host.directory() .. "/link"
    assert(uv.fs_symlink(file, link))
    host.connect(options { token = false, args = { "--token-file", link } }):stop()
  end)

  -- Everything is in use: connections, an event stream, the ledger, names being resolved, a program that runs.
  it("get no descriptor of ours through a command", function()
    local one = host.connect(options { env = { URL = platform.url:gsub("127%.0%.0%.1", "localhost") }, script = [[
      local molecule = require "molecule"
      local LIST = "ls -l /proc/self/fd | sed -n 's/.* \\([0-9]*\\) -> /\\1 /p' | grep -v '^[012] ' | grep -v /proc/"
      return {
        concurrency = 4,
        conversation = function(msg) return msg.text end,
        handle = function(msg)
          if msg.text == "busy" then
            for _ = 1, 30 do molecule.http.get(os.getenv "URL" .. "/health") end
            return "busy: done"
          end
          local pipe = io.popen(LIST)
          local found = pipe:read "a"
          pipe:close()
          local result = molecule.exec { cmd = LIST }
          found = found .. result.stdout
          os.execute(LIST .. " >" .. os.getenv "HOME" .. "/found")
          for line in io.lines(os.getenv "HOME" .. "/found") do found = found .. line .. "\n" end
          return "found: " .. found
        end,
      }]] })
    platform:message { to = workspace.id, text = "busy" }
    for i = 1, 10 do platform:message { to = workspace.id, text = "look " .. i } end
    for _, text in ipairs(one:canvas(11)) do
      assert(text == "found: " or text == "busy: done", text)
    end
    one:stop()
  end)

  it("get none of those with which it was started, either", function()
    local one = host.connect(options { under = { "sh", "-c", 'exec 7</etc/passwd; exec "$@"', "sh" }, script = [[
      return function() return io.popen("ls /proc/self/fd | tr '\\n' ' '"):read "a" end]] })
    platform:message { to = workspace.id, text = "look" }
    assert(not one:canvas(1)[1]:find "7")
    one:stop()
  end)
end)
