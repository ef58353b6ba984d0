--- T1 notes of what the canvas is told the first 80 bytes, and loses the row where that cuts a character: the human would see
--- the reply, and after a reload not any more.

local emulator = require "tests.support.emulator"
local host = require "tests.support.host"

describe("a reply whose 80th byte is inside a character", function()
  local platform, workspace, one

  after_each(function()
    one:stop()
    host.clean_up()
    platform:stop()
  end)

  local function begin(profile)
    platform = emulator.start { profile = profile, args = { "--rate-limit", "-1" } }
    workspace = host.workspace(platform)
    one = host.connect { platform = platform, workspace = workspace, script = [[
      local molecule = require "molecule"
      return function(msg)
        if msg.text:find "^notify " then
          assert(molecule.notify(msg.text:sub(8)))
          return
        end
        return msg.text
      end]] }
  end

  local function rows_told()
    local count = 0
    for _, row in ipairs(platform:rows(workspace.id)) do
      if row.method == "notify" then count = count + 1 end
    end
    return count
  end

  it("is in the history of T1, wherever the cut is, and however long its characters are", function()
    begin "t1"
    local count = 0
    for _, character in ipairs { "é", "€", "😀", "x" } do
      for offset = 0, 5 do
        platform:message { to = workspace.id, text = ("a"):rep(offset) .. character:rep(60) }
        platform:message { to = workspace.id, text = "notify " .. ("a"):rep(offset) .. character:rep(60) }
        count = count + 2
      end
    end
    local told = one:canvas(count)
    assert.equal(count, rows_told())
    for _, text in ipairs(told) do assert.matches("^\n?\n?\n?a*[^a\n]", text) end
  end)

  it("is as it was where the cut is between two characters, and on later versions", function()
    begin "t1"
    local even = ("é"):rep(60)
    platform:message { to = workspace.id, text = even }
    platform:message { to = workspace.id, text = "short é" }
    local told = one:canvas(2)
    table.sort(told)
    assert.same({ "short é", even }, told)
    one:stop()
    platform:stop()
    begin "latest"
    platform:message { to = workspace.id, text = "a" .. even }
    assert.same({ "a" .. even }, one:canvas(1))
  end)
end)
