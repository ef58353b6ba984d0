--- In the sandbox, what a script may have of the canvas and of the disk.

local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"

describe("a script's quota", function()
  local platform, workspace

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)
  before_each(function() workspace = host.workspace(platform) end)
  after_each(host.clean_up)
  teardown(function() platform:stop() end)

  local function run(code, args)
    local one = host.connect { platform = platform, workspace = workspace, args = args, script = [[
      local molecule = require "molecule"
      return function(msg)
        if msg.text == "again" then return "alive" end
        ]] .. code .. "\nend" }
    platform:message { to = workspace.id, text = "go" }
    return one
  end

  local STORES = [[
    local value, stored = ("x"):rep(900000), 0
    local fine, problem = pcall(function()
      for i = 1, 100 do
        molecule.store.set("k" .. i % 10, value)
        stored = stored + 1
      end
    end)
    return stored .. " " .. tostring(problem)]]

  it("of the store ends what a sandboxed script writes, with the line, and the next message is handled", function()
    local one = run(STORES, { "--sandbox", "--memory-limit", "512MiB" })
    one:wait { path = ("/workspaces/%s/notify"):format(workspace.id), status = 200, count = 1 }
    assert.truthy(one:told_canvas()[1]:find "^7%d .*agent.lua:%d+: molecule.store: in the sandbox .* 64 MiB every 10 min",
      one:told_canvas()[1])
    platform:message { to = workspace.id, text = "again" }
    assert.equal("alive", one:canvas(2)[2])
    one:stop()
  end)

  it("of notices is told with the code QUOTA", function()
    local one = run([[
      for i = 1, 200 do
        local fine, problem, code = molecule.notify("n" .. i)
        if not fine then return i .. " " .. code .. " " .. problem end
      end
      return "no end"]], { "--sandbox" })
    one:wait { path = ("/workspaces/%s/notify"):format(workspace.id), status = 200, count = 121 }
    local told = one:told_canvas()
    assert.truthy(told[#told]:find "^121 QUOTA molecule.notify: in the sandbox .* 120 times", told[#told])
    one:stop()
  end)

  it("of notices counts what they carry beside their text, and files are counted before they are uploaded", function()
    local one = run([[
      local core, big = require "molecule.core", ("x"):rep(900000)
      local parts, refused = {{kind = "text", text = big}}, nil
      for i = 1, 40 do
        local fine, _, code = core.notify("n" .. i, parts)
        if not fine then refused = i .. " " .. code break end
      end
      local uploads = 0
      for _ = 1, 200 do
        local fine, _, code = molecule.notify("a file", {files = {{name = "f", data = ("y"):rep(4 << 20)}}})
        uploads = uploads + 1
        if code == "QUOTA" and uploads > 60 then break end
      end
      return refused]], { "--sandbox", "--memory-limit", "512MiB" })
    local told = one:wait { path = ("/workspaces/%s/notify"):format(workspace.id), status = 200, body = "QUOTA" }
    assert.equal("19 QUOTA", cjson.decode(told[1].body).message)
    local uploaded = 0
    for _, entry in ipairs(one:posts "/uploads") do uploaded = uploaded + (entry.status == 200 and 1 or 0) end
    assert.is_true(uploaded <= 64, uploaded .. " files of 4 MiB were uploaded")
    one:stop()
  end)

  it("is none outside the sandbox", function()
    local one = run([[
      for i = 1, 150 do assert(molecule.notify("n" .. i)) end
      return "done"]], {})
    one:wait { path = ("/workspaces/%s/notify"):format(workspace.id), status = 200, count = 151 }
    one:stop()
  end)
end)
