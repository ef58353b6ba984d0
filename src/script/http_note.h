/* A request of molecule.http as it is recorded (script/calls.h), and as a recording answers it. */
#ifndef MOLECULE_SCRIPT_HTTP_NOTE_H
#define MOLECULE_SCRIPT_HTTP_NOTE_H

#include "script/http_call.h"

/* It is about to be sent. */
void http_note_asked(struct http_call *call, size_t body_length);
/* The script is given these bytes of a stream. */
void http_note_piece(struct http_call *call, const char *bytes, size_t length);
/* It has its result, in `call`; `closed`: its stream was not read to the end. Once for each
 * request; further calls do nothing. */
void http_note_end(struct http_call *call, struct handler *handler, bool closed);

/* In place of sending it, after playback_answers: the recorded result becomes the call's. */
void http_play(struct http_call *call, size_t body_length);

#endif
