local t = require "molecule.testing"

describe("files", function()
  after_each(t.reset)

  it("counts a text file, and answers with a file", function()
    local result = t.agent("examples/files.lua"):send {files = {{name = "a.txt", data = "one two\nthree\n"}}}
    assert.replied(result, "a.txt: 2 lines, 3 words, 14 bytes")
    assert.equal("report.txt", result.files[1].name)
  end)

  it("asks for files where none came", function()
    assert.replied(t.agent("examples/files.lua"):send {text = "hello"}, "Send me text files")
  end)
end)
