/* The emulator of `molecule try`, on a thread beside the host that is connected to it: it says
 * messages to the script and prints what comes of them (lua/molecule/emulator/trial.lua). */
#ifndef MOLECULE_COMMANDS_TRY_EMULATOR_H
#define MOLECULE_COMMANDS_TRY_EMULATOR_H

#include "base/thread.h"
#include "molecule/molecule.h"
#include "script/emulator.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct try_line;

struct try_emulator {
    struct thread thread;
    struct emulator *emulator;
    struct molecule *molecule; /* stopped once everything is said; NULL: not open yet */
    struct emulator_options options;
    char problem[512];
    uv_mutex_t mutex; /* of what follows */
    uint64_t reply;   /* a digest of the reply that is about to be posted */
    size_t reply_length;
    struct try_line *lines, *last_line; /* of the script's log, not shown yet */
    uv_sem_t answered;                  /* once for each message that has its outcome */
    /* the same, and after lines of the log were printed; on the emulator's thread. NULL: nobody
     * else needs to know */
    void (*on_answered)(void *context), (*on_logged)(void *context);
    void *context;    /* of these two */
    atomic_bool quit; /* everything was said and has its outcome */
};

/* Zeroed. `workspace`: the script's; `settings`: trial.lua's, JSON; `playback`: of a recording, or
 * NULL; all borrowed. false: `problem` says why, and there is nothing to close. */
bool try_emulator_open(struct try_emulator *emulator, const char *workspace, const char *settings,
                       struct playback *playback);
uint16_t try_emulator_port(const struct try_emulator *emulator);

/* Calls a function of trial.lua and waits; texts may be NULL. Not on the emulator's thread. */
bool try_emulator_call(struct try_emulator *emulator, const char *function, const char *first,
                       const char *second, const char *third);
/* The same without waiting; the texts are copied. From any thread. */
void try_emulator_post(struct try_emulator *emulator, const char *function,
                       const char *const texts[EMULATOR_TRIAL_TEXTS], int64_t number);

/* A line of the script's log, shown before whatever the script says after it. From any thread. */
void try_emulator_log(struct try_emulator *emulator, const char *level, const char *text);
/* The host is about to post these bytes as the reply to the message that is under way. From any
 * thread. */
void try_emulator_expect(struct try_emulator *emulator, const char *body, size_t length);
/* The host that the messages go to is about to run; NULL: it is about to be closed. */
void try_emulator_set_host(struct try_emulator *emulator, struct molecule *molecule);
void try_emulator_close(struct try_emulator *emulator);

#endif
