/* What the emulator's Lua half is given by C: the module "molecule.emulator.host". */
#ifndef MOLECULE_SCRIPT_EMULATOR_HOST_H
#define MOLECULE_SCRIPT_EMULATOR_HOST_H

#include "net/http_server.h"
#include "script/emulator.h"

#include <lua.h>
#include <stdbool.h>
#include <uv.h>

struct emulator_timer;

struct emulator_host {
    lua_State *L;
    uv_loop_t *loop;
    struct http_server *server;
    struct emulator_timer *timers;
    void (*on_quit)(void *context);
    bool (*reply_to)(void *context, const char *body, size_t length,
                     char row_id[EMULATOR_ROW_ID_SIZE]);
    void *context;
};

/* Preloads the module. May raise a Lua error (memory). */
void emulator_host_install(lua_State *L, struct emulator_host *host);

/* For http_server_options; `context` is the emulator_host. */
void emulator_host_request(struct http_request *request, void *context);
void emulator_host_gone(struct http_request *request, void *context);

/* Calls the function below its arguments, protected; false: logged and popped. */
bool emulator_host_call(struct emulator_host *host, int arguments, const char *what);

/* Stops the timers. The Lua state may go afterwards. */
void emulator_host_close(struct emulator_host *host);

#endif
