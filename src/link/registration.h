/* Registration: at the start bounded and strict, later (after 401s, or with another card) once and
 * quietly.
 *
 * A platform that finds no live token of a workspace mints one for whoever registers it. Without
 * --bootstrap we must not take it: the token is tried first (GET …/state), and nothing is
 * registered with one that the platform does not accept. */
#ifndef MOLECULE_LINK_REGISTRATION_H
#define MOLECULE_LINK_REGISTRATION_H

#include "link/link.h"

struct registration {
    struct link *link;
    const struct platform_card *card; /* the owner's, as it is now */
    struct call call;
    struct start_turn turn; /* of the first one */
    uv_timer_t timer;       /* the owner takes it off the loop */
    struct retry_backoff backoff;
    unsigned failures; /* in a row, of the platform or of a proxy */
    struct retry_refusals refusals;
    bool done;                         /* the first one has succeeded */
    bool again;                        /* the workspace is running and registers once more */
    char *name;                        /* of the card that was sent */
    bool outdated;                     /* the card changed while a registration was under way */
    void (*registered)(void *context); /* the first time */
    void *context;
};

/* The owner sets `link`, `card`, `registered`, `context` and the timer's data first. The first
 * registration waits for its turn where there are many. */
void registration_start(struct registration *registration, bool again);
/* The card has changed: tells the platform, once it knows the workspace. */
void registration_changed(struct registration *registration);
void registration_close(struct registration *registration);

#endif
