/* Traces: what a message led to, on this machine and on others, as W3C Trace Context
 * (https://www.w3.org/TR/trace-context/) names it.
 *
 * A message has a context if its sender gave one (traceparent), or if spans are exported
 * (OTEL_EXPORTER_OTLP_ENDPOINT, host/tracing.h). Its ids follow from its row's id, so that what
 * runs again after a crash belongs to the same trace. Contexts and spans may be made on any
 * thread. */
#ifndef MOLECULE_BASE_TRACE_H
#define MOLECULE_BASE_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRACE_ID_SIZE 33      /* 32 hexadecimal digits */
#define TRACE_SPAN_ID_SIZE 17 /* 16 */
#define TRACE_PARENT_SIZE 56  /* "00-<trace id>-<span id>-01" */

/* A place in a trace; zeroed: there is none. */
struct trace_context {
    char trace_id[TRACE_ID_SIZE], span_id[TRACE_SPAN_ID_SIZE];
    bool sampled;
};

/* false: it is no traceparent; `context` is zeroed. Versions after 00 are read as it. */
bool trace_read(const char *traceparent, struct trace_context *context);
/* "" without a context. */
void trace_write(const struct trace_context *context, char traceparent[TRACE_PARENT_SIZE]);

/* The context of a message: below `traceparent` if that is one (NULL: none came), else of a trace
 * that follows from `name`. Zeroed if there is none and spans are not exported. `parent`: the
 * sender's span, "" for none. */
void trace_begin(const char *traceparent, const char *name, struct trace_context *context,
                 char parent[TRACE_SPAN_ID_SIZE]);
/* A span below: its id follows from `name`; NULL: it is random. Zeroed below none. */
void trace_below(const struct trace_context *above, const char *name, struct trace_context *below);

/* A span that has begun: its context, and its parent's id. */
struct trace_place {
    struct trace_context context;
    char parent[TRACE_SPAN_ID_SIZE];
};

/* --- spans --- */

enum trace_kind { TRACE_INTERNAL = 1, TRACE_SERVER, TRACE_CLIENT, TRACE_PRODUCER, TRACE_CONSUMER };

/* Attributes, whose names are in wire/otlp_names.h alone. */
#define TRACE_ATTRIBUTES(X) \
    X(TRACE_WORKSPACE)      \
    X(TRACE_ROW)            \
    X(TRACE_OUTCOME)        \
    X(TRACE_ATTEMPT)        \
    X(TRACE_RESULT)         \
    X(TRACE_STEP)           \
    X(TRACE_METHOD)         \
    X(TRACE_URL)            \
    X(TRACE_STATUS)         \
    X(TRACE_PEER)           \
    X(TRACE_CODE)           \
    X(TRACE_MODEL)          \
    X(TRACE_PROVIDER)       \
    X(TRACE_OPERATION)      \
    X(TRACE_INPUT_TOKENS)   \
    X(TRACE_OUTPUT_TOKENS)  \
    X(TRACE_COMMAND)
enum trace_attribute {
#define X(name) name,
    TRACE_ATTRIBUTES(X)
#undef X
        TRACE_ATTRIBUTE_COUNT
};

#define TRACE_VALUES 6

struct trace_value {
    enum trace_attribute attribute;
    const char *text; /* NULL: the number */
    int64_t number;
};

/* Borrowed for trace_record. */
struct trace_span {
    const struct trace_context *context;
    const char *parent; /* a span id; NULL or "": none */
    enum trace_kind kind;
    const char *name;
    int64_t took_ms;     /* it ends now */
    const char *problem; /* NULL: it succeeded */
    struct trace_value values[TRACE_VALUES];
    size_t value_count;
};

/* Keeps it for the exporter. Without one, or if it is not sampled, or if too many wait, nothing
 * happens; those are counted. Never waits. */
void trace_record(const struct trace_span *span);

/* --- for the exporter --- */

struct trace_kept {
    struct trace_kept *next;
    struct trace_context context;
    char parent[TRACE_SPAN_ID_SIZE];
    enum trace_kind kind;
    char *name, *problem;
    int64_t began_us, ended_us;              /* wall clock */
    struct trace_value values[TRACE_VALUES]; /* their texts are its own */
    size_t value_count;
};

enum trace_sampler { TRACE_ALWAYS, TRACE_NEVER, TRACE_RATIO };
struct trace_sampling {
    enum trace_sampler sampler;
    bool by_parent; /* what the sender decided counts */
    double ratio;
};

/* Keeps at most `maximum` spans from now on; 0: none. */
void trace_export(size_t maximum, struct trace_sampling sampling);
/* The oldest, at most `most`; `*count` of them. */
struct trace_kept *trace_take(size_t most, size_t *count);
void trace_kept_free(struct trace_kept *kept); /* the whole list */
size_t trace_waiting(void);
uint64_t trace_dropped(void);
void trace_count_dropped(size_t spans);

#endif
