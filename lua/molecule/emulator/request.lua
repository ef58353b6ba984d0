--- A request as the handlers see it: the host's table (handle, method, path, headers, query, body) and these methods.

local json = require "molecule.json"
local journal = require "molecule.emulator.journal"
local store = require "molecule.emulator.store"
local watch = require "molecule.emulator.watch"

---@class Request
---@field handle userdata
---@field method string
---@field path string
---@field headers table<string, string> names in lower case
---@field query table<string, string>
---@field body string
---@field parameters table<string, string> from the route's path
---@field workspace Workspace? set by auth.workspace
---@field extra table<string, string> headers that every answer carries
---@field entry table? in the journal
---@field outage table? the fault that takes its database down
---@field shape table? how a fault deforms the answer
local Request = {}
Request.__index = Request

local methods = {}

---@param request table
---@return Request
function methods.extend(request)
  request.extra = {}
  return setmetatable(request, Request)
end

---@param status integer
---@param body string
---@param headers table<string, string>?
function Request:respond(status, body, headers)
  for name, value in pairs(headers or {}) do self.extra[name] = value end
  local shape = self.shape or {}
  if self.entry then
    journal.finish(self.entry, status)
    watch.tell { kind = "answered", request = self, status = status, body = body, lost = shape.reset or shape.cut_after ~= nil }
  end
  if shape.reset then
    self.handle:reset()
  else
    self.handle:answer(status, self.extra, body, shape)
  end
end

---@param status integer
---@param value any
---@param headers table<string, string>?
function Request:json(status, value, headers)
  self.extra["Content-Type"] = "application/json; charset=utf-8"
  self:respond(status, assert(json.encode(value, { sort = true })), headers)
end

---Answers `{"error": message, ...}`, the platform's usual form.
---@param status integer
---@param message string
---@param extras table?
---@param headers table<string, string>?
function Request:fail(status, message, extras, headers)
  local value = { error = message }
  for name, extra in pairs(extras or {}) do value[name] = extra end
  self:json(status, value, headers)
end

---No such route: a server with a canvas behind it asks that, and this one's canvas is down (§12). Without a canvas
---it is a plain 404.
function Request:unrouted()
  if store.config.canvas_proxy then
    self:text(502, "canvas unavailable")
  else
    self:text(404, "404 page not found")
  end
end

---@param status integer
---@param text string
function Request:text(status, text)
  self.extra["Content-Type"] = "text/plain; charset=utf-8"
  self:respond(status, text)
end

---The body as a JSON object; nil when it is anything else. Half a surrogate pair and bytes that are not UTF-8 become U+FFFD.
---@return table?
function Request:object()
  local value = json.decode(self.body)
  if type(value) == "table" and not json.is_array(value) then return value end
  return nil
end

---The bearer as the platform reads it: exactly "Bearer ", the rest trimmed (§1.1).
---@return string?
function Request:bearer()
  local header = self.headers.authorization
  local token = header and header:match "^Bearer (.*)$"
  return token and token:match "^%s*(.-)%s*$"
end

return methods
