--- Who may talk to the emulator: programs on this machine, not web pages. A page reaches 127.0.0.1 by its own name that points
--- there (Host shows this), or across origins (Origin and Sec-Fetch-Site show this, and a POST of a kind that browsers send
--- without asking first).

local visitor = {}

local SIMPLE = { ["text/plain"] = true, ["application/x-www-form-urlencoded"] = true, ["multipart/form-data"] = true }
-- A page cannot send these to another origin unless it agrees, and the emulator does not.
local UNSIMPLE_HEADERS = { "authorization", "x-workspace-id", "x-molecule-org-id", "x-molecule-emulator" }
local BROWSER_HEADERS = { "origin", "sec-fetch-site", "sec-fetch-mode" }

-- "name", without the port; nil: it is not of this form.
local function name_of(authority)
  return authority:lower():match "^(%[[%x:%.]+%])$" or authority:lower():match "^(%[[%x:%.]+%]):%d+$"
    or authority:lower():match "^([%w%.%-]+)$" or authority:lower():match "^([%w%.%-]+):%d+$"
end

-- Nobody can have a name below .localhost and .test (RFC 6761), so nobody can point one here for others.
local function is_local(authority)
  local name = name_of(authority)
  if not name then return false end
  name = name:gsub("%.$", "")
  return name == "localhost" or name == "[::1]" or name:match "^127%.%d+%.%d+%.%d+$" ~= nil
    or name:match "%.localhost$" ~= nil or name:match "%.test$" ~= nil
end

local function any(headers, names)
  for _, name in ipairs(names) do
    if headers[name] then return true end
  end
  return false
end

local function problem_of(request)
  local headers = request.headers
  local authority, origin, site = headers.host, headers.origin, headers["sec-fetch-site"]
  if authority and not is_local(authority) then
    return 421, ("the Host %s is not this machine"):format(authority:sub(1, 200))
  end
  if origin and (origin:match "^https?://([^/]*)/?$" or ""):lower() ~= (authority or ""):lower() then
    return 403, "requests from web pages of another origin are refused"
  end
  if site and site ~= "same-origin" and site ~= "none" then
    return 403, "requests from web pages of another site are refused"
  end
  if request.method == "GET" or request.method == "HEAD" or any(headers, UNSIMPLE_HEADERS) then return nil end
  local content_type = headers["content-type"]
  local kind = content_type and content_type:match "^%s*([^;%s]*)":lower()
  if kind and (SIMPLE[kind] or kind == "") or not kind and any(headers, BROWSER_HEADERS) and request.method == "POST" then
    return 415, "send Content-Type: application/json (curl --json), or the header X-Molecule-Emulator: 1"
  end
  return nil
end

---Answers and returns true if the request may come from a web page.
---@param request Request
---@return boolean
function visitor.refused(request)
  local status, problem = problem_of(request)
  if not status then return false end
  request:json(status, { error = problem })
  return true
end

return visitor
