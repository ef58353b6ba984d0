/* What this host told the canvas, and what the inbox says the canvas was told: a second host of the
 * same workspace also answers everything, and gives itself away by echoes of messages we never
 * sent. Pure: no I/O; times are monotonic milliseconds. */
#ifndef MOLECULE_MESSAGES_ECHOES_H
#define MOLECULE_MESSAGES_ECHOES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* told, and not seen in the inbox yet; beyond this nothing is concluded */
#define ECHOES_MAXIMUM 4096
#define ECHOES_SAY_EVERY_MS 600000

struct echoes {
    uint64_t *told; /* keys of texts */
    size_t count, capacity;
    bool overflowed;
    int64_t said_ms; /* 0: never */
};

/* The canvas is about to be told this; the request's body: {"message": text, …}. */
void echoes_told_body(struct echoes *echoes, const char *body, size_t length);
/* A row of our inbox says that it was told this. true: by this host, as far as can be known. */
bool echoes_take(struct echoes *echoes, const char *text);
/* It was told by someone else. true: it is time to log that. */
bool echoes_say(struct echoes *echoes, int64_t now_ms);
void echoes_free(struct echoes *echoes);

#endif
