/* An agent of a server of ours, asked by A2A clients (molecule serve) or by the platform that
 * pushes messages to it: its tasks, its place on the server, its webhooks. */
#ifndef MOLECULE_HOST_SERVING_H
#define MOLECULE_HOST_SERVING_H

#include "molecule/options.h"

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

struct a2a_server;
struct disk;
struct dispatch;
struct http_client;
struct journal;
struct journal_loaded;
struct platform_card;
struct script_agent;
struct serving;
struct thread;

/* Borrowed for the life of it. */
struct serving_env {
    const struct molecule_workspace_options *options;
    const struct molecule_serve_options *serve;
    struct a2a_server *server;
    uv_loop_t *loop;
    struct http_client *client; /* for webhooks */
    struct journal *journal;
    struct dispatch *dispatch;
    struct disk *disk;
    struct thread *network;
    /* upwards: a message is kept, and is to be handled; takes it */
    void (*admit)(void *context, struct journal_loaded *loaded);
    /* of a pushed one: whether the value of an Authorization header, NULL: absent, is the
     * platform's; whether the platform has given a secret */
    bool (*knows)(void *context, const char *authorization);
    bool (*has_secret)(void *context);
    void *context;
};

/* The journal must have been loaded. NULL: `problem` says why not. */
struct serving *serving_open(const struct serving_env *env, char *problem, size_t problem_size);
/* What the script says of itself. false: `problem` says what is wrong with it. */
bool serving_describe(struct serving *serving, const struct platform_card *card,
                      const struct script_agent *agent, char *problem, size_t problem_size);
/* Where clients reach it; yours. Whether they need a token. */
char *serving_url(const struct serving *serving);
bool serving_asks(const struct serving *serving);
/* No task begins any more. NULL is fine in all of these. */
void serving_drain(struct serving *serving);
/* Whoever still waits for an answer is told so, while there is time to. */
void serving_dismiss(struct serving *serving);
/* After the journal, before the dispatch. */
void serving_close(struct serving *serving);
void serving_free(struct serving *serving);

#endif
