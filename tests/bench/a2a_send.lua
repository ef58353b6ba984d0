-- For wrk: a SendMessage each, with a messageId that was not used before.
-- luacheck: globals wrk request
local count, prefix = 0, ("%x%x"):format(os.time(), math.random(1073741824))
local headers = { ["Content-Type"] = "application/json", ["A2A-Version"] = "1.0" }

function request()
  count = count + 1
  return wrk.format("POST", "/", headers, ('{"jsonrpc":"2.0","id":1,"method":"SendMessage","params":{"message":{"messageId":'
    .. '"%s-%d","role":"ROLE_USER","parts":[{"text":"ping"}]}}}'):format(prefix, count))
end
