#include "link/announced.h"

#include "base/hash.h"

#define LOOKS 3
static const int64_t gaps_ms[LOOKS] = {400, 1600, 0}; /* after each look */

/* A collision costs one reading too few or too many. */
static uint64_t key_of(const char *message_id)
{
    uint64_t hash = hash_text(message_id);
    return hash ? hash : 1; /* 0 marks an empty place */
}

static bool was_seen(const struct announced *announced, uint64_t key)
{
    for (size_t i = 0; i < ANNOUNCED_SEEN; i++)
        if (announced->seen[i] == key)
            return true;
    return false;
}

static struct announced_message *find(struct announced *announced, uint64_t key)
{
    for (size_t i = 0; i < announced->count; i++)
        if (announced->missing[i].key == key)
            return &announced->missing[i];
    return NULL;
}

static void drop(struct announced *announced, struct announced_message *message)
{
    *message = announced->missing[--announced->count];
}

void announced_add(struct announced *announced, const char *message_id, int64_t now_ms)
{
    if (!announced)
        return;
    uint64_t key = key_of(message_id);
    if (announced->count == ANNOUNCED_MAXIMUM || was_seen(announced, key) || find(announced, key))
        return;
    announced->missing[announced->count++] = (struct announced_message){.key = key,
                                                                        .at_ms = now_ms};
}

void announced_came(struct announced *announced, const char *message_id)
{
    if (!announced)
        return;
    uint64_t key = key_of(message_id);
    announced->seen[announced->next] = key;
    announced->next = (announced->next + 1) % ANNOUNCED_SEEN;
    struct announced_message *message = find(announced, key);
    if (message)
        drop(announced, message);
}

bool announced_look(struct announced *announced, int64_t asked_ms, int64_t now_ms, bool *all)
{
    bool missing = false;
    *all = false;
    for (size_t i = announced ? announced->count : 0; i-- > 0;) {
        struct announced_message *message = &announced->missing[i];
        if (message->at_ms >= asked_ms || message->next_ms > now_ms)
            continue;
        missing = true;
        *all = *all || message->looks > 0;
        message->next_ms = now_ms + gaps_ms[message->looks++];
        if (message->looks == LOOKS)
            drop(announced, message);
    }
    return missing;
}

bool announced_any(const struct announced *announced)
{
    return announced && announced->count > 0;
}

void announced_forget(struct announced *announced)
{
    if (announced)
        announced->count = 0;
}
