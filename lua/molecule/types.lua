---@meta molecule
-- What scripts see, for editors (LuaLS) and for docs/script-api.md: cmake/api-reference renders the page from this file, and
-- tests/e2e/reference_spec.lua compares both with what the binary has. Lines that begin with "--@" go to the page, headings
-- one level up; nothing here runs.

---@class molecule
local molecule = {}

--@ ### `msg`: what arrived

---@class Message
---@field text string the text of its parts, also those without a `kind`; "" if they have none; falls back to the row's summary only if there are no parts at all
---@field parts table[] the A2A parts as sent
---@field files File[] the file parts, in any spelling (A2A 0.2 to 1.0)
---@field from string `"canvas"`, the peer's workspace id, or the A2A client's name
---@field peer {id: string, name: string?, role: string?}? who sent it; nil: the human in the canvas
---@field task {id: string, context_id: string}? the task of an A2A client (`molecule serve`) that it begins; nil: it came from a platform
---@field principal string? the A2A client's name in --auth-token-file, or `"anonymous"`
---@field conversation string messages with the same value stay in order
---@field context_id string? of the envelope
---@field task_id string? of the envelope
---@field id string the inbox row's id: the same at every attempt
---@field message_id string? the envelope's
---@field method string? the envelope's: `"message/send"`; others are handed over, too
---@field in_reply_to string? what this answers: the id of a message (from another molecule host) or of a delegation
---@field created_at string? as the platform writes it
---@field metadata table? as sent
---@field history table? the canvas's earlier turns, if it sends them
---@field raw string the envelope's exact bytes

--@ ### `msg.files[i]`: an incoming file
--@
--@ A staged upload is acknowledged once the handler's outcome stands; the platform forgets it an hour later.

---@class File
---@field name string? as the sender calls it: any text, so not a path to write to
---@field mime_type string? as the sender says
---@field size integer? bytes, as the sender says
---@field uri string? where it is: `platform-pending:…`, `https://…`
---@field bytes string? base64, if they came inside the message
local File = {}

--- The bytes, at most 100 MiB; or nil, message, CODE: `NOT_FOUND` (expired), `UNAVAILABLE` (out of reach), `TOO_LARGE`,
--- `FORBIDDEN` (not https, or not a public address: see `--allow-file-host`), and those of molecule.http.
---@return string? bytes, string? problem, string? code
function File:read() end

--- Writes it to a file: whole, or not at all. Also CODE `FILE`: it cannot be written.
---@param path string
---@return true? saved, string? problem, string? code
function File:save(path) end

--@ ### `ctx`: the context

---@class Context
---@field workspace string our workspace's id
---@field options table<string, string> `--script-opt K=V`
---@field attempt integer from 1; retries count (messages only)
---@field redelivered boolean it was handled before: in an earlier attempt, perhaps by an earlier process (messages only)
---@field deadline number? epoch seconds at which `--timeout` ends the handler (messages only)
---@field log molecule.log as `molecule.log`
local Context = {}

--- Shows the human a progress message before the reply, as a separate bubble; or nil, message, CODE: `PEER` (the message came
--- from a peer, which would take it for the answer) and those of molecule.notify. In a task it is a status update, which its
--- streams and webhooks get; a handler that runs again does not repeat it. CODE `NO_TASK`: the task has ended; `TOO_LARGE`: it has
--- more than 64 KiB.
---@param text string
---@return true? told, string? problem, string? code
function Context.progress(text) end

--- Does something once, however often the handler runs for this message: after an error, a crash, `molecule dead retry`, a long
--- sleep. The first result of `fn(step, ...)`, a JSON value of at most 1 MiB, is recorded in the ledger before the handler
--- continues; a later run gets it, decoded, and `fn` is not run. What `fn` changes in molecule.store is recorded with it;
--- it reads what is committed and its own changes, not those that its handler has made outside.
--- `step.id` is a UUID that is the same in every run, for an `Idempotency-Key`. If the process ends while `fn` runs, `fn` runs once
--- more, under the same id. nil, message[, CODE] from `fn` passes through unrecorded, and so does an error. The arguments after
--- `fn` must be JSON; a later run with others is an error (`REPLAY`). With
--- `--replay-check`, and always in `molecule dev` and `molecule test`, so is a step that is reached in another order than the recorded
--- ones, unless the script has changed since. A result that cannot be recorded makes a dead letter at once.
--- At most 1000 in a message; inside one there is no other step and no ctx.sleep. Messages only,
--- and not in a coroutine that the script has made.
---@param name string 1 to 128 bytes without "/", "#" and control characters; several of one name are told apart by their order
---@param fn fun(step: Step, ...: any): any
---@param ... any
---@return any result, string? problem, string? code
function Context.step(name, fn, ...) end

--- Sleeps. Up to 30 s it is molecule.sleep. For longer the run ends here: no `pcall` and no `__close` sees it, what it stored
--- outside of steps is forgotten, and the handler runs again when it is due, also in a later process, as the same attempt. With
--- `hold = false` later messages of the conversation are handled meanwhile. In molecule.all, map and race the run ends when none of
--- the functions continues, until the first sleep is over or the first question answered. Messages only.
---@param duration Duration up to ten years
---@param options {hold: boolean?}?
function Context.sleep(duration, options) end

--- The same until a time. A later run of the handler keeps the time of the first one.
---@param epoch number seconds since 1970
---@param options {hold: boolean?}?
function Context.sleep_until(epoch, options) end

--- Asks the sender of the message, or `from`, and waits for the answer, also over restarts of the host and for days. The run
--- ends here, as with ctx.sleep, and the handler runs again with the answer; a later run gets the same one. It needs no step.
---
--- The next message of whoever was asked, in the same conversation, is the answer, and is not handled: neither
--- `conversation(msg)` nor `--allow-from` sees it. With `choices` it must be one of them or the beginning of exactly one, in
--- whatever case; what is none of them is an ordinary message, and is answered once with the choices. If several questions to
--- the canvas are open, an answer begins with the code that each is shown with. A peer is asked one question at a time; its reply
--- (`metadata.molecule.in_reply_to`) or its next message is the answer. What was sent before the question answers nothing.
--- `molecule answer` answers from the shell (`from` is `"operator"`).
---
--- nil, message, CODE: `TIMEOUT` (no answer in time, counted from when the question was posted), `UNDELIVERED` (the platform
--- refused it, or could not be reached in that time), `CANCELLED` (`molecule answer --cancel`). The death of the message
--- cancels its questions: `molecule dead retry` asks those again, under new codes. Messages only; not inside a step, and not
--- in a coroutine that the script has made.
---@param question string 1 to 100,000 bytes
---@param options {from: string?, choices: string[]?, timeout: Duration?, hold: boolean?}? `from`: `"canvas"` or a peer's id;
---  `choices`: 1 to 20, of 1 to 100 bytes; `timeout`: 24 h, at most 366 days; `hold = false`: later messages of the
---  conversation are handled meanwhile
---@return Answer? answer, string? problem, string? code
function Context.ask(question, options) end

--- Like ctx.ask, for what the sender has to do before the handler can continue: log in, grant a right. The task of an A2A client is
--- `auth-required` meanwhile, and a message to the task is the answer; for everybody else it is an ordinary question.
---@param question string
---@param options {from: string?, choices: string[]?, timeout: Duration?, hold: boolean?}?
---@return Answer? answer, string? problem, string? code
function Context.auth_required(question, options) end

--- Adds a piece to the result of the message's task, before the handler returns: streams get it at once, and the task has it.
--- Pieces of one `name`, or without one, are one artifact; without `append` a piece replaces what the artifact held. Recorded before it returns; a
--- handler that runs again does not repeat its pieces. Returns true; or nil, message, CODE: `NO_TASK` (the message came with no
--- task, or the task has ended), `TOO_LARGE` (the artifacts of a task hold at most 16 MiB as JSON), `BAD_PARTS` (a part cannot
--- be sent), `EMPTY` (the text is empty). Both `text` and `parts`, or neither, is misuse.
--- `ctx.artifact {name = "log", text = line .. "\n", append = true}`
---@param piece ArtifactPiece
---@return true? added, string? problem, string? code
function Context.artifact(piece) end

---@class Answer
---@field text string what was answered, without the code; `""` if it is files alone
---@field choice string? the one of `choices` that it means
---@field from string `"canvas"`, the peer's id, or `"operator"`
---@field files File[]? what came with it

---@class Step
---@field id string a UUID, the same in every run of this message
---@field name string
---@field key string name and place, as the ledger has it: `"charge#1"`

--@ #### `ctx.artifact`: a piece

---@class ArtifactPiece
---@field name string? which artifact it belongs to; shown to the client
---@field text string? the piece; this or `parts`
---@field parts table[]? as in replies
---@field append boolean? add it to the end of the artifact; default: it replaces the artifact
---@field last boolean? the artifact is complete
---@field description string? shown to the client
---@field metadata table? handed on as it is

--@ ### The agent: what a script returns
--@
--@ A function `(msg, ctx)`, or a table; fields that begin with `_` are the script's own, others are refused:

---@class Agent
---@field handle fun(msg: Message, ctx: Context): any answers a message
---@field name string? on the agent card
---@field description string? on the agent card
---@field skills table[]? on the agent card: a list of `{id, name, description}`
---@field concurrency integer? conversations handled at once, 1 to 1000; default 1
---@field conversation (fun(msg: Message): string?)? names the conversation that stays in order (1 to 512 bytes); nil: the sender's, by contextId. It may not wait
---@field start fun(ctx: Context)? before the first message; an error keeps the host from starting
---@field stop fun(ctx: Context)? when the host stops, at most 5 s
---@field answers_replies boolean? true: also sees the replies of other molecule agents (`--max-hops`)
---@field finds_repeats boolean? false: a message of an A2A client whose messageId it used before begins another task; default true: it finds its task
---@field card AgentCard? what `molecule serve` says on the agent card besides

--@ #### `card`
--@
--@ What [the agent card](serve.md#the-agent-card) says besides. Another field, or one of another type, keeps the host from starting.

---@class AgentCard
---@field version string? of the agent; default: of the program
---@field documentation_url string? a page for people
---@field icon_url string? a picture
---@field provider table? who offers it: `{organization =, url =}`
---@field input_modes string[]? media types that it reads; default `{"text/plain"}`
---@field output_modes string[]? media types that it answers with; default `{"text/plain"}`
---@field extensions table[]? of the protocol: `{uri =, description =, required =, params =}`; a client that does not name a required one is refused
---@field form string? `"1.0"`: only what the schema of A2A 1.0 names, as `--card 1.0`; default `"all"`
---@field extended table? `{description =, skills =, documentation_url =}`: stand in place of the public ones on the extended card, which needs a token

--@ ### What a handler returns
--@
--@ | return | outcome |
--@ |---|---|
--@ | a string, `{text = ...}`, `{parts = {...}}`, also with `files = {...}` or `artifacts = {...}`, or these alone | **replied**: to whoever sent it |
--@ | nothing, `nil`, `true`, `""`, no parts, no files | **no_reply** |
--@ | `molecule.skip(reason)` | **skipped** |
--@ | `molecule.retry {after = "10s", reason = ..., hold = false}` | **retry**: handled again later; with `hold` its conversation waits |
--@ | `molecule.dead(reason)` | **dead**: set aside as a dead letter |
--@ | `molecule.reject(reason)` | **rejected**: a task ends as rejected; elsewhere the reason is the reply |
--@ | an error, or `nil, "why"` | handled again with backoff, `--max-attempts` times, then set aside; `--error-reply TEXT` tells the sender |
--@ | anything else | an error that names the type: set aside at once, as another attempt would return the same |
--@
--@ `files` are paths, `{name =, mime_type =, data = bytes}` or `{path =, name =, mime_type =}`, at most 10: up to 25 MiB each to the
--@ canvas, up to 700 KiB in all to a peer.
--@
--@ `artifacts` are results with a name: `{name =, text = or parts =, description =, metadata =}`. In a task each is an artifact, and
--@ text and parts are one more, after them; elsewhere their parts follow those of the reply. `as_message = true`: an A2A client
--@ gets the text and parts as a message instead of a task; elsewhere it changes nothing.

--- The message needs no answer.
---@param reason string?
---@return Verdict
function molecule.skip(reason) end

--- Retry it later: after `after` (0 to 366 days; default: the host's backoff). With `hold` the later messages of its
--- conversation wait too.
---@param options {after: Duration?, reason: string?, hold: boolean?}?
---@return Verdict
function molecule.retry(options) end

--- It can never be answered: makes it a dead letter.
---@param reason string?
---@return Verdict
function molecule.dead(reason) end

--- It is refused: the task of an A2A client ends as `rejected`, with the reason as its message. Elsewhere the reason is the reply,
--- and without a reason nothing is sent.
---@param reason string?
---@return Verdict
function molecule.reject(reason) end

---@alias Verdict table

--@ ### `require "molecule"`
--@
--@ A failure is `nil, message, CODE`; misuse is an error at the script's line. Calls that wait let other conversations run.
--@ A `Duration` is a number of seconds or a text: `"250ms"`, `"10s"`, `"1m30s"`, `"2h"`.

---@alias Duration number|string

---@class ExecOptions
---@field argv string[]? program and arguments; this or `cmd`
---@field cmd string? for `/bin/sh`
---@field stdin string? its standard input
---@field env table<string, string|false>? changes to the environment; false removes a variable
---@field cwd string? its working directory
---@field timeout Duration? above 0; its whole process group is then killed; default: none
---@field max_output integer? bytes kept of each stream, at most 64 MiB; default 1 MiB
---@field step string? makes the call a step of that name: it runs once, see ctx.step; told apart by argv, cmd and stdin

---@class ExecResult
---@field code integer its exit code; -1 with a signal
---@field signal integer? the signal that ended it
---@field stdout string its standard output
---@field stderr string its standard error
---@field truncated boolean it printed more than `max_output`

--- Runs a program. CODE: `TIMEOUT` (a fourth value is its output so far), or why it did not start (`ENOENT`, …).
--- `molecule.exec {argv = {"df", "-h"}, timeout = 10}`
---@param options ExecOptions
---@return ExecResult? result, string? problem, string? code, ExecResult? partial
function molecule.exec(options) end

--- Waits, 0 to 1e7 seconds.
---@param time Duration
function molecule.sleep(time) end

--- Runs the functions at once and returns `{n =, …}`: the first result of each, in their order; nil stays nil. What each waits
--- for lets the others run. The first error ends the others and is raised as it was: what they wait for is canceled, what they
--- opened is closed, and no `pcall` or `__close` of theirs sees it; what they stored, sent or logged before stays. All limits are the
--- handler's. Branches are told apart by their place, so that steps and messages keep their ids when the handler runs again.
--- `local r = molecule.all {function() return molecule.http.get(a) end, function() return molecule.http.get(b) end}`
---@param functions (fun(): any)[]
---@return table results
function molecule.all(functions) end

--- Runs `fn(item, index)` for each item, `concurrency` of them at once, and returns `{n =, …}` in the order of the items; else as
--- molecule.all. Branches are named by `key(item)`; without it by the item if it is a string, else by its place and content.
---@param list any[] or `{n =, …}` with holes
---@param fn fun(item: any, index: integer): any
---@param options {concurrency: integer?, key: (fun(item: any): string)?}? concurrency 1 to 1000, default 8
---@return table results
function molecule.map(list, fn, options) end

--- Runs the functions at once until the first one returns or fails, which ends the others as with molecule.all: its first result,
--- and which one it was. In a message's handler both are recorded like a step, so that it goes the same way when it runs again;
--- the result must be JSON there.
---@param functions (fun(): any)[] at least one
---@return any result, integer which
function molecule.race(functions) end

--- Calls `fn(ctx)` once per interval (0.001 to 1e8 seconds) while this version of the script is in charge; missed runs are
--- skipped. At most 1000 timers.
---@param time Duration
---@param fn fun(ctx: Context)
---@return Timer
function molecule.every(time, fn) end

--- Calls `fn(ctx)` once, after this time (0 to 1e8 seconds).
---@param time Duration
---@param fn fun(ctx: Context)
---@return Timer
function molecule.after(time, fn) end

---@class Timer
local Timer = {}

--- Whether it was still going to run.
---@return boolean
function Timer:cancel() end

---@class CronOptions
---@field name string? unique in the script; 1 to 100 bytes; default: made of the schedule, the zone and a number
---@field timezone string? `"local"` (the default), `"UTC"`, or a zone like `"Europe/Berlin"`
---@field catch_up boolean? whether a run that was missed while the host was down happens once at its start; default true

---@class CronRun
---@field id string of the message that the run is: the same at every attempt
---@field name string the schedule's
---@field spec string the schedule
---@field timezone string its zone
---@field scheduled_at integer epoch seconds: when it was due, however late it is now

--- Calls `fn(run, ctx)` by a [schedule](#schedules): `"0 8 * * mon-fri"`, `"@daily"`. Each run is a message of the ledger, with the
--- attempts, the order and the dead letters of one. Only while the script loads or in `start`. At most 100. Returns the name.
---@param spec string
---@param fn fun(run: CronRun, ctx: Context): any
---@param options CronOptions?
---@return string name
function molecule.cron(spec, fn, options) end

--- Epoch seconds, with a fraction.
---@return number
function molecule.now() end

--- A random UUID (version 4).
---@return string
function molecule.uuid() end

--- A variable of the environment, or the default; the host's token is hidden. Not in the sandbox.
---@param name string
---@param default string?
---@return string?
function molecule.env(name, default) end

--- The program's version.
molecule.version = ""

--- JSON's null; also `cjson.null`.
molecule.null = nil

--- Marks a table as a JSON array, even if it is empty; without an argument, returns a new one.
---@param list table?
---@return table
function molecule.array(list) end

--- A line in the host's log, at level info; with further arguments, like string.format.
---@class molecule.log
---@overload fun(format: string, ...: any)
molecule.log = {}

--- At level error: something needs the operator.
---@param format string
---@param ... any
function molecule.log.error(format, ...) end

--- At level warn.
---@param format string
---@param ... any
function molecule.log.warn(format, ...) end

--- At level info.
---@param format string
---@param ... any
function molecule.log.info(format, ...) end

--- At level debug: shown with `-v`.
---@param format string
---@param ... any
function molecule.log.debug(format, ...) end

--@ ### Other workspaces, and the human
--@
--@ CODE: `UNAUTHORIZED`, `FORBIDDEN`, `NOT_FOUND`, `TOO_LARGE`, `BUDGET`, `REFUSED` (the platform's words are in the message), `PEER`,
--@ `UNAVAILABLE`, `TIMEOUT`, `UNCONFIRMED` (it may have arrived), `EMPTY`, `BAD_ID`, `STOPPED`, `OFFLINE` (`--dry-run`),
--@ `NO_PLATFORM` (`molecule serve` has none; molecule.a2a asks agents elsewhere).

--- Sends a text, `{text =, files =}` or a list of parts to a workspace and waits up to `timeout` (60 seconds; 0: not at all)
--- for the answer `{text, parts}`; a peer that has not answered by then has the message in its inbox: `{queued = true, id}`.
--- `context_id` continues an exchange. Run again after a crash or an error, the handler sends it under the same id; after
--- `molecule.retry` under a new one. If the peer answers with a task, its artifacts are the answer, with `state` and
--- `task_id`: `"input-required"` asks back in `text`; for a task under way (`"submitted"`, `"working"`) `queued` is true, too.
--- CODE `PEER`: it answered with an error, or its task failed or was rejected or canceled.
---@param workspace_id string
---@param message string|table
---@param options {timeout: Duration?, context_id: string?}?
---@return {text: string?, parts: table[]?, queued: boolean?, id: string?, state: string?, task_id: string?, context_id: string?}? answer, string? problem, string? code
function molecule.send(workspace_id, message, options) end

--- Shows a text to the human in our canvas; in a task, as ctx.progress. CODE `QUOTA`: too many in the sandbox.
---@param text string
---@param options {files: table?}?
---@return true? told, string? problem, string? code
function molecule.notify(text, options) end

--- The workspaces we may talk to, `{id, name, role, status, …}`; `q` is part of the name.
---@param options {q: string?}?
---@return table[]? list, string? problem, string? code
function molecule.peers(options) end

--- Delegates a task to another workspace → `{delegation_id, status}`. With `timeout` (default 0) it waits for the result, in
--- `text`; CODE `PEER`: the peer failed. A peer that polls and has not answered by then has the task in its inbox (`queued =
--- true`), and answers with a separate message. If the platform puts results into the inbox, an agent with `answers_replies =
--- true` gets them as messages, too (`method` is `"delegate_result"`); a reply to one reaches nobody. Also `delegate {target
--- =, task =, timeout =}`.
---@param target string|{target: string, task: string, timeout: Duration?}
---@param task string?
---@param options {timeout: Duration?}?
---@return table? delegation, string? problem, string? code
function molecule.delegate(target, task, options) end

--@ ### `molecule.http`
--@
--@ CODE: `TIMEOUT`, `RESOLVE`, `CONNECT`, `TLS`, `TOO_LARGE`, `URL`, `REDIRECTS`, `FORBIDDEN` (`--allow-host`), `NETWORK`.
molecule.http = {}

---@class HttpOptions
---@field url string? if not given in the call
---@field method string? for `request`: default GET, or POST with a body
---@field headers table<string, string|number>? at most 100
---@field query table? appended to the URL, escaped
---@field json any the body, with its Content-Type
---@field body string? the body as it is
---@field timeout Duration? for the whole request, above 0 and at most a day; default 30
---@field follow boolean? follow redirects: after 303, and for a POST after 301 and 302, with a GET; otherwise as sent; default true
---@field max_bytes integer? of the response, at most 1 GiB (with `stream` 2^40 bytes); default 16 MiB
---@field stream fun(chunk: string)? gets the body in pieces as they arrive; may wait
---@field step string? makes the request a step of that name: an answer of any status is recorded, see ctx.step; not with `stream`

---@class HttpResponse
---@field status integer 200, 404, …
---@field headers table<string, string> by lower-case name
---@field body string empty with `stream`
local HttpResponse = {}

--- The body as a value; CODE `JSON`.
---@return any value, string? problem, string? code
function HttpResponse:json() end

--- Fetches a URL. `http.get("https://example.com/v1", {query = {q = "x"}})`
---@param url string|HttpOptions
---@param options HttpOptions?
---@return HttpResponse? response, string? problem, string? code
function molecule.http.get(url, options) end

--- Like get; the response has no body.
---@param url string|HttpOptions
---@param options HttpOptions?
---@return HttpResponse? response, string? problem, string? code
function molecule.http.head(url, options) end

--- As get.
---@param url string|HttpOptions
---@param options HttpOptions?
---@return HttpResponse? response, string? problem, string? code
function molecule.http.delete(url, options) end

--- Sends a body. `http.post(url, {json = value})`, or a string as the body.
---@param url string|HttpOptions
---@param body string|HttpOptions|nil
---@param options HttpOptions?
---@return HttpResponse? response, string? problem, string? code
function molecule.http.post(url, body, options) end

--- As post.
---@param url string|HttpOptions
---@param body string|HttpOptions|nil
---@param options HttpOptions?
---@return HttpResponse? response, string? problem, string? code
function molecule.http.put(url, body, options) end

--- As post.
---@param url string|HttpOptions
---@param body string|HttpOptions|nil
---@param options HttpOptions?
---@return HttpResponse? response, string? problem, string? code
function molecule.http.patch(url, body, options) end

--- Any method.
---@param options HttpOptions
---@return HttpResponse? response, string? problem, string? code
function molecule.http.request(options) end

--- Iterates server-sent events `{event, data, id}`; raises an error if the connection fails or the status is not 200. The end
--- of the loop, or at the latest of the handler, closes the connection; at most 64 at once per handler.
---@param options HttpOptions
---@return fun(): {event: string, data: string, id: string}?
function molecule.http.sse(options) end

--@ ### `molecule.a2a`
--@
--@ A client of agents that speak A2A, version 1.0 (JSON-RPC or HTTP+JSON) or 0.3 (JSON-RPC): [A2A agents](a2a-client.md).
--@ CODE: those of molecule.http; `UNAUTHORIZED` (401, 403), `NOT_FOUND` (no card), `UNAVAILABLE` (429, 502 to 504), `REFUSED`
--@ (another status), `INVALID_AGENT_RESPONSE` (not what the protocol says), `EMPTY` (nothing to say); and what the agent's error
--@ says, as `TASK_NOT_FOUND`, `TASK_NOT_CANCELABLE`, `UNSUPPORTED_OPERATION`, `VERSION_NOT_SUPPORTED`, `INVALID_PARAMS`,
--@ `INTERNAL_ERROR`; `PEER`: any other error.
--@
--@ States are `"submitted"`, `"working"`, `"input-required"`, `"auth-required"`, `"completed"`, `"canceled"`, `"failed"`,
--@ `"rejected"`, `"unknown"`. Parts are as in replies, whatever the agent speaks: `{kind = "text", text =}`, `{kind = "file",
--@ file = {name, mimeType, bytes or uri}}`, `{kind = "data", data =}`; those to be sent may also be written as in A2A 1.0.

---@class A2aOptions
---@field token string? a bearer token; one that was given for https is not sent over http
---@field headers table<string, string|number>? of every request
---@field timeout Duration? of every call but streams, above 0 and at most a day; default 60 of send, else 30
---@field version string? `"1.0"` or `"0.3"`: only that one; without a card the URL is then a JSON-RPC endpoint

--- An agent, at the URL that its card is below: `<url>/.well-known/agent-card.json`. Nothing is fetched before it is needed; the
--- card, of at most 1 MiB, is kept as long as the object. It is asked at the first interface of the card that is supported.
--- `local agent = molecule.a2a("https://agent.example", {token = …})`
---@param url string
---@param options A2aOptions?
---@return A2aAgent
function molecule.a2a(url, options) end

---@class A2aSendOptions
---@field timeout Duration? until the answer, or the end of its task; default 60
---@field wait boolean? false: returns the task as soon as there is one; default true
---@field history integer? with so many of the task's messages; default: what the agent gives
---@field push table? `{url =, token =}`: a webhook that the agent tells of changes; not every agent can
---@field step string? makes the whole call a step of that name, see ctx.step; told apart by URL, parts and ids

---@class A2aResult
---@field text string? of the task, or of the message that is the answer
---@field parts table[] in the same place
---@field files File[] among the parts
---@field state string? of the task; nil: a message is the answer
---@field task A2aTask? nil: a message is the answer
---@field task_id string? continues the task if it asks for something
---@field context_id string? continues the exchange with another task
---@field message A2aMessage? the answer, or what the task says of its state

---@class A2aTask
---@field id string
---@field context_id string?
---@field state string
---@field text string? of the artifacts, or of the message if there are none; the other way round unless it is completed or under way
---@field parts table[] in the same place
---@field files File[] among the parts
---@field artifacts table[] the results: `{id, name, description, parts, text, files, metadata}`
---@field message A2aMessage? why it failed, what it asks
---@field history table[]? its messages
---@field metadata table? as sent
---@field updated_at string? as the agent writes it

---@class A2aMessage
---@field message_id string?
---@field role string? `"agent"` or `"user"`
---@field parts table[] what it says
---@field text string? the text of its parts
---@field files File[] among the parts
---@field context_id string?
---@field task_id string?
---@field metadata table? as sent

---@class A2aEvent
---@field kind string `"task"` or `"message"`, with the fields of an A2aResult; `"status"`; `"artifact"`
---@field state string? of the task
---@field text string? of this event alone: a piece of an artifact, a status message
---@field parts table[]? of this event alone
---@field files File[]? among the parts
---@field artifact table? the piece: `{id, name, description, parts, text, files, metadata}`
---@field append boolean? the piece belongs to the end of the artifact of the same id
---@field last boolean? the artifact is complete
---@field message A2aMessage? of a status
---@field metadata table? as sent
---@field task_id string?
---@field context_id string?
---@field final boolean nothing more comes before the task is continued: it has ended, or asks for something

---@class A2aAgent
local A2aAgent = {}

--- Sends a text or `{text =, parts =, context_id =, task_id =, metadata =, message_id =}` and waits until the task has ended or
--- asks for something. A task that has failed or was rejected is a result, too: look at `state`. An agent that answers before
--- that is asked for the task again, after 0.25 s, then twice as long, up to 10 s. CODE `TIMEOUT` has the result so far as a
--- fourth value, unless the agent has not answered at all. Run again after a crash or an error, the handler sends the message
--- under the same id, which molecule serve and some other agents answer with the same task; after `molecule.retry` under a new one.
---@param message string|table
---@param options A2aSendOptions?
---@return A2aResult? result, string? problem, string? code, A2aResult? partial
function A2aAgent:send(message, options) end

--- Sends a message and iterates what comes of it: `for event in agent:stream("…") do … end`. Raises an error if that fails, with the
--- CODE in brackets at its end. The end of the loop, or at the latest of the handler, closes the connection; the task continues.
--- `timeout` (default 1 h, at most a day) is for all of it. An agent without streams is asked as by send; its answer is one event.
---@param message string|table
---@param options {timeout: Duration?, history: integer?, push: table?}?
---@return fun(): A2aEvent?
function A2aAgent:stream(message, options) end

--- Iterates what comes of a task that is under way, as stream does; A2A 1.0 begins with the task as it is.
---@param id string
---@param options {timeout: Duration?}?
---@return fun(): A2aEvent?
function A2aAgent:subscribe(id, options) end

--- A task as it is now; `history`: with at most so many of its messages.
---@param id string
---@param options {history: integer?}?
---@return A2aTask? task, string? problem, string? code
function A2aAgent:task(id, options) end

--- Cancels a task and returns it. CODE `TASK_NOT_CANCELABLE`: it has ended.
---@param id string
---@return A2aTask? task, string? problem, string? code
function A2aAgent:cancel(id) end

--- The tasks that we may see, the latest first → `{tasks, next_page_token, total}`. CODE `UNSUPPORTED_OPERATION`: A2A 0.3 has no such
--- list.
---@param options {context_id: string?, state: string?, page_size: integer?, page_token: string?}?
---@return {tasks: A2aTask[], next_page_token: string?, total: integer?}? list, string? problem, string? code
function A2aAgent:tasks(options) end

--- The agent's card, as it wrote it. `refresh = true` fetches it again.
---@param options {refresh: boolean?}?
---@return table? card, string? problem, string? code
function A2aAgent:card(options) end

--- The agent as a tool for a language model, named and described as its card says → `{name, description, parameters, call}`:
--- `parameters` is a JSON schema with a `message`; `call({message = …})` returns the answer's text, or nil and a problem, also for
--- a task that has failed. Each call is a new task.
---@param options {timeout: Duration?}?
---@return table? tool, string? problem, string? code
function A2aAgent:tool(options) end

--@ ### `molecule.store`
--@
--@ Any JSON value by key, one store per workspace, on disk. A handler sees its own changes at once; others see them when its
--@ outcome is recorded; a handler that fails leaves the store as it was. A key is 1 to 512 bytes of UTF-8, a value at most 1
--@ MiB as JSON, all changes of one handler 64 MiB. `ttl` is a Duration. CODE: `TYPE`, `TOO_LARGE`, `DEADLOCK`, `OFFLINE`.
molecule.store = {}

--- The value, or nil.
---@param key string
---@return any value, string? problem, string? code
function molecule.store.get(key) end

--- Stores the value; nil deletes.
---@param key string
---@param value any
---@param options {ttl: Duration?}?
---@return true? stored, string? problem, string? code
function molecule.store.set(key, value, options) end

--- Like set with nil.
---@param key string
---@return true? deleted, string? problem, string? code
function molecule.store.delete(key) end

--- Adds `by` (1) to a number, 0 if there is none → the sum; concurrent calls all count. `ttl` counts from the first call.
---@param key string
---@param by number?
---@param options {ttl: Duration?}?
---@return number? sum, string? problem, string? code
function molecule.store.incr(key, by, options) end

--- Replaces the value with `fn(value)` → the new value. No other handler changes it until this one's outcome; `fn` cannot wait.
---@param key string
---@param fn fun(value: any): any
---@param options {ttl: Duration?}?
---@return any value, string? problem, string? code
function molecule.store.update(key, fn, options) end

--- Appends to a list, keeping the last `max` values → the list.
---@param key string
---@param value any
---@param options {max: integer?, ttl: Duration?}?
---@return table? list, string? problem, string? code
function molecule.store.append(key, value, options) end

--- The keys that begin with `prefix`, in order, at most `limit` (1000).
---@param prefix string?
---@param options {limit: integer?}?
---@return string[]? keys, string? problem, string? code
function molecule.store.keys(prefix, options) end

--@ ### `molecule.json`
molecule.json = {}

--- Parses a text. Integers keep 64 bits, `[]` stays `[]`; unless `strict`, broken characters (half a `\ud83d`, bytes that are
--- not UTF-8) become U+FFFD. CODE `JSON`.
---@param text string
---@param options {strict: boolean?}?
---@return any value, string? problem, string? code
function molecule.json.decode(text, options) end

--- A value as text. `indent`: spaces per level; `sort`: keys in order. CODE `JSON`.
---@param value any
---@param options {indent: integer?, sort: boolean?}?
---@return string? text, string? problem, string? code
function molecule.json.encode(value, options) end

--- Same as molecule.array.
---@param list table?
---@return table
function molecule.json.array(list) end

--- Whether it is marked as an array, as by json.decode.
---@param value any
---@return boolean
function molecule.json.is_array(value) end

--- Same as molecule.null.
molecule.json.null = nil

--@ ### `molecule.router`

--- An agent that is a list of commands. `allow`: who is answered (others are skipped): a list of `"canvas"` and peer ids, or a
--- function(msg, ctx). Accepts every agent field except `handle`.
---@param options {allow: (string[]|fun(msg: Message, ctx: Context): boolean?)?}?
---@return Router agent to return from the script
function molecule.router(options) end

---@class Router: Agent
local Router = {}

--- The first pattern that matches the trimmed text answers; its captures follow. `router:on("^deploy (%S+)$", "deploy <name>", function(msg, ctx, name) ... end)`
---@param pattern string
---@param about string? a line for help; may be omitted
---@param handler fun(msg: Message, ctx: Context, ...: string): any
---@return Router
function Router:on(pattern, about, handler) end

--- Answers messages that no pattern matches; default: help.
---@param handler fun(msg: Message, ctx: Context): any
---@return Router
function Router:default(handler) end

--- A line for each route.
---@return string
function Router:help() end

return molecule
