/* What the files of the A2A server share. Only they include this. */
#ifndef MOLECULE_DOORS_A2A_PRIVATE_H
#define MOLECULE_DOORS_A2A_PRIVATE_H

#include "doors/a2a_server.h"
#include "doors/principals.h"
#include "journal/journal.h"
#include "state/disk.h"
#include "wire/a2a.h"

struct a2a_server {
    uv_loop_t *loop;
    struct http_server *http;
    struct principals *principals;
    struct a2a_agent *agents;
    struct a2a_exchange *exchanges; /* all that are under way */
    uv_timer_t beat;                /* comments in idle streams */
    bool only_1_0;                  /* the form of the cards */
    char *url;                      /* where the agents are reached, without a "/" at its end */
    bool draining;
    int open_handles;
    uint64_t told; /* the last exchange's number */
};

/* One request and its answer. */
struct a2a_exchange {
    struct task_watcher watcher; /* first */
    struct a2a_exchange *next, *previous;
    struct a2a_server *server;
    struct a2a_agent *agent;
    struct http_request *http; /* NULL: the client has gone, or has its answer */
    struct a2a_request request;
    char principal[PRINCIPAL_NAME_MAXIMUM + 1];
    char *extensions;   /* those that were asked for and exist, as the answer names them; NULL: none
                         */
    json_int_t history; /* messages that the client wants to see; -1: all */
    bool at_once;       /* SEND: the client does not wait for the end */
    bool streaming;     /* the head of the stream is sent */
    bool silent;        /* … and nothing since the last beat */
    bool looking;       /* the journal has it */
    int64_t began_ms;   /* monotonic */
    uint64_t told;      /* of a stream: the number that observers know it by; 0: there is none */
    struct a2a_problem problem;
    struct a2a_listing *listing; /* LIST */
    uv_timer_t *patience;        /* of what the platform pushed; NULL: none */
    char *late_id;               /* … its task, which is being told that it is late */
};

/* Carries out what was asked. The answer follows, at once or later. */
void a2a_operate(struct a2a_exchange *exchange);
/* Each ends the exchange, which may be freed by it. The value is borrowed. */
void a2a_answer(struct a2a_exchange *exchange, const json_t *result);
void a2a_refuse(struct a2a_exchange *exchange, enum a2a_error error, const char *task_id,
                const char *format, ...) __attribute__((format(printf, 4, 5)));
void a2a_refuse_with(struct a2a_exchange *exchange, const struct a2a_problem *problem);
/* One event of a stream, which begins with the first. */
void a2a_stream(struct a2a_exchange *exchange, const json_t *response, bool last);
/* All that are left: the journals that would end them are no more. */
void a2a_exchanges_free(struct a2a_server *server);
/* No answer was possible, or none is needed any more. */
void a2a_exchange_end(struct a2a_exchange *exchange);

/* a2a_push.c: of an agent with `push`. on_head; false: it has its answer. The request. */
bool a2a_push_head(const struct a2a_agent *agent, struct http_request *http, const char *path);
/* The platform is to send the message again: to it a broken connection is a busy agent, and any
 * status from 300 on an error of the agent's (contract §5). */
void a2a_push_postpone(struct a2a_exchange *exchange);
void a2a_push_operate(struct a2a_exchange *exchange, const char *body, size_t length);
/* a2a_server.c; `agent`: whom it was for, NULL: nobody */
void a2a_answer_plainly(struct http_request *http, const struct a2a_agent *agent, int status,
                        const char *name, const char *value, const char *words);

/* a2a_told.c: an answer that is about to be given. */
struct a2a_told {
    int status;
    const char *bytes;
    size_t length;
    int64_t began_ms; /* of its exchange; 0: it is answered at once */
    bool streams;     /* more follows: a2a_tell_more */
};
/* While the request is held. The exchange's number; 0: nobody listens, or there is no agent. */
uint64_t a2a_tell(struct a2a_server *server, const struct a2a_agent *agent,
                  struct http_request *http, const struct a2a_told *answer);
void a2a_tell_more(const struct a2a_exchange *exchange, const char *bytes, size_t length);

/* a2a_list.c: ListTasks */
void a2a_list_tasks(struct a2a_exchange *exchange);
void a2a_listing_free(struct a2a_listing *listing); /* NULL is fine */
/* a2a_configs.c: push notification configs */
void a2a_operate_config(struct a2a_exchange *exchange);
/* One that a client gave with its message, or created: checked, with its id and version. NULL: the
 * exchange was refused. Yours. */
json_t *a2a_take_config(struct a2a_exchange *exchange, const json_t *given);

/* One that comes with a repeated message, unless the task has one for that URL. */
void a2a_add_config(struct a2a_exchange *exchange, struct a2a_task *task, const json_t *config);

/* a2a_card_file.c: false: it is not asked for. */
bool a2a_answer_card(struct a2a_server *server, struct http_request *http,
                     const struct a2a_agent *agent, const char *path);
/* The extensions of the card that the header names, as the answer's header; yours, NULL: none.
 * `*missing`: one that the card requires and the header does not name; NULL: none. */
char *a2a_extensions(const struct a2a_agent *agent, const char *header, const char **missing);

#endif
