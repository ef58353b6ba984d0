/* molecule fleet: the workspaces of a file in one process. SIGHUP reads the file again: on a thread
 * of its own, since it is Lua and may take as long as it likes. */
#include "commands/commands.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/output.h"
#include "base/plural.h"
#include "base/terminal.h"
#include "commands/fleet_limits.h"
#include "commands/fleet_plan.h"

#include <pthread.h>
#include <search.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

struct fleet_options {
    const char *state_directory, *api_url, *ca_file;
    int64_t workers;
    bool dry_run, verbose;
};

#define FIELD(member) offsetof(struct fleet_options, member)

static const struct option options[] = {
    {"workers", 0, OPTION_NUMBER, "N", NULL, NULL,
     "threads that run scripts; a workspace lives on one of them [one per workspace, at most one "
     "per processor]",
     FIELD(workers), 1, 256},
    {"state-dir", 0, OPTION_TEXT, "DIR", NULL, "MOLECULE_STATE_DIR",
     "default for workspaces without state_dir", FIELD(state_directory), 0, 0},
    {"api-url", 0, OPTION_TEXT, "URL", NULL, "MOLECULE_API_URL",
     "default for workspaces without api_url", FIELD(api_url), 0, 0},
    {"ca-file", 0, OPTION_TEXT, "FILE", NULL, NULL,
     "trust these certificates: for the platform instead of the system's, for what scripts fetch "
     "beside them",
     FIELD(ca_file), 0, 0},
    {"dry-run", 0, OPTION_FLAG, NULL, NULL, NULL, "read the file, print what would run, and exit",
     FIELD(dry_run), 0, 0},
    {"verbose", 'v', OPTION_FLAG, NULL, NULL, NULL, "log more", FIELD(verbose), 0, 0},
    {.name = NULL},
};

struct fleet {
    const char *path;
    struct plan_defaults defaults;
    struct molecule *molecule;
    struct plan plan;
    void *tree;                  /* of tsearch(3): the members by id */
    struct rereading *rereading; /* under way; NULL: none */
    bool again;                  /* the file is to be read once more after that */
};

/* The file, read again by a thread. The fleet's end takes `fleet` from it, then nobody waits for it
 * any more. */
struct rereading {
    pthread_mutex_t mutex; /* around `fleet` */
    struct fleet *fleet;
    char *path;
    struct fleet_file file;
    bool read;
    char problem[1024];
};

static int compare(const void *left, const void *right)
{
    return strcmp(((const struct member *)left)->id, ((const struct member *)right)->id);
}

static struct member *find(const struct fleet *fleet, const char *id)
{
    struct member wanted = {.id = (char *)id};
    struct member **found = tfind(&wanted, &fleet->tree, compare);
    return found ? *found : NULL;
}

static enum molecule_result attach(struct fleet *fleet, struct member *member)
{
    char problem[1024];
    enum molecule_result result = molecule_add(fleet->molecule, &member->workspace, problem,
                                               sizeof problem);
    member->attached = result == MOLECULE_STOPPED;
    if (!member->attached)
        log_error(member->id, "%s; the others continue, SIGHUP tries this one again", problem);
    return result;
}

/* The fleet's from now on. */
static void enter(struct fleet *fleet, struct member *member)
{
    member->next = fleet->plan.members;
    fleet->plan.members = member;
    if (!tsearch(member, &fleet->tree, compare))
        abort(); /* no memory, as base/memory.h */
}

/* Its slot in the list becomes the successor's, if it has one. */
static void leave(struct fleet *fleet, struct member *member)
{
    struct member **link = &fleet->plan.members;
    while (*link != member)
        link = &(*link)->next;
    *link = member->next;
    tdelete(member, &fleet->tree, compare);
    struct member *successor = member->successor;
    member->successor = NULL;
    member_free(member);
    if (successor && molecule_stops(fleet->molecule)) {
        member_free(successor);
    } else if (successor) {
        enter(fleet, successor);
        attach(fleet, successor);
    }
}

static void on_ended(void *context, const char *id, enum molecule_result result)
{
    struct fleet *fleet = context;
    struct member *member = find(fleet, id);
    if (!member)
        return;
    member->attached = false;
    if (member->leaving)
        leave(fleet, member);
    else if (result != MOLECULE_STOPPED)
        log_error(id, "disabled until SIGHUP or the next start");
}

static void dismiss(struct fleet *fleet, struct member *member)
{
    if (member->leaving)
        return;
    member->leaving = true;
    if (!member->attached)
        leave(fleet, member);
    else
        molecule_remove(fleet->molecule, member->id);
}

struct tally {
    size_t added, removed, changed, kept, again;
};

/* What could not begin must not end what runs. */
static bool may_change(const struct member *member)
{
    char problem[1024];
    bool fine = molecule_check(&member->workspace, problem, sizeof problem);
    if (!fine)
        log_error(member->id, "its new options are not taken, keeping the previous ones: %s",
                  problem);
    return fine;
}

/* Those that are to end; what takes their place waits for it. */
static void take_changes(struct fleet *fleet, struct plan *fresh, struct tally *tally)
{
    struct member **link = &fresh->members;
    while (*link) {
        struct member *member = *link, *before = find(fleet, member->id);
        if (!before) {
            link = &member->next;
            continue;
        }
        *link = member->next;
        before->planned = true;
        bool same = !before->leaving && json_equal(before->values, member->values);
        if (same || (before->attached && !before->leaving && !may_change(member))) {
            member_free(member);
            continue;
        }
        tally->changed++;
        member->planned = true;
        member_free(before->successor);
        before->successor = member;
        dismiss(fleet, before);
    }
}

static void remove_others(struct fleet *fleet, struct tally *tally)
{
    struct member *next;
    for (struct member *member = fleet->plan.members; member; member = next) {
        next = member->next;
        if (member->planned)
            continue;
        member_free(member->successor);
        member->successor = NULL;
        tally->removed += !member->leaving;
        dismiss(fleet, member);
    }
}

/* Those that stay load their scripts again; what is attached here and below loads its own anyway.
 */
static void attach_missing(struct fleet *fleet, struct tally *tally)
{
    for (struct member *member = fleet->plan.members; member; member = member->next) {
        if (member->attached && !member->leaving) {
            tally->kept++;
            molecule_reload_one(fleet->molecule, member->id);
        }
        if (member->attached)
            continue;
        tally->again++;
        attach(fleet, member);
    }
}

static void take_plan(struct fleet *fleet, struct plan fresh)
{
    struct tally tally = {0};
    for (struct member *member = fleet->plan.members; member; member = member->next)
        member->planned = false;
    take_changes(fleet, &fresh, &tally);
    remove_others(fleet, &tally);
    attach_missing(fleet, &tally);
    fleet_raise_limit(fleet->plan.count + fresh.count);
    while (fresh.members) {
        struct member *member = fresh.members;
        fresh.members = member->next;
        enter(fleet, member);
        attach(fleet, member);
        tally.added++;
    }
    log_info(NULL,
             "the fleet file is read again: %zu new, %zu removed, %zu restarted with new options, "
             "%zu tried again, "
             "%zu unchanged, whose scripts are loaded again",
             tally.added, tally.removed, tally.changed, tally.again, tally.kept);
}

static void free_rereading(struct rereading *rereading)
{
    fleet_file_free(&rereading->file);
    pthread_mutex_destroy(&rereading->mutex);
    free(rereading->path);
    free(rereading);
}

static void on_reload(void *context);

static void on_reread(void *context)
{
    struct rereading *rereading = context;
    pthread_mutex_lock(&rereading->mutex); /* the thread has let go of it, or does now */
    struct fleet *fleet = rereading->fleet;
    pthread_mutex_unlock(&rereading->mutex);
    if (!fleet) { /* the host has ended */
        free_rereading(rereading);
        return;
    }
    struct plan fresh;
    fleet->rereading = NULL;
    if (rereading->read)
        rereading->read = plan_take(&fresh, &rereading->file, fleet->path, &fleet->defaults,
                                    rereading->problem, sizeof rereading->problem);
    if (!rereading->read)
        log_error(NULL, "the fleet file was not read again, nothing has changed: %s",
                  rereading->problem);
    else if (molecule_stops(fleet->molecule))
        plan_free(&fresh);
    else
        take_plan(fleet, fresh);
    free_rereading(rereading);
    if (fleet->again)
        on_reload(fleet);
}

static void *reread(void *context)
{
    struct rereading *rereading = context;
    rereading->read = fleet_read(&rereading->file, rereading->path, rereading->problem,
                                 sizeof rereading->problem);
    pthread_mutex_lock(&rereading->mutex);
    struct fleet *fleet = rereading->fleet;
    bool taken = fleet && molecule_call(fleet->molecule, on_reread, rereading);
    pthread_mutex_unlock(&rereading->mutex);
    if (!taken)
        free_rereading(rereading);
    return NULL;
}

static bool start_rereading(struct rereading *rereading)
{
    pthread_t thread;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the loop's */
    bool started = pthread_create(&thread, NULL, reread, rereading) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (started)
        pthread_detach(thread);
    return started;
}

static void on_reload(void *context)
{
    struct fleet *fleet = context;
    fleet->again = fleet->rereading != NULL;
    if (fleet->again) {
        log_warn(NULL, "the fleet file is still being read again; nothing has changed so far, and "
                       "it is read once more after that");
        return;
    }
    struct rereading *rereading = memory_allocate(sizeof *rereading);
    pthread_mutex_init(&rereading->mutex, NULL);
    rereading->fleet = fleet;
    rereading->path = memory_copy_text(fleet->path);
    fleet->rereading = rereading;
    if (start_rereading(rereading))
        return;
    log_error(
        NULL,
        "the fleet file was not read again, nothing has changed: no thread can be started for it");
    fleet->rereading = NULL;
    free_rereading(rereading);
}

/* The host has ended, and with it what it was asked to call. */
static void let_go_of_rereading(struct fleet *fleet)
{
    struct rereading *rereading = fleet->rereading;
    if (!rereading)
        return;
    pthread_mutex_lock(&rereading->mutex);
    rereading->fleet = NULL;
    pthread_mutex_unlock(&rereading->mutex);
}

static void print_plan(const struct fleet *fleet)
{
    for (const struct member *member = fleet->plan.members; member; member = member->next) {
        const struct molecule_workspace_options *workspace = &member->workspace;
        terminal_print(stdout, "%s  %s %s  api %s  state %s  token %s%s\n", member->id,
                       workspace->script ? "script" : "backend",
                       workspace->script ? workspace->script : workspace->backend,
                       workspace->api_url, member->state_directory,
                       member->token          ? "given"
                       : member->token_file   ? "from "
                       : workspace->bootstrap ? "minted by the platform"
                                              : "kept",
                       member->token_file ? member->token_file : "");
    }
    printf("dry run: %zu workspace%s; nothing was sent, nothing was written\n", fleet->plan.count,
           plural(fleet->plan.count));
}

/* The exit code. */
static int rehearse(const struct fleet *fleet)
{
    char problem[1024];
    int code = 0;
    print_plan(fleet);
    for (const struct member *member = fleet->plan.members; member; member = member->next) {
        if (molecule_check(&member->workspace, problem, sizeof problem))
            continue;
        terminal_print(stderr, "molecule fleet: %s: %s\n", member->id, problem);
        code = MOLECULE_USAGE;
    }
    return code;
}

static enum molecule_result serve(struct fleet *fleet, const struct fleet_options *given)
{
    char problem[1024];
    struct molecule_options settings = {
        .ca_file = given->ca_file,
        .handle_signals = true,
        .verbose = given->verbose,
        .fleet = true,
        .workers = fleet_workers(given->workers, fleet->plan.count),
        .on_reload = on_reload,
        .on_ended = on_ended,
        .context = fleet,
    };
    fleet_raise_limit(fleet->plan.count);
    fleet->molecule = molecule_open(&settings, problem, sizeof problem);
    if (!fleet->molecule) {
        terminal_print(stderr, "molecule fleet: %s\n", problem);
        return MOLECULE_FAILED;
    }
    log_info(NULL, "%s: %zu workspace%s, %u worker%s", fleet->path, fleet->plan.count,
             plural(fleet->plan.count), settings.workers, plural(settings.workers));
    enum molecule_result first = MOLECULE_STOPPED;
    bool serves = false;
    for (struct member *member = fleet->plan.members; member; member = member->next) {
        enum molecule_result result = attach(fleet, member);
        first = first == MOLECULE_STOPPED ? result : first;
        serves = serves || member->attached;
    }
    if (serves)
        first = molecule_run(fleet->molecule);
    let_go_of_rereading(fleet);
    molecule_close(fleet->molecule);
    return first;
}

static void keep_leaf(void *member)
{
    (void)member;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct fleet_options given = {0};
    const char *path = NULL;
    size_t count;
    char problem[1024];
    enum options_result parsed = options_parse(command, argc, argv, &given, &path, &count);
    if (parsed != OPTIONS_PARSED)
        return parsed == OPTIONS_HELP ? 0 : 2;
    if (count < 1)
        return options_complain(command, "which file? molecule fleet fleet.lua");
    signal(SIGHUP, SIG_IGN); /* until the host has its own handler */
    if (!given.dry_run)
        output_divert();
    if (getenv("MOLECULE_WORKSPACE_TOKEN"))
        log_warn(
            NULL,
            "MOLECULE_WORKSPACE_TOKEN is of one workspace and is not used by a fleet: token_env = "
            "\"MOLECULE_WORKSPACE_TOKEN\" in the file gives it to the one that it is of");
    unsetenv("MOLECULE_WORKSPACE_TOKEN_FILE"); /* of a workspace alone, as is the token */
    struct fleet fleet = {.path = path, .defaults = {given.state_directory, given.api_url}};
    if (!plan_read(&fleet.plan, path, &fleet.defaults, problem, sizeof problem)) {
        terminal_print(stderr, "molecule fleet: %s\n", problem);
        return MOLECULE_USAGE;
    }
    /* behind the file, which may have taken it */
    connect_wipe_variable("MOLECULE_WORKSPACE_TOKEN");
    for (struct member *member = fleet.plan.members; member; member = member->next)
        if (!tsearch(member, &fleet.tree, compare))
            abort();
    int code = given.dry_run ? rehearse(&fleet) : (int)serve(&fleet, &given);
    tdestroy(fleet.tree, keep_leaf);
    plan_free(&fleet.plan);
    return code;
}

const struct command command_fleet = {
    .name = "fleet",
    .usage = "FILE [options]",
    .summary = "attach this machine to many workspaces listed in a file",
    .description = "The file is Lua and returns {defaults = {…}, workspaces = {…}}; each workspace "
                   "has an id and the options\n"
                   "of `molecule connect`, with _ for -. One process serves them all: one thread "
                   "for the network, a pool of\n"
                   "workers for the scripts, a Lua state for each workspace. SIGHUP reloads the "
                   "file: new workspaces start,\n"
                   "removed ones stop, changed ones restart, and the rest reload their scripts.\n\n"
                   "A workspace that fails (exit codes 1, 2 and 77 of `molecule connect`) does not "
                   "stop the others; when all\n"
                   "have ended, the process exits with the first code that is not 0. A stuck "
                   "script ends it with 75.",
    .examples = "  return {\n"
                "    defaults = { script = \"agent.lua\", api_url = \"https://acme.example.com\", "
                "token_file = \"tokens/{id}\" },\n"
                "    workspaces = {\n"
                "      \"7f1d0c9e-…\",\n"
                "      { id = \"b20a31d4-…\", script = \"other.lua\", token_env = \"OTHER_TOKEN\", "
                "concurrency = 4 },\n"
                "    },\n"
                "  }",
    .options = options,
    .positional_maximum = 1,
    .run = run,
};
