/* Opens the emulator's Lua state and its server, and closes them. */
#include "script/emulator.h"

#include "base/memory.h"
#include "net/http_server.h"
#include "script/emulator_ask.h"
#include "script/emulator_post.h"
#include "script/emulator_host.h"
#include "script/emulator_module.h"
#include "script/emulator_request.h"
#include "script/json.h"
#include "script/loader.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct emulator {
    struct emulator_host host;
};

struct opening {
    struct emulator *emulator;
    const struct emulator_options *options;
};

static void set_text(lua_State *L, const char *name, const char *value)
{
    if (!value)
        return;
    lua_pushstring(L, value);
    lua_setfield(L, -2, name);
}

/* Runs protected: (lightuserdata opening). */
static int start(lua_State *L)
{
    const struct opening *opening = lua_touserdata(L, 1);
    const struct emulator_options *options = opening->options;
    luaL_openlibs(L);
    loader_install(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, luaopen_molecule_json);
    lua_setfield(L, -2, "molecule.json");
    emulator_module_install(L, &opening->emulator->host);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "molecule.emulator");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "start");
    lua_newtable(L);
    set_text(L, "profile", options->profile ? options->profile : "latest");
    set_text(L, "org_id", options->org_id);
    set_text(L, "admin_token", options->admin_token);
    set_text(L, "workspace", options->workspace);
    set_text(L, "script", options->script);
    set_text(L, "keep", options->keep);
    lua_pushboolean(L, options->console);
    lua_setfield(L, -2, "console");
    lua_pushboolean(L, options->push);
    lua_setfield(L, -2, "push");
    lua_pushboolean(L, options->serves);
    lua_setfield(L, -2, "serves");
    set_text(L, "trial", options->trial);
    lua_pushinteger(L, options->rate_limit);
    lua_setfield(L, -2, "rate_limit");
    lua_pushnumber(L, options->stale_seconds);
    lua_setfield(L, -2, "stale_seconds");
    lua_call(L, 1, 0);
    return 0;
}

static bool start_lua(struct emulator *emulator, const struct emulator_options *options,
                      char *problem, size_t size)
{
    struct opening opening = {emulator, options};
    lua_State *L = luaL_newstate();
    if (!L) {
        snprintf(problem, size, "not enough memory for the emulator");
        return false;
    }
    emulator->host.L = L;
    lua_pushcfunction(L, start);
    lua_pushlightuserdata(L, &opening);
    if (lua_pcall(L, 1, 0, 0) == LUA_OK)
        return true;
    const char *message = lua_tostring(L, -1);
    snprintf(problem, size, "cannot start the emulator: %s", message ? message : "unknown error");
    return false;
}

struct emulator *emulator_open(uv_loop_t *loop, const struct emulator_options *options,
                               char *problem, size_t problem_size)
{
    struct emulator *emulator = memory_allocate(sizeof *emulator);
    emulator->host = (struct emulator_host){.loop = loop,
                                            .on_quit = options->on_quit,
                                            .reply_to = options->reply_to,
                                            .ask_host = options->ask_host,
                                            .kill_host = options->kill_host,
                                            .replace_file = options->replace_file,
                                            .playback = options->playback,
                                            .context = options->context};
    struct http_server_options server = {.address = options->address,
                                         .port = options->port,
                                         .limits = {.head_bytes = 262144,
                                                    .headers = 1000,
                                                    .head_ms = HTTP_SERVER_UNLIMITED,
                                                    .body_ms = HTTP_SERVER_UNLIMITED,
                                                    .idle_ms = HTTP_SERVER_UNLIMITED,
                                                    .kept_connections = HTTP_SERVER_UNLIMITED},
                                         .on_request = emulator_request_arrived,
                                         .on_gone = emulator_request_gone,
                                         .context = &emulator->host};
    if (!start_lua(emulator, options, problem, problem_size) ||
        !(emulator->host.server = http_server_open(loop, &server, problem, problem_size))) {
        emulator_close(emulator);
        return NULL;
    }
    return emulator;
}

uint16_t emulator_port(const struct emulator *emulator)
{
    return http_server_port(emulator->host.server);
}

/* --- the console: lua/molecule/emulator/console.lua --- */

struct console_call {
    const char *function, *line; /* NULL: nil */
    size_t length;
    bool flag;
    lua_Integer result;
};

/* Runs protected: (lightuserdata console_call). */
static int call_console(lua_State *L)
{
    struct console_call *call = lua_touserdata(L, 1);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "molecule.emulator.console");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, call->function);
    if (strcmp(call->function, "ended") == 0)
        lua_pushboolean(L, call->flag);
    else if (call->line)
        lua_pushlstring(L, call->line, call->length);
    else
        lua_pushnil(L);
    lua_call(L, 1, 1);
    call->result = lua_tointeger(L, -1);
    return 0;
}

static void run_console(struct emulator *emulator, struct console_call *call)
{
    lua_State *L = emulator->host.L;
    lua_pushcfunction(L, call_console);
    lua_pushlightuserdata(L, call);
    emulator_host_call(&emulator->host, 1, "the terminal");
}

size_t emulator_type(struct emulator *emulator, const char *line, size_t length)
{
    struct console_call call = {.function = "type", .line = line, .length = length};
    run_console(emulator, &call);
    return call.result > 0 ? (size_t)call.result : 0;
}

void emulator_type_end(struct emulator *emulator, bool terminal)
{
    struct console_call call = {.function = "ended", .flag = terminal};
    run_console(emulator, &call);
}

/* --- what the host reports: lua/molecule/emulator/watch.lua --- */

static const char *word_of(enum molecule_event_kind kind)
{
    switch (kind) {
    case MOLECULE_EVENT_SCRIPT: return "script";
    case MOLECULE_EVENT_ATTEMPT: return "attempt";
    case MOLECULE_EVENT_MSG: return "msg";
    case MOLECULE_EVENT_LOG: return "log";
    case MOLECULE_EVENT_ASKED: return "asked";
    case MOLECULE_EVENT_TOLD: return "told";
    case MOLECULE_EVENT_ENDED: return "ended";
    case MOLECULE_EVENT_REPLY: return "reply";
    case MOLECULE_EVENT_ANSWER: return "answer";
    case MOLECULE_EVENT_LATER: return "later";
    case MOLECULE_EVENT_FINISHED: return "finished";
    case MOLECULE_EVENT_EXCHANGE: return "exchange";
    }
    return "unknown";
}

static void set_number(lua_State *L, const char *name, lua_Integer value)
{
    lua_pushinteger(L, value);
    lua_setfield(L, -2, name);
}

/* Runs protected: (lightuserdata molecule_event). */
static int call_watch(lua_State *L)
{
    const struct molecule_event *event = lua_touserdata(L, 1);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "molecule.emulator.watch");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "tell");
    lua_createtable(L, 0, 16);
    set_text(L, "kind", word_of(event->kind));
    set_text(L, "row_id", event->row_id);
    set_text(L, "schedule", event->schedule);
    set_text(L, "principal", event->principal);
    set_text(L, "outcome", event->outcome);
    set_text(L, "reason", event->reason);
    set_text(L, "traceback", event->traceback);
    set_text(L, "level", event->level);
    set_text(L, "text", event->text);
    set_text(L, "what", event->what);
    set_text(L, "key", event->key);
    set_text(L, "call", event->call);
    set_number(L, "attempt", event->attempt);
    set_number(L, "wall_ms", event->wall_ms);
    set_number(L, "cpu_ms", event->cpu_ms);
    set_number(L, "memory_bytes", event->memory_bytes);
    set_number(L, "again_ms", event->again_ms);
    set_number(L, "took_ms", event->took_ms);
    lua_call(L, 1, 0);
    return 0;
}

void emulator_tell(struct emulator *emulator, const struct molecule_event *event)
{
    lua_State *L = emulator->host.L;
    lua_pushcfunction(L, call_watch);
    lua_pushlightuserdata(L, (void *)event);
    emulator_host_call(&emulator->host, 1, "what the host reports");
}

struct host_call {
    bool running;
    const char *why;
};

/* Runs protected: (lightuserdata host_call). */
static int call_host(lua_State *L)
{
    const struct host_call *call = lua_touserdata(L, 1);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "molecule.emulator.watch");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "tell");
    lua_createtable(L, 0, 3);
    set_text(L, "kind", "host");
    set_text(L, "reason", call->why);
    lua_pushboolean(L, call->running);
    lua_setfield(L, -2, "running");
    lua_call(L, 1, 0);
    return 0;
}

void emulator_tell_host(struct emulator *emulator, bool running, const char *why)
{
    struct host_call call = {.running = running, .why = why};
    lua_State *L = emulator->host.L;
    lua_pushcfunction(L, call_host);
    lua_pushlightuserdata(L, &call);
    emulator_host_call(&emulator->host, 1, "what the host reports");
}

/* --- a trial: lua/molecule/emulator/trial.lua --- */

struct trial_call {
    const char *function;
    const char *const *texts;
    lua_Integer number;
    bool result;
};

/* Runs protected: (lightuserdata trial_call). */
static int call_trial(lua_State *L)
{
    struct trial_call *call = lua_touserdata(L, 1);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "molecule.emulator.trial");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, call->function);
    for (size_t i = 0; i < EMULATOR_TRIAL_TEXTS; i++)
        lua_pushstring(L, call->texts[i]);
    lua_pushinteger(L, call->number);
    lua_call(L, EMULATOR_TRIAL_TEXTS + 1, 1);
    call->result = lua_toboolean(L, -1);
    return 0;
}

bool emulator_trial(struct emulator *emulator, const char *function,
                    const char *const texts[EMULATOR_TRIAL_TEXTS], int64_t number)
{
    struct trial_call call = {.function = function, .texts = texts, .number = number};
    lua_pushcfunction(emulator->host.L, call_trial);
    lua_pushlightuserdata(emulator->host.L, &call);
    return emulator_host_call(&emulator->host, 1, "the trial") && call.result;
}

/* Runs protected. */
static int call_stop(lua_State *L)
{
    lua_getglobal(L, "require");
    lua_pushliteral(L, "molecule.emulator");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "stop");
    lua_call(L, 0, 0);
    return 0;
}

void emulator_close(struct emulator *emulator)
{
    if (!emulator)
        return;
    if (emulator->host.server) { /* else it has not started */
        lua_pushcfunction(emulator->host.L, call_stop);
        emulator_host_call(&emulator->host, 0, "the end");
    }
    http_server_close(emulator->host.server);
    emulator_module_close(&emulator->host);
    emulator_ask_close(&emulator->host);
    emulator_post_close(&emulator->host);
    if (emulator->host.L)
        lua_close(emulator->host.L);
    free(emulator);
}
