#include "script/pipe_note.h"

#include "base/clock.h"
#include "base/memory.h"
#include "script/call_words.h"
#include "script/calls.h"
#include "script/playback.h"
#include "script/script_said.h"

#include <stdlib.h>

static json_t *question_of(const struct pipe *pipe)
{
    char *const argv[] = {(char *)"/bin/sh", (char *)"-c", pipe->command, NULL};
    return calls_program(pipe->reads ? "popen" : "popen w", argv, NULL, 0);
}

void pipe_note_asked(struct pipe *pipe, struct vm *vm)
{
    pipe->started_ms = clock_monotonic_ms();
    if (!vm->running->calls)
        return;
    pipe->noted = calls_asked(vm, question_of(pipe));
    buffer_init(&pipe->seen, CALLS_SEEN_MAXIMUM);
}

void pipe_note_output(struct pipe *pipe, const char *bytes, size_t length)
{
    if (!pipe->noted)
        return;
    size_t room = pipe->seen.maximum - pipe->seen.length;
    buffer_append(&pipe->seen, bytes, length < room ? length : room);
    pipe->seen_bytes += length;
}

static char *describe(const struct pipe *pipe, bool exited, long long took)
{
    const struct subprocess *ended = &pipe->subprocess;
    char *command = call_words_hide(pipe->command);
    char *text = exited ? memory_format("%.200s: %s %d (%lld ms)", command,
                                        ended->signal ? "signal" : "exit code",
                                        ended->signal ? ended->signal : ended->code, took)
                        : memory_format("%.200s: ended with its handler (%lld ms)", command, took);
    free(command);
    return text;
}

void pipe_note_end(struct pipe *pipe, struct handler *handler, bool exited)
{
    struct calls_result call = calls_answered(handler, pipe->noted);
    if (!call.json)
        return;
    int64_t took_ms = clock_monotonic_ms() - pipe->started_ms;
    if (exited)
        calls_set(&call, "exit_code", json_integer(pipe->subprocess.code));
    if (exited && pipe->subprocess.signal)
        calls_set(&call, "signal", json_integer(pipe->subprocess.signal));
    if (pipe->reads && !pipe->ended)
        calls_set(&call, "closed", json_true());
    if (pipe->reads)
        calls_set_bytes(&call, "stdout", pipe->seen.length ? pipe->seen.data : "",
                        pipe->seen.length, pipe->seen_bytes);
    char *text = describe(pipe, exited, took_ms);
    script_did(handler, "io.popen", text, took_ms, calls_end(&call, took_ms));
    free(text);
    pipe->noted = 0;
    buffer_free(&pipe->seen);
}

char *pipe_play(struct pipe *pipe, struct vm *vm, char **code)
{
    size_t length;
    json_t *recorded = playback_find(vm, question_of(pipe));
    char *error = memory_copy_text(json_string_value(json_object_get(recorded, "error"))),
         *output = calls_get_bytes(recorded, "stdout", &length);
    *code = memory_copy_text(json_string_value(json_object_get(recorded, "code")));
    if (output)
        buffer_append(&pipe->input, output, length);
    pipe->played = pipe->ended = true;
    pipe->error = json_is_true(json_object_get(recorded, "closed")) ? PIPE_NO_MORE : 0;
    pipe->subprocess.code = (int)json_integer_value(json_object_get(recorded, "exit_code"));
    pipe->subprocess.signal = (int)json_integer_value(json_object_get(recorded, "signal"));
    free(output);
    json_decref(recorded);
    return error;
}
