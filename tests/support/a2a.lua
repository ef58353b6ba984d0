--- A2A agents, for tests: `molecule serve`, and servers and clients built on the SDKs for Python and JavaScript (tests/a2a),
--- which are fetched once from PyPI and npm and kept below build/a2a. They are not part of molecule.

local uv = require "luv"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local process = require "tests.support.process"

local a2a = {}

---@class A2aAgent
---@field url string
---@field process Process
---@field serves boolean? it is `molecule serve`
local Agent = {}
Agent.__index = Agent

--- Ends it; of `molecule serve` it looks at how it ended.
function Agent:stop()
  if not self.serves then return self.process:kill() end
  self.process:signal "sigterm"
  local code = self.process:wait_exit()
  assert(code == 0 and not self.process.stderr:find "Sanitizer", self.process:report())
end

---@param options {script: string, args: string[]?} the script's text; without --auth-token-file in args everybody may ask
---@return A2aAgent
function a2a.serve(options)
  local directory = host.directory()
  local command = { emulator.binary(), "serve", host.write(directory .. "/words.lua", options.script), "--listen", "127.0.0.1:0",
    "--state-dir", directory .. "/state" }
  local is_open = true
  for _, word in ipairs(options.args or {}) do
    command[#command + 1] = word
    is_open = is_open and word ~= "--auth-token-file"
  end
  if is_open then command[#command + 1] = "--no-auth" end
  local child = process.spawn { command = command, env = { HOME = directory, MOLECULE_STATE_DIR = false, STATE_DIRECTORY = false,
    MOLECULE_AUTH_TOKEN_FILE = false } }
  child:wait_line(": serving ", { stream = "stderr" })
  local line = child:wait_line("listening at http://", { stream = "stderr" })
  return setmetatable({ url = line:match "http://[%d.:]+", process = child, serves = true }, Agent)
end

local function run(command)
  local child = process.spawn { command = command }
  return child:wait_exit() == 0, child
end

local function root() return emulator.binary():match "^(.*)/[^/]*/" .. "/a2a" end

-- Makes a folder below build/a2a, unless its mark is there; one test file at a time does it. false, the child: it could not.
local function make_once(mark, script, ...)
  if uv.fs_stat(mark) then return true end
  uv.fs_mkdir(root(), 493)
  local once = '[ ! -e "$1" ] || exit 0\n' .. script .. '\n: >"$1"'
  return run { "/usr/bin/env", "flock", root() .. "/lock", "/bin/sh", "-ec", once, "sh", mark, ... }
end

-- The virtual environment with this version of the SDK -> its Python; nil, problem.
local function python_with(version)
  local folder = ("%s/venv-%s"):format(root(), version:match "^%d+%.%d+")
  local made, child = make_once(("%s/has-a2a-sdk-%s"):format(folder, version), [[
    python3 -m venv --clear "$2"
    "$2/bin/pip" install --quiet --disable-pip-version-check "a2a-sdk[http-server]==$3" uvicorn]], folder, version)
  if not made and child.stderr:find "onnection" then return nil, "PyPI cannot be reached" end
  assert(made, child and child:report())
  return folder .. "/bin/python"
end

local NODE_SDK = "@a2a-js/sdk@1.3.0"

-- The folder whose node_modules have the SDK; nil, problem. What it could do besides (express, databases) stays away.
local function node_folder()
  local folder = root() .. "/node"
  local made, child = make_once(folder .. "/has-" .. NODE_SDK:gsub("/", "-"), [[
    mkdir -p "$2"
    echo '{}' >"$2/package.json"
    npm install --prefix "$2" --loglevel error --fetch-retries 1 --fetch-retry-mintimeout 2000 \
      --no-audit --no-fund --ignore-scripts --legacy-peer-deps "$3"]], folder, NODE_SDK)
  if not made and (child.stderr:find "E[AC]%u+" or child.stderr:find "request to http%S+ failed") then
    return nil, "npm's registry cannot be reached"
  end
  assert(made, child and child:report())
  return folder
end

-- A process that runs it. nil, problem: the SDK cannot be had here.
local function start(version, words)
  if version ~= "node" then
    local python, problem = python_with(version)
    return python and process.spawn { command = { python, table.unpack(words) } }, problem
  end
  if not run { "/usr/bin/env", "node", "-e", "process.exit(+process.versions.node.split('.')[0] < 20 ? 1 : 0)" } then
    return nil, "there is no node of version 20 or later"
  end
  local folder, problem = node_folder()
  return folder and process.spawn { command = { "/usr/bin/env", "node", table.unpack(words) }, env = { A2A_NODE = folder } },
    problem
end

---@param version string of the SDK for Python; "node": that for JavaScript
---@param words string[] the program, a file of tests/a2a, and its arguments
---@return A2aAgent? agent, string? problem
function a2a.sdk(version, words)
  local child, problem = start(version, words)
  if not child then return nil, problem end
  return setmetatable({ url = child:wait_line "^http://", process = child }, Agent)
end

---Starts a client. nil, problem: its SDK cannot be had here.
---@param version string of the SDK for Python; "node": that for JavaScript
---@param words string[] the program, a file of tests/a2a, and its arguments
---@return Process? client, string? problem
function a2a.client(version, words) return start(version, words) end

return a2a
