/* A request of molecule.http under way, on the worker's own libcurl handle: its memory, and the
 * answer as it arrives. api_http.c waits for the whole of it, api_http_stream.c reads it in pieces.
 */
#ifndef MOLECULE_SCRIPT_HTTP_CALL_H
#define MOLECULE_SCRIPT_HTTP_CALL_H

#include "base/buffer.h"
#include "base/turns.h"
#include "script/handler.h"
#include "script/http_options.h"
#include "script/vm_await.h"

#include <lua.h>
#include <uv.h>

struct http_call {
    struct operation operation; /* first; of the handler that waits, if one does */
    struct vm *vm;
    /* its response did not fit: garbage is collected in a turn of the state */
    struct turn turn;
    size_t wanted;
    size_t charged; /* to it */
    size_t request_bytes;
    struct http_exchange *exchange; /* NULL: over */
    char *url, *method, *body;
    char *headers[HTTP_HEADERS_MAXIMUM + 1];
    /* streams only */
    bool streaming, waiting, paused, held; /* held: the userdata is alive */
    /* garbage is being collected, which may include its userdata: run_starved frees it then */
    bool collecting;
    struct resource resource; /* owner: who opened it and has not read it to its end */
    bool outlived;            /* its handler ended first */
    uv_timer_t *patience;     /* of reads with a time limit; NULL: there was none yet */
    bool impatient;           /* that limit has passed */
    /* of the answer's body: what has not been read, or all of it */
    struct buffer pieces;
    /* the answer's headers once it is over: name NUL value NUL … */
    struct buffer head;
    char *error;
    const char *code;
    int status;
    struct trace_place trace; /* its span */
    int64_t started_ms;       /* monotonic */
    /* http_note.c */
    size_t noted;       /* of calls_asked; 0: it is not kept */
    bool unnoted;       /* its result was not noted yet */
    struct buffer seen; /* of a stream: what the script has read, or its beginning; */
    size_t seen_bytes;  /* … and how much that was */
};

/* The options are at stack index 1. The call, under way, or with its recorded result; raises if
 * they are wrong, or if there is no room. */
struct http_call *http_call_start(lua_State *L, bool streaming);
/* May the script reach the network? false: pushes nil, message, code, which the caller returns. The
 * options are at stack index 1. */
bool http_call_allowed(lua_State *L);
/* The exchange ends if it has not ended yet. */
void http_call_cancel(struct http_call *call);
/* The same, and what has arrived is dropped; it no longer belongs to a handler. */
void http_call_end(struct http_call *call);
void http_call_free(struct http_call *call);
/* Its handler no longer needs to end it. */
void http_call_leave_owner(struct http_call *call);

/* nil, "url: error", code. */
int http_call_push_failure(lua_State *L, const struct http_call *call, const char *error,
                           const char *code);
/* {[lower-case name] = value}; empty before the end. */
void http_call_push_headers(lua_State *L, const struct http_call *call);

#endif
