#include "state/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static long read_pid(int fd)
{
    char text[32] = "";
    ssize_t length = pread(fd, text, sizeof text - 1, 0);
    return length > 0 ? strtol(text, NULL, 10) : 0;
}

/* flock, or on file systems without it fcntl's open file description locks. */
static bool try_lock(int fd, int operation)
{
    struct flock range = {.l_type = operation == LOCK_EX ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET};
    if (flock(fd, operation | LOCK_NB) == 0)
        return true;
    if (errno != ENOSYS && errno != EOPNOTSUPP && errno != EINVAL && errno != ENOLCK)
        return false;
    if (fcntl(fd, F_OFD_SETLK, &range) == 0)
        return true;
    if (errno == EACCES || errno == EAGAIN)
        errno = EWOULDBLOCK;
    return false;
}

/* The way SQLite locks parts of its file. */
static bool has_record_locks(int fd)
{
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    return fcntl(fd, F_GETLK, &range) == 0;
}

int lock_take(const char *path, char *problem, size_t problem_size)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        snprintf(problem, problem_size, "cannot open the lock %s: %s", path, strerror(errno));
        return -1;
    }
    if (!try_lock(fd, LOCK_EX)) {
        if (errno == EWOULDBLOCK)
            snprintf(problem, problem_size,
                     "process %ld already serves this workspace (it holds %s); stop it first: two "
                     "would both answer",
                     read_pid(fd), path);
        else
            snprintf(problem, problem_size,
                     "cannot lock %s: %s; without locks two processes could answer the same "
                     "message, so choose a directory on another file system (--state-dir)",
                     path, strerror(errno));
        close(fd);
        return -1;
    }
    if (!has_record_locks(fd)) {
        snprintf(problem, problem_size,
                 "the file system of %s has no record locks, which the ledger needs: %s; choose a "
                 "directory on another one (--state-dir)",
                 path, strerror(errno));
        close(fd);
        return -1;
    }
    char text[32];
    int length = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    /* the pid is for people; the lock holds without it */
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)length, 0) != length)
        return fd;
    return fd;
}

bool lock_possible(int fd, char *problem, size_t problem_size)
{
    bool locked = try_lock(fd, LOCK_EX), records = has_record_locks(fd);
    if (!locked)
        snprintf(problem, problem_size, "files cannot be locked: %s", strerror(errno));
    else if (!records)
        snprintf(problem, problem_size, "there are no record locks: %s", strerror(errno));
    return locked && records;
}

long lock_holder(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return 0;
    long pid = try_lock(fd, LOCK_SH) ? 0 : read_pid(fd);
    close(fd);
    return pid;
}
