--- multipart/form-data, as far as uploads need it (RFC 7578).

local multipart = {}

local FILES_MAXIMUM = 64
local MALFORMED = "malformed multipart body"

---@param content_type string?
---@return string? boundary
local function boundary_of(content_type)
  if not content_type or not content_type:lower():find("^multipart/form%-data") then return nil end
  return content_type:match '[Bb][Oo][Uu][Nn][Dd][Aa][Rr][Yy]="([^"]+)"'
    or content_type:match "[Bb][Oo][Uu][Nn][Dd][Aa][Rr][Yy]=([^;%s]+)"
end

local function headers_of(head)
  local headers = {}
  for line in (head .. "\r\n"):gmatch "(.-)\r\n" do
    local name, value = line:match "^([^:]+):%s*(.*)$"
    if name then headers[name:lower()] = value end
  end
  return headers
end

local function part_of(body, from, to)
  local head_end, content = body:find("\r\n\r\n", from, true)
  if not head_end or content > to then return nil end
  local headers = headers_of(body:sub(from, head_end - 1))
  local disposition = headers["content-disposition"] or ""
  return { name = disposition:match '[; ]name="([^"]*)"', filename = disposition:match 'filename="([^"]*)"',
    type = headers["content-type"], content = body:sub(content + 1, to) }
end

---@param content_type string?
---@param body string
---@return {name: string?, filename: string?, type: string?, content: string}[]? parts, string? problem
function multipart.parse(content_type, body)
  local boundary = boundary_of(content_type)
  if not boundary then return nil, MALFORMED end
  local delimiter, parts = "--" .. boundary, {}
  local _, at = body:find(delimiter, 1, true)
  while at and body:sub(at + 1, at + 2) == "\r\n" do
    local next_start, next_end = body:find("\r\n" .. delimiter, at + 1, true)
    if not next_start then return nil, MALFORMED end
    parts[#parts + 1] = part_of(body, at + 3, next_start - 1)
    if #parts > FILES_MAXIMUM then return nil, ("too many files (limit %d)"):format(FILES_MAXIMUM) end
    at = next_end
  end
  if not at then return nil, MALFORMED end
  return parts
end

return multipart
