#include "base/limits.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#define WANTED_MAXIMUM 64

bool limits_allow_files(int wanted, char *problem, size_t problem_size)
{
    int files[WANTED_MAXIMUM], opened = 0;
    while (opened < wanted && opened < WANTED_MAXIMUM &&
           (files[opened] = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3)) >= 0)
        opened++;
    for (int i = 0; i < opened; i++)
        close(files[i]);
    if (opened == wanted)
        return true;
    struct rlimit limit = {0};
    getrlimit(RLIMIT_NOFILE, &limit);
    snprintf(problem, problem_size,
             "only %d more files may be opened, but at least %d are needed: raise the limit, which "
             "is %llu (ulimit -n, LimitNOFILE=)",
             opened, wanted, (unsigned long long)limit.rlim_cur);
    return false;
}
