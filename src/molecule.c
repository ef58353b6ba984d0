/* The public face of the host: include/molecule/molecule.h. */
#include "molecule/molecule.h"

#include "base/host_name.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/option.h"
#include "base/secret_file.h"
#include "base/terminal.h"
#include "doors/a2a_server.h"
#include "host/checks.h"
#include "host/errand.h"
#include "host/evaluation.h"
#include "host/host.h"
#include "host/monitor.h"
#include "host/supervisor.h"
#include "host/tracing.h"
#include "host/rehearsal.h"
#include "host/workspace.h"
#include "net/http_client.h"
#include "script/script_types.h"
#include "wire/jsonmemory.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The numbers are the same, so that a result needs no translation. */
_Static_assert((int)MOLECULE_FAILED == (int)HOST_EXIT_FAILED &&
                   (int)MOLECULE_USAGE == (int)HOST_EXIT_USAGE &&
                   (int)MOLECULE_STUCK == (int)HOST_EXIT_STUCK &&
                   (int)MOLECULE_REFUSED == (int)HOST_EXIT_REFUSED,
               "host_exit and molecule_result differ");

struct added {
    struct added *next;
    char *id; /* normalized */
};

struct evaluation {
    struct script_evaluation script; /* first */
    struct molecule *molecule;
    char *function, *text;
    void (*done)(void *context, const struct molecule_evaluated *evaluated);
    void *context;
};

struct molecule {
    struct evaluation *evaluation; /* under way; NULL: none */
    struct host *host;
    struct supervisor *supervisor; /* systemd; NULL: nobody listens */
    struct tracing *tracing;       /* NULL: no spans are exported */
    struct monitor *monitor;       /* metrics and health; NULL: not served */
    struct molecule_options options;
    struct added *added;
};

static void on_reload(void *context)
{
    struct molecule *molecule = context;
    molecule->options.on_reload(molecule->options.context);
}

static void forget_id(struct molecule *molecule, const char *id)
{
    for (struct added **link = &molecule->added; *link; link = &(*link)->next) {
        struct added *added = *link;
        if (strcmp(added->id, id) != 0)
            continue;
        *link = added->next;
        free(added->id);
        free(added);
        return;
    }
}

static void on_ended(void *context, const char *id, enum host_exit code)
{
    struct molecule *molecule = context;
    forget_id(molecule, id);
    if (molecule->options.on_ended)
        molecule->options.on_ended(molecule->options.context, id, (enum molecule_result)code);
}

static void on_event(void *context, const struct molecule_event *event)
{
    const struct molecule *molecule = context;
    molecule->options.on_event(molecule->options.context, event);
}

static void on_leaving(void *context)
{
    const struct molecule *molecule = context;
    molecule->options.on_exit(molecule->options.context);
}

bool molecule_open_log(const struct molecule_options *options, char *problem, size_t problem_size)
{
    secret_file_set_strict(options->strict);
    const struct log_settings settings = {
        .level = options->verbose ? "debug" : options->log_level,
        .format = options->log_format,
        .color = options->color,
        .file = options->log_file,
    };
    return log_open(&settings, problem, problem_size);
}

struct molecule *molecule_open(const struct molecule_options *options, char *problem,
                               size_t problem_size)
{
    if (!molecule_open_log(options, problem, problem_size))
        return NULL;
    http_global_open();
    jsonmemory_install();
    json_object_seed(0); /* before there are threads */
    struct molecule *molecule = memory_allocate(sizeof *molecule);
    molecule->options = *options;
    struct host_options settings = {
        .ca_file = options->ca_file,
        .handle_signals = options->handle_signals,
        .workers = options->workers,
        .fleet = options->fleet,
        .reload = options->on_reload ? on_reload : NULL,
        .ended = on_ended,
        .event = options->on_event ? on_event : NULL,
        .leaving = options->on_exit ? on_leaving : NULL,
        .context = molecule,
    };
    molecule->host = host_open(&settings, problem, problem_size);
    if (!molecule->host) {
        http_global_close();
        free(molecule);
        return NULL;
    }
    if (!tracing_open(&molecule->tracing, &molecule->host->network.loop, options->ca_file, problem,
                      problem_size)) {
        molecule_close(molecule);
        return NULL;
    }
    if (options->handle_signals) /* it is the process's own program */
        molecule->supervisor = supervisor_open(molecule->host);
    if (options->metrics) {
        molecule->monitor = monitor_open(molecule->host, options->metrics, problem, problem_size);
        if (!molecule->monitor) {
            molecule_close(molecule);
            return NULL;
        }
    }
    return molecule;
}

void molecule_close(struct molecule *molecule)
{
    if (!molecule)
        return;
    supervisor_close(molecule->supervisor);
    monitor_close(molecule->monitor);
    tracing_close(molecule->tracing);
    host_close(molecule->host);
    while (molecule->added) {
        struct added *added = molecule->added;
        molecule->added = added->next;
        free(added->id);
        free(added);
    }
    free(molecule);
    http_global_close();
}

static const struct option workspace_options[] = {
#define MOLECULE_OPTION(...) OPTION_ROW(struct molecule_workspace_options, __VA_ARGS__),
#include "molecule/options.def"
};

static const char *const workspace_members[] = {
#define MOLECULE_OPTION(type, member, ...) #member,
#include "molecule/options.def"
};

#define WORKSPACE_OPTION_COUNT (sizeof workspace_options / sizeof *workspace_options)

void molecule_workspace_defaults(struct molecule_workspace_options *options)
{
    *options = (struct molecule_workspace_options){0};
    for (size_t i = 0; i < WORKSPACE_OPTION_COUNT; i++)
        if (workspace_options[i].standard)
            option_set(&workspace_options[i], workspace_options[i].standard, options);
    options->api_url = NULL; /* required of programs */
}

static const struct option serve_options[] = {
#define MOLECULE_SERVE_OPTION(type, member, ...) \
    OPTION_ROW(struct molecule_serve_options, type, member, __VA_ARGS__),
#define MOLECULE_LISTEN_OPTION MOLECULE_SERVE_OPTION
#include "molecule/options.def"
};

void molecule_serve_defaults(struct molecule_serve_options *options)
{
    memset(options, 0, sizeof *options);
    for (size_t i = 0; i < sizeof serve_options / sizeof *serve_options; i++)
        if (serve_options[i].standard)
            option_set(&serve_options[i], serve_options[i].standard, options);
}

bool molecule_serve(struct molecule *molecule, const struct molecule_serve_options *options,
                    bool pushed, char *problem, size_t problem_size)
{
    if (molecule->host->a2a) {
        snprintf(problem, problem_size, "molecule_serve was called before");
        return false;
    }
    for (size_t i = 0; i < sizeof serve_options / sizeof *serve_options; i++) {
        const char *wrong = option_find_problem(&serve_options[i], options);
        if (wrong) {
            snprintf(problem, problem_size, "%s %s; begin with molecule_serve_defaults",
                     serve_options[i].name, wrong);
            return false;
        }
    }
    return host_serve(molecule->host, options, pushed, problem, problem_size);
}

const char *molecule_serve_url(const struct molecule *molecule)
{
    return molecule->host->a2a ? a2a_server_url(molecule->host->a2a) : NULL;
}

/* What the command line's parser has not checked for a program. */
static bool check_options(const struct molecule_workspace_options *options, char *problem,
                          size_t problem_size)
{
    const char *wrong = NULL;
    if (!options->id || !platform_valid_id(options->id))
        wrong = "the workspace id is missing or not of the form [A-Za-z0-9][A-Za-z0-9._-]{0,127}";
    else if ((!options->api_url && !options->serve) || !options->state_directory)
        wrong = "api_url and state_directory are required";
    else if (!options->script == !options->backend)
        wrong = "exactly one of script and backend is required";
    else if (options->serve_as && (options->serve || options->push))
        wrong = "serve_as is for a workspace without serve and push";
    else if (options->serve_host && host_name_problem(options->serve_host))
        wrong = "serve_host is not the name of a host";
    if (wrong)
        snprintf(problem, problem_size, "%s", wrong);
    for (size_t i = 0; !wrong && i < WORKSPACE_OPTION_COUNT; i++) {
        wrong = option_find_problem(&workspace_options[i], options);
        if (wrong)
            snprintf(problem, problem_size, "%s %s; begin with molecule_workspace_defaults",
                     workspace_members[i], wrong);
    }
    return !wrong;
}

static const char *keep_id(struct molecule *molecule, const char *id)
{
    struct added *added = memory_allocate(sizeof *added);
    added->id = memory_copy_text(id);
    platform_normalise_id(added->id);
    added->next = molecule->added;
    molecule->added = added;
    return added->id;
}

enum molecule_result molecule_add(struct molecule *molecule,
                                  const struct molecule_workspace_options *options, char *problem,
                                  size_t problem_size)
{
    if (!check_options(options, problem, problem_size))
        return MOLECULE_USAGE;
    if (molecule->host->stops) {
        snprintf(problem, problem_size, "the host is stopping");
        return MOLECULE_FAILED;
    }
    struct molecule_workspace_options settings = *options;
    settings.id = keep_id(molecule, options->id);
    enum host_exit code;
    struct host *host = molecule->host;
    if ((options->serve || options->serve_as || options->push) && !host->a2a) {
        snprintf(problem, problem_size,
                 "a workspace with serve, serve_as or push needs molecule_serve first");
        return MOLECULE_USAGE;
    }
    if (workspace_open(host, &settings, &code, problem, problem_size))
        return MOLECULE_STOPPED;
    if (host->running && host->exit_code == HOST_EXIT_STOPPED) /* as for one that ends later */
        host->exit_code = code;
    return (enum molecule_result)code;
}

static struct workspace *find_workspace(struct molecule *molecule, const char *id)
{
    struct workspace *workspace = molecule->host->workspaces;
    while (workspace && (workspace_over(workspace) || strcmp(workspace_id(workspace), id) != 0))
        workspace = workspace_next(workspace);
    return workspace;
}

bool molecule_remove(struct molecule *molecule, const char *id)
{
    struct workspace *workspace = find_workspace(molecule, id);
    if (workspace)
        workspace_stop(workspace);
    return workspace != NULL;
}

bool molecule_reload_one(struct molecule *molecule, const char *id)
{
    struct workspace *workspace = find_workspace(molecule, id);
    if (workspace)
        workspace_reload(workspace);
    return workspace != NULL;
}

static void free_evaluation(struct evaluation *evaluation)
{
    free(evaluation->script.result);
    free(evaluation->function);
    free(evaluation->text);
    free(evaluation);
}

static void on_evaluated(struct script_evaluation *script)
{
    struct evaluation *evaluation = (struct evaluation *)script;
    struct molecule_evaluated evaluated = {
        .result = script->result, .incomplete = script->incomplete, .failed = script->failed};
    evaluation->molecule->evaluation = NULL;
    evaluation->done(evaluation->context, &evaluated);
    free_evaluation(evaluation);
}

bool molecule_evaluate(struct molecule *molecule, const char *id, const char *function,
                       const char *text,
                       void (*done)(void *context, const struct molecule_evaluated *evaluated),
                       void *context)
{
    struct workspace *workspace = find_workspace(molecule, id);
    if (!workspace || molecule->evaluation)
        return false;
    struct evaluation *evaluation = memory_allocate(sizeof *evaluation);
    evaluation->molecule = molecule;
    evaluation->function = memory_copy_text(function);
    evaluation->text = memory_copy_text(text);
    evaluation->done = done;
    evaluation->context = context;
    evaluation->script.function = evaluation->function;
    evaluation->script.text = evaluation->text;
    evaluation->script.done = on_evaluated;
    if (!evaluation_start(workspace, &evaluation->script)) {
        free_evaluation(evaluation);
        return false;
    }
    molecule->evaluation = evaluation;
    return true;
}

bool molecule_interrupt(struct molecule *molecule, const char *id)
{
    struct workspace *workspace = find_workspace(molecule, id);
    if (workspace)
        evaluation_interrupt(workspace,
                             molecule->evaluation ? &molecule->evaluation->script : NULL);
    return workspace != NULL;
}

bool molecule_check(const struct molecule_workspace_options *options, char *problem,
                    size_t problem_size)
{
    if (!check_options(options, problem, problem_size))
        return false;
    char *id = memory_copy_text(options->id);
    platform_normalise_id(id);
    struct molecule_workspace_options settings = *options;
    settings.id = id;
    bool fine = checks_all(&settings, problem, problem_size);
    free(id);
    return fine;
}

bool molecule_load(struct molecule *molecule, const struct molecule_workspace_options *options,
                   char *problem, size_t problem_size)
{
    return rehearsal_load(molecule->host, options, problem, problem_size);
}

bool molecule_probe(struct molecule *molecule, const struct molecule_workspace_options *options,
                    char *problem, size_t problem_size)
{
    return errand_probe(molecule->host, options, problem, problem_size);
}

bool molecule_peers(struct molecule *molecule, const struct molecule_workspace_options *options,
                    const char *query, char **list, char *problem, size_t problem_size)
{
    return errand_peers(molecule->host, options, query, list, problem, problem_size);
}

bool molecule_send(struct molecule *molecule, const struct molecule_workspace_options *options,
                   const char *peer, const char *text, int64_t timeout_ms, char **answer,
                   char *problem, size_t problem_size)
{
    return errand_send(molecule->host, options, peer, text, timeout_ms, answer, problem,
                       problem_size);
}

enum molecule_result molecule_rehearse(struct molecule *molecule,
                                       const struct molecule_workspace_options *options)
{
    char problem[512];
    if (!check_options(options, problem, sizeof problem)) {
        terminal_print(stderr, "molecule: %s\n", problem);
        return MOLECULE_USAGE;
    }
    struct molecule_workspace_options settings = *options;
    settings.id = keep_id(molecule, options->id);
    return (enum molecule_result)rehearsal_run(molecule->host, &settings);
}

enum molecule_result molecule_run(struct molecule *molecule)
{
    enum molecule_result result = (enum molecule_result)host_run(molecule->host);
    tracing_flush(molecule->tracing);
    return result;
}

bool molecule_call(struct molecule *molecule, void (*function)(void *context), void *context)
{
    return host_call(molecule->host, function, context);
}

bool molecule_stops(const struct molecule *molecule)
{
    return molecule->host->stops > 0;
}

void molecule_stop(struct molecule *molecule)
{
    host_request_stop(molecule->host);
}

void molecule_reload(struct molecule *molecule)
{
    host_request_reload(molecule->host);
}
