#include "script/locks.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

struct hold {
    struct hold *next;
    uint64_t ticket;
    char *key;
    bool alone;
};

struct waiter {
    struct waiter *next;
    uint64_t ticket;
    char *key;
    bool alone;
    /* false: its ticket waits for another key first. Only who waits for a key counts in cycles:
     * a ticket that waits takes nothing, so that no cycle is made behind anybody's back */
    bool waits;
    locks_settled *settled;
    void *context;
};

struct locks {
    /* first: grants from the loop, not from inside the handler that released */
    uv_timer_t timer;
    uint64_t last_ticket;
    struct hold *holds;
    struct waiter *waiters; /* in order of arrival */
};

static void on_timer(uv_timer_t *timer);

struct locks *locks_open(uv_loop_t *loop)
{
    struct locks *locks = memory_allocate(sizeof *locks);
    uv_timer_init(loop, &locks->timer);
    return locks;
}

static void drop_hold(struct hold **link)
{
    struct hold *hold = *link;
    *link = hold->next;
    free(hold->key);
    free(hold);
}

static void drop_waiter(struct waiter **link)
{
    struct waiter *waiter = *link;
    *link = waiter->next;
    free(waiter->key);
    free(waiter);
}

static void free_locks(uv_handle_t *timer)
{
    struct locks *locks = (struct locks *)timer;
    while (locks->holds)
        drop_hold(&locks->holds);
    while (locks->waiters)
        drop_waiter(&locks->waiters);
    free(locks);
}

void locks_close(struct locks *locks)
{
    uv_close((uv_handle_t *)&locks->timer, free_locks);
}

uint64_t locks_ticket(struct locks *locks)
{
    return ++locks->last_ticket;
}

/* Somebody other than `ticket` holds the key. */
static bool in_the_way(const struct locks *locks, uint64_t ticket, const char *key, bool alone)
{
    for (const struct hold *hold = locks->holds; hold; hold = hold->next)
        if (hold->ticket != ticket && (alone || hold->alone) && strcmp(hold->key, key) == 0)
            return true;
    return false;
}

/* `ticket` waits for someone who, step by step, waits for `goal`. A cycle is found when its last
 * edge is made, so those who already wait have none and the walk ends. */
static bool leads_to(const struct locks *locks, uint64_t ticket, const char *key, bool alone,
                     uint64_t goal)
{
    for (const struct hold *hold = locks->holds; hold; hold = hold->next) {
        if (hold->ticket == ticket || !(alone || hold->alone) || strcmp(hold->key, key) != 0)
            continue;
        if (hold->ticket == goal)
            return true;
        for (const struct waiter *waiter = locks->waiters; waiter; waiter = waiter->next)
            if (waiter->waits && waiter->ticket == hold->ticket &&
                leads_to(locks, waiter->ticket, waiter->key, waiter->alone, goal))
                return true;
    }
    return false;
}

static bool would_deadlock(const struct locks *locks, uint64_t ticket, const char *key, bool alone)
{
    for (const struct hold *hold = locks->holds; hold; hold = hold->next) {
        if (hold->ticket == ticket || !(alone || hold->alone) || strcmp(hold->key, key) != 0)
            continue;
        for (const struct waiter *waiter = locks->waiters; waiter; waiter = waiter->next)
            if (waiter->waits && waiter->ticket == hold->ticket &&
                leads_to(locks, waiter->ticket, waiter->key, waiter->alone, ticket))
                return true;
    }
    return false;
}

static void grant(struct locks *locks, uint64_t ticket, const char *key, bool alone)
{
    for (struct hold *hold = locks->holds; hold; hold = hold->next)
        if (hold->ticket == ticket && strcmp(hold->key, key) == 0) {
            hold->alone = hold->alone || alone;
            return;
        }
    struct hold *hold = memory_allocate(sizeof *hold);
    hold->ticket = ticket;
    hold->key = memory_copy_text(key);
    hold->alone = alone;
    hold->next = locks->holds;
    locks->holds = hold;
}

/* Its ticket waits for a key. */
static bool is_waiting(const struct locks *locks, uint64_t ticket)
{
    for (const struct waiter *waiter = locks->waiters; waiter; waiter = waiter->next)
        if (waiter->ticket == ticket)
            return true;
    return false;
}

enum locks_result locks_take(struct locks *locks, uint64_t ticket, const char *key, bool alone,
                             locks_settled *settled, void *context)
{
    bool behind = is_waiting(locks, ticket);
    if (!behind && !in_the_way(locks, ticket, key, alone)) {
        grant(locks, ticket, key, alone);
        return LOCKS_TAKEN;
    }
    if (!behind && would_deadlock(locks, ticket, key, alone))
        return LOCKS_DEADLOCK;
    struct waiter *waiter = memory_allocate(sizeof *waiter), **end = &locks->waiters;
    waiter->ticket = ticket;
    waiter->key = memory_copy_text(key);
    waiter->alone = alone;
    waiter->waits = !behind;
    waiter->settled = settled;
    waiter->context = context;
    while (*end)
        end = &(*end)->next;
    *end = waiter;
    return LOCKS_WAIT;
}

void locks_forget(struct locks *locks, void *context)
{
    for (struct waiter **link = &locks->waiters; *link; link = &(*link)->next)
        if ((*link)->context == context) {
            drop_waiter(link);
            if (locks->waiters) /* its ticket may wait for another key now */
                uv_timer_start(&locks->timer, on_timer, 0, 0);
            return;
        }
}

/* An earlier one has its ticket. */
static bool is_behind(const struct locks *locks, const struct waiter *waiter)
{
    for (const struct waiter *other = locks->waiters; other != waiter; other = other->next)
        if (other->ticket == waiter->ticket)
            return true;
    return false;
}

/* The first that can proceed, or that would wait for itself. Nobody queues behind somebody else who
 * only waits: that could deadlock. */
static struct waiter **next_settled(struct locks *locks, enum locks_result *result)
{
    for (struct waiter **link = &locks->waiters; *link; link = &(*link)->next) {
        struct waiter *waiter = *link;
        bool first = !waiter->waits && !is_behind(locks, waiter);
        *result = LOCKS_TAKEN;
        if ((waiter->waits || first) &&
            !in_the_way(locks, waiter->ticket, waiter->key, waiter->alone))
            return link;
        *result = LOCKS_DEADLOCK;
        if (first && would_deadlock(locks, waiter->ticket, waiter->key, waiter->alone))
            return link;
        waiter->waits = waiter->waits || first;
    }
    return NULL;
}

static void on_timer(uv_timer_t *timer)
{
    struct locks *locks = (struct locks *)timer;
    enum locks_result result;
    struct waiter **link = next_settled(locks, &result);
    if (!link)
        return;
    struct waiter *waiter = *link;
    locks_settled *settled = waiter->settled;
    void *context = waiter->context;
    if (result == LOCKS_TAKEN)
        grant(locks, waiter->ticket, waiter->key, waiter->alone);
    drop_waiter(link);
    uv_timer_start(timer, on_timer, 0, 0); /* and the next one */
    settled(context, result);
}

bool locks_holds(const struct locks *locks, uint64_t ticket, const char *key)
{
    for (const struct hold *hold = locks->holds; hold; hold = hold->next)
        if (hold->ticket == ticket && strcmp(hold->key, key) == 0)
            return true;
    return false;
}

void locks_release(struct locks *locks, uint64_t ticket)
{
    bool released = false;
    for (struct hold **link = &locks->holds; ticket && *link;) {
        if ((*link)->ticket == ticket) {
            drop_hold(link);
            released = true;
        } else {
            link = &(*link)->next;
        }
    }
    if (released && locks->waiters)
        uv_timer_start(&locks->timer, on_timer, 0, 0);
}

void locks_release_all(struct locks *locks)
{
    while (locks->holds)
        locks_release(locks, locks->holds->ticket);
}
