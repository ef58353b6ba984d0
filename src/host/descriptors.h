/* How many files the process may have open, and how they are shared out. */
#ifndef MOLECULE_HOST_DESCRIPTORS_H
#define MOLECULE_HOST_DESCRIPTORS_H

#include "journal/open_ledgers.h"

#include <stdbool.h>
#include <stddef.h>

struct descriptors {
    size_t own; /* open before there is a workspace */
    struct open_ledgers *ledgers;
};

/* Counts what is open before there is a workspace. */
void descriptors_open(struct descriptors *descriptors, struct open_ledgers *ledgers);
/* Shares out what is left, after the number of workspaces or the limit has changed. On the network
 * thread. */
void descriptors_share(struct descriptors *descriptors, size_t workspaces);
/* How many connections one of the host's clients may have, at most `maximum`. */
size_t descriptors_connections(size_t maximum);
/* Whether one more event stream may be opened in addition to `streams`. */
bool descriptors_allow_stream(struct descriptors *descriptors, size_t workspaces, size_t streams);

#endif
