/* What the a2a_*.c files share. */
#ifndef MOLECULE_WIRE_A2A_PRIVATE_H
#define MOLECULE_WIRE_A2A_PRIVATE_H

#include "wire/a2a.h"

#define A2A_DOMAIN "a2a-protocol.org" /* ErrorInfo's domain [1.0 §9.5] */

/* Where a path and an HTTP method lead. */
struct a2a_route {
    enum a2a_version version; /* HTTP+JSON: 0.3 below /v1; JSON-RPC: the header decides */
    enum a2a_binding binding;
    enum a2a_operation operation; /* HTTP+JSON */
    const char *id, *config;      /* from the path, not terminated; NULL: it has none */
    size_t id_length, config_length;
};
/* false: `allowed` as in a2a_routes. */
bool a2a_route(const char *method, const char *path, struct a2a_route *route, const char **allowed);

/* Always false. `field` "" or as in struct a2a_problem. The text is cut to size and becomes
 * printable UTF-8, whatever the arguments hold. */
bool a2a_fail(struct a2a_problem *problem, enum a2a_error error, const char *field,
              const char *format, ...) __attribute__((format(printf, 4, 5)));
/* A2A_INTERNAL; for out of memory. */
bool a2a_fail_memory(struct a2a_problem *problem);

/* The parameters of an HTTP+JSON request, in the form of 1.0: from path, query and body. NULL:
 * `problem` says why. `body` may be NULL; borrowed. */
json_t *a2a_query(const struct a2a_http *http, const struct a2a_route *route, json_t *body,
                  struct a2a_problem *problem);

/* What ProtoJSON readers accept and our model does not have, in place: snake_case names, null and
 * "" for absent, numbers as strings, enums as numbers. */
void a2a_v1_mend(enum a2a_operation operation, json_t *params);
/* The state's name in 1.0 ("working" -> "TASK_STATE_WORKING"); NULL: 0.3 has no such state. */
const char *a2a_v03_read_state(const char *state);

/* Object building that passes NULL on: out of memory leaves *object NULL. */
void a2a_put(json_t **object, const char *name, json_t *value); /* steals `value` */
/* Nothing for an absent member; the value is shared, not copied. */
void a2a_copy(json_t **object, const char *name, const json_t *from, const char *its_name);

#endif
