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

int lock_take(const char *path, char *problem, size_t problem_size)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        snprintf(problem, problem_size, "cannot open the lock %s: %s", path, strerror(errno));
        return -1;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            snprintf(problem, problem_size,
                     "process %ld already serves this workspace (it holds %s); stop it first, two would both answer",
                     read_pid(fd), path);
        else
            snprintf(problem, problem_size, "cannot lock %s: %s", path, strerror(errno));
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

long lock_holder(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return 0;
    long pid = flock(fd, LOCK_SH | LOCK_NB) == 0 ? 0 : read_pid(fd);
    close(fd);
    return pid;
}
