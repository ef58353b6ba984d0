#define _GNU_SOURCE
/* A disk that takes its time: while the file SLOW_FLAG exists, syncing a file whose path contains
 * SLOW_PATH waits, and says so by making the file SLOW_FLAG.waiting. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static void wait_for_the_flag(int fd)
{
    char link[64], path[4096], waiting[4096];
    const char *slow = getenv("SLOW_PATH"), *flag = getenv("SLOW_FLAG");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0 || !slow || !flag)
        return;
    path[length] = '\0';
    if (!strstr(path, slow) || access(flag, F_OK) != 0)
        return;
    snprintf(waiting, sizeof waiting, "%s.waiting", flag);
    close(open(waiting, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    while (access(flag, F_OK) == 0)
        usleep(1000);
}

int fsync(int fd)
{
    wait_for_the_flag(fd);
    return REAL(fsync)(fd);
}

int fdatasync(int fd)
{
    wait_for_the_flag(fd);
    return REAL(fdatasync)(fd);
}
