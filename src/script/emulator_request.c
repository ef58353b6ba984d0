/* A request's object is a userdata that points to the request while it is held. Methods of a dead
 * one do nothing and return false, so Lua need not know whether the client is still connected. */
#include "script/emulator_request.h"

#include "script/emulator_host.h"

#include <ctype.h>
#include <lauxlib.h>

#define REQUEST_METATABLE "molecule.emulator.request"
#define HEADERS_MAXIMUM 64

static const char serve_key = 0;    /* registry: function(request) */
static const char gone_key = 0;     /* registry: function(handle) */
static const char requests_key = 0; /* registry: lightuserdata of a held request -> its object */

struct request_object {
    struct http_request *request; /* NULL: dead */
};

static void set_lowered(const char *name, const char *value, size_t length, void *context)
{
    lua_State *L = context;
    luaL_Buffer buffer;
    luaL_buffinit(L, &buffer);
    for (; *name; name++)
        luaL_addchar(&buffer, (char)tolower((unsigned char)*name));
    luaL_pushresult(&buffer);
    lua_pushlstring(L, value, length);
    lua_rawset(L, -3);
}

/* As Go's Query().Get: the first of several wins. */
static void set_argument(const char *name, const char *value, size_t length, void *context)
{
    lua_State *L = context;
    if (lua_getfield(L, -1, name) == LUA_TNIL) {
        lua_pushlstring(L, value, length);
        lua_setfield(L, -3, name);
    }
    lua_pop(L, 1);
}

static void push_handle(lua_State *L, struct http_request *request)
{
    struct request_object *object = lua_newuserdatauv(L, sizeof *object, 0);
    object->request = NULL;
    luaL_setmetatable(L, REQUEST_METATABLE);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &requests_key);
    lua_pushvalue(L, -2);
    lua_rawsetp(L, -2, request);
    lua_pop(L, 1);
    object->request = request;
    http_request_set_data(request, object);
}

/* Runs protected: (lightuserdata request) -> calls the Lua half with the request as a table. */
static int serve_request(lua_State *L)
{
    struct http_request *request = lua_touserdata(L, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &serve_key);
    lua_createtable(L, 0, 12);
    push_handle(L, request);
    lua_setfield(L, -2, "handle");
    lua_pushstring(L, http_request_method(request));
    lua_setfield(L, -2, "method");
    lua_pushstring(L, http_request_path(request));
    lua_setfield(L, -2, "path");
    lua_newtable(L);
    http_request_each_header(request, set_lowered, L);
    lua_setfield(L, -2, "headers");
    lua_newtable(L);
    http_request_each_argument(request, set_argument, L);
    lua_setfield(L, -2, "query");
    size_t length;
    const char *body = http_request_body(request, &length);
    lua_pushlstring(L, body, length);
    lua_setfield(L, -2, "body");
    lua_call(L, 1, 0);
    return 0;
}

/* Runs protected: (lightuserdata request). */
static int forget_request(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &gone_key);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &requests_key);
    lua_rawgetp(L, -1, lua_touserdata(L, 1));
    lua_pushnil(L);
    lua_rawsetp(L, -3, lua_touserdata(L, 1));
    lua_remove(L, -2);
    if (!lua_isnil(L, -1))
        lua_call(L, 1, 0);
    return 0;
}

void emulator_request_arrived(struct http_request *request, void *context)
{
    struct emulator_host *host = context;
    lua_pushcfunction(host->L, serve_request);
    lua_pushlightuserdata(host->L, request);
    if (emulator_host_call(host, 1, "serving a request"))
        return;
    struct request_object *object = http_request_data(request);
    if (object && object->request) {
        static const char body[] = "{\"error\":\"the emulator failed; its log says where\"}";
        object->request = NULL;
        http_request_answer(
            request, &(struct http_answer){.status = 500, .body = body, .length = sizeof body - 1});
    }
}

void emulator_request_gone(struct http_request *request, void *context)
{
    struct emulator_host *host = context;
    struct request_object *object = http_request_data(request);
    if (!object)
        return;
    object->request = NULL;
    lua_pushcfunction(host->L, forget_request);
    lua_pushlightuserdata(host->L, request);
    emulator_host_call(host, 1, "a client's departure");
}

/* The live request of the object at index 1; NULL when it is dead. */
static struct http_request *check_request(lua_State *L)
{
    struct request_object *object = luaL_checkudata(L, 1, REQUEST_METATABLE);
    return object->request;
}

/* Detaches the object at index 1 from its request. */
static void release(lua_State *L, struct http_request *request)
{
    struct request_object *object = lua_touserdata(L, 1);
    object->request = NULL;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &requests_key);
    lua_pushnil(L);
    lua_rawsetp(L, -2, request);
    lua_pop(L, 1);
}

/* The headers of the table at `index`; the strings stay valid while the table does. */
static size_t check_headers(lua_State *L, int index, struct http_header headers[HEADERS_MAXIMUM])
{
    size_t count = 0;
    if (lua_isnoneornil(L, index))
        return 0;
    luaL_checktype(L, index, LUA_TTABLE);
    lua_pushnil(L);
    while (lua_next(L, index)) {
        luaL_argcheck(L, lua_type(L, -2) == LUA_TSTRING && lua_type(L, -1) == LUA_TSTRING, index,
                      "headers must be strings");
        luaL_argcheck(L, count < HEADERS_MAXIMUM, index, "too many headers");
        headers[count++] = (struct http_header){lua_tostring(L, -2), lua_tostring(L, -1)};
        lua_pop(L, 1);
    }
    return count;
}

static lua_Integer optional_field(lua_State *L, int index, const char *name, lua_Integer otherwise)
{
    if (!lua_istable(L, index))
        return otherwise;
    lua_getfield(L, index, name);
    lua_Integer value = luaL_optinteger(L, -1, otherwise);
    lua_pop(L, 1);
    luaL_argcheck(L, value >= otherwise && value <= INT32_MAX, index, name);
    return value;
}

/* handle:answer(status, headers, body, {delay_ms, cut_after, drip_bytes, drip_ms}) -> false if the
 * client is gone */
static int request_answer(lua_State *L)
{
    struct http_request *request = check_request(L);
    struct http_header headers[HEADERS_MAXIMUM];
    struct http_answer answer = {.status = (int)luaL_checkinteger(L, 2), .headers = headers};
    luaL_argcheck(L, answer.status >= 200 && answer.status <= 599, 2, "a status from 200 to 599");
    answer.header_count = check_headers(L, 3, headers);
    answer.body = luaL_optlstring(L, 4, "", &answer.length);
    lua_Integer cut_after = optional_field(L, 5, "cut_after", -1);
    answer.cut = cut_after >= 0;
    answer.cut_after = cut_after >= 0 ? (size_t)cut_after : 0;
    answer.delay_ms = (unsigned)optional_field(L, 5, "delay_ms", 0);
    answer.drip_bytes = (size_t)optional_field(L, 5, "drip_bytes", 0);
    answer.drip_ms = (unsigned)optional_field(L, 5, "drip_ms", 0);
    if (request) {
        release(L, request);
        http_request_answer(request, &answer);
    }
    lua_pushboolean(L, request != NULL);
    return 1;
}

static int request_reset(lua_State *L)
{
    struct http_request *request = check_request(L);
    if (request) {
        release(L, request);
        http_request_reset(request);
    }
    return 0;
}

static int request_stream(lua_State *L)
{
    struct http_request *request = check_request(L);
    int status = (int)luaL_checkinteger(L, 2);
    struct http_header headers[HEADERS_MAXIMUM];
    size_t count = check_headers(L, 3, headers);
    if (request)
        http_stream_begin(request, status, headers, count);
    lua_pushboolean(L, request != NULL);
    return 1;
}

static int request_send(lua_State *L)
{
    struct http_request *request = check_request(L);
    size_t length;
    const char *bytes = luaL_checklstring(L, 2, &length);
    lua_pushboolean(L, request && http_stream_send(request, bytes, length));
    return 1;
}

static int request_finish(lua_State *L)
{
    struct http_request *request = check_request(L);
    if (request) {
        release(L, request);
        http_stream_end(request);
    }
    return 0;
}

static const luaL_Reg request_methods[] = {{"answer", request_answer}, {"reset", request_reset},
                                           {"stream", request_stream}, {"send", request_send},
                                           {"finish", request_finish}, {NULL, NULL}};

int emulator_request_serve(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &gone_key);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &serve_key);
    return 0;
}

void emulator_request_install(lua_State *L)
{
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &requests_key);
    luaL_newmetatable(L, REQUEST_METATABLE);
    luaL_newlib(L, request_methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}
