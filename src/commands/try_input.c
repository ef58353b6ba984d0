#include "commands/try_input.h"

#include "base/buffer.h"
#include "base/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAXIMUM ((size_t)1 << 20)
#define CHUNK_SIZE 16384
#define ENVELOPE_MAXIMUM ((size_t)32 << 20)

static bool read_envelope(struct try_input *input)
{
    char chunk[CHUNK_SIZE];
    bool is_input = strcmp(input->envelope, "-") == 0, fits = true;
    FILE *stream = is_input ? stdin : fopen(input->envelope, "rb");
    struct buffer text;
    if (!stream) {
        terminal_print(stderr, "molecule %s: %s: %s\n", input->command, input->envelope,
                       strerror(errno));
        return false;
    }
    buffer_init(&text, ENVELOPE_MAXIMUM);
    for (size_t got; fits && (got = fread(chunk, 1, sizeof chunk, stream)) > 0;)
        fits = buffer_append(&text, chunk, got);
    if (!is_input)
        fclose(stream);
    if (!fits)
        terminal_print(stderr, "molecule %s: %s is larger than %zu MiB\n", input->command,
                       input->envelope, ENVELOPE_MAXIMUM >> 20);
    fits = fits &&
           try_emulator_call(input->emulator, "envelope", text.length ? text.data : "", NULL, NULL);
    buffer_free(&text);
    return fits;
}

static bool say(struct try_input *input, const char *text)
{
    return try_emulator_call(input->emulator, "say", text, NULL, NULL);
}

/* false: the end of the input, or it is time to stop. */
static bool read_more(struct try_input *input)
{
    struct pollfd waiting[] = {{.fd = input->stop[0], .events = POLLIN},
                               {.fd = STDIN_FILENO, .events = POLLIN}};
    char chunk[CHUNK_SIZE];
    ssize_t got;
    if (poll(waiting, 2, -1) < 0)
        return errno == EINTR;
    if (waiting[0].revents)
        return false;
    got = read(STDIN_FILENO, chunk, sizeof chunk);
    if (got <= 0)
        return got < 0 && (errno == EINTR || errno == EAGAIN);
    return buffer_append(&input->unread, chunk, (size_t)got);
}

static void take_line(struct try_input *input, size_t length)
{
    const char *bytes = input->unread.data;
    bool is_crlf = length > 0 && bytes[length - 1] == '\r';
    buffer_clear(&input->line);
    buffer_append(&input->line, bytes, is_crlf ? length - 1 : length);
    buffer_consume(&input->unread,
                   length < input->unread.length ? length + 1 : input->unread.length);
}

/* A line without its end in `input->line`. false: there is no more. */
static bool read_line(struct try_input *input)
{
    const struct buffer *unread = &input->unread;
    for (size_t searched = 0;;) {
        const char *end = unread->length > searched
                              ? memchr(unread->data + searched, '\n', unread->length - searched)
                              : NULL;
        if (end) {
            take_line(input, (size_t)(end - unread->data));
            return true;
        }
        searched = unread->length;
        if (!read_more(input))
            break;
    }
    if (unread->length >= LINE_MAXIMUM - CHUNK_SIZE)
        terminal_print(stderr, "molecule %s: a line that is longer than 1 MiB ends the input\n",
                       input->command);
    else if (unread->length > 0 && !input->stopped) {
        take_line(input, unread->length);
        return true;
    }
    return false;
}

static void prompt(void)
{
    if (!isatty(STDIN_FILENO))
        return;
    fputs("> ", stdout);
    fflush(stdout);
}

static void *run_reader(void *context)
{
    struct try_input *input = context;
    for (prompt(); read_line(input); prompt())
        if (input->line.length > 0 && say(input, input->line.data)) {
            uv_sem_wait(&input->emulator->answered);
            if (input->stopped)
                break;
        }
    if (isatty(STDIN_FILENO))
        fputc('\n', stdout); /* after the prompt */
    try_emulator_call(input->emulator, "done", NULL, NULL, NULL);
    return NULL;
}

static bool start_reader(struct try_input *input)
{
    sigset_t all, before;
    if (pipe2(input->stop, O_CLOEXEC) != 0) {
        terminal_print(stderr, "molecule %s: cannot open a pipe: %s\n", input->command,
                       strerror(errno));
        return false;
    }
    buffer_init(&input->unread, LINE_MAXIMUM);
    buffer_init(&input->line, LINE_MAXIMUM);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    input->reading = pthread_create(&input->reader, NULL, run_reader, input) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!input->reading)
        terminal_print(stderr, "molecule %s: cannot start a thread\n", input->command);
    return input->reading;
}

void try_input_stop(struct try_input *input)
{
    if (!input->reading)
        return;
    input->stopped = true;
    close(input->stop[1]);
    uv_sem_post(&input->emulator->answered);
    pthread_join(input->reader, NULL);
    close(input->stop[0]);
    buffer_free(&input->unread);
    buffer_free(&input->line);
}

static bool read_records(struct try_input *input)
{
    char *line = NULL;
    size_t size = 0;
    bool fine = true;
    FILE *stream = fopen(input->records, "rb");
    if (!stream) {
        terminal_print(stderr, "molecule %s: %s: %s\n", input->command, input->records,
                       strerror(errno));
        return false;
    }
    for (ssize_t length; fine && (length = getline(&line, &size, stream)) >= 0;) {
        if (length > 0 && line[length - 1] == '\n')
            line[length - 1] = '\0';
        fine = try_emulator_call(input->emulator, "record", line, NULL, NULL);
    }
    free(line);
    fclose(stream);
    return fine;
}

bool try_input_start(struct try_input *input)
{
    if (!input->records && !input->envelope && input->count == 0 && !input->files_alone)
        return start_reader(input);
    bool fine = true;
    if (input->records)
        fine = read_records(input);
    else if (input->envelope)
        fine = read_envelope(input);
    else if (input->count == 0)
        fine = say(input, NULL);
    for (size_t i = 0; fine && i < input->count; i++)
        fine = say(input, input->texts[i]);
    return fine && (try_emulator_call(input->emulator, "done", NULL, NULL, NULL), true);
}
