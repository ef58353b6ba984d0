--- Registration, heartbeat and card (§1.3 to §1.5).

local host = require "molecule.emulator.host"
local json = require "molecule.json"
local addresses = require "molecule.emulator.addresses"
local auth = require "molecule.emulator.auth"
local events = require "molecule.emulator.events"
local push = require "molecule.emulator.push"
local store = require "molecule.emulator.store"
local time = require "molecule.emulator.time"

local registry = {}

local MODES = { push = true, poll = true, [""] = true }
local REVIVED = { offline = true, provisioning = true, awaiting_agent = true }
local SPEND_MAXIMUM = 1000000000000
local RUNTIMES = { t1 = "langgraph", latest = "hermes" } -- of a workspace created by its registration (§12)
local CARD_PROBLEM = "workspace agent_card URL not allowed"

local function text(value, otherwise)
  return type(value) == "string" and value or otherwise
end

local function adopt(workspace, value, mode)
  workspace.delivery_mode = mode
  if text(workspace.url, ""):sub(1, 16) ~= "http://127.0.0.1" or text(value.url, "") ~= "" then
    workspace.url = text(value.url, "")
  end
  workspace.agent_card = value.agent_card
  workspace.last_heartbeat_us = time.now()
  workspace.registrations = workspace.registrations + 1
  workspace.status = "online"
  events.publish(workspace, "WORKSPACE_ONLINE", { workspace_id = workspace.id })
end

local function card_url(card)
  return type(card) == "table" and text(card.url, "") or ""
end

-- The URL that a push workspace registers with, or what is wrong with it. The newer version also reads the card.
local function push_url(value, workspace)
  local url, card = text(value.url, ""), store.latest() and card_url(value.agent_card) or ""
  if card ~= "" and addresses.problem(card) then return nil, CARD_PROBLEM end
  if url == "" then url = card end
  if url == "" then
    if workspace and workspace.url ~= "" then return workspace.url end
    return nil, "url is required for push-mode workspaces"
  end
  local problem = addresses.problem(url)
  if problem then return nil, problem end
  return url
end

-- Registrations of these are answered as usual, and change nothing.
local function frozen(workspace)
  local status = workspace.status
  return status == "removed" or store.latest() and (status == "paused" or status == "hibernated")
end

local function register(request)
  local value = request:object()
  if not value or text(value.id, "") == "" or value.agent_card == nil then
    return request:fail(400, "invalid request body")
  end
  request.entry.workspace = value.id
  local mode = value.delivery_mode == json.null and "" or value.delivery_mode or ""
  if not MODES[mode] then return request:fail(400, "delivery_mode must be 'push' or 'poll'") end
  local workspace = store.find(value.id)
  if not auth.lazy(request, workspace) then return end
  if mode == "" then mode = workspace and workspace.delivery_mode or "push" end
  if mode == "push" then
    local url, problem = push_url(value, workspace)
    if not url then return request:fail(400, problem --[[@as string]]) end
    value.url = url
  end
  if not workspace then
    if not host.uuid_valid(value.id) then return request:fail(500, "registration failed") end
    workspace = store.create(value.id, RUNTIMES[store.config.profile])
  end
  if not frozen(workspace) then adopt(workspace, value, mode) end
  if push.queues(workspace) then push.again(workspace) end
  local answer = { status = "registered", delivery_mode = mode, platform_inbound_secret = workspace.secret }
  if next(workspace.tokens) == nil then answer.auth_token = store.mint(workspace) end
  request:json(200, answer)
end

local function number(value)
  return type(value) == "number" and value or 0
end

-- Fields that were not sent overwrite the snapshot with nothing; only a spend of 0 leaves the old one (§1.4).
local function take_snapshot(workspace, value)
  workspace.error_rate = number(value.error_rate) + 0.0
  workspace.sample_error = text(value.sample_error, "")
  workspace.active_tasks = number(value.active_tasks)
  workspace.uptime_seconds = number(value.uptime_seconds)
  workspace.runtime_state = text(value.runtime_state, "")
  local spend = math.max(0, math.min(number(value.monthly_spend), SPEND_MAXIMUM))
  if spend > 0 then workspace.monthly_spend = spend end
  local task = text(value.current_task, "")
  if task ~= workspace.current_task then
    workspace.current_task = task
    events.publish(workspace, "TASK_UPDATED", { workspace_id = workspace.id, current_task = task,
      active_tasks = workspace.active_tasks })
  end
  if store.latest() and workspace.agent_card == nil then workspace.agent_card = value.agent_card end
  workspace.runtime_metadata = value.runtime_metadata
end

local function move_status(workspace)
  local status = store.status(workspace)
  local troubled = workspace.error_rate >= 0.5 or workspace.runtime_state == "wedged"
  if REVIVED[status] or store.latest() and status == "failed" then
    workspace.status = "online"
  elseif status == "online" and troubled then
    workspace.status = "degraded"
  elseif status == "degraded" and workspace.error_rate < 0.1 and workspace.runtime_state == "" then
    workspace.status = "online"
  end
end

local function heartbeat(request)
  local value = request:object()
  if not value or text(value.workspace_id, "") == "" then return request:fail(400, "invalid request body") end
  request.entry.workspace = value.workspace_id
  local workspace = store.find(value.workspace_id)
  if not auth.lazy(request, workspace) then return end
  if not host.uuid_valid(value.workspace_id) then return request:fail(500, "failed to update") end
  local answer = { status = "ok", platform_inbound_secret = workspace and workspace.secret or host.token() }
  if store.latest() then answer.generation = 1 end
  if workspace and workspace.status ~= "removed" then
    take_snapshot(workspace, value)
    move_status(workspace)
    workspace.last_heartbeat_us = time.now()
    workspace.heartbeats = workspace.heartbeats + 1
    events.publish(workspace, "WORKSPACE_HEARTBEAT", { active_tasks = workspace.active_tasks,
      uptime_seconds = workspace.uptime_seconds })
    push.again(workspace)
  end
  request:json(200, answer)
end

local function update_card(request)
  local value = request:object()
  if not value or text(value.workspace_id, "") == "" or value.agent_card == nil then
    return request:fail(400, "invalid request body")
  end
  request.entry.workspace = value.workspace_id
  local workspace = store.find(value.workspace_id)
  if not auth.lazy(request, workspace) then return end
  local card = card_url(value.agent_card)
  if store.latest() and card ~= "" and addresses.problem(card) then return request:fail(400, CARD_PROBLEM) end
  if workspace then
    workspace.agent_card = value.agent_card
    events.publish(workspace, "AGENT_CARD_UPDATED", { workspace_id = workspace.id, agent_card = value.agent_card })
  end
  request:json(200, { status = "updated" })
end

---@param router table see router.new
function registry.routes(router)
  router:add("POST", "/registry/register", register)
  router:add("POST", "/registry/heartbeat", heartbeat)
  router:add("POST", "/registry/update-card", update_card)
end

return registry
