#include "script/http_options.h"

#include "base/memory.h"
#include "script/api_errors.h"
#include "script/sandbox.h"
#include "script/vm.h"

#include <ctype.h>
#include <math.h>
#include <string.h>
#include <strings.h>

#define ANSWER_DEFAULT (16 << 20)
#define ANSWER_MAXIMUM (1 << 30)
#define STREAM_MAXIMUM ((double)((int64_t)1 << 40))

static const char *check_text(lua_State *L, const char *field, size_t *length)
{
    int type = lua_getfield(L, 1, field);
    if (type == LUA_TNIL)
        return NULL;
    if (type != LUA_TSTRING)
        api_misuse(L, "http: %s must be a string, not a %s", field, lua_typename(L, type));
    return lua_tolstring(L, -1, length);
}

/* In the sandbox: what would let a request mean another host than its URL, to a server that serves
 * several. */
static bool is_forbidden_header(const char *name)
{
    static const char *const forbidden[] = {"host",
                                            "content-length",
                                            "transfer-encoding",
                                            "connection",
                                            "upgrade",
                                            "te",
                                            "trailer",
                                            "keep-alive",
                                            "expect",
                                            "proxy-connection",
                                            "proxy-authorization",
                                            "forwarded",
                                            "x-forwarded-host"};
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++)
        if (strcasecmp(name, forbidden[i]) == 0)
            return true;
    return !*name || strspn(name, letters) != strlen(name);
}

static void check_headers(lua_State *L)
{
    bool sandboxed = sandbox_is_on(vm_of(L));
    if (lua_getfield(L, 1, "headers") == LUA_TNIL)
        return;
    if (!lua_istable(L, -1))
        api_misuse(L, "http: headers must be a table of name = value");
    int count = 0;
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        if (lua_type(L, -2) != LUA_TSTRING ||
            (lua_type(L, -1) != LUA_TSTRING && lua_type(L, -1) != LUA_TNUMBER))
            api_misuse(L, "http: headers must be a table of name = value");
        lua_pushvalue(L, -1); /* tolstring must not change the table's value under lua_next */
        if (strpbrk(lua_tostring(L, -1), "\r\n") || strpbrk(lua_tostring(L, -3), "\r\n:"))
            api_misuse(L, "http: header %s holds a line break", lua_tostring(L, -3));
        if (sandboxed && is_forbidden_header(lua_tostring(L, -3)))
            api_misuse(L, "http: header %s is not in the sandbox (--sandbox)", lua_tostring(L, -3));
        lua_pop(L, 2);
        if (++count > HTTP_HEADERS_MAXIMUM)
            api_misuse(L, "http: more than %d headers", HTTP_HEADERS_MAXIMUM);
    }
}

static size_t headers_length(lua_State *L, int index)
{
    size_t sum = 0;
    if (!lua_istable(L, index))
        return 0;
    lua_pushnil(L);
    while (lua_next(L, index)) {
        sum += lua_rawlen(L, -2) + (lua_type(L, -1) == LUA_TSTRING ? lua_rawlen(L, -1) : 32) +
               sizeof ": ";
        lua_pop(L, 1);
    }
    return sum;
}

static int64_t number_field(lua_State *L, const char *field, double scale, double fallback,
                            double maximum)
{
    double number = fallback;
    int type = lua_getfield(L, 1, field);
    if (type == LUA_TNUMBER)
        number = lua_tonumber(L, -1);
    else if (type != LUA_TNIL)
        api_misuse(L, "http: %s must be a number", field);
    if (!(number >= 0 && number <= maximum))
        api_misuse(L, "http: %s must be between 0 and %I", field, (LUAI_UACINT)maximum);
    lua_pop(L, 1);
    /* a fraction is not nothing, which would mean no timeout */
    return (int64_t)ceil(number * scale);
}

/* An answer that is collected is outside the Lua state and its limit until it is whole; in the
 * sandbox it may not be larger than what the state could take. Of a stream only a piece is there at
 * a time. */
static size_t response_maximum(lua_State *L, bool streaming)
{
    const struct vm *vm = vm_of(L);
    size_t maximum = (size_t)number_field(L, "max_bytes", 1, ANSWER_DEFAULT,
                                          streaming ? STREAM_MAXIMUM : ANSWER_MAXIMUM);
    bool limited = !streaming && sandbox_is_on(vm) && vm->memory_limit > 0;
    return limited && maximum > vm->memory_limit ? vm->memory_limit : maximum;
}

void http_options_read(lua_State *L, bool streaming, struct http_options *options)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    options->timeout_ms = number_field(L, "timeout", 1000, 30, 86400);
    options->response_maximum = response_maximum(L, streaming);
    options->redirects = number_field(L, "redirects", 1, 5, 50);
    size_t url_length = 0, method_length = 0;
    options->body_length = 0;
    options->url = check_text(L, "url", &url_length);
    const char *method = check_text(L, "method", &method_length);
    options->body = check_text(L, "body", &options->body_length);
    lua_getfield(L, 1, "public"); /* lua/molecule/files.lua */
    options->public_only = lua_toboolean(L, -1);
    check_headers(L);
    options->headers = lua_gettop(L);
    if (!options->url || strlen(options->url) != url_length)
        api_misuse(L, options->url ? "http: the url holds a zero byte" : "http: `url` is required");
    for (const char *at = method ? method : "GET"; *at; at++)
        if (!isupper((unsigned char)*at))
            api_misuse(L, "http: method must be upper-case letters");
    options->method = method ? method : options->body ? "POST" : "GET";
    options->text_length = url_length + options->body_length + headers_length(L, options->headers);
}

void http_options_copy_headers(lua_State *L, const struct http_options *options,
                               char *headers[HTTP_HEADERS_MAXIMUM + 1])
{
    size_t count = 0;
    headers[0] = NULL;
    if (!lua_istable(L, options->headers))
        return;
    lua_pushnil(L);
    while (lua_next(L, options->headers)) {
        lua_pushvalue(L, -1);
        headers[count++] = memory_format("%s: %s", lua_tostring(L, -3), lua_tostring(L, -1));
        lua_pop(L, 2);
    }
    headers[count] = NULL;
}
