/* Which message answers which question. */
#include "messages/questions_private.h"

#include "base/clock.h"
#include "wire/jsontext.h"
#include "wire/parts.h"

#include <stdlib.h>
#include <string.h>

static bool is_behind(const struct question *question, const struct message *message)
{
    int64_t us;
    return message->created_at && clock_parse(message->created_at, &us) &&
           question_is_newer(us, message->row_id, question->after_us, question->after_id);
}

static bool may_answer(const struct question *question, const struct message *message)
{
    return question->begun && !question->closing && !question->served &&
           question_same_id(question->peer, message->source_id) && is_behind(question, message);
}

static bool has_its_context(const struct question *question, const struct message *message)
{
    return !question->to_sender || question_same_id(question->context_id, message->context_id);
}

/* It says which post, or which task, it answers. */
static struct question *find_named(const struct questions *questions, const struct message *message)
{
    for (struct question *each = questions->first; each; each = each->next)
        if (each->peer && may_answer(each, message) &&
            ((message->in_reply_to && question_same_id(each->message_id, message->in_reply_to)) ||
             (message->task_id && question_same_id(each->task_id, message->task_id))))
            return each;
    return NULL;
}

/* A peer is asked one question at a time: the first one of those that are open is the one. */
static struct question *find_of_peer(const struct questions *questions,
                                     const struct message *message)
{
    struct question *named = find_named(questions, message), *first = questions->first;
    if (named || message->in_reply_to)
        return named;
    while (first && (first->closing || !first->begun || first->served ||
                     !question_same_id(first->peer, message->source_id)))
        first = first->next;
    return first && may_answer(first, message) && has_its_context(first, message) ? first : NULL;
}

static char *which_of(struct questions *questions)
{
    bool hinted = true;
    json_t *open = questions_list_others(questions, NULL);
    for (struct question *each = questions->first; each; each = each->next)
        if (!each->peer && !each->closing) {
            hinted = hinted && each->hinted;
            each->hinted = true;
        }
    char *hint = hinted ? NULL : question_which(open);
    json_decref(open);
    return hint;
}

/* The only one that is open is answered by what comes next; of several, the one whose code the
 * answer begins with. */
static struct question *find_of_canvas(struct questions *questions, const struct message *message,
                                       struct question_answer *answer)
{
    struct question *candidate = NULL;
    size_t open = 0;
    for (struct question *each = questions->first; each; each = each->next) {
        if (each->peer || each->closing || !each->begun)
            continue;
        const char *text = question_after_code(message->text, each->code);
        if (text && may_answer(each, message)) {
            answer->text = text;
            return each;
        }
        open++;
        if (may_answer(each, message) && has_its_context(each, message))
            candidate = each;
    }
    if (!candidate || open == 1)
        return candidate;
    answer->hint = which_of(questions);
    return NULL;
}

/* If its text is one of the question's choices. */
static void choose(struct question *question, bool whole, struct question_answer *answer)
{
    if (!question->choices) {
        answer->question = question;
        return;
    }
    answer->choice = whole ? question_choice(question->choices, answer->text) : NULL;
    if (answer->choice)
        answer->question = question;
    else if (!question->hinted)
        answer->hint = question_hint(question->choices);
    question->hinted = true;
}

struct question_answer questions_match(struct questions *questions, const struct message *message)
{
    struct question_answer answer = {.text = message->text};
    if (!questions->first || message->run || message->unanswerable)
        return answer;
    struct question *question = message->source_id ? find_of_peer(questions, message)
                                                   : find_of_canvas(questions, message, &answer);
    if (!question)
        return answer;
    bool whole = strlen(message->text) == message->text_length; /* no U+0000 in it */
    choose(question, whole, &answer);
    return answer;
}

static struct question *find_of_task(const struct questions *questions, const char *row_id)
{
    struct question *each = questions->first;
    while (each &&
           (!each->served || !each->begun || each->closing || strcmp(each->row_id, row_id) != 0))
        each = each->next;
    return each;
}

bool questions_wait(const struct questions *questions, const char *row_id)
{
    return find_of_task(questions, row_id);
}

struct question_answer questions_match_task(struct questions *questions, const char *row_id,
                                            const char *text)
{
    struct question_answer answer = {.text = text};
    struct question *each = find_of_task(questions, row_id);
    if (!each)
        return answer;
    each->hinted = false; /* whoever asks gets an answer each time */
    choose(each, true, &answer);
    return answer;
}

json_t *question_answer_value(const struct question_answer *answer, const struct message *message)
{
    json_t *value = json_object();
    size_t length = message->text_length - (size_t)(answer->text - message->text);
    json_object_set_new(value, "text", jsontext_string(answer->text, length));
    if (answer->choice)
        json_object_set_new(value, "choice", json_string(answer->choice));
    json_object_set_new(value, "from",
                        json_string(message->source_id ? message->source_id : QUESTION_CANVAS));
    json_t *parts = message_parts(message), *files = NULL;
    if (parts && parts_files(parts, &files) && files)
        json_object_set_new(value, "files", files);
    json_decref(parts);
    if (message->source_id && message->message_id)
        json_object_set_new(value, "message_id", json_string(message->message_id));
    json_object_set_new(value, "hops", json_integer(message->hops));
    return value;
}
