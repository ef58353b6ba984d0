--- What the platform remembers: its configuration, workspaces and their tokens. Rows are rows.lua's.

local host = require "molecule.emulator.host"
local time = require "molecule.emulator.time"

---@class Workspace
---@field id string
---@field name string
---@field status string as last written; read it through store.status
---@field delivery_mode "push"|"poll"
---@field rows table[] by (created_at, seq)
---@field index table<string, table> row id -> row
---@field tokens table<string, table> the live ones
---@field deny table<string, true> workspaces that may not talk to it

local store = {
  config = {}, ---@type table<string, any>
  workspaces = {}, ---@type table<string, Workspace>
  order = {}, ---@type Workspace[] by creation
  owners = {}, ---@type table<string, Workspace> live token -> workspace
}

local PROFILES = { t1 = true, latest = true }
local STALE_SECONDS = { t1 = 90, latest = 180 } -- §6

---Whether the profile is that of 2026-08 and not that of 2026-05.
---@return boolean
function store.latest()
  return store.config.profile == "latest"
end

---Merges settings into the configuration.
---@param settings table
---@return boolean ok, string? problem
function store.set(settings)
  if settings.profile ~= nil and not PROFILES[settings.profile] then
    return false, 'profile must be "t1" or "latest"'
  end
  for name, value in pairs(settings) do store.config[name] = value end
  return true
end

---@param options {profile: string, org_id: string?, rate_limit: integer, stale_seconds: number, admin_token: string?,
---  workspace: string?, push: boolean?} push: messages to it are pushed
function store.configure(options)
  assert(store.set {
    profile = options.profile,
    org_id = options.org_id or "",
    rate_limit = options.rate_limit == 0 and 600 or math.max(options.rate_limit, 0),
    stale_seconds = options.stale_seconds,
    insert_delay_ms = 5,
    upload_maximum = 100 << 20,
    canvas_proxy = true,
    delegation_inbox = false,
    push_loopback = options.push or false,
    events = true,
    events_mute = false,
    admin_token = options.admin_token or "",
  })
  store.first, store.first_mode = options.workspace, options.push and "push" or "poll"
  store.serves = options.serves or false -- A2A clients ask the host of the first one, too
  store.prepare()
end

---Forgets everything but the configuration.
function store.reset()
  store.workspaces, store.order, store.owners, store.parent_id = {}, {}, {}, nil
  store.prepare()
end

---The workspace that `molecule dev` connects its script to is there before it registers.
function store.prepare()
  if not store.first then return end
  local workspace = store.create(store.first)
  workspace.delivery_mode, workspace.parent_id = store.first_mode, store.family()
end

---Until it registers, messages come to it as this run's options say, whatever an earlier one was like.
function store.expect_first()
  local workspace = store.find(store.first)
  if workspace then workspace.delivery_mode, workspace.url = store.first_mode, "" end
end

---The parent of all workspaces created here without a parent: siblings may talk to each other.
---@return string id
function store.family()
  if not store.find(store.parent_id) then
    local parent = store.create(host.uuid())
    parent.name, store.parent_id = "organization", parent.id
  end
  return store.parent_id
end

---@return number
function store.stale_seconds()
  local seconds = store.config.stale_seconds
  return seconds > 0 and seconds or STALE_SECONDS[store.config.profile]
end

---@param id any
---@return Workspace?
function store.find(id)
  return type(id) == "string" and store.workspaces[id:lower()] or nil
end

---@param id string a UUID
---@param runtime string? external
---@return Workspace
function store.create(id, runtime)
  id = id:lower()
  local workspace = {
    id = id, name = id, status = "provisioning", delivery_mode = "push", url = "", runtime = runtime or "external",
    tier = 1,
    created_us = time.now(), active_tasks = 0, error_rate = 0.0, sample_error = "", uptime_seconds = 0,
    current_task = "", runtime_state = "", monthly_spend = 0, heartbeats = 0, registrations = 0, last_acked_seq = 0,
    secret = host.token(), tokens = {}, deny = {}, rows = {}, index = {}, by_message = {}, uploads = {},
  }
  store.workspaces[id] = workspace
  store.order[#store.order + 1] = workspace
  return workspace
end

---The status as a reader sees it now: a workspace without a recent heartbeat awaits its agent (§0.4.9).
---@param workspace Workspace
---@return string
function store.status(workspace)
  local alive = workspace.status == "online" or workspace.status == "degraded"
  if alive and workspace.last_heartbeat_us
    and host.now_us() - workspace.last_heartbeat_us > store.stale_seconds() * 1000000 then
    workspace.status = "awaiting_agent"
  end
  return workspace.status
end

---@param workspace Workspace
---@param text string? a token of the caller's choice
---@return string token
function store.mint(workspace, text)
  text = text or host.token()
  workspace.tokens[text] = { id = host.uuid(), prefix = text:sub(1, 8), created_us = time.now() }
  store.owners[text] = workspace
  return text
end

---@param workspace Workspace
---@param text string? nil: all of them
function store.revoke(workspace, text)
  for token in pairs(workspace.tokens) do
    if text == nil or token == text then
      workspace.tokens[token] = nil
      store.owners[token] = nil
    end
  end
end

---@param workspace Workspace
function store.remove(workspace)
  workspace.status = "removed"
  workspace.removed_us = time.now()
  store.revoke(workspace)
end

return store
