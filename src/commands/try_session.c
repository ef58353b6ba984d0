#include "commands/try_session.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/terminal.h"
#include "base/uuid.h"
#include "commands/local_state.h"
#include "commands/temporary.h"
#include "commands/try_store.h"

#include <stdlib.h>
#include <string.h>

#define PLATFORM "molecule try"
#define SINCE_SECS 3600        /* everything ever said to this emulator */
#define SCRIPT_LINE "script: " /* what lines of molecule.log begin with */

#define NO_PLATFORM "no platform is needed; to connect to one use molecule connect"
#define ONE_BY_ONE "messages are said one at a time, once; molecule dev has this option"

const struct option_note try_elsewhere[] = {
    {.name = "api-url", .text = NO_PLATFORM},
    {.name = "insecure-http", .text = NO_PLATFORM},
    {.name = "mode", .text = NO_PLATFORM},
    {.name = "token", .text = NO_PLATFORM},
    {.name = "token-file", .text = NO_PLATFORM},
    {.name = "bootstrap", .text = NO_PLATFORM},
    {.name = "org-id", .text = NO_PLATFORM},
    {.name = "state-dir",
     .text = "no state is kept; molecule try and repl keep the stored values with --store FILE"},
    {.name = "interval-ms", .text = NO_PLATFORM},
    {.name = "reset-state", .text = NO_PLATFORM},
    {.name = "name", .text = NO_PLATFORM},
    {.name = "description", .text = NO_PLATFORM},
    {.name = "wake", .text = NO_PLATFORM},
    {.name = "heartbeat-ms", .text = NO_PLATFORM},
    {.name = "since-secs", .text = NO_PLATFORM},
    {.name = "register-attempts", .text = NO_PLATFORM},
    {.name = "refusal-patience", .text = NO_PLATFORM},
    {.name = "watch", .text = ONE_BY_ONE},
    {.name = "workers", .text = ONE_BY_ONE},
    {.name = "concurrency", .text = ONE_BY_ONE},
    {.name = "max-pending", .text = ONE_BY_ONE},
    {.name = "max-pending-bytes", .text = ONE_BY_ONE},
    {.name = "error-reply", .text = "the error itself is shown; molecule dev has this option"},
    {.name = "max-attempts", .text = ONE_BY_ONE},
    {.name = "max-hops", .text = ONE_BY_ONE},
    {.name = "breaker", .text = ONE_BY_ONE},
    {.name = "reply-ttl", .text = ONE_BY_ONE},
    {.name = "drain", .text = ONE_BY_ONE},
    {.name = "dry-run", .text = "molecule connect --dry-run checks a script without running it"},
    {.name = NULL},
};

/* One run. */
struct session {
    struct try_emulator emulator;
    const struct try_plan *plan;
    const char *id;
    char *directory, *ledger_path, *url;
    /* the host's thread: */
    int64_t started_ms, replied_ms; /* of the message that is under way */
    bool failed;                    /* a message was not answered as the script meant */
};

/* of the log, which is the process's */
static struct session *logged;

static int complain(const struct try_plan *plan, const char *problem)
{
    terminal_print(stderr, "molecule %s: %s\n", plan->command, problem);
    return MOLECULE_FAILED;
}

/* --- what the host says of messages --- */

static void tell_finished(struct session *session, const struct molecule_event *event,
                          const char *outcome, const char *reason)
{
    bool dead = strcmp(outcome, "dead") == 0;
    const char *texts[EMULATOR_TRIAL_TEXTS] = {event->row_id, outcome, reason, event->traceback};
    int64_t ended_ms = session->replied_ms ? session->replied_ms : clock_monotonic_ms();
    session->failed = session->failed || dead || event->kind == MOLECULE_EVENT_LATER;
    try_emulator_post(&session->emulator, "finished", texts, ended_ms - session->started_ms);
}

static void on_event(void *context, const struct molecule_event *event)
{
    struct session *session = context;
    switch (event->kind) {
    case MOLECULE_EVENT_ATTEMPT:
        session->started_ms = clock_monotonic_ms();
        session->replied_ms = 0;
        return;
    case MOLECULE_EVENT_REPLY:
        session->replied_ms = clock_monotonic_ms();
        try_emulator_expect(&session->emulator, event->reply, event->reply_length);
        return;
    case MOLECULE_EVENT_LATER: {
        char *reason = memory_format("in %.1f s%s%s", (double)event->again_ms / 1000,
                                     event->reason ? ": " : "", event->reason ? event->reason : "");
        tell_finished(session, event, "retry", reason);
        free(reason);
        return;
    }
    case MOLECULE_EVENT_FINISHED:
        tell_finished(session, event, event->outcome, event->reason);
        return;
    case MOLECULE_EVENT_SCRIPT:
        if (session->plan->dialog)
            session->plan->dialog->loaded(session->plan->dialog->context, event->reason);
        return;
    default: return; /* the script's lines come by way of the log */
    }
}

/* Lines of the script are part of what is printed. What the host says of messages is, too, in other
 * words; its other complaints go to standard error. */
static bool take_line(enum log_level level, const char *subject, const char *text)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    (void)subject;
    bool is_script = strncmp(text, SCRIPT_LINE, strlen(SCRIPT_LINE)) == 0;
    if (is_script) {
        try_emulator_log(&logged->emulator, names[level], text + strlen(SCRIPT_LINE));
    } else if (level <= LOG_LEVEL_WARN && strncmp(text, "message ", strlen("message ")) != 0) {
        complain(logged->plan, text);
    }
    return true;
}

/* --- a session --- */

static void on_exit_now(void *context)
{
    temporary_remove(((struct session *)context)->directory);
}

static struct molecule_workspace_options make_workspace(const struct session *session)
{
    const struct molecule_workspace_options *given = session->plan->workspace;
    struct molecule_workspace_options workspace;
    molecule_workspace_defaults(&workspace);
#define TAKE(member) workspace.member = given->member
    TAKE(script), TAKE(backend), TAKE(sandbox), TAKE(record_file);
    TAKE(backend_options), TAKE(backend_option_count);
    TAKE(script_options), TAKE(script_option_count);
    TAKE(allowed_hosts), TAKE(allowed_host_count);
    TAKE(file_hosts), TAKE(file_host_count);
    TAKE(allowed_senders), TAKE(allowed_sender_count);
    TAKE(timeout_ms), TAKE(cpu_limit_ms), TAKE(memory_limit), TAKE(stuck_after_ms);
#undef TAKE
    workspace.id = session->id;
    workspace.state_directory = session->directory;
    workspace.api_url = session->url;
    workspace.platform_name = PLATFORM;
    workspace.bootstrap = true;
    workspace.temporary_state = true;
    workspace.offline = session->plan->offline;
    workspace.playback = session->plan->playback;
    workspace.max_attempts = 1;
    workspace.breaker = 0;
    workspace.since_secs = SINCE_SECS;
    workspace.drain_ms = 1000;
    return workspace;
}

static int run_host(struct session *session, struct molecule *molecule)
{
    char problem[1024];
    const struct try_dialog *dialog = session->plan->dialog;
    struct molecule_workspace_options workspace = make_workspace(session);
    enum molecule_result result = molecule_add(molecule, &workspace, problem, sizeof problem);
    if (result != MOLECULE_STOPPED) {
        complain(session->plan, problem);
        return (int)result;
    }
    if (dialog && !dialog->open(dialog->context, &session->emulator, molecule, session->id))
        return MOLECULE_FAILED;
    try_emulator_set_host(&session->emulator, molecule);
    result = molecule_run(molecule);
    if (dialog)
        session->failed = !dialog->close(dialog->context, session->failed);
    try_emulator_set_host(&session->emulator, NULL);
    if (session->plan->verdict)
        session->failed = !try_emulator_call(&session->emulator, session->plan->verdict, NULL, NULL,
                                             NULL);
    if (result == MOLECULE_STOPPED && (session->failed || !session->emulator.quit))
        return MOLECULE_FAILED;
    return (int)result;
}

static int serve(struct session *session)
{
    char problem[1024];
    const char *store = session->plan->store;
    if (store && !try_store_load(store, session->ledger_path, PLATFORM, problem, sizeof problem))
        return complain(session->plan, problem);
    struct molecule_options host = *session->plan->host;
    host.handle_signals = !session->plan->dialog;
    host.on_event = on_event;
    host.on_exit = on_exit_now;
    host.context = session;
    struct molecule *molecule = molecule_open(&host, problem, sizeof problem);
    if (!molecule)
        return complain(session->plan, problem);
    int code = run_host(session, molecule);
    molecule_close(molecule);
    if (store && code != MOLECULE_USAGE &&
        !try_store_save(store, session->ledger_path, problem, sizeof problem))
        return complain(session->plan, problem);
    return code;
}

static int run_with_emulator(struct session *session, const struct try_plan *plan)
{
    session->ledger_path = local_state_path(session->directory, session->id, "db");
    session->url = memory_format("http://127.0.0.1:%u", try_emulator_port(&session->emulator));
    logged = session;
    if (!plan->host->verbose)
        log_set_sink(take_line);
    struct try_input input = plan->input;
    input.emulator = &session->emulator;
    input.command = plan->command;
    int code = plan->dialog || try_input_start(&input) ? serve(session) : MOLECULE_FAILED;
    try_input_stop(&input);
    log_set_sink(NULL);
    try_emulator_close(&session->emulator);
    free(session->ledger_path);
    free(session->url);
    return code;
}

int try_session_run(const struct try_plan *plan)
{
    char random[UUID_TEXT_SIZE], problem[256];
    if (!limits_allow_files(LIMITS_FILES_LEAST, problem, sizeof problem))
        return complain(plan, problem);
    struct session session = {.plan = plan, .id = plan->id ? plan->id : random};
    char *directory = temporary_create(plan->command);
    int code;
    uuid_random(random);
    session.directory = directory;
    if (!session.directory)
        code = MOLECULE_FAILED;
    else if (!try_emulator_open(&session.emulator, session.id, plan->settings, plan->playback))
        code = complain(plan, session.emulator.problem);
    else
        code = run_with_emulator(&session, plan);
    if (session.directory)
        temporary_remove(session.directory);
    free(directory);
    return code;
}
