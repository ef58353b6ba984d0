#include "base/uuid.h"

#include <string.h>
#include <uuid/uuid.h>

/* 5b0e7c1c-35d7-4b0e-9d0b-6f2b1f3f8a11, a random UUID made once for this project; changing it would
 * change every reply id. */
static const uuid_t name_space = {0x5b, 0x0e, 0x7c, 0x1c, 0x35, 0xd7, 0x4b, 0x0e,
                                  0x9d, 0x0b, 0x6f, 0x2b, 0x1f, 0x3f, 0x8a, 0x11};

/* As uuid_unparse_lower, which prints. */
static void write_text(const uuid_t id, char text[UUID_TEXT_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < sizeof(uuid_t); i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *text++ = '-';
        *text++ = digits[id[i] >> 4];
        *text++ = digits[id[i] & 15];
    }
    *text = '\0';
}

void uuid_random(char text[UUID_TEXT_SIZE])
{
    uuid_t id;
    uuid_generate_random(id);
    write_text(id, text);
}

bool uuid_valid(const char *text)
{
    uuid_t id;
    return text && strlen(text) == UUID_TEXT_SIZE - 1 && uuid_parse(text, id) == 0;
}

void uuid_of_name(const char *name, char text[UUID_TEXT_SIZE])
{
    uuid_t id;
    uuid_generate_sha1(id, name_space, name, strlen(name));
    write_text(id, text);
}
