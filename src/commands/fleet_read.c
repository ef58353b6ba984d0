#include "commands/fleet_read.h"

#include "state/atomic_file.h"

#include <stdio.h>
#include <string.h>

#define SIZE_MAXIMUM ((size_t)16 << 20)

bool fleet_read(struct fleet_file *file, const char *path, char *problem, size_t problem_size)
{
    size_t length;
    int error = 0;
    *file = (struct fleet_file){0};
    char *text = atomic_file_read(path, SIZE_MAXIMUM, &length, &error);
    if (text)
        return fleet_file_run(file, path, text, length, problem, problem_size);
    snprintf(problem, problem_size, "the fleet file %s cannot be read: %s", path, strerror(error));
    return false;
}
