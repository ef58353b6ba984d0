#include "commands/dev_emulator.h"

#include "base/terminal.h"
#include "commands/local_state.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static void on_quit(void *context)
{
    struct dev_emulator *emulator = context;
    if (emulator->molecule)
        molecule_stop(emulator->molecule);
    else if (emulator->loop)
        uv_stop(emulator->loop);
}

static bool on_reply_to(void *context, const char *body, size_t length,
                        char row_id[EMULATOR_ROW_ID_SIZE])
{
    return dev_terminal_reply_to(((struct dev_emulator *)context)->terminal, body, length, row_id);
}

/* As `molecule dead` does it. The host answers from other threads than the emulator's. */
static bool on_dead_letter(void *context, bool retry, const char *row_id, char *problem,
                           size_t problem_size)
{
    const struct dev_emulator *emulator = context;
    bool live;
    json_t *request = json_pack("{s:s, s:s}", "do", retry ? "dead retry" : "dead drop", "row_id",
                                row_id);
    json_t *answer = local_state_ask(emulator->state_directory, emulator->workspace_id, request,
                                     &live, problem, problem_size);
    bool found = json_is_true(json_object_get(answer, "found"));
    if (answer && !found)
        snprintf(problem, problem_size, "that is not a dead letter");
    json_decref(answer);
    return found;
}

static void say_where(const struct emulator *emulator, const struct emulator_options *options)
{
    printf("emulator listening on http://127.0.0.1:%u (profile %s)\n", emulator_port(emulator),
           options->profile);
    fflush(stdout);
}

static void say_problem(const char *problem)
{
    terminal_print(stderr, "molecule dev: %s%s\n", problem,
                   strstr(problem, " is in use")
                       ? "; choose another with --port N, or any free one with --port 0"
                       : "");
}

/* --- alone --- */

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    uv_stop(handle->loop);
}

int dev_emulator_run(struct emulator_options *options)
{
    uv_loop_t loop;
    struct dev_emulator alone = {.loop = &loop};
    uv_signal_t signals[2];
    char problem[512];
    uv_loop_init(&loop);
    options->on_quit = on_quit;
    options->context = &alone;
    struct emulator *emulator = emulator_open(&loop, options, problem, sizeof problem);
    if (emulator) {
        say_where(emulator, options);
        for (int i = 0; i < 2; i++) {
            uv_signal_init(&loop, &signals[i]);
            uv_signal_start(&signals[i], on_signal, i ? SIGTERM : SIGINT);
        }
        uv_run(&loop, UV_RUN_DEFAULT);
        for (int i = 0; i < 2; i++)
            uv_close((uv_handle_t *)&signals[i], NULL);
        /* the answer to quit goes out */
        for (int turns = 0; turns < 100 && uv_run(&loop, UV_RUN_NOWAIT); turns++)
            ;
        emulator_close(emulator);
    } else {
        say_problem(problem);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    return emulator ? 0 : 1;
}

/* --- on a thread --- */

struct errand {
    struct task task;
    struct dev_emulator *emulator;
};

static void run_open(struct task *task)
{
    struct dev_emulator *emulator = ((struct errand *)task)->emulator;
    emulator->emulator = emulator_open(&emulator->thread.loop, &emulator->options,
                                       emulator->problem, sizeof emulator->problem);
    uv_sem_post(&emulator->ready);
}

static void run_forget(struct task *task)
{
    struct dev_emulator *emulator = ((struct errand *)task)->emulator;
    emulator->molecule = NULL;
    uv_sem_post(&emulator->ready);
}

static void run_close(struct task *task)
{
    struct dev_emulator *emulator = ((struct errand *)task)->emulator;
    emulator_close(emulator->emulator);
    uv_sem_post(&emulator->ready);
}

/* Waits until it has run. */
static void run_there(struct dev_emulator *emulator, void (*run)(struct task *task))
{
    struct errand errand = {.task.run = run, .emulator = emulator};
    thread_post(&emulator->thread, &errand.task);
    uv_sem_wait(&emulator->ready);
}

static void end_thread(struct dev_emulator *emulator)
{
    thread_close(&emulator->thread);
    uv_sem_destroy(&emulator->ready);
}

bool dev_emulator_open(struct dev_emulator *emulator, const struct emulator_options *options)
{
    emulator->options = *options;
    emulator->options.console = true;
    emulator->options.on_quit = on_quit;
    emulator->options.reply_to = on_reply_to;
    emulator->options.dead_letter = on_dead_letter;
    emulator->options.context = emulator;
    uv_sem_init(&emulator->ready, 0);
    if (thread_start(&emulator->thread, "emulator", NULL, NULL) < 0) {
        terminal_print(stderr, "molecule dev: cannot start a thread\n");
        uv_sem_destroy(&emulator->ready);
        return false;
    }
    run_there(emulator, run_open);
    if (emulator->emulator) {
        if (!emulator->brief)
            say_where(emulator->emulator, &emulator->options);
        return true;
    }
    say_problem(emulator->problem);
    end_thread(emulator);
    return false;
}

void dev_emulator_forget(struct dev_emulator *emulator)
{
    run_there(emulator, run_forget);
}

void dev_emulator_close(struct dev_emulator *emulator)
{
    run_there(emulator, run_close);
    end_thread(emulator);
}
