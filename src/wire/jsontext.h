/* JSON text to jansson values and back: what arrives is repaired where the parser alone would
 * reject it, what leaves is compact, valid UTF-8 and no larger than its buffer. */
#ifndef MOLECULE_WIRE_JSONTEXT_H
#define MOLECULE_WIRE_JSONTEXT_H

#include "base/buffer.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSONTEXT_PROBLEM_SIZE 256

/* Any JSON value; U+0000 in strings is kept. `*repaired`: it parsed only after wire/repair.h. NULL:
 * it is not JSON, nested too deeply (2048 levels) or there is no memory; `problem` says which.
 * `repaired` and `problem` may be NULL. */
json_t *jsontext_read(const char *bytes, size_t length, bool *repaired,
                      char problem[JSONTEXT_PROBLEM_SIZE]);

/* Appends the value's text, compact, with members in the order they were set. `*needed` is its
 * size. false: it is NULL or has a string that is no UTF-8 (`*needed` is 0), or it is larger than
 * the buffer takes. Written here, not by json_dumps, which looks for cycles (a value here has none)
 * and so takes six times as long. */
bool jsontext_write(const json_t *value, struct buffer *buffer, size_t *needed);

/* The same text, yours to free. NULL: the value is NULL, or has a string that is no UTF-8. */
char *jsontext_print(const json_t *value);

/* Its size in bytes; 0: no such text. */
size_t jsontext_size(const json_t *value);

/* Appends the text as a JSON string, quotes and all, repaired so that the platform takes it. false:
 * larger than the buffer takes. */
bool jsontext_append_string(struct buffer *buffer, const char *text, size_t length);

/* Appends the text as jsontext_write would write a string of it. false: larger than the buffer
 * takes, or the platform does not take it as it stands: it has a U+0000, or is no UTF-8. */
bool jsontext_append_sound(struct buffer *buffer, const char *text, size_t length);

/* A time (wall clock) as RFC 3339; null: never (0 or less). */
json_t *jsontext_time(int64_t wall_ms);

/* A string that the platform takes (repair_text). NULL: out of memory. */
json_t *jsontext_string(const char *text, size_t length);

#endif
