#define _GNU_SOURCE
/* A file system that hangs: while the file SLOW_FLAG exists, opening a file whose path
 * contains SLOW_PATH waits, and says so by making the file SLOW_FLAG.waiting. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

int open(const char *path, int flags, ...)
{
    int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
    const char *slow = getenv("SLOW_PATH"), *flag = getenv("SLOW_FLAG");
    char waiting[4096];
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    if (slow && flag && strstr(path, slow) && access(flag, F_OK) == 0) {
        snprintf(waiting, sizeof waiting, "%s.waiting", flag);
        close(real(waiting, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        while (access(flag, F_OK) == 0)
            usleep(1000);
    }
    return real(path, flags, mode);
}

/* open, in a program that was built with _FORTIFY_SOURCE */
int __open_2(const char *path, int flags)
{
    return open(path, flags);
}
