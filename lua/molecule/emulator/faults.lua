--- Faults: what a test wants to go wrong, and for which requests.

local host = require "molecule.emulator.host"
local journal = require "molecule.emulator.journal"
local json = require "molecule.json"
local watch = require "molecule.emulator.watch"

local faults = {}

local HTML = [[<!DOCTYPE html>
<html><head><title>502 Bad Gateway</title></head>
<body><center><h1>502 Bad Gateway</h1></center><hr><center>cloudflare</center></body></html>
]]

local list, count = {}, 0

function faults.clear()
  list = {}
end

---@return table[]
function faults.list()
  return list
end

local function whole(value, least)
  return math.type(value) == "integer" and value >= least
end

local CHECKS = {
  status = function(action) return whole(action.status, 200) and action.status <= 599, "status from 200 to 599" end,
  html502 = function() return true end,
  delay = function(action) return whole(action.ms, 0), "ms" end,
  reset = function() return true end,
  cut = function(action) return whole(action.bytes, 0), "bytes" end,
  slow = function(action) return whole(action.piece, 1) and whole(action.every_ms, 0), "piece and every_ms" end,
  hang = function() return true end,
  reset_after = function() return true end,
  database = function() return true end,
  garbage = function(action) return type(action.body) == "string", "body" end,
}

---@param fault table {match, times, skip, action}
---@return integer? id, string? problem
function faults.add(fault)
  local action = fault.action
  local check = type(action) == "table" and CHECKS[action.kind]
  if not check then
    local kinds, given = {}, tostring(type(action) == "table" and action.kind or nil)
    for kind in pairs(CHECKS) do kinds[#kinds + 1] = kind end
    table.sort(kinds)
    local near = host.nearest(given, kinds)
    return nil, near and ("unknown action.kind '%s'; did you mean '%s'?"):format(given, near)
      or ("unknown action.kind '%s'; known kinds: %s"):format(given, table.concat(kinds, ", "))
  end
  local fine, needed = check(action)
  if not fine then return nil, ("action %s needs %s"):format(action.kind, needed) end
  count = count + 1
  list[#list + 1] = { id = count, match = fault.match or {}, times = fault.times or 1, skip = fault.skip or 0,
    action = action }
  return count
end

local function matches(match, request)
  if match.method and match.method ~= request.method then return false end
  if match.path and not journal.path_matches(request.path, match.path) then return false end
  local workspace = match.workspace
  return not workspace or request.path:find(workspace, 1, true) ~= nil
    or request.path:sub(1, 10) == "/registry/" and request.body:find(workspace, 1, true) ~= nil
end

local function pick(request)
  for i, fault in ipairs(list) do
    if matches(fault.match, request) then
      if fault.skip > 0 then
        fault.skip = fault.skip - 1
      else
        fault.times = fault.times - 1
        if fault.times == 0 then table.remove(list, i) end
        watch.tell { kind = "changed" }
        return fault
      end
    end
  end
  return nil
end

local function body_text(body)
  if body == nil then return '{"error":"injected fault"}' end
  return type(body) == "string" and body or assert(json.encode(body))
end

local APPLY = {}

function APPLY.status(request, action)
  request.extra["Content-Type"] = type(action.body) == "string" and "text/plain" or "application/json; charset=utf-8"
  request:respond(action.status, body_text(action.body), action.headers)
end

function APPLY.html502(request)
  request:respond(502, HTML, { ["Content-Type"] = "text/html; charset=UTF-8", Server = "cloudflare" })
end

function APPLY.garbage(request, action)
  request:respond(action.status or 200, action.body,
    { ["Content-Type"] = action.content_type or "application/json; charset=utf-8" })
end

function APPLY.reset(request)
  journal.finish(request.entry, 0)
  watch.tell { kind = "answered", request = request, status = 0, body = "", lost = true }
  request.handle:reset()
end

function APPLY.hang() end

function APPLY.delay(request, action, serve)
  host.after(action.ms, function() serve(request) end)
end

function APPLY.cut(request, action, serve)
  request.shape = { cut_after = action.bytes }
  serve(request)
end

function APPLY.slow(request, action, serve)
  request.shape = { drip_bytes = action.piece, drip_ms = action.every_ms }
  serve(request)
end

function APPLY.reset_after(request, _, serve)
  request.shape = { reset = true }
  serve(request)
end

function APPLY.database(request, action, serve)
  request.outage = action
  serve(request)
end

---Serves the request, through the first fault that matches it.
---@param request Request
---@param serve fun(request: Request)
function faults.apply(request, serve)
  local fault = #list > 0 and pick(request)
  if not fault then return serve(request) end
  request.entry.fault = fault.action.kind
  APPLY[fault.action.kind](request, fault.action, serve)
end

return faults
