/* log_hide and log_redact: texts that never appear in the log. */
#include "base/log.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define SECRETS_MAXIMUM 32768
#define SECRET_MINIMUM 4 /* bytes */
#define PLACES_BITS 12
#define HIDDEN "[hidden]"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
struct secret {
    struct secret *next; /* with the same place */
    size_t length;
    char text[];
};

static struct secret *secrets[SECRETS_MAXIMUM]; /* a ring */
static struct secret *places[1 << PLACES_BITS];
static bool begins_one[256]; /* there is, or was, a secret that begins with this byte */
static size_t next_secret;

/* Secrets are listed by their first bytes, so that a line is searched once for all of them. */
static struct secret **place_of(const char *text)
{
    uint32_t first;
    memcpy(&first, text, SECRET_MINIMUM);
    return &places[(first * 2654435761u) >> (32 - PLACES_BITS)];
}

static void list_secret(struct secret *secret)
{
    struct secret **place = place_of(secret->text);
    begins_one[(unsigned char)*secret->text] = true;
    while (*place && (*place)->length >= secret->length) /* the longest that fits hides */
        place = &(*place)->next;
    secret->next = *place;
    *place = secret;
}

static bool is_listed(const char *text)
{
    const struct secret *secret = *place_of(text);
    while (secret && strcmp(secret->text, text) != 0)
        secret = secret->next;
    return secret != NULL;
}

/* A full table forgets the oldest: a token rotated that many times is no longer secret. */
static void forget_oldest(void)
{
    struct secret *oldest = secrets[next_secret], **link = oldest ? place_of(oldest->text) : NULL;
    while (link && *link != oldest)
        link = &(*link)->next;
    if (link)
        *link = oldest->next;
    if (oldest)
        explicit_bzero(oldest->text, oldest->length);
    free(oldest);
    secrets[next_secret] = NULL;
}

void log_hide(const char *text)
{
    size_t length = text ? strlen(text) : 0;
    if (length < SECRET_MINIMUM)
        return;
    pthread_mutex_lock(&mutex);
    struct secret *secret = is_listed(text) ? NULL : malloc(sizeof *secret + length + 1);
    if (secret) {
        forget_oldest();
        secret->length = length;
        memcpy(secret->text, text, length + 1);
        secrets[next_secret] = secret;
        next_secret = (next_secret + 1) % SECRETS_MAXIMUM;
        list_secret(secret);
    }
    pthread_mutex_unlock(&mutex);
}

/* with the mutex held */
static void redact(char *text)
{
    size_t left = strlen(text);
    for (char *at = text; left >= SECRET_MINIMUM;) {
        if (!begins_one[(unsigned char)*at]) {
            at++;
            left--;
            continue;
        }
        const struct secret *secret = *place_of(at);
        while (secret && (secret->length > left || memcmp(at, secret->text, secret->length) != 0))
            secret = secret->next;
        if (!secret) {
            at++;
            left--;
            continue;
        }
        size_t shown = strlen(HIDDEN) < secret->length ? strlen(HIDDEN) : secret->length;
        memcpy(at, HIDDEN, shown);
        memmove(at + shown, at + secret->length, left - secret->length + 1);
        at += shown;
        left -= secret->length;
    }
}

void log_redact(char *text)
{
    pthread_mutex_lock(&mutex);
    redact(text);
    pthread_mutex_unlock(&mutex);
}
