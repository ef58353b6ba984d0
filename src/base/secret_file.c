#include "base/secret_file.h"

#include "base/log.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static atomic_bool is_strict;

void secret_file_set_strict(bool strict)
{
    is_strict = strict;
}

static bool is_open(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 && (about.st_mode & (S_IROTH | S_IWOTH)) != 0;
}

bool secret_file_refused(const char *path, const char *what, char *problem, size_t problem_size)
{
    if (!is_strict || !is_open(path))
        return false;
    snprintf(problem, problem_size,
             "other users may read %s, which has %s, and --strict refuses that: chmod 600 %s", path,
             what, path);
    return true;
}

bool secret_file_check(const char *path, const char *what, const char *workspace, char *problem,
                       size_t problem_size)
{
    if (secret_file_refused(path, what, problem, problem_size))
        return false;
    if (is_open(path))
        log_warn(LOG_SECRET_READABLE, workspace,
                 "other users may read %s, which has %s: chmod 600 %s", path, what, path);
    return true;
}

void secret_wipe_variable(const char *name)
{
    char *value = getenv(name);
    if (value) {
        log_hide(value);
        explicit_bzero(value, strlen(value));
    }
    unsetenv(name);
}
