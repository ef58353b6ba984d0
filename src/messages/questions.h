/* Questions that handlers have asked (ctx.ask) and that have no answer yet: to whom, and what would
 * answer them. Each is a step of its message (state/ledger_questions.c); here is what must be known
 * when a row arrives. On the network thread. */
#ifndef MOLECULE_MESSAGES_QUESTIONS_H
#define MOLECULE_MESSAGES_QUESTIONS_H

#include "messages/question_words.h"
#include "wire/envelope.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct question {
    struct question *next, *previous; /* in the order in which they were asked */
    char *row_id, *key;               /* of the message whose handler asks, and of the step */
    char code[QUESTION_CODE_LENGTH + 1];
    char *peer; /* who is asked; NULL: the human in the canvas */
    /* it went to the sender of its message: the answer has the same context */
    bool to_sender;
    char *context_id; /* of that message; NULL: none */
    char *text;
    char *announcement; /* as it is posted; NULL: it was, and is no longer needed */
    json_t *choices;    /* array of strings; NULL: any answer will do */
    char *message_id;   /* of its post to a peer */
    char *task_id;      /* that the peer answered with; NULL: none */
    /* the newest row when it was asked: an answer is newer. Microseconds; its id */
    int64_t after_us;
    char *after_id;
    int64_t asked_ms, timeout_ms, deadline_ms; /* wall clock; 0: not posted yet */
    bool begun;                                /* its post has, so that it may have been seen */
    bool closing; /* its answer is being recorded: there will be no other */
    /* its message came in through a door: the next message to its task answers, and no other */
    bool served;
    bool authorization; /* … ctx.auth_required */
    bool waits_turn;    /* its handler waits until it may ask that peer */
    bool hinted;        /* whoever was asked was told what would be an answer */
};

struct questions {
    struct question *first, *last;
    int64_t newest_us; /* of the rows seen so far; 0: none */
    char *newest_id;
    bool say_again; /* another client has had the inbox meanwhile: those who are asked are told
                       again */
    /* upwards: what the message waits for has happened */
    void (*wake)(void *context, const char *row_id);
    void *context;
};

size_t questions_count(const struct questions *questions);
/* A row arrived. */
void questions_saw(struct questions *questions, const char *stamp, const char *row_id);

/* A new one of this message. `spec`: an object of text, choices (or none), peer (NULL: the sender;
 * "canvas"), timeout_ms. */
struct question *questions_ask(struct questions *questions, const struct message *message,
                               const char *key, const json_t *spec);
/* What its post's id is made of, with its message's; yours. */
char *question_purpose(const struct question *question);
/* For its step: what questions_load reads. Yours. */
json_t *question_describe(const struct question *question);
/* How it is told once more. Yours. */
char *questions_announce(const struct questions *questions, const struct question *question);
/* From an earlier process; the texts as they were recorded. What is damaged is left out. */
void questions_load(struct questions *questions, const char *row_id, const char *key,
                    const char *asked, const char *posted);

/* NULL: it has its answer, or is closing. */
struct question *questions_find(const struct questions *questions, const char *row_id,
                                const char *key);
struct question *questions_find_code(const struct questions *questions, const char *code);
/* A peer is asked one question at a time. */
bool questions_may_post(const struct questions *questions, const struct question *question);
/* One of this message's questions, of an earlier process, can be posted. */
bool questions_any_turn(const struct questions *questions, const char *row_id);
/* Its post begins: an answer is newer than what has been read by now. It has failed for certain. */
void questions_post_begins(const struct questions *questions, struct question *question);
void question_post_failed(struct question *question);
void question_set_posted(struct question *question, const char *task_id);

struct question_answer {
    struct question *question; /* NULL: the message answers none */
    const char *text;          /* of the answer, without the code; the message's */
    const char *choice;        /* the question's */
    char *hint; /* what the sender is to be told instead; NULL: nothing. Yours to free */
};
/* Which question this message answers. Its content is needed. */
struct question_answer questions_match(struct questions *questions, const struct message *message);
/* Of a message to a task that waits: which question of the task's message (`row_id`) it answers, as
 * it would be given by questions_match. `text` is borrowed. */
struct question_answer questions_match_task(struct questions *questions, const char *row_id,
                                            const char *text);
/* One that was told to the client of that task waits for its answer. */
bool questions_wait(const struct questions *questions, const char *row_id);
/* The value of the step that records it: an object; yours. */
json_t *question_answer_value(const struct question_answer *answer, const struct message *message);

/* The answer is recorded. Wakes its message, and whoever may now ask that peer. */
void questions_close(struct questions *questions, struct question *question);
/* The message is finished, or dead: its questions are no more. */
void questions_forget(struct questions *questions, const char *row_id);
#define QUESTIONS_LISTED 100 /* at most */
/* An array of {code, text, choices, to, message, asked, until}; yours. */
json_t *questions_list(const struct questions *questions);
void questions_free(struct questions *questions);

#endif
