/* Where the messages of `molecule try` and `molecule replay` come from: arguments, a file, or
 * standard input line by line, each read after the one before was answered. */
#ifndef MOLECULE_COMMANDS_TRY_INPUT_H
#define MOLECULE_COMMANDS_TRY_INPUT_H

#include "commands/line_input.h"
#include "commands/try_emulator.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct try_input {
    struct try_emulator *emulator;
    const char *command;  /* its name, for what is printed on standard error */
    const char *records;  /* a file of recorded messages, a line each; NULL: none */
    const char *envelope; /* a file of JSON, "-": standard input; NULL: texts */
    const char *const *texts;
    size_t count;
    bool files_alone; /* there are files to be sent, even without a text */
    /* of the thread that reads standard input */
    bool reading;
    atomic_bool stopped;
    pthread_t reader;
    int stop[2]; /* a pipe; its end stops the reader */
    struct line_input lines;
};

/* false: it cannot be read, and the reason was printed. */
bool try_input_start(struct try_input *input);
void try_input_stop(struct try_input *input);

#endif
