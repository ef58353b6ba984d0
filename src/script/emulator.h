/* The emulator: a stand-in for the platform on one loop. Its HTTP server is C, everything the platform does is Lua
 * (lua/molecule/emulator/, read its init.lua first). */
#ifndef MOLECULE_SCRIPT_EMULATOR_H
#define MOLECULE_SCRIPT_EMULATOR_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct emulator;

struct emulator_options {
    const char *address;  /* NULL: 127.0.0.1 */
    uint16_t port;        /* 0: any free one */
    const char *profile;  /* "t1", "latest"; NULL: "latest" */
    const char *org_id;   /* switches the tenant guard on; NULL: off */
    const char *admin_token; /* may create, change and delete workspaces; NULL: nobody may */
    const char *workspace;   /* a poll workspace that is there from the beginning; NULL: none */
    int rate_limit;       /* requests per 60 s; 0: 600; negative: none */
    double stale_seconds; /* without a heartbeat until awaiting_agent; 0: the profile's own */
    void (*on_quit)(void *context); /* POST /__emulator/quit; NULL: nothing happens */
    void *context;
};

/* NULL: `problem` says why. The strings are not kept. */
struct emulator *emulator_open(uv_loop_t *loop, const struct emulator_options *options, char *problem,
                               size_t problem_size);
uint16_t emulator_port(const struct emulator *emulator);

/* Not from within on_quit. The loop has to turn once more to release the handles. */
void emulator_close(struct emulator *emulator);

#endif
