--- Schedules: when they are due, against croniter's answers, and what is refused. lua/molecule/schedule.lua and zone.lua, alone.

package.path = "./lua/?.lua;" .. package.path
local schedule = require "molecule.schedule"
local zone = require "molecule.zone"

local DATA = "tests/spec/data/cron.txt"

-- Vixie: a day field that begins with * does not restrict the days alone, so a day must fit both. croniter: */2 restricts like a
-- list, and a day that fits either is enough.
local STAR = [[
0 0 */2 * 1 | UTC | 2028-11-22T01:09:09Z
  2028-11-27T00:00Z, 2028-12-11T00:00Z, 2028-12-25T00:00Z, 2029-01-01T00:00Z, 2029-01-15T00:00Z
0 0 */7 * mon | America/Sao_Paulo | 2027-09-12T18:09:12Z
  2027-11-01T03:00Z, 2027-11-08T03:00Z, 2027-11-15T03:00Z, 2027-11-22T03:00Z, 2027-11-29T03:00Z
0 0 1 * */2 | Pacific/Apia | 2027-01-06T03:31:37Z
  2027-03-31T11:00Z, 2027-04-30T11:00Z, 2027-05-31T11:00Z, 2027-06-30T11:00Z, 2027-07-31T11:00Z
0 0 13 * */5 | UTC | 2027-10-30T18:13:20Z
  2028-02-13T00:00Z, 2028-08-13T00:00Z, 2028-10-13T00:00Z, 2029-04-13T00:00Z, 2029-05-13T00:00Z
* * 2 8,9,11 */3 | UTC | 2029-09-14T07:14:39Z
  2030-11-02T00:00Z, 2030-11-02T00:01Z, 2030-11-02T00:02Z, 2030-11-02T00:03Z, 2030-11-02T00:04Z
3-17/4 4-12 8,18,24 * */2 | UTC | 2024-06-20T17:32:40Z
  2024-07-18T04:03Z, 2024-07-18T04:07Z, 2024-07-18T04:11Z, 2024-07-18T04:15Z, 2024-07-18T05:03Z
42 13,17,23 22 * */2 | America/Sao_Paulo | 2025-05-27T10:01:17Z
  2025-06-22T16:42Z, 2025-06-22T20:42Z, 2025-06-23T02:42Z, 2025-07-22T16:42Z, 2025-07-22T20:42Z
40 1 2-18 * */3 | UTC | 2024-06-23T16:06:32Z
  2024-07-03T01:40Z, 2024-07-06T01:40Z, 2024-07-07T01:40Z, 2024-07-10T01:40Z, 2024-07-13T01:40Z
*/10 * 10-13/4 * */3 | America/Sao_Paulo | 2024-10-11T18:46:09Z
  2024-11-10T03:00Z, 2024-11-10T03:10Z, 2024-11-10T03:20Z, 2024-11-10T03:30Z, 2024-11-10T03:40Z
]]

-- Vixie: a fixed time that the clock shows twice is run once. croniter: twice.
local SHOWN_TWICE = [[
30 2 * * * | Europe/Berlin | 2026-10-24T22:50Z
  2026-10-25T00:30Z, 2026-10-26T01:30Z, 2026-10-27T01:30Z, 2026-10-28T01:30Z, 2026-10-29T01:30Z
  2026-10-30T01:30Z, 2026-10-31T01:30Z, 2026-11-01T01:30Z
0 2 * * * | Europe/Berlin | 2026-10-24T22:50Z
  2026-10-25T00:00Z, 2026-10-26T01:00Z, 2026-10-27T01:00Z, 2026-10-28T01:00Z, 2026-10-29T01:00Z
  2026-10-30T01:00Z, 2026-10-31T01:00Z, 2026-11-01T01:00Z
15,45 2 * * * | Europe/Berlin | 2026-10-24T22:50Z
  2026-10-25T00:15Z, 2026-10-25T00:45Z, 2026-10-26T01:15Z, 2026-10-26T01:45Z, 2026-10-27T01:15Z
  2026-10-27T01:45Z, 2026-10-28T01:15Z, 2026-10-28T01:45Z
30 1 * * * | America/New_York | 2026-11-01T03:50Z
  2026-11-01T05:30Z, 2026-11-02T06:30Z, 2026-11-03T06:30Z, 2026-11-04T06:30Z, 2026-11-05T06:30Z
  2026-11-06T06:30Z, 2026-11-07T06:30Z, 2026-11-08T06:30Z
59 1 * * * | America/New_York | 2026-11-01T03:50Z
  2026-11-01T05:59Z, 2026-11-02T06:59Z, 2026-11-03T06:59Z, 2026-11-04T06:59Z, 2026-11-05T06:59Z
  2026-11-06T06:59Z, 2026-11-07T06:59Z, 2026-11-08T06:59Z
30 1,2,3 * * * | Europe/Berlin | 2026-10-24T22:50Z
  2026-10-24T23:30Z, 2026-10-25T00:30Z, 2026-10-25T02:30Z, 2026-10-26T00:30Z, 2026-10-26T01:30Z
  2026-10-26T02:30Z, 2026-10-27T00:30Z, 2026-10-27T01:30Z
30 1,2,3 * * * | America/New_York | 2026-11-01T03:50Z
  2026-11-01T05:30Z, 2026-11-01T07:30Z, 2026-11-01T08:30Z, 2026-11-02T06:30Z, 2026-11-02T07:30Z
  2026-11-02T08:30Z, 2026-11-03T06:30Z, 2026-11-03T07:30Z
]]

-- Vixie: minutes or hours that begin with * follow the clock; nothing runs at a time that it leaves out. croniter: right after.
local LEFT_OUT = [[
*/15 2 * * * | Europe/Berlin | 2026-03-28T22:50Z
  2026-03-30T00:00Z, 2026-03-30T00:15Z, 2026-03-30T00:30Z, 2026-03-30T00:45Z, 2026-03-31T00:00Z
  2026-03-31T00:15Z
*/15 2 * * * | America/New_York | 2026-03-08T04:50Z
  2026-03-09T06:00Z, 2026-03-09T06:15Z, 2026-03-09T06:30Z, 2026-03-09T06:45Z, 2026-03-10T06:00Z
  2026-03-10T06:15Z
0 */2 * * * | Europe/Berlin | 2026-03-28T22:50Z
  2026-03-28T23:00Z, 2026-03-29T02:00Z, 2026-03-29T04:00Z, 2026-03-29T06:00Z, 2026-03-29T08:00Z
  2026-03-29T10:00Z
0 */2 * * * | America/New_York | 2026-03-08T04:50Z
  2026-03-08T05:00Z, 2026-03-08T08:00Z, 2026-03-08T10:00Z, 2026-03-08T12:00Z, 2026-03-08T14:00Z
  2026-03-08T16:00Z
]]

local function read_zone(name)
  local file = io.open("/usr/share/zoneinfo/" .. name, "rb")
  local bytes = file and file:read "a"
  if file then file:close() end
  return bytes
end

local function open(name) return assert(zone.open(name, read_zone)) end

-- "2026-03-29T01:00Z" -> epoch seconds
local function moment(text)
  local y, mo, d, h, mi, s = text:match "^(%d+)%-(%d+)%-(%d+)T(%d+):(%d+):?(%d*)Z$"
  return zone.days(y // 1, mo // 1, d // 1) * 86400 + (h * 3600 + mi * 60 + (tonumber(s) or 0)) // 1
end

local function show(time) return os.date(time % 60 == 0 and "!%Y-%m-%dT%H:%MZ" or "!%Y-%m-%dT%H:%M:%SZ", time) end

local function moments(spec, where, after, count)
  local one, list, time = assert(schedule.read(spec)), {}, moment(after)
  for i = 1, count do
    time = assert(one:next(where, time), spec)
    list[i] = show(time)
  end
  return list
end

-- "spec | zone | after" -> what follows, where we answer differently from croniter
local function read_different()
  local different, key = {}, nil
  for line in (STAR .. SHOWN_TWICE .. LEFT_OUT):gmatch "[^\n]+" do
    if line:find " | " then key = line
    else different[key] = (different[key] and different[key] .. ", " or "") .. line:match "^%s*(.*)$" end
  end
  return different
end

describe("a schedule", function()
  it("is due when croniter says, but for the differences that are named here", function()
    local different, rows, specs = read_different(), 0, {}
    for line in io.lines(DATA) do
      local key, spec, name, after, theirs = line:match "^((.-) | (%S+) | (%S+)) | (.*)$"
      if line:sub(1, 1) ~= "#" then
        rows = rows + 1
        specs[spec] = true
        local _, count = theirs:gsub("Z", "")
        local ours = table.concat(moments(spec, open(name), after, count), ", ")
        assert.equal(different[key] or theirs, ours, key)
        assert.not_equal(different[key], theirs, key .. " is no difference")
        different[key] = nil
      end
    end
    assert.same({}, different)
    assert(rows >= 200, rows)
    local count = 0
    for _ in pairs(specs) do count = count + 1 end
    assert(count >= 170, count)
  end)

  it("at a fixed time: runs right after a skipped hour, once, and once in an hour that comes twice", function()
    local berlin, york = open "Europe/Berlin", open "America/New_York"
    assert.same({ "2026-03-28T01:30Z", "2026-03-29T01:00Z", "2026-03-30T00:30Z" },
      moments("30 2 * * *", berlin, "2026-03-28T00:00Z", 3))
    assert.same({ "2026-03-29T01:00Z", "2026-03-30T00:15Z" }, moments("15,45 2 * * *", berlin, "2026-03-28T12:00Z", 2))
    assert.same({ "2026-10-25T00:30Z", "2026-10-26T01:30Z" }, moments("30 2 * * *", berlin, "2026-10-24T12:00Z", 2))
    assert.same({ "2026-03-08T07:00Z", "2026-03-09T06:30Z" }, moments("30 2 * * *", york, "2026-03-07T12:00Z", 2))
    assert.same({ "2026-11-01T05:30Z", "2026-11-02T06:30Z" }, moments("30 1 * * *", york, "2026-10-31T12:00Z", 2))
    -- only if that day is meant
    assert.same({ "2026-03-30T00:30Z" }, moments("30 2 * * mon", berlin, "2026-03-28T12:00Z", 1))
  end)

  it("with * for minutes or hours: follows the clock, whatever that leaves out or shows twice", function()
    local berlin, york = open "Europe/Berlin", open "America/New_York"
    assert.same({ "2026-03-29T00:30Z", "2026-03-29T01:00Z" }, moments("*/30 * * * *", berlin, "2026-03-29T00:00Z", 2))
    assert.same({ "2026-03-30T00:00Z" }, moments("*/30 2 * * *", berlin, "2026-03-28T12:00Z", 1))
    assert.same({ "2026-10-25T00:30Z", "2026-10-25T01:30Z", "2026-10-25T02:30Z" },
      moments("30 * * * *", berlin, "2026-10-25T00:00Z", 3))
    assert.same({ "2026-11-01T05:00Z", "2026-11-01T06:00Z", "2026-11-01T07:00Z" },
      moments("@hourly", york, "2026-11-01T04:30Z", 3))
    assert.same({ "2026-11-01T05:00Z", "2026-11-01T05:30Z", "2026-11-01T06:00Z", "2026-11-01T06:30Z" },
      moments("*/30 1 * * *", york, "2026-10-31T12:00Z", 4))
  end)

  it("lives through a day that a country leaves out, which is taken for a correction", function()
    local apia = open "Pacific/Apia" -- no 30 December 2011
    assert.same({ "2011-12-29T22:00Z", "2011-12-30T22:00Z" }, moments("0 12 * * *", apia, "2011-12-28T22:00Z", 2))
    assert.same({ "2012-12-29T22:00Z" }, moments("0 12 30 12 *", apia, "2011-12-01T00:00Z", 1))
  end)

  it("of a 29 February waits for a leap year, also for eight years", function()
    local utc = open "UTC"
    assert.same({ "2028-02-29T06:00Z", "2032-02-29T06:00Z" }, moments("0 6 29 2 *", utc, "2026-11-27T00:00Z", 2))
    assert.same({ "2096-02-29T00:00Z", "2104-02-29T00:00Z" }, moments("0 0 29 2 *", utc, "2093-01-01T00:00Z", 2))
    assert.same({ "2088-02-29T00:00Z", "2128-02-29T00:00Z" }, moments("0 0 29-31/2 2 */7", utc, "2061-03-01T00:00Z", 2))
  end)

  it("names the last moment that was missed, however many were", function()
    local utc = open "UTC"
    local function latest(spec, after, now)
      local at = assert(schedule.read(spec)):latest(utc, moment(after), moment(now))
      return at and show(at)
    end
    assert.equal("2026-11-27T10:15Z", latest("*/15 * * * *", "2016-01-01T00:00Z", "2026-11-27T10:29:59Z"))
    assert.equal("2026-11-27T10:30Z", latest("*/15 * * * *", "2016-01-01T00:00Z", "2026-11-27T10:30Z"))
    assert.equal("2026-01-01T23:59Z", latest("* * 1 1 *", "2020-01-01T00:00Z", "2026-11-27T10:30Z"))
    assert.is_nil(latest("0 8 * * *", "2026-11-27T08:00Z", "2026-11-28T07:59:59Z"))
    assert.is_nil(latest("0 8 * * *", "2026-11-27T08:00Z", "2026-11-26T00:00Z"))
  end)

  local REFUSED = {
    ["0 25 * * *"] = 'field 2 (hour) of "0 25 * * *": 25 is above 23',
    ["60 * * * *"] = 'field 1 (minute) of "60 * * * *": 60 is above 59',
    ["0 0 0 * *"] = 'field 3 (day of month) of "0 0 0 * *": 0 is below 1',
    ["0 0 * 13 *"] = 'field 4 (month) of "0 0 * 13 *": 13 is above 12',
    ["0 0 * * 8"] = 'field 5 (day of week) of "0 0 * * 8": 8 is above 7',
    ["0 0 L * *"] = 'field 3 (day of month) of "0 0 L * *": L is not supported',
    ["0 0 * * 1#2"] = 'field 5 (day of week) of "0 0 * * 1#2": # is not supported',
    ["0 0 15W * *"] = 'field 3 (day of month) of "0 0 15W * *": W is not supported',
    ["0 0 ? * 1"] = 'field 3 (day of month) of "0 0 ? * 1": ? is not supported',
    ["0 0 * * monday"] = '"monday" is neither a number from 0 to 7 nor one of sun, mon, tue',
    ["0 0 * foo *"] = '"foo" is neither a number from 1 to 12 nor one of jan, feb',
    ["x * * * *"] = '"x" is no number from 0 to 59',
    ["-5 * * * *"] = 'something is missing in "-5"',
    ["5- * * * *"] = 'something is missing in "5-"',
    ["1,,2 * * * *"] = "an item of the list is empty",
    ["*/0 * * * *"] = '"0" is no step: it must be a number from 1 on',
    ["*/x * * * *"] = '"x" is no step',
    ["5/10 * * * *"] = "a step needs a range: write 5-59/10",
    ["0 22-2 * * *"] = "22-2 runs backward: write it as a list of two ranges",
    ["99999999999999999999 * * * *"] = '"99999999999999999999" is no number from 0 to 59',
    ["0 0 30 2 *"] = '"0 0 30 2 *" never comes: feb has no day 30',
    ["0 0 31 4,6 *"] = '"0 0 31 4,6 *" never comes: apr has no day 31',
    ["* * * *"] = '"* * * *" has 4 fields; there are five: minute, hour, day of month, month, day of week',
    ["0 0 0 * * *"] = '"0 0 0 * * *" has 6 fields',
    [""] = '"" has 0 fields',
    ["@reboot"] = "@reboot is not supported: what the agent's start does happens then",
    ["@often"] = '"@often" is not known: there are @yearly',
    ["0 0\n* * *"] = "there are control characters in the schedule",
    [("1,"):rep(200) .. "1 * * * *"] = "a schedule of 409 bytes; at most 200 are read",
  }

  for spec, expected in pairs(REFUSED) do
    it(("that is %q is refused, with the reason"):format(spec:sub(1, 30)), function()
      local one, problem = schedule.read(spec)
      assert.is_nil(one)
      assert(problem:find(expected, 1, true), problem)
    end)
  end

  it("may have tabs, names in any case, and sun or 7 at the end of a range", function()
    local utc = open "UTC"
    assert.same({ "2026-11-27T00:00Z", "2026-11-28T00:00Z", "2026-11-29T00:00Z", "2026-12-04T00:00Z" },
      moments("\t0  0 * NOV,dec fri-Sun ", utc, "2026-11-26T12:00Z", 4))
    assert.equal("0 0 * * 5-7", assert(schedule.read " 0 0  *\t* 5-7").spec)
  end)
end)

describe("a time zone", function()
  it("may be a POSIX rule, as TZ can be", function()
    local function at(rule, time)
      local where = assert(zone.open("local", function() return nil, rule end))
      return select(3, where:segment(moment(time)))
    end
    assert.equal(3600, at("CET-1CEST,M3.5.0,M10.5.0/3", "2026-03-29T00:59Z"))
    assert.equal(7200, at("CET-1CEST,M3.5.0,M10.5.0/3", "2026-03-29T01:00Z"))
    assert.equal(3600, at("CET-1CEST,M3.5.0,M10.5.0/3", "2026-10-25T01:00Z"))
    assert.equal(-14400, at("EST5EDT", "2026-07-01T00:00Z"))
    assert.equal(10800, at("<+03>-3", "2026-07-01T00:00Z"))
    assert.equal(20700, at("<+0545>-5:45", "2026-07-01T00:00Z"))
    assert.equal(0, at("IST-1GMT0,M10.5.0,M3.5.0/1", "2026-12-24T00:00Z")) -- Dublin: winter is the exception
    assert.equal(3600, at("IST-1GMT0,M10.5.0,M3.5.0/1", "2026-06-24T00:00Z"))
    assert.equal(-7200, at("<-03>3<-02>,J60/0,J300/0", "2028-03-01T03:00Z")) -- 29 February does not count
    assert.equal(-10800, at("<-03>3<-02>,J60/0,J300/0", "2028-03-01T02:59Z"))
    assert.equal(0, at("nonsense!", "2026-07-01T00:00Z")) -- as libc does
  end)

  it("agrees with libc on every change of a century, in zones of all kinds", function()
    local pipe = assert(io.popen("command -v date >/dev/null && date --version 2>/dev/null | head -1"))
    local has_date = pipe:read "a":find "GNU"
    pipe:close()
    if not has_date then return pending("date of GNU is not here") end
    for _, name in ipairs { "Europe/Berlin", "America/New_York", "Africa/Casablanca", "Asia/Tehran", "Australia/Lord_Howe" } do
      local where, time, expected, input = open(name), moment "1975-01-01T00:00Z", {}, {}
      while time < moment "2075-01-01T00:00Z" do
        local _, to, offset = where:segment(time)
        input[#input + 1] = ("@%d"):format(time)
        expected[#expected + 1] = offset
        if to < math.huge then
          input[#input + 1] = ("@%d"):format(to - 1)
          expected[#expected + 1] = offset
        end
        time = to
      end
      local list = os.tmpname()
      local file = assert(io.open(list, "w"))
      file:write(table.concat(input, "\n"), "\n")
      file:close()
      local dates = assert(io.popen(("TZ=%s date -f %s +%%::z"):format(name, list)))
      local i = 0
      for line in dates:lines() do
        local sign, h, m, s = line:match "^([+-])(%d+):(%d+):(%d+)$"
        i = i + 1
        local libc = (h * 3600 + m * 60 + s) // 1 * (sign == "-" and -1 or 1)
        assert.equal(libc, expected[i], name .. " " .. input[i])
      end
      dates:close()
      os.remove(list)
      assert.equal(#input, i)
    end
  end)

  it("that is unknown, no zone's name or damaged is refused", function()
    local function problem_of(name, read) return select(2, zone.open(name, read or read_zone)) end
    assert(problem_of "Europe/Berlim":find('the time zone "Europe/Berlim" is not known on this machine', 1, true))
    for _, name in ipairs { "../../etc/passwd", "/etc/localtime", "", "a//b", ("x"):rep(101), "Europe/Ber lin", "a/../b" } do
      assert(problem_of(name):find("is no time zone", 1, true), name)
    end
    local whole = read_zone "Europe/Berlin"
    for size = 0, #whole - 1, 7 do
      local where, problem = zone.open("X", function() return whole:sub(1, size) end)
      assert(where or problem:find("cannot be read", 1, true))
    end
    assert(problem_of("X", function() return ("TZif2"):rep(100) end):find("cannot be read", 1, true))
  end)
end)
