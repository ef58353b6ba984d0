--- Schedules of five fields, as crontab(5) has them, and the moments that they mean. Pure: no clock, no I/O.

local zone = require "molecule.zone"

local MINUTE, HOUR, DAY = 60, 3600, 86400
local SPEC_MAXIMUM = 200 -- bytes
local HANDLED_CHANGE = 3 * HOUR -- of the clock; a larger one is taken for a correction, as by Vixie cron
local HORIZON = 41 * 366 * DAY -- the longest that a schedule can leave out: a 29 February on a given weekday, around 2100

local MONTHS = {"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}
local WEEKDAYS = {[0] = "sun", "mon", "tue", "wed", "thu", "fri", "sat"}
local MONTH_DAYS = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

local FIELDS = {
  {name = "minute", least = 0, most = 59},
  {name = "hour", least = 0, most = 23},
  {name = "day of month", least = 1, most = 31},
  {name = "month", least = 1, most = 12, names = MONTHS},
  {name = "day of week", least = 0, most = 7, names = WEEKDAYS},
}

local NICKNAMES = {
  ["@yearly"] = "0 0 1 1 *", ["@annually"] = "0 0 1 1 *", ["@monthly"] = "0 0 1 * *", ["@weekly"] = "0 0 * * 0",
  ["@daily"] = "0 0 * * *", ["@midnight"] = "0 0 * * *", ["@hourly"] = "0 * * * *",
}

local schedule = {}

---@class Schedule
---@field spec string as it was written, with single spaces
---@field follows_clock boolean the minutes or hours begin with *: it follows the clock on the wall when that is changed
---@field package minutes table<integer, true>
---@field package hours table<integer, true>
---@field package days table<integer, true>
---@field package months table<integer, true>
---@field package weekdays table<integer, true> 0 is Sunday
---@field package both boolean a day must fit both fields, as one of them begins with *; else either
local Schedule = {}
Schedule.__index = Schedule

-- --- reading ---

local function refuse(text, ...) error({text = text:format(...)}, 0) end

-- A number or a name of the field.
local function read_value(field, text, whole)
  local number = text:find("^%d+$") and #text <= 9 and math.tointeger(text) or nil
  for value, name in pairs(field.names or {}) do
    if text:lower() == name then number = value end
  end
  if number then
    if number < field.least then refuse("%d is below %d", number, field.least) end
    if number > field.most then refuse("%d is above %d", number, field.most) end
    return number
  end
  local sign = text:match("[LW#?]")
  if sign then
    refuse("%s is not supported: a number, a name, a range, a list or a step is (neither L nor W nor # nor ?)", sign)
  elseif text == "" then
    refuse(whole == "" and "an item of the list is empty" or "something is missing in \"%s\"", whole)
  elseif field.names then
    refuse("\"%s\" is neither a number from %d to %d nor one of %s", text, field.least, field.most,
      table.concat(field.names, ", ", field.names[0] and 0 or 1))
  end
  refuse("\"%s\" is no number from %d to %d", text, field.least, field.most)
end

-- The two ends of one item of a list without its step, and whether it is a single value.
local function read_range(field, text, whole)
  if text == "*" then return field.least, field.most == 7 and 6 or field.most, false end
  local from, to = text:match("^([^-]*)%-(.*)$")
  if not from then
    local value = read_value(field, text, whole)
    return value, value, true
  end
  local low, high = read_value(field, from, whole), read_value(field, to, whole)
  if high == 0 and field.most == 7 and low > 0 then high = 7 end -- fri-sun
  if low > high then refuse("%s runs backward: write it as a list of two ranges", text) end
  return low, high, false
end

local function read_item(field, set, item)
  local text, step = item, 1
  local range, words = item:match("^([^/]*)/(.*)$")
  if range then
    text, step = range, words:find("^%d+$") and #words <= 9 and math.tointeger(words) or nil
    if not step or step == 0 then refuse("\"%s\" is no step: it must be a number from 1 on, as in */5", words) end
  end
  local low, high, single = read_range(field, text, item)
  if range and single then refuse("a step needs a range: write %s-%d/%d", text, field.most == 7 and 6 or field.most, step) end
  for value = low, high, step do set[field.most == 7 and value % 7 or value] = true end
end

local function read_field(field, text)
  local set = {}
  for item in (text .. ","):gmatch("([^,]*),") do read_item(field, set, item) end
  return set
end

-- Why no day ever fits; nil: one does.
local function find_no_day(self)
  local first
  if not self.both then return nil end -- a weekday is enough
  for month, name in ipairs(MONTHS) do
    for day in pairs(self.months[month] and self.days or {}) do
      if day <= MONTH_DAYS[month] then return nil end
      first = first or ("%s has no day %d"):format(name, day)
    end
  end
  return first
end

local function read_fields(self, parts)
  local sets = {}
  for i, field in ipairs(FIELDS) do
    local fine, problem = pcall(read_field, field, parts[i])
    if not fine then
      if type(problem) ~= "table" then error(problem, 0) end
      return ("field %d (%s) of \"%s\": %s"):format(i, field.name, self.spec, problem.text)
    end
    sets[i] = problem
  end
  self.minutes, self.hours, self.days, self.months, self.weekdays = table.unpack(sets)
  local function has_star(i) return parts[i]:sub(1, 1) == "*" end
  self.follows_clock = has_star(1) or has_star(2)
  self.both = has_star(3) or has_star(5)
  local never = find_no_day(self)
  return never and ("\"%s\" never comes: %s"):format(self.spec, never)
end

--- Reads a schedule. nil and what is wrong with it.
---@param spec string
---@return Schedule?
---@return string? problem
function schedule.read(spec)
  local parts = {}
  for part in spec:gmatch("[^ \t]+") do parts[#parts + 1] = part end
  local shown = table.concat(parts, " ")
  if #spec > SPEC_MAXIMUM then return nil, ("a schedule of %d bytes; at most %d are read"):format(#spec, SPEC_MAXIMUM) end
  if spec:gsub("\t", " "):find("%c") then return nil, "there are control characters in the schedule" end
  local self = setmetatable({spec = shown}, Schedule)
  if shown:sub(1, 1) == "@" then
    local meant = NICKNAMES[shown:lower()]
    if shown:lower() == "@reboot" then return nil, "@reboot is not supported: what the agent's start does happens then" end
    if not meant then
      return nil, ("\"%s\" is not known: there are @yearly, @annually, @monthly, @weekly, @daily, @midnight and @hourly")
        :format(shown)
    end
    parts = {}
    for part in meant:gmatch("%S+") do parts[#parts + 1] = part end
  end
  if #parts ~= #FIELDS then
    return nil, ("\"%s\" has %d field%s; there are five: minute, hour, day of month, month, day of week")
      :format(shown, #parts, #parts == 1 and "" or "s")
  end
  local problem = read_fields(self, parts)
  if problem then return nil, problem end
  if shown:lower() == "@hourly" then self.follows_clock = true end
  return self
end

-- --- moments ---

local function fits_day(self, days, day)
  local of_month, of_week = self.days[day], self.weekdays[(days + 4) % 7]
  if self.both then return of_month and of_week end
  return of_month or of_week
end

-- The first minute of a day from `minute` on, both counted from midnight; nil: none is left.
local function first_minute(self, minute)
  for hour = minute // 60, 23 do
    for of_hour = self.hours[hour] and (hour == minute // 60 and minute % 60 or 0) or 60, 59 do
      if self.minutes[of_hour] then return hour * 60 + of_hour end
    end
  end
end

-- The first moment of the clock on the wall that fits, from `from` and before `to`; seconds since 1970-01-01 as it shows them.
local function first_on_wall(self, from, to)
  local minute = -(-from // MINUTE)
  local days, of_day = minute // 1440, minute % 1440
  while days * DAY < to do
    local year, month, day = zone.civil(days)
    if not self.months[month] then
      days, of_day = zone.days(year, month + 1, 1), 0
    else
      local found = fits_day(self, days, day) and first_minute(self, of_day)
      if found then
        local at = days * DAY + found * MINUTE
        return at < to and at or nil
      end
      days, of_day = days + 1, 0
    end
  end
end

--- The first moment after that one; nil: none.
---@param where Zone
---@param after number epoch seconds
---@return integer?
function Schedule:next(where, after)
  local time = math.tointeger(after // 1) + 1
  local horizon = time + HORIZON
  while time < horizon do
    local from, to, offset, before = where:segment(time)
    local change = before and offset - before or 0
    local handled = change ~= 0 and not self.follows_clock and math.abs(change) <= HANDLED_CHANGE
    -- what falls into the skipped time comes right after it
    if handled and change > 0 and time == from and first_on_wall(self, from + before, from + offset) then return time end
    local start = time + offset
    if handled and change < 0 then start = math.max(start, from + before) end -- what the clock shows again has been
    local at = first_on_wall(self, start, math.min(to, horizon) + offset)
    if at then return at - offset end
    time = math.min(to, horizon)
  end
end

--- The last moment after `after` that is not later than `now`; nil: none.
---@param where Zone
---@param after number epoch seconds
---@param now number
---@return integer?
function Schedule:latest(where, after, now)
  local low, high = self:next(where, after), math.tointeger(now // 1)
  if not low or low > high then return nil end
  while low < high do -- `low` is one; the last one is not after `high`
    local middle = (low + high) // 2
    local at = self:next(where, middle)
    if at and at <= high then low = at else high = middle end
  end
  return low
end

return schedule
