--- Takes files and answers with one: counts the lines, words and bytes of every text file that came with the message, and
--- sends the report back as a file.
---
---   molecule connect <workspace-id> --script examples/files.lua
local molecule = require "molecule"

local function count(text)
  local _, lines = text:gsub("\n", "")
  local _, words = text:gsub("%S+", "")
  if text ~= "" and text:sub(-1) ~= "\n" then lines = lines + 1 end
  return lines, words
end

local function describe(file)
  local name = file.name or "a file without a name"
  local content, problem, code = file:read()
  if not content then
    if code == "UNAVAILABLE" then return ("%s: not here: %s"):format(name, problem) end
    error(problem) -- retried: the platform may have it later
  end
  if not utf8.len(content) then return ("%s: %d bytes, not text"):format(name, #content) end
  local lines, words = count(content)
  return ("%s: %d lines, %d words, %d bytes"):format(name, lines, words, #content)
end

return {
  name = "counter",
  description = "counts the lines and words of text files",

  handle = function(msg)
    if #msg.files == 0 then return "Send me text files, and I will count their lines and words." end
    local report = {}
    for i, file in ipairs(msg.files) do report[i] = describe(file) end
    molecule.log.info("counted %d files", #msg.files)
    return {
      text = #msg.files == 1 and report[1] or ("I looked at %d files."):format(#msg.files),
      files = {{name = "report.txt", data = table.concat(report, "\n") .. "\n"}},
    }
  end,
}
