--- Counts what the platform received: which message was answered how often, under which ids, in which order.

local cjson = require "cjson"

local tally = {}
tally.__index = tally

---@param platform Emulator
---@param workspace {id: string}
function tally.new(platform, workspace)
  return setmetatable({ platform = platform, workspace = workspace, last = 0, answers = {}, out_of_order = 0,
    newest = {} }, tally)
end

local function note(self, conversation, number, id)
  local answer = self.answers[number]
  if not answer then
    answer = { ids = {}, distinct = 0, posts = 0, conversation = conversation }
    self.answers[number] = answer
    if number < (self.newest[conversation] or 0) then self.out_of_order = self.out_of_order + 1 end
    self.newest[conversation] = number
  end
  answer.posts = answer.posts + 1
  if not answer.ids[id] then
    answer.ids[id] = true
    answer.distinct = answer.distinct + 1
  end
end

--- Reads the journal as far as it has come. A request that took effect but whose answer was cut counts as received.
function tally:read()
  for _, entry in ipairs(self.platform:journal(self.last)) do
    if not entry.status then break end -- not answered yet: next time
    self.last = entry.n
    if entry.method == "POST" and entry.status == 200 or entry.took_effect then
      local peer = entry.path:match("^/workspaces/([^/]+)/a2a$")
      if peer then
        local message = cjson.decode(entry.body).params.message
        local number = tonumber(message.parts[1].text:match("^answer (%d+)$"))
        if number then note(self, peer, number, message.messageId) end
      elseif entry.path:match("/notify$") then
        local number = tonumber(cjson.decode(entry.body).message:match("^answer (%d+)$"))
        if number then note(self, "canvas", number, "notify " .. number) end
      end
    end
  end
end

--- How many of 1…count were answered.
function tally:answered(count)
  local answered = 0
  for number = 1, count do
    if self.answers[number] then answered = answered + 1 end
  end
  return answered
end

---@return {lost: integer, two_ids: integer, repeats: integer, canvas_repeats: integer, out_of_order: integer}
function tally:report(count)
  local result = { lost = 0, two_ids = 0, repeats = 0, canvas_repeats = 0, out_of_order = self.out_of_order }
  for number = 1, count do
    local answer = self.answers[number]
    if not answer then
      result.lost = result.lost + 1
    else
      if answer.distinct > 1 then result.two_ids = result.two_ids + 1 end
      if answer.conversation == "canvas" then
        result.canvas_repeats = result.canvas_repeats + answer.posts - 1
      else
        result.repeats = result.repeats + answer.posts - answer.distinct
      end
    end
  end
  return result
end

return tally
