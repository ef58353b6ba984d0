--- assert.replied(result, "text or pattern") and its like, for luassert.

local assertions = {}

local function describe(result)
  if type(result) ~= "table" then return tostring(result) end
  local lines = {("%s%s"):format(tostring(result.outcome), result.reason and ": " .. result.reason or "")}
  if result.reply then lines[#lines + 1] = ("reply: %q"):format(result.reply) end
  if result.traceback then lines[#lines + 1] = result.traceback end
  for _, one in ipairs(result.questions or {}) do
    lines[#lines + 1] = ("question %s to %s: %s"):format(one.code, one.to, one.text)
  end
  for _, line in ipairs(result.log or {}) do lines[#lines + 1] = "log " .. line end
  return table.concat(lines, "\n")
end

local function matches(text, wanted)
  if wanted == nil then return true end
  if type(text) ~= "string" then return false end
  if text == wanted or text:find(wanted, 1, true) then return true end
  local fine, found = pcall(string.find, text, wanted)
  return fine and found ~= nil
end

local function open_texts(result)
  local texts = {}
  for i, one in ipairs(result.questions or {}) do texts[i] = one.text end
  return table.concat(texts, "\n")
end

-- name -> what of the result has to match, and when.
local CHECKS = {
  replied = function(result) return result.outcome == "replied", result.reply end,
  no_reply = function(result) return result.outcome == "no_reply" end,
  skipped = function(result) return result.outcome == "skipped", result.reason end,
  rejected = function(result) return result.outcome == "rejected", result.reason end,
  dead = function(result) return result.outcome == "dead", result.reason end,
  retried = function(result) return result.outcome == "retry", result.reason end,
  failed = function(result) return result.outcome == "failed" or result.outcome == "dead" and result.error ~= nil,
    result.error end,
  asked = function(result) return result.questions ~= nil and #result.questions > 0, open_texts(result) end,
}

--- Adds them, where luassert is there.
function assertions.install()
  local has_luassert, luassert = pcall(require, "luassert")
  local has_say, say = pcall(require, "say")
  if not (has_luassert and has_say) then return end
  for name, check in pairs(CHECKS) do
    local message = "assertion.molecule." .. name
    say:set(message, ("Expected %s%%s, but it was\n%%s"):format(name))
    say:set(message .. ".negative", ("Expected anything but %s%%s, but it was\n%%s"):format(name))
    local function assertion(_, arguments)
      local result, wanted = arguments[1], arguments[2]
      if type(result) ~= "table" then error(("%s takes the result of a:send"):format(name), 2) end
      local is_so, text = check(result)
      arguments[1] = wanted and (" %q"):format(wanted) or ""
      arguments[2] = describe(result)
      arguments.n = 2
      arguments.nofmt = {true, true}
      return is_so and matches(text, wanted)
    end
    luassert:register("assertion", name, assertion, message, message .. ".negative")
  end
end

return assertions
