/* The emulator: a stand-in for the platform on one loop. Its HTTP server is C, everything the
 * platform does is Lua (lua/molecule/emulator/, read its init.lua first). */
#ifndef MOLECULE_SCRIPT_EMULATOR_H
#define MOLECULE_SCRIPT_EMULATOR_H

#include "molecule/event.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define EMULATOR_ROW_ID_SIZE 256
#define EMULATOR_TRIAL_TEXTS 4

struct emulator;
struct playback;

struct emulator_options {
    const char *address;     /* NULL: 127.0.0.1 */
    uint16_t port;           /* 0: any free one */
    const char *profile;     /* "t1", "latest"; NULL: "latest" */
    const char *org_id;      /* switches the tenant guard on; NULL: off */
    const char *admin_token; /* may create, change and delete workspaces; NULL: nobody */
    const char *workspace;   /* a poll workspace that exists from the start; NULL: none */
    int rate_limit;          /* requests per 60 s; 0: 600; negative: none */
    double stale_seconds;    /* without a heartbeat until awaiting_agent; 0: the profile's own */
    /* print what is said to `workspace` and what it says, and take emulator_type */
    bool console;
    bool push;   /* with `console`: `workspace` gets its messages pushed */
    bool serves; /* with `console`: A2A clients ask the host, too */
    /* say to `workspace` what emulator_trial brings, and print what comes of it: settings in JSON,
     * see lua/molecule/emulator/trial.lua; NULL: no */
    const char *trial;
    /* with `console`: a file of what is known over a restart; `replace_file` is needed. NULL: no */
    const char *keep;
    const char *script; /* with `console`: the file that the host serves; NULL: a backend */
    /* POST /__emulator/quit, or /quit typed; NULL: nothing happens */
    void (*on_quit)(void *context);
    /* whether the host posts these bytes as a reply, and to which row; NULL: unknown */
    bool (*reply_to)(void *context, const char *body, size_t length,
                     char row_id[EMULATOR_ROW_ID_SIZE]);
    /* Asks the host: the JSON of host/control.h there and back, or NULL, and `problem` says why.
     * From another thread; may wait. NULL: there is no host. The answer is the caller's. */
    char *(*ask_host)(void *context, const char *request, char *problem, size_t problem_size);
    /* Ends the host as a crash would, and starts a new one. false: it does not run. NULL: none. */
    bool (*kill_host)(void *context);
    /* Replaces a file for `trial` and `keep`, as atomic_file_write does; NULL: none is written. */
    bool (*replace_file)(const char *path, const char *bytes, size_t length, char *problem,
                         size_t problem_size);
    /* gets what a recording knows of the messages of `trial`; NULL: nothing. Not ours */
    struct playback *playback;
    void *context; /* of the others */
};

/* NULL: `problem` says why. The strings are not kept. */
struct emulator *emulator_open(uv_loop_t *loop, const struct emulator_options *options,
                               char *problem, size_t problem_size);
uint16_t emulator_port(const struct emulator *emulator);

/* With `console`, on the loop's thread. A line that was typed, without its end; NULL: one that was
 * too long. Returns how many typed messages have no outcome yet. */
size_t emulator_type(struct emulator *emulator, const char *line, size_t length);
/* Nothing more can be typed; `terminal`: because a person at a terminal wants so. Once what was
 * typed has its outcome, on_quit is called, unless nothing ever was. */
void emulator_type_end(struct emulator *emulator, bool terminal);
/* What the host reports of a row of `workspace`, or of its script; not MOLECULE_EVENT_REPLY. */
void emulator_tell(struct emulator *emulator, const struct molecule_event *event);
/* The host was killed, as `why` says, or runs again. */
void emulator_tell_host(struct emulator *emulator, bool running, const char *why);

/* With `trial`, on the loop's thread: calls this function of lua/molecule/emulator/trial.lua. Texts
 * may be NULL. What it returns: whether it was content. */
bool emulator_trial(struct emulator *emulator, const char *function,
                    const char *const texts[EMULATOR_TRIAL_TEXTS], int64_t number);

/* Not from within on_quit. The loop has to turn once more to release the handles. */
void emulator_close(struct emulator *emulator);

#endif
