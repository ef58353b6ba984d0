#include "commands/config_reload.h"

#include "base/buffer.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/secret_file.h"
#include "commands/config_file.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* The file, read again by a thread. When the host ends `reload` is cleared: then nobody is waiting.
 */
struct config_rereading {
    pthread_mutex_t mutex; /* around `reload` */
    struct config_reload *reload;
    const struct command *command;
    struct options_sources sources;
    char *path;
    void *values; /* what the file says, else the defaults */
    bool read;
    char problem[1024];
};

static void free_rereading(struct config_rereading *rereading)
{
    options_free(rereading->command, rereading->values);
    options_free_sources(&rereading->sources);
    pthread_mutex_destroy(&rereading->mutex);
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
static const void *values_with(const struct config_rereading *rereading, const char *name)
{
    const struct config_reload *reload = rereading->reload;
    unsigned origins = options_origins(reload->command, reload->sources, name);
    bool given = origins & (OPTION_FROM_FLAG | OPTION_FROM_ENVIRONMENT);
    return given ? reload->values : rereading->values;
}

static void take_level(const struct config_rereading *rereading)
{
    const struct command *command = rereading->command;
    bool verbose = *(const bool *)member(command, values_with(rereading, "verbose"), "verbose");
    const char *word = text_of(command, values_with(rereading, "log-level"), "log-level");
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
static bool take_log_file(const struct config_rereading *rereading)
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
static void say_what_needs_a_restart(const struct config_rereading *rereading, bool log_file_taken)
{
    const struct command *command = rereading->command;
    struct buffer names;
    size_t count = 0;
    buffer_init(&names, LOG_LINE_MAXIMUM);
    for (const struct option *option = NULL; (option = options_next(command, option));) {
        char *key = config_file_key(option);
        bool taken = strcmp(key, "log_level") == 0 || strcmp(key, "verbose") == 0 ||
                     (strcmp(key, "log_file") == 0 && log_file_taken);
        if (!taken && !is_same(value_of(command, rereading->reload->sources, option, key),
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

static void on_reread(void *context)
{
    struct config_rereading *rereading = context;
    pthread_mutex_lock(&rereading->mutex); /* the thread is done with it, or about to be */
    struct config_reload *reload = rereading->reload;
    pthread_mutex_unlock(&rereading->mutex);
    if (!reload) { /* the host has ended */
        free_rereading(rereading);
        return;
    }
    reload->rereading = NULL;
    if (rereading->read) {
        take_level(rereading);
        say_what_needs_a_restart(rereading, take_log_file(rereading));
    } else {
        log_error(LOG_CONFIG_RELOAD_FAILED, NULL,
                  "cannot reload the config file, nothing of it has changed: %s",
                  rereading->problem);
    }
    free_rereading(rereading);
    if (reload->again)
        config_reload_start(reload);
}

/* false: `problem` says what is wrong. */
static bool read_file(struct config_rereading *rereading)
{
    char *problem = rereading->problem;
    size_t size = sizeof rereading->problem;
    return config_file_take(rereading->command, &rereading->sources, rereading->values, problem,
                            size) &&
           (!rereading->sources.has_secret ||
            secret_file_check(rereading->path, "secrets", NULL, problem, size));
}

static void *reread(void *context)
{
    struct config_rereading *rereading = context;
    rereading->read = read_file(rereading);
    pthread_mutex_lock(&rereading->mutex);
    struct config_reload *reload = rereading->reload;
    bool taken = reload && molecule_call(reload->molecule, on_reread, rereading);
    pthread_mutex_unlock(&rereading->mutex);
    if (!taken)
        free_rereading(rereading);
    return NULL;
}

static bool start_thread(struct config_rereading *rereading)
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

static struct config_rereading *begin(struct config_reload *reload)
{
    const struct command *command = reload->command;
    struct config_rereading *rereading = memory_allocate(sizeof *rereading);
    pthread_mutex_init(&rereading->mutex, NULL);
    rereading->reload = reload;
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
    if (!reload->sources->path || !*reload->sources->path)
        return;
    reload->again = reload->rereading != NULL;
    if (reload->again)
        return;
    reload->rereading = begin(reload);
    if (start_thread(reload->rereading))
        return;
    log_error(LOG_CONFIG_RELOAD_FAILED, NULL,
              "cannot reload the config file, nothing of it has changed: cannot start a thread");
    free_rereading(reload->rereading);
    reload->rereading = NULL;
}

void config_on_reload(void *context)
{
    struct config_reload *reload = context;
    config_reload_start(reload);
    molecule_reload(reload->molecule);
}

void config_reload_abandon(struct config_reload *reload)
{
    struct config_rereading *rereading = reload->rereading;
    if (!rereading)
        return;
    pthread_mutex_lock(&rereading->mutex);
    rereading->reload = NULL;
    pthread_mutex_unlock(&rereading->mutex);
}
