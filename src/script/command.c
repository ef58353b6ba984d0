#include "script/command.h"

#include "base/memory.h"
#include "script/api_errors.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARGUMENTS_MAXIMUM 10000

void command_free_list(char **list)
{
    for (char **item = list; list && *item; item++)
        free(*item);
    free(list);
}

/* Pushes a copy of the list of strings at `table`, whose metamethods may answer differently the
 * next time. */
static void push_checked_arguments(lua_State *L, const char *name, int table)
{
    lua_Integer count = luaL_len(L, table);
    if (count < 1 || count > ARGUMENTS_MAXIMUM)
        api_misuse(L, "%s: argv must be a list of 1 to %d strings", name, ARGUMENTS_MAXIMUM);
    lua_createtable(L, (int)count, 0);
    for (lua_Integer i = 1; i <= count; i++) {
        size_t length;
        if (lua_geti(L, table, i) != LUA_TSTRING && lua_type(L, -1) != LUA_TNUMBER)
            api_misuse(L, "%s: argv[%d] is a %s, not a string", name, (int)i, luaL_typename(L, -1));
        if (strlen(lua_tolstring(L, -1, &length)) != length) /* a number is a string from now on */
            api_misuse(L, "%s: argv[%d] holds a zero byte", name, (int)i);
        lua_rawseti(L, -2, i);
    }
}

char **command_copy_arguments(lua_State *L, int table)
{
    size_t count = lua_rawlen(L, table);
    char **list = memory_allocate((count + 1) * sizeof *list);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, table, (lua_Integer)i + 1);
        list[i] = memory_copy_text(lua_tostring(L, -1));
        lua_pop(L, 1);
    }
    return list;
}

char **command_make_environment(lua_State *L, int index)
{
    if (lua_isnil(L, index))
        return NULL;
    size_t count = 0, kept = 0;
    while (environ[count])
        count++;
    lua_pushnil(L);
    size_t changes = 0;
    while (lua_next(L, index)) {
        changes++;
        lua_pop(L, 1);
    }
    char **list = memory_allocate((count + changes + 1) * sizeof *list);
    for (size_t i = 0; i < count; i++) {
        const char *equals = strchr(environ[i], '=');
        bool replaced = false;
        lua_pushnil(L);
        while (equals && lua_next(L, index)) {
            const char *name = lua_tostring(L, -2);
            replaced = replaced || (strlen(name) == (size_t)(equals - environ[i]) &&
                                    strncmp(name, environ[i], strlen(name)) == 0);
            lua_pop(L, 1);
        }
        if (!equals)
            lua_pop(L, 1);
        if (!replaced)
            list[kept++] = memory_copy_text(environ[i]);
    }
    lua_pushnil(L);
    while (lua_next(L, index)) {
        if (lua_type(L, -1) == LUA_TSTRING)
            list[kept++] = memory_format("%s=%s", lua_tostring(L, -2), lua_tostring(L, -1));
        lua_pop(L, 1);
    }
    return list;
}

/* Pushes a copy of the table at `index`. */
static void push_checked_environment(lua_State *L, const char *name, int index)
{
    lua_newtable(L);
    lua_pushnil(L);
    while (lua_next(L, index)) {
        if (lua_type(L, -2) != LUA_TSTRING || strchr(lua_tostring(L, -2), '='))
            api_misuse(L, "%s: env must be a table of NAME = value", name);
        if (lua_type(L, -1) != LUA_TSTRING && !(lua_isboolean(L, -1) && !lua_toboolean(L, -1)))
            api_misuse(L, "%s: env.%s must be a string, or false to remove it", name,
                       lua_tostring(L, -2));
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -4);
    }
}

void command_push_arguments(lua_State *L, const char *name)
{
    bool has_cmd = lua_getfield(L, 1, "cmd") != LUA_TNIL;
    bool has_argv = lua_getfield(L, 1, "argv") != LUA_TNIL;
    if (has_cmd == has_argv)
        api_misuse(L, "%s: give either argv = {program, …} or cmd = \"shell command\"", name);
    if (has_argv) {
        if (!lua_istable(L, -1))
            api_misuse(L, "%s: argv must be a list of strings, not a %s", name,
                       luaL_typename(L, -1));
        push_checked_arguments(L, name, lua_gettop(L));
        return;
    }
    lua_createtable(L, 3, 0);
    lua_pushliteral(L, "/bin/sh");
    lua_rawseti(L, -2, 1);
    lua_pushliteral(L, "-c");
    lua_rawseti(L, -2, 2);
    lua_pushvalue(L, -3);
    lua_rawseti(L, -2, 3);
    push_checked_arguments(L, name, lua_gettop(L));
}

void command_push_environment(lua_State *L, const char *name)
{
    if (lua_getfield(L, 1, "env") == LUA_TNIL)
        return;
    if (!lua_istable(L, -1))
        api_misuse(L, "%s: env must be a table of NAME = value, not a %s", name,
                   luaL_typename(L, -1));
    push_checked_environment(L, name, lua_gettop(L));
}
