/* core.model_called(input, output, provider, model, seconds): a model has answered; the numbers of
 * tokens are what it says, and none counts as 0. */
#include "script/api.h"
#include "script/script.h"
#include "script/script_private.h"
#include "script/trace_scope.h"
#include "script/vm.h"

#include <stdio.h>

static int64_t whole(lua_State *L, int index)
{
    int is_whole;
    lua_Integer value = lua_tointegerx(L, index, &is_whole);
    return is_whole && value > 0 ? value : 0;
}

/* A call of a model, as OpenTelemetry's conventions for generative AI have it (wire/otlp_names.h).
 */
static void trace_call(struct vm *vm, lua_State *L)
{
    char name[160];
    struct trace_place place;
    const char *model = luaL_optstring(L, 4, "");
    trace_scope_below(vm, &place);
    snprintf(name, sizeof name, "chat %s", model);
    trace_record(&(struct trace_span){
        .context = &place.context,
        .parent = place.parent,
        .kind = TRACE_CLIENT,
        .name = name,
        .took_ms = (int64_t)(luaL_optnumber(L, 5, 0) * 1000),
        .values = {{TRACE_OPERATION, .text = "chat"},
                   {TRACE_PROVIDER, .text = luaL_optstring(L, 3, "")},
                   {TRACE_MODEL, .text = model},
                   {TRACE_INPUT_TOKENS, .number = whole(L, 1)},
                   {TRACE_OUTPUT_TOKENS, .number = whole(L, 2)}},
        .value_count = 5,
    });
}

static int model_called(lua_State *L)
{
    struct vm *vm = vm_of(L);
    for (int i = 0; vm->script && i < 2; i++)
        atomic_fetch_add(&vm->script->tokens[i], (uint64_t)whole(L, i + 1));
    trace_call(vm, L);
    return 0;
}

void script_tokens(const struct script *script, double tokens[2])
{
    for (int i = 0; i < 2; i++)
        tokens[i] = (double)script->tokens[i];
}

void api_model_install(lua_State *L)
{
    lua_pushcfunction(L, model_called);
    lua_setfield(L, -2, "model_called");
}
