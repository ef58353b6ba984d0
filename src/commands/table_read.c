#include "commands/table_read.h"

#include "state/atomic_file.h"

#include <stdio.h>
#include <string.h>

#define SIZE_MAXIMUM ((size_t)16 << 20)

bool table_read(struct table_file *file, const struct table_kind *kind, const char *path,
                char *problem, size_t problem_size)
{
    size_t length;
    int error = 0;
    *file = (struct table_file){0};
    char *text = atomic_file_read(path, SIZE_MAXIMUM, &length, &error);
    if (text)
        return table_file_run(file, kind, path, text, length, problem, problem_size);
    snprintf(problem, problem_size, "the %s %s cannot be read: %s", kind->name, path,
             strerror(error));
    return false;
}
