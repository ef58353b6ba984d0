#include "commands/config_reload.h"

#include "base/buffer.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/secret_file.h"
#include "commands/config_file.h"

#include <stdlib.h>
#include <string.h>

/* The file, read again. */
struct rereading {
    const struct command *command;
    struct options_sources sources;
    char *path;
    void *values; /* what the file says, else the defaults */
    bool read;
    char problem[1024];
};

static void free_rereading(void *work)
{
    struct rereading *rereading = work;
    options_free(rereading->command, rereading->values);
    options_free_sources(&rereading->sources);
    free(rereading->values);
    free(rereading->path);
    free(rereading);
}

/* --- what has changed --- */

static const void *member(const struct command *command, const void *values, const char *name)
{
    return (const char *)values + options_find(command, name)->offset;
}

static const char *text_of(const struct command *command, const void *values, const char *name)
{
    return *(const char *const *)member(command, values, name);
}

/* As the command line or the environment has it, else as the file has it now. */
static const void *values_with(const struct config_reload *reload,
                               const struct rereading *rereading, const char *name)
{
    unsigned origins = options_origins(reload->command, reload->sources, name);
    bool given = origins & (OPTION_FROM_FLAG | OPTION_FROM_ENVIRONMENT);
    return given ? reload->values : rereading->values;
}

static void take_level(const struct config_reload *reload, const struct rereading *rereading)
{
    const struct command *command = rereading->command;
    bool verbose = *(const bool *)member(command, values_with(reload, rereading, "verbose"),
                                         "verbose");
    const char *word = text_of(command, values_with(reload, rereading, "log-level"), "log-level");
    enum log_level before = log_get_level(), level = LOG_LEVEL_DEBUG;
    if (!verbose)
        log_find_level(word, &level);
    if (level == before)
        return;
    log_set_level(level > before ? level : before); /* for the line itself */
    log_info(LOG_CONFIG_APPLIED, NULL, "%s: log_level is now %s", rereading->path,
             log_level_name(level));
    log_set_level(level);
}

/* true: the log goes to the file that the config file names now. */
static bool take_log_file(const struct rereading *rereading)
{
    const struct command *command = rereading->command;
    unsigned origins = options_origins(command, &rereading->sources, "log-file");
    const char *path = text_of(command, rereading->values, "log-file");
    return origins & OPTION_FROM_FILE && log_move(path);
}

/* NULL: nothing that counts. */
static const json_t *value_of(const struct command *command, const struct options_sources *sources,
                              const struct option *option, const char *key)
{
    bool counts = sources->of[option - command->options].origins & OPTION_FROM_FILE;
    return counts ? json_object_get(sources->file.root, key) : NULL;
}

static bool is_same(const json_t *one, const json_t *other)
{
    return one == other || (one && other && json_equal(one, other));
}

/* Names alone: a value may be a secret. */
static void say_what_needs_a_restart(const struct config_reload *reload,
                                     const struct rereading *rereading, bool log_file_taken)
{
    const struct command *command = rereading->command;
    struct buffer names;
    size_t count = 0;
    buffer_init(&names, LOG_LINE_MAXIMUM);
    for (const struct option *option = NULL; (option = options_next(command, option));) {
        char *key = config_file_key(option);
        bool taken = strcmp(key, "log_level") == 0 || strcmp(key, "verbose") == 0 ||
                     (strcmp(key, "log_file") == 0 && log_file_taken);
        if (!taken && !is_same(value_of(command, reload->sources, option, key),
                               value_of(command, &rereading->sources, option, key)))
            buffer_printf(&names, "%s%s", count++ > 0 ? ", " : "", key);
        free(key);
    }
    if (count > 0)
        log_warn(LOG_CONFIG_RESTART_NEEDED, NULL,
                 "%s: %.*s differ%s from what runs; restart to apply %s", rereading->path,
                 (int)names.length, names.data, count == 1 ? "s" : "", count == 1 ? "it" : "them");
    buffer_free(&names);
}

/* --- reading --- */

/* false: `problem` says what is wrong. */
static bool read_file(struct rereading *rereading)
{
    char *problem = rereading->problem;
    size_t size = sizeof rereading->problem;
    return config_file_take(rereading->command, &rereading->sources, rereading->values, problem,
                            size) &&
           (!rereading->sources.has_secret ||
            secret_file_check(rereading->path, "secrets", NULL, problem, size));
}

static void reread(void *work)
{
    struct rereading *rereading = work;
    rereading->read = read_file(rereading);
}

static void on_reread(void *owner, void *work)
{
    struct config_reload *reload = owner;
    const struct rereading *rereading = work;
    reload->reading = NULL;
    if (rereading->read) {
        take_level(reload, rereading);
        say_what_needs_a_restart(reload, rereading, take_log_file(rereading));
    } else {
        log_error(LOG_CONFIG_RELOAD_FAILED, NULL,
                  "cannot reload the config file, nothing of it has changed: %s",
                  rereading->problem);
    }
    if (reload->again)
        config_reload_start(reload);
}

static struct rereading *begin(const struct config_reload *reload)
{
    const struct command *command = reload->command;
    struct rereading *rereading = memory_allocate(sizeof *rereading);
    rereading->command = command;
    rereading->path = memory_copy_text(reload->sources->path);
    rereading->values = memory_allocate(reload->size);
    options_set_defaults(command, rereading->values);
    rereading->sources.path = rereading->path;
    rereading->sources.of = memory_allocate((command->option_count + 1) *
                                            sizeof *rereading->sources.of);
    for (size_t i = 0; i < command->option_count; i++)
        rereading->sources.of[i].origins = reload->sources->of[i].origins &
                                           (OPTION_FROM_FLAG | OPTION_FROM_ENVIRONMENT);
    return rereading;
}

void config_reload_start(struct config_reload *reload)
{
    static const struct background_kind kind = {reread, on_reread, free_rereading};
    if (!reload->sources->path || !*reload->sources->path)
        return;
    reload->again = reload->reading != NULL;
    if (reload->again) {
        log_warn(LOG_CONFIG_RELOAD_WAITS, NULL,
                 "the config file is still being read; it will be read once more after that");
        return;
    }
    reload->reading = background_start(reload->molecule, &kind, reload, begin(reload));
    if (!reload->reading)
        log_error(
            LOG_CONFIG_RELOAD_FAILED, NULL,
            "cannot reload the config file, nothing of it has changed: cannot start a thread");
}

void config_on_reload(void *context)
{
    struct config_reload *reload = context;
    config_reload_start(reload);
    molecule_reload(reload->molecule);
}

void config_reload_abandon(struct config_reload *reload)
{
    background_abandon(reload->reading);
}
