--- molecule test examples/files_spec.lua
local t = require "molecule.testing"

describe("files.lua", function()
  local a

  before_each(function() a = t.agent("files.lua") end)
  after_each(t.reset)

  it("counts and sends the report as a file", function()
    local result = a:send {files = {{name = "a.txt", data = "one two\nthree"}, {name = "b.bin", data = "\xFF"}}}
    assert.replied(result, "I looked at 2 files.")
    assert.equal("a.txt: 2 lines, 3 words, 13 bytes\nb.bin: 1 bytes, not text\n", result.files[1].data)
    assert.same({"info: counted 2 files"}, result.log)
  end)

  it("asks for files", function()
    assert.replied(a:send "hello", "Send me text files")
  end)
end)
