--- Traces: what a collector of OpenTelemetry receives, and what goes on to others (W3C Trace Context).
local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local http = require "tests.support.http"
local loop = require "tests.support.loop"
local served = require "tests.support.served"
local server = require "tests.support.server"

local TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
local TRACEPARENT = ("00-%s-%s-01"):format(TRACE, PARENT)

describe("a trace", function()
  local platform, workspace, collector, spans

  setup(function()
    platform = emulator.start { args = { "--rate-limit", "-1" } }
  end)

  --- A collector that keeps spans by their ids, with the names of their services.
  local function collect(status)
    local all = {}
    local self = server.start(function(request, reply)
      if request.path ~= "/v1/traces" then return reply(404, "") end
      if status then return reply(status(), "busy") end
      for _, resource in ipairs(cjson.decode(request.body).resourceSpans) do
        local about = {}
        for _, attribute in ipairs(resource.resource.attributes) do about[attribute.key] = attribute.value.stringValue end
        for _, scope in ipairs(resource.scopeSpans) do
          for _, span in ipairs(scope.spans) do
            span.resource, span.values = about, {}
            for _, attribute in ipairs(span.attributes) do
              span.values[attribute.key] = attribute.value.stringValue or tonumber(attribute.value.intValue)
            end
            assert.is_nil(all[span.spanId])
            all[span.spanId] = span
          end
        end
      end
      reply(200, "{}", { ["Content-Type"] = "application/json" })
    end)
    return self, all
  end

  before_each(function()
    workspace = host.workspace(platform)
    collector, spans = collect()
  end)

  after_each(function()
    served.clean_up()
    host.clean_up()
    server.stop_all()
    platform:clear_faults()
  end)

  teardown(function()
    platform:stop()
  end)

  local function environment(more)
    local env = { OTEL_EXPORTER_OTLP_ENDPOINT = collector.url, OTEL_BSP_SCHEDULE_DELAY = "20" }
    for name, value in pairs(more or {}) do env[name] = value end
    return env
  end

  local function find(name, where)
    for _, span in pairs(spans) do
      if span.name == name and (not where or where(span)) then return span end
    end
  end

  local function wait_for(name, where)
    local found
    assert(loop.wait(function()
      found = find(name, where)
      return found
    end), "no span " .. name)
    return found
  end

  it("is one across two hosts, a step, a program and a model", function()
    local model = server.start(function(_, reply)
      reply(200, cjson.encode { choices = { { index = 0, message = { role = "assistant", content = "bonjour" },
        finish_reason = "stop" } }, usage = { prompt_tokens = 7, completion_tokens = 3 } },
        { ["Content-Type"] = "application/json" })
    end)
    local peer = host.workspace(platform)
    local two = host.connect { platform = platform, workspace = peer, env = environment { OTEL_SERVICE_NAME = "translator" },
      args = { "--backend", "openai", "--backend-opt", "url=" .. model.url, "--backend-opt", "model=tiny" } }
    local one = host.connect { platform = platform, workspace = workspace, env = environment { OTEL_SERVICE_NAME = "front",
        OTEL_RESOURCE_ATTRIBUTES = "deployment.environment=a%20test,host.name=h" },
      script = ([[
        local molecule = require "molecule"
        return function(msg, ctx)
          ctx.step("greet", function() return assert(molecule.exec { argv = { "echo", "hi" } }).stdout end)
          local answer = assert(molecule.send(%q, "translate hello"))
          return answer.text
        end]]):format(peer.id) }
    platform:message { to = workspace.id, request_body = { method = "message/send", params = { message = { role = "user",
      messageId = "m-1", parts = { { kind = "text", text = "hello" } }, metadata = { traceparent = TRACEPARENT } } } } }
    local root = wait_for("message", function(span) return span.parentSpanId == PARENT end)
    one:stop()
    two:stop()
    assert.equal("front", root.resource["service.name"])
    assert.equal("a test", root.resource["deployment.environment"])
    assert.equal("replied", root.values["molecule.outcome"])
    for _, span in pairs(spans) do
      assert.equal(TRACE, span.traceId, span.name)
      assert.truthy(span.parentSpanId == PARENT or spans[span.parentSpanId], span.name .. " has no parent")
      assert.is_true(tonumber(span.startTimeUnixNano) <= tonumber(span.endTimeUnixNano))
    end
    local sent = assert(find "molecule.send")
    local attempt = assert(find("attempt", function(span) return span.parentSpanId == root.spanId end))
    assert.equal(attempt.spanId, sent.parentSpanId)
    local other = assert(find("message", function(span) return span.resource["service.name"] == "translator" end))
    assert.equal(sent.spanId, other.parentSpanId)
    local chat = assert(find "chat tiny")
    assert.equal(7, chat.values["gen_ai.usage.input_tokens"])
    assert.equal("chat", chat.values["gen_ai.operation.name"])
    local step = assert(find "step greet#1")
    assert.equal(step.spanId, assert(find "molecule.exec").parentSpanId)
    assert(find("post reply", function(span) return span.parentSpanId == root.spanId end))
    -- the model was told of its place
    assert.matches("^00%-" .. TRACE .. "%-%x+%-01$", model.requests[1].headers.traceparent)
    assert.equal("POST", spans[model.requests[1].headers.traceparent:sub(37, 52)].name)
  end)

  it("goes on to others without a collector, too, and its id is in the log", function()
    local web = server.start(function(_, reply) reply(200, "fine") end)
    local one = host.connect { platform = platform, workspace = workspace, args = { "--log-format", "json" }, bare = true,
      script = ([[
        local molecule = require "molecule"
        return function(msg)
          if msg.text == "own" then
            molecule.http.get(%q, { headers = { Traceparent = "00-11111111111111111111111111111111-2222222222222222-00" } })
          else
            molecule.http.get(%q)
          end
          molecule.log.info "fetched"
          return "done"
        end]]):format(web.url, web.url), env = { MOLECULE_LOG_FORMAT = false } }
    local peer = host.workspace(platform)
    local function ask(text, traceparent)
      platform:message { to = workspace.id, from = peer.id, request_body = { method = "message/send", params = { message = {
        role = "user", messageId = "m-" .. text, parts = { { kind = "text", text = text } },
        metadata = { traceparent = traceparent } } } } }
    end
    ask("traced", TRACEPARENT)
    assert.matches('"trace_id":"' .. TRACE .. '"', (one:log '"msg":"script: fetched"'))
    one:log('"event":"message.replied".*"trace_id":"' .. TRACE)
    assert.matches("^00%-" .. TRACE .. "%-%x+%-01$", web.requests[1].headers.traceparent)
    local reply = cjson.decode(one:posts "/a2a"[1].body).params.message.metadata.traceparent
    assert.matches("^00%-" .. TRACE .. "%-%x+%-01$", reply)
    ask("own", TRACEPARENT)
    loop.wait(function() return #web.requests == 2 end)
    assert.equal("00-11111111111111111111111111111111-2222222222222222-00", web.requests[2].headers.traceparent)
    for i, wrong in ipairs { "00-0000000000000000000000000000000a-0000000000000000-01", "nonsense", "ff" .. TRACEPARENT:sub(3),
      TRACEPARENT .. "x" } do
      ask("wrong" .. i, wrong)
      assert(loop.wait(function() return #web.requests == 2 + i end))
      assert.is_nil(web.requests[2 + i].headers.traceparent, wrong)
    end
  end)

  it("of an A2A client begins at its HTTP header", function()
    local agent = served.start { script = "return function(msg) return msg.metadata.traceparent end", env = environment() }
    local answer = agent:call("SendMessage", { message = served.message "hello" }, { headers = { traceparent = TRACEPARENT } })
    assert.truthy(answer.body:find(TRACEPARENT, 1, true))
    local root = wait_for "message"
    assert.equal(TRACE, root.traceId)
    assert.equal(PARENT, root.parentSpanId)
    assert.equal(2, root.kind)
  end)

  it("that the sender does not sample is not exported, but goes on", function()
    local web = server.start(function(_, reply) reply(200, "fine") end)
    local one = host.connect { platform = platform, workspace = workspace, env = environment(),
      script = ([[local molecule = require "molecule"
        return function() molecule.http.get(%q) return "done" end]]):format(web.url) }
    local function ask(flags)
      platform:message { to = workspace.id, request_body = { method = "message/send", params = { message = { role = "user",
        messageId = "m" .. flags, parts = { { kind = "text", text = "x" } },
        metadata = { traceparent = TRACEPARENT:sub(1, -3) .. flags } } } } }
    end
    ask "00"
    ask "01"
    wait_for "message"
    one:stop()
    local messages = 0
    for _, span in pairs(spans) do messages = messages + (span.name == "message" and 1 or 0) end
    assert.equal(1, messages)
    assert.matches("%-00$", web.requests[1].headers.traceparent)
  end)

  it("of a message that runs again after a crash is the same", function()
    local one = host.connect { platform = platform, workspace = workspace, env = environment(), script = [[
      local molecule = require "molecule"
      return function(msg, ctx)
        if ctx.attempt == 1 then molecule.log.info "runs" molecule.sleep(3600) end
        return "done"
      end]] }
    local row = platform:message { to = workspace.id, text = "x" }[1]
    one:log "script: runs"
    one:kill()
    local two = host.connect { platform = platform, workspace = workspace, env = environment(), state_dir = one.state_dir,
      script_path = one.script_path }
    local root = wait_for "message"
    two:stop()
    assert.equal(row, root.values["messaging.message.id"])
    assert.equal(2, root.values["molecule.attempt"])
    assert.equal(root.traceId, find("attempt").traceId)
    assert.equal(root.spanId, find("attempt").parentSpanId)
  end)

  it("is sent as soon as a batch is whole, and its keys are not in the script's environment", function()
    local one = host.connect { platform = platform, workspace = workspace,
      env = environment { OTEL_BSP_SCHEDULE_DELAY = "3600000", OTEL_BSP_MAX_EXPORT_BATCH_SIZE = "3",
        OTEL_EXPORTER_OTLP_HEADERS = "api-key=very-secret" },
      script = [[return function(msg) return os.getenv "OTEL_EXPORTER_OTLP_HEADERS" or "no key" end]] }
    platform:message { to = workspace.id, text = "x" }
    wait_for "attempt"
    assert.equal("no key", one:canvas(1)[1])
    assert.equal("very-secret", collector.requests[1].headers["api-key"])
    one:stop()
  end)

  it("never waits for a collector that is away: spans are dropped and counted", function()
    local status = 503
    collector:stop()
    collector, spans = collect(function() return status end)
    local one = host.connect { platform = platform, workspace = workspace, args = { "--metrics", "127.0.0.1:0" },
      env = environment { OTEL_BSP_MAX_QUEUE_SIZE = "10", OTEL_BSP_MAX_EXPORT_BATCH_SIZE = "5" },
      script = "return function(msg) return 'said' end" }
    local port = tonumber(one:log("metrics at"):match ":(%d+)/metrics")
    for i = 1, 40 do platform:message { to = workspace.id, text = "message " .. i } end
    one:canvas(40)
    one:log "traces: http://127%.0%.0%.1:%d+/v1/traces answered 503; spans are dropped"
    assert(loop.wait(function()
      local body = http.request { port = port, path = "/metrics" }.body
      return tonumber(body:match "\nmolecule_trace_spans_dropped_total (%d+)") > 0
    end))
    one:stop()
  end)

  it("is sent with the headers that are given, percent-encoded, and the log has no key", function()
    local one = host.connect { platform = platform, workspace = workspace, bare = true,
      env = { OTEL_BSP_SCHEDULE_DELAY = "20", OTEL_EXPORTER_OTLP_HEADERS = "Authorization=Basic%20c2VjcmV0, x-more = a%2Cb ",
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT = collector.url:gsub("//", "//me:hushhush@") .. "/v1/nowhere?key=whisper" },
      script = "return function(msg) return 'said' end" }
    platform:message { to = workspace.id, text = "x" }
    one:log "traces: http://%[hidden%]@127%.0%.0%.1:%d+/v1/nowhere answered 404"
    one:stop()
    assert.equal("Basic c2VjcmV0", collector.requests[1].headers.authorization)
    assert.equal("a,b", collector.requests[1].headers["x-more"])
    for _, secret in ipairs { "c2VjcmV0", "hushhush", "whisper" } do
      assert.is_nil(one.process.stderr:find(secret, 1, true), secret)
    end
  end)

  for variable, value in pairs { OTEL_EXPORTER_OTLP_HEADERS = "api-key=hush%0d%0aHost: other",
    OTEL_EXPORTER_OTLP_TRACES_HEADERS = "hushhush", OTEL_EXPORTER_OTLP_ENDPOINT = "collector:4318/hush" } do
    it("names a variable that is wrong without its secret: " .. variable, function()
      local one = host.start { platform = platform, workspace = workspace, env = environment { [variable] = value },
        script = "return function(msg) return 'said' end" }
      one:wait_exit(1)
      assert.matches(variable .. ": .* is needed", one.process.stderr)
      assert.is_nil(variable:find "HEADERS" and one.process.stderr:find("hush", 1, true))
    end)
  end

  for name, value in pairs { OTEL_TRACES_SAMPLER = "sometimes", OTEL_TRACES_SAMPLER_ARG = "2", OTEL_BSP_SCHEDULE_DELAY = "soon",
    OTEL_EXPORTER_OTLP_PROTOCOL = "grpc" } do
    it("names a variable that is wrong: " .. name, function()
      local env = environment { OTEL_TRACES_SAMPLER = "traceidratio", [name] = value }
      local one = host.start { platform = platform, workspace = workspace, env = env,
        script = "return function(msg) return 'said' end" }
      one:wait_exit(1)
      assert.matches(name .. ": .*\"" .. value .. "\"", one.process.stderr)
    end)
  end
end)
