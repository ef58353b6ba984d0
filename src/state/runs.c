#include "state/runs.h"

#include "base/clock.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_SIZE 192 /* "<row id> <attempts> <failures> <wall clock in ms>", blanks, newline */
#define ID_MAXIMUM 140

static atomic_int kept_open; /* files, of all workspaces */
static atomic_int kept_open_maximum = 256;

struct runs {
    pthread_mutex_t mutex; /* around opening */
    char *path;
    int file; /* -1: not open yet */
};

void runs_keep_open(int maximum)
{
    atomic_store(&kept_open_maximum, maximum);
}

struct runs *runs_open(const char *path)
{
    struct runs *runs = memory_allocate(sizeof *runs);
    pthread_mutex_init(&runs->mutex, NULL);
    runs->path = memory_copy_text(path);
    runs->file = -1;
    return runs;
}

void runs_close(struct runs *runs)
{
    if (!runs)
        return;
    if (runs->file >= 0) {
        close(runs->file);
        atomic_fetch_sub(&kept_open, 1);
    }
    pthread_mutex_destroy(&runs->mutex);
    free(runs->path);
    free(runs);
}

/* A process with many workspaces keeps only some of the files open; the others are opened for each
 * line.
 */
static int get_file(struct runs *runs)
{
    pthread_mutex_lock(&runs->mutex);
    int file = runs->file >= 0 ? runs->file
                               : open(runs->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (runs->file < 0 && file >= 0 &&
        atomic_fetch_add(&kept_open, 1) < atomic_load(&kept_open_maximum))
        runs->file = file;
    else if (runs->file < 0 && file >= 0)
        atomic_fetch_sub(&kept_open, 1);
    pthread_mutex_unlock(&runs->mutex);
    return file;
}

static void let_go(struct runs *runs, int file)
{
    pthread_mutex_lock(&runs->mutex);
    bool kept = file == runs->file;
    pthread_mutex_unlock(&runs->mutex);
    if (!kept && file >= 0)
        close(file);
}

bool runs_load(struct runs *runs, void (*each)(const struct run *run, void *context), void *context)
{
    char line[LINE_SIZE + 1], row_id[ID_MAXIMUM + 1];
    struct run run = {.row_id = row_id};
    int64_t now = clock_steady_ms();
    int file = open(runs->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (file < 0)
        return errno == ENOENT;
    for (; pread(file, line, LINE_SIZE, (off_t)(run.place * LINE_SIZE)) == LINE_SIZE; run.place++) {
        line[LINE_SIZE] = '\0';
        if (sscanf(line, "%140s %u %u %" SCNd64, row_id, &run.attempts, &run.failures,
                   &run.started_ms) == 4 &&
            run.attempts > 0 &&
            now - (run.started_ms = clock_bound_ms(run.started_ms)) < RUNS_KEEP_MS)
            each(&run, context);
    }
    close(file);
    return true;
}

static bool write_line(int file, size_t place, const char *line)
{
    ssize_t wrote;
    do {
        wrote = pwrite(file, line, LINE_SIZE, (off_t)(place * LINE_SIZE));
    } while (wrote < 0 && errno == EINTR);
    if (wrote >= 0 && wrote < LINE_SIZE)
        errno = ENOSPC;
    return wrote == LINE_SIZE;
}

/* Returns how many digits. */
static size_t write_number(char *text, uint64_t number)
{
    char digits[20];
    size_t count = 0;
    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    for (size_t i = 0; i < count; i++)
        text[i] = digits[count - 1 - i];
    return count;
}

bool runs_mark(struct runs *runs, size_t place, const char *row_id, unsigned attempts,
               unsigned failures, char *problem, size_t problem_size)
{
    char line[LINE_SIZE];
    size_t id_length = strnlen(row_id, ID_MAXIMUM);
    memset(line, ' ', LINE_SIZE - 1);
    line[LINE_SIZE - 1] = '\n';
    memcpy(line, row_id, id_length);
    char *at = line + id_length + 1; /* blanks between them */
    at += write_number(at, attempts) + 1;
    at += write_number(at, failures) + 1;
    write_number(at, (uint64_t)clock_steady_ms());
    int file = get_file(runs);
    bool written = file >= 0 && write_line(file, place, line);
    if (!written)
        snprintf(problem, problem_size, "%s: %s", runs->path,
                 errno == ENOSPC ? "the disk is full" : strerror(errno));
    let_go(runs, file);
    return written;
}

void runs_clear(struct runs *runs, size_t place)
{
    char line[LINE_SIZE];
    int file = get_file(runs);
    memset(line, ' ', LINE_SIZE);
    line[LINE_SIZE - 1] = '\n';
    if (file >= 0)
        write_line(file, place, line);
    let_go(runs, file);
}
