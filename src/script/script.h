/* A user's agent: a script file or a backend, run on a worker thread. This header is all that host/
 * knows of Lua.
 *
 * Every function here is called on the host thread; every callback comes on the host thread. What a
 * job points to is the worker's from script_submit until its `done`. */
#ifndef MOLECULE_SCRIPT_SCRIPT_H
#define MOLECULE_SCRIPT_SCRIPT_H

#include "script/script_types.h"

#include <jansson.h>

/* Compiles the script, or looks for the backend, and runs nothing. false: `problem` says what is
 * wrong. */
bool script_check(const struct script_settings *settings, char *problem, size_t problem_size);

/* Loads the agent on `worker` and calls its `start`; answers with events.loaded. */
struct script *script_open(struct thread *worker, struct thread *host,
                           const struct script_settings *settings,
                           const struct script_events *events);
void script_submit(struct script *script, struct script_job *job);
/* Ends its handler wherever it is, or does not start it: SCRIPT_CANCELED, unless it ended before.
 */
void script_cancel(struct script *script, struct script_job *job);
/* Loads it again beside the current state, which it replaces if it loads and its `start` succeeds
 * (events.reloaded); else nothing changes and the log says why. */
void script_reload(struct script *script);
/* One at a time. It waits while the script loads. */
void script_evaluate(struct script *script, struct script_evaluation *evaluation);
/* Ends it wherever it is, or does not start it, unless it ended before. */
void script_interrupt(struct script *script, struct script_evaluation *evaluation);
/* One at a time, and only for an agent that names conversations. What fails is logged and leaves
 * its key NULL. */
void script_name(struct script *script, struct script_naming *naming);
/* Every question must be answered before it can end. Handlers still running are abandoned as
 * SCRIPT_AGAIN; `stop` is called if `graceful`; then `closed`, on the host thread, and the script
 * is gone. Jobs' `done` come before it. */
void script_close(struct script *script, bool graceful, void (*closed)(void *context),
                  void *context);

/* Answers; on the host thread, once. */
void script_answer(struct script_ask *ask);

/* Answers SCRIPT_SCHEDULE_MADE: what comes after that moment is due; 0: nothing is, the host stops.
 */
void script_schedule_since(struct script_schedule *schedule, int64_t since_s);
void script_schedule_free(struct script_schedule *schedule);

/* The outcome of the handler whose changes had these locks is recorded: the keys are free. */
void script_unlock(struct script *script, uint64_t locks);

/* What models said that they read and wrote for it. */
void script_tokens(const struct script *script, double tokens[2]);

/* Its code may run even while no message is handled. */
bool script_has_timers(const struct script *script);
/* Its timers: an array of {id, every_ms (0: once), due_ms, running, place}, the callee's. */
typedef void script_timers_callback(void *context, json_t *timers, bool found);
void script_list_timers(struct script *script, script_timers_callback *then, void *context);
/* Runs one now; `found` false: there is none with this id, or it runs already. */
void script_run_timer(struct script *script, int64_t id, script_timers_callback *then,
                      void *context);
/* Asks the worker for a sign of life: `alive` is called on the host thread between two calls into
 * Lua. A call that does not return keeps it waiting. */
void script_ping(struct script *script, void (*alive)(void *context), void *context);

/* The job whose Lua or C code the worker is in at this moment: script_no_message where it is a
 * timer, start, stop or conversation(msg); NULL for none. It may end any time, but is the host's
 * then, so that the host thread may look into it. */
const struct script_job *script_current(const struct script *script);

struct script_call script_call(const struct script *script);

const char *script_lua_version(void); /* "5.4.4" */
/* The backends in the binary, comma-separated. */
const char *script_backend_names(void);

#endif
