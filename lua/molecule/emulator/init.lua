--- The emulator: what the platform does, in the order in which it does it to a request.
---
--- visitor -> journal -> restart -> fault -> rate limit -> tenant guard -> route -> workspace auth -> handler. A section sign
--- followed by a number names a section of the platform contract. Everything under /__emulator/ is control.lua's and the
--- playground's, and passes only the first of these: no web page but the playground may control it.

local host = require "molecule.emulator.host"
local auth = require "molecule.emulator.auth"
local control = require "molecule.emulator.control"
local database = require "molecule.emulator.database"
local events = require "molecule.emulator.events"
local faults = require "molecule.emulator.faults"
local guard = require "molecule.emulator.guard"
local journal = require "molecule.emulator.journal"
local keep = require "molecule.emulator.keep"
local request_methods = require "molecule.emulator.request"
local restart = require "molecule.emulator.restart"
local router = require "molecule.emulator.router"
local store = require "molecule.emulator.store"
local visitor = require "molecule.emulator.visitor"
local watch = require "molecule.emulator.watch"

local emulator = {}

local platform = router.new()
for _, part in ipairs { "misc", "registry", "peers", "activity", "a2a", "notify", "workspaces", "patch", "removal",
  "tokens", "delegation", "uploads", "events" } do
  require("molecule.emulator." .. part).routes(platform)
end

local controls = router.new()
control.routes(controls)
local playground -- molecule.playground; nil for single messages, which nobody looks at

local function serve_platform(request)
  if guard.limited(request) or guard.foreign(request) then return end
  local route = platform:find(request)
  if not route or route.latest and not store.latest() then
    request:unrouted()
  elseif request.outage and database.refused(request, route, request.outage) then
    return
  elseif not route.auth or auth.workspace(request) then
    route.handler(request)
  end
end

local function serve(request)
  request_methods.extend(request)
  if visitor.refused(request) then return end
  if request.path:sub(1, 12) == "/__emulator/" then
    if request.path == "/__emulator/playground/" then request.path = "/__emulator/playground" end
    local route = controls:find(request)
    if route then route.handler(request) else request:json(404, { error = "no such control route" }) end
    return
  end
  local entry = journal.add(request)
  if restart.refuses(request) then return end
  faults.apply(request, serve_platform)
  journal.offer(entry)
end

local function gone(handle)
  events.forget(handle)
  journal.forget(handle)
  if playground then playground.forget(handle) end
  restart.look()
end

---Called once by the host, before its server listens.
---@param options {profile: string, org_id: string?, rate_limit: integer, stale_seconds: number, admin_token: string?,
---  workspace: string?, console: boolean?, push: boolean?, serves: boolean?, trial: string?, script: string?, keep: string?}
---  workspace: exists from the start, and after every reset; push: its messages are pushed; serves: A2A clients ask its host,
---  too; console: what is said to it and by it is printed and
---  shown on a page, see console.lua and
---  molecule.playground;
---  script: its file; keep: a file of what is known over a restart, see keep.lua
function emulator.start(options)
  store.configure(options)
  if options.trial then
    require "molecule.emulator.trial".start(options.workspace, options.trial)
  else
    playground = require "molecule.playground"
    playground.routes(controls)
  end
  if options.console then
    require "molecule.emulator.console".start(options.workspace)
    playground.start(options.workspace, options.script)
  end
  if options.keep then
    assert(keep.start(options.keep, require "molecule.playground.record"))
    watch.add(keep.hear)
  end
  store.expect_first()
  host.serve(serve, gone)
end

---Called once by the host, before it closes everything.
function emulator.stop()
  keep.save()
end

return emulator
