#include "messages/operator_answer.h"

#include "base/log.h"
#include "base/memory.h"
#include "journal/journal.h"
#include "link/link.h"
#include "wire/jsontext.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct answering {
    struct dispatch *dispatch;
    struct question *question;
    void (*then)(void *context);
    void *context;
};

static void on_recorded(void *context, struct changes *changes)
{
    struct answering *answering = context;
    changes_free(changes);
    questions_close(&answering->dispatch->questions, answering->question);
    answering->then(answering->context);
    free(answering);
}

static json_t *value_of(const char *text, const char *choice)
{
    if (!text)
        return json_pack("{s:s, s:s}", "problem", "it was canceled by the operator", "code",
                         "CANCELLED");
    return json_pack("{s:o, s:s*, s:s}", "text", jsontext_string(text, strlen(text)), "choice",
                     choice, "from", "operator");
}

bool operator_answer(struct dispatch *dispatch, const char *code, const char *text,
                     void (*then)(void *context), void *context, char *problem, size_t problem_size)
{
    struct question *question = questions_find_code(&dispatch->questions, code);
    if (!question) {
        snprintf(problem, problem_size,
                 "no question with the code \"%s\" is open; `molecule status` lists those that are",
                 code);
        return false;
    }
    const char *choice = text && question->choices ? question_choice(question->choices, text)
                                                   : NULL;
    if (text && question->choices && !choice) {
        char *choices = question_hint(question->choices);
        snprintf(problem, problem_size, "\"%.200s\" is none of the choices: %s", text, choices);
        free(choices);
        return false;
    }
    struct answering *answering = memory_allocate(sizeof *answering);
    *answering = (struct answering){
        .dispatch = dispatch, .question = question, .then = then, .context = context};
    json_t *object = value_of(text, choice);
    char *value = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);
    char *key = memory_join(question->key, "/answer");
    struct journal_handler_step step = {.row_id = question->row_id,
                                        .key = key,
                                        .kind = "answer",
                                        .digest = "",
                                        .value = value,
                                        .durable = true}; /* nobody says it again */
    log_info(LOG_QUESTION_CLOSED, dispatch->link->options->id,
             "question %s of message %s: %s by the operator", question->code, question->row_id,
             text ? "answered" : "canceled");
    question->closing = true;
    journal_step_record(dispatch->journal, &step, NULL, on_recorded, answering);
    free(key);
    free(value);
    json_decref(object);
    return true;
}
