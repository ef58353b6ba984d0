/* molecule.log: core.log(level, text). */
#include "base/log.h"
#include "script/api.h"
#include "script/script_private.h"
#include "script/script_said.h"
#include "script/vm.h"

/* Where the script calls: the innermost function that stands in a file. */
static bool find_caller(lua_State *L, lua_Debug *caller)
{
    for (int level = 1; lua_getstack(L, level, caller); level++)
        if (lua_getinfo(L, "Sl", caller) && *caller->source == '@' && caller->currentline > 0)
            return true;
    return false;
}

static int api_log(lua_State *L)
{
    static const char *const levels[] = {"error", "warn", "info", "debug", NULL};
    int level = luaL_checkoption(L, 1, NULL, levels);
    const char *text = luaL_checkstring(L, 2);
    struct vm *vm = vm_of(L);
    lua_Debug caller;
    struct log_subject subject = {.workspace = vm->workspace_id};
    if (find_caller(L, &caller)) {
        subject.file = caller.source + 1;
        subject.line = caller.currentline;
    }
    const struct script_job *job = vm->running ? vm->running->job : NULL;
    if (job && job->message) {
        subject.row = job->message->row_id;
        subject.attempt = job->attempt;
        subject.trace_id = *job->trace.trace_id ? job->trace.trace_id : NULL;
    }
    log_write((enum log_level)level, LOG_SCRIPT_LOG, subject, "script: %s", text);
    script_say(vm, levels[level], text);
    return 0;
}

void api_log_install(lua_State *L)
{
    lua_pushcfunction(L, api_log);
    lua_setfield(L, -2, "log");
}
