/* The border between the emulator's server and its Lua: requests as objects, timers, time, random
 * names.
 *
 * A request's object is a userdata that points to the request while it is held; every method of a
 * dead one does nothing and returns false, so Lua need not know whether the client is still there.
 */
#include "script/emulator_host.h"

#include "base/base64.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/nearest.h"
#include "base/terminal.h"
#include "base/uuid.h"

#include <ctype.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define REQUEST_METATABLE "molecule.emulator.request"
#define HEADERS_MAXIMUM 64

static const char host_key = 0;     /* registry: the emulator_host */
static const char serve_key = 0;    /* registry: function(request) */
static const char gone_key = 0;     /* registry: function(handle) */
static const char requests_key = 0; /* registry: lightuserdata of a held request -> its object */

struct request_object {
    struct http_request *request; /* NULL: dead */
};

struct emulator_timer {
    uv_timer_t timer;
    struct emulator_host *host; /* NULL: closed */
    struct emulator_timer *previous, *next;
    int callback; /* registry reference */
};

static struct emulator_host *host_of(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &host_key);
    struct emulator_host *host = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return host;
}

static int traceback(lua_State *L)
{
    luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
    return 1;
}

bool emulator_host_call(struct emulator_host *host, int arguments, const char *what)
{
    lua_State *L = host->L;
    int handler = lua_gettop(L) - arguments;
    lua_pushcfunction(L, traceback);
    lua_insert(L, handler);
    bool done = lua_pcall(L, arguments, 0, handler) == LUA_OK;
    if (!done) {
        log_error("emulator", "%s: %s", what, lua_tostring(L, -1));
        lua_pop(L, 1);
    }
    lua_remove(L, handler);
    return done;
}

/* ---- request objects ---- */

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

void emulator_host_request(struct http_request *request, void *context)
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

void emulator_host_gone(struct http_request *request, void *context)
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

/* The object at index 1 lets go of its request. */
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
                      "headers must be texts");
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

/* ---- timers ---- */

static void on_timer_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void timer_close(struct emulator_timer *timer)
{
    struct emulator_host *host = timer->host;
    if (timer->next)
        timer->next->previous = timer->previous;
    if (timer->previous)
        timer->previous->next = timer->next;
    else
        host->timers = timer->next;
    luaL_unref(host->L, LUA_REGISTRYINDEX, timer->callback);
    timer->host = NULL;
    uv_close((uv_handle_t *)&timer->timer, on_timer_closed);
}

static void on_timer(uv_timer_t *handle)
{
    struct emulator_timer *timer = handle->data;
    struct emulator_host *host = timer->host;
    lua_rawgeti(host->L, LUA_REGISTRYINDEX, timer->callback);
    timer_close(timer);
    emulator_host_call(host, 0, "a timer");
}

/* after(milliseconds, callback): once */
static int host_after(lua_State *L)
{
    struct emulator_host *host = host_of(L);
    lua_Integer milliseconds = luaL_checkinteger(L, 1);
    luaL_argcheck(L, milliseconds >= 0, 1, "not negative");
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    int callback = luaL_ref(L, LUA_REGISTRYINDEX);
    struct emulator_timer *timer = memory_allocate(sizeof *timer);
    timer->host = host;
    timer->callback = callback;
    timer->timer.data = timer;
    timer->next = host->timers;
    if (timer->next)
        timer->next->previous = timer;
    host->timers = timer;
    uv_timer_init(host->loop, &timer->timer);
    uv_update_time(host->loop);
    uv_timer_start(&timer->timer, on_timer, (uint64_t)milliseconds, 0);
    return 0;
}

/* ---- time and names ---- */

static int host_now_us(lua_State *L)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    lua_pushinteger(L, (lua_Integer)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    return 1;
}

static int host_monotonic_ms(lua_State *L)
{
    lua_pushinteger(L, clock_monotonic_ms());
    return 1;
}

/* parse_time(text) -> microseconds since the epoch, or nil */
static int host_parse_time(lua_State *L)
{
    int64_t us;
    if (clock_parse(luaL_checkstring(L, 1), &us))
        lua_pushinteger(L, us);
    else
        lua_pushnil(L);
    return 1;
}

static int host_uuid(lua_State *L)
{
    char text[UUID_TEXT_SIZE];
    uuid_random(text);
    lua_pushstring(L, text);
    return 1;
}

static int host_uuid_valid(lua_State *L)
{
    lua_pushboolean(L, lua_type(L, 1) == LUA_TSTRING && uuid_valid(lua_tostring(L, 1)));
    return 1;
}

/* token() -> 32 random bytes, base64url without padding (platform-contract §1.1) */
static int host_token(lua_State *L)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    unsigned char bytes[33] = {0};
    if (getrandom(bytes, 32, 0) != 32)
        return luaL_error(L, "no random bytes");
    char text[44];
    for (size_t i = 0; i < 11; i++) {
        unsigned bits = (unsigned)bytes[3 * i] << 16 | (unsigned)bytes[3 * i + 1] << 8 |
                        bytes[3 * i + 2];
        for (size_t j = 0; j < 4; j++)
            text[4 * i + j] = digits[bits >> (18 - 6 * j) & 63];
    }
    lua_pushlstring(L, text, 43);
    return 1;
}

/* base64_decode(text) -> bytes, or nil */
static int host_base64_decode(lua_State *L)
{
    size_t length, count, bad;
    const char *text = luaL_checklstring(L, 1, &length);
    luaL_Buffer bytes;
    if (base64_decode(text, length, luaL_buffinitsize(L, &bytes, base64_decoded_maximum(length)),
                      &count, &bad))
        luaL_pushresultsize(&bytes, count);
    else
        lua_pushnil(L);
    return 1;
}

/* base64_encode(bytes) -> text */
static int host_base64_encode(lua_State *L)
{
    size_t length;
    const char *bytes = luaL_checklstring(L, 1, &length);
    luaL_Buffer text;
    base64_encode(bytes, length, luaL_buffinitsize(L, &text, base64_encoded_length(length)));
    luaL_pushresultsize(&text, base64_encoded_length(length));
    return 1;
}

/* ---- the terminal ---- */

/* print(text): lines on standard output, safe for a terminal */
static int host_print(lua_State *L)
{
    terminal_print(stdout, "%s\n", luaL_checkstring(L, 1));
    return 0;
}

/* reply_to(body) -> the id of the row that the host answers with this request, or nil */
static int host_reply_to(lua_State *L)
{
    const struct emulator_host *host = host_of(L);
    char row_id[EMULATOR_ROW_ID_SIZE];
    size_t length;
    const char *body = luaL_checklstring(L, 1, &length);
    if (host->reply_to && host->reply_to(host->context, body, length, row_id))
        lua_pushstring(L, row_id);
    else
        lua_pushnil(L);
    return 1;
}

/* nearest(word, words) -> the one that may have been meant, or nil */
static int host_nearest(lua_State *L)
{
    struct nearest nearest = {.word = luaL_checkstring(L, 1)};
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_Integer count = luaL_len(L, 2);
    for (lua_Integer i = 1; i <= count; i++) {
        lua_geti(L, 2, i);
        nearest_offer(&nearest, luaL_checkstring(L, -1)); /* the table keeps it */
        lua_pop(L, 1);
    }
    lua_pushstring(L, nearest.best);
    return 1;
}

/* serve(on_request, on_gone) */
static int host_serve(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &gone_key);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &serve_key);
    return 0;
}

static int host_quit(lua_State *L)
{
    struct emulator_host *host = host_of(L);
    if (host->on_quit)
        host->on_quit(host->context);
    return 0;
}

static const luaL_Reg functions[] = {{"serve", host_serve},
                                     {"after", host_after},
                                     {"now_us", host_now_us},
                                     {"monotonic_ms", host_monotonic_ms},
                                     {"parse_time", host_parse_time},
                                     {"uuid", host_uuid},
                                     {"uuid_valid", host_uuid_valid},
                                     {"token", host_token},
                                     {"base64_decode", host_base64_decode},
                                     {"base64_encode", host_base64_encode},
                                     {"print", host_print},
                                     {"reply_to", host_reply_to},
                                     {"nearest", host_nearest},
                                     {"quit", host_quit},
                                     {NULL, NULL}};

static int open_host(lua_State *L)
{
    luaL_newlib(L, functions);
    return 1;
}

void emulator_host_install(lua_State *L, struct emulator_host *host)
{
    lua_pushlightuserdata(L, host);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &host_key);
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &requests_key);
    luaL_newmetatable(L, REQUEST_METATABLE);
    luaL_newlib(L, request_methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, open_host);
    lua_setfield(L, -2, "molecule.emulator.host");
    lua_pop(L, 1);
}

void emulator_host_close(struct emulator_host *host)
{
    while (host->timers)
        timer_close(host->timers);
}
