/* Preloaded into a host under test: clocks, a resolver and a file system that misbehave on order.
 * The orders are files in $FAULT_SHIM: `clock` holds seconds to add to the wall clock, `passed`
 * seconds to add to every clock, as if so much time had passed, `no-dns` makes every name unknown,
 * `read-only` makes everything under $FAULT_SHIM_STATE read-only. The name platform.test is
 * 127.0.0.1. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* By system call: nothing here may come back into what is replaced below. */
static ssize_t order(const char *name, char *text, size_t size)
{
    const char *directory = getenv("FAULT_SHIM");
    char path[PATH_MAX];
    if (!directory)
        return -1;
    snprintf(path, sizeof path, "%s/%s", directory, name);
    int saved = errno;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    errno = saved;
    if (fd < 0)
        return -1;
    ssize_t length = syscall(SYS_read, fd, text, size - 1);
    text[length > 0 ? length : 0] = '\0';
    close(fd);
    errno = saved;
    return length;
}

static long long seconds_in(const char *name)
{
    char text[32];
    return order(name, text, sizeof text) > 0 ? strtoll(text, NULL, 10) : 0;
}

static int is_wall(clockid_t which)
{
    return which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE;
}

/* Those that go on whatever the process does. */
static int is_time(clockid_t which)
{
    return is_wall(which) || which == CLOCK_MONOTONIC || which == CLOCK_MONOTONIC_COARSE ||
           which == CLOCK_MONOTONIC_RAW || which == CLOCK_BOOTTIME;
}

int clock_gettime(clockid_t which, struct timespec *now)
{
    int result = (int)syscall(SYS_clock_gettime, which, now);
    if (result == 0 && is_wall(which))
        now->tv_sec += seconds_in("clock");
    if (result == 0 && is_time(which))
        now->tv_sec += seconds_in("passed");
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec exact;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &exact);
    *now = (struct timeval){exact.tv_sec, exact.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}

int getaddrinfo(const char *restrict name, const char *restrict service,
                const struct addrinfo *restrict hints, struct addrinfo **restrict result)
{
    char text[8];
    if (order("no-dns", text, sizeof text) >= 0)
        return EAI_AGAIN;
    return REAL(getaddrinfo)(name && strcmp(name, "platform.test") == 0 ? "127.0.0.1" : name,
                             service, hints, result);
}

static int is_refused(const char *path)
{
    const char *state = getenv("FAULT_SHIM_STATE");
    char text[8];
    if (!state || strncmp(path, state, strlen(state)) != 0 ||
        order("read-only", text, sizeof text) < 0)
        return 0;
    errno = EROFS;
    return 1;
}

static int is_refused_fd(int fd)
{
    char link[64], path[PATH_MAX];
    if (!getenv("FAULT_SHIM_STATE"))
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length > 0 ? length : 0] = '\0';
    return is_refused(path);
}

static int open_checked(int (*real)(const char *, int, ...), const char *path, int flags,
                        mode_t mode)
{
    if ((flags & (O_WRONLY | O_RDWR | O_CREAT)) && is_refused(path))
        return -1;
    return real(path, flags, mode);
}

#define OPEN(name)                                                     \
    int name(const char *path, int flags, ...)                         \
    {                                                                  \
        va_list arguments;                                             \
        va_start(arguments, flags);                                    \
        mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0; \
        va_end(arguments);                                             \
        return open_checked(REAL(name), path, flags, mode);            \
    }
OPEN(open)
OPEN(open64)

ssize_t write(int fd, const void *bytes, size_t length)
{
    return is_refused_fd(fd) ? -1 : REAL(write)(fd, bytes, length);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at)
{
    return is_refused_fd(fd) ? -1 : REAL(pwrite64)(fd, bytes, length, at);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at)
{
    return is_refused_fd(fd) ? -1 : REAL(pwrite)(fd, bytes, length, at);
}

int rename(const char *from, const char *to)
{
    return is_refused(to) ? -1 : REAL(rename)(from, to);
}

int unlink(const char *path)
{
    return is_refused(path) ? -1 : REAL(unlink)(path);
}
