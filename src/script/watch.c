/* --watch: the script's file and the modules it required are looked at ten times a second, by
 * name, so that an editor which writes a new file in place of the old one is noticed too. Each is
 * first looked at before it is read, so that no change falls between the two. */
#include "base/memory.h"
#include "script/script_private.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define INTERVAL_MS 100
#define SETTLE_MS 50 /* an editor may write several files, or one in pieces */
#define FILES_MAXIMUM 500

struct watched {
    struct watched *next;
    char *path;
    struct stat seen; /* zeroed while the file is not there */
};

struct watch {
    uv_timer_t look;   /* first */
    uv_timer_t settle; /* after the last change */
    struct script *script;
    struct watched *files;
    size_t count;
    char *changed; /* the last one that did */
};

static bool same_time(struct timespec one, struct timespec other)
{
    return one.tv_sec == other.tv_sec && one.tv_nsec == other.tv_nsec;
}

static bool same_file(const struct stat *one, const struct stat *other)
{
    return one->st_dev == other->st_dev && one->st_ino == other->st_ino &&
           one->st_size == other->st_size && one->st_mode == other->st_mode &&
           same_time(one->st_mtim, other->st_mtim) && same_time(one->st_ctim, other->st_ctim);
}

static void look_at(const char *path, struct stat *found)
{
    if (stat(path, found) != 0)
        *found = (struct stat){0};
}

static void on_settled(uv_timer_t *timer)
{
    const struct watch *watch = timer->data;
    char *reason = memory_format("%s changed", watch->changed);
    script_reload_now(watch->script, reason);
    free(reason);
}

static void on_look(uv_timer_t *timer)
{
    struct watch *watch = (struct watch *)timer;
    for (struct watched *file = watch->files; file; file = file->next) {
        struct stat now;
        look_at(file->path, &now);
        if (same_file(&now, &file->seen))
            continue;
        file->seen = now;
        if (now.st_ino == 0) /* it is gone; its return will be a change */
            continue;
        free(watch->changed);
        watch->changed = memory_copy_text(file->path);
        uv_timer_start(&watch->settle, on_settled, SETTLE_MS, 0);
    }
}

struct watch *watch_open(struct script *script)
{
    struct watch *watch = memory_allocate(sizeof *watch);
    watch->script = script;
    uv_timer_init(&script->worker->loop, &watch->look);
    uv_timer_init(&script->worker->loop, &watch->settle);
    watch->settle.data = watch;
    uv_timer_start(&watch->look, on_look, INTERVAL_MS, INTERVAL_MS);
    if (script->settings.options->script)
        watch_add(watch, script->settings.options->script);
    return watch;
}

void watch_add(struct watch *watch, const char *path)
{
    for (const struct watched *file = watch->files; file; file = file->next)
        if (strcmp(file->path, path) == 0)
            return;
    if (watch->count == FILES_MAXIMUM)
        return;
    struct watched *file = memory_allocate(sizeof *file);
    file->path = memory_copy_text(path);
    look_at(path, &file->seen);
    file->next = watch->files;
    watch->files = file;
    watch->count++;
}

static void on_settle_closed(uv_handle_t *handle)
{
    struct watch *watch = handle->data;
    free(watch->changed);
    free(watch);
}

static void on_look_closed(uv_handle_t *handle)
{
    struct watch *watch = (struct watch *)handle;
    uv_close((uv_handle_t *)&watch->settle, on_settle_closed);
}

void watch_close(struct watch *watch)
{
    if (!watch)
        return;
    while (watch->files) {
        struct watched *file = watch->files;
        watch->files = file->next;
        free(file->path);
        free(file);
    }
    uv_timer_stop(&watch->settle);
    uv_close((uv_handle_t *)&watch->look, on_look_closed);
}
