/* What a recording knows of the message that is handled: its handler's questions to the world are
 * answered from it, offline (molecule replay). Any thread may call these. */
#ifndef MOLECULE_SCRIPT_PLAYBACK_H
#define MOLECULE_SCRIPT_PLAYBACK_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct handler;
struct playback;
struct vm;

struct playback *playback_open(void);
void playback_close(struct playback *playback); /* NULL is fine */

/* The message with this row id comes next, with its recorded `calls`, a JSON array. NULL: the
 * recording does not tell, and the calls of its handler fail with OFFLINE. */
void playback_begin(struct playback *playback, const char *row_id, const char *calls);
/* What was different so far, as a JSON object {gone, added, other}: what is no longer asked and
 * what is not in the recording, as lists of texts, and how many questions had another body. Yours
 * to free; NULL: nothing was. Nothing more is answered for that message. */
char *playback_end(struct playback *playback, const char *row_id);

/* Whether what the running handler asks is answered from a recording. */
bool playback_answers(const struct vm *vm);
/* What earlier attempts had recorded when the recorded one began: a list as of journal_steps_load,
 * the caller's. NULL: nothing. */
json_t *playback_steps(const struct vm *vm);
/* The recorded call that answers this question (script/calls.h), or one that says in `error` and
 * `code` that there is none. `unfinished` in it: a branch of the handler asks, and was cancelled
 * before there was a result: it is to wait until it is cancelled again. Takes the question; the
 * call is the caller's. */
json_t *playback_find(const struct vm *vm, json_t *question);

#endif
