#include "script/vm_open.h"

#include "base/log.h"
#include "base/memory.h"
#include "net/allowed_hosts.h"
#include "net/http_client.h"
#include "script/agent.h"
#include "script/api.h"
#include "script/api_cron.h"
#include "script/api_timer.h"
#include "script/coroutines.h"
#include "script/environment.h"
#include "script/loader.h"
#include "script/vm.h"
#include "script/vm_memory.h"

#include <stdlib.h>

/* Reached only through a bug of ours: every call into Lua is protected. */
static int panic(lua_State *L)
{
    log_error(LOG_INTERNAL_ERROR, NULL, "internal error: unprotected Lua error: %s",
              lua_tostring(L, -1));
    log_flush();
    return 0;
}

static int open_libraries(lua_State *L)
{
    environment_install(L);
    loader_install(L);
    coroutines_install(L);
    api_install(L);
    return 0;
}

struct vm *vm_open(uv_loop_t *loop, const char *workspace_id, size_t memory_limit)
{
    struct vm *vm = memory_allocate(sizeof *vm);
    vm->loop = loop;
    vm->workspace_id = workspace_id;
    vm->memory_limit = memory_limit;
    vm->agent = LUA_NOREF;
    vm->info = memory_allocate(sizeof *vm->info);
    vm->L = lua_newstate(vm_allocate, vm);
    if (!vm->L) {
        free(vm->info);
        free(vm);
        return NULL;
    }
    vm_bind(vm->L, vm);
    lua_atpanic(vm->L, panic);
    char problem[512];
    if (!vm_call(vm, open_libraries, NULL, problem, sizeof problem)) {
        log_error(LOG_INTERNAL_ERROR, workspace_id, "cannot set up a Lua state: %s", problem);
        vm_close(vm);
        return NULL;
    }
    return vm;
}

void vm_close(struct vm *vm)
{
    vm->running = NULL;
    vm->branch = NULL;
    timers_stop(vm);
    schedules_free(vm);
    vm->memory_limit = 0;
    lua_sethook(vm->L, NULL, 0, 0);
    lua_close(vm->L);
    http_client_close(vm->http);
    allowed_hosts_close(vm->allowed_hosts);
    allowed_hosts_close(vm->file_hosts);
    agent_info_free(vm->info);
    free(vm->info);
    free(vm);
}
