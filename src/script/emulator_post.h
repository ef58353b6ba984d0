/* Requests of the emulator's Lua code to workspaces that messages are pushed to. */
#ifndef MOLECULE_SCRIPT_EMULATOR_POST_H
#define MOLECULE_SCRIPT_EMULATOR_POST_H

#include "script/emulator_host.h"

/* post(url, headers, body, timeout_ms, callback): a POST; `headers` is a list of "Name: value".
 * callback(status, body), or callback(nil, what went wrong, sent): `sent` tells whether the whole
 * request had left. Redirects are not followed. */
int emulator_post(lua_State *L);
/* What is under way calls nothing back. */
void emulator_post_close(struct emulator_host *host);

#endif
