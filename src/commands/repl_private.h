/* The state of a dialog, shared by repl_dialog.c and repl_commands.c alone. Its members are the
 * reader's thread's but for those that say otherwise. */
#ifndef MOLECULE_COMMANDS_REPL_PRIVATE_H
#define MOLECULE_COMMANDS_REPL_PRIVATE_H

#include "base/buffer.h"
#include "commands/repl_dialog.h"
#include "commands/repl_lines.h"

#include <pthread.h>
#include <stdatomic.h>

struct repl {
    const struct repl_options *options;
    struct try_emulator *emulator;
    struct molecule *molecule;
    const char *id;
    pthread_t reader;
    bool reading;
    int wake;              /* an eventfd: something below has changed, or a signal has come */
    atomic_bool over;      /* the host has ended */
    atomic_bool evaluated; /* set by the host: there is a result; */
    atomic_bool answered;  /* … a message that was sent has its outcome; */
    atomic_bool loaded;    /* … the script has loaded, or failed to, */
    atomic_bool broken;    /* … and this is which */
    const char *function;  /* of the evaluation: this and the next are the host's meanwhile */
    char *text, *result;
    bool incomplete, refused;
    struct buffer chunk; /* lines that have no end yet */
    unsigned long line_number, first_line;
    unsigned interrupts, stops; /* signals seen */
    bool ending, failed;
};

/* Waits until it is set; Ctrl-C meanwhile interrupts the script. false: the host has ended. */
bool repl_await(struct repl *repl, const atomic_bool *done);
/* Calls a function of lua/molecule/repl.lua; takes the text. The answer is in `result`. false: the
 * host has ended. */
bool repl_evaluate(struct repl *repl, const char *function, char *text);
/* Prints the result; if it is a failure, on standard error. */
void repl_show(struct repl *repl);

#endif
