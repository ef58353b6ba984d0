#include "commands/try_input.h"

#include "base/buffer.h"
#include "base/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* false: there is no more. */
static bool read_line(struct try_input *input)
{
    enum line_input_result result = line_input_read(&input->lines);
    if (result == LINE_INPUT_TOO_LONG)
        terminal_print(stderr, "molecule %s: a line that is longer than 1 MiB ends the input\n",
                       input->command);
    return result == LINE_INPUT_LINE;
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
        if (input->lines.line.length > 0 && say(input, input->lines.line.data)) {
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
    line_input_open(&input->lines, input->stop[0]);
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
    line_input_close(&input->lines);
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
