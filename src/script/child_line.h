/* What a line from a program means: JSON-RPC 2.0, read liberally. */
#ifndef MOLECULE_SCRIPT_CHILD_LINE_H
#define MOLECULE_SCRIPT_CHILD_LINE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum child_line {
    CHILD_LINE_ANSWER,  /* has an id, a result or an error */
    CHILD_LINE_REQUEST, /* asks something, and expects an answer */
    CHILD_LINE_NOTICE,  /* expects no answer */
    CHILD_LINE_OTHER    /* not an object */
};
enum child_line child_line_kind(const json_t *value);

/* The id is that of a question: the number, also as 1.0 or "1". */
bool child_line_answers(const json_t *answer, long long question);
/* It has no id, or null: in JSON-RPC, the question could not be read. */
bool child_line_is_nameless(const json_t *answer);

/* The answer to a request: there is no such method. A line with its end; NULL: out of memory. Free
 * it with free(). */
char *child_line_refuse(const json_t *request);

/* Reads an object or an array, also after a prefix such as a logger's. NULL: it is neither. */
json_t *child_line_read(const char *bytes, size_t length);

#endif
