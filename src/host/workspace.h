/* One workspace's life: loading -> registering -> running -> draining -> closed. Everything here
 * runs on the network thread; the files beside this one are its loops. */
#ifndef MOLECULE_HOST_WORKSPACE_H
#define MOLECULE_HOST_WORKSPACE_H

#include "host/announced.h"
#include "host/deferred.h"
#include "host/echoes.h"
#include "host/exchange.h"
#include "host/host.h"
#include "host/inbox.h"
#include "host/peer_modes.h"
#include "host/journal.h"
#include "script/script.h"
#include "state/cursor.h"
#include "wire/platform.h"
#include "wire/reply.h"
#include "wire/retry.h"
#include "wire/sse.h"

#include <stdbool.h>
#include <stdint.h>

enum workspace_state {
    WORKSPACE_LOADING, /* the script */
    WORKSPACE_REGISTERING,
    WORKSPACE_RUNNING,
    WORKSPACE_DRAINING, /* no new rows; what runs is finished */
    WORKSPACE_CLOSING,  /* saving, closing the script */
    WORKSPACE_CLOSED
};

/* host/token.c: which token is used, and where the next one comes from. */
struct token {
    char *current;    /* NULL: none */
    char *kept_path;  /* <state-dir>/<id>.token: minted by the platform */
    char *configured; /* --token or the environment */
    bool using_kept;
    bool busy;                     /* a read or write is on the disk thread */
    unsigned refused;              /* 401s in a row, of any call */
    struct retry_refusals removed; /* how often the platform said that the workspace is gone */
    int64_t next_query_ms;         /* when it may be asked again */
    bool mentioned_guard;          /* the tenant guard's hint was logged */
};

/* host/registration.c */
struct registration {
    struct exchange exchange;
    uv_timer_t timer;
    struct retry_backoff backoff;
    unsigned failures; /* in a row, of the platform's or of what stands before it */
    struct retry_refusals refusals;
    bool again;    /* the workspace is running and registers once more */
    char *name;    /* of the card that was sent */
    bool outdated; /* the card changed while a registration was under way */
};

/* host/heartbeat.c */
struct heartbeat {
    struct exchange exchange;
    uv_timer_t timer;
    uv_timer_t change_timer; /* until a change is told */
    struct retry_backoff backoff;
    int64_t due_ms;
    int64_t told_ms; /* when the last one was sent */
    bool told_busy;  /* what it said */
    /* that succeeded, since the platform was asked how it shows the workspace */
    unsigned beats;
    struct exchange standing; /* that question */
    bool running, stopped, failing;
    bool results[20]; /* of the last handlers: true is a failure */
    unsigned result_count, result_next;
    char sample[256]; /* the last failure's text */
    int64_t sample_ms;
};

/* host/poller.c */
struct poller {
    struct exchange exchange;
    uv_timer_t timer;
    struct retry_backoff backoff;
    char *position;            /* since_id of the next fetch; NULL: by window */
    int64_t last_poll_wall_ms; /* of the last successful poll, also of an earlier run; 0: never */
    /* wall clock: every row of before was fetched, also by an earlier run; 0: unknown */
    int64_t covered_ms;
    int64_t covered_boot_ms; /* the same on a clock that nobody sets; 0: of an earlier run */
    /* what the rows that wait make of it once they are admitted; 0: nothing */
    int64_t covering_ms;
    int64_t asked_wall_ms; /* when the poll under way began; of a window that is paged: its first */
    int64_t asked_ms;      /* the same, monotonic, of the last one */
    /* of the last window: how far back it reached, and from when */
    int64_t window_s, window_asked_ms;
    int limit; /* rows a page, halved when a page is too large */
    int asked; /* the limit of the poll under way */
    unsigned lookup_failures;
    uint64_t successes; /* polls that succeeded */
    /* rows have a `seq`: the platform is one of those that drop what comes twice under one
       messageId */
    bool numbered;
    int64_t nameless_said_ms; /* when an unreadable row without an id was last logged; 0: never */
    bool running, failing, paused;
    bool spread; /* among a fleet's the polls have their place in the interval */
    /* rows of a page, or of a window while it is paged, until they are admitted */
    struct fetched *fetched;
    size_t fetched_count, fetched_capacity;
    bool window, rereading; /* what they are of */
    bool more;              /* the last poll's page was full */
    bool found;             /* the last poll brought a message */
    bool hinted;            /* something is new that no poll under way or done has looked for */
    /* of the poll under way: a hint led to it; the event stream was open when it began */
    bool expected, watched;
    bool by_hint;         /* a hint led to it, not a full page before it */
    int64_t hint_free_ms; /* when a hint may lead to the next poll */
    int64_t hint_wait_ms; /* between two such polls: more after each that found nothing */
    /* of the inbox, since the start or the last window: what follows is new */
    bool seen_end;
    bool checking;         /* the ledger is asked which of them are finished */
    struct reread *reread; /* host/reread.h */
    /* host/deferred.h: what a lost ledger held and is looked for; NULL: nothing */
    struct deferred *deferred;
    char *recovered_to;          /* how far back it has come: a created_at; NULL: it begins */
    struct announced *announced; /* host/announced.h; NULL: there is no event stream */
};

/* host/stream.c: the platform's event stream */
struct event_stream {
    struct http_exchange *http; /* NULL: none is open or being opened */
    struct platform_request request;
    struct sse_reader events;
    uv_timer_t timer;       /* the next attempt; while it is being opened: how long that may take */
    uv_timer_t news_timer;  /* what the stream said is acted upon outside of its callback */
    uv_timer_t doubt_timer; /* a message was not announced so far */
    struct retry_backoff backoff;
    bool running;
    bool open;      /* it is there and is trusted */
    bool refused;   /* what came is no event stream */
    bool away;      /* closed by us, until the platform takes requests again */
    bool announced; /* a message, since the last poll was asked for */
    bool said_missing;
    unsigned doubts; /* how often it was not to be trusted */
    int64_t opened_ms, announced_ms;
    bool flooded;            /* what comes is to be read no more */
    size_t received;         /* bytes, until it is open */
    int64_t noise, noise_ms; /* bytes of late that led to no message, and as of when */
};

/* host/saver.c: the cursor file, written by the disk thread */
struct saver {
    struct cursor cursor; /* the disk thread's while `busy` */
    uv_timer_t timer;
    char *saved; /* what the file holds, as far as we know */
    char *writing, *writing_stamp;
    bool busy, failing, final;
    /* the file is gone, though `saved` is known: it is to be written in any case */
    bool lost;
    unsigned failures;
    int64_t last_save_ms;
    int64_t writing_poll_ms;
    json_t *writing_deferred; /* the disk thread's while `busy`; NULL: none */
    /* inbox_kept_changes as of what is written, and of the file */
    unsigned long deferred_changes, saved_deferred;
    char problem[512];         /* what heartbeats tell while `failing` */
    char writing_problem[512]; /* the disk thread's while `busy`, as is `result` */
    bool result;
};

struct naming; /* host/naming.c */
struct post;   /* host/outbox.c: a reply on its way */
struct outbox_peer;
struct breaker_peer; /* host/breaker.c */
struct host_call;    /* host/host_calls.c: what the script asks of its host */
struct control;      /* host/control.c: the socket that `status` and `dead` talk to */

/* The context of an inbox entry that has its reply: it is posted, not handled. */
struct stored_reply {
    struct reply_request request;
    struct post *post;
    bool restarted; /* an earlier process may have posted it */
};

struct workspace {
    struct workspace *next;
    struct host *host;
    struct molecule_workspace_options settings;
    struct script_settings script_settings;
    enum workspace_state state;
    struct platform platform;
    struct script *script;
    struct worker *worker;
    struct workspace *starting_next;
    bool starting;      /* it waits for its turn to register */
    bool counted;       /* its first registration is among the host's `registering` */
    size_t timers_left; /* on the loop, while it leaves it */
    void (*gone)(struct workspace *workspace);
    int lock;
    char *state_path;         /* the state directory, absolute; NULL: not opened */
    char *name, *description; /* of the card */
    json_t *skills;
    unsigned concurrency;
    bool answers_replies;     /* the agent's */
    bool names_conversations; /* the agent has conversation(msg) */
    /* the worker is asked for the conversations of a batch; NULL: it is not */
    struct naming *naming;
    struct token token;
    struct rate_budget budget;
    struct registration registration;
    struct exchange query; /* GET /workspaces/:id after 401s */
    struct heartbeat heartbeat;
    struct poller poller;
    struct event_stream stream;
    struct saver saver;
    struct inbox *inbox;
    struct journal *journal;
    struct running *running; /* host/running.c: attempts under way */
    /* why no attempt can be counted, and so nothing is handled; "": it can */
    char uncounted[512];
    struct control *control;
    struct post *posts;
    struct host_call *host_calls;
    struct outbox_peer *peers;
    struct breaker_peer *breakers;
    struct peer_modes peer_modes;
    struct echoes echoes;
    size_t delegations;       /* whose results are awaited */
    char *upload_limits;      /* the platform's answer; NULL: it was not asked, or says nothing */
    int64_t upload_limits_ms; /* when it was asked; 0: never */
    /* messages during which an earlier process ended: until they are through, one at a time */
    size_t suspects;
    uv_timer_t dispatch_timer; /* the next attempt of a message that failed */
    uv_timer_t drain_timer;
    uv_timer_t watchdog;
    int64_t ping_sent_ms; /* 0: no ping is under way */
    bool wedged;
    bool stuck;   /* its script is what the process ends for with HOST_EXIT_STUCK */
    bool overdue; /* its script did not let go when it should have been closed */
    enum host_exit exit_code;
    unsigned long answered, dead;
    int64_t started_wall_ms, last_beat_wall_ms;
    /* since when polls, or the first registration, fail; 0: they do not */
    int64_t away_wall_ms;
    char away_reason[RETRY_REASON_SIZE]; /* the last failure's */
};

/* Takes the lock, reads the cursor file and starts loading the script. false: `problem` and `*code`
 * say why not. */
bool workspace_open(struct host *host, const struct molecule_workspace_options *settings,
                    enum host_exit *code, char *problem, size_t problem_size);
/* What can be told without touching anything: the platform's address, whether there is a token,
 * whether the script compiles. false: `problem` says what is wrong. */
bool workspace_check(const struct molecule_workspace_options *settings, char *problem,
                     size_t problem_size);
bool workspace_check_address(const struct molecule_workspace_options *settings, char *problem,
                             size_t problem_size);
bool workspace_check_token(const struct molecule_workspace_options *settings, char *problem,
                           size_t problem_size);
/* Once it has ended: takes its timers off the loop, then calls `gone`, which may close and free it.
 */
void workspace_leave_loop(struct workspace *workspace, void (*gone)(struct workspace *workspace));
/* Frees what it holds; its own memory goes when its timers have left the loop
 * (workspace_leave_loop, host_close). */
void workspace_close(struct workspace *workspace);
/* Drains: stops fetching, finishes what runs, saves. */
void workspace_stop(struct workspace *workspace);
/* Loads its script anew (script_reload). */
void workspace_reload(struct workspace *workspace);
/* Ends it with an error: as workspace_stop, but with this exit code and without waiting for
 * handlers. */
void workspace_fail(struct workspace *workspace, enum host_exit code);

/* --dry-run: loads the script and prints what would be done, on standard output. Sends and writes
 * nothing. */
enum host_exit workspace_rehearse(struct host *host,
                                  const struct molecule_workspace_options *settings);

/* Between the loops. */
void workspace_registered(struct workspace *workspace);
void workspace_dispatch(struct workspace *workspace); /* give the script what is ready */
/* something ended: dispatch, or close if that was the last of a drain */
void workspace_step(struct workspace *workspace);
/* The outcome is final: it is recorded, then the next of the conversation may go on. */
void workspace_finish(struct workspace *workspace, struct inbox_entry *entry, const char *outcome);
/* Its reply was posted: as workspace_finish. */
void workspace_replied(struct workspace *workspace, struct inbox_entry *entry);
/* A message that was just admitted: it counts, and runs alone, if an earlier process ended while it
 * was handled. true: that happened too often, and it was given up. */
bool workspace_check_interrupted(struct workspace *workspace, struct inbox_entry *entry);
void workspace_dead(struct workspace *workspace, struct inbox_entry *entry, const char *reason,
                    const char *traceback);
/* Behind the cursor, which would not bring it back: it runs from the ledger. */
void workspace_keep(struct workspace *workspace, struct inbox_entry *entry, int64_t delay_ms,
                    const char *reason);
/* A message that the ledger brought back goes on where it was. Takes it. */
void workspace_resume(struct workspace *workspace, struct journal_loaded *loaded,
                      bool moves_cursor);
/* bytes of a message's body that the platform takes */
size_t workspace_message_maximum(const struct workspace *workspace);
/* to what this version of the platform takes */
void workspace_fit(const struct workspace *workspace, struct reply *reply);
/* --reply-ttl */
bool workspace_expired(const struct workspace *workspace, const struct inbox_entry *entry);
void workspace_saved(struct workspace *workspace);      /* the final save is done */
bool workspace_over(const struct workspace *workspace); /* closing or closed: start nothing */
void workspace_timer(struct workspace *workspace, uv_timer_t *timer);
void workspace_arm(uv_timer_t *timer, uv_timer_cb callback, int64_t after_ms);

/* For `status`: a poll or the first registration failed, or (NULL) succeeded. */
void workspace_away(struct workspace *workspace, const char *reason);

/* host/dispatch.c */
/* for the log: "the canvas" or the peer's id */
const char *workspace_sender(const struct inbox_entry *entry);
/* the entry's stored reply, if it has one */
void workspace_free_reply(struct inbox_entry *entry);
/* The entry's outcome is recorded, and with it what its handler stored. */
void workspace_changes_stand(struct workspace *workspace, struct inbox_entry *entry);
/* host/screening.c. true: no handler is to see it, and it was finished. */
bool workspace_screens_out(struct workspace *workspace, struct inbox_entry *entry);
/* host/canceling.c. true: it is a tasks/cancel, and was carried out. */
bool workspace_cancels(struct workspace *workspace, const struct message *message, bool in_order);
/* host/naming.c: asks the agent for the conversations of messages that came since; workspace_step
 * follows */
void naming_step(struct workspace *workspace);
/* The message that the worker is naming; NULL: none. */
const struct message *naming_current(const struct workspace *workspace);
/* host/watchdog.c: watches while anything of the script may run */
void watchdog_start(struct workspace *workspace);
/* something was given to the worker that shows nowhere else */
void watchdog_look(struct workspace *workspace);
/* Whose script its worker is in: itself, or one that holds it up. */
struct workspace *watchdog_culprit(struct workspace *workspace);
/* host/opening.c: blocks on the disk, so before anything runs. false: `problem` says why. */
bool workspace_open_state(struct workspace *workspace, char *problem, size_t problem_size);

void token_open(struct workspace *workspace);
void token_close(struct workspace *workspace);
bool token_available(const struct workspace *workspace);
/* token_open would find one. false: `problem` says what is wrong with the file, or is empty where
 * there is none. */
bool token_exists(const struct molecule_workspace_options *settings, char *problem,
                  size_t problem_size);
/* A 401 or 403: counts it, says it loudly now and then, reads the token's source again, registers
 * again after three. */
void token_refused(struct workspace *workspace, const struct exchange_answer *answer);
/* of what the platform answers with a valid token alone: not heartbeats */
void token_accepted(struct workspace *workspace);
/* Uses the minted token and keeps it; `then` is called when it is on disk. */
void token_mint(struct workspace *workspace, const char *minted,
                void (*then)(struct workspace *workspace));
/* Reads the source again; `then` is called with the result in place. */
void token_reload(struct workspace *workspace, void (*then)(struct workspace *workspace));
/* how long to wait at least after a 401 */
int64_t token_floor_ms(const struct workspace *workspace);

/* The first one waits for its turn where there are many (host/start_queue.c). */
void registration_start(struct workspace *workspace, bool again);
/* the card: the platform is told, once it knows the workspace */
void registration_changed(struct workspace *workspace);
void registration_close(struct workspace *workspace);

/* host/start_queue.c: a few first registrations at a time. `registration_begin` follows, at once or
 * later. */
void start_queue_take(struct workspace *workspace);
/* its registration has an outcome, or it ends; fine at any time */
void start_queue_leave(struct workspace *workspace);
void registration_begin(struct workspace *workspace);
/* A share of `span_ms` that is this workspace's own, so that many do not all act at once. */
int64_t workspace_phase(const struct workspace *workspace, int64_t span_ms);

void heartbeat_start(struct workspace *workspace);
void heartbeat_close(struct workspace *workspace);
/* NULL: a handler succeeded */
void heartbeat_record(struct workspace *workspace, const char *failure);
void heartbeat_now(struct workspace *workspace);
/* Handlers may have begun or ended: the platform is told soon, if it shows something else. */
void heartbeat_changed(struct workspace *workspace);

/* `anchor`: an older row to read again from once, for what was committed late; NULL: none. */
void poller_open(struct workspace *workspace, const char *cursor, const char *anchor,
                 int64_t covered_ms);
/* Every row that was created before is finished, or in the ledger: how far back the next window
 * must reach. 0: unknown. */
int64_t poller_covered_ms(const struct workspace *workspace);
/* Messages that stood in a ledger which is lost: they are fetched again before anything else. Takes
 * them; NULL is fine. */
void poller_recover(struct workspace *workspace, struct deferred *deferred);
void poller_start(struct workspace *workspace);
void poller_resume(struct workspace *workspace); /* there may be room again */
void poller_close(struct workspace *workspace);
void poller_hint(struct workspace *workspace); /* there may be something new: poll soon */

/* Asks the platform to tell what arrives. Polls go on, less often while it does. */
void event_stream_start(struct workspace *workspace);
/* The platform does not take a request: a server that stops waits for the streams that are open, up
 * to 30 s (contract §12). */
void event_stream_let_go(struct workspace *workspace);
void event_stream_come_back(struct workspace *workspace); /* it does again */
void event_stream_follow(struct workspace *workspace);    /* where the platform moved, if it did */
bool event_stream_trusted(const struct workspace *workspace);
/* A poll that no hint led to brought a message. */
void event_stream_doubt(struct workspace *workspace);
void event_stream_found(struct workspace *workspace); /* a poll found a message */
void event_stream_close(struct workspace *workspace);

/* host/overflow.c */
/* the inbox is full: makes room where conversations wait */
void overflow_relieve(struct workspace *workspace);
/* what stands behind a kept message is kept, too */
void overflow_follow(struct workspace *workspace);

/* The canvas is about to be told this: {"message": text}. */
void workspace_tells(struct workspace *workspace, const char *body, size_t length);
/* host/arrival.c */
void poller_admitted(struct workspace *workspace); /* the rows of the last page are in the inbox */

void saver_request(struct workspace *workspace); /* the watermark may have moved */
void saver_finish(struct workspace *workspace);  /* a last save, then workspace_saved */
void saver_close(struct workspace *workspace);

/* Posts the entry's stored reply; the entry is finished or made a dead letter when its outcome is
 * known. */
void outbox_post(struct workspace *workspace, struct inbox_entry *entry);
/* nothing is in front of it any more */
void outbox_go_on(struct workspace *workspace, struct inbox_entry *parked);
/* Drain is over: what is still on its way is unconfirmed or comes again. */
void outbox_close(struct workspace *workspace);

#endif
