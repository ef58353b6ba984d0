/* Any bytes as a cursor file: it is read or refused with a reason, and what is saved over it is
 * read back. */
#include "fuzz.h"

#include "state/cursor.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ID "7f1d0c9e-0000-4000-8000-000000000001"
#define ROW "22222222-0000-4000-8000-000000000002"

static char path[64];

static void remove_directory(void)
{
    char *slash = strrchr(path, '/');
    unlink(path);
    *slash = '\0';
    rmdir(path);
}

static void make_path(void)
{
    char directory[] = "/dev/shm/molecule-fuzz-XXXXXX"; /* each save syncs */
    HOLDS(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/w.json", directory);
    atexit(remove_directory);
}

static void put(const uint8_t *data, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    HOLDS(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor cursor;
    char problem[1024] = "";
    if (!*path)
        make_path();
    put(data, size);
    enum cursor_status status = cursor_load(&cursor, path, ID, problem, sizeof problem);
    HOLDS(status == CURSOR_LOADED || status == CURSOR_DAMAGED);
    HOLDS((status == CURSOR_DAMAGED) == (*problem != '\0'));
    HOLDS(status == CURSOR_LOADED || !cursor.last_since_id);
    bool kept = status == CURSOR_LOADED && json_object_get(cursor.members, "kept");
    HOLDS(cursor_save(&cursor, ROW, problem, sizeof problem));
    cursor_free(&cursor);

    HOLDS(cursor_load(&cursor, path, ID, problem, sizeof problem) == CURSOR_LOADED);
    HOLDS(strcmp(cursor.last_since_id, ROW) == 0);
    HOLDS(!kept || json_object_get(cursor.members, "kept"));
    cursor_free(&cursor);
    return 0;
}
