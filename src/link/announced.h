/* Messages that the event stream announced and no poll has brought yet, by their messageId. Pure:
 * no I/O; times are monotonic milliseconds. */
#ifndef MOLECULE_LINK_ANNOUNCED_H
#define MOLECULE_LINK_ANNOUNCED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* any beyond this are left to the regular re-read */
#define ANNOUNCED_MAXIMUM 64
/* messages that arrived recently: they may arrive before they are announced */
#define ANNOUNCED_SEEN 512

struct announced_message {
    uint64_t key; /* of the messageId */
    int64_t at_ms;
    int64_t next_ms; /* no look before this time */
    unsigned looks;
};

struct announced {
    struct announced_message missing[ANNOUNCED_MAXIMUM];
    size_t count;
    uint64_t seen[ANNOUNCED_SEEN];
    size_t next;
};

/* NULL is fine everywhere: nothing is announced where there is no event stream. */
/* What the platform's next poll should bring. */
void announced_add(struct announced *announced, const char *message_id, int64_t now_ms);
/* A poll brought it. */
void announced_came(struct announced *announced, const char *message_id);
/* After a poll that began at `asked_ms` and reached the inbox's end: whether one announced before
 * then is missing, so that the inbox must be re-read. `*all`: not only its last seconds, where the
 * first look did not find it. Each message is looked for three times within seconds. */
bool announced_look(struct announced *announced, int64_t asked_ms, int64_t now_ms, bool *all);
bool announced_any(const struct announced *announced); /* another look is due */
void announced_forget(struct announced *announced);

#endif
