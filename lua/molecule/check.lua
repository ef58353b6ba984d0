--- `molecule check`: what is wrong with a script, as far as can be told without running it, with the place of each mistake.

local chunk = require "molecule.check.chunk"
local core = require "molecule.check.core"
local known = require "molecule.check.known"
local names = require "molecule.check.names"

local check = {}

local LINE_SHOWN = 200 -- bytes

-- Of a state with the sandbox off, which has `package` as well.
local GLOBALS = "_G _VERSION assert collectgarbage cjson coroutine debug dofile error getmetatable io ipairs load loadfile math "
  .. "next os package pairs pcall print rawequal rawget rawlen rawset require select setmetatable string table tonumber "
  .. "tostring type utf8 warn xpcall arg"

---@class Finding
---@field level "error"|"warning"
---@field path string
---@field line integer?
---@field column integer? in characters, from 1
---@field length integer? of what is meant, in characters
---@field source string? the line
---@field text string
---@field word string? what is meant

local function split_lines(text)
  local lines = {}
  for line in (text .. "\n"):gmatch "(.-)\r?\n" do lines[#lines + 1] = line end
  return lines
end

local function characters(text)
  return utf8.len(text) or #text
end

-- Puts the word's place into the finding: the first one in its line, or the last one.
local function place(finding, lines, word, last)
  local source = finding.line and lines[finding.line]
  finding.word = word
  if not source then return finding end
  if #source <= LINE_SHOWN then finding.source = source end
  if not word or word == "" then return finding end
  local from, to = source:find("%f[%w_]" .. word:gsub("%W", "%%%0") .. "%f[^%w_]")
  if not from then from, to = source:find(word, 1, true) end
  while last and from do
    local next_from, next_to = source:find(word, to + 1, true)
    if not next_from then break end
    from, to = next_from, next_to
  end
  if from then
    finding.column = characters(source:sub(1, from - 1)) + 1
    finding.length = characters(source:sub(from, to))
  end
  return finding
end

-- "did you mean", or nothing.
local function suggestion(word, list)
  local near = core.nearest(word, list)
  return near and ("; did you mean '%s'?"):format(near) or ""
end

local function global_names(globals)
  local list = {}
  for name in pairs(globals) do list[#list + 1] = name end
  return list
end

local function describe(found, globals)
  if found.wrong then
    return "error", ("the handler returns %s; it returns a text, a table with `text`, `parts` or `files`, or nothing")
      :format(found.wrong)
  elseif found.misused then
    return "error", found.misused
  elseif found.useless then
    return "warning", "the handler does nothing and returns nothing: no message would be answered"
  elseif found.global then
    local near = suggestion(found.word, global_names(globals))
    if not found.use then return "warning", ("the global '%s' is never set, so this is nil%s"):format(found.word, near) end
    return "error", ("the global '%s' is never set, so %s it fails%s"):format(found.word,
      found.use == "call" and "calling" or "indexing", near)
  end
  return "error", ("%s has no '%s'%s"):format(found.owner, found.word, suggestion(found.word, found.fields))
end

-- "agent.lua:3: unexpected symbol near 'x'" -> the place of 'x'; what Lua says without a place stays as it is.
local function from_lua(path, lines, problem)
  local line, text = nil, problem
  local at = problem:find(path .. ":", 1, true)
  if at == 1 then
    local number, rest = problem:sub(#path + 2):match "^(%d+): (.*)$"
    if number then line, text = math.tointeger(number), rest end
  end
  return place({ level = "error", path = path, line = line, text = text }, lines, text:match "near '([^']+)'$", true)
end

-- Nothing says where the agent's table is: the line that sets the field is what the reader looks for.
local function from_agent(path, lines, problem)
  local field = problem:match "field '([%w_]+)'" or problem:match "`([%w_]+)`"
  local name = path:gsub("%W", "%%%0")
  local text = problem:gsub("^" .. name .. ": ", ""):gsub(" returned by " .. name, ""):gsub("^" .. name .. " ", "the script ")
  local finding = { level = "error", path = path, text = text }
  for number, source in ipairs(lines) do
    if field and source:find("%f[%w_]" .. field .. "%s*=[^=]") then finding.line = number end
  end
  if not finding.line and field then
    for number, source in ipairs(lines) do
      if source:find("%f[%w_]" .. field .. "%s*%(") then finding.line = number end
    end
  end
  return place(finding, lines, field)
end

local function by_place(left, right)
  if left.path ~= right.path then return left.path < right.path end
  if (left.line or 0) ~= (right.line or 0) then return (left.line or 0) < (right.line or 0) end
  return (left.column or 0) < (right.column or 0)
end

local function read_chunk(name, text)
  local fn, problem = load(text:gsub("^#[^\n]*", ""), "@" .. name, "t")
  return fn and chunk.read(fn), problem
end

---@param path string
---@param text string the file's
---@param types string the text of types.lua
---@param read fun(path: string): string? a file's text; nil: no such file
---@return Finding[]
local function inspect(path, text, types, read)
  local findings, classes, globals = {}, known.classes(types), {}
  for name in GLOBALS:gmatch "%S+" do globals[name] = true end
  local set, seen = {}, {}
  local function file(name, body, is_agent)
    seen[name] = true
    local lines = split_lines(body)
    local main, problem = read_chunk(name, body)
    if problem then findings[#findings + 1] = from_lua(name, lines, problem) end
    if not main then return end
    local walk = { classes = classes, globals = globals, set = set, tested = {} }
    local reported = {}
    function walk.report(found)
      local level, words = describe(found, globals)
      local key = ("%d %s"):format(found.line, words)
      if reported[key] then return end
      reported[key] = true
      findings[#findings + 1] = place({ level = level, path = name, line = found.line, text = words }, lines, found.word)
    end
    local directory = path:match "^(.*/)" or ""
    names.collect(walk, main)
    for _, module in ipairs(names.modules(main)) do
      for _, ending in ipairs { ".lua", "/init.lua" } do
        local beside = directory .. module:gsub("%.", "/") .. ending
        local found = not seen[beside] and read(beside)
        if found then file(beside, found, false) end
      end
    end
    names.check(walk, main, is_agent)
  end
  file(path, text, true)
  return findings
end

---@param path string
---@param text string
---@param types string
---@param read fun(path: string): string?
---@param problem string? what loading it said
---@return Finding[] findings in the order of their places
function check.run(path, text, types, read, problem)
  local findings = inspect(path, text, types, read)
  local syntax = false
  for _, finding in ipairs(findings) do syntax = syntax or finding.text:find("near ", 1, true) ~= nil end
  problem = problem and problem:gsub("\nstack traceback:.*", "")
  if problem and not syntax then
    local lines = split_lines(text)
    local finding = problem:find("^[^\n]-:%d+: ") and from_lua(path, lines, problem) or from_agent(path, lines, problem)
    local known_already = false -- what failed at run time is what was found
    for _, other in ipairs(findings) do
      known_already = known_already or other.level == "error" and finding.text:find(("'%s'"):format(other.word), 1, true) ~= nil
    end
    if not known_already then findings[#findings + 1] = finding end
  end
  table.sort(findings, by_place)
  return findings
end

---Whether a file is a fleet file and not an agent, by what it returns.
---@param text string the file's
---@return boolean
function check.is_fleet(text)
  local main = read_chunk("fleet", text)
  local fields = main and names.returned_fields(main) or {}
  return fields.workspaces ~= nil and fields.handle == nil
end

return check
