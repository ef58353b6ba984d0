/* A fleet reloads its file, on a separate thread: the file is Lua and may take any time. */
#include "commands/fleet.h"

#include "base/log.h"
#include "base/memory.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

/* The file, read again by a thread. When the fleet ends it clears `fleet`: then nobody is waiting.
 */
struct rereading {
    pthread_mutex_t mutex; /* around `fleet` */
    struct fleet *fleet;
    char *path;
    struct table_file file;
    bool read;
    char problem[1024];
};

static void free_rereading(struct rereading *rereading)
{
    table_file_free(&rereading->file);
    pthread_mutex_destroy(&rereading->mutex);
    free(rereading->path);
    free(rereading);
}

static void start(struct fleet *fleet);

static void on_reread(void *context)
{
    struct rereading *rereading = context;
    pthread_mutex_lock(&rereading->mutex); /* the thread is done with it, or about to be */
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
        log_error(LOG_FLEET_RELOAD_FAILED, NULL,
                  "cannot reload the fleet file, nothing has changed: %s", rereading->problem);
    else if (molecule_stops(fleet->molecule))
        plan_free(&fresh);
    else
        fleet_take_plan(fleet, fresh);
    free_rereading(rereading);
    if (fleet->again)
        start(fleet);
}

static void *reread(void *context)
{
    struct rereading *rereading = context;
    rereading->read = table_read(&rereading->file, &fleet_kind, rereading->path, rereading->problem,
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

static void start(struct fleet *fleet)
{
    fleet->again = fleet->rereading != NULL;
    if (fleet->again) {
        log_warn(
            LOG_FLEET_RELOAD_WAITS, NULL,
            "the fleet file is still being reloaded; it will be reloaded once more after that");
        return;
    }
    struct rereading *rereading = memory_allocate(sizeof *rereading);
    pthread_mutex_init(&rereading->mutex, NULL);
    rereading->fleet = fleet;
    rereading->path = memory_copy_text(fleet->path);
    fleet->rereading = rereading;
    if (start_rereading(rereading))
        return;
    log_error(LOG_FLEET_RELOAD_FAILED, NULL,
              "cannot reload the fleet file, nothing has changed: cannot start a thread");
    fleet->rereading = NULL;
    free_rereading(rereading);
}

void fleet_on_reload(void *context)
{
    struct fleet *fleet = context;
    config_reload_start(&fleet->config);
    start(fleet);
}

void fleet_abandon_reload(struct fleet *fleet)
{
    config_reload_abandon(&fleet->config);
    struct rereading *rereading = fleet->rereading;
    if (!rereading)
        return;
    pthread_mutex_lock(&rereading->mutex);
    rereading->fleet = NULL;
    pthread_mutex_unlock(&rereading->mutex);
}
