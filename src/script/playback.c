#include "script/playback.h"

#include "base/memory.h"
#include "script/calls.h"
#include "script/handler.h"
#include "script/vm.h"
#include "wire/jsontext.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define NOT_RECORDED "NOT_RECORDED"

struct playback {
    pthread_mutex_t mutex;
    char *row_id;   /* of the message that is handled; NULL: none, or it is not answered */
    json_t *calls;  /* recorded, in order; those that answered were removed */
    json_t *steps;  /* of earlier attempts; NULL: none */
    json_t *added;  /* questions that have no answer: their texts */
    size_t other;   /* questions that were answered though their body is another one */
    size_t dropped; /* calls that the recording says it left out */
};

struct playback *playback_open(void)
{
    struct playback *playback = memory_allocate(sizeof *playback);
    pthread_mutex_init(&playback->mutex, NULL);
    return playback;
}

static void forget(struct playback *playback)
{
    free(playback->row_id);
    json_decref(playback->calls);
    json_decref(playback->added);
    json_decref(playback->steps);
    playback->row_id = NULL;
    playback->calls = playback->added = playback->steps = NULL;
    playback->other = playback->dropped = 0;
}

void playback_close(struct playback *playback)
{
    if (!playback)
        return;
    forget(playback);
    pthread_mutex_destroy(&playback->mutex);
    free(playback);
}

/* The last element may say how many calls are not there. */
static void take_dropped(struct playback *playback)
{
    size_t last = json_array_size(playback->calls);
    const json_t *dropped =
        last > 0 ? json_object_get(json_array_get(playback->calls, last - 1), "dropped") : NULL;
    if (!dropped)
        return;
    playback->dropped = (size_t)json_integer_value(dropped);
    json_array_remove(playback->calls, last - 1);
}

/* They are no call: the handler does not ask the world for them. */
static void take_steps(struct playback *playback)
{
    size_t index;
    json_t *call;
    json_array_foreach (playback->calls, index, call) {
        const char *name = json_string_value(json_object_get(call, "call")),
                   *steps = json_string_value(json_object_get(call, "steps"));
        if (!name || strcmp(name, CALLS_STEPS) != 0)
            continue;
        playback->steps = steps ? json_loads(steps, 0, NULL) : NULL;
        json_array_remove(playback->calls, index);
        return;
    }
}

void playback_begin(struct playback *playback, const char *row_id, const char *calls)
{
    json_t *list = calls ? jsontext_read(calls, strlen(calls), NULL, NULL) : NULL;
    pthread_mutex_lock(&playback->mutex);
    forget(playback);
    if (json_is_array(list)) {
        playback->row_id = memory_copy_text(row_id);
        playback->calls = list;
        playback->added = json_array();
        take_dropped(playback);
        take_steps(playback);
        list = NULL;
    }
    pthread_mutex_unlock(&playback->mutex);
    json_decref(list);
}

/* --- differences --- */

static json_t *describe(const json_t *question)
{
    char *text = calls_describe(question);
    json_t *string = json_string(text);
    free(text);
    return string;
}

static char *differences(const struct playback *playback)
{
    json_t *gone = json_array(), *call;
    size_t index;
    json_array_foreach (playback->calls, index, call)
        json_array_append_new(gone, describe(call));
    json_t *all = json_pack("{s:o, s:O, s:I}", "gone", gone, "added", playback->added, "other",
                            (json_int_t)playback->other);
    char *text = jsontext_print(all);
    json_decref(all);
    return text;
}

char *playback_end(struct playback *playback, const char *row_id)
{
    char *text = NULL;
    pthread_mutex_lock(&playback->mutex);
    if (playback->row_id && strcmp(playback->row_id, row_id) == 0) {
        if (json_array_size(playback->calls) > 0 || json_array_size(playback->added) > 0 ||
            playback->other > 0)
            text = differences(playback);
        forget(playback);
    }
    pthread_mutex_unlock(&playback->mutex);
    return text;
}

/* --- answers --- */

static struct playback *playback_of(const struct vm *vm)
{
    return vm->settings ? vm->settings->options->playback : NULL;
}

/* with the mutex held */
static bool is_current(const struct playback *playback, const struct vm *vm)
{
    const struct script_job *job = vm->running ? vm->running->job : NULL;
    return job && playback->row_id && strcmp(playback->row_id, job->message->row_id) == 0;
}

bool playback_answers(const struct vm *vm)
{
    struct playback *playback = playback_of(vm);
    if (!playback)
        return false;
    pthread_mutex_lock(&playback->mutex);
    bool answers = is_current(playback, vm);
    pthread_mutex_unlock(&playback->mutex);
    return answers;
}

static bool same(const json_t *call, const json_t *question, const char *const *names)
{
    for (; *names; names++) {
        const json_t *recorded = json_object_get(call, *names),
                     *asked = json_object_get(question, *names);
        if (recorded != asked && (!recorded || !asked || !json_equal(recorded, asked)))
            return false;
    }
    return true;
}

/* The first call that is the same in these; their number: there is none. */
static size_t find(const json_t *calls, const json_t *question, const char *const *names)
{
    size_t index = 0, count = json_array_size(calls);
    while (index < count && !same(json_array_get(calls, index), question, names))
        index++;
    return index;
}

static json_t *answer(struct playback *playback, const json_t *question)
{
    static const char *const exact[] = {"call",          "method",         "url", "argv",
                                        "request_bytes", "request_digest", NULL};
    static const char *const about[] = {"call", "method", "url", "argv", NULL};
    size_t count = json_array_size(playback->calls), index = find(playback->calls, question, exact);
    if (index == count) {
        index = find(playback->calls, question, about);
        playback->other += index < count;
    }
    json_t *call = json_incref(json_array_get(playback->calls, index));
    if (call)
        json_array_remove(playback->calls, index);
    else
        json_array_append_new(playback->added, describe(question));
    return call;
}

static json_t *refusal(const json_t *question, const char *why)
{
    const char *method = json_string_value(json_object_get(question, "method"));
    /* the error of a request begins with its URL */
    char *words = method ? memory_format("this %s", method) : calls_describe(question),
         *text = memory_format("the recording has no result for %s%s%s", words, why ? ": " : "",
                               why ? why : "");
    json_t *call = json_pack("{s:s, s:s}", "error", text, "code", NOT_RECORDED);
    free(text);
    free(words);
    return call;
}

json_t *playback_steps(const struct vm *vm)
{
    struct playback *playback = playback_of(vm);
    json_t *steps = NULL;
    if (!playback)
        return NULL;
    pthread_mutex_lock(&playback->mutex);
    if (is_current(playback, vm))
        steps = json_incref(playback->steps);
    pthread_mutex_unlock(&playback->mutex);
    return steps;
}

json_t *playback_find(const struct vm *vm, json_t *question)
{
    struct playback *playback = playback_of(vm);
    pthread_mutex_lock(&playback->mutex);
    bool answers = is_current(playback, vm);
    json_t *call = answers ? answer(playback, question) : NULL;
    const char *why = call                    ? calls_missing(call)
                      : !answers              ? "its message has its outcome"
                      : playback->dropped > 0 ? "it made more calls than are recorded"
                                              : NULL;
    pthread_mutex_unlock(&playback->mutex);
    if (!call || why) {
        bool goes_on = vm->branch && vm->branch->parent && json_object_get(call, "unfinished");
        json_decref(call);
        call = refusal(question, why);
        if (goes_on)
            json_object_set_new(call, "unfinished", json_true());
    }
    json_decref(question);
    return call;
}
