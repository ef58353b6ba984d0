/* Timers, time, random names, the terminal and files. */
#include "script/emulator_module.h"

#include "base/base64.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/nearest.h"
#include "base/terminal.h"
#include "base/uuid.h"
#include "script/embedded.h"
#include "script/emulator.h"
#include "script/emulator_ask.h"
#include "script/emulator_post.h"
#include "script/emulator_request.h"
#include "script/playback.h"
#include "wire/jsontext.h"
#include "wire/served.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

struct emulator_timer {
    uv_timer_t timer;
    struct emulator_host *host; /* NULL: closed */
    struct emulator_timer *previous, *next;
    int callback; /* registry reference */
};

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
    struct emulator_host *host = emulator_host_of(L);
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

/* pushed_id(request) -> the id that a message of a host has which the platform pushes to it */
static int host_pushed_id(lua_State *L)
{
    size_t length;
    char id[UUID_TEXT_SIZE];
    const char *bytes = luaL_checklstring(L, 1, &length);
    json_t *request = jsontext_read(bytes, length, NULL, NULL);
    char *message_id = served_pushed_message_id(request, bytes, length);
    served_id(SERVED_PLATFORM, message_id, id);
    free(message_id);
    json_decref(request);
    lua_pushstring(L, id);
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

/* print(text, style): lines on standard output, safe for a terminal; in a style of ANSI's (31: red)
 * if there is one */
static int host_print(lua_State *L)
{
    const char *text = luaL_checkstring(L, 1);
    int style = lua_isinteger(L, 2) ? (int)lua_tointeger(L, 2) : 0;
    if (style)
        printf("\033[%dm", style);
    terminal_print(stdout, "%s", text);
    fputs(style ? "\033[0m\n" : "\n", stdout);
    return 0;
}

/* reply_to(body) -> the id of the row that the host answers with this request, or nil */
static int host_reply_to(lua_State *L)
{
    const struct emulator_host *host = emulator_host_of(L);
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

/* kill() -> whether the host ran */
static int host_kill(lua_State *L)
{
    const struct emulator_host *host = emulator_host_of(L);
    lua_pushboolean(L, host->kill_host && host->kill_host(host->context));
    return 1;
}

/* replace_file(path, bytes) -> true; or false and why not */
static int host_replace_file(lua_State *L)
{
    const struct emulator_host *host = emulator_host_of(L);
    char problem[512] = "nothing is written here";
    size_t length;
    const char *path = luaL_checkstring(L, 1), *bytes = luaL_checklstring(L, 2, &length);
    bool written = host->replace_file &&
                   host->replace_file(path, bytes, length, problem, sizeof problem);
    lua_pushboolean(L, written);
    lua_pushstring(L, written ? NULL : problem);
    return 2;
}

/* play(row_id, calls): the message is about to come, with its recorded calls (JSON), or nil */
static int host_play(lua_State *L)
{
    const struct emulator_host *host = emulator_host_of(L);
    const char *row_id = luaL_checkstring(L, 1), *calls = luaL_optstring(L, 2, NULL);
    if (host->playback)
        playback_begin(host->playback, row_id, calls);
    return 0;
}

/* played(row_id) -> what its handler asked differently (JSON, playback_end), or nil */
static int host_played(lua_State *L)
{
    const struct emulator_host *host = emulator_host_of(L);
    char *differences = host->playback ? playback_end(host->playback, luaL_checkstring(L, 1))
                                       : NULL;
    lua_pushstring(L, differences);
    free(differences);
    return 1;
}

/* embedded(name) -> the bytes of a file that is linked into the binary, or nil */
static int host_embedded(lua_State *L)
{
    const struct embedded_file *file = embedded_find(luaL_checkstring(L, 1));
    if (file)
        lua_pushlstring(L, (const char *)file->data, file->length);
    else
        lua_pushnil(L);
    return 1;
}

static int host_quit(lua_State *L)
{
    struct emulator_host *host = emulator_host_of(L);
    if (host->on_quit)
        host->on_quit(host->context);
    return 0;
}

static const luaL_Reg functions[] = {{"serve", emulator_request_serve},
                                     {"after", host_after},
                                     {"now_us", host_now_us},
                                     {"monotonic_ms", host_monotonic_ms},
                                     {"parse_time", host_parse_time},
                                     {"uuid", host_uuid},
                                     {"uuid_valid", host_uuid_valid},
                                     {"pushed_id", host_pushed_id},
                                     {"token", host_token},
                                     {"base64_decode", host_base64_decode},
                                     {"base64_encode", host_base64_encode},
                                     {"print", host_print},
                                     {"reply_to", host_reply_to},
                                     {"nearest", host_nearest},
                                     {"ask", emulator_ask},
                                     {"post", emulator_post},
                                     {"kill", host_kill},
                                     {"replace_file", host_replace_file},
                                     {"play", host_play},
                                     {"played", host_played},
                                     {"embedded", host_embedded},
                                     {"quit", host_quit},
                                     {NULL, NULL}};

static int open_module(lua_State *L)
{
    luaL_newlib(L, functions);
    return 1;
}

void emulator_module_install(lua_State *L, struct emulator_host *host)
{
    emulator_host_bind(L, host);
    emulator_request_install(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, open_module);
    lua_setfield(L, -2, "molecule.emulator.host");
    lua_pop(L, 1);
}

void emulator_module_close(struct emulator_host *host)
{
    while (host->timers)
        timer_close(host->timers);
}
