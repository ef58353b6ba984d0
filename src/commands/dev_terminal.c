#include "commands/dev_terminal.h"

#include "base/buffer.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_MAXIMUM ((size_t)1 << 20)
#define CHUNK_SIZE 65536
/* beyond this, reading pauses: a pipe may hold any number of lines */
#define UNANSWERED_MAXIMUM 500
#define BUSY_WAIT_MS 20
/* a background job must not read its terminal: it would be stopped */
#define BACKGROUND_WAIT_MS 500

/* A reply under way, recognized by its bytes. */
struct known_reply {
    struct known_reply *next;
    uint64_t digest;
    size_t length;
    char row_id[EMULATOR_ROW_ID_SIZE];
};

struct dev_terminal {
    pthread_mutex_t mutex;
    struct known_reply *replies;
    struct thread *thread; /* the emulator's */
    struct emulator *emulator;
    bool reading; /* the reader runs, and will post `ended` */
    uv_sem_t ended;
    int stop[2];        /* a pipe; its end stops the reader */
    struct buffer line; /* the reader's, as what follows */
    bool too_long;
    size_t unanswered;
    uv_sem_t taken;
};

/* --- the host's events --- */

void dev_terminal_reply(struct dev_terminal *terminal, const char *row_id, uint64_t digest,
                        size_t length)
{
    struct known_reply *reply = memory_allocate(sizeof *reply), **end = &terminal->replies;
    reply->digest = digest;
    reply->length = length;
    snprintf(reply->row_id, sizeof reply->row_id, "%s", row_id);
    pthread_mutex_lock(&terminal->mutex);
    while (*end)
        end = &(*end)->next;
    *end = reply;
    pthread_mutex_unlock(&terminal->mutex);
}

static void forget(struct dev_terminal *terminal, const char *row_id)
{
    pthread_mutex_lock(&terminal->mutex);
    for (struct known_reply **link = &terminal->replies; *link;) {
        struct known_reply *reply = *link;
        if (strcmp(reply->row_id, row_id) == 0) {
            *link = reply->next;
            free(reply);
        } else {
            link = &reply->next;
        }
    }
    pthread_mutex_unlock(&terminal->mutex);
}

bool dev_terminal_reply_to(struct dev_terminal *terminal, const char *body, size_t length,
                           char row_id[EMULATOR_ROW_ID_SIZE])
{
    uint64_t digest = hash_bytes(body, length);
    pthread_mutex_lock(&terminal->mutex);
    const struct known_reply *reply = terminal->replies;
    while (reply && (reply->length != length || reply->digest != digest))
        reply = reply->next;
    if (reply)
        memcpy(row_id, reply->row_id, EMULATOR_ROW_ID_SIZE);
    pthread_mutex_unlock(&terminal->mutex);
    return reply != NULL;
}

struct event_task {
    struct task task;
    struct dev_terminal *terminal;
    struct molecule_event event; /* its texts are the task's, but for the workspace's id */
};

#define EVENT_TEXTS 11

static void list_texts(struct molecule_event *event, const char **texts[EVENT_TEXTS])
{
    const char **const all[EVENT_TEXTS] = {&event->row_id,    &event->outcome,  &event->reason,
                                           &event->traceback, &event->text,     &event->key,
                                           &event->level,     &event->what,     &event->call,
                                           &event->schedule,  &event->principal};
    memcpy(texts, all, sizeof all);
}

static void run_event(struct task *task)
{
    struct event_task *told = (struct event_task *)task;
    const char **texts[EVENT_TEXTS];
    emulator_tell(told->terminal->emulator, &told->event);
    list_texts(&told->event, texts);
    for (size_t i = 0; i < EVENT_TEXTS; i++)
        free((char *)*texts[i]);
    free(told);
}

void dev_terminal_event(struct dev_terminal *terminal, const struct molecule_event *event)
{
    if (event->kind == MOLECULE_EVENT_FINISHED)
        forget(terminal, event->row_id);
    const char **texts[EVENT_TEXTS];
    struct event_task *told = memory_allocate(sizeof *told);
    told->task.run = run_event;
    told->terminal = terminal;
    told->event = *event;
    list_texts(&told->event, texts);
    for (size_t i = 0; i < EVENT_TEXTS; i++)
        *texts[i] = memory_copy_text(*texts[i]);
    thread_post(terminal->thread, &told->task);
}

/* --- what is typed --- */

struct input_task {
    struct task task;
    struct dev_terminal *terminal;
    const char *line; /* NULL with `end` false: it was too long */
    size_t length;
    bool end, person;
};

static void run_input(struct task *task)
{
    const struct input_task *input = (struct input_task *)task;
    struct dev_terminal *terminal = input->terminal;
    if (input->end)
        emulator_type_end(terminal->emulator, input->person);
    else
        terminal->unanswered = emulator_type(terminal->emulator, input->line, input->length);
    uv_sem_post(&terminal->taken);
}

static void hand_over(struct dev_terminal *terminal, struct input_task input)
{
    input.task.run = run_input;
    input.terminal = terminal;
    if (thread_post(terminal->thread, &input.task))
        uv_sem_wait(&terminal->taken);
}

static void end_line(struct dev_terminal *terminal)
{
    size_t length = terminal->line.length;
    const char *text = length > 0 ? terminal->line.data : "";
    if (length > 0 && text[length - 1] == '\r')
        length--;
    hand_over(terminal,
              (struct input_task){.line = terminal->too_long ? NULL : text, .length = length});
    terminal->too_long = false;
    buffer_clear(&terminal->line);
}

static void take(struct dev_terminal *terminal, const char *bytes, size_t length)
{
    while (length > 0) {
        const char *end = memchr(bytes, '\n', length);
        size_t part = end ? (size_t)(end - bytes) : length;
        if (part > 0 && !buffer_append(&terminal->line, bytes, part))
            terminal->too_long = true;
        if (!end)
            return;
        end_line(terminal);
        bytes += part + 1;
        length -= part + 1;
    }
}

/* A terminal with another process group in the foreground. */
static bool in_background(void)
{
    return isatty(STDIN_FILENO) && tcgetpgrp(STDIN_FILENO) != getpgrp();
}

/* false: stop now. */
static bool wait_for_input(struct dev_terminal *terminal)
{
    for (;;) {
        bool busy = terminal->unanswered >= UNANSWERED_MAXIMUM, background = in_background();
        struct pollfd waiting[] = {
            {.fd = terminal->stop[0], .events = POLLIN},
            {.fd = busy || background ? -1 : STDIN_FILENO, .events = POLLIN}};
        int ready = poll(waiting, 2, busy ? BUSY_WAIT_MS : background ? BACKGROUND_WAIT_MS : -1);
        if (ready > 0 && waiting[0].revents)
            return false;
        if (ready > 0 && waiting[1].revents)
            return true;
        if (busy)
            hand_over(terminal, (struct input_task){.line = ""}); /* how many are unanswered now */
    }
}

/* Whether the end of this input means anything: that of /dev/null does not. `person`: it was a
 * terminal, which no longer says so once it is closed. */
static bool has_end(bool person)
{
    struct stat status;
    return person || (fstat(STDIN_FILENO, &status) == 0 && !S_ISCHR(status.st_mode));
}

static void *run_reader(void *context)
{
    struct dev_terminal *terminal = context;
    static char chunk[CHUNK_SIZE];
    bool person = isatty(STDIN_FILENO);
    while (wait_for_input(terminal)) {
        ssize_t got = read(STDIN_FILENO, chunk, sizeof chunk);
        if (got < 0 && (errno == EINTR || errno == EAGAIN || (errno == EIO && in_background())))
            continue;
        if (got > 0) {
            take(terminal, chunk, (size_t)got);
            continue;
        }
        if (terminal->line.length > 0)
            end_line(terminal);
        if (has_end(person))
            hand_over(terminal, (struct input_task){.end = true, .person = person});
        break;
    }
    uv_sem_post(&terminal->ended);
    return NULL;
}

/* --- its life --- */

struct dev_terminal *dev_terminal_open(void)
{
    struct dev_terminal *terminal = memory_allocate(sizeof *terminal);
    pthread_mutex_init(&terminal->mutex, NULL);
    uv_sem_init(&terminal->taken, 0);
    uv_sem_init(&terminal->ended, 0);
    buffer_init(&terminal->line, LINE_MAXIMUM);
    return terminal;
}

void dev_terminal_start(struct dev_terminal *terminal, struct thread *thread,
                        struct emulator *emulator)
{
    sigset_t all, before;
    pthread_t reader;
    pthread_attr_t attributes;
    terminal->thread = thread;
    terminal->emulator = emulator;
    if (pipe2(terminal->stop, O_CLOEXEC) != 0)
        return; /* then it only prints */
    sigfillset(&all);
    pthread_attr_init(&attributes);
    /* a process that exits at once does not wait for it */
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    /* SIGTTIN, too: a read in the background fails instead */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    terminal->reading = pthread_create(&reader, &attributes, run_reader, terminal) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (!terminal->reading) {
        close(terminal->stop[0]);
        close(terminal->stop[1]);
    }
}

void dev_terminal_stop(struct dev_terminal *terminal)
{
    if (!terminal->reading)
        return;
    close(terminal->stop[1]);
    uv_sem_wait(&terminal->ended);
    close(terminal->stop[0]);
    terminal->reading = false;
}

void dev_terminal_close(struct dev_terminal *terminal)
{
    dev_terminal_stop(terminal);
    while (terminal->replies) {
        struct known_reply *reply = terminal->replies;
        terminal->replies = reply->next;
        free(reply);
    }
    buffer_free(&terminal->line);
    uv_sem_destroy(&terminal->taken);
    uv_sem_destroy(&terminal->ended);
    pthread_mutex_destroy(&terminal->mutex);
    free(terminal);
}
