#include "commands/try_emulator.h"

#include "base/hash.h"
#include "base/memory.h"
#include "state/atomic_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What runs on the emulator's thread while somebody waits for it. */
struct errand {
    struct task task;
    struct try_emulator *emulator;
    const char *function, *texts[EMULATOR_TRIAL_TEXTS];
    struct molecule *molecule;
    uv_sem_t done; /* its own: several threads may wait at once */
    bool result;
};

struct posted {
    struct task task;
    struct try_emulator *emulator;
    const char *function;
    char *texts[EMULATOR_TRIAL_TEXTS];
    int64_t number;
};

static void stop_host(struct try_emulator *emulator)
{
    if (emulator->quit && emulator->molecule)
        molecule_stop(emulator->molecule);
}

static void on_quit(void *context)
{
    struct try_emulator *emulator = context;
    emulator->quit = true;
    stop_host(emulator);
}

void try_emulator_expect(struct try_emulator *emulator, const char *body, size_t length)
{
    uv_mutex_lock(&emulator->mutex);
    emulator->reply = hash_bytes(body, length);
    emulator->reply_length = length;
    uv_mutex_unlock(&emulator->mutex);
}

struct try_line {
    struct try_line *next;
    const char *level; /* static */
    char *text;
};

/* On the emulator's thread. What the script said after these lines comes by HTTP, which may
 * overtake a posted task. */
static void show_lines(struct try_emulator *emulator)
{
    uv_mutex_lock(&emulator->mutex);
    struct try_line *line = emulator->lines;
    emulator->lines = NULL;
    uv_mutex_unlock(&emulator->mutex);
    while (line) {
        struct try_line *next = line->next;
        const char *texts[EMULATOR_TRIAL_TEXTS] = {line->level, line->text};
        emulator_trial(emulator->emulator, "log", texts, 0);
        free(line->text);
        free(line);
        line = next;
    }
}

static void run_show_lines(struct task *task)
{
    struct try_emulator *emulator = ((struct posted *)task)->emulator;
    free(task);
    show_lines(emulator);
    if (emulator->on_logged)
        emulator->on_logged(emulator->context);
}

void try_emulator_log(struct try_emulator *emulator, const char *level, const char *text)
{
    struct try_line *line = memory_allocate(sizeof *line);
    line->level = level;
    line->text = memory_copy_text(text);
    uv_mutex_lock(&emulator->mutex);
    bool first = !emulator->lines;
    if (first)
        emulator->lines = line;
    else
        emulator->last_line->next = line;
    emulator->last_line = line;
    uv_mutex_unlock(&emulator->mutex);
    if (!first)
        return;
    struct posted *posted = memory_allocate(sizeof *posted);
    posted->task.run = run_show_lines;
    posted->emulator = emulator;
    if (!thread_post(&emulator->thread, &posted->task))
        free(posted);
}

static bool on_reply_to(void *context, const char *body, size_t length,
                        char row_id[EMULATOR_ROW_ID_SIZE])
{
    struct try_emulator *emulator = context;
    show_lines(emulator);
    uv_mutex_lock(&emulator->mutex);
    bool same = emulator->reply_length == length && emulator->reply == hash_bytes(body, length);
    uv_mutex_unlock(&emulator->mutex);
    *row_id = '\0'; /* of the one that is under way */
    return same;
}

static void run_open(struct task *task)
{
    struct errand *errand = (struct errand *)task;
    struct try_emulator *emulator = errand->emulator;
    emulator->emulator = emulator_open(&emulator->thread.loop, &emulator->options,
                                       emulator->problem, sizeof emulator->problem);
    uv_sem_post(&errand->done);
}

static void run_call(struct task *task)
{
    struct errand *errand = (struct errand *)task;
    show_lines(errand->emulator);
    errand->result = emulator_trial(errand->emulator->emulator, errand->function, errand->texts, 0);
    uv_sem_post(&errand->done);
}

static void run_set_host(struct task *task)
{
    struct errand *errand = (struct errand *)task;
    errand->emulator->molecule = errand->molecule;
    stop_host(errand->emulator);
    uv_sem_post(&errand->done);
}

static void run_close(struct task *task)
{
    struct errand *errand = (struct errand *)task;
    struct try_emulator *emulator = errand->emulator;
    show_lines(emulator);
    emulator_close(emulator->emulator);
    uv_sem_post(&errand->done);
}

static bool run_there(struct errand *errand, void (*run)(struct task *task))
{
    errand->task.run = run;
    uv_sem_init(&errand->done, 0);
    if (thread_post(&errand->emulator->thread, &errand->task))
        uv_sem_wait(&errand->done);
    uv_sem_destroy(&errand->done);
    return errand->result;
}

static void run_posted(struct task *task)
{
    struct posted *posted = (struct posted *)task;
    show_lines(posted->emulator);
    bool done = emulator_trial(posted->emulator->emulator, posted->function,
                               (const char *const *)posted->texts, posted->number);
    if (done && strcmp(posted->function, "finished") == 0) {
        uv_sem_post(&posted->emulator->answered);
        if (posted->emulator->on_answered)
            posted->emulator->on_answered(posted->emulator->context);
    }
    for (size_t i = 0; i < EMULATOR_TRIAL_TEXTS; i++)
        free(posted->texts[i]);
    free(posted);
}

void try_emulator_post(struct try_emulator *emulator, const char *function,
                       const char *const texts[EMULATOR_TRIAL_TEXTS], int64_t number)
{
    struct posted *posted = memory_allocate(sizeof *posted);
    posted->task.run = run_posted;
    posted->emulator = emulator;
    posted->function = function;
    posted->number = number;
    for (size_t i = 0; i < EMULATOR_TRIAL_TEXTS; i++)
        posted->texts[i] = memory_copy_text(texts[i]);
    thread_post(&emulator->thread, &posted->task);
}

bool try_emulator_call(struct try_emulator *emulator, const char *function, const char *first,
                       const char *second, const char *third)
{
    struct errand errand = {
        .emulator = emulator, .function = function, .texts = {first, second, third}};
    return run_there(&errand, run_call);
}

void try_emulator_set_host(struct try_emulator *emulator, struct molecule *molecule)
{
    struct errand errand = {.emulator = emulator, .molecule = molecule};
    run_there(&errand, run_set_host);
}

static void end_thread(struct try_emulator *emulator)
{
    thread_close(&emulator->thread);
    uv_sem_destroy(&emulator->answered);
    uv_mutex_destroy(&emulator->mutex);
}

bool try_emulator_open(struct try_emulator *emulator, const char *workspace, const char *settings,
                       struct playback *playback)
{
    emulator->options = (struct emulator_options){.workspace = workspace,
                                                  .trial = settings,
                                                  .rate_limit = -1,
                                                  .on_quit = on_quit,
                                                  .reply_to = on_reply_to,
                                                  .replace_file = atomic_file_write,
                                                  .playback = playback,
                                                  .context = emulator};
    uv_sem_init(&emulator->answered, 0);
    uv_mutex_init(&emulator->mutex);
    if (thread_start(&emulator->thread, "emulator", NULL, NULL) < 0) {
        snprintf(emulator->problem, sizeof emulator->problem, "cannot start a thread");
        uv_sem_destroy(&emulator->answered);
        uv_mutex_destroy(&emulator->mutex);
        return false;
    }
    struct errand errand = {.emulator = emulator};
    run_there(&errand, run_open);
    if (emulator->emulator)
        return true;
    end_thread(emulator);
    return false;
}

uint16_t try_emulator_port(const struct try_emulator *emulator)
{
    return emulator_port(emulator->emulator);
}

void try_emulator_close(struct try_emulator *emulator)
{
    struct errand errand = {.emulator = emulator};
    run_there(&errand, run_close);
    end_thread(emulator);
}
