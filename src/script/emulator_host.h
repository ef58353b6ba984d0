/* The C side of the emulator, as its parts know it: the Lua state, the server, the loop. */
#ifndef MOLECULE_SCRIPT_EMULATOR_HOST_H
#define MOLECULE_SCRIPT_EMULATOR_HOST_H

#include <lua.h>
#include <stdbool.h>
#include <uv.h>

struct emulator_ask;
struct emulator_post;
struct emulator_timer;
struct http_client;
struct http_server;
struct playback;

struct emulator_host {
    lua_State *L;
    uv_loop_t *loop;
    struct http_server *server;
    struct emulator_timer *timers;
    struct emulator_ask *asks;   /* under way */
    struct emulator_post *posts; /* under way */
    struct http_client *client;  /* NULL: nothing was posted yet */
    /* of emulator_options */
    void (*on_quit)(void *context);
    bool (*reply_to)(void *context, const char *body, size_t length, char *row_id);
    char *(*ask_host)(void *context, const char *request, char *problem, size_t problem_size);
    bool (*kill_host)(void *context);
    bool (*replace_file)(const char *path, const char *bytes, size_t length, char *problem,
                         size_t problem_size);
    struct playback *playback;
    void *context;
};

/* The state belongs to the host: emulator_host_of finds it. May raise a Lua error (memory). */
void emulator_host_bind(lua_State *L, struct emulator_host *host);
struct emulator_host *emulator_host_of(lua_State *L);

/* Calls the function below its arguments, protected; false: logged and popped. */
bool emulator_host_call(struct emulator_host *host, int arguments, const char *what);

#endif
