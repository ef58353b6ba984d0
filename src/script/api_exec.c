/* molecule.exec{argv | cmd, stdin, env, cwd, timeout, max_output} and os.execute. */
#include "base/buffer.h"
#include "base/clock.h"
#include "base/memory.h"
#include "script/api.h"
#include "script/api_check.h"
#include "script/api_errors.h"
#include "script/call_words.h"
#include "script/calls.h"
#include "script/command.h"
#include "script/playback.h"
#include "script/process.h"
#include "script/process_playback.h"
#include "script/sandbox.h"
#include "script/script_said.h"
#include "script/subprocess.h"
#include "script/vm.h"
#include "script/vm_await.h"
#include "script/vm_memory.h"
#include "script/trace_scope.h"

#include <lualib.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define OUTPUT_DEFAULT (1024 * 1024)
#define OUTPUT_MAXIMUM (64 * 1024 * 1024)

#define COMMAND_SIZE 256 /* as it is shown to whoever observes the host */

struct exec_context {
    int64_t timeout_ms, started_ms;
    char command[COMMAND_SIZE];
    const char *call;         /* "molecule.exec", "os.execute" */
    size_t noted;             /* of calls_asked */
    struct trace_place trace; /* its span */
};

static void note(struct vm *vm, const struct exec_context *exec,
                 const struct process_result *result)
{
    long long took = clock_monotonic_ms() - exec->started_ms;
    struct calls_result call = calls_answered(vm->running, exec->noted);
    char text[COMMAND_SIZE + 64];
    if (result->timed_out)
        snprintf(text, sizeof text, "%s: timed out (%lld ms)", exec->command, took);
    else if (result->signal)
        snprintf(text, sizeof text, "%s: signal %d (%lld ms)", exec->command, result->signal, took);
    else
        snprintf(text, sizeof text, "%s: exit code %d (%lld ms)", exec->command, result->code,
                 took);
    process_note(&call, result);
    trace_record(&(struct trace_span){
        .context = &exec->trace.context,
        .parent = exec->trace.parent,
        .kind = TRACE_INTERNAL,
        .name = exec->call,
        .took_ms = took,
        .problem = result->timed_out   ? "timed out"
                   : result->code != 0 ? "an exit code"
                                       : NULL,
        .values = {{TRACE_COMMAND, .text = exec->command}},
        .value_count = 1,
    });
    script_did(vm->running, exec->call, text, took, calls_end(&call, took));
}

static void keep_command(struct exec_context *exec, char *const *argv)
{
    struct buffer all;
    buffer_init(&all, SIZE_MAX / 4);
    for (size_t i = 0; argv[i]; i++)
        buffer_printf(&all, "%s%s", i ? " " : "", argv[i]);
    char *shown = call_words_hide(all.length ? all.data : "");
    snprintf(exec->command, sizeof exec->command, "%s", shown);
    free(shown);
    buffer_free(&all);
}

static int push_exec_result(lua_State *L, const struct process_result *result, void *context)
{
    const struct exec_context *exec = context;
    note(vm_of(L), exec, result);
    if (result->timed_out) {
        lua_pushnil(L);
        lua_pushfstring(L, "timed out after %f s; the whole process group was killed",
                        (double)exec->timeout_ms / 1000);
        lua_pushliteral(L, "TIMEOUT");
    }
    lua_createtable(L, 0, 5);
    lua_pushinteger(L, result->code);
    lua_setfield(L, -2, "code");
    if (result->signal) {
        lua_pushinteger(L, result->signal);
        lua_setfield(L, -2, "signal");
    }
    lua_pushlstring(L, result->output, result->output_length);
    lua_setfield(L, -2, "stdout");
    lua_pushlstring(L, result->errors, result->errors_length);
    lua_setfield(L, -2, "stderr");
    lua_pushboolean(L, result->output_cut);
    lua_setfield(L, -2, "truncated");
    return result->timed_out ? 4 : 1;
}

static void check_table(lua_State *L)
{
    int top = lua_gettop(L);
    static const char *const known[] = {"argv", "cmd",     "stdin",      "env",
                                        "cwd",  "timeout", "max_output", "step"};
    const char *word = lua_type(L, 1) == LUA_TSTRING ? lua_tostring(L, 1) : NULL;
    bool list = lua_istable(L, 1) && lua_rawgeti(L, 1, 1) != LUA_TNIL;
    if (list && lua_type(L, -1) == LUA_TSTRING)
        word = lua_tostring(L, -1);
    if (word || list)
        api_misuse(L,
                   "exec: takes a table that says what to run: exec {cmd = \"%s\"} for a shell, or "
                   "exec {argv = {\"%s\"}} for a "
                   "program with its arguments",
                   word ? word : "ls -l", word ? word : "ls\", \"-l");
    if (!lua_istable(L, 1))
        api_misuse(L,
                   "exec: takes a table, exec {argv = {\"ls\", \"-l\"}} or exec {cmd = \"ls -l\"}, "
                   "not a %s",
                   luaL_typename(L, 1));
    lua_settop(L, top);
    api_check_fields(L, 1, "exec", known, sizeof known / sizeof *known);
}

/* Pushes the field; NULL if it is missing. */
static const char *text_field(lua_State *L, const char *field, size_t *length)
{
    int type = lua_getfield(L, 1, field);
    if (type != LUA_TNIL && type != LUA_TSTRING && type != LUA_TNUMBER)
        api_misuse(L, "exec: %s must be a string, not a %s", field, lua_typename(L, type));
    return lua_tolstring(L, -1, length);
}

static const char *directory_field(lua_State *L)
{
    size_t length = 0;
    const char *directory = text_field(L, "cwd", &length);
    if (directory && strlen(directory) != length)
        api_misuse(L, "exec: cwd holds a zero byte");
    return directory;
}

static size_t output_field(lua_State *L)
{
    int is_integer = true;
    lua_Integer maximum = OUTPUT_DEFAULT;
    if (lua_getfield(L, 1, "max_output") != LUA_TNIL)
        maximum = lua_tointegerx(L, -1, &is_integer);
    if (!is_integer || maximum < 0 || maximum > OUTPUT_MAXIMUM)
        api_misuse(L, "exec: max_output must be a whole number of bytes between 0 and 64 MiB");
    lua_pop(L, 1);
    return (size_t)maximum;
}

/* Milliseconds, at least 1; 0 if the field is missing. */
static int64_t duration_field(lua_State *L, int table, const char *field)
{
    int64_t milliseconds = 0;
    int type = lua_getfield(L, table, field);
    if (type == LUA_TNUMBER && lua_tonumber(L, -1) > 0 && lua_tonumber(L, -1) < 1e9)
        milliseconds = (int64_t)ceil(lua_tonumber(L, -1) * 1000);
    else if (type == LUA_TSTRING)
        clock_parse_duration(lua_tostring(L, -1), &milliseconds);
    if (type != LUA_TNIL && milliseconds == 0)
        api_misuse(
            L, "exec: %s must be a number of seconds above 0 or a duration like \"60s\" or \"5m\"",
            field);
    lua_pop(L, 1);
    return milliseconds;
}

/* The kernel reports a missing program and a missing directory alike. */
static bool is_directory(const char *path)
{
    struct stat found;
    return stat(path, &found) == 0 && S_ISDIR(found.st_mode);
}

static int push_start_failure(lua_State *L, const char *program, const char *directory, int error)
{
    lua_pushnil(L);
    if (directory && !is_directory(directory))
        lua_pushfstring(L, "cannot run %s in cwd %s: %s", program, directory, uv_strerror(error));
    else
        lua_pushfstring(L, "cannot run %s: %s", program, uv_strerror(error));
    lua_pushstring(L, uv_err_name(error));
    return 3;
}

/* Pushes the failure; a recording has it, too. */
static int fail_to_start(lua_State *L, const struct process_request *request,
                         const struct exec_context *exec, int error)
{
    const struct vm *vm = vm_of(L);
    push_start_failure(L, request->argv[0], request->directory, error);
    struct calls_result call = calls_answered(vm->running, exec->noted);
    calls_set_text(&call, "error", lua_tostring(L, -2));
    calls_set_text(&call, "code", lua_tostring(L, -1));
    free(calls_end(&call, clock_monotonic_ms() - exec->started_ms));
    return 3;
}

static bool may_run(lua_State *L, const char *program)
{
    return playback_answers(vm_of(L)) || subprocess_allowed(L, program);
}

/* Starts it, or has a recording answer. NULL: `error` is libuv's. Takes the context, which the
 * operation then owns; `exec` is a copy of it. */
static struct operation *begin(struct vm *vm, const struct process_request *request,
                               process_results *results, const char *call,
                               struct exec_context *exec, int *error)
{
    exec->started_ms = clock_monotonic_ms();
    trace_scope_below(vm, &exec->trace);
    exec->call = call;
    if (vm->running->calls) /* somebody wants to know */
        keep_command(exec, request->argv);
    bool recorded = playback_answers(vm);
    json_t *question = recorded || vm->running->calls
                           ? calls_program(strrchr(call, '.') + 1, request->argv, request->input,
                                           request->input_length)
                           : NULL;
    if (question)
        exec->noted = calls_asked(vm, json_incref(question));
    struct exec_context *context = memory_allocate(sizeof *context);
    *context = *exec;
    if (recorded)
        return process_play(vm, question, results, context);
    json_decref(question);
    return process_start(vm, request, results, context, error);
}

/* The options are at index 1, the text it prints last (or nil) at 2. */
static int start(lua_State *L)
{
    check_table(L);
    vm_check_await(L, "molecule.exec");
    command_push_arguments(L, "exec");
    int arguments = lua_gettop(L);
    int64_t timeout_ms = duration_field(L, 1, "timeout");
    size_t output_maximum = output_field(L), input_length = 0;
    const char *directory = directory_field(L);
    const char *input = text_field(L, "stdin", &input_length);
    command_push_environment(L, "exec");
    int environment = lua_gettop(L);
    lua_rawgeti(L, arguments, 1);
    if (!may_run(L, lua_tostring(L, -1)))
        return 3;
    vm_charge(L, input_length);
    vm_uncharge(vm_of(L), input_length); /* it fits: the process is charged with it */
    struct exec_context exec = {.timeout_ms = timeout_ms};
    struct process_request request = {
        .argv = command_copy_arguments(L, arguments),
        .environment = command_make_environment(L, environment),
        .directory = directory,
        .input = input,
        .input_length = input_length,
        .timeout_ms = timeout_ms,
        .last_word = lua_tostring(L, 2),
        .output_maximum = output_maximum,
    };
    int error;
    struct operation *operation = begin(vm_of(L), &request, push_exec_result, "molecule.exec",
                                        &exec, &error);
    command_free_list(request.argv);
    command_free_list(request.environment);
    if (!operation) {
        request.argv = (char *[]){(char *)lua_tostring(L, -1), NULL};
        return fail_to_start(L, &request, &exec, error);
    }
    return vm_await(L, operation);
}

static int api_exec(lua_State *L)
{
    lua_settop(L, 1);
    lua_pushnil(L);
    return start(L);
}

/* core.exec_until(options, text): as exec; ends the program soon after it has printed the text,
 * should it stay. */
static int api_exec_until(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checkstring(L, 2);
    lua_settop(L, 2);
    return start(L);
}

static int push_execute_result(lua_State *L, const struct process_result *result, void *context)
{
    note(vm_of(L), context, result);
    return subprocess_push_exit(L, result->code, result->signal);
}

/* os.execute([command]): as Lua's, but other conversations continue meanwhile. */
static int api_execute(lua_State *L)
{
    if (lua_isnoneornil(L, 1)) {
        lua_pushboolean(L, true);
        return 1;
    }
    luaL_checkstring(L, 1);
    vm_check_await(L, "os.execute");
    if (!may_run(L, "/bin/sh"))
        return 3;
    char *argv[] = {(char *)"/bin/sh", (char *)"-c", (char *)lua_tostring(L, 1), NULL};
    struct process_request request = {.argv = argv, .inherit = true};
    struct exec_context exec = {0};
    int error;
    struct operation *operation = begin(vm_of(L), &request, push_execute_result, "os.execute",
                                        &exec, &error);
    if (!operation)
        return fail_to_start(L, &request, &exec, error);
    return vm_await(L, operation);
}

void api_exec_install(lua_State *L)
{
    if (sandbox_is_on(vm_of(L)))
        sandbox_push_refusal(L, "molecule.exec", NULL);
    else
        lua_pushcfunction(L, api_exec);
    lua_setfield(L, -2, "exec");
    if (sandbox_is_on(vm_of(L)))
        return;
    lua_pushcfunction(L, api_exec_until);
    lua_setfield(L, -2, "exec_until");
}

void api_execute_install(lua_State *L)
{
    lua_getglobal(L, LUA_OSLIBNAME);
    lua_pushcfunction(L, api_execute);
    lua_setfield(L, -2, "execute");
    lua_pop(L, 1);
}
