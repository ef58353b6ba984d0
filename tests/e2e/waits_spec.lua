--- Coroutines of a script's own that wait: where they cannot, they are told before anything begins; while they do, nobody else
--- can resume or close them.

local uv = require "luv"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local loop = require "tests.support.loop"
local server = require "tests.support.server"

describe("a coroutine that waits", function()
  local platform, workspace

  setup(function() platform = emulator.start { args = { "--rate-limit", "-1" } } end)
  before_each(function() workspace = host.workspace(platform) end)
  after_each(function()
    server.stop_all()
    host.clean_up()
  end)
  teardown(function() platform:stop() end)

  local function connect(script, options)
    options = options or {}
    local args = { "--concurrency", "8" }
    if options.url then for _, arg in ipairs { "--script-opt", "url=" .. options.url } do args[#args + 1] = arg end end
    for _, arg in ipairs(options.args or {}) do args[#args + 1] = arg end
    return host.connect { platform = platform, workspace = workspace, args = args, script = script }
  end

  local sandboxes = { ["in the sandbox"] = { "--sandbox", "--allow-host", "127.0.0.1" }, ["outside the sandbox"] = {} }
  for where, args in pairs(sandboxes) do
    it("inside a function that C calls is refused before its request is sent, " .. where, function()
      local web = server.start(function(_, reply) reply(200, "late") end)
      local one = connect([[
        local molecule = require "molecule"
        local url
        local function try()
          local wrapped = coroutine.wrap(function() return molecule.http.get(url) end)
          local co = coroutine.create(function() return pcall(molecule.http.get, url) end)
          local _, first = pcall(wrapped)
          local _, _, second = coroutine.resume(co)
          local _, third = pcall(coroutine.wrap(coroutine.wrap(function() molecule.http.get(url) end)))
          return tostring(first):find "cannot wait here" and tostring(second):find "cannot wait here"
            and tostring(third):find "cannot wait here" and "refused" or tostring(first) .. tostring(second) .. tostring(third)
        end
        local places = {
          sort = function(f) local r table.sort({1, 2}, function(a, b) r = f() return a < b end) return r end,
          gsub = function(f) local r ("x"):gsub(".", function() r = f() end) return r end,
          tostring = function(f) return tostring(setmetatable({}, {__tostring = f})) end,
          index_in_c = function(f) local r table.concat(setmetatable({}, {__len = function() return 1 end,
            __index = function() r = f() return "x" end})) return r end,
          load = function(f) local r load(function() r = r or f() end) return r end,
          ["error's text"] = function(f) local r pcall(string.format, "%s", setmetatable({},
            {__tostring = function() r = f() return "" end})) return r end,
        }
        return function(msg, ctx)
          url = ctx.options.url
          local results = {}
          for name, place in pairs(places) do
            local result = place(try)
            if result ~= "refused" then results[#results + 1] = name .. ": " .. tostring(result) end
          end
          molecule.sleep(0.01)
          return #results == 0 and molecule.http.get(url).body or table.concat(results, "; ")
        end]], { url = web.url, args = args })
      platform:message { to = workspace.id, text = "x" }
      assert.same({ "late" }, one:canvas(1))
      assert.equal(1, #web.requests)
      one:stop()
    end)

    it("can be resumed and closed by nobody else: another handler, a timer, a coroutine, itself, " .. where, function()
      local asked = {}
      local web = server.start(function(request, reply) asked[request.path] = reply end)
      local one = connect([[
        local molecule = require "molecule"
        local main, nested, inner
        local seen = {}
        local function attack(by)
          for name, co in pairs {main = main, nested = nested, inner = inner} do
            local resumed, problem = coroutine.resume(co, "stolen")
            if resumed or not problem:find "waits for the host" then seen[#seen + 1] = by .. " resumed " .. name end
            local closed, why = pcall(coroutine.close, co)
            if closed or not why:find "waits for the host" then seen[#seen + 1] = by .. " closed " .. name end
          end
        end
        return function(msg, ctx)
          if msg.text == "wait" then
            main = coroutine.running()
            nested = coroutine.create(function()
              inner = coroutine.create(function() return molecule.http.get(ctx.options.url .. "/one").body end)
              return select(2, coroutine.resume(inner))
            end)
            local self_resumed, problem = coroutine.resume(coroutine.running())
            if self_resumed then seen[#seen + 1] = "itself resumed" end
            if not tostring(problem):find "non%-suspended" then seen[#seen + 1] = tostring(problem) end
            return select(2, coroutine.resume(nested))
          end
          attack "another handler"
          coroutine.wrap(function() attack "a coroutine" end)()
          local done
          molecule.after(0, function() attack "a timer" done = true end)
          while not done do molecule.sleep(0.001) end
          return #seen == 0 and "kept" or table.concat(seen, "; ")
        end]], { url = web.url, args = args })
      local peer = host.workspace(platform)
      platform:message { to = workspace.id, from = peer.id, text = "wait" }
      loop.wait(function() return asked["/one"] end)
      platform:message { to = workspace.id, text = "attack" }
      assert.same({ "kept" }, one:canvas(1))
      asked["/one"](200, "the answer")
      assert.same({ "the answer" }, (one:peer(peer.id, 1)))
      one:stop()
    end)

    it("stays the host's after its handler was ended, " .. where, function()
      local web = server.start(function() end)
      local extra = { "--timeout", "300ms", "--max-attempts", "1" }
      for _, arg in ipairs(args) do extra[#extra + 1] = arg end
      local one = connect([[
        local molecule = require "molecule"
        local main, nested
        return function(msg, ctx)
          if msg.text == "wait" then
            main = coroutine.running()
            nested = coroutine.create(function() return molecule.http.get(ctx.options.url) end)
            return select(2, coroutine.resume(nested))
          end
          local results = {}
          for i, co in ipairs {main, nested} do
            results[i] = tostring(coroutine.resume(co)) .. tostring(pcall(coroutine.close, co))
          end
          return table.concat(results, " ")
        end]], { url = web.url, args = extra })
      local peer = host.workspace(platform)
      platform:message { to = workspace.id, from = peer.id, text = "wait" }
      one:log "took longer than its time limit"
      platform:message { to = workspace.id, text = "attack" }
      assert.same({ "falsefalse falsefalse" }, one:canvas(1))
      one:stop()
    end)
  end

  it("that is closed inside others' closing, over and over, does not overrun the C stack", function()
    local one = connect [[
      local function chain(depth)
        local inner = depth > 0 and chain(depth - 1)
        local co = coroutine.create(function()
          local _ <close> = setmetatable({}, {__close = function()
            if inner then
              local function deep(n)
                if n == 0 then return coroutine.close(inner) end
                return ("x"):gsub(".", function() deep(n - 1) end)
              end
              deep(60)
            end
          end})
          coroutine.yield()
        end)
        coroutine.resume(co)
        return co
      end
      return function()
        pcall(coroutine.close, chain(3000))
        return "alive"
      end]]
    platform:message { to = workspace.id, text = "x" }
    assert.same({ "alive" }, one:canvas(1))
    one:stop()
  end)

  -- 80 programs from 8 peers, and a reload while they wait. How many there were.
  local function round(one, seed)
    local peers, sent, since = {}, 0, platform:mark()
    for i = 1, 8 do
      peers[i] = host.workspace(platform)
      for _ = 1, 10 do
        platform:message { to = workspace.id, from = peers[i].id, text = tostring(seed + sent) }
        sent = sent + 1
      end
    end
    one.process:signal "sighup"
    for _, peer in ipairs(peers) do
      local entries = one:wait { path = ("/workspaces/%s/a2a"):format(peer.id), status = 200, count = 10, since = since }
      for _, entry in ipairs(entries) do assert.is_nil(entry.body:find "MISMATCH", entry.body) end
    end
    return sent
  end

  -- Ten minutes, and the same again: MOLECULE_PROPERTY_SECONDS=600 [MOLECULE_PROPERTY_SEED=N] tests/run
  -- tests/e2e/waits_spec.lua
  for where, args in pairs(sandboxes) do
    it("gets its own result, whatever random programs do around it, " .. where, function()
      local seconds = tonumber(os.getenv "MOLECULE_PROPERTY_SECONDS")
      local seed = math.tointeger(tonumber(os.getenv "MOLECULE_PROPERTY_SEED" or "")) or os.time()
      print(("# random programs from MOLECULE_PROPERTY_SEED=%d"):format(seed))
      local web = server.start(function(request, reply) reply(200, request.path) end)
      local extra = { "--timeout", "5s", "--max-attempts", "1", "--cpu-limit", "2s", "--error-reply", "failed", "--breaker", "0" }
      for _, arg in ipairs(args) do extra[#extra + 1] = arg end
      local program = host.read "tests/support/waits_program.lua"
      local began, sent = uv.hrtime(), 0
      repeat
        local one = connect(program, { url = web.url, args = extra })
        for _ = 1, 5 do sent = sent + round(one, seed + sent) end
        one:stop()
        host.clean_up()
        platform:reset()
        platform:workspace { id = workspace.id, token = workspace.token }
      until not seconds or (uv.hrtime() - began) / 1e9 > seconds / 2
      print(("# %d programs"):format(sent))
    end)
  end
end)
