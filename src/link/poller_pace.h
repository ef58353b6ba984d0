/* When the poller polls next: poller.c's own, in a file by itself. */
#ifndef MOLECULE_LINK_POLLER_PACE_H
#define MOLECULE_LINK_POLLER_PACE_H

#include "link/poller.h"

/* Until the next poll when nothing hints at something new. */
int64_t poller_pause_ms(const struct poller *poller);
/* Until a hint may prompt a poll; where the platform's rate budget is low, it takes a turn. */
int64_t poller_hint_turn(struct poller *poller);
/* Until the inbox may be looked at because a handler asks. */
int64_t poller_look_wait(const struct poller *poller);
/* A poll that a hint prompted found something new, or nothing. */
void poller_note_hint_led(struct poller *poller, bool somewhere);

#endif
