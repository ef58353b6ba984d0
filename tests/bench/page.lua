--- The playground's page with many messages; see tests/bench/page.

package.path = "./?.lua;" .. package.path

local browser = require "tests.support.browser"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local http = require "tests.support.http"
local process = require "tests.support.process"

local MESSAGES, AT_ONCE = 10000, 500
local TARGET_MIB, TARGET_MS = 200, 100

local AGENT = [[return {concurrency = 16, handle = function(msg) return "you said: " .. msg.text .. (" and more"):rep(20) end}]]

local missed = false

local function say(name, value, unit, target)
  local fine = not target or value <= target
  missed = missed or not fine
  local verdict = target and ("%s (at most %d)"):format(fine and "pass" or "FAIL", target) or ""
  print(("%-60s %8.1f %-4s %s"):format(name, value, unit, verdict))
end

-- KiB that a process holds alone.
local function private_kib(pid)
  local kib = 0
  for clean_or_dirty in host.read(("/proc/%d/smaps_rollup"):format(pid)):gmatch "Private_%a+:%s*(%d+)" do
    kib = kib + tonumber(clean_or_dirty)
  end
  return kib
end

local directory = host.directory()
local child = process.spawn { command = { emulator.binary(), "dev", host.write(directory .. "/agent.lua", AGENT), "--port", "0",
  "--rate-limit", "-1" }, keep_stdin = true }
local url = child:wait_line "^playground: ":match "http%S+"
local workspace = child:wait_line " serves workspace ":match "workspace (%x[%x%-]+)"
local port = math.tointeger(tonumber(url:match ":(%d+)/"))

local page = browser.start()
page:go(url)
-- every task that keeps the page from answering for more than 50 ms
page:js [[
  window.longest = 0;
  new PerformanceObserver((list) => {
    for (const task of list.getEntries()) window.longest = Math.max(window.longest, task.duration);
  }).observe({ type: "longtask" });]]

for first = 1, MESSAGES, AT_ONCE do
  local answer = http.request { port = port, method = "POST", path = "/__emulator/messages",
    json = { to = workspace, text = "message %n of many", count = math.min(AT_ONCE, MESSAGES - first + 1) } }
  assert(answer.status == 200, answer.body)
end
page:wait_js(([[
  const items = document.querySelector('molecule-list').items;
  return items.length >= %d && items.every((one) => one.outcome)]]):format(MESSAGES))

local SETTLE = "return new Promise((resolve) => setTimeout(resolve, 500))" -- tasks are told of afterwards

local function longest(name, action)
  page:js(SETTLE)
  page:js "window.longest = 0"
  action()
  page:js(SETTLE)
  say(name .. ": the longest task (below 50: 0)", page:js "return window.longest", "ms", TARGET_MS)
end

page:js "document.querySelector('molecule-composer textarea').focus()"
longest("typing", function()
  -- a person's keys one after the other; WebDriver's own typing is one long task
  for character in ("the quick brown fox "):rep(5):gmatch "." do
    page:devtools("Input.dispatchKeyEvent", { type = "char", text = character })
  end
  assert(page:js("return document.querySelector('molecule-composer textarea').value"):find "brown fox")
end)
longest("scrolling from the last to the first", function()
  page:js [[
    const list = document.querySelector('molecule-list');
    const step = list.scrollHeight / 120;
    return new Promise((resolve) => {
      const move = () => {
        list.scrollTop -= step;
        if (list.scrollTop > 0) requestAnimationFrame(move); else resolve();
      };
      list.scrollTop = list.scrollHeight;
      requestAnimationFrame(move);
    })]]
end)
longest("filtering", function()
  page:type("#filter-text", "message 77")
  page:wait_js "return document.getElementById('filter-count').textContent.includes(' of ')"
  page:js "const one = document.getElementById('filter-text'); one.value = ''; one.dispatchEvent(new Event('input'))"
end)
longest("a new message", function()
  local answer = http.request { port = port, method = "POST", path = "/__emulator/messages",
    json = { to = workspace, text = "new" } }
  page:wait_js(("return document.querySelector('molecule-list').items.some((one) => one.id === %q && one.outcome)"):format(
    answer.json.ids[1]))
end)
page:devtools("HeapProfiler.collectGarbage", { unused = true })
local metrics = {}
page:devtools("Performance.enable", { timeDomain = "timeTicks" })
for _, one in ipairs(page:devtools("Performance.getMetrics", { unused = true }).metrics) do metrics[one.name] = one.value end
say("the page's JavaScript memory", metrics.JSHeapUsedSize / (1 << 20), "MiB", TARGET_MIB)
say("elements in the page", metrics.Nodes, "")
say("molecule dev, emulator and playground", private_kib(child.pid) / 1024, "MiB", 256)
local process_of_host = host.read(("/proc/%d/task/%d/children"):format(child.pid, child.pid)):match "%d+"
say("molecule dev, the host", private_kib(tonumber(process_of_host)) / 1024, "MiB")

page:stop()
child:signal "sigterm"
child:wait_exit()
host.clean_up()
os.exit(missed and 1 or 0)
