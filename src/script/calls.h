/* What a message's handler asks of the world (molecule.http, programs) and what comes of it, for
 * --record, for `molecule replay` and for whoever observes the host. docs/testing.md has the
 * fields.
 *
 * A question is {call, method, url} or {call, argv}, with {request_bytes, request_digest} if it has
 * a body or standard input; its result is added to it. What earlier attempts recorded (ctx.step) is
 * a question of the call alone, whose `steps` is the text of journal_steps_load. Nothing here
 * raises a Lua error. On the worker thread. */
#ifndef MOLECULE_SCRIPT_CALLS_H
#define MOLECULE_SCRIPT_CALLS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CALLS_BODY_MAXIMUM ((size_t)256 << 10) /* bytes of one body or output */
#define CALLS_BYTES_MAXIMUM ((size_t)1 << 20)  /* of all that one attempt keeps, about */
/* of a body that arrives in pieces, how much of its beginning calls_set_bytes looks at */
#define CALLS_SEEN_MAXIMUM (CALLS_BODY_MAXIMUM + 4096)
#define CALLS_COUNT_MAXIMUM 1000 /* of one attempt */

#define CALLS_STEPS "ctx.step"

struct handler;
struct vm;

/* The calls of an attempt. */
struct calls;

/* `record`: they are kept for calls_take; `observe`: calls_end gives them away one by one. NULL:
 * neither. */
struct calls *calls_open(bool record, bool observe);
/* Frees them. As a JSON array, yours to free; NULL: they are not kept. A call that has no result by
 * now is marked. */
char *calls_take(struct calls *calls);

/* Questions. The texts are borrowed; bodies may be NULL. */
json_t *calls_http(const char *method, const char *url, const char *body, size_t length);
json_t *calls_steps(void);
json_t *calls_program(const char *call, char *const *argv, const char *input, size_t length);
/* "GET https://…", "git log"; yours to free. */
char *calls_describe(const json_t *question);

/* The running handler asks. Takes the question. A number for calls_answered; 0: it is not kept. */
size_t calls_asked(const struct vm *vm, json_t *question);

/* One result. Begin, set its fields, and end it; between these nothing else may happen to the
 * handler. `json` NULL: the call is not kept, and nothing needs to be set. */
struct calls_result {
    struct calls *calls;
    json_t *json;
};
struct calls_result calls_answered(const struct handler *handler, size_t number);
/* The name with "_base64" after it where the bytes are not UTF-8; cut and marked as such if they
 * are too many. `all`: how many bytes there were. */
void calls_set_bytes(const struct calls_result *result, const char *name, const char *bytes,
                     size_t length, size_t all);
void calls_set_text(const struct calls_result *result, const char *name, const char *text);
void calls_set(const struct calls_result *result, const char *name, json_t *value); /* takes it */
/* The whole call as JSON text, yours to free, if somebody observes the host; else NULL. */
char *calls_end(const struct calls_result *result, int64_t took_ms);

/* Of a recorded result. NULL: it has no such field, or it is no text. Yours to free. */
char *calls_get_bytes(const json_t *call, const char *name, size_t *length);
/* Why a result cannot be given again, in words; NULL: it can. Static. */
const char *calls_missing(const json_t *call);

#endif
