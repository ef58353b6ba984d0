/* A reply's parts, cleaned: every string passes wire/repair.h, every part has its kind. Only the
 * files of wire/reply.h include this. */
#ifndef MOLECULE_WIRE_REPLY_PARTS_H
#define MOLECULE_WIRE_REPLY_PARTS_H

#include "wire/reply.h"

#define REPLY_OUT_OF_MEMORY "out of memory"

/* The parts as they go out; yours. NULL: `problem` says why not. */
json_t *reply_make_parts(const struct reply *reply, char *problem, size_t problem_size);

#endif
