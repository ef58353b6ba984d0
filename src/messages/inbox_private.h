/* What the files of the inbox share. Only they include this. */
#ifndef MOLECULE_MESSAGES_INBOX_PRIVATE_H
#define MOLECULE_MESSAGES_INBOX_PRIVATE_H

#include "messages/inbox.h"
#include "messages/known_ids.h"

struct inbox_conversation {
    const char *key; /* first, for the tree; owned */
    struct inbox_conversation *next, *previous;
    struct inbox_entry *first, *last;
    size_t by_state[INBOX_STATES]; /* how many of its entries are in each */
};

struct inbox {
    struct inbox_entry *first, *last; /* unfinished, and finished ones after unfinished ones */
    struct inbox_conversation *conversations; /* with unfinished entries */
    void *conversation_tree;                  /* of tsearch(3) */
    struct known_ids known;
    char *watermark, *watermark_stamp;
    /* the watermark, once no row of that moment is unfinished */
    char *reached, *reached_stamp;
    uint64_t admitted;
    uint64_t named; /* entries of a lower sequence may be handed out */
    size_t by_state[INBOX_STATES];
    size_t pending, bytes, deferred, deferred_bytes;
    unsigned long deferred_changes;
    /* bytes + deferred_bytes, of all inboxes that count there */
    size_t own_total, *total;
};

/* The conversation with that key; creates one if missing. */
struct inbox_conversation *inbox_conversation(struct inbox *inbox, const char *key);
/* Takes the entry out of its conversation, which goes if that was its last. */
void inbox_leave_conversation(struct inbox *inbox, struct inbox_entry *entry);

#endif
