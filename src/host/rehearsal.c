#include "host/rehearsal.h"

#include "base/memory.h"
#include "base/terminal.h"
#include "host/checks.h"
#include "script/script.h"
#include "state/lock.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct rehearsal {
    struct host *host;
    struct script *script;
    const struct molecule_workspace_options *options;
    enum host_exit code;
    char *problem; /* of rehearsal_load; NULL: everything is printed */
    size_t problem_size;
};

static void on_closed(void *context)
{
    struct rehearsal *rehearsal = context;
    uv_stop(&rehearsal->host->network.loop);
}

static void on_loaded(void *context, const struct script_agent *agent)
{
    struct rehearsal *rehearsal = context;
    if (rehearsal->problem) {
        snprintf(rehearsal->problem, rehearsal->problem_size, "%s",
                 agent->problem ? agent->problem : "");
        script_close(rehearsal->script, false, on_closed, rehearsal);
        return;
    }
    const struct molecule_workspace_options *options = rehearsal->options;
    const char *kind = options->script ? "script" : "backend";
    const char *source = options->script ? options->script : options->backend;
    if (agent->problem) {
        terminal_print(stderr, "molecule connect: the %s %s does not load: %s\n", kind, source,
                       agent->problem);
        rehearsal->code = HOST_EXIT_USAGE;
    } else {
        terminal_print(stdout,
                       "workspace  %s\n%-10s %s\nmode       %s\napi        %s\nstate      "
                       "%s/%s.json\nagent      %s\n",
                       options->id, kind, source,
                       options->push_or_poll ? "auto"
                       : options->push       ? "push"
                                             : "poll",
                       options->api_url, options->state_directory, options->id,
                       options->name ? options->name
                       : agent->name ? agent->name
                                     : "molecule");
        if (rehearsal->code == HOST_EXIT_STOPPED)
            printf("dry run: the %s loads; nothing was sent, nothing was written\n", kind);
    }
    script_close(rehearsal->script, false, on_closed, rehearsal);
}

static void complain(struct rehearsal *rehearsal, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void complain(struct rehearsal *rehearsal, const char *format, ...)
{
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    terminal_print(stderr, "molecule connect: %s\n", text);
    rehearsal->code = HOST_EXIT_USAGE;
}

static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return !slash          ? memory_copy_text(".")
           : slash == path ? memory_copy_text("/")
                           : memory_copy(path, (size_t)(slash - path));
}

/* It exists and can be used, or could be created. */
static void check_state_directory(struct rehearsal *rehearsal)
{
    struct stat status;
    const char *directory = rehearsal->options->state_directory;
    char *path = memory_copy_text(directory);
    while (stat(path, &status) != 0 && errno == ENOENT && strcmp(path, "/") != 0 &&
           strcmp(path, ".") != 0) {
        char *parent = parent_of(path);
        free(path);
        path = parent;
    }
    if (stat(path, &status) != 0)
        complain(rehearsal, "the state directory %s cannot be inspected: %s", directory,
                 strerror(errno));
    else if (!S_ISDIR(status.st_mode))
        complain(rehearsal, "the state directory %s: %s is not a directory", directory, path);
    else if (access(path, W_OK | X_OK) != 0)
        complain(rehearsal, "the state directory %s: %s cannot be written to: %s", directory, path,
                 strerror(errno));
    free(path);
    path = memory_format("%s/%s.lock", directory, rehearsal->options->id);
    long pid = lock_holder(path);
    if (pid > 0)
        printf("running    process %ld serves this workspace now\n", pid);
    free(path);
}

/* As journal/transcript.c would open it. */
static void check_record_file(struct rehearsal *rehearsal)
{
    struct stat status;
    const char *path = rehearsal->options->record_file;
    if (!path)
        return;
    if (lstat(path, &status) == 0) {
        if (S_ISLNK(status.st_mode))
            complain(rehearsal, "--record %s: symbolic links are not followed", path);
        else if (!S_ISREG(status.st_mode))
            complain(rehearsal, "--record %s: not a regular file", path);
        else if (access(path, W_OK) != 0)
            complain(rehearsal, "--record %s: %s", path, strerror(errno));
        return;
    }
    char *parent = parent_of(path);
    if (errno != ENOENT || access(parent, W_OK | X_OK) != 0)
        complain(rehearsal, "--record %s: %s", path, strerror(errno));
    else if (stat(parent, &status) == 0 && !S_ISDIR(status.st_mode))
        complain(rehearsal, "--record %s: %s is not a directory", path, parent);
    free(parent);
}

static void check_token(struct rehearsal *rehearsal)
{
    char problem[1024];
    if (!checks_token(rehearsal->options, false, problem, sizeof problem))
        complain(rehearsal, "%s", problem);
}

static void load(struct rehearsal *rehearsal)
{
    struct host *host = rehearsal->host;
    struct script_settings script = {
        .options = rehearsal->options, .ca_file = host->options.ca_file, .load_only = true};
    struct script_events events = {.loaded = on_loaded, .context = rehearsal};
    rehearsal->script = script_open(&host->workers[0].thread, &host->network, &script, &events);
    thread_run(&host->network);
}

bool rehearsal_load(struct host *host, const struct molecule_workspace_options *options,
                    char *problem, size_t problem_size)
{
    struct rehearsal rehearsal = {
        .host = host, .options = options, .problem = problem, .problem_size = problem_size};
    *problem = '\0';
    load(&rehearsal);
    return !*problem;
}

enum host_exit rehearsal_run(struct host *host, const struct molecule_workspace_options *options)
{
    char problem[1024];
    struct rehearsal rehearsal = {.host = host, .options = options, .code = HOST_EXIT_STOPPED};
    if (!checks_address(options, problem, sizeof problem))
        complain(&rehearsal, "%s", problem);
    check_token(&rehearsal);
    check_state_directory(&rehearsal);
    check_record_file(&rehearsal);
    load(&rehearsal);
    return rehearsal.code;
}
