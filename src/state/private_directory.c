#include "state/private_directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OTHERS (S_IRWXG | S_IRWXO)

/* What the files of this folder, and SQLite, create. */
static bool is_ours(const char *name)
{
    static const char *const endings[] = {".json",       ".db",      ".db-wal", ".db-shm",
                                          ".db-journal", ".runs",    ".sock",   ".lock",
                                          ".token",      ".inbound", ".files"};
    static const char *const marks[] = {".tmp-", ".json.reset", ".damaged-", ".replaced-"};
    size_t length = strlen(name);
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return true;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (length > strlen(endings[i]) &&
            strcmp(name + length - strlen(endings[i]), endings[i]) == 0)
            return true;
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (strstr(name, marks[i]))
            return true;
    return false;
}

static bool holds_only_ours(int fd)
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = copy >= 0 ? fdopendir(copy) : NULL;
    bool ours = stream != NULL;
    for (struct dirent *entry; ours && (entry = readdir(stream));)
        ours = is_ours(entry->d_name);
    if (stream)
        closedir(stream);
    else if (copy >= 0)
        close(copy);
    return ours;
}

/* A file system without modes shows every file with the mount's mode. */
static enum private_directory tighten(int fd, const char *path, struct stat *status, char *problem,
                                      size_t problem_size)
{
    bool changed = fchmod(fd, status->st_mode & 07700) == 0 && fstat(fd, status) == 0 &&
                   !(status->st_mode & OTHERS);
    if (!changed)
        snprintf(problem, problem_size,
                 "the directory %s is accessible to others (mode %03o) and would hold a token, and "
                 "its mode cannot be changed: mount its file system with umask=077, or choose "
                 "another with --state-dir",
                 path, (unsigned)status->st_mode & 07777u);
    return changed ? PRIVATE_DIRECTORY_TIGHTENED : PRIVATE_DIRECTORY_REFUSED;
}

enum private_directory private_directory_check(const char *path, char *problem, size_t problem_size)
{
    struct stat status;
    enum private_directory result = PRIVATE_DIRECTORY_REFUSED;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0) {
        snprintf(problem, problem_size, "cannot open the directory %s: %s", path, strerror(errno));
    } else if (!(status.st_mode & OTHERS)) {
        result = PRIVATE_DIRECTORY_FINE;
    } else if (status.st_uid == geteuid() && holds_only_ours(fd)) {
        result = tighten(fd, path, &status, problem, problem_size);
    } else {
        snprintf(problem, problem_size,
                 "the directory %s is accessible to others (mode %03o) and would hold a token: "
                 "choose one that only molecule uses, or make it private: chmod 700 %s",
                 path, (unsigned)status.st_mode & 07777u, path);
    }
    if (fd >= 0)
        close(fd);
    return result;
}
