/* What the canvas was told from here, and what its inbox says that it was told: a second host of
 * the same workspace answers everything, too, and gives itself away by echoes of words that were
 * never ours. Pure: no I/O; times are monotonic milliseconds. */
#ifndef MOLECULE_MESSAGES_ECHOES_H
#define MOLECULE_MESSAGES_ECHOES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* told, and not seen in the inbox yet; with more nothing is concluded any more */
#define ECHOES_MAXIMUM 4096
#define ECHOES_SAY_EVERY_MS 600000

struct echoes {
    uint64_t *told; /* keys of texts */
    size_t count, capacity;
    bool overflowed;
    int64_t said_ms; /* 0: never */
};

/* The canvas is about to be told so, once more; the body of the request: {"message": text, …}. */
void echoes_told_body(struct echoes *echoes, const char *body, size_t length);
/* A row of our inbox says that it was. true: from here, as far as can be known. */
bool echoes_take(struct echoes *echoes, const char *text);
/* One was not: true: it is time to say so. */
bool echoes_say(struct echoes *echoes, int64_t now_ms);
void echoes_free(struct echoes *echoes);

#endif
