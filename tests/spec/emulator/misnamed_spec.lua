--- A slip in what the emulator is asked is an error that says what was meant, never a request that does something else.

local emulator = require "tests.support.emulator"

describe("a slip in a control request", function()
  local platform, id

  setup(function()
    platform = emulator.start()
    id = emulator.uuid()
    platform:workspace { id = id }
  end)

  teardown(function()
    platform:stop()
  end)

  for _, case in ipairs {
    { "messages", { "to", "txt" }, "unknown field 'txt'; did you mean 'text'?" },
    { "messages", { "to", "mesage_id" }, "unknown field 'mesage_id'; did you mean 'message_id'?" },
    { "messages", { "text" }, "the body names no workspace: to is needed" },
    { "late", { "workspace", "txt" }, "unknown field 'txt'; did you mean 'text'?" },
    { "workspaces", { "nmae" }, "unknown field 'nmae'; did you mean 'name'?" },
    { "prune", { "workspace", "befor" }, "unknown field 'befor'; did you mean 'before'?" },
    { "prune", { "all" }, "the body names no workspace: workspace is needed" },
    { "revoke", { "workspace", "tokens" }, "unknown field 'tokens'; did you mean 'token'?" },
    { "events", { "enable" }, "unknown field 'enable'; did you mean 'enabled'?" },
    { "config", { "rate_limt" }, "unknown field 'rate_limt'; did you mean 'rate_limit'?" },
    { "restart", { "drian_ms" }, "unknown field 'drian_ms'; did you mean 'drain_ms'?" },
    { "faults", { "matches" }, "unknown field 'matches'; did you mean 'match'?" },
    { "faults", { "zzz" }, "unknown field 'zzz'; known fields: match, times, skip, action" },
  } do
    it(("is told: %s with %s"):format(case[1], table.concat(case[2], " and ")), function()
      local value = {}
      for _, name in ipairs(case[2]) do value[name] = (name == "to" or name == "workspace") and id or "x" end
      local answer = platform:post("/__emulator/" .. case[1], value)
      assert.equal(400, answer.status)
      assert.equal(case[3], answer.json.error)
      assert.same({}, platform:rows(id))
    end)
  end

  it("is told where it is deeper inside, or in a query", function()
    local answer = platform:post("/__emulator/faults", { action = { kind = "htlm502" } })
    assert.equal("unknown action.kind 'htlm502'; did you mean 'html502'?", answer.json.error)
    answer = platform:post("/__emulator/faults", { action = { kind = "reset" }, match = { paht = "/" } })
    assert.equal("in match: unknown field 'paht'; did you mean 'path'?", answer.json.error)
    answer = platform:post("/__emulator/tie", { workspace = id, messages = { { txt = "x" } } })
    assert.equal("unknown field 'txt'; did you mean 'text'?", answer.json.error)
    answer = platform:get("/__emulator/wait?cout=1&path=/notify")
    assert.equal(400, answer.status)
    assert.equal("in the query: unknown field 'cout'; did you mean 'count'?", answer.json.error)
  end)
end)
