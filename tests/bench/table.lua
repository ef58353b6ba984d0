--- The one table, and the numbers in it.

local sheet = { failed = 0 }

---@param values number[]
---@return number median, number least, number most
function sheet.middle(values)
  local sorted = { table.unpack(values) }
  table.sort(sorted)
  local half = #sorted // 2
  local median = #sorted % 2 == 1 and sorted[half + 1] or (sorted[half] + sorted[half + 1]) / 2
  return median, sorted[1], sorted[#sorted]
end

local function number(value)
  if value ~= value or value == math.huge then return "-" end
  local digits = value >= 100 and 0 or value >= 10 and 1 or value >= 1 and 2 or 3
  local text = ("%." .. digits .. "f"):format(value)
  local whole, rest = text:match "^(%d+)(.*)$"
  return whole:reverse():gsub("(%d%d%d)", "%1,"):reverse():gsub("^,", "") .. rest
end

local LAYOUT = "%-58s %14s %19s %8s %-14s %s"

local function line(...)
  print((LAYOUT:format(...):gsub("%s+$", "")))
  io.stdout:flush()
end

function sheet.head()
  line("", "median", "least to most", "ratio", "target", "")
end

---@param text string
function sheet.section(text)
  print("\n" .. text)
  io.stdout:flush()
end

---A figure. `of`: the ceiling's median; its ratio is shown. `under`, `over`: the target, of the ratio where there is a
---ceiling that `compare` names, else of the median.
---@param row {name: string, unit: string, values: number[], of: number?, over: number?, under: number?, target: string?}
---@return number median
function sheet.row(row)
  local median, least, most = sheet.middle(row.values)
  local ratio = row.of and median / row.of
  local judged, verdict = row.over and ratio or median, ""
  if row.over or row.under then
    local fine = (not row.over or judged >= row.over) and (not row.under or judged < row.under)
    verdict = fine and "pass" or "FAIL"
    if not fine then sheet.failed = sheet.failed + 1 end
  end
  line(row.name, number(median) .. " " .. row.unit, #row.values > 1 and number(least) .. " to " .. number(most) or "",
    ratio and ("%.2f"):format(ratio) or "", row.target or "", verdict)
  return median
end

---@param name string
---@param why string
function sheet.skip(name, why)
  line(name, "-", "", "", "", why)
end

return sheet
