#include "base/shell.h"

#include "base/memory.h"

#include <stdbool.h>
#include <string.h>

static bool is_plain(const char *word)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_./:,@%+=";
    return *word && strspn(word, plain) == strlen(word);
}

char *shell_word(const char *word)
{
    if (is_plain(word))
        return memory_copy_text(word);
    char *quoted = memory_allocate(4 * strlen(word) + 3), *out = quoted;
    *out++ = '\'';
    for (; *word; word++) {
        if (*word == '\'') {
            memcpy(out, "'\\''", 4);
            out += 4;
        } else {
            *out++ = *word;
        }
    }
    *out = '\'';
    return quoted;
}
