/* A reply's parts, cleaned: every string passes wire/repair.h, every part has its kind. */
#ifndef MOLECULE_WIRE_REPLY_PARTS_H
#define MOLECULE_WIRE_REPLY_PARTS_H

#include "wire/reply.h"

#define REPLY_OUT_OF_MEMORY "out of memory"

/* The parts as they go out; yours. NULL: `problem` says why not. */
json_t *reply_make_parts(const struct reply *reply, char *problem, size_t problem_size);
/* A copy of JSON that a script gave whose strings others accept. NULL: it is nested deeper than 100
 * levels, or out of memory. */
json_t *reply_clean(const json_t *value);

#endif
