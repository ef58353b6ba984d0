#include "state/atomic_file.h"

#include "base/memory.h"
#include "base/uuid.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEMPORARY_MARK ".tmp-"

static bool write_all(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t written = write(fd, bytes, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) {
            if (written == 0)
                errno = EIO;
            return false;
        }
        bytes += written;
        length -= (size_t)written;
    }
    return true;
}

static char *directory_of(const char *path)
{
    char *copy = memory_copy_text(path), *directory = memory_copy_text(dirname(copy));
    free(copy);
    return directory;
}

/* Some file systems have no fsync, or none for directories: then there is nothing to wait for. */
static bool sync_if_possible(int fd)
{
    return fsync(fd) == 0 || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP;
}

bool atomic_file_write(const char *path, const char *bytes, size_t length, char *problem,
                       size_t problem_size)
{
    char unique[UUID_TEXT_SIZE];
    uuid_random(unique);
    char *temporary = memory_format("%s" TEMPORARY_MARK "%s", path, unique);
    char *directory = directory_of(path);
    const char *step = "create";
    bool done = false;
    int directory_fd = -1;
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        goto cleanup;
    step = "write";
    if (!write_all(fd, bytes, length))
        goto cleanup;
    step = "fsync";
    if (!sync_if_possible(fd))
        goto cleanup;
    step = "close";
    int closed = close(fd);
    fd = -1;
    if (closed != 0)
        goto cleanup;
    step = "rename";
    if (rename(temporary, path) != 0)
        goto cleanup;
    step = "fsync the directory of";
    directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory_fd < 0 || !sync_if_possible(directory_fd))
        goto cleanup;
    done = true;

cleanup:
    if (!done) {
        int error = errno;
        snprintf(problem, problem_size, "cannot %s %s: %s", step, path, strerror(error));
        unlink(temporary); /* after a rename it is gone already */
    }
    if (fd >= 0)
        close(fd);
    if (directory_fd >= 0)
        close(directory_fd);
    free(directory);
    free(temporary);
    return done;
}

static char *read_whole(const char *path, int flags, size_t maximum, size_t *length, int *error)
{
    char *bytes = NULL;
    size_t size = 0;
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | flags);
    if (fd < 0 || fstat(fd, &status) != 0)
        goto failed;
    errno = S_ISDIR(status.st_mode) ? EISDIR : !S_ISREG(status.st_mode) ? EINVAL : EFBIG;
    if (!S_ISREG(status.st_mode) || status.st_size < 0 || (size_t)status.st_size > maximum)
        goto failed;
    bytes = memory_allocate(maximum < 65536 ? maximum + 1 : (size_t)status.st_size + 65536);
    size_t capacity = maximum < 65536 ? maximum : (size_t)status.st_size + 65535;
    for (;;) {
        ssize_t got = read(fd, bytes + size, capacity - size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            goto failed;
        if (got == 0)
            break;
        size += (size_t)got;
        errno = EFBIG;
        if (size == capacity)
            break;
    }
    close(fd);
    bytes[size] = '\0';
    *length = size;
    return bytes;

failed:
    *error = errno;
    free(bytes);
    if (fd >= 0)
        close(fd);
    return NULL;
}

char *atomic_file_read(const char *path, size_t maximum, size_t *length, int *error)
{
    return read_whole(path, 0, maximum, length, error);
}

char *atomic_file_read_own(const char *path, size_t maximum, size_t *length, int *error)
{
    return read_whole(path, O_NOFOLLOW, maximum, length, error);
}

void atomic_file_sweep(const char *path)
{
    char *directory = directory_of(path), *copy = memory_copy_text(path);
    char *prefix = memory_format("%s" TEMPORARY_MARK, basename(copy));
    DIR *stream = opendir(directory);
    for (struct dirent *entry; stream && (entry = readdir(stream));)
        if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0)
            unlinkat(dirfd(stream), entry->d_name, 0);
    if (stream)
        closedir(stream);
    free(prefix);
    free(copy);
    free(directory);
}

bool atomic_file_leftovers(const char *directory)
{
    DIR *stream = opendir(directory);
    bool found = false;
    for (struct dirent *entry; stream && !found && (entry = readdir(stream));)
        found = strstr(entry->d_name, TEMPORARY_MARK) != NULL;
    if (stream)
        closedir(stream);
    return found;
}

bool atomic_file_make_directory(const char *path, char *problem, size_t problem_size)
{
    char *partial = memory_copy_text(path);
    bool made = true;
    for (char *at = partial + 1; made; at++) {
        if (*at != '/' && *at != '\0')
            continue;
        char kept = *at;
        *at = '\0';
        struct stat status;
        made = mkdir(partial, 0700) == 0 ||
               (errno == EEXIST && stat(partial, &status) == 0 && S_ISDIR(status.st_mode));
        if (!made)
            snprintf(problem, problem_size, "cannot create the directory %s: %s", partial,
                     errno == EEXIST ? "something else has that name" : strerror(errno));
        *at = kept;
        if (!kept)
            break;
    }
    free(partial);
    return made;
}
