--- A real browser, for tests: Chromium without a window, steered through chromedriver by WebDriver's JSON over HTTP.
---
---     local one = browser.start { width = 1200, height = 800 }
---     one:go(url)
---     one:wait_js("return document.querySelector('.chip')?.textContent", "replied")
---     one:click ".primary"
---     one:stop()

local cjson = require "cjson"
local uv = require "luv"
local host = require "tests.support.host"
local http = require "tests.support.http"
local loop = require "tests.support.loop"
local process = require "tests.support.process"

---@class Browser
---@field driver Process
---@field port integer
---@field session string
local Browser = {}
Browser.__index = Browser

local browser = { ENTER = "\u{E007}", ESCAPE = "\u{E00C}", UP = "\u{E013}", DOWN = "\u{E015}", TAB = "\u{E004}" }

local ELEMENT = "element-6066-11e4-a52e-4f735466cecf" -- WebDriver's name for what holds an element's id

local function call(self, method, path, value)
  local answer = http.request { port = self.port, method = method, path = path,
    headers = { ["Content-Type"] = "application/json" },
    body = method == "POST" and (value and cjson.encode(value) or "{}") or nil }
  local result = answer.json and answer.json.value
  if answer.status ~= 200 then
    error(("the browser: %s %s: %s"):format(method, path, result and result.message or answer.problem or answer.body), 3)
  end
  return result
end

-- Whether a program is on the path.
local function find(name)
  for directory in (os.getenv "PATH" or ""):gmatch "[^:]+" do
    if uv.fs_access(directory .. "/" .. name, "X") then return directory .. "/" .. name end
  end
  return nil
end

---Whether there is one. Only Ubuntu may lack it: cmake/install-dependencies installs it elsewhere.
---@return boolean
function browser.available()
  return find "chromedriver" ~= nil or not (host.read "/etc/os-release" or ""):find("\nID=ubuntu", 1, true)
end

---@param options {width: integer?, height: integer?}?
---@return Browser
function browser.start(options)
  options = options or {}
  local program = find "chromedriver" or error("install chromium-driver: cmake/install-dependencies test", 2)
  local self = setmetatable({ directory = host.directory() }, Browser)
  -- its profile, crash reports and sockets stay in a directory of the test
  self.driver = process.spawn { command = { program, "--port=0" }, env = { TMPDIR = self.directory, HOME = self.directory } }
  local line = self.driver:wait_line "started successfully on port %d+"
  self.port = math.tointeger(tonumber(line:match "on port (%d+)"))
  local arguments = { "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--user-data-dir=" .. self.directory .. "/profile",
    ("--window-size=%d,%d"):format(options.width or 1280, options.height or 860) }
  self.session = call(self, "POST", "/session", { capabilities = { alwaysMatch = { ["goog:chromeOptions"] = {
    args = arguments, prefs = { ["download.default_directory"] = self.directory .. "/downloads" } },
    ["goog:loggingPrefs"] = { browser = "ALL" } } } }).sessionId
  return self
end

---@return any
function Browser:command(method, path, value)
  return call(self, method, "/session/" .. self.session .. path, value)
end

function Browser:go(url) self:command("POST", "/url", { url = url }) end

function Browser:reload() self:command("POST", "/refresh") end

---@param script string the body of a function
---@param ... any
---@return any
function Browser:js(script, ...)
  local arguments = { ... }
  arguments[#arguments + 1] = cjson.null -- an empty table would not be a list
  return self:command("POST", "/execute/sync", { script = script, args = arguments })
end

---Waits until the script returns something true; with `wanted`, a text that contains it.
---@param script string
---@param wanted string?
---@return any
function Browser:wait_js(script, wanted)
  local value
  local deadline = loop.now() + loop.LIMIT_MS
  repeat
    value = self:js(script)
    local there = value and value ~= cjson.null
    if there and (not wanted or tostring(value):find(wanted, 1, true)) then return value end
    self:js "return new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve, 20)))"
  until loop.now() > deadline
  error(("waiting in the browser: %s is %s, not %s\n%s\n%s"):format(script, tostring(value), wanted or "there",
    tostring(self:js "return document.body.innerText"), table.concat(self:console(), "\n")), 2)
end

local function element(self, selector)
  return self:command("POST", "/element", { using = "css selector", value = selector })[ELEMENT]
end

---@param selector string
function Browser:click(selector)
  self:command("POST", "/element/" .. element(self, selector) .. "/click")
end

---Types into an element as a person does.
---@param selector string
---@param text string
function Browser:type(selector, text)
  self:command("POST", "/element/" .. element(self, selector) .. "/value", { text = text })
end

---@param selector string
---@return string text as it is seen
function Browser:text(selector)
  return self:command("GET", "/element/" .. element(self, selector) .. "/text")
end

---@param width integer
---@param height integer
function Browser:resize(width, height)
  self:devtools("Emulation.setDeviceMetricsOverride", { width = width, height = height, deviceScaleFactor = 1, mobile = false })
end

---@param theme "light"|"dark"
function Browser:theme(theme)
  self:devtools("Emulation.setEmulatedMedia", { features = { { name = "prefers-color-scheme", value = theme } } })
end

---A command of Chromium's own protocol.
---@return any
function Browser:devtools(command, parameters)
  return self:command("POST", "/goog/cdp/execute", { cmd = command, params = parameters })
end

---@param path string a PNG
function Browser:screenshot(path)
  host.write(path, (require "mime".unb64(self:command("GET", "/screenshot"))))
end

---What the page complained of: errors, and what its policy refused.
---@return string[]
function Browser:console()
  local lines = {}
  for _, entry in ipairs(self:command("POST", "/se/log", { type = "browser" })) do
    if entry.level == "SEVERE" or entry.level == "WARNING" then lines[#lines + 1] = entry.message end
  end
  return lines
end

function Browser:stop()
  call(self, "DELETE", "/session/" .. self.session)
  self.driver:signal "sigterm"
  self.driver:wait_exit()
end

return browser
