/* Who may talk to a server of ours: bearer tokens, each of a principal, and how often each may ask.
 * On the network thread. */
#ifndef MOLECULE_DOORS_PRINCIPALS_H
#define MOLECULE_DOORS_PRINCIPALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PRINCIPAL_NAME_MAXIMUM 64
#define PRINCIPAL_TOKEN_LEAST 16 /* bytes of a token */
#define PRINCIPALS_MAXIMUM 1000
/* Of whoever asks where no token is needed. */
#define PRINCIPAL_ANYONE "anonymous"

struct principals;

/* The file: a line each, "name token"; blank lines and lines that begin with # are left out. A name
 * is [A-Za-z0-9][A-Za-z0-9._-]*, at most PRINCIPAL_NAME_MAXIMUM bytes; a principal may have several
 * tokens, a token has one principal. `path` NULL: everybody is PRINCIPAL_ANYONE. `per_minute`:
 * requests of a principal, 0: any number; at most a sixth of them at once. NULL: `problem` says
 * what is wrong, with file:line, and never with a token. */
struct principals *principals_open(const char *path, unsigned per_minute, char *problem,
                                   size_t problem_size);
void principals_close(struct principals *principals); /* NULL is fine */
/* Reads the file again. false: nothing has changed, and `problem` says why. */
bool principals_reload(struct principals *principals, char *problem, size_t problem_size);
/* Whether a token is needed. */
bool principals_ask(const struct principals *principals);
size_t principals_count(const struct principals *principals);

/* Of the value of an Authorization header, NULL: absent. NULL: nobody's. Each token is compared in
 * the same time. Valid until the next principals_reload. */
const char *principals_find(const struct principals *principals, const char *authorization);
bool principals_have(const struct principals *principals, const char *name);
/* Counts a request. 0: it may be carried out; else it must not, and may be tried again after so
 * many seconds. */
unsigned principals_wait(struct principals *principals, const char *name, int64_t now_ms);

#endif
