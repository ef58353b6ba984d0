/* A fleet reloads its file, on a separate thread: the file is Lua and may take any time. */
#include "commands/fleet.h"

#include "base/log.h"
#include "base/memory.h"

#include <stdlib.h>

/* The file, read again. */
struct rereading {
    char *path;
    struct table_file file;
    bool read;
    char problem[1024];
};

static void free_rereading(void *work)
{
    struct rereading *rereading = work;
    table_file_free(&rereading->file);
    free(rereading->path);
    free(rereading);
}

static void reread(void *work)
{
    struct rereading *rereading = work;
    rereading->read = table_read(&rereading->file, &fleet_kind, rereading->path, rereading->problem,
                                 sizeof rereading->problem);
}

static void start(struct fleet *fleet);

static void on_reread(void *owner, void *work)
{
    struct fleet *fleet = owner;
    struct rereading *rereading = work;
    struct plan fresh;
    fleet->reading = NULL;
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
    if (fleet->again)
        start(fleet);
}

static void start(struct fleet *fleet)
{
    static const struct background_kind kind = {reread, on_reread, free_rereading};
    fleet->again = fleet->reading != NULL;
    if (fleet->again) {
        log_warn(
            LOG_FLEET_RELOAD_WAITS, NULL,
            "the fleet file is still being reloaded; it will be reloaded once more after that");
        return;
    }
    struct rereading *rereading = memory_allocate(sizeof *rereading);
    rereading->path = memory_copy_text(fleet->path);
    fleet->reading = background_start(fleet->molecule, &kind, fleet, rereading);
    if (!fleet->reading)
        log_error(LOG_FLEET_RELOAD_FAILED, NULL,
                  "cannot reload the fleet file, nothing has changed: cannot start a thread");
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
    background_abandon(fleet->reading);
}
