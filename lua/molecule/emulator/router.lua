--- Which handler a method and a path belong to. ":name" in a route's path matches one segment.

local Router = {}
Router.__index = Router

local router = {}

---@return table
function router.new()
  return setmetatable({ root = { children = {} } }, Router)
end

---@param method string
---@param path string such as "/workspaces/:id/activity"
---@param handler fun(request: Request)
---@param options {auth: boolean?, latest: boolean?}? auth: workspace auth applies; latest: absent in profile t1
function Router:add(method, path, handler, options)
  local node, names = self.root, {}
  for segment in path:gmatch "[^/]+" do
    local name = segment:match "^:(.+)"
    if name then names[#names + 1] = name end
    local key = name and ":" or segment
    node.children[key] = node.children[key] or { children = {} }
    node = node.children[key]
  end
  options = options or {}
  node[method] = { handler = handler, names = names, auth = options.auth, latest = options.latest }
end

local function descend(node, segments, at, values)
  if at > #segments then return node end
  local child = node.children[segments[at]]
  local found = child and descend(child, segments, at + 1, values)
  if found then return found end
  child = node.children[":"]
  if not child then return nil end
  values[#values + 1] = segments[at]
  found = descend(child, segments, at + 1, values)
  if not found then values[#values] = nil end
  return found
end

---The request's route, with request.parameters filled in.
---@param request Request
---@return table?
function Router:find(request)
  local path, segments, values = request.path, {}, {}
  if path:find("//", 1, true) or #path > 1 and path:sub(-1) == "/" then return nil end
  for segment in path:gmatch "[^/]+" do segments[#segments + 1] = segment end
  local node = descend(self.root, segments, 1, values)
  local route = node and node[request.method]
  if not route then return nil end
  request.parameters = {}
  for i, name in ipairs(route.names) do request.parameters[name] = values[i] end
  return route
end

return router
