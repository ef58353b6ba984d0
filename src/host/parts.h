/* All parts of a workspace. Only workspace.c, which takes them through its life, wiring.c and
 * wiring_serving.c, which connect them, overdue.c, culprit.c, evaluation.c, and those that look at
 * them for others (monitor.c, metrics_look.c, wiring_look.c, supervisor.c) include
 * this. */
#ifndef MOLECULE_HOST_PARTS_H
#define MOLECULE_HOST_PARTS_H

#include "host/control.h"
#include "host/watchdog.h"
#include "host/workspace.h"
#include "journal/attempts.h"
#include "journal/cursor_writer.h"
#include "link/heartbeat.h"
#include "link/poller.h"
#include "link/registration.h"
#include "messages/intake.h"
#include "script/script.h"

struct serving;

#define WORKSPACE_TIMERS 11

enum workspace_state {
    WORKSPACE_LOADING, /* the script */
    WORKSPACE_REGISTERING,
    WORKSPACE_RUNNING,
    WORKSPACE_DRAINING, /* no new rows; what runs is finished */
    WORKSPACE_CLOSING,  /* saving, closing the script */
    WORKSPACE_CLOSED
};

struct workspace {
    struct workspace *next;
    struct host *host;
    struct molecule_workspace_options options;
    enum workspace_state state;
    enum host_exit exit_code;
    int lock;
    char *state_path;   /* the state directory, absolute; NULL: not opened */
    int64_t started_ms; /* wall clock */
    /* link */
    struct link link;
    struct registration registration;
    struct heartbeat heartbeat;
    struct event_stream stream;
    struct poller poller;
    struct platform_card card; /* its texts are owned */
    /* journal */
    struct journal *journal;
    struct attempts *attempts;
    struct cursor_writer cursor_writer;
    /* messages */
    struct inbox *inbox;
    struct dispatch dispatch;
    struct intake intake;
    struct serving *serving; /* NULL: it is not served */
    /* script */
    struct script_settings script_settings;
    struct script *script;
    double tokens[2]; /* script_tokens, once the script is closed */
    struct worker *worker;
    struct watchdog watchdog;
    bool stuck;   /* its script is why the process exits with HOST_EXIT_STUCK */
    bool overdue; /* its script did not return when it was to be closed */
    /* host */
    struct control *control;
    uv_timer_t drain_timer;
    size_t timers_left; /* on the loop, while it leaves it */
    void (*gone)(void *context, struct workspace *workspace);
    void *gone_context;
};

/* --- workspace.c --- */

/* Ends it with an error: like workspace_stop, but with this exit code and without waiting for
 * handlers. */
void workspace_fail(struct workspace *workspace, enum host_exit code);
/* Its last message has ended: a drain is over. */
void workspace_close_down(struct workspace *workspace);
void workspace_registered(struct workspace *workspace);
/* The last save is done. */
void workspace_saved(struct workspace *workspace);

/* --- overdue.c --- */

/* Of the drain timer: the workspace has not closed in time. */
void workspace_close_overdue(uv_timer_t *timer);

/* --- metrics_look.c --- */

/* Ends the process if the counts of its messages do not add up (base/check.h): in builds with
 * sanitizers, so that every test tries it. */
void metrics_check(const struct workspace *workspace);
/* Before it leaves the host: what it counted stays in the sums. */
void metrics_keep(const struct workspace *workspace);

/* --- culprit.c --- */

/* Whose script its worker is in: itself, or one that blocks it. */
struct workspace *workspace_culprit(struct workspace *workspace);
/* Its script is stuck: that one keeps its counted attempt, the others, of all workspaces, are not
 * to blame. */
void workspace_uncount_innocent(struct workspace *workspace);

/* --- wiring.c --- */

/* Before anything else: who calls whom. */
void wiring_connect(struct workspace *workspace);
/* After the state on disk was read. */
void wiring_open_journal(struct workspace *workspace);
void wiring_open_cursor_writer(struct workspace *workspace, bool lost);
void wiring_open_control(struct workspace *workspace);
/* What the control socket and the monitor tell of it. */
void wiring_look(const struct workspace *workspace, struct control_status *now);
/* One that is asked through a server of ours, before the messages of its tasks are taken up; of
 * others nothing. false: `problem` says why not. */
bool wiring_open_serving(struct workspace *workspace, char *problem, size_t problem_size);
/* … its card, as the script says. false: it cannot be shown so, and a workspace that starts has
 * failed. */
bool wiring_describe(struct workspace *workspace, const struct script_agent *agent);
/* control_env.card, of a workspace. */
json_t *wiring_card(void *context, const char *name, bool only_1_0, char *problem,
                    size_t problem_size);
/* What the script asks and says goes to the host calls and to the observer. */
void wiring_listen(struct workspace *workspace, struct script_events *events);
/* All its timers. */
void wiring_list_timers(struct workspace *workspace, uv_timer_t *timers[WORKSPACE_TIMERS]);

#endif
