/* molecule try: messages through a script, against an emulator in the same process, and what comes
 * of each on standard output. */
#include "commands/commands.h"
#include "commands/connect_options.h"
#include "commands/local_state.h"
#include "commands/try_emulator.h"
#include "commands/try_input.h"
#include "commands/try_store.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/output.h"
#include "base/terminal.h"
#include "base/uuid.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PLATFORM "molecule try"
#define TEXTS_MAXIMUM 1024
#define SINCE_SECS 3600        /* everything ever said to this emulator */
#define SCRIPT_LINE "script: " /* what lines of molecule.log begin with */

/* Lines like those of include/molecule/options.def. */
#define TRY_OPTIONS(X)                                                                             \
    X(TEXT, from, "from", "who sends the messages: canvas, or a peer by its name or id",           \
      .letter = 'f', .argument = "canvas|PEER", .standard = "canvas")                              \
    X(LIST, file, "file", "send this file with the first message; repeatable", .argument = "PATH") \
    X(TEXT, context_id, "context", "the messages' contextId, which tells conversations apart",     \
      .argument = "ID")                                                                            \
    X(PATH, envelope, "envelope",                                                                  \
      "send this JSON instead of a text: an A2A request, or its params or message; -: standard "   \
      "input",                                                                                     \
      .argument = "FILE")                                                                          \
    X(PATH, store, "store",                                                                        \
      "begin with these stored values, a JSON object by key, and write what the script has made "  \
      "of them [nothing is stored, and nothing is kept]",                                          \
      .argument = "FILE")                                                                          \
    X(FLAG, offline, "offline",                                                                    \
      "let molecule.http and programs fail with the code OFFLINE; loading C modules still works")  \
    X(FLAG, json, "json", "print a JSON object for each message, one a line")

struct try_options {
    struct molecule_workspace_options workspace;
    struct molecule_options host;
    TRY_OPTIONS(MOLECULE_MEMBER)
};

static const struct option options[] = {
#define X(...) OPTION_ROW(struct try_options, __VA_ARGS__),
    TRY_OPTIONS(X)
#undef X
#define MOLECULE_OPTION(type, member, ...) \
    OPTION_ROW(struct try_options, type, workspace.member, __VA_ARGS__),
#define MOLECULE_HOST_OPTION(type, member, ...) \
    OPTION_ROW(struct try_options, type, host.member, __VA_ARGS__),
#include "molecule/options.def"
};

#define NO_PLATFORM "try needs no platform; to connect to one use molecule connect"
#define ONE_BY_ONE "try says one message at a time, once; molecule dev has this option"

static const struct option_note elsewhere[] = {
    {.name = "api-url", .text = NO_PLATFORM},
    {.name = "insecure-http", .text = NO_PLATFORM},
    {.name = "mode", .text = NO_PLATFORM},
    {.name = "token", .text = NO_PLATFORM},
    {.name = "token-file", .text = NO_PLATFORM},
    {.name = "bootstrap", .text = NO_PLATFORM},
    {.name = "org-id", .text = NO_PLATFORM},
    {.name = "state-dir", .text = "try keeps no state; --store FILE keeps the stored values"},
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
    {.name = "error-reply", .text = "try shows the error itself; molecule dev has this option"},
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
    const struct try_options *given;
    char id[UUID_TEXT_SIZE];
    char *directory, *ledger_path, *url, *settings;
    /* the host's thread: */
    int64_t started_ms, replied_ms; /* of the message that is under way */
    bool failed;                    /* a message was not answered as the script meant */
};

/* of the log, which is the process's */
static struct try_emulator *log_to;

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
    case MOLECULE_EVENT_STARTED:
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
        const char *texts[EMULATOR_TRIAL_TEXTS] = {names[level], text + strlen(SCRIPT_LINE)};
        try_emulator_post(log_to, "log", texts, 0);
    } else if (level <= LOG_LEVEL_WARN && strncmp(text, "message ", strlen("message ")) != 0) {
        terminal_print(stderr, "molecule try: %s\n", text);
    }
    return true;
}

/* --- a session --- */

/* Other threads of this process may still write into it. */
static void remove_directory(const char *directory)
{
    for (int tries = 0; tries < 100 && rmdir(directory) != 0 && errno != ENOENT; tries++) {
        DIR *stream = opendir(directory);
        for (struct dirent *entry; stream && (entry = readdir(stream));)
            unlinkat(dirfd(stream), entry->d_name, 0);
        if (stream)
            closedir(stream);
    }
}

static void on_exit_now(void *context)
{
    remove_directory(((struct session *)context)->directory);
}

static int complain(const char *problem)
{
    terminal_print(stderr, "molecule try: %s\n", problem);
    return MOLECULE_FAILED;
}

static char *make_settings(const struct try_options *given, bool echo)
{
    json_t *files = json_array();
    for (size_t i = 0; i < given->file_count; i++)
        json_array_append_new(files, json_string(given->files[i]));
    json_t *settings = json_pack("{s:s, s:s*, s:o, s:b, s:b}", "from", given->from, "context_id",
                                 given->context_id, "files", files, "json", given->json, "echo",
                                 echo);
    if (given->file_count == 0)
        json_object_del(settings, "files");
    char *text = json_dumps(settings, JSON_COMPACT);
    json_decref(settings);
    return text;
}

static struct molecule_workspace_options make_workspace(const struct session *session)
{
    const struct molecule_workspace_options *given = &session->given->workspace;
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
    workspace.offline = session->given->offline;
    workspace.max_attempts = 1;
    workspace.breaker = 0;
    workspace.since_secs = SINCE_SECS;
    workspace.drain_ms = 1000;
    return workspace;
}

static int run_host(struct session *session, struct molecule *molecule)
{
    char problem[1024];
    struct molecule_workspace_options workspace = make_workspace(session);
    enum molecule_result result = molecule_add(molecule, &workspace, problem, sizeof problem);
    if (result != MOLECULE_STOPPED) {
        complain(problem);
        return (int)result;
    }
    try_emulator_set_host(&session->emulator, molecule);
    result = molecule_run(molecule);
    try_emulator_set_host(&session->emulator, NULL);
    if (result == MOLECULE_STOPPED && (session->failed || !session->emulator.quit))
        return MOLECULE_FAILED;
    return (int)result;
}

static int serve(struct session *session)
{
    char problem[1024];
    const char *store = session->given->store;
    if (store && !try_store_load(store, session->ledger_path, PLATFORM, problem, sizeof problem))
        return complain(problem);
    struct molecule_options host = session->given->host;
    host.handle_signals = true;
    host.on_event = on_event;
    host.on_exit = on_exit_now;
    host.context = session;
    struct molecule *molecule = molecule_open(&host, problem, sizeof problem);
    if (!molecule)
        return complain(problem);
    int code = run_host(session, molecule);
    molecule_close(molecule);
    if (store && code != MOLECULE_USAGE &&
        !try_store_save(store, session->ledger_path, problem, sizeof problem))
        return complain(problem);
    return code;
}

static int run_session(const struct try_options *given, const char *const *texts, size_t count)
{
    struct session session = {.given = given};
    const char *temporary = getenv("TMPDIR");
    char *directory = memory_format("%s/molecule-try-XXXXXX",
                                    temporary && *temporary ? temporary : "/tmp");
    int code = MOLECULE_FAILED;
    uuid_random(session.id);
    session.settings = make_settings(given, count > 1);
    session.directory = mkdtemp(directory);
    if (!session.directory) {
        code = complain("cannot create a directory for the state");
    } else if (!try_emulator_open(&session.emulator, session.id, session.settings)) {
        code = complain(session.emulator.problem);
    } else {
        session.ledger_path = local_state_path(session.directory, session.id, "db");
        session.url = memory_format("http://127.0.0.1:%u", try_emulator_port(&session.emulator));
        log_to = &session.emulator;
        if (!given->host.verbose)
            log_set_sink(take_line);
        struct try_input input = {.emulator = &session.emulator,
                                  .envelope = given->envelope,
                                  .texts = texts,
                                  .count = count,
                                  .files_alone = given->file_count > 0};
        code = try_input_start(&input) ? serve(&session) : MOLECULE_FAILED;
        try_input_stop(&input);
        log_set_sink(NULL);
        try_emulator_close(&session.emulator);
    }
    if (session.directory)
        remove_directory(session.directory);
    free(directory);
    free(session.ledger_path);
    free(session.url);
    free(session.settings);
    return code;
}

static int check(const struct command *command, const struct try_options *given, size_t texts)
{
    const struct molecule_workspace_options *workspace = &given->workspace;
    if (!workspace->script && !workspace->backend)
        return options_complain(command, "no script given: molecule try agent.lua \"hello\"");
    if (given->envelope && texts > 0)
        return options_complain(command, "--envelope replaces the text; give one of them");
    char *problem = connect_find_problem(workspace, "00000000-0000-4000-8000-000000000000");
    int code = problem ? options_complain(command, "%s", problem) : 0;
    free(problem);
    return code;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct try_options given = {0};
    const char *words[TEXTS_MAXIMUM], *const *texts = words;
    size_t count = 0;
    char problem[256];
    enum options_result parsed = options_parse(command, argc, argv, &given, words, &count);
    int code = parsed == OPTIONS_HELP ? 0 : 2;
    output_divert();
    if (parsed == OPTIONS_PARSED &&
        !limits_allow_files(LIMITS_FILES_LEAST, problem, sizeof problem)) {
        code = complain(problem);
    } else if (parsed == OPTIONS_PARSED) {
        if (!given.workspace.script && !given.workspace.backend && count > 0) {
            given.workspace.script = *texts++;
            count--;
        }
        if (check(command, &given, count) == 0)
            code = run_session(&given, texts, count);
    }
    options_free(command, &given);
    return code;
}

const struct command command_try = {
    .name = "try",
    .usage = "(<script> | --backend NAME) [TEXT]... [options]",
    .summary = "send a message to a script and print its answer, without a platform",
    .description =
        "Hands each TEXT to the script, one after the other, and prints the lines of its log, its "
        "interim\n"
        "words, its reply and its outcome with the time that the handler took. Without a TEXT the "
        "lines of\n"
        "standard input are the messages. Everything is as with molecule connect, but nothing is "
        "kept (see\n"
        "--store), and a message is handled once: an error is shown with its traceback, and is not "
        "retried.\n\n"
        "Exit codes: 0 replied, no_reply or skipped; 1 dead, an error, or molecule.retry; 2 wrong "
        "usage or the\n"
        "script does not load; 75 the script is stuck.",
    .examples = "  molecule try agent.lua hello\n"
                "  molecule try agent.lua 'remember a is 1' 'what is a?'\n"
                "  molecule try agent.lua --from billing --json < questions.txt\n"
                "  molecule try agent.lua --file report.pdf 'summarize this'",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .elsewhere = elsewhere,
    .positional_maximum = TEXTS_MAXIMUM,
    .run = run,
};
