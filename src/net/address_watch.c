#include "net/address_watch.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define EVERY_MS 30000
#define HOSTS 16     /* more are not watched */
#define ADDRESSES 64 /* per host that are examined */

struct watched_host {
    char *name;
    char address[INET6_ADDRSTRLEN]; /* of the last connection */
    bool listed;                    /* the resolver has named it */
};

struct lookup {
    char *name;
    char addresses[ADDRESSES][INET6_ADDRSTRLEN];
    size_t count;
};

/* Between the loop and the thread that asks; the last one to leave frees it. */
struct mailbox {
    pthread_mutex_t mutex;
    unsigned users;
    uv_async_t *answered; /* NULL: nobody is waiting */
    struct lookup lookup;
    bool done;
};

struct address_watch {
    uv_loop_t *loop;
    uv_timer_t *timer;
    uv_async_t *answered;
    struct mailbox *mailbox; /* NULL: nothing is being asked */
    struct watched_host hosts[HOSTS];
    size_t count, next;
    int64_t moved_ms;
};

static void leave(struct mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->mutex);
    bool last = --mailbox->users == 0;
    pthread_mutex_unlock(&mailbox->mutex);
    if (!last)
        return;
    pthread_mutex_destroy(&mailbox->mutex);
    free(mailbox->lookup.name);
    free(mailbox);
}

/* false: not an address as libcurl writes it */
static bool write_address(const struct addrinfo *info, char text[INET6_ADDRSTRLEN])
{
    const void *bytes =
        info->ai_family == AF_INET
            ? (const void *)&((const struct sockaddr_in *)(const void *)info->ai_addr)->sin_addr
        : info->ai_family == AF_INET6
            ? (const void *)&((const struct sockaddr_in6 *)(const void *)info->ai_addr)->sin6_addr
            : NULL;
    return bytes && inet_ntop(info->ai_family, bytes, text, INET6_ADDRSTRLEN);
}

static void *look_up(void *context)
{
    struct mailbox *mailbox = context;
    struct lookup *lookup = &mailbox->lookup;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    if (getaddrinfo(lookup->name, NULL, &hints, &found) == 0) {
        for (const struct addrinfo *info = found; info && lookup->count < ADDRESSES;
             info = info->ai_next)
            lookup->count += write_address(info, lookup->addresses[lookup->count]);
        freeaddrinfo(found);
    }
    pthread_mutex_lock(&mailbox->mutex);
    mailbox->done = true;
    if (mailbox->answered)
        uv_async_send(mailbox->answered);
    pthread_mutex_unlock(&mailbox->mutex);
    leave(mailbox);
    return NULL;
}

static bool is_among(const struct lookup *lookup, const char *address)
{
    for (size_t i = 0; i < lookup->count; i++)
        if (strcmp(lookup->addresses[i], address) == 0)
            return true;
    return false;
}

static struct watched_host *find(struct address_watch *watch, const char *name)
{
    for (size_t i = 0; i < watch->count; i++)
        if (strcmp(watch->hosts[i].name, name) == 0)
            return &watch->hosts[i];
    return NULL;
}

static void compare(struct address_watch *watch, const struct lookup *lookup)
{
    struct watched_host *host = find(watch, lookup->name);
    if (!host || lookup->count == 0)
        return;
    bool listed = is_among(lookup, host->address);
    if (host->listed && !listed) {
        log_info(LOG_ADDRESS_CHANGED, NULL, "%s is now at %s, no longer at %s; reconnecting",
                 host->name, lookup->addresses[0], host->address);
        watch->moved_ms = clock_monotonic_ms();
    }
    host->listed = listed;
}

static void on_answered(uv_async_t *answered)
{
    struct address_watch *watch = answered->data;
    struct mailbox *mailbox = watch->mailbox;
    if (!mailbox)
        return;
    pthread_mutex_lock(&mailbox->mutex);
    bool done = mailbox->done;
    pthread_mutex_unlock(&mailbox->mutex);
    if (!done)
        return;
    compare(watch, &mailbox->lookup);
    watch->mailbox = NULL;
    leave(mailbox);
}

static void ask(struct address_watch *watch, const struct watched_host *host)
{
    struct mailbox *mailbox = memory_allocate(sizeof *mailbox);
    *mailbox = (struct mailbox){
        .users = 2, .answered = watch->answered, .lookup.name = memory_copy_text(host->name)};
    pthread_mutex_init(&mailbox->mutex, NULL);
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    pthread_t thread;
    if (pthread_create(&thread, &detached, look_up, mailbox) == 0) {
        watch->mailbox = mailbox;
    } else { /* another time */
        leave(mailbox);
        leave(mailbox);
    }
    pthread_attr_destroy(&detached);
}

static void on_timer(uv_timer_t *timer)
{
    struct address_watch *watch = timer->data;
    if (!watch->mailbox && watch->count > 0)
        ask(watch, &watch->hosts[watch->next++ % watch->count]);
}

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

struct address_watch *address_watch_open(uv_loop_t *loop)
{
    struct address_watch *watch = memory_allocate(sizeof *watch);
    *watch = (struct address_watch){.loop = loop};
    watch->timer = memory_allocate(sizeof *watch->timer);
    watch->answered = memory_allocate(sizeof *watch->answered);
    uv_timer_init(loop, watch->timer);
    uv_async_init(loop, watch->answered, on_answered);
    watch->timer->data = watch->answered->data = watch;
    return watch;
}

void address_watch_close(struct address_watch *watch)
{
    if (!watch)
        return;
    if (watch->mailbox) {
        pthread_mutex_lock(&watch->mailbox->mutex);
        watch->mailbox->answered = NULL;
        pthread_mutex_unlock(&watch->mailbox->mutex);
        leave(watch->mailbox);
    }
    for (size_t i = 0; i < watch->count; i++)
        free(watch->hosts[i].name);
    uv_close((uv_handle_t *)watch->timer, free_handle);
    uv_close((uv_handle_t *)watch->answered, free_handle);
    free(watch);
}

void address_watch_note(struct address_watch *watch, const char *name, const char *address)
{
    struct watched_host *host = find(watch, name);
    if (!host && watch->count < HOSTS) {
        host = &watch->hosts[watch->count++];
        *host = (struct watched_host){.name = memory_copy_text(name)};
    }
    if (!host || strcmp(host->address, address) == 0)
        return;
    size_t length = strlen(address);
    if (length >= sizeof host->address)
        return;
    memcpy(host->address, address, length + 1);
    host->listed = false;
    if (!watch->mailbox && watch->moved_ms == 0)
        ask(watch, host);
    if (!uv_is_active((uv_handle_t *)watch->timer))
        uv_timer_start(watch->timer, on_timer, EVERY_MS, EVERY_MS);
}

int64_t address_watch_moved_ms(const struct address_watch *watch)
{
    return watch->moved_ms;
}
