--- The globals of a script under test, and its `require`: separate modules for each version of the script, the API's Lua files
--- as they ship, os and io that reach the stubs and the test's clock. Coroutines of the script pass on what waits for the host.

local cjson = require "molecule.testing.cjson"

local environment = {}

local WAIT = {} -- what a handler's coroutine yields with: (WAIT, start)
environment.WAIT = WAIT

local STANDARD = {"_VERSION", "collectgarbage", "debug", "error", "getmetatable", "ipairs", "math", "next", "pairs", "pcall",
  "print", "rawequal", "rawget", "rawlen", "rawset", "select", "setmetatable", "string", "table", "tonumber", "tostring", "type",
  "utf8", "warn", "xpcall"}

local sources = {} -- chunk names of the API's own files
function environment.is_ours(source)
  return sources[source] or source:find("molecule/testing[/.]") ~= nil or source:sub(1, 4) == "=[C]"
end

-- Lua's own resume, but a wait goes to the host and its results come back.
local function pass(co, fine, mark, start, ...)
  if fine and mark == WAIT then
    return pass(co, coroutine.resume(co, coroutine.yield(WAIT, start)))
  end
  return fine, mark, start, ...
end

local function make_coroutine()
  local own = {}
  for name, value in pairs(coroutine) do own[name] = value end
  function own.resume(co, ...)
    return pass(co, coroutine.resume(co, ...))
  end
  function own.wrap(fn)
    local co = coroutine.create(fn)
    return function(...)
      local results = table.pack(own.resume(co, ...))
      if not results[1] then error(results[2], 0) end
      return table.unpack(results, 2, results.n)
    end
  end
  return own
end

local function make_os(version)
  local agent, own = version.agent, {}
  for name, value in pairs(os) do own[name] = value end
  function own.time(fields) return fields and os.time(fields) or math.floor(agent.clock:now()) end
  function own.date(format, time) return os.date(format, time or math.floor(agent.clock:now())) end
  function own.getenv(name) return agent.options.env[name] end
  function own.exit()
    error("os.exit is not available: it would end every message under way; return a value or raise an error", 2)
  end
  function own.setlocale() error("os.setlocale is not available: the locale belongs to the whole process", 2) end
  function own.execute(command)
    if command == nil then return true end
    local result, problem, code = version.core.run_program("os.execute", {cmd = command})
    if not result then return nil, problem, code end
    if result.signal then return nil, "signal", result.signal end
    return result.code == 0 or nil, "exit", result.code
  end
  return own
end

local function popen(version, command, mode)
  if mode and mode:sub(1, 1) ~= "r" then
    error("io.popen: the testing kit only reads from programs; use molecule.exec {stdin =}", 2) end
  local result, problem, code = version.core.run_program("io.popen", {cmd = command})
  if not result then return nil, problem, code end
  local file = assert(io.tmpfile())
  file:write(result.stdout)
  file:seek("set")
  local pipe = {}
  function pipe.read(_, ...) return file:read(...) end
  function pipe.lines(_, ...) return file:lines(...) end
  function pipe.close()
    file:close()
    if result.signal then return nil, "signal", result.signal end
    return result.code == 0 or nil, "exit", result.code
  end
  return setmetatable(pipe, {__close = pipe.close})
end

-- Lua's searchers, in their order, but for what is preloaded.
local function find_loader(name, first)
  for i = first, #package.searchers do
    local loader, extra = package.searchers[i](name)
    if type(loader) == "function" then return loader, extra end
  end
end

--- Whether the API has this module.
function environment.has(name)
  return name:find("^molecule%f[.\0]") ~= nil and find_loader(name, 2) ~= nil
end

-- A chunk's globals are its first upvalue.
local function set_globals(loader, globals)
  if debug.getinfo(loader, "S").what ~= "C" and debug.getupvalue(loader, 1) == "_ENV" then
    debug.setupvalue(loader, 1, globals)
    return true
  end
  return false
end

local function load_own(name, globals)
  local loader, extra = find_loader(name, 2)
  if not loader then error(("module '%s' not found: the API's Lua files are not on package.path"):format(name), 0) end
  set_globals(loader, globals)
  sources[debug.getinfo(loader, "S").source] = true
  return loader, extra
end

local function load_script_module(name, version)
  local path = version.directory .. "/?.lua;" .. version.directory .. "/?/init.lua;" .. version.globals.package.path
  local file = package.searchpath(name, path)
  if not file then return nil end
  local loader, problem = loadfile(file, "t", version.globals)
  if not loader then error(("cannot load module '%s': %s"):format(name, problem), 0) end
  return loader, file
end

local function make_require(version)
  return function(name)
    local loaded = version.loaded[name]
    if loaded ~= nil then return loaded end
    local loader, extra
    if version.globals.package.preload[name] then
      loader, extra = version.globals.package.preload[name], ":preload:"
    elseif name:find("^molecule%f[.\0]") then
      loader, extra = load_own(name, version.globals)
    else
      loader, extra = load_script_module(name, version)
      if not loader then return require(name) end -- written in C, or the test's own
    end
    local value = loader(name, extra)
    if value ~= nil then version.loaded[name] = value end
    if version.loaded[name] == nil then version.loaded[name] = true end
    return version.loaded[name]
  end
end

--- Gives a version of a script its globals.
---@param version {agent: table, core: table, directory: string}
function environment.install(version)
  local globals = {}
  for _, name in ipairs(STANDARD) do globals[name] = _G[name] end
  globals.assert = environment.assert
  globals._G, globals.coroutine, globals.os = globals, make_coroutine(), make_os(version)
  globals.io = setmetatable({popen = function(...) return popen(version, ...) end}, {__index = io})
  globals.package = {path = package.path, cpath = package.cpath, config = package.config, searchpath = package.searchpath,
    preload = {}, loaded = {}}
  version.globals, version.loaded = globals, globals.package.loaded
  version.loaded["molecule.core"], version.loaded["molecule.json"] = version.core, version.agent.json
  version.loaded.cjson = cjson.make(version.agent.json)
  version.loaded["cjson.safe"] = cjson.make(version.agent.json, true)
  for _, name in ipairs {"string", "table", "math", "utf8", "coroutine", "os", "io", "debug", "package", "_G"} do
    version.loaded[name] = globals[name]
  end
  globals.require = make_require(version)
  globals.load = function(chunk, name, _, env) return load(chunk, name, "t", env == nil and globals or env) end
  globals.loadfile = function(path, _, env) return loadfile(path, "t", env == nil and globals or env) end
  globals.dofile = function(path) return assert(loadfile(path, "t", globals))() end
end

--- Lua's own assert: in a spec, the global is luassert's.
function environment.assert(...)
  local value, problem = ...
  if value then return ... end
  if select("#", ...) < 2 then problem = "assertion failed!" end
  error(problem, 2)
end

return environment
