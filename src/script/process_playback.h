/* A program that does not run: its result comes from a recording. */
#ifndef MOLECULE_SCRIPT_PROCESS_PLAYBACK_H
#define MOLECULE_SCRIPT_PROCESS_PLAYBACK_H

#include "script/calls.h"
#include "script/process.h"

/* In place of process_start, after playback_answers: takes the question. `context` is freed with
 * free(). What could not be run fails as it did. */
struct operation *process_play(struct vm *vm, json_t *question, process_results *results,
                               void *context);
/* A result as it is recorded. */
void process_note(const struct calls_result *call, const struct process_result *result);

#endif
