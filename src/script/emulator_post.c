#include "script/emulator_post.h"

#include "base/memory.h"
#include "net/http_client.h"

#include <lauxlib.h>
#include <stdlib.h>

#define ANSWER_MAXIMUM ((size_t)64 << 20)
#define HEADERS_MAXIMUM 8

struct emulator_post {
    struct emulator_host *host;
    struct emulator_post *next;
    struct http_exchange *exchange;
    char *url, *body;
    char *headers[HEADERS_MAXIMUM + 1];
    int callback; /* registry reference */
};

static void free_post(struct emulator_post *post)
{
    for (size_t i = 0; post->headers[i]; i++)
        free(post->headers[i]);
    free(post->url);
    free(post->body);
    free(post);
}

static void unlink_post(struct emulator_post *post)
{
    struct emulator_post **link = &post->host->posts;
    while (*link != post)
        link = &(*link)->next;
    *link = post->next;
}

static void on_answer(const struct http_result *result, void *context)
{
    struct emulator_post *post = context;
    struct emulator_host *host = post->host;
    lua_State *L = host->L;
    int arguments = 2;
    unlink_post(post);
    lua_rawgeti(L, LUA_REGISTRYINDEX, post->callback);
    luaL_unref(L, LUA_REGISTRYINDEX, post->callback);
    if (result->progress == HTTP_ANSWERED) {
        lua_pushinteger(L, result->status);
        lua_pushlstring(L, result->body, result->body_length);
    } else {
        lua_pushnil(L);
        lua_pushstring(L, result->error);
        lua_pushboolean(L, result->progress == HTTP_NO_ANSWER);
        arguments = 3;
    }
    free_post(post);
    emulator_host_call(host, arguments, "the answer of a workspace");
}

static void take_headers(lua_State *L, int index, struct emulator_post *post)
{
    for (lua_Integer i = 1; i <= HEADERS_MAXIMUM && lua_rawgeti(L, index, i) == LUA_TSTRING; i++) {
        post->headers[i - 1] = memory_copy_text(lua_tostring(L, -1));
        lua_pop(L, 1);
    }
    lua_settop(L, 5);
}

int emulator_post(lua_State *L)
{
    struct emulator_host *host = emulator_host_of(L);
    size_t length;
    const char *url = luaL_checkstring(L, 1), *body = luaL_checklstring(L, 3, &length);
    lua_Integer timeout_ms = luaL_checkinteger(L, 4);
    luaL_checktype(L, 2, LUA_TTABLE);
    luaL_checktype(L, 5, LUA_TFUNCTION);
    lua_settop(L, 5);
    if (!host->client)
        host->client = http_client_open(host->loop, &(struct http_client_options){0});
    if (!host->client)
        return luaL_error(L, "cannot set up libcurl");
    int callback = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushnil(L); /* in the callback's place */
    struct emulator_post *post = memory_allocate(sizeof *post);
    post->host = host;
    post->callback = callback;
    post->url = memory_copy_text(url);
    post->body = memory_copy(body, length);
    take_headers(L, 2, post);
    post->next = host->posts;
    host->posts = post;
    struct http_request request = {.method = "POST",
                                   .url = post->url,
                                   .headers = post->headers,
                                   .body = post->body,
                                   .body_length = length,
                                   .timeout_ms = timeout_ms,
                                   .connect_timeout_ms = 5000,
                                   .response_maximum = ANSWER_MAXIMUM};
    post->exchange = http_send(host->client, &request, on_answer, post);
    return 0;
}

void emulator_post_close(struct emulator_host *host)
{
    while (host->posts) {
        struct emulator_post *post = host->posts;
        host->posts = post->next;
        http_cancel(post->exchange);
        free_post(post);
    }
    http_client_close(host->client);
    host->client = NULL;
}
