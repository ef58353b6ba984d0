--- Which URLs of push workspaces the platform takes (§5). Names are not resolved.

local addresses = {}

-- Prefixes in bits.
local BLOCKED = {
  { 4, "169.254.0.0", 16, "link-local address (cloud metadata endpoint)" },
  { 4, "127.0.0.0", 8, "loopback address" },
  { 6, "fe80::", 10, "IPv6 link-local address (cloud metadata analogue)" },
  { 6, "::1", 128, "IPv6 loopback address" },
  { 4, "192.0.2.0", 24, "TEST-NET-1 documentation range (RFC-5737)" },
  { 4, "198.51.100.0", 24, "TEST-NET-2 documentation range (RFC-5737)" },
  { 4, "203.0.113.0", 24, "TEST-NET-3 documentation range (RFC-5737)" },
  { 4, "100.64.0.0", 10, "carrier-grade NAT address (RFC-6598)" },
  { 4, "224.0.0.0", 4, "IPv4 multicast address" },
  { 6, "fc00::", 8, "IPv6 ULA non-routable prefix (fc00::/8)" },
  { 6, "2001:db8::", 32, "IPv6 documentation address (RFC-3849 reserved)" },
  { 4, "10.0.0.0", 8, "RFC-1918 private address" },
  { 4, "172.16.0.0", 12, "RFC-1918 private address" },
  { 4, "192.168.0.0", 16, "RFC-1918 private address" },
  { 6, "fd00::", 8, "IPv6 ULA address (RFC-4193 private)" },
}

local function read_4(text)
  local bytes = { text:match "^(%d+)%.(%d+)%.(%d+)%.(%d+)$" }
  if #bytes == 0 then return nil end
  for i, digits in ipairs(bytes) do
    bytes[i] = tonumber(digits)
    if bytes[i] > 255 or #digits > 3 or #digits > 1 and digits:sub(1, 1) == "0" then return nil end
  end
  return string.char(table.unpack(bytes))
end

-- The 16-bit groups of one side of "::" as bytes; a dotted tail counts as two groups.
local function read_groups(text)
  local bytes = {}
  if text == "" then return "" end
  for group in (text .. ":"):gmatch "([^:]*):" do
    local four = read_4(group)
    if four then
      bytes[#bytes + 1] = four
    elseif group:match "^%x%x?%x?%x?$" then
      bytes[#bytes + 1] = string.pack(">I2", tonumber(group, 16))
    else
      return nil
    end
  end
  return table.concat(bytes)
end

local function read_6(text)
  local head, tail = text:match "^(.-)::(.*)$"
  if not head then
    local bytes = text:find(":", 1, true) and read_groups(text)
    return bytes and #bytes == 16 and bytes or nil
  end
  local left, right = read_groups(head), read_groups(tail)
  if not left or not right or #left + #right > 14 then return nil end
  return left .. ("\0"):rep(16 - #left - #right) .. right
end

-- 4 or 16 bytes; an IPv4-mapped IPv6 address is an IPv4 address.
local function read(text)
  local bytes = read_4(text) or read_6(text)
  if bytes and #bytes == 16 and bytes:sub(1, 12) == ("\0"):rep(10) .. "\xff\xff" then return bytes:sub(13) end
  return bytes
end

local function starts_with(bytes, prefix, bits)
  local whole, rest = bits // 8, bits % 8
  if bytes:sub(1, whole) ~= prefix:sub(1, whole) then return false end
  if rest == 0 then return true end
  local shift = 8 - rest
  return bytes:byte(whole + 1) >> shift == prefix:byte(whole + 1) >> shift
end

local function blocked(bytes)
  for _, range in ipairs(BLOCKED) do
    local length = range[1] == 4 and 4 or 16
    if #bytes == length and starts_with(bytes, read(range[2]), range[3]) then return range[4] end
  end
  return nil
end

local function host_of(url)
  local authority = url:match "^%a[%w+.-]*://([^/?#]*)" or ""
  authority = authority:match "([^@]*)$"
  return authority:match "^%[([^%]]*)%]" or authority:match "^([^:]*)"
end

---What is wrong with a URL at registration; nil: nothing. The name localhost passes here.
---@param url string
---@return string? problem
function addresses.problem(url)
  local scheme = (url:match "^(%a[%w+.-]*):" or ""):lower()
  if scheme ~= "http" and scheme ~= "https" then
    return ('url scheme must be http or https, got "%s"'):format(scheme)
  end
  local bytes = read(host_of(url))
  local label = bytes and blocked(bytes)
  return label and "url targets a blocked address: " .. label or nil
end

---Whether a message may be sent there: as at registration, and localhost may not either.
---@param url string
---@return boolean
function addresses.routable(url)
  local name = host_of(url):lower():gsub("%.$", "")
  if name == "localhost" or name:match "%.localhost$" or name == "0.0.0.0" or name == "::" then return false end
  return addresses.problem(url) == nil
end

return addresses
