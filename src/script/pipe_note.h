/* A command of io.popen as it is recorded (script/calls.h), and as a recording answers it. */
#ifndef MOLECULE_SCRIPT_PIPE_NOTE_H
#define MOLECULE_SCRIPT_PIPE_NOTE_H

#include "script/pipe.h"

/* It is about to start. */
void pipe_note_asked(struct pipe *pipe, struct vm *vm);
/* It has printed these bytes. */
void pipe_note_output(struct pipe *pipe, const char *bytes, size_t length);
/* The script has closed it, or its handler ended; `exited`: how is known. Once for each command;
 * further calls do nothing. */
void pipe_note_end(struct pipe *pipe, struct handler *handler, bool exited);

/* In place of pipe_start, after playback_answers: the recorded output becomes what it reads. NULL:
 * it does; else why not, with `*code`, yours to free. */
char *pipe_play(struct pipe *pipe, struct vm *vm, char **code);

#endif
