/* What the platform proves itself with when it pushes messages to us: the platform_inbound_secret
 * of its answers to registrations and heartbeats (contract §5). Kept in <state-dir>/<id>.inbound,
 * mode 0600, so that a host that starts again knows the platform before its own registration is
 * answered. On the network thread. */
#ifndef MOLECULE_LINK_INBOUND_SECRET_H
#define MOLECULE_LINK_INBOUND_SECRET_H

#include <stdbool.h>

struct link;

struct inbound_secret {
    char *current; /* NULL: the platform has given none yet */
    char *path;    /* NULL: it is not kept, as nothing is pushed */
    bool busy;     /* it is being written */
};

/* Blocks on the disk: call it before anything runs. Nothing, where nothing is pushed. */
void inbound_secret_open(struct link *link);
void inbound_secret_close(struct link *link);
/* The platform's, as of now; NULL: it did not say. */
void inbound_secret_take(struct link *link, const char *secret);
/* Whether the value of an Authorization header (NULL: absent) has it. */
bool inbound_secret_matches(const struct inbound_secret *secret, const char *authorization);

#endif
