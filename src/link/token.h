/* The token: from --token, the environment or a file; else the one the platform minted at the first
 * registration. */
#ifndef MOLECULE_LINK_TOKEN_H
#define MOLECULE_LINK_TOKEN_H

#include "link/call.h"
#include "molecule/options.h"
#include "wire/retry.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct link;

struct token {
    char *current;    /* NULL: none */
    char *kept_path;  /* <state-dir>/<id>.token: minted by the platform */
    char *configured; /* --token or the environment */
    bool using_kept;
    bool busy;        /* a read or write is on the disk thread */
    bool unreadable;  /* the token file was, when it was last read again */
    unsigned refused; /* 401s in a row, of any call */
    /* how often the platform said that the workspace is gone */
    struct retry_refusals removed;
    int64_t next_query_ms; /* when it may be asked again */
    bool mentioned_guard;  /* the tenant guard's hint was logged */
};

/* Blocks on the disk: call it before anything runs. */
void token_open(struct link *link);
void token_close(struct link *link);
bool token_available(const struct link *link);
/* Whether token_open would find one. false: `problem` says what is wrong with the file, or is empty
 * if there is no file. */
bool token_exists(const struct molecule_workspace_options *options, char *problem,
                  size_t problem_size);
/* The token that token_open would find; wipe it. NULL: none, `problem` as above. */
char *token_read(const struct molecule_workspace_options *options, char *problem,
                 size_t problem_size);
/* A 401 or 403: counts it, logs it now and then, re-reads the token's source, registers again after
 * three. */
void token_refused(struct link *link, const struct call_answer *answer);
/* for calls that the platform answers only with a valid token: not heartbeats */
void token_accepted(struct link *link);
/* Uses the minted token and keeps it; `then` is called when it is on disk. */
void token_mint(struct link *link, const char *minted, void (*then)(void *context), void *context);
/* Reads the source again. */
void token_reload(struct link *link);
int64_t token_floor_ms(const struct link *link); /* minimum wait after a 401 */

#endif
