#include "script/pipe_read.h"

#include "script/numeral.h"
#include "script/pipe.h"
#include "script/vm.h"
#include "script/vm_await.h"
#include "script/vm_memory.h"

#include <string.h>

static void take(lua_State *L, struct pipe *pipe, size_t length, size_t more)
{
    lua_pushlstring(L, length ? pipe->input.data : "", length);
    buffer_consume(&pipe->input, length + more);
    pipe->searched = 0;
}

/* These push a value, or nil at the end, and say true; false: more bytes are needed. */
static bool take_line(lua_State *L, struct pipe *pipe, bool with_end)
{
    size_t left = pipe->input.length - pipe->searched;
    const char *end = left ? memchr(pipe->input.data + pipe->searched, '\n', left) : NULL;
    if (end) {
        size_t length = (size_t)(end - pipe->input.data);
        take(L, pipe, length + with_end, !with_end);
        return true;
    }
    pipe->searched = pipe->input.length;
    if (pipe->ended && pipe->input.length > 0)
        take(L, pipe, pipe->input.length, 0);
    else if (pipe->ended)
        luaL_pushfail(L);
    return pipe->ended;
}

static bool take_count(lua_State *L, struct pipe *pipe, size_t count)
{
    size_t there = pipe->input.length;
    if (there < count + (count == 0) && !pipe->ended)
        return false;
    if (there == 0)
        luaL_pushfail(L);
    else
        take(L, pipe, there < count ? there : count, 0);
    return true;
}

static bool take_number(lua_State *L, struct pipe *pipe)
{
    char text[NUMERAL_SIZE];
    size_t used;
    if (!numeral_scan(pipe->input.data, pipe->input.length, pipe->ended, text, &used))
        return false;
    buffer_consume(&pipe->input, used);
    pipe->searched = 0;
    if (!lua_stringtonumber(L, text))
        luaL_pushfail(L);
    return true;
}

static char format_letter(lua_State *L, int index)
{
    const char *format = luaL_checkstring(L, index);
    format += *format == '*'; /* as before Lua 5.3 */
    luaL_argcheck(L, *format && strchr("nlLa", *format), index, "invalid format");
    return *format;
}

static void check_formats(lua_State *L, int count)
{
    luaL_checkstack(L, count + LUA_MINSTACK, "too many arguments");
    for (int index = 2; index < 2 + count; index++) {
        if (lua_type(L, index) != LUA_TNUMBER)
            format_letter(L, index);
        else if (luaL_checkinteger(L, index) < 0 ||
                 (size_t)lua_tointeger(L, index) > PIPE_READ_MAXIMUM)
            luaL_argerror(L, index, "must be between 0 and 64 MiB");
    }
}

static bool take_format(lua_State *L, struct pipe *pipe, int index)
{
    if (lua_type(L, index) == LUA_TNUMBER)
        return take_count(L, pipe, (size_t)lua_tointeger(L, index));
    char letter = format_letter(L, index);
    if (letter == 'n')
        return take_number(L, pipe);
    if (letter != 'a')
        return take_line(L, pipe, letter == 'L');
    if (pipe->ended)
        take(L, pipe, pipe->input.length, 0);
    return pipe->ended;
}

static int go_on_reading(lua_State *L, int status, lua_KContext count);

static int await_input(lua_State *L, struct pipe *pipe, int count)
{
    bool fits = pipe->input.length + sizeof pipe->chunk < pipe->input.capacity ||
                vm_make_room(vm_of(L), 2 * (pipe->input.capacity + sizeof pipe->chunk));
    if (!fits || pipe->input.length + sizeof pipe->chunk > PIPE_READ_MAXIMUM) {
        luaL_pushfail(L);
        lua_pushfstring(L, "%s: more %s", pipe->command,
                        fits ? "than 64 MiB at once"
                             : "at once than the memory that is left (--memory-limit)");
        lua_pushliteral(L, "TOO_LARGE");
        return 3;
    }
    vm_check_await(L, "a pipe's read");
    return pipe_await_input(L, pipe, go_on_reading, count);
}

/* Stack: pipe, `count` formats, the results so far. */
static int read_formats(lua_State *L, int count)
{
    struct pipe *pipe = *(struct pipe **)lua_touserdata(L, 1);
    for (int done = lua_gettop(L) - 1 - count; done < count; done++) {
        if (!take_format(L, pipe, 2 + done))
            return await_input(L, pipe, count);
        if (lua_isnil(L, -1) && pipe->error)
            return pipe_push_failure(L, pipe->error);
        if (lua_isnil(L, -1))
            return done + 1;
    }
    return count;
}

static int go_on_reading(lua_State *L, int status, lua_KContext count)
{
    (void)status;
    vm_end_await(vm_of(L)->branch);
    return read_formats(L, (int)count);
}

int pipe_read(lua_State *L)
{
    struct pipe *pipe = pipe_check(L);
    if (!pipe->reads)
        return pipe_push_failure(L, UV_EBADF);
    if (lua_gettop(L) == 1)
        lua_pushliteral(L, "l");
    int count = lua_gettop(L) - 1;
    check_formats(L, count);
    return read_formats(L, count);
}

static int next_line(lua_State *L)
{
    int count = (int)lua_tointeger(L, lua_upvalueindex(2));
    lua_settop(L, 0);
    luaL_checkstack(L, count + LUA_MINSTACK, "too many arguments");
    lua_pushvalue(L, lua_upvalueindex(1));
    for (int i = 1; i <= count; i++)
        lua_pushvalue(L, lua_upvalueindex(2 + i));
    return pipe_read(L);
}

int pipe_lines(lua_State *L)
{
    pipe_check(L);
    int count = lua_gettop(L) - 1;
    luaL_argcheck(L, count <= 250, 252, "too many arguments");
    check_formats(L, count);
    lua_pushinteger(L, count);
    lua_insert(L, 2);
    lua_pushcclosure(L, next_line, 2 + count);
    return 1;
}
