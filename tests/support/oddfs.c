/* Preloaded into a host under test: a file system that cannot do what others can. $ODDFS_DIRECTORY
 * says below which directory, $ODDFS names what it lacks: maps (no shared memory maps, as 9p,
 * virtiofs and exFAT), directory-sync and sync (fsync of a directory, of anything), flock, locks
 * (those of fcntl too), modes (chmod changes nothing), sockets, links. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int lacks(const char *what)
{
    const char *all = getenv("ODDFS"), *found = all ? strstr(all, what) : NULL;
    return found && (found == all || found[-1] == ',') &&
           (found[strlen(what)] == ',' || found[strlen(what)] == '\0');
}

static int is_below(const char *path)
{
    const char *directory = getenv("ODDFS_DIRECTORY");
    return directory && strncmp(path, directory, strlen(directory)) == 0;
}

static int is_odd(int fd)
{
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = '\0';
    return is_below(path);
}

static int fail(int error)
{
    errno = error;
    return -1;
}

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    if (fd >= 0 && (flags & MAP_SHARED) && lacks("maps") && is_odd(fd)) {
        errno = ENODEV;
        return MAP_FAILED;
    }
    return REAL(mmap)(address, length, protection, flags, fd, offset);
}

void *mmap64(void *address, size_t length, int protection, int flags, int fd, off64_t offset)
{
    return mmap(address, length, protection, flags, fd, offset);
}

int flock(int fd, int operation)
{
    return lacks("flock") && is_odd(fd) ? fail(ENOSYS) : REAL(flock)(fd, operation);
}

int fsync(int fd)
{
    struct stat status;
    if (lacks("directory-sync") && is_odd(fd) && fstat(fd, &status) == 0 && S_ISDIR(status.st_mode))
        return fail(EINVAL);
    return lacks("sync") && is_odd(fd) ? fail(ENOSYS) : REAL(fsync)(fd);
}

int fchmod(int fd, mode_t mode)
{
    return lacks("modes") && is_odd(fd) ? 0 : REAL(fchmod)(fd, mode);
}

int bind(int fd, const struct sockaddr *address, socklen_t length)
{
    return lacks("sockets") && address->sa_family == AF_UNIX ? fail(EPERM)
                                                             : REAL(bind)(fd, address, length);
}

int link(const char *from, const char *to)
{
    return lacks("links") && is_below(to) ? fail(EPERM) : REAL(link)(from, to);
}

int fcntl64(int fd, int command, ...)
{
    va_list more;
    va_start(more, command);
    void *argument = va_arg(more, void *);
    va_end(more);
    int locks = command == F_SETLK || command == F_SETLKW || command == F_GETLK ||
                command == F_OFD_SETLK;
    return locks && lacks("locks") && is_odd(fd) ? fail(ENOLCK)
                                                 : REAL(fcntl64)(fd, command, argument);
}

int fcntl(int fd, int command, ...)
{
    va_list more;
    va_start(more, command);
    void *argument = va_arg(more, void *);
    va_end(more);
    return fcntl64(fd, command, argument);
}
