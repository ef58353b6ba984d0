#include "messages/questions_private.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/uuid.h"
#include "wire/jsontext.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* As the platform writes ids; yours. */
static char *lower(const char *id)
{
    char *copy = memory_copy_text(id);
    for (char *at = copy; *at; at++)
        *at = (char)tolower((unsigned char)*at);
    return copy;
}

static void set(char **to, const char *text)
{
    free(*to);
    *to = memory_copy_text(text);
}

bool question_same_id(const char *one, const char *other)
{
    return one && other ? strcasecmp(one, other) == 0 : one == other;
}

/* --- the order of the feed --- */

bool question_is_newer(int64_t us, const char *id, int64_t than_us, const char *than_id)
{
    return us > than_us || (us == than_us && strcmp(id, than_id ? than_id : "") > 0);
}

size_t questions_count(const struct questions *questions)
{
    size_t count = 0;
    for (const struct question *each = questions->first; each; each = each->next)
        count++;
    return count;
}

void questions_saw(struct questions *questions, const char *stamp, const char *row_id)
{
    int64_t us;
    if (!stamp || !row_id || !clock_parse(stamp, &us) ||
        !question_is_newer(us, row_id, questions->newest_us, questions->newest_id))
        return;
    questions->newest_us = us;
    set(&questions->newest_id, row_id);
}

/* --- those that are open --- */

static struct question *add(struct questions *questions, const char *row_id, const char *key)
{
    struct question *question = memory_allocate(sizeof *question);
    question->row_id = memory_copy_text(row_id);
    question->key = memory_copy_text(key);
    question->previous = questions->last;
    if (questions->last)
        questions->last->next = question;
    else
        questions->first = question;
    questions->last = question;
    return question;
}

static void drop(struct questions *questions, struct question *question)
{
    if (question->previous)
        question->previous->next = question->next;
    else
        questions->first = question->next;
    if (question->next)
        question->next->previous = question->previous;
    else
        questions->last = question->previous;
    free(question->row_id);
    free(question->key);
    free(question->peer);
    free(question->context_id);
    free(question->text);
    free(question->announcement);
    json_decref(question->choices);
    free(question->message_id);
    free(question->task_id);
    free(question->after_id);
    free(question);
}

struct question *questions_find(const struct questions *questions, const char *row_id,
                                const char *key)
{
    for (struct question *each = questions->first; each; each = each->next)
        if (!each->closing && strcmp(each->row_id, row_id) == 0 && strcmp(each->key, key) == 0)
            return each;
    return NULL;
}

struct question *questions_find_code(const struct questions *questions, const char *code)
{
    for (struct question *each = questions->first; each; each = each->next)
        if (!each->closing && strcasecmp(each->code, code) == 0)
            return each;
    return NULL;
}

static void make_code(const struct questions *questions, struct question *question)
{
    char code[QUESTION_CODE_LENGTH + 1];
    do
        question_code(code, random_number());
    while (questions_find_code(questions, code));
    memcpy(question->code, code, sizeof code);
}

static void name_post(struct question *question)
{
    char id[UUID_TEXT_SIZE];
    char *purpose = question_purpose(question), *name = memory_join(question->row_id, purpose);
    uuid_of_name(name, id);
    set(&question->message_id, id);
    free(name);
    free(purpose);
}

char *question_purpose(const struct question *question)
{
    return memory_format("/question%s/%s", question->key, question->code);
}

json_t *questions_list_others(const struct questions *questions, const struct question *question)
{
    json_t *others = json_array();
    for (const struct question *each = questions->first; each; each = each->next)
        if (each != question && !each->peer && !each->closing)
            json_array_append_new(others,
                                  json_pack("{s:s, s:s}", "code", each->code, "text", each->text));
    return others;
}

char *questions_announce(const struct questions *questions, const struct question *question)
{
    json_t *others = question->peer ? NULL : questions_list_others(questions, question);
    char *announcement = question_announce(question->text, question->choices,
                                           question->peer ? NULL : question->code, others);
    json_decref(others);
    return announcement;
}

struct question *questions_ask(struct questions *questions, const struct message *message,
                               const char *key, const json_t *spec)
{
    struct question *question = add(questions, message->row_id, key);
    const char *to = json_string_value(json_object_get(spec, "peer"));
    const char *sender = message->run || message->unanswerable ? NULL : message->source_id;
    if (!to)
        to = sender ? sender : QUESTION_CANVAS;
    question->peer = strcmp(to, QUESTION_CANVAS) == 0 ? NULL : lower(to);
    question->served = message->served && sender && strcasecmp(to, sender) == 0;
    question->authorization = json_is_true(json_object_get(spec, "authorization"));
    question->to_sender = !message->run && !message->unanswerable &&
                          question_same_id(question->peer, message->source_id);
    question->context_id = memory_copy_text(message->context_id);
    question->text = memory_copy_text(json_string_value(json_object_get(spec, "text")));
    question->choices = json_incref(json_object_get(spec, "choices"));
    question->timeout_ms = json_integer_value(json_object_get(spec, "timeout_ms"));
    question->asked_ms = clock_wall_ms();
    /* a run's time is of our clock */
    questions_saw(questions, message->run ? NULL : message->created_at, message->row_id);
    question->after_us = questions->newest_us;
    question->after_id = memory_copy_text(questions->newest_id);
    make_code(questions, question);
    name_post(question);
    question->announcement = questions_announce(questions, question);
    return question;
}

json_t *question_describe(const struct question *question)
{
    return json_pack("{s:s, s:s*, s:b, s:s*, s:s, s:O*, s:s, s:I, s:s*, s:I, s:I, s:s*, s:b, s:b}",
                     "code", question->code, "peer", question->peer, "to_sender",
                     question->to_sender, "context_id", question->context_id, "text",
                     question->text, "choices", question->choices, "message_id",
                     question->message_id, "after_us", (json_int_t)question->after_us, "after_id",
                     question->after_id, "asked_ms", (json_int_t)question->asked_ms, "timeout_ms",
                     (json_int_t)question->timeout_ms, "announcement", question->announcement,
                     "served", question->served, "authorization", question->authorization);
}

static void read_posted(struct question *question, const json_t *posted)
{
    question->deadline_ms = json_integer_value(json_object_get(posted, "deadline_ms"));
    set(&question->task_id, json_string_value(json_object_get(posted, "task_id")));
}

void questions_load(struct questions *questions, const char *row_id, const char *key,
                    const char *asked, const char *posted)
{
    const char *code, *peer = NULL, *context_id = NULL, *text, *message_id, *after_id = NULL,
                      *announcement = NULL;
    json_t *choices = NULL;
    json_int_t after_us, asked_ms, timeout_ms;
    int to_sender;
    json_t *value = json_loads(asked, 0, NULL), *sent = posted ? json_loads(posted, 0, NULL) : NULL;
    bool sound = json_unpack(value, "{s:s, s?s, s:b, s?s, s:s, s?o, s:s, s:I, s?s, s:I, s:I, s?s}",
                             "code", &code, "peer", &peer, "to_sender", &to_sender, "context_id",
                             &context_id, "text", &text, "choices", &choices, "message_id",
                             &message_id, "after_us", &after_us, "after_id", &after_id, "asked_ms",
                             &asked_ms, "timeout_ms", &timeout_ms, "announcement",
                             &announcement) == 0 &&
                 strlen(code) == QUESTION_CODE_LENGTH;
    if (sound) {
        struct question *question = add(questions, row_id, key);
        memcpy(question->code, code, QUESTION_CODE_LENGTH);
        question->peer = memory_copy_text(peer);
        question->to_sender = to_sender;
        question->context_id = memory_copy_text(context_id);
        question->text = memory_copy_text(text);
        question->choices = json_is_array(choices) ? json_incref(choices) : NULL;
        question->message_id = memory_copy_text(message_id);
        question->after_us = after_us;
        question->after_id = memory_copy_text(after_id);
        question->asked_ms = asked_ms;
        question->timeout_ms = timeout_ms;
        question->served = json_is_true(json_object_get(value, "served"));
        question->authorization = json_is_true(json_object_get(value, "authorization"));
        question->begun = true; /* for all that is known */
        read_posted(question, sent);
        if (question->deadline_ms == 0)
            question->announcement = memory_copy_text(announcement);
    }
    json_decref(value);
    json_decref(sent);
}

bool questions_may_post(const struct questions *questions, const struct question *question)
{
    const struct question *each = questions->first;
    while (question->peer && each != question &&
           (each->served || !question_same_id(each->peer, question->peer)))
        each = each->next;
    return !question->peer || question->served || each == question;
}

bool questions_any_turn(const struct questions *questions, const char *row_id)
{
    for (const struct question *each = questions->first; each; each = each->next)
        if (!each->closing && each->deadline_ms == 0 && strcmp(each->row_id, row_id) == 0 &&
            questions_may_post(questions, each))
            return true;
    return false;
}

static void renew_position(const struct questions *questions, struct question *question)
{
    if (!question_is_newer(questions->newest_us, questions->newest_id ? questions->newest_id : "",
                           question->after_us, question->after_id))
        return;
    question->after_us = questions->newest_us;
    set(&question->after_id, questions->newest_id);
}

void questions_post_begins(const struct questions *questions, struct question *question)
{
    if (!question->begun)
        renew_position(questions, question);
    question->begun = true;
}

void question_post_failed(struct question *question)
{
    question->begun = question->deadline_ms > 0;
}

void question_set_posted(struct question *question, const char *task_id)
{
    question->begun = true;
    question->deadline_ms = clock_wall_ms() + question->timeout_ms;
    set(&question->task_id, task_id);
    set(&question->announcement, NULL);
}

/* --- the end --- */

static void wake_next(const struct questions *questions, const char *peer)
{
    const struct question *each = questions->first;
    while (each && !question_same_id(each->peer, peer))
        each = each->next;
    if (each && each->deadline_ms == 0)
        questions->wake(questions->context, each->row_id);
}

void questions_close(struct questions *questions, struct question *question)
{
    char *peer = question->peer, *row_id = question->row_id;
    question->peer = question->row_id = NULL;
    drop(questions, question);
    questions->wake(questions->context, row_id);
    if (peer)
        wake_next(questions, peer);
    free(peer);
    free(row_id);
}

void questions_forget(struct questions *questions, const char *row_id)
{
    struct question *next;
    for (struct question *each = questions->first; each; each = next) {
        next = each->next;
        if (each->closing || strcmp(each->row_id, row_id) != 0)
            continue;
        char *peer = each->peer;
        each->peer = NULL;
        drop(questions, each);
        if (peer) {
            wake_next(questions, peer);
            next = questions->first; /* the one that was woken may be finished by now */
            free(peer);
        }
    }
}

json_t *questions_list(const struct questions *questions)
{
    json_t *list = json_array();
    for (const struct question *each = questions->first;
         each && json_array_size(list) < QUESTIONS_LISTED; each = each->next)
        if (!each->closing)
            json_array_append_new(
                list, json_pack("{s:s, s:s, s:O?, s:s, s:s, s:o, s:o}", "code", each->code, "text",
                                each->text, "choices", each->choices, "to",
                                each->peer ? each->peer : QUESTION_CANVAS, "message", each->row_id,
                                "asked", jsontext_time(each->asked_ms), "until",
                                jsontext_time(each->deadline_ms)));
    return list;
}

void questions_free(struct questions *questions)
{
    while (questions->first)
        drop(questions, questions->first);
    free(questions->newest_id);
    *questions = (struct questions){0};
}
