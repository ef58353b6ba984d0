/* HTTP requests to the emulator, as objects of its Lua half. */
#ifndef MOLECULE_SCRIPT_EMULATOR_REQUEST_H
#define MOLECULE_SCRIPT_EMULATOR_REQUEST_H

#include "net/http_server.h"

#include <lua.h>

/* Makes their metatable. May raise a Lua error (memory). */
void emulator_request_install(lua_State *L);

/* serve(on_request, on_gone): from now on, function(request) and function(handle) are called. */
int emulator_request_serve(lua_State *L);

/* For http_server_options; `context` is the emulator_host. */
void emulator_request_arrived(struct http_request *request, void *context);
void emulator_request_gone(struct http_request *request, void *context);

#endif
