/* Agents as A2A servers: one listener, each agent under a path of it, A2A 1.0 and 0.3, JSON-RPC and
 * HTTP+JSON on the same URL. On the network thread. */
#ifndef MOLECULE_DOORS_A2A_SERVER_H
#define MOLECULE_DOORS_A2A_SERVER_H

#include "doors/tasks.h"
#include "molecule/options.h"
#include "net/http_server.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

/* Where it listens if nothing else is said. */
#define A2A_STANDARD_PLACE "127.0.0.1:8090"
#define A2A_STANDARD_URL "http://" A2A_STANDARD_PLACE
#define A2A_BODY_MAXIMUM ((size_t)16 << 20)

struct a2a_server;
struct disk;
struct thread;
struct principals;

/* What makes an agent one that the platform pushes to (contract §5). The owner's. */
struct a2a_push {
    /* whether the value of an Authorization header, NULL: absent, is the platform's */
    bool (*knows)(void *context, const char *authorization);
    bool (*has_secret)(void *context); /* the platform has given one */
    void *context;
    const char *directory; /* of files that it hands over; made when there is one */
    struct disk *disk;
    struct thread *network;
    bool unauthenticated;     /* everybody counts as the platform */
    int64_t answer_within_ms; /* 0: however long it takes */
};

/* One agent that is served. The owner sets the first members and keeps it until
 * a2a_server_remove. */
struct a2a_agent {
    const char *id;   /* for the log, and of the path */
    const char *path; /* "" or "/name", where it is below the server's URL */
    const char *host; /* … at this host alone, in lower case; NULL: at every host */
    struct tasks *tasks;
    struct journal *journal;
    struct webhooks *webhooks;
    int64_t task_ttl_ms;
    const struct a2a_push *push; /* the platform alone asks it; NULL: A2A clients do */
    /* the server's */
    struct a2a_agent *next;
    struct a2a_server *server;
    json_t *card, *extended; /* NULL: not known yet; no extended one */
    char *card_text, *card_tag, *card_modified;
};

/* NULL: `problem` says why. Writes where it listens to the log. `pushed`: for agents with `push`,
 * which ask for no tokens of clients. */
struct a2a_server *a2a_server_open(uv_loop_t *loop, const struct molecule_serve_options *options,
                                   bool pushed, char *problem, size_t problem_size);
/* Where the agents are reached, without a "/" at its end. */
const char *a2a_server_url(const struct a2a_server *server);
/* New requests are refused; those under way go on. */
void a2a_server_drain(struct a2a_server *server);
void a2a_server_close(struct a2a_server *server); /* NULL is fine */
/* Reads the tokens again; the log says if that failed. */
void a2a_server_reload(struct a2a_server *server);

/* false: `other` has the same host and path, and nothing was added. */
bool a2a_server_add(struct a2a_server *server, struct a2a_agent *agent,
                    const struct a2a_agent **other);
void a2a_server_remove(struct a2a_agent *agent);
/* Where it is reached; yours. Whether clients need a token. */
char *a2a_agent_url(const struct a2a_agent *agent);
bool a2a_agent_asks(const struct a2a_agent *agent);
/* Whoever waits for its answers is told that it is stopping. */
void a2a_agent_dismiss(struct a2a_agent *agent);
/* What the agent says of itself; it is answered for from now on. `said`: the agent's `card`, NULL:
 * none. Everything is borrowed. false: `problem` says what is wrong with it. */
bool a2a_agent_describe(struct a2a_agent *agent, const char *name, const char *description,
                        const json_t *skills, const json_t *said, char *problem,
                        size_t problem_size);

/* What an agent card is made of. Borrowed. */
struct a2a_card_words {
    const char *url, *name, *description;
    const json_t *skills, *said; /* said: the agent's `card`; NULL: none */
};

/* The card of 1.0 and 0.3 in one, or of 1.0 alone; `bearer`: clients need a token. NULL: `problem`
 * says what is wrong with what the agent says. */
json_t *a2a_card_of(const struct a2a_card_words *words, bool only_1_0, bool bearer, char *problem,
                    size_t problem_size);

#endif
