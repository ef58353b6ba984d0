--- The control API, /__emulator/: for tests and for people, not part of the platform. All of it is JSON; a POST
--- says so (Content-Type: application/json), or carries X-Molecule-Emulator, which a web page cannot.
---
--- GET  state                                        everything but tokens
--- POST workspaces  {id?, name?, token?, delivery_mode?, status?, parent_id? (null: none; else all have one), deny?, url?,
---                   runtime?, push_answer?}
--- POST messages    {to, from?, text? ("%n": its number), parts?, request_body?, response_body?, message_id?,
---                   context_id?, task_id?, metadata?, method?, id?, created_at?, count?,
---                   row? {column: value, omit: [column]}, raw_row?, raw_row_base64?}          -> {ids}
--- POST late        {workspace, ...message}           a row before the last one               -> {ids}
--- POST tie         {workspace, messages}             rows in one microsecond                 -> {ids}
--- GET  rows        ?workspace&count&timeout_ms       the rows, once there are `count`
--- GET  journal     ?since                            -> {entries, last}
--- GET  wait        ?path&method&status&body&workspace&since&count&timeout_ms -> {entries, last}; 408 when too late
--- POST faults      {match?, times?, skip?, action}   see faults.lua -> {id};  DELETE faults: removes all
--- POST prune       {workspace, before? | ids? | all?} -> {removed}
--- POST duplicate   {workspace, id, copies?}
--- POST revoke      {workspace, token?, replace?}
--- POST remove      {workspace}
--- POST events      {enabled?, mute?, disconnect?}
--- POST config      {profile?, org_id?, rate_limit? (0: none), stale_seconds?, insert_delay_ms?, upload_maximum?,
---                   admin_token?, canvas_proxy? (false: unknown routes are 404), delegation_inbox?,
---                   push_loopback? (MOLECULE_ENV=development: messages are pushed to loopback addresses, too)}
--- POST restart     {drain_ms? (30000), down_ms? (100)}  takes no requests until the event streams are closed, or for
---                   drain_ms, and then for down_ms
--- POST kill                                         ends the host of `molecule dev` as SIGKILL does, and starts it again
--- POST reset, POST quit
---
--- What is below playground is lua/molecule/playground/init.lua's.

local host = require "molecule.emulator.host"
local json = require "molecule.json"
local events = require "molecule.emulator.events"
local faults = require "molecule.emulator.faults"
local guard = require "molecule.emulator.guard"
local journal = require "molecule.emulator.journal"
local messages = require "molecule.emulator.messages"
local restart = require "molecule.emulator.restart"
local rows = require "molecule.emulator.rows"
local store = require "molecule.emulator.store"
local time = require "molecule.emulator.time"
local watch = require "molecule.emulator.watch"

local control = {}

local WAIT_DEFAULT_MS, WAIT_MAXIMUM_MS = 10000, 600000
local FIELDS = { name = "string", role = "string", delivery_mode = "string", status = "string", parent_id = "string",
  url = "string", push_answer = "table", agent_card = "any", tier = "number", runtime = "string" }
local NULLABLE = { role = true, parent_id = true, push_answer = true, agent_card = true }
local SETTINGS = { profile = "string", org_id = "string", rate_limit = "number", stale_seconds = "number",
  insert_delay_ms = "number", upload_maximum = "number", admin_token = "string", canvas_proxy = "boolean",
  delegation_inbox = "boolean", push_loopback = "boolean" }

-- The answer to what changed something.
local function fine(request, value)
  if request.method ~= "GET" then watch.tell { kind = "changed" } end
  request:json(200, value or { ok = true })
end

local function bad(request, problem)
  request:json(400, { error = problem })
end

local MESSAGE = { "from", "text", "parts", "request_body", "response_body", "message_id", "context_id",
  "task_id", "metadata", "history", "method", "id", "created_at", "count", "row", "raw_row", "raw_row_base64" }

-- What is wrong with the names of an object's fields; nil: nothing.
local function misnamed(value, known)
  local set = {}
  for _, name in ipairs(known) do set[name] = true end
  for name in pairs(value) do
    if not set[name] then
      local near = host.nearest(tostring(name), known)
      return near and ("unknown field '%s'; did you mean '%s'?"):format(name, near)
        or ("unknown field '%s'; known fields: %s"):format(name, table.concat(known, ", "))
    end
  end
  return nil
end

-- Wraps a handler that wants a JSON object with no fields but these; an empty body is an empty object.
local function with_object(known, handler)
  return function(request)
    local value = request.body == "" and {} or request:object()
    if not value then return bad(request, "the body must be a JSON object") end
    local problem = misnamed(value, known)
    if problem then return bad(request, problem) end
    handler(request, value)
  end
end

-- Wraps a handler that wants a JSON object which names a workspace.
local function with_workspace(known, handler)
  local all = { "to", "workspace", table.unpack(known) }
  return with_object(all, function(request, value)
    if value.workspace == nil and value.to == nil then
      return bad(request, ("the body names no workspace: %s is needed"):format(known == MESSAGE and "to" or "workspace"))
    end
    local workspace = messages.target(request, value.workspace or value.to)
    if workspace then handler(request, value, workspace) end
  end)
end

local function described(workspace)
  local tokens = 0
  for _ in pairs(workspace.tokens) do tokens = tokens + 1 end
  return { id = workspace.id, name = workspace.name, role = workspace.role, status = store.status(workspace),
    delivery_mode = workspace.delivery_mode, url = workspace.url, parent_id = workspace.parent_id, tokens = tokens,
    rows = #workspace.rows, registrations = workspace.registrations, heartbeats = workspace.heartbeats,
    last_heartbeat_at = workspace.last_heartbeat_us and time.format(workspace.last_heartbeat_us),
    agent_card = workspace.agent_card, last_acked_seq = workspace.last_acked_seq,
    heartbeat = { error_rate = workspace.error_rate, sample_error = workspace.sample_error,
      active_tasks = workspace.active_tasks, uptime_seconds = workspace.uptime_seconds,
      current_task = workspace.current_task, runtime_state = workspace.runtime_state,
      monthly_spend = workspace.monthly_spend, runtime_metadata = workspace.runtime_metadata } }
end

local function state(request)
  local list = json.array {}
  for i, workspace in ipairs(store.order) do list[i] = described(workspace) end
  local entries, last = journal.size()
  local config = {}
  for name, value in pairs(store.config) do config[name] = value end
  config.stale_seconds, config.admin_token = store.stale_seconds(), nil
  fine(request, { workspaces = list, config = config, faults = json.array(faults.list()),
    journal = { entries = entries, last = last }, streams = events.count(), restart = restart.phase() })
end

local WORKSPACE = { "id", "token", "deny" }
for name in pairs(FIELDS) do WORKSPACE[#WORKSPACE + 1] = name end
table.sort(WORKSPACE)

-- What is wrong with the fields of a workspace; nil: nothing.
local function mistyped(value)
  for name, wanted in pairs(FIELDS) do
    local given = value[name]
    local right = given == nil or wanted == "any" or given == json.null and NULLABLE[name] or type(given) == wanted
    if not right then return ("%s must be a %s"):format(name, wanted == "table" and "JSON object" or wanted) end
  end
  if value.parent_id and value.parent_id ~= json.null and not host.uuid_valid(value.parent_id) then
    return "parent_id must be a UUID"
  end
  return nil
end

local put_workspace = with_object(WORKSPACE, function(request, value)
  local id = value.id or host.uuid()
  if not host.uuid_valid(id) then return bad(request, "id must be a UUID") end
  local problem = mistyped(value)
  if problem then return bad(request, problem) end
  local workspace = store.find(id)
  if not workspace then
    workspace = store.create(id)
    workspace.delivery_mode = "poll"
    if value.parent_id == nil then workspace.parent_id = store.family() end
  end
  for name in pairs(FIELDS) do
    local given = value[name]
    if given == json.null then workspace[name] = nil elseif given ~= nil then workspace[name] = given end
  end
  workspace.parent_id = workspace.parent_id and workspace.parent_id:lower()
  if type(value.deny) == "table" then
    workspace.deny = {}
    for _, denied in ipairs(value.deny) do workspace.deny[denied:lower()] = true end
  end
  if type(value.token) == "string" then
    store.revoke(workspace)
    store.mint(workspace, value.token)
  end
  fine(request, described(workspace))
end)

local put_message = with_workspace(MESSAGE, function(request, value, workspace)
  local ids, problem = messages.insert(workspace, value)
  if not ids then return bad(request, problem) end
  fine(request, { ids = ids })
end)

local put_late = with_workspace(MESSAGE, function(request, value, workspace)
  local us, seq = rows.before_last(workspace)
  if not us then return bad(request, "no row to be late for") end
  if value.created_at then us = nil end
  local ids, problem = messages.insert(workspace, value, { us = us, seq = seq })
  if not ids then return bad(request, problem) end
  fine(request, { ids = ids })
end)

local put_tie = with_workspace({ "messages", "created_at" }, function(request, value, workspace)
  if type(value.messages) ~= "table" then return bad(request, "messages must be a list") end
  local place, all = { us = time.parse(value.created_at) or time.now() }, json.array {}
  for _, message in ipairs(value.messages) do
    local misnaming = type(message) == "table" and misnamed(message, { "to", "workspace", table.unpack(MESSAGE) })
    if misnaming then return bad(request, misnaming) end
    local ids, problem = messages.insert(workspace, message, place)
    if not ids then return bad(request, problem) end
    for _, id in ipairs(ids) do all[#all + 1] = id end
  end
  fine(request, { ids = all })
end)

local function whole(query, name, otherwise)
  if query[name] == nil then return otherwise end
  return math.tointeger(tonumber(query[name]))
end

-- With `count` it answers once there are that many rows, or with 408 after timeout_ms.
local function list_rows(request)
  local query = request.query
  local workspace = messages.target(request, query.workspace)
  if not workspace then return end
  local count, timeout = whole(query, "count", 0), whole(query, "timeout_ms", WAIT_DEFAULT_MS)
  if not count or not timeout or timeout < 0 then return bad(request, "count and timeout_ms must be whole numbers") end
  rows.wait(workspace, count, math.min(timeout, WAIT_MAXIMUM_MS), function(reached)
    local texts = {}
    for i, row in ipairs(workspace.rows) do texts[i] = row.text end
    request.extra["Content-Type"] = "application/json; charset=utf-8"
    request:respond(reached and 200 or 408, "[" .. table.concat(texts, ",") .. "]")
  end)
end

local function list_journal(request)
  local since = math.tointeger(tonumber(request.query.since or 0)) or 0
  local _, last = journal.size()
  fine(request, { entries = json.array(journal.after(since)), last = last })
end

local function wait(request)
  local query = request.query
  local count, since = whole(query, "count", 1), whole(query, "since", 0)
  local timeout, status = whole(query, "timeout_ms", WAIT_DEFAULT_MS), whole(query, "status", false)
  if not count or not since or not timeout or status == nil or timeout < 0 then
    return bad(request, "count, since, status and timeout_ms must be whole numbers")
  end
  journal.wait(request, { since = since, status = status or nil, method = query.method, path = query.path,
    body = query.body, workspace = query.workspace }, count, math.min(timeout, WAIT_MAXIMUM_MS))
end

local put_fault = with_object({ "match", "times", "skip", "action" }, function(request, value)
  local misnaming = type(value.match) == "table" and misnamed(value.match, { "method", "path", "workspace" })
  if misnaming then return bad(request, "in match: " .. misnaming) end
  local id, problem = faults.add(value)
  if not id then return bad(request, problem) end
  fine(request, { id = id })
end)

local prune = with_workspace({ "before", "ids", "all" }, function(request, value, workspace)
  local before, doomed = time.parse(value.before), {}
  for _, id in ipairs(value.ids or {}) do doomed[id] = true end
  if not (before or value.ids or value.all) then return bad(request, "before, ids or all is required") end
  fine(request, { removed = rows.prune(workspace, function(row)
    return value.all == true or doomed[row.id] or before ~= nil and row.us < before
  end) })
end)

local duplicate = with_workspace({ "id", "copies" }, function(request, value, workspace)
  local row = workspace.index[value.id]
  if not row then return bad(request, "no such row") end
  row.copies = value.copies or 2
  fine(request)
end)

-- With `replace` an unknown token takes its place, so that no registration can bootstrap a new one.
local revoke = with_workspace({ "token", "replace" }, function(request, value, workspace)
  store.revoke(workspace, value.token)
  if value.replace then store.mint(workspace) end
  fine(request)
end)

local remove = with_workspace({}, function(request, _, workspace)
  store.remove(workspace)
  fine(request)
end)

local set_events = with_object({ "enabled", "mute", "disconnect" }, function(request, value)
  if type(value.enabled) == "boolean" then store.config.events = value.enabled end
  if type(value.mute) == "boolean" then store.config.events_mute = value.mute end
  if not store.config.events or value.disconnect then events.close_all() end
  fine(request)
end)

local SETTING_NAMES = {}
for name in pairs(SETTINGS) do SETTING_NAMES[#SETTING_NAMES + 1] = name end
table.sort(SETTING_NAMES)

local configure = with_object(SETTING_NAMES, function(request, value)
  for name, given in pairs(value) do
    if SETTINGS[name] ~= type(given) then return bad(request, ("unknown or mistyped setting %s"):format(name)) end
  end
  local done, problem = store.set(value)
  if not done then return bad(request, problem) end
  guard.reset()
  fine(request)
end)

local begin_restart = with_object({ "drain_ms", "down_ms" }, function(request, value)
  local drain, down = value.drain_ms, value.down_ms
  if drain ~= nil and (math.type(drain) ~= "integer" or drain < 0) or down ~= nil
    and (math.type(down) ~= "integer" or down < 0) then
    return bad(request, "drain_ms and down_ms must be whole numbers")
  end
  restart.begin(drain, down)
  fine(request)
end)

local function reset(request)
  restart.forget()
  events.close_all()
  store.reset()
  rows.reset()
  faults.clear()
  guard.reset()
  journal.reset()
  local playground = package.loaded["molecule.playground"]
  if playground then playground.reset() end
  fine(request)
end

-- Wraps a handler whose query has no arguments but these.
local function with_query(known, handler)
  return function(request)
    local problem = misnamed(request.query, known)
    if problem then return bad(request, "in the query: " .. problem) end
    handler(request)
  end
end

---@param router table see router.new
function control.routes(router)
  local function add(method, path, handler) router:add(method, "/__emulator/" .. path, handler) end
  add("GET", "state", state)
  add("POST", "workspaces", put_workspace)
  add("POST", "messages", put_message)
  add("POST", "late", put_late)
  add("POST", "tie", put_tie)
  add("GET", "rows", with_query({ "workspace", "count", "timeout_ms" }, list_rows))
  add("GET", "journal", with_query({ "since" }, list_journal))
  add("GET", "wait", with_query({ "path", "method", "status", "body", "workspace", "since", "count", "timeout_ms" }, wait))
  add("POST", "faults", put_fault)
  add("DELETE", "faults", function(request) faults.clear() fine(request) end)
  add("POST", "prune", prune)
  add("POST", "duplicate", duplicate)
  add("POST", "revoke", revoke)
  add("POST", "remove", remove)
  add("POST", "events", set_events)
  add("POST", "config", configure)
  add("POST", "restart", begin_restart)
  add("POST", "kill", function(request)
    if host.kill() then return fine(request) end
    request:json(409, { error = "no host of molecule dev runs now" })
  end)
  add("POST", "reset", reset)
  -- The answer is sent first.
  add("POST", "quit", function(request) fine(request) host.after(20, host.quit) end)
end

return control
