--- Time zones: how far a place's clock is from UTC at any moment. From TZif files (RFC 9636) and POSIX rules; libc is not asked,
--- because its zone belongs to the whole process.

local DAY = 86400
local NAME_MAXIMUM = 100 -- bytes

local zone = {}

---@class Zone
---@field name string
---@field package times integer[] when the offset changes: epoch seconds, rising
---@field package offsets integer[] from that moment on: seconds east of UTC
---@field package first integer before the first of them
---@field package rule table? after the last of them
local Zone = {}
Zone.__index = Zone

-- --- the calendar ---

--- Days since 1970-01-01, by the civil calendar; a month of 13 is January of the next year.
---@param year integer
---@param month integer
---@param day integer
---@return integer
function zone.days(year, month, day)
  if month > 12 then year, month = year + 1, month - 12 end
  if month <= 2 then year, month = year - 1, month + 12 end
  return 365 * year + year // 4 - year // 100 + year // 400 + (153 * (month - 3) + 2) // 5 + day - 719469
end

--- The other way.
---@param days integer since 1970-01-01
---@return integer year, integer month, integer day
function zone.civil(days)
  days = days + 719468
  local era = days // 146097
  local left = days % 146097
  local years = (left - left // 1460 + left // 36524 - left // 146096) // 365
  local of_year = left - (365 * years + years // 4 - years // 100)
  local month = (5 * of_year + 2) // 153
  local day = of_year - (153 * month + 2) // 5 + 1
  local year = years + era * 400
  if month < 10 then return year, month + 3, day end
  return year + 1, month - 9, day
end

-- --- POSIX rules: "CET-1CEST,M3.5.0,M10.5.0/3" ---

local function read_offset(text, at)
  local sign, hours, rest = text:match("^([+-]?)(%d%d?%d?)()", at)
  if not hours then return nil end
  local seconds = tonumber(hours) * 3600
  local minutes, after = text:match("^:(%d%d)()", rest)
  if minutes then seconds, rest = seconds + tonumber(minutes) * 60, after end
  local last
  last, after = text:match("^:(%d%d)()", rest)
  if last then seconds, rest = seconds + tonumber(last), after end
  return math.tointeger(sign == "-" and -seconds or seconds), rest
end

local function read_zone_name(text, at)
  local _, after = text:find("^<[%w+-]+>", at)
  if not after then _, after = text:find("^%a%a%a+", at) end
  return after and after + 1
end

-- One change of the clock: ",M3.5.0/2", ",J60", ",59".
local function read_change(text, at)
  local change = {time = 7200}
  local month, week, day, rest = text:match("^,M(%d+)%.(%d)%.(%d)()", at)
  if month then
    change.month, change.week, change.day = math.tointeger(month), math.tointeger(week), math.tointeger(day)
    if change.month < 1 or change.month > 12 or change.week < 1 or change.week > 5 or change.day > 6 then return nil end
  else
    local julian
    julian, day, rest = text:match("^,(J?)(%d+)()", at)
    if not day then return nil end
    change[julian == "J" and "julian" or "of_year"] = math.tointeger(day)
  end
  if text:sub(rest, rest) == "/" then
    change.time, rest = read_offset(text, rest + 1)
    if not change.time then return nil end
  end
  return change, rest
end

-- nil: it is not one.
local function read_rule(text)
  local name_end = read_zone_name(text, 1)
  if not name_end then return nil end
  local west, at = read_offset(text, name_end)
  if not west then return nil end
  local rule = {standard = -west, daylight = -west + 3600}
  if at > #text then return rule end
  at = read_zone_name(text, at)
  if not at then return nil end
  local daylight_west, after = read_offset(text, at)
  if daylight_west then rule.daylight, at = -daylight_west, after end
  if at > #text then text, at = ",M3.2.0,M11.1.0", 1 end -- as everybody assumes
  rule.begins, at = read_change(text, at)
  if not rule.begins then return nil end
  rule.ends, at = read_change(text, at)
  return rule.ends and at > #text and rule or nil
end

local function day_of(change, year)
  local january = zone.days(year, 1, 1)
  if change.of_year then return january + change.of_year end
  if change.julian then -- 29 February does not count
    local leap = zone.days(year, 3, 1) - january == 60
    return january + change.julian - 1 + (leap and change.julian >= 60 and 1 or 0)
  end
  local first = zone.days(year, change.month, 1)
  local day = first + (change.day - (first + 4) % 7) % 7 + 7 * (change.week - 1)
  return day < zone.days(year, change.month + 1, 1) and day or day - 7
end

-- The changes of three years around, in order.
local function changes_around(rule, year)
  local list = {}
  for each = year - 1, year + 1 do
    list[#list + 1] = {at = day_of(rule.begins, each) * DAY + rule.begins.time - rule.standard, offset = rule.daylight}
    list[#list + 1] = {at = day_of(rule.ends, each) * DAY + rule.ends.time - rule.daylight, offset = rule.standard}
  end
  table.sort(list, function(a, b) return a.at < b.at end)
  return list
end

-- --- TZif ---

local HEADER = ">c4 c1 c15 I4 I4 I4 I4 I4 I4"
local HEADER_SIZE = string.packsize(HEADER)

-- The counts of the block at this place, and where its data and what follows begin; nil: there is no block.
local function read_header(bytes, at, wide)
  if #bytes < at + HEADER_SIZE - 1 then return nil end
  local magic, version, _, universal, standard, leaps, times, types, letters, data = HEADER:unpack(bytes, at)
  local size = times * (wide + 1) + types * 6 + letters + leaps * (wide + 4) + standard + universal
  if magic ~= "TZif" or types == 0 or #bytes < data + size - 1 then return nil end
  return {version = version, times = times, types = types, data = data, after = data + size}
end

-- Adds a change to the zone, unless it is none for the clock.
local function add_change(self, at, offset)
  local before = self.offsets[#self.offsets] or self.first
  if offset == before then return end
  self.times[#self.times + 1], self.offsets[#self.offsets + 1] = at, offset
end

local function read_changes(self, bytes, header, wide)
  local indexes = header.data + header.times * wide
  local types, format = indexes + header.times, wide == 8 and ">i8" or ">i4"
  local function offset_of(index)
    if index >= header.types then return nil end
    return (string.unpack(">i4", bytes, types + 6 * index))
  end
  self.first = offset_of(0)
  for i = 0, header.times - 1 do
    local offset = offset_of(bytes:byte(indexes + i))
    if not offset then return false end
    add_change(self, (format:unpack(bytes, header.data + i * wide)), offset)
  end
  return true
end

-- false: it is not a TZif file.
local function read_file(self, bytes)
  local header, wide = read_header(bytes, 1, 4), 4
  if not header then return false end
  if header.version ~= "\0" then
    header, wide = read_header(bytes, header.after, 8), 8
    if not header then return false end
    local rule = bytes:match("^\n([^\n]+)\n", header.after)
    self.rule = rule and read_rule(rule)
    if rule and not self.rule then return false end
  end
  return read_changes(self, bytes, header, wide)
end

-- --- what others use ---

--- A zone. `read(name)` gives the bytes of a TZif file below the directory of zones, or nil; without a name, those of the
--- machine's own zone, or nil and the value of TZ where that is no file's name.
---@param name string "local", "UTC" or a name like "Europe/Berlin"
---@param read fun(name: string?): string?, string?
---@return Zone?
---@return string? problem
function zone.open(name, read)
  local self = setmetatable({name = name, times = {}, offsets = {}, first = 0}, Zone)
  if name == "UTC" then return self end
  local bytes, rule
  if name == "local" then
    bytes, rule = read()
    if not bytes and not rule then return self end -- as libc does
  elseif #name > NAME_MAXIMUM or not name:find("^%a[%w_+/-]*$") or name:find("//", 1, true) then
    return nil, ("%q is no time zone: write \"local\", \"UTC\" or a name like \"Europe/Berlin\""):format(name)
  else
    bytes = read(name)
    if not bytes then
      return nil, ("the time zone %q is not known on this machine: write \"local\", \"UTC\" or a name like \"Europe/Berlin\" "
        .. "(those of /usr/share/zoneinfo; the package is often named tzdata)"):format(name)
    end
  end
  if bytes then
    if read_file(self, bytes) then return self end
    return nil, ("the time zone %q cannot be read: its file is damaged, or no TZif file"):format(name)
  end
  self.rule = read_rule(rule)
  if not self.rule then return self end -- libc takes it for UTC
  self.first = self.rule.standard
  return self
end

local function by_rule(self, time)
  local since = self.times[#self.times] or -math.huge
  local from, offset, before = since, self.offsets[#self.offsets] or self.first, self.offsets[#self.offsets - 1]
  if #self.offsets == 1 then before = self.first end
  if not self.rule.begins then return from, math.huge, offset, before end
  for _, change in ipairs(changes_around(self.rule, (zone.civil(time // DAY)))) do
    if change.at > time then return from, change.at, offset, before end
    if change.at > since then from, offset, before = change.at, change.offset, offset end
  end
  return from, math.huge, offset, before
end

--- The stretch of time around a moment in which the clock is not changed.
---@param time integer epoch seconds
---@return number from its first second
---@return number to the first second after it
---@return integer offset seconds east of UTC
---@return integer? before the offset before it
function Zone:segment(time)
  local times, count = self.times, #self.times
  if self.rule and (count == 0 or time >= times[count]) then return by_rule(self, time) end
  local low, high = 0, count -- the last one that is not after `time` is among them
  while low < high do
    local middle = (low + high + 1) // 2
    if times[middle] <= time then low = middle else high = middle - 1 end
  end
  local before
  if low > 0 then before = self.offsets[low - 1] or self.first end
  return times[low] or -math.huge, times[low + 1] or math.huge, self.offsets[low] or self.first, before
end

return zone
