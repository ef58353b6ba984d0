--- What `connection` says in the answers that hand out a token (§1.17): addresses, and how to use them.

local store = require "molecule.emulator.store"

local connection = {}

local SNIPPETS = {
  t1 = { "claude_code_channel_snippet", "python_snippet", "universal_mcp_snippet" },
  latest = { "claude_code_channel_snippet", "codex_snippet", "hermes_channel_snippet", "kimi_snippet", "openclaw_snippet",
    "python_snippet", "universal_mcp_snippet" },
}

---@param request Request
---@param workspace Workspace
---@param token string
---@return table
function connection.described(request, workspace, token)
  local url = "http://" .. (request.headers.host or "127.0.0.1")
  local value = { workspace_id = workspace.id, platform_url = url, auth_token = token,
    registry_endpoint = url .. "/registry/register", heartbeat_endpoint = url .. "/registry/heartbeat" }
  value.curl_register_template = ([[curl %s --json '{"id":"%s","delivery_mode":"poll","agent_card":{"name":"agent"}}']])
    :format(value.registry_endpoint, workspace.id) .. " -H 'Authorization: Bearer '$MOLECULE_WORKSPACE_TOKEN"
  -- The platform has pages of text here, for other programs; the emulator has one line.
  for _, name in ipairs(SNIPPETS[store.config.profile]) do
    value[name] = ("molecule connect %s --api-url %s"):format(workspace.id, url)
  end
  return value
end

return connection
