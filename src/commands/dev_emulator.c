#include "commands/dev_emulator.h"

#include "base/memory.h"
#include "base/terminal.h"
#include "commands/dev_ask.h"
#include "state/atomic_file.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void on_quit(void *context)
{
    struct dev_emulator *emulator = context;
    if (emulator->host)
        dev_host_stop(emulator->host);
    else if (emulator->loop)
        uv_stop(emulator->loop);
}

static bool on_kill_host(void *context)
{
    struct dev_emulator *emulator = context;
    return dev_host_kill(emulator->host);
}

/* What the host has said so far belongs before what it posts now. */
static bool on_reply_to(void *context, const char *body, size_t length,
                        char row_id[EMULATOR_ROW_ID_SIZE])
{
    struct dev_emulator *emulator = context;
    dev_report_drain(&emulator->host->report);
    return dev_terminal_reply_to(emulator->terminal, body, length, row_id);
}

static char *on_ask_host(void *context, const char *request, char *problem, size_t problem_size)
{
    const struct dev_emulator *emulator = context;
    return dev_ask(emulator->state_directory, emulator->workspace_id, request, problem,
                   problem_size);
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
    emulator->options.ask_host = on_ask_host;
    emulator->options.kill_host = on_kill_host;
    emulator->options.replace_file = atomic_file_write;
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

struct host_task {
    struct task task;
    struct dev_emulator *emulator;
    bool running;
    char *why;
};

static void run_tell_host(struct task *task)
{
    struct host_task *told = (struct host_task *)task;
    emulator_tell_host(told->emulator->emulator, told->running, told->why);
    free(told->why);
    free(told);
}

void dev_emulator_tell_host(struct dev_emulator *emulator, bool running, const char *why)
{
    struct host_task *told = memory_allocate(sizeof *told);
    told->task.run = run_tell_host;
    told->emulator = emulator;
    told->running = running;
    told->why = memory_copy_text(why);
    thread_post(&emulator->thread, &told->task);
}

void dev_emulator_close(struct dev_emulator *emulator)
{
    run_there(emulator, run_close);
    end_thread(emulator);
}
