/* What the parts of a message's way cost by themselves, in messages a second. Usage:
 *   bench_alone lua SCRIPT COUNT   calls the script's handler with a message, again and again
 *   bench_alone json PAGE COUNT    parses each row of a page with jansson and prints it again
 * The message's table is made anew for each call, as the host must. */
#include <jansson.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int fail(const char *what)
{
    fprintf(stderr, "bench_alone: %s\n", what);
    return 1;
}

static int run_lua(const char *script, long count)
{
    lua_State *L = luaL_newstate();
    if (!L)
        return fail("no Lua state");
    luaL_openlibs(L);
    if (luaL_dofile(L, script) != LUA_OK)
        return fail(lua_tostring(L, -1));
    double began = now_s();
    for (long i = 0; i < count; i++) {
        lua_pushvalue(L, -1);
        lua_createtable(L, 0, 2);
        lua_pushfstring(L, "please check the build #0:%d and tell what you found", (int)i);
        lua_setfield(L, -2, "text");
        lua_pushliteral(L, "00000000-0000-4000-9000-000000000002");
        lua_setfield(L, -2, "from");
        if (lua_pcall(L, 1, 1, 0) != LUA_OK || !lua_isstring(L, -1))
            return fail("the handler returned no text");
        lua_pop(L, 1);
    }
    printf("%.1f\n", (double)count / (now_s() - began));
    lua_close(L);
    return 0;
}

static int run_json(const char *path, long count)
{
    json_t *page = json_load_file(path, 0, NULL);
    size_t rows = json_array_size(page), cut = 0;
    char **texts = calloc(rows + 1, sizeof *texts);
    if (rows == 0 || !texts)
        return fail("the page holds no rows");
    for (; cut < rows; cut++)
        texts[cut] = json_dumps(json_array_get(page, cut), JSON_COMPACT);
    double began = now_s();
    for (long i = 0; i < count; i++) {
        json_t *row = json_loads(texts[(size_t)i % rows], 0, NULL);
        char *text = json_dumps(row, JSON_COMPACT);
        if (!text)
            return fail("a row did not survive");
        free(text);
        json_decref(row);
    }
    printf("%.1f\n", (double)count / (now_s() - began));
    for (size_t i = 0; i < rows; i++)
        free(texts[i]);
    free(texts);
    json_decref(page);
    return 0;
}

int main(int count, char **arguments)
{
    long times = count == 4 ? atol(arguments[3]) : 0;
    if (times < 1)
        return fail("usage: bench_alone lua|json FILE COUNT") + 1;
    return strcmp(arguments[1], "lua") == 0 ? run_lua(arguments[2], times)
                                            : run_json(arguments[2], times);
}
