#include "script/process_playback.h"

#include "base/memory.h"
#include "script/handler_run.h"
#include "script/playback.h"
#include "script/vm.h"

#include <stdlib.h>

struct played {
    struct operation operation; /* first */
    struct turn turn;
    json_t *call;
    char *output, *errors;
    struct process_result result;
    process_results *results;
    void *context;
};

static int64_t number(const json_t *call, const char *name)
{
    return json_integer_value(json_object_get(call, name));
}

static int push_results(lua_State *L, struct operation *operation)
{
    struct played *played = (struct played *)operation;
    const char *error = json_string_value(json_object_get(played->call, "error")),
               *code = json_string_value(json_object_get(played->call, "code"));
    if (!error)
        return played->results(L, &played->result, played->context);
    luaL_pushfail(L);
    lua_pushstring(L, error);
    lua_pushstring(L, code);
    return 3;
}

static void cancel(struct operation *operation)
{
    turn_leave(&((struct played *)operation)->turn);
}

static void release(struct operation *operation)
{
    struct played *played = (struct played *)operation;
    turn_leave(&played->turn);
    json_decref(played->call);
    free(played->output);
    free(played->errors);
    free(played->context);
    free(played);
}

static void run_wake(struct turn *turn)
{
    struct played *played = (struct played *)((char *)turn - offsetof(struct played, turn));
    operation_wake(&played->operation);
}

struct operation *process_play(struct vm *vm, json_t *question, process_results *results,
                               void *context)
{
    struct played *played = memory_allocate(sizeof *played);
    struct process_result *result = &played->result;
    json_t *call = played->call = playback_find(vm, question);
    played->operation = (struct operation){
        .results = push_results, .cancel = cancel, .release = release};
    played->results = results;
    played->context = context;
    played->output = calls_get_bytes(call, "stdout", &result->output_length);
    played->errors = calls_get_bytes(call, "stderr", &result->errors_length);
    result->output = played->output ? played->output : "";
    result->errors = played->errors ? played->errors : "";
    result->code = (int)number(call, "exit_code");
    result->signal = (int)number(call, "signal");
    result->timed_out = json_is_true(json_object_get(call, "timed_out"));
    result->output_cut = json_is_true(json_object_get(call, "truncated"));
    if (!json_object_get(call, "unfinished"))
        turn_take(vm->lane, &played->turn, run_wake);
    return &played->operation;
}

void process_note(const struct calls_result *call, const struct process_result *result)
{
    calls_set(call, "exit_code", json_integer(result->code));
    if (result->signal)
        calls_set(call, "signal", json_integer(result->signal));
    if (result->timed_out)
        calls_set(call, "timed_out", json_true());
    if (result->output_cut)
        calls_set(call, "truncated", json_true());
    if (result->output_length > 0)
        calls_set_bytes(call, "stdout", result->output, result->output_length,
                        result->output_length);
    if (result->errors_length > 0)
        calls_set_bytes(call, "stderr", result->errors, result->errors_length,
                        result->errors_length);
}
