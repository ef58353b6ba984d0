#include "script/agent.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/nearest.h"
#include "script/beside.h"
#include "script/handler.h"
#include "script/json.h"
#include "script/loader.h"
#include "script/outcome.h"
#include "script/sandbox.h"
#include "script/script_said.h"
#include "script/vm.h"
#include "script/vm_errors.h"
#include "script/vm_memory.h"

#include <stdlib.h>
#include <string.h>

#define CONVERSATION_MAXIMUM 512 /* bytes of a key */
#define FILES "molecule.files"

void agent_info_free(struct agent_info *info)
{
    free(info->name);
    free(info->description);
    json_decref(info->skills);
    json_decref(info->card);
    *info = (struct agent_info){0};
}

/* Inside the handler, within its limits: the agent's metatable may run code of the script. */
static void keep_info(lua_State *L)
{
    struct vm *vm = vm_of(L);
    struct agent_info *info = vm->info;
    agent_info_free(info);
    lua_rawgeti(L, LUA_REGISTRYINDEX, vm->agent);
    int agent = lua_gettop(L);
    if (lua_getfield(L, agent, "name") == LUA_TSTRING)
        info->name = memory_copy_text(lua_tostring(L, -1));
    if (lua_getfield(L, agent, "description") == LUA_TSTRING)
        info->description = memory_copy_text(lua_tostring(L, -1));
    if (lua_getfield(L, agent, "skills") == LUA_TTABLE) {
        char problem[256];
        info->skills = json_take(L, -1, problem, sizeof problem, NULL);
        if (!info->skills)
            luaL_error(L, "the agent's `skills` cannot be JSON: %s", problem);
    }
    if (lua_getfield(L, agent, "card") == LUA_TTABLE) {
        char problem[256];
        info->card = json_take(L, -1, problem, sizeof problem, NULL);
        if (!info->card)
            luaL_error(L, "the agent's `card` cannot be JSON: %s", problem);
    }
    lua_getfield(L, agent, "finds_repeats");
    info->new_tasks = lua_isboolean(L, -1) && !lua_toboolean(L, -1);
    lua_getfield(L, agent, "answers_replies");
    info->answers_replies = lua_toboolean(L, -1);
    info->names_conversations = lua_getfield(L, agent, "conversation") == LUA_TFUNCTION;
    lua_getfield(L, agent, "concurrency");
    info->concurrency = (int)lua_tointeger(L, -1);
    lua_settop(L, agent - 1);
}

void agent_take_info(struct vm *vm, struct agent_info *info)
{
    *info = *vm->info;
    *vm->info = (struct agent_info){0};
}

static const struct agent_field {
    const char *name;
    int type;
} agent_fields[] = {{"handle", LUA_TFUNCTION},
                    {"start", LUA_TFUNCTION},
                    {"stop", LUA_TFUNCTION},
                    {"conversation", LUA_TFUNCTION},
                    {"name", LUA_TSTRING},
                    {"description", LUA_TSTRING},
                    {"skills", LUA_TTABLE},
                    {"card", LUA_TTABLE},
                    {"finds_repeats", LUA_TBOOLEAN},
                    {"concurrency", LUA_TNUMBER},
                    {"answers_replies", LUA_TBOOLEAN}};

#define AGENT_FIELD_COUNT (sizeof agent_fields / sizeof *agent_fields)

static const struct agent_field *find_field(const char *name)
{
    for (size_t i = 0; i < AGENT_FIELD_COUNT; i++)
        if (strcmp(agent_fields[i].name, name) == 0)
            return &agent_fields[i];
    return NULL;
}

/* The key on top is not a field of an agent. */
static void refuse_field(lua_State *L, const char *source)
{
    if (lua_type(L, -1) != LUA_TSTRING)
        luaL_error(L,
                   "%s returned a table with the field [%s], which an agent does not have: it must "
                   "return a function(msg, ctx), or "
                   "a table with `handle`",
                   source, luaL_tolstring(L, -1, NULL));
    struct nearest nearest = {.word = lua_tostring(L, -1)};
    for (size_t i = 0; i < AGENT_FIELD_COUNT; i++)
        nearest_offer(&nearest, agent_fields[i].name);
    if (nearest.best)
        luaL_error(L, "the agent returned by %s has an unknown field '%s'; did you mean '%s'?",
                   source, nearest.word, nearest.best);
    luaL_error(
        L,
        "the agent returned by %s has an unknown field '%s'; keep the script's own data in a "
        "local variable, or in a field whose name starts with '_'",
        source, nearest.word);
}

/* The table on top: its own fields, and inherited ones. */
static void check_fields(lua_State *L, const char *source)
{
    int agent = lua_gettop(L);
    lua_pushnil(L);
    while (lua_next(L, agent)) {
        lua_pop(L, 1);
        const char *name = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
        if (!name || (*name != '_' && !find_field(name)))
            refuse_field(L, source);
    }
    for (size_t i = 0; i < AGENT_FIELD_COUNT; i++) {
        const struct agent_field *field = &agent_fields[i];
        int type = lua_getfield(L, agent, field->name);
        if (type != field->type && (type != LUA_TNIL || i == 0))
            luaL_error(L,
                       i == 0 ? "%s returned a table whose `%s` is a %s, not a function(msg, ctx)"
                              : "%s: the agent's `%s` must be a %s, not a %s",
                       source, field->name, lua_typename(L, i == 0 ? type : field->type),
                       lua_typename(L, type));
        lua_pop(L, 1);
    }
}

/* The table on top can be the skills of an agent card. */
static void check_skills(lua_State *L)
{
    static const char *const texts[] = {"id", "name", "description"};
    static const char example[] =
        "skills = {{id = \"translate\", name = \"Translate\", description = \"…\"}}";
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        if (lua_type(L, -2) != LUA_TNUMBER)
            luaL_error(L,
                       "the agent's `skills` must be a list of tables, but has the field '%s': %s",
                       luaL_tolstring(L, -2, NULL), example);
        const char *type_name = luaL_typename(L, -1);
        if (!lua_istable(L, -1))
            luaL_error(L, "the agent's `skills` must be a list of tables, but item %s is a %s: %s",
                       luaL_tolstring(L, -2, NULL), type_name, example);
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
            int type = lua_getfield(L, -1, texts[i]);
            if (type != LUA_TSTRING && type != LUA_TNIL)
                luaL_error(L,
                           "the agent's `skills`: the %s of an item must be a string, not a %s: %s",
                           texts[i], lua_typename(L, type), example);
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
}

/* The value on top becomes the state's agent; raises if it is not one. */
static void keep_agent(lua_State *L, const char *source)
{
    struct vm *vm = vm_of(L);
    if (lua_isfunction(L, -1)) {
        lua_createtable(L, 0, 1);
        lua_insert(L, -2);
        lua_setfield(L, -2, "handle");
    }
    if (!lua_istable(L, -1))
        luaL_error(
            L, "%s returned a %s; it must return a function(msg, ctx), or a table with `handle`",
            source, luaL_typename(L, -1));
    check_fields(L, source);
    if (lua_getfield(L, -1, "skills") == LUA_TTABLE)
        check_skills(L);
    lua_pop(L, 1);
    lua_getfield(L, -1, "concurrency");
    if (!lua_isnil(L, -1) &&
        (!lua_isinteger(L, -1) || lua_tointeger(L, -1) < 1 || lua_tointeger(L, -1) > 1000))
        luaL_error(L, "the agent's `concurrency` must be an integer from 1 to 1000");
    lua_pop(L, 1);
    luaL_unref(L, LUA_REGISTRYINDEX, vm->agent);
    vm->agent = luaL_ref(L, LUA_REGISTRYINDEX);
}

static int after_script(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    const struct script_settings *settings = vm_of(L)->settings;
    lua_settop(L, 2);
    keep_agent(L,
               settings->options->script ? settings->options->script : settings->options->backend);
    if (settings->load_only)
        keep_info(L);
    lua_gc(L, LUA_GCCOLLECT); /* else what loading left over would stay until the first message */
    return 0;
}

int agent_load_body(lua_State *L)
{
    const struct molecule_workspace_options *options = vm_of(L)->settings->options;
    lua_settop(L, 1);
    if (options->script)
        beside_prepend_path(L, options->script);
    if (options->sandbox)
        sandbox_install(L);
    if (options->script) {
        loader_note_file(vm_of(L), options->script);
        if (luaL_loadfilex(L, options->script, "t") != LUA_OK)
            return lua_error(L);
        lua_callk(L, 0, 1, 0, after_script);
        return after_script(L, LUA_OK, 0);
    }
    lua_getglobal(L, "require");
    lua_pushliteral(L, "molecule.backend");
    lua_call(L, 1, 1); /* lua/molecule/backend.lua: open(name, options) -> agent */
    lua_getfield(L, -1, "open");
    lua_remove(L, -2);
    lua_pushstring(L, options->backend);
    agent_push_options(L, options->backend_options, options->backend_option_count);
    lua_callk(L, 2, 1, 0, after_script);
    return after_script(L, LUA_OK, 0);
}

static int call_hook(lua_State *L, const char *name, lua_KFunction after)
{
    struct handler *handler = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, handler->vm->agent);
    if (lua_getfield(L, -1, name) == LUA_TNIL)
        return after(L, LUA_OK, 0);
    agent_push_context(L, handler);
    lua_callk(L, 1, 0, 0, after);
    return after(L, LUA_OK, 0);
}

static int after_start(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    keep_info(L); /* it may have changed the agent's fields */
    return 0;
}

int agent_start_body(lua_State *L)
{
    return call_hook(L, "start", after_start);
}

static int after_stop(lua_State *L, int status, lua_KContext context)
{
    (void)L;
    (void)status;
    (void)context;
    return 0;
}

int agent_stop_body(lua_State *L)
{
    return call_hook(L, "stop", after_stop);
}

static int after_attach(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    struct handler *handler = lua_touserdata(L, 1);
    outcome_read(L, 3, &handler->outcome);
    if (handler->steps != LUA_NOREF && handler->vm->settings->options->replay_check) {
        agent_push_function(L, "molecule.step_state", "finish");
        lua_call(L, 0, 0);
    }
    return 0;
}

static bool has_files(lua_State *L, int index)
{
    if (!lua_istable(L, index))
        return false;
    lua_pushliteral(L, "files");
    bool has = lua_rawget(L, index) != LUA_TNIL;
    lua_pop(L, 1);
    return has;
}

static int after_handle(lua_State *L, int status, lua_KContext context)
{
    struct handler *handler = lua_touserdata(L, 1);
    if (status != LUA_OK && status != LUA_YIELD)
        return lua_error(L);
    if (!has_files(L, 3))
        return after_attach(L, status, context);
    lua_settop(L, 3);
    agent_push_function(L, FILES, "attach");
    lua_insert(L, 3);
    lua_pushboolean(L, !handler->job->message->source_id);
    lua_pushstring(L, handler->job->message->row_id);
    lua_callk(L, 3, 1, 0, after_attach);
    return after_attach(L, LUA_OK, 0);
}

/* A large message is parsed only while it is pushed. If that raises, it stays parsed until the host
 * has it back. */
static bool push_message(lua_State *L, struct handler *handler)
{
    const struct vm *vm = handler->vm;
    struct script_job *job = handler->job;
    bool large = job->message->shed;
    message_restore(job->message, job->row, vm->workspace_id);
    handler->taking = vm_memory(vm) < vm->memory_limit / 4;
    message_push(L, job->message);
    handler->taking = false;
    bool has_files = job->message->files || job->message->plain.files;
    if (large)
        message_shed(job->message);
    return has_files;
}

/* Stack while the handler runs: handler, vm_keep_traceback. What it returns lands at index 3.
 * Protected, so that an error runs its __close. */
int agent_handle_body(lua_State *L)
{
    struct handler *handler = lua_touserdata(L, 1);
    lua_pushcfunction(L, vm_keep_traceback);
    lua_rawgeti(L, LUA_REGISTRYINDEX, handler->vm->agent);
    lua_getfield(L, -1, "handle");
    lua_remove(L, -2);
    bool has_files = push_message(L, handler);
    script_show_msg(L, handler->vm, -1);
    agent_push_context(L, handler); /* has required "molecule" by now */
    if (has_files) {
        agent_push_function(L, FILES, "adopt");
        lua_getfield(L, -3, "files");
        lua_call(L, 1, 0);
    }
    int status = lua_pcallk(L, 2, LUA_MULTRET, 2, 0, after_handle);
    return after_handle(L, status, 0);
}

/* Raises at the line where the agent's conversation function begins. */
static int refuse_key(lua_State *L, const char *what)
{
    lua_Debug function;
    lua_rawgeti(L, LUA_REGISTRYINDEX, vm_of(L)->agent);
    lua_getfield(L, -1, "conversation");
    if (!lua_isfunction(L, -1))
        return luaL_error(L, "conversation(msg) returned %s", what);
    lua_getinfo(L, ">S", &function);
    return luaL_error(L, "%s:%d: conversation(msg) returned %s; it must return a string or nil",
                      function.short_src, function.linedefined, what);
}

static int after_conversation(lua_State *L, int status, lua_KContext context)
{
    (void)context;
    struct agent_conversation *call = ((struct handler *)lua_touserdata(L, 1))->context;
    size_t length;
    if (status != LUA_OK && status != LUA_YIELD)
        return lua_error(L);
    if (lua_isnil(L, -1))
        return 0;
    if (lua_type(L, -1) != LUA_TSTRING)
        return refuse_key(L, lua_pushfstring(L, "a %s", luaL_typename(L, -1)));
    const char *key = lua_tolstring(L, -1, &length);
    if (length == 0 || length > CONVERSATION_MAXIMUM || strlen(key) != length)
        return refuse_key(L, "a string that is empty, longer than 512 bytes, or holds a zero byte");
    call->key = memory_copy_text(key);
    return 0;
}

int agent_conversation_body(lua_State *L)
{
    struct handler *handler = lua_touserdata(L, 1);
    const struct agent_conversation *call = handler->context;
    lua_pushcfunction(L, vm_keep_traceback);
    lua_rawgeti(L, LUA_REGISTRYINDEX, handler->vm->agent);
    lua_getfield(L, -1, "conversation");
    lua_remove(L, -2);
    message_push(L, call->message);
    int status = lua_pcallk(L, 1, 1, 2, 0, after_conversation);
    return after_conversation(L, status, 0);
}
