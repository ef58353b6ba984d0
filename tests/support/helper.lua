--- Loaded by busted before the specs: no child of a test outlives the run.
local process = require "tests.support.process"

require("busted").subscribe({"test", "end"}, function()
  return nil, true
end)

require("busted").subscribe({"suite", "end"}, function()
  process.kill_all()
  return nil, true
end)
