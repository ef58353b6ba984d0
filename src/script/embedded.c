#include "script/embedded.h"

#include <stdio.h>
#include <string.h>

const struct embedded_file *embedded_find(const char *name)
{
    for (const struct embedded_file *file = embedded_files; file->name; file++)
        if (strcmp(file->name, name) == 0)
            return file;
    return NULL;
}

const char *embedded_backends(void)
{
    static _Thread_local char names[512];
    static const char prefix[] = "molecule/backends/";
    size_t length = 0;
    /* the build sorts them */
    for (const struct embedded_file *file = embedded_files; file->name; file++) {
        size_t size = strlen(file->name);
        if (strncmp(file->name, prefix, sizeof prefix - 1) != 0 || length + size > sizeof names)
            continue;
        length += (size_t)snprintf(names + length, sizeof names - length, "%s%.*s",
                                   length ? ", " : "", (int)(size - sizeof prefix + 1 - 4),
                                   file->name + sizeof prefix - 1);
    }
    return names;
}
