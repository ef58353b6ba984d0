--- molecule.core for a script under test: what the host does in C, over stubs and the test's clock. The API's Lua files
--- (lua/molecule/*.lua) are built on it as they are.

local branches = require "molecule.testing.branches"
local environment = require "molecule.testing.environment"
local handlers = require "molecule.testing.handler"
local questions = require "molecule.testing.questions"
local schedules = require "molecule.testing.schedules"
local sse = require "molecule.testing.sse"
local steps = require "molecule.testing.steps"
local tasks = require "molecule.testing.tasks"
local words = require "molecule.testing.words"

local core = {}

local LEVELS = {error = true, warn = true, info = true, debug = true}

-- The script's line that called into the API.
local function place(version)
  for level = 2, 60 do
    local info = debug.getinfo(level, "Sl")
    if not info then break end
    if info.currentline > 0 and not environment.is_ours(info.source) then
      return ("%s:%d: "):format(info.short_src, info.currentline)
    end
  end
  -- a tail call took the script's frame; its handler is known
  local handler = version.running
  return handler and handler.where or ""
end

local function add_checks(api, version)
  function api.misuse(text)
    if version.running then version.running.misuse = text end
    error(place(version) .. text, 0)
  end
  function api.raise(text) error(place(version) .. text, 0) end
  function api.refuse_field(what, key, known)
    if type(key) ~= "string" then
      api.misuse(("%s: unknown field [%s]; the fields have names: %s = …"):format(what, tostring(key), known[1]))
    end
    local best = words.nearest(key, known)
    api.misuse(best and ("%s: unknown field '%s'; did you mean '%s'?"):format(what, key, best)
      or ("%s: unknown field '%s'; known fields: %s"):format(what, key, table.concat(known, ", ")))
  end
  function api.public(fn)
    return function(...)
      local results = table.pack(fn(...)) -- no tail call: the script's frame stays below
      return table.unpack(results, 1, results.n)
    end
  end
  api.seconds = words.seconds
  function api.check_seconds(what, value, least, most)
    local seconds = words.seconds(value)
    if not seconds then
      api.misuse(("%s: a number of seconds or a duration like \"10s\" or \"5m\" expected, not %s"):format(what,
        type(value) == "string" and ('"%s"'):format(value) or "a " .. (value == nil and "nil" or type(value))))
    elseif not (seconds >= least and seconds <= most) then
      api.misuse(("%s: the time must be between %s and %s seconds"):format(what, tostring(least), tostring(most)))
    end
    return seconds
  end
  function api.check_await(what)
    local handler = version.running
    if not handler then error(what .. " cannot wait here", 0) end
    if handler.may_not_wait then error(place(version) .. ("%s cannot wait in %s"):format(what, handler.may_not_wait), 0) end
    if not coroutine.isyieldable() or handler.at_once then
      error(place(version) .. what .. " cannot wait here: it is inside a function that C calls (a table.sort comparator, a gsub "
        .. "callback, a metamethod, or a file that require loads)", 0)
    end
    return handler
  end
end

-- Lets that much time of the test's clock pass.
local function wait(version, seconds)
  coroutine.yield(environment.WAIT, function(resume)
    return version.agent.clock:at(version.agent.clock:now() + seconds, resume)
  end)
end

local function add_time(api, version)
  local agent = version.agent
  function api.now() return agent.clock:now() end
  function api.elapsed() return agent.clock:now() end
  function api.model_called() end
  api.uuid = words.uuid
  function api.sleep(time)
    local seconds = api.check_seconds("sleep", time, 0, 1e7)
    api.check_await("molecule.sleep")
    wait(version, seconds)
  end
  local function timer(name, repeats)
    return function(time, fn)
      local seconds = api.check_seconds(name, time, repeats and 0.001 or 0, 1e8)
      if type(fn) ~= "function" then
        api.misuse(("%s: the second argument must be a function(ctx), not a %s"):format(name, type(fn)))
      end
      return agent:add_timer(version, seconds, fn, repeats)
    end
  end
  api.every, api.after = timer("every", true), timer("after", false)
  api.zone = schedules.zone
  function api.cron(...) schedules.add(version, ...) end
end

local function add_programs(api, version)
  local stubs = version.agent.stubs
  function api.run_program(what, request)
    api.check_await(what)
    local result, problem, code, after = stubs:answer_exec(what, request)
    local timeout = request.timeout and words.seconds(request.timeout)
    if timeout and after and words.seconds(after) > timeout then
      wait(version, timeout)
      return nil, ("timed out after %s s; the whole process group was killed"):format(timeout), "TIMEOUT", result
    end
    if after then wait(version, words.seconds(after)) end
    return result, problem, code
  end
  local KNOWN = {"argv", "cmd", "stdin", "env", "cwd", "timeout", "max_output", "step"}
  function api.exec(options)
    if type(options) ~= "table" or options[1] then
      api.misuse('exec: takes a table that says what to run: exec {cmd = "ls -l"} for a shell, or exec {argv = {"ls", "-l"}} for '
        .. "a program with its arguments")
    end
    for name in pairs(options) do
      local known = false
      for _, one in ipairs(KNOWN) do known = known or one == name end
      if not known then api.refuse_field("exec", name, KNOWN) end
    end
    if (options.argv == nil) == (options.cmd == nil) then
      api.misuse("exec: give either argv = {program, …} or cmd = \"shell command\"")
    end
    return api.run_program("molecule.exec", options)
  end
  api.exec_until = api.exec
  function api.child() error("the testing kit does not run long-lived programs (molecule.core.child, backend stdio)", 0) end
end

local function add_http(api, version)
  local stubs = version.agent.stubs
  local function fetch(what, request)
    api.check_await(what)
    local plain = {url = request.url, method = request.method or request.body and "POST" or "GET", headers = request.headers
      or {},
      body = request.body}
    local answer, problem, code, after = stubs:answer_http(plain)
    after = words.seconds(answer and answer.after or after or 0)
    local timeout = request.timeout or 30
    if after > timeout then
      wait(version, timeout)
      return nil, ("%s: no answer within %s s"):format(request.url, timeout), "TIMEOUT"
    end
    if after > 0 then wait(version, after) end
    if answer and #answer.body > (request.max_bytes or 16 * 1024 * 1024) then
      return nil, request.url .. ": the response is larger than max_bytes", "TOO_LARGE"
    end
    return answer, problem, code
  end
  function api.http(request)
    local answer, problem, code = fetch("molecule.http", request)
    if not answer then return nil, problem, code end
    return {status = answer.status, headers = answer.headers, body = answer.body}
  end
  function api.http_stream(request)
    local stream, answer, chunks, at = {}, nil, nil, 0
    function stream.read()
      if not answer then
        local problem, code
        answer, problem, code = fetch("a stream's read", request)
        if not answer then return nil, problem, code end
        chunks = answer.chunks or {answer.body ~= "" and answer.body or nil}
      end
      at = at + 1
      return chunks[at]
    end
    function stream.status() return answer and answer.status or 0 end
    function stream.headers() return answer and answer.headers or {} end
    function stream.close() end
    return setmetatable(stream, {__close = stream.close})
  end
  api.sse = sse.new
end

local function add_store(api, version)
  local agent = version.agent
  function api.store_get(key)
    api.check_await("molecule.store")
    return (agent.store:text(key))
  end
  function api.store_keys(prefix, most)
    api.check_await("molecule.store")
    local keys = agent.store:keys(prefix)
    for i = #keys, most + 1, -1 do keys[i] = nil end
    return keys
  end
  function api.store_change(verb, key, given, ttl, most)
    if not version.running then error("molecule.store cannot be changed here", 0) end
    local scope = branches.scope(version.branch)
    scope.bytes = scope.bytes + #key + #(given or "")
    if scope.bytes > 64 * 1024 * 1024 then return false end
    table.insert(scope.changes, {verb = verb, key = key, given = given, most = most,
      ends = ttl and ttl > 0 and agent.clock:now() + ttl or math.huge})
    return true
  end
  function api.store_values(outer)
    local handler = version.running or error("molecule.store cannot be used here", 0)
    return (outer and handler or branches.scope(version.branch)).values
  end
  function api.store_lock(key, alone)
    api.check_await("molecule.store")
    local scope = branches.scope(version.branch)
    local fine, waits = agent.locks:take(scope, key, alone)
    if not fine and not waits then
      waits = coroutine.yield(environment.WAIT, function(resume) return agent.locks:wait(scope, key, alone, resume) end)
    end
    if waits == "deadlock" then
      return nil, ("molecule.store: two handlers wait for each other's keys, here for \"%s\"; change keys in the same order "
        .. "everywhere"):format(key), "DEADLOCK"
    end
    return true
  end
  function api.call_at_once(fn, ...)
    local handler = version.running
    local before = handler.at_once
    handler.at_once = true
    local results = table.pack(pcall(fn, ...))
    handler.at_once = before
    if not results[1] then error(results[2], 0) end
    return table.unpack(results, 2, results.n)
  end
end

local function as_answer(agent, answer, context_id)
  local json = agent.json
  if type(answer) == "string" then
    return {text = answer, parts = json.array {{kind = "text", text = answer}}, context_id = context_id}
  end
  local result = {}
  for name, value in pairs(answer) do result[name] = value end
  result.context_id = result.context_id or context_id
  if result.text and not result.parts then result.parts = json.array {{kind = "text", text = result.text}} end
  return result
end

local function text_of(text, parts)
  local texts = {text ~= "" and text or nil}
  for _, part in ipairs(parts or {}) do
    if type(part.text) == "string" then texts[#texts + 1] = part.text end
  end
  return table.concat(texts, "\n")
end

local function add_peers(api, version)
  local agent = version.agent
  function api.send(id, text, parts, timeout, context_id)
    api.check_await("molecule.send")
    local said = text_of(text, parts)
    agent:note("sent", {to = id, text = said, parts = parts, context_id = context_id})
    local answer, problem, code = agent.stubs:answer_peer("send", id, said, {parts = parts, context_id = context_id})
    if answer == nil and problem then return nil, "molecule.send: " .. problem, code or "PEER" end
    if answer == nil or timeout == 0 then return {queued = true, id = words.uuid()} end
    return as_answer(agent, answer, context_id)
  end
  function api.notify(text, parts)
    api.check_await("molecule.notify")
    if tasks.was_said(version) then return true end
    agent:note("progress", text, parts)
    return true
  end
  function api.progress(text)
    if type(text) ~= "string" then api.misuse(("ctx.progress: the text must be a string, not a %s"):format(type(text))) end
    if text == "" then return nil, "ctx.progress: the text is empty", "EMPTY" end
    local handler = version.running
    local row = handler and handler.entry and handler.entry.row
    if row and row.from ~= "canvas" and not row.run and not row.task then
      return nil, "ctx.progress: the message came from a peer, which would take a progress message for the answer", "PEER"
    end
    return api.notify(text)
  end
  function api.peers(q)
    api.check_await("molecule.peers")
    local list = agent.json.array {}
    for _, peer in ipairs(agent.peer_list) do
      if not q or (peer.name or ""):lower():find(q:lower(), 1, true) then
        list[#list + 1] = {id = peer.id, name = peer.name, role = peer.role, status = "online"}
      end
    end
    return list
  end
  function api.delegate(id, task, timeout)
    api.check_await("molecule.delegate")
    agent:note("sent", {to = id, text = task, delegated = true})
    local answer, problem, code = agent.stubs:answer_peer("delegate", id, task, {})
    if answer == nil and problem then return nil, "molecule.delegate: " .. problem, code or "PEER" end
    local delegation = {delegation_id = words.uuid(), status = answer and "completed" or "queued"}
    if answer and timeout > 0 then delegation.text = as_answer(agent, answer).text end
    if not answer and timeout > 0 then delegation.queued = true end
    return delegation
  end
end

-- {name, mime_type, data} of each file in a multipart body.
local function read_multipart(body, boundary)
  local files, mark = {}, "--" .. boundary
  local at = body:find(mark, 1, true)
  while at do
    local from = body:find("\r\n\r\n", at, true)
    local to = from and body:find("\r\n" .. mark, from + 2, true)
    if not to then break end
    local head = body:sub(at, from)
    files[#files + 1] = {name = head:match('filename="([^"]*)"'), mime_type = head:match("Content%-Type: ([^\r\n]*)"),
      data = body:sub(from + 4, to - 1)}
    at = to + 2
  end
  return files
end

local function add_files(api, version)
  local agent = version.agent
  function api.file_fetch(id)
    api.check_await("file:read")
    if agent.uploads[id] then return agent.uploads[id] end
    return nil, "file:read: the file has expired", "NOT_FOUND"
  end
  api.file_pushed = api.file_fetch -- under its name
  function api.file_upload(body, boundary)
    api.check_await("molecule.files")
    local list = agent.json.array {}
    for i, file in ipairs(read_multipart(body, boundary)) do
      local id = words.uuid()
      agent.uploads[id] = file.data
      list[i] = {uri = ("platform-pending:%s/%s"):format(agent.workspace, id), name = file.name, mimeType = file.mime_type,
        size = #file.data}
    end
    return list
  end
  function api.file_limits()
    api.check_await("molecule.files")
    return {message_bytes = 1024 * 1024}
  end
  function api.file_write(path, bytes)
    local file, problem = io.open(path, "wb")
    if not file then return nil, "file:save: " .. problem, "FILE" end
    file:write(bytes)
    file:close()
    return true
  end
  api.base64_encode, api.base64_decode = words.base64_encode, words.base64_decode
end

--- The module for one version of a script.
---@param version {agent: table, running: table?}
function core.make(version)
  local api = {version = version.agent.version_text, backends = "those of the program", sandbox = false, verdict = {}}
  api.embedded = environment.has
  function api.log(level, text)
    if not LEVELS[level] then error("log: no such level", 0) end
    version.agent:note("log", level .. ": " .. text)
  end
  local parts = {add_checks, add_time, add_programs, add_http, add_store, add_peers, add_files, steps.add,
    questions.add, tasks.install}
  for _, add in ipairs(parts) do add(api, version) end
  branches.add(api, version, handlers.frames)
  return api
end

return core
