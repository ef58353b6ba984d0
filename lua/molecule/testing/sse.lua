--- What core.sse() is to lua/molecule/http.lua: a text in pieces -> server-sent events.

local sse = {}
sse.__index = sse

function sse.new()
  return setmetatable({rest = "", data = {}}, sse)
end

local function take_line(self, line, events)
  if line == "" then
    if #self.data > 0 then
      events[#events + 1] = {event = self.event or "message", data = table.concat(self.data, "\n"), id = self.id}
    end
    self.data, self.event = {}, nil
    return
  end
  local name, value = line:match("^([^:]*): ?(.*)$")
  if not name then name, value = line, "" end
  if name == "data" then
    self.data[#self.data + 1] = value
  elseif name == "event" then
    self.event = value
  elseif name == "id" then
    self.id = value
  end
end

--- The events that are complete now.
function sse:feed(bytes)
  local events, text, at = {}, self.rest .. bytes, 1
  while true do
    local from, to = text:find("\r?\n", at)
    if not from then break end
    take_line(self, text:sub(at, from - 1), events)
    at = to + 1
  end
  self.rest = text:sub(at)
  return events
end

return sse
