/* How many files the process may have open, and who gets how many of them. */
#ifndef MOLECULE_HOST_DESCRIPTORS_H
#define MOLECULE_HOST_DESCRIPTORS_H

#include <stdbool.h>
#include <stddef.h>

struct host;

/* What is open before there is a workspace. */
void descriptors_count_own(struct host *host);
/* Divides what is left anew: the number of workspaces has changed, or the limit. On the network
 * thread. */
void descriptors_share(struct host *host);
/* How many connections one of the host's clients may have, at most `maximum`. */
size_t descriptors_connections(size_t maximum);
/* Whether one more event stream may be opened. */
bool descriptors_allow_stream(struct host *host);

#endif
