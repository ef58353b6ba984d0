/* --watch: the script's file and the modules it required are looked at ten times a second, by
 * name, so that an editor which writes a new file in place of the old one is noticed too. */
#include "base/log.h"
#include "base/memory.h"
#include "script/script_private.h"

#include <stdlib.h>
#include <string.h>

#define INTERVAL_MS 100
#define SETTLE_MS 50 /* an editor may write several files, or one in pieces */
#define FILES_MAXIMUM 500

struct watched {
    uv_fs_poll_t poll; /* first */
    struct watched *next;
    struct watch *watch;
    char *path;
};

struct watch {
    uv_timer_t timer; /* first */
    struct script *script;
    struct watched *files;
    size_t count;
    char *changed; /* the last one that did */
};

static void free_watched(uv_handle_t *handle)
{
    struct watched *file = (struct watched *)handle;
    free(file->path);
    free(file);
}

static void free_watch(uv_handle_t *handle)
{
    struct watch *watch = (struct watch *)handle;
    free(watch->changed);
    free(watch);
}

static void on_settled(uv_timer_t *timer)
{
    struct watch *watch = (struct watch *)timer;
    char *reason = memory_format("%s changed", watch->changed);
    script_reload_now(watch->script, reason);
    free(reason);
}

static void on_poll(uv_fs_poll_t *poll, int status, const uv_stat_t *before, const uv_stat_t *now)
{
    (void)before;
    (void)now;
    struct watched *file = (struct watched *)poll;
    struct watch *watch = file->watch;
    if (status < 0) /* it is gone; its return will be a change */
        return;
    free(watch->changed);
    watch->changed = memory_copy_text(file->path);
    uv_timer_start(&watch->timer, on_settled, SETTLE_MS, 0);
}

struct watch *watch_open(struct script *script)
{
    struct watch *watch = memory_allocate(sizeof *watch);
    watch->script = script;
    uv_timer_init(&script->worker->loop, &watch->timer);
    if (script->settings.options->script)
        watch_add(watch, script->settings.options->script);
    return watch;
}

void watch_add(struct watch *watch, const char *path)
{
    for (struct watched *file = watch->files; file; file = file->next)
        if (strcmp(file->path, path) == 0)
            return;
    if (watch->count == FILES_MAXIMUM)
        return;
    struct watched *file = memory_allocate(sizeof *file);
    file->watch = watch;
    file->path = memory_copy_text(path);
    uv_fs_poll_init(watch->timer.loop, &file->poll);
    int error = uv_fs_poll_start(&file->poll, on_poll, path, INTERVAL_MS);
    if (error < 0) {
        log_warn(watch->script->settings.options->id, "--watch: cannot watch %s: %s", path,
                 uv_strerror(error));
        uv_close((uv_handle_t *)&file->poll, free_watched);
        return;
    }
    file->next = watch->files;
    watch->files = file;
    watch->count++;
}

void watch_close(struct watch *watch)
{
    if (!watch)
        return;
    while (watch->files) {
        struct watched *file = watch->files;
        watch->files = file->next;
        uv_close((uv_handle_t *)&file->poll, free_watched);
    }
    uv_close((uv_handle_t *)&watch->timer, free_watch);
}
