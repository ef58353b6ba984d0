#include "base/memory.h"

#include "base/output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *checked(void *block, size_t size)
{
    if (!block && size > 0) {
        char line[128];
        int length = snprintf(
            line, sizeof line,
            "molecule: out of memory (%zu bytes); the state on disk is safe, start again\n", size);
        output_write(STDERR_FILENO, line, (size_t)length);
        output_flush();
        abort();
    }
    return block;
}

void *memory_allocate(size_t size)
{
    return checked(calloc(1, size ? size : 1), size);
}

void *memory_resize(void *block, size_t size)
{
    return checked(realloc(block, size), size);
}

char *memory_copy(const void *bytes, size_t length)
{
    char *copy = checked(malloc(length + 1), length + 1);
    if (length > 0)
        memcpy(copy, bytes, length);
    copy[length] = '\0';
    return copy;
}

char *memory_copy_text(const char *text)
{
    return text ? memory_copy(text, strlen(text)) : NULL;
}

char *memory_join_all(const char *const texts[])
{
    size_t length = 0;
    for (const char *const *text = texts; *text; text++)
        length += strlen(*text);
    char *joined = checked(malloc(length + 1), length + 1), *end = joined;
    for (const char *const *text = texts; *text; text++)
        end = stpcpy(end, *text);
    return joined;
}

char *memory_format(const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    return checked(length < 0 ? NULL : text, 1);
}

void memory_wipe(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}
