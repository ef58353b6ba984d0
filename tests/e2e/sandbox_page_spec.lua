--- What docs/script-api.md says that the sandbox holds back, and SECURITY.md promises: each has a test of that title.

local host = require "tests.support.host"

describe("the page on the sandbox", function()
  it("names a test for each thing that is blocked", function()
    local specs = {}
    for _, name in ipairs(host.list "tests/e2e") do specs[#specs + 1] = host.read("tests/e2e/" .. name) end
    local all = table.concat(specs)
      -- titles that the specs put together
      :gsub('", " %.%. where', ', in the sandbox"'):gsub(', " %.%. where', ', in the sandbox"'):gsub('{ "', 'counts: ')
    local table_of = host.read("docs/script-api.md"):match "| blocked | test |\n|%-%-%-|%-%-%-|\n(.*)$"
    local count = 0
    for held_back, title in table_of:gmatch "| ([^\n]-) | ([^\n|]+) |" do
      count = count + 1
      assert.truthy(all:find(title, 1, true), ("%q: there is no test %q"):format(held_back, title))
    end
    assert.is_true(count >= 20)
  end)
end)

describe("SECURITY.md", function()
  it("names a test for each thing that it promises", function()
    local specs, count = {}, 0
    for _, name in ipairs(host.list "tests/e2e") do specs[#specs + 1] = host.read("tests/e2e/" .. name) end
    local all = table.concat(specs)
    for section in host.read "SECURITY.md":gmatch "| | test |\n|%-%-%-|%-%-%-|\n(.-)\n\n" do
      for promise, title in (section .. "\n"):gmatch "| ([^\n]-) | ([^\n|]+) |" do
        count = count + 1
        assert.truthy(all:find('it("' .. title .. '"', 1, true), ("%q: there is no test %q"):format(promise, title))
      end
    end
    assert.is_true(count >= 15)
  end)
end)
