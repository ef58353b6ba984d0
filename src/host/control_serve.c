/* What the control socket is asked, and what it answers. */
#include "host/control_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "wire/jsontext.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What a script or the platform said, without tokens. */
static json_t *said(const char *text)
{
    char *words = memory_copy_text(text);
    log_redact(words);
    json_t *shown = jsontext_string(words, strlen(words));
    free(words);
    return shown;
}

json_t *control_describe(const char *id, const struct control_status *now,
                         const struct ledger_counts *counts)
{
    json_t *by_state = json_object();
#define X(name, number, text) \
    json_object_set_new(by_state, text, json_integer(counts ? counts->by_state[number] : 0));
    LEDGER_STATES(X)
#undef X
    json_object_set_new(by_state, "waiting", json_integer((json_int_t)now->waiting));
    json_t *status = json_pack(
        "{s:s, s:i, s:s, s:o, s:o, s:s, s:o, s:s?, s:o, s:o, s:i}", "workspace", id, "pid",
        (int)getpid(), "state", now->state, "since", jsontext_time(now->started_ms), "last_poll",
        jsontext_time(now->last_poll_ms), "wake", now->wake, "last_heartbeat",
        jsontext_time(now->last_heartbeat_ms), "cursor", now->cursor, "messages", by_state,
        "oldest_pending", jsontext_time(counts ? counts->oldest_pending_ms : 0), "answered",
        (int)now->answered);
    json_object_set_new(status, "schedules", now->schedules);
    size_t i;
    json_t *question;
    json_array_foreach (now->questions, i, question)
        json_object_set_new(question, "text",
                            said(json_string_value(json_object_get(question, "text"))));
    json_object_set_new(status, "questions", now->questions);
    json_object_set_new(status, "pending", json_integer((json_int_t)now->pending));
    json_object_set_new(status, "finished", json_integer((json_int_t)now->finished));
    json_object_set_new(status, "running", now->running);
    json_object_set_new(status, "last_failure", now->failure ? now->failure : json_null());
    if (now->away_ms) {
        json_object_set_new(status, "unreachable_since", jsontext_time(now->away_ms));
        json_object_set_new(status, "unreachable_seconds",
                            json_integer((clock_wall_ms() - now->away_ms) / 1000));
        json_object_set_new(status, "unreachable_reason", said(now->away_reason));
    }
    return status;
}

static void on_counts(void *context, const struct ledger_counts *counts, json_t *sleepers)
{
    struct control_client *client = context;
    if (!control_still_there(client))
        return;
    const struct control_env *env = &client->control->env;
    struct control_status now = {0};
    env->look(env->context, &now);
    json_t *status = control_describe(env->options->id, &now, counts);
    json_object_set_new(status, "sleepers", sleepers ? json_incref(sleepers) : json_array());
    control_answer(client, json_pack("{s:b, s:o}", "ok", 1, "status", status));
}

static void on_dead_letter(void *context, struct journal_loaded *loaded, bool found)
{
    struct control_client *client = context;
    struct control *control = client->control;
    if (control && loaded)
        control->env.retry(control->env.context, loaded);
    else
        journal_loaded_free(loaded); /* the next start finds it in the ledger */
    if (control_still_there(client))
        control_answer(client, json_pack("{s:b, s:b}", "ok", 1, "found", found));
}

static void on_timers(void *context, json_t *timers, bool found)
{
    struct control_client *client = context;
    if (!control_still_there(client))
        json_decref(timers);
    else
        control_answer(client, timers ? json_pack("{s:b, s:o}", "ok", 1, "timers", timers)
                                      : json_pack("{s:b, s:b}", "ok", 1, "found", found));
}

static void refuse(struct control_client *client, const char *problem)
{
    client->waiting = false;
    /* it may be cut within a character */
    json_t *words = jsontext_string(problem, strlen(problem));
    control_answer(client, json_pack("{s:b, s:o}", "ok", 0, "error", words));
}

static void ask_timers(struct control_client *client, const json_t *request, bool run)
{
    const struct control_env *env = &client->control->env;
    int64_t id = run ? json_integer_value(json_object_get(request, "id")) : 0;
    if (run && id <= 0)
        refuse(client, "id must be the id of a timer");
    else if (!env->timers(env->context, id, on_timers, client))
        refuse(client, "the script is not loaded now");
}

static void on_stored(void *context, struct changes *changes)
{
    struct control_client *client = context;
    changes_free(changes);
    if (control_still_there(client))
        control_answer(client, json_pack("{s:b}", "ok", 1));
}

/* As if a handler had. */
static void change_store(struct control_client *client, const json_t *request)
{
    const char *key = json_string_value(json_object_get(request, "key"));
    const char *value = json_string_value(json_object_get(request, "value"));
    bool deletes = strcmp(json_string_value(json_object_get(request, "do")), "store delete") == 0;
    struct changes *changes = NULL;
    if (!key || !*key || (!deletes && !value)) {
        refuse(client, "a key is needed, and to set it a value");
        return;
    }
    changes_add(&changes, deletes ? CHANGE_DELETE : CHANGE_SET, key, deletes ? NULL : value,
                deletes ? 0 : strlen(value), 0, 0);
    journal_store_commit(client->control->env.journal, changes, on_stored, client);
}

static void on_answered(void *context)
{
    struct control_client *client = context;
    if (control_still_there(client))
        control_answer(client, json_pack("{s:b}", "ok", 1));
}

/* A question of a handler, as if the one who is asked had. */
static void answer_question(struct control_client *client, const json_t *request)
{
    const struct control_env *env = &client->control->env;
    const char *code = json_string_value(json_object_get(request, "code")),
               *text = json_string_value(json_object_get(request, "text"));
    char problem[1024];
    if (!code)
        refuse(client, "a code is needed");
    else if (!env->answer(env->context, code, text, on_answered, client, problem, sizeof problem))
        refuse(client, problem);
}

static void show_card(struct control_client *client, const json_t *request)
{
    const struct control_env *env = &client->control->env;
    const char *name = json_string_value(json_object_get(request, "name"));
    char problem[512];
    json_t *all = env->card(env->context, name, false, problem, sizeof problem);
    json_t *only_1_0 = all ? env->card(env->context, name, true, problem, sizeof problem) : NULL;
    client->waiting = false;
    if (all && only_1_0)
        control_answer(client,
                       json_pack("{s:b, s:O, s:O}", "ok", 1, "all", all, "only_1_0", only_1_0));
    else
        refuse(client, problem);
    json_decref(all);
    json_decref(only_1_0);
}

void control_serve(struct control_client *client, json_t *request)
{
    const char *id = json_string_value(json_object_get(request, "workspace"));
    if (!client->control->env.options && !control_hand_on(client, id)) {
        control_answer(client, json_pack("{s:b, s:s}", "ok", 0, "error",
                                         "this process does not serve that workspace"));
        return;
    }
    struct journal *journal = client->control->env.journal;
    const char *verb = json_string_value(json_object_get(request, "do"));
    const char *row_id = json_string_value(json_object_get(request, "row_id"));
    client->waiting = true;
    if (verb && strcmp(verb, "status") == 0) {
        if (journal_exists(journal))
            journal_counts(journal, on_counts, client);
        else
            on_counts(client, NULL, NULL);
    } else if (verb && row_id && strcmp(verb, "dead retry") == 0) {
        journal_dead_letter(journal, JOURNAL_DEAD_RETRY, row_id, on_dead_letter, client);
    } else if (verb && row_id && strcmp(verb, "dead drop") == 0) {
        journal_dead_letter(journal, JOURNAL_DEAD_DROP, row_id, on_dead_letter, client);
    } else if (verb && (strcmp(verb, "timers") == 0 || strcmp(verb, "timer run") == 0)) {
        ask_timers(client, request, strcmp(verb, "timers") != 0);
    } else if (verb && (strcmp(verb, "store set") == 0 || strcmp(verb, "store delete") == 0)) {
        change_store(client, request);
    } else if (verb && strcmp(verb, "answer") == 0) {
        answer_question(client, request);
    } else if (verb && strcmp(verb, "card") == 0) {
        show_card(client, request);
    } else {
        refuse(client, "unknown request");
    }
}
