/* conversation(msg) of the agent: which conversation a message belongs to. It is Lua, so it runs on
 * the worker; messages wait in the inbox, in order, until they are named. The worker gets copies:
 * an entry may end meanwhile. Each is marked as an attempt (journal/attempts.h), so that one that
 * ends the process is known at the next start. */
#ifndef MOLECULE_MESSAGES_NAMING_H
#define MOLECULE_MESSAGES_NAMING_H

#include "messages/inbox.h"

#include <stdbool.h>

struct attempts;
struct naming_job;
struct script;

struct naming {
    const char *workspace_id; /* borrowed */
    struct inbox *inbox;
    struct attempts *attempts;
    struct script *script;
    bool wanted;                  /* the agent has conversation(msg) */
    struct naming_job *under_way; /* NULL: none */
    void (*named)(void *context); /* some messages have their names */
    void *context;
};

/* Asks the agent for the conversations of new messages, unless it is already being asked. */
void naming_step(struct naming *naming);
/* The message that the worker is naming; NULL: none. */
const struct message *naming_current(const struct naming *naming);

#endif
