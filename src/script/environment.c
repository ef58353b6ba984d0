/* The standard libraries as scripts get them, in every mode: nothing that ends or freezes the
 * process behind the host's back, no bytecode, no finalizer of a script's (no hook runs inside
 * __gc). */
#include "script/environment.h"

#include "script/vm.h"

#include <lualib.h>
#include <string.h>

static int refuse(lua_State *L)
{
    return luaL_error(L, "%s is not available: %s", lua_tostring(L, lua_upvalueindex(1)),
                      lua_tostring(L, lua_upvalueindex(2)));
}

static void set_refusal(lua_State *L, const char *library, const char *name, const char *why)
{
    lua_getglobal(L, library);
    lua_pushfstring(L, "%s.%s", library, name);
    lua_pushstring(L, why);
    lua_pushcclosure(L, refuse, 2);
    lua_setfield(L, -2, name);
    lua_pop(L, 1);
}

static bool has_finalizer(lua_State *L, int index)
{
    index = lua_absindex(L, index);
    lua_pushliteral(L, "__gc");
    bool has = lua_rawget(L, index) != LUA_TNIL;
    lua_pop(L, 1);
    return has;
}

/* Lua's own, which is upvalue 1, but for metatables with __gc. */
static int safe_setmetatable(lua_State *L)
{
    if (lua_istable(L, 2) && has_finalizer(L, 2))
        return luaL_error(
            L, "a metatable with __gc is not available to scripts: nothing could interrupt it; "
               "use __close, or the agent's stop(ctx)");
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, 1);
    return 1;
}

/* Made by the host, with luaL_newmetatable, for what it hands to scripts. */
static bool is_ours(lua_State *L, int index)
{
    static const char prefix[] = "molecule.";
    index = lua_absindex(L, index);
    lua_pushliteral(L, "__name");
    lua_rawget(L, index);
    bool ours = false;
    if (lua_type(L, -1) == LUA_TSTRING &&
        strncmp(lua_tostring(L, -1), prefix, sizeof prefix - 1) == 0) {
        lua_pushvalue(L, -1);
        lua_rawget(L, LUA_REGISTRYINDEX);
        ours = lua_rawequal(L, -1, index);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return ours;
}

/* Not handed out: the metatables of libraries' userdata (files, …), which have finalizers, and
 * ours: a finalizer that a script adds there would apply to everything the host makes with them. */
static int safe_getmetatable(lua_State *L)
{
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, 1);
    if (lua_istable(L, -1) && (has_finalizer(L, -1) || is_ours(L, -1)))
        lua_pushboolean(L, false);
    return 1;
}

/* The pieces that the function at index 1 returns, until nil or "", as one string in its place.
 * Lua's own load would be on the stack below that function, and debug.getinfo would hand it out. */
static void read_pieces(lua_State *L)
{
    luaL_Buffer text;
    lua_settop(L, 4);
    luaL_buffinit(L, &text);
    for (bool more = true; more;) {
        lua_pushvalue(L, 1);
        lua_call(L, 0, 1);
        if (!lua_isnil(L, -1) && !lua_isstring(L, -1))
            luaL_error(L, "reader function must return a string");
        more = !lua_isnil(L, -1) && lua_rawlen(L, -1) > 0;
        if (more)
            luaL_addvalue(&text);
        else
            lua_pop(L, 1);
    }
    luaL_pushresult(&text);
    lua_replace(L, 1);
}

/* load(chunk [, name [, mode [, env]]]) with mode "t". */
static int text_load(lua_State *L)
{
    bool environment = lua_gettop(L) >= 4;
    lua_settop(L, 4);
    if (!lua_isstring(L, 1)) {
        luaL_checktype(L, 1, LUA_TFUNCTION);
        if (lua_isnoneornil(L, 2)) {
            lua_pushliteral(L, "=(load)"); /* what Lua calls it */
            lua_replace(L, 2);
        }
        read_pieces(L);
    }
    lua_pushliteral(L, "t");
    lua_replace(L, 3);
    lua_settop(L, environment ? 4 : 3);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

/* loadfile([name [, mode [, env]]]) with mode "t". */
static int text_loadfile(lua_State *L)
{
    bool environment = lua_gettop(L) >= 3;
    lua_settop(L, environment ? 3 : 2);
    luaL_checkstring(L, 1); /* standard input is not a script's to read code from */
    lua_pushliteral(L, "t");
    lua_replace(L, 2);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

static int continue_dofile(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    return lua_gettop(L) - 1;
}

static int text_dofile(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    lua_settop(L, 1);
    if (luaL_loadfilex(L, name, "t") != LUA_OK)
        return lua_error(L);
    lua_callk(L, 0, LUA_MULTRET, 0, continue_dofile);
    return continue_dofile(L, 0, 0);
}

/* debug.getupvalue and setupvalue, but not for C functions: ours keep what they wrap, and what they
 * rely on, in upvalues. */
static int lua_upvalue(lua_State *L)
{
    if (lua_iscfunction(L, 1))
        return 0;
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

/* Puts `function` around the global, or the field of a library, that it replaces. */
static void surround(lua_State *L, const char *library, const char *name, lua_CFunction function)
{
    lua_getglobal(L, library);
    lua_getfield(L, -1, name);
    lua_pushcclosure(L, function, 1);
    lua_setfield(L, -2, name);
    lua_pop(L, 1);
}

static void remove_field(lua_State *L, const char *library, const char *name)
{
    lua_getglobal(L, library);
    lua_pushnil(L);
    lua_setfield(L, -2, name);
    lua_pop(L, 1);
}

void environment_install(lua_State *L)
{
    luaL_openlibs(L);
    set_refusal(L, "os", "exit",
                "it would end every message under way; return a value or raise an error");
    set_refusal(L, "os", "setlocale", "the locale belongs to the whole process");
    surround(L, "_G", "setmetatable", safe_setmetatable);
    surround(L, "_G", "getmetatable", safe_getmetatable);
    surround(L, "_G", "load", text_load);
    surround(L, "_G", "loadfile", text_loadfile);
    lua_pushcfunction(L, text_dofile);
    lua_setglobal(L, "dofile");
    surround(L, "debug", "getmetatable", safe_getmetatable);
    surround(L, "debug", "getupvalue", lua_upvalue);
    surround(L, "debug", "setupvalue", lua_upvalue);
    remove_field(L, "debug", "setlocal"); /* it reaches into running C functions */
    remove_field(L, "debug", "sethook");
    remove_field(L, "debug", "setmetatable");
    remove_field(L, "debug", "getregistry");
    remove_field(L, "debug", "debug");
}
