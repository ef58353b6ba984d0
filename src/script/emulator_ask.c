#include "script/emulator_ask.h"

#include "base/memory.h"

#include <lauxlib.h>
#include <stdlib.h>

struct emulator_ask {
    uv_work_t work;             /* first */
    struct emulator_host *host; /* NULL: closed */
    struct emulator_ask *next;
    char *(*ask)(void *context, const char *request, char *problem, size_t problem_size);
    void *context;
    char *request, *answer;
    char problem[1024];
    int callback; /* registry reference */
};

/* On a thread of libuv's pool: the host may take its time. */
static void on_work(uv_work_t *work)
{
    struct emulator_ask *ask = (struct emulator_ask *)work;
    ask->answer = ask->ask(ask->context, ask->request, ask->problem, sizeof ask->problem);
}

static void unlink_ask(struct emulator_ask *ask)
{
    struct emulator_ask **link = &ask->host->asks;
    while (*link != ask)
        link = &(*link)->next;
    *link = ask->next;
}

static void on_done(uv_work_t *work, int status)
{
    (void)status;
    struct emulator_ask *ask = (struct emulator_ask *)work;
    if (ask->host) {
        lua_State *L = ask->host->L;
        unlink_ask(ask);
        lua_rawgeti(L, LUA_REGISTRYINDEX, ask->callback);
        luaL_unref(L, LUA_REGISTRYINDEX, ask->callback);
        lua_pushstring(L, ask->answer);
        lua_pushstring(L, ask->answer ? NULL : ask->problem);
        emulator_host_call(ask->host, 2, "an answer of the host");
    }
    free(ask->request);
    free(ask->answer);
    free(ask);
}

int emulator_ask(lua_State *L)
{
    struct emulator_host *host = emulator_host_of(L);
    const char *request = luaL_checkstring(L, 1);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    if (!host->ask_host) {
        lua_pushnil(L);
        lua_pushliteral(L, "no host is connected");
        lua_call(L, 2, 0);
        return 0;
    }
    int callback = luaL_ref(L, LUA_REGISTRYINDEX);
    struct emulator_ask *ask = memory_allocate(sizeof *ask);
    ask->host = host;
    ask->ask = host->ask_host;
    ask->context = host->context;
    ask->request = memory_copy_text(request);
    ask->callback = callback;
    ask->next = host->asks;
    host->asks = ask;
    uv_queue_work(host->loop, &ask->work, on_work, on_done);
    return 0;
}

void emulator_ask_close(struct emulator_host *host)
{
    for (struct emulator_ask *ask = host->asks; ask; ask = ask->next)
        ask->host = NULL;
    host->asks = NULL;
}
