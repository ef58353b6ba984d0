#include "commands/repl_dialog.h"

#include "base/memory.h"
#include "base/output.h"
#include "base/terminal.h"
#include "commands/repl_commands.h"
#include "commands/repl_private.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define PROMPT "> "
#define PROMPT_MORE ">> "
#define CHUNK_MAXIMUM ((size_t)4 << 20)

/* --- signals --- */

/* of the process, as signals are */
static struct {
    atomic_int wake; /* the dialog's */
    atomic_uint interrupts, stops;
    atomic_bool redraw;
} signaled;

static void wake(int fd)
{
    uint64_t one = 1;
    int before = errno;
    if (write(fd, &one, sizeof one) < 0)
        errno = before; /* it counts 2^64 already: it is readable */
}

static void on_signal(int number)
{
    if (number == SIGINT)
        signaled.interrupts++;
    else if (number == SIGWINCH || number == SIGCONT)
        signaled.redraw = true;
    else
        signaled.stops++;
    wake(signaled.wake);
}

static void take_signals(const struct repl *repl)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGCONT};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    signaled.wake = repl->wake;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        sigaction(numbers[i], &action, NULL);
}

/* What has to be done; empties `wake`. */
static enum repl_event look(void *context)
{
    struct repl *repl = context;
    uint64_t count;
    if (read(repl->wake, &count, sizeof count) < 0 && errno != EAGAIN)
        return REPL_END;
    for (; repl->stops < signaled.stops; repl->stops++) {
        repl->ending = true;
        molecule_stop(repl->molecule); /* the second one ends the process */
    }
    if (repl->over || repl->ending)
        return REPL_END;
    if (repl->interrupts != signaled.interrupts) {
        repl->interrupts = signaled.interrupts;
        if (repl->options->terminal)
            return REPL_INTERRUPTED;
        repl->ending = true;
        molecule_stop(repl->molecule);
        return REPL_END;
    }
    return atomic_exchange(&signaled.redraw, false) ? REPL_REDRAW : REPL_NOTHING;
}

/* --- waiting for the host --- */

/* On the thread of molecule_run. */
static void run_interrupt(void *context)
{
    struct repl *repl = context;
    molecule_interrupt(repl->molecule, repl->id);
}

static void interrupt(struct repl *repl, unsigned times)
{
    if (times > 0)
        terminal_print(stderr, "molecule repl: it is in C code, which nothing can interrupt; "
                               "kill ends the session, and so does --stuck-after\n");
    molecule_call(repl->molecule, run_interrupt, repl);
}

bool repl_await(struct repl *repl, const atomic_bool *done)
{
    unsigned times = 0;
    while (!*done && !repl->over) {
        struct pollfd waiting = {.fd = repl->wake, .events = POLLIN};
        if (poll(&waiting, 1, -1) > 0 && look(repl) == REPL_INTERRUPTED)
            interrupt(repl, times++);
    }
    return *done;
}

/* --- Lua --- */

/* On the thread of molecule_run, as what follows. */
static void on_evaluated(void *context, const struct molecule_evaluated *evaluated)
{
    struct repl *repl = context;
    repl->result = memory_copy_text(evaluated->result);
    repl->incomplete = evaluated->incomplete;
    repl->refused = evaluated->failed;
    repl->evaluated = true;
    wake(repl->wake);
}

static void run_evaluate(void *context)
{
    struct repl *repl = context;
    if (!molecule_evaluate(repl->molecule, repl->id, repl->function, repl->text, on_evaluated,
                           repl))
        on_evaluated(
            repl, &(struct molecule_evaluated){.result = "the session is ending", .failed = true});
}

bool repl_evaluate(struct repl *repl, const char *function, char *text)
{
    free(repl->text);
    free(repl->result);
    repl->text = text;
    repl->function = function;
    repl->result = NULL;
    repl->incomplete = repl->refused = false;
    repl->evaluated = false;
    return molecule_call(repl->molecule, run_evaluate, repl) && repl_await(repl, &repl->evaluated);
}

void repl_show(struct repl *repl)
{
    /* the script's log lines come first, in any case */
    try_emulator_call(repl->emulator, "show", repl->refused ? NULL : repl->result, NULL, NULL);
    if (!repl->refused)
        return;
    output_flush(); /* what is on standard output comes before it */
    terminal_print(stderr, "%s\n", repl->result ? repl->result : "it failed");
    repl->failed = true;
}

static void run_chunk(struct repl *repl)
{
    const char *name = repl->options->terminal ? "input" : "stdin";
    unsigned long first = repl->options->terminal ? 1 : repl->first_line;
    char *text = memory_format("%s %lu\n%s", name, first, repl->chunk.data);
    if (!repl_evaluate(repl, "run", text) || repl->incomplete)
        return;
    buffer_clear(&repl->chunk);
    repl_show(repl);
}

/* --- lines --- */

static char *complete(void *context, const char *text)
{
    struct repl *repl = context;
    if (repl->chunk.length == 0 && repl_is_command(text) && !strchr(text, ' '))
        return repl_complete_command(text);
    if (repl->chunk.length == 0 && repl_is_command(text))
        return NULL;
    bool found = repl_evaluate(repl, "complete", memory_copy_text(text)) && !repl->refused;
    char *names = found ? repl->result : NULL;
    if (found)
        repl->result = NULL;
    return names;
}

/* false: it was the last one. */
static bool take_line(struct repl *repl, const char *line)
{
    bool begins = repl->chunk.length == 0;
    repl->line_number++;
    if (begins && repl_is_command(line))
        return repl_run_command(repl, line);
    if (begins && !line[strspn(line, " \t")])
        return true;
    if (begins)
        repl->first_line = repl->line_number;
    else
        buffer_append_char(&repl->chunk, '\n');
    if (buffer_append_text(&repl->chunk, line)) {
        run_chunk(repl);
        return true;
    }
    terminal_print(stderr, "molecule repl: what was typed is longer than 4 MiB; it is dropped\n");
    buffer_clear(&repl->chunk);
    repl->failed = true;
    return true;
}

static void converse(struct repl *repl, struct repl_lines *lines)
{
    const char *line;
    for (bool more = true; more && !repl->over && !repl->ending;) {
        switch (repl_lines_read(lines, repl->chunk.length > 0 ? PROMPT_MORE : PROMPT, &line)) {
        case REPL_LINE: more = take_line(repl, line); break;
        case REPL_INTERRUPTED: buffer_clear(&repl->chunk); break;
        case REPL_END: more = false; break;
        case REPL_NOTHING:
        case REPL_REDRAW: break;
        }
    }
    if (repl->chunk.length == 0 || repl->over || repl->ending)
        return;
    repl->refused = true; /* the input has ended within a statement, and `result` says where */
    repl_show(repl);
}

static void *run_reader(void *context)
{
    struct repl *repl = context;
    struct repl_lines_options options = {.terminal = repl->options->terminal,
                                         .wake = repl->wake,
                                         .look = look,
                                         .complete = complete,
                                         .context = repl};
    if (!repl_await(repl, &repl->loaded) || repl->broken)
        return NULL; /* the host says why, and ends */
    if (repl->options->terminal)
        terminal_print(stdout,
                       "Lua 5.4 with molecule and cjson%s%s; :help lists the commands, "
                       "Ctrl-D ends\n",
                       repl->options->agent ? ", and the agent " : "",
                       repl->options->agent ? repl->options->agent : "");
    struct repl_lines *lines = repl_lines_open(&options);
    converse(repl, lines);
    repl_lines_close(lines);
    try_emulator_call(repl->emulator, "done", NULL, NULL, NULL);
    return NULL;
}

/* --- for the session --- */

static void on_answered(void *context)
{
    struct repl *repl = context;
    repl->answered = true;
    wake(repl->wake);
}

/* A line that a timer logged has gone through the prompt. */
static void on_logged(void *context)
{
    struct repl *repl = context;
    signaled.redraw = true;
    wake(repl->wake);
}

static void on_loaded(void *context, const char *problem)
{
    struct repl *repl = context;
    repl->broken = problem != NULL;
    repl->loaded = true;
    wake(repl->wake);
}

static bool start(void *context, struct try_emulator *emulator, struct molecule *molecule,
                  const char *id)
{
    struct repl *repl = context;
    sigset_t all, before;
    repl->emulator = emulator;
    repl->molecule = molecule;
    repl->id = id;
    emulator->context = repl;
    emulator->on_answered = on_answered;
    emulator->on_logged = on_logged;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    repl->reading = pthread_create(&repl->reader, NULL, run_reader, repl) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!repl->reading)
        terminal_print(stderr, "molecule repl: cannot start a thread\n");
    return repl->reading;
}

static bool finish(void *context, bool failed)
{
    struct repl *repl = context;
    repl->over = true;
    wake(repl->wake);
    pthread_join(repl->reader, NULL);
    return repl->options->terminal || (!failed && !repl->failed);
}

struct try_dialog repl_dialog(struct repl *repl)
{
    return (struct try_dialog){
        .open = start, .loaded = on_loaded, .close = finish, .context = repl};
}

struct repl *repl_open(const struct repl_options *options)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0) {
        terminal_print(stderr, "molecule repl: cannot open an eventfd: %s\n", strerror(errno));
        return NULL;
    }
    struct repl *repl = memory_allocate(sizeof *repl);
    repl->options = options;
    repl->wake = fd;
    buffer_init(&repl->chunk, CHUNK_MAXIMUM);
    take_signals(repl);
    return repl;
}

void repl_close(struct repl *repl)
{
    buffer_free(&repl->chunk);
    free(repl->result);
    free(repl->text);
    free(repl); /* its eventfd stays open: a signal may still come */
}
