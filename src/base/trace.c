#include "base/trace.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/uuid.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* of the list */
static struct trace_kept *first, **end = &first;
static atomic_size_t waiting, maximum;
static _Atomic uint64_t dropped;
static struct trace_sampling sampling; /* set before other threads ask */

/* --- contexts --- */

static bool is_id(const char *text, size_t digits)
{
    return strspn(text, "0123456789abcdef") >= digits && strspn(text, "0") < digits;
}

bool trace_read(const char *traceparent, struct trace_context *context)
{
    memset(context, 0, sizeof *context);
    size_t length = traceparent ? strlen(traceparent) : 0;
    static const char hexadecimal[] = "0123456789abcdef";
    if (length < TRACE_PARENT_SIZE - 1 || strspn(traceparent, hexadecimal) != 2 ||
        strncmp(traceparent, "ff", 2) == 0 || traceparent[2] != '-' ||
        !is_id(traceparent + 3, 32) || traceparent[35] != '-' || !is_id(traceparent + 36, 16) ||
        traceparent[52] != '-' || strspn(traceparent + 53, hexadecimal) != 2)
        return false;
    bool is_first = strncmp(traceparent, "00", 2) == 0;
    if (traceparent[55] && (is_first || traceparent[55] != '-'))
        return false;
    memcpy(context->trace_id, traceparent + 3, 32);
    memcpy(context->span_id, traceparent + 36, 16);
    context->sampled = (strchr(hexadecimal, traceparent[54]) - hexadecimal) & 1;
    return true;
}

void trace_write(const struct trace_context *context, char traceparent[TRACE_PARENT_SIZE])
{
    *traceparent = '\0';
    if (*context->trace_id)
        snprintf(traceparent, TRACE_PARENT_SIZE, "00-%s-%s-0%d", context->trace_id,
                 context->span_id, context->sampled);
}

/* The hexadecimal digits of the UUID of a name; never all zeros, as it has a version. */
static void digits_of(const char *kind, const char *name, const char *more, char *digits,
                      size_t size)
{
    char uuid[UUID_TEXT_SIZE];
    char *whole = memory_join(kind, name, more);
    uuid_of_name(whole, uuid);
    free(whole);
    size_t length = 0;
    for (const char *at = uuid; *at && length + 1 < size; at++)
        if (*at != '-')
            digits[length++] = *at;
    digits[length] = '\0';
}

/* The same trace is sampled by everybody or by nobody: by its id. */
static bool sample(const char *trace_id, const bool *parent)
{
    if (parent && sampling.by_parent)
        return *parent;
    if (sampling.sampler != TRACE_RATIO)
        return sampling.sampler == TRACE_ALWAYS;
    /* the last 56 bits: in an id that is a UUID, those before them have its variant */
    double share = (double)strtoull(trace_id + 18, NULL, 16) / (double)(1ULL << 56);
    return share < sampling.ratio;
}

void trace_begin(const char *traceparent, const char *name, struct trace_context *context,
                 char parent[TRACE_SPAN_ID_SIZE])
{
    struct trace_context given;
    bool came = trace_read(traceparent, &given);
    memset(context, 0, sizeof *context);
    *parent = '\0';
    if (!came && maximum == 0)
        return;
    if (came) {
        memcpy(parent, given.span_id, sizeof given.span_id);
        memcpy(context->trace_id, given.trace_id, sizeof given.trace_id);
    } else {
        digits_of("trace:", name, "", context->trace_id, sizeof context->trace_id);
    }
    digits_of("span:", context->trace_id, name, context->span_id, sizeof context->span_id);
    /* without an exporter the sender's decision is passed on */
    context->sampled = maximum == 0 ? given.sampled
                                    : sample(context->trace_id, came ? &given.sampled : NULL);
}

void trace_below(const struct trace_context *above, const char *name, struct trace_context *below)
{
    char random[32];
    memset(below, 0, sizeof *below);
    if (!*above->trace_id)
        return;
    if (!name)
        snprintf(random, sizeof random, "%llx%llx", (unsigned long long)random_number(),
                 (unsigned long long)random_number());
    *below = *above;
    digits_of("span:", above->span_id, name ? name : random, below->span_id, sizeof below->span_id);
}

/* --- spans --- */

static void free_one(struct trace_kept *kept)
{
    free(kept->name);
    free(kept->problem);
    for (size_t i = 0; i < kept->value_count; i++)
        free((char *)kept->values[i].text);
    free(kept);
}

void trace_kept_free(struct trace_kept *kept)
{
    while (kept) {
        struct trace_kept *next = kept->next;
        free_one(kept);
        kept = next;
    }
}

static char *copy(const char *text)
{
    char *copied = text ? memory_copy_text(text) : NULL;
    if (copied)
        log_redact(copied);
    return copied;
}

static struct trace_kept *keep(const struct trace_span *span)
{
    struct trace_kept *kept = memory_allocate(sizeof *kept);
    kept->context = *span->context;
    snprintf(kept->parent, sizeof kept->parent, "%s", span->parent ? span->parent : "");
    kept->kind = span->kind;
    kept->name = copy(span->name);
    kept->problem = copy(span->problem);
    kept->ended_us = clock_wall_ms() * 1000;
    kept->began_us = kept->ended_us - span->took_ms * 1000;
    kept->value_count = span->value_count;
    for (size_t i = 0; i < span->value_count; i++) {
        kept->values[i] = span->values[i];
        kept->values[i].text = copy(span->values[i].text);
    }
    return kept;
}

void trace_record(const struct trace_span *span)
{
    if (maximum == 0 || !*span->context->trace_id || !span->context->sampled)
        return;
    if (waiting >= maximum) {
        dropped++;
        return;
    }
    struct trace_kept *kept = keep(span);
    pthread_mutex_lock(&mutex);
    *end = kept;
    end = &kept->next;
    waiting++;
    pthread_mutex_unlock(&mutex);
}

void trace_export(size_t most, struct trace_sampling how)
{
    sampling = how;
    maximum = most;
}

struct trace_kept *trace_take(size_t most, size_t *count)
{
    pthread_mutex_lock(&mutex);
    struct trace_kept *taken = first, **link = &first;
    for (*count = 0; *count < most && *link; (*count)++)
        link = &(*link)->next;
    first = *link;
    *link = NULL;
    if (!first)
        end = &first;
    waiting -= *count;
    pthread_mutex_unlock(&mutex);
    return *count > 0 ? taken : NULL;
}

size_t trace_waiting(void)
{
    return waiting;
}

uint64_t trace_dropped(void)
{
    return dropped;
}

void trace_count_dropped(size_t spans)
{
    dropped += spans;
}
