-- An agent that runs random programs of coroutines and waits: the message's text is the seed. What a wait gives back is
-- compared with what was asked for. A program may fail or be ended; what it must not do is get another one's result, or take
-- the host down.
local molecule = require "molecule"

local shared = {}  -- coroutines of all programs, running, waiting, dead
local mismatches = {}
local url, sandboxed

local function keep(co)
  shared[#shared % 40 + 1] = co
  return co
end

local function expect(wanted, got, code)
  if got ~= nil and got ~= wanted then
    mismatches[#mismatches + 1] = ("wanted %s, got %s"):format(wanted, tostring(got))
  end
  return got or code
end

local function token(random) return ("t%d"):format(random(1, 1 << 40)) end

local waits = {
  function(random) molecule.sleep(random(0, 3) / 1000) end,
  function(random)
    local name = token(random)
    local answer, _, code = molecule.http.get(url .. "/" .. name)
    return expect("/" .. name, answer and answer.body, code)
  end,
  function(random)
    local name = token(random)
    local pieces = {}
    local answer = molecule.http.get(url .. "/" .. name, { stream = function(piece) pieces[#pieces + 1] = piece end })
    return answer and expect("/" .. name, table.concat(pieces))
  end,
  function(random)
    local key, value = "k" .. random(1, 3), token(random)
    molecule.store.set(key, value)
    return expect(value, molecule.store.get(key))
  end,
  function(random)
    return molecule.store.update("n" .. random(1, 3), function(n) return (n or 0) + 1 end)
  end,
  function() return molecule.store.keys("k") end,
  function() return molecule.peers() end,
  function(random)
    if sandboxed then return molecule.sleep(0) end
    local name = token(random)
    local result = molecule.exec { argv = { "cat" }, stdin = name }
    return expect(name, result and result.stdout)
  end,
  function(random)
    if sandboxed then return molecule.sleep(0) end
    local name = token(random)
    local pipe <close> = io.popen("echo " .. name)
    return expect(name, pipe:read "l")
  end,
}

local run -- run(random, depth): a random statement

local function some(random, depth)
  for _ = 1, random(1, 3) do run(random, depth + 1) end
end

local function nested(random, depth)
  return function(...)
    some(random, depth)
    if random(1, 3) == 1 then coroutine.yield(...) end
    some(random, depth)
    if random(1, 8) == 1 then error("on purpose", 0) end
    return ...
  end
end

local places = { -- ways to come to a statement through Lua and through C
  function(f) return f() end,
  function(f) return pcall(f) end,
  function(f) return xpcall(f, function(problem) pcall(f) return problem end) end,
  function(f) return select("#", (("ab"):gsub(".", function() f() end))) end,
  function(f) table.sort({ 3, 1, 2 }, function(a, b) f() return a < b end) end,
  function(f) return tostring(setmetatable({}, { __tostring = function() f() return "x" end })) end,
  function(f) return setmetatable({}, { __index = function() return f() end }).field end,
  function(f) return setmetatable({}, { __add = function() return f() end }) + 1 end,
  function(f) return #setmetatable({}, { __len = function() f() return 1 end }) end,
  function(f) for _ in function(_, i) f() return not i or nil end do end end,
  function(f) for _ in pairs(setmetatable({}, { __pairs = function() f() return next, {} end })) do end end,
  function(f) local _ <close> = setmetatable({}, { __close = function() f() end }) f() end,
  function(f) return load(function() f() return nil end) end,
  function(f) return pcall(pcall, pcall, f) end,
  function(f) return coroutine.wrap(f)() end,
  function(f) return pcall(error, setmetatable({}, { __tostring = function() f() return "x" end })) end,
  function(f) for _ in coroutine.wrap(function() f() coroutine.yield(1) f() end) do end end,
}

local function with_coroutine(random, f)
  local co = shared[random(1, #shared)]
  if co then return f(co) end
end

local statements = {
  function(random) return waits[random(1, #waits)](random) end,
  function(random) return waits[random(1, #waits)](random) end,
  function(random, depth) return places[random(1, #places)](function() return run(random, depth + 1) end) end,
  function(random, depth) return places[random(1, #places)](function() return run(random, depth + 1) end) end,
  function(random, depth) return coroutine.resume(keep(coroutine.create(nested(random, depth)))) end,
  function(random, depth) return keep(coroutine.create(nested(random, depth))) end,
  function(random) return with_coroutine(random, function(co) return coroutine.resume(co, 1) end) end,
  function(random) return with_coroutine(random, function(co) return pcall(coroutine.close, co) end) end,
  function(random) return with_coroutine(random, coroutine.status) end,
  function(random) return with_coroutine(random, function(co) return debug.traceback and debug.traceback(co) end) end,
  function() keep(coroutine.running()) end,
  function() return coroutine.resume(coroutine.running()) end,
  function() return pcall(coroutine.close, coroutine.running()) end,
  function(random, depth) molecule.after(random(0, 2) / 1000, nested(random, depth)) end,
  function(random, depth)
    local timer
    timer = molecule.every(0.001, function()
      if random(1, 3) == 1 then timer:cancel() end
      run(random, depth + 1)
    end)
    if random(1, 2) == 1 then timer:cancel() end
  end,
  function() collectgarbage() end,
  function(random) if random(1, 6) == 1 then error("on purpose", 0) end end,
}

function run(random, depth)
  if depth > 7 then return end
  return statements[random(1, #statements)](random, depth)
end

return { concurrency = 16, handle = function(msg, ctx)
  url, sandboxed = ctx.options.url, not pcall(io.type, 1)
  keep(coroutine.running())
  local seed = math.tointeger(tonumber(msg.text)) or 0
  local state = seed
  local function random(low, high) -- a generator of the program's own: others run in between
    state = (state * 6364136223846793005 + 1442695040888963407)
    return low + ((state >> 33) % (high - low + 1))
  end
  local _, problem = pcall(some, random, 0)
  if #mismatches > 0 then return "MISMATCH " .. table.concat(mismatches, "; ") end
  return "done: " .. tostring(problem)
end }
