#include "commands/ledger_view.h"

#include "messages/questions.h"
#include "wire/jsontext.h"

#include <string.h>

static void add_step(const struct ledger_step *step, void *context)
{
    json_t *value = jsontext_read(step->value, strlen(step->value), NULL, NULL);
    if (!value) /* why it could not be recorded */
        value = jsontext_string(step->value, strlen(step->value));
    json_array_append_new(context,
                          json_pack("{s:s, s:s, s:o, s:o}", "key", step->key, "kind", step->kind,
                                    "value", value, "at", jsontext_time(step->at_ms)));
}

json_t *ledger_view_steps(struct ledger *ledger, const char *row_id)
{
    json_t *steps = json_array();
    ledger_steps_each(ledger, row_id, add_step, steps);
    return steps;
}

static void add_question(const char *row_id, const char *key, const char *asked, const char *posted,
                         void *context)
{
    questions_load(context, row_id, key, asked, posted);
}

json_t *ledger_view_questions(struct ledger *ledger)
{
    struct questions questions = {0};
    ledger_questions_each(ledger, add_question, &questions);
    json_t *list = questions_list(&questions);
    questions_free(&questions);
    return list;
}
