#include "base/uuid.h"

#include <ctype.h>
#include <nettle/sha1.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define SIZE 16 /* bytes of a UUID */

/* 5b0e7c1c-35d7-4b0e-9d0b-6f2b1f3f8a11, a random UUID made once for this project; changing it would
 * change every reply id. */
static const uint8_t name_space[SIZE] = {0x5b, 0x0e, 0x7c, 0x1c, 0x35, 0xd7, 0x4b, 0x0e,
                                         0x9d, 0x0b, 0x6f, 0x2b, 0x1f, 0x3f, 0x8a, 0x11};

static bool dash_before(size_t byte)
{
    return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

/* With its version and its variant (RFC 9562 4.1, 4.2). */
static void write_text(uint8_t id[SIZE], unsigned version, char text[UUID_TEXT_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    id[6] = (uint8_t)((id[6] & 0x0f) | version << 4);
    id[8] = (id[8] & 0x3f) | 0x80;
    for (size_t i = 0; i < SIZE; i++) {
        if (dash_before(i))
            *text++ = '-';
        *text++ = digits[id[i] >> 4];
        *text++ = digits[id[i] & 15];
    }
    *text = '\0';
}

void uuid_random(char text[UUID_TEXT_SIZE])
{
    uint8_t id[SIZE];
    if (uv_random(NULL, NULL, id, sizeof id, 0, NULL) != 0)
        abort(); /* a kernel without getrandom and /dev/urandom */
    write_text(id, 4, text);
}

bool uuid_valid(const char *text)
{
    if (!text || strlen(text) != UUID_TEXT_SIZE - 1)
        return false;
    for (size_t i = 0; i < SIZE; i++) {
        if (dash_before(i) && *text++ != '-')
            return false;
        if (!isxdigit((unsigned char)text[0]) || !isxdigit((unsigned char)text[1]))
            return false;
        text += 2;
    }
    return true;
}

void uuid_of_name(const char *name, char text[UUID_TEXT_SIZE])
{
    struct sha1_ctx hash;
    uint8_t id[SIZE]; /* the first bytes of it */
    sha1_init(&hash);
    sha1_update(&hash, sizeof name_space, name_space);
    sha1_update(&hash, strlen(name), (const uint8_t *)name);
    sha1_digest(&hash, sizeof id, id);
    write_text(id, 5, text);
}
