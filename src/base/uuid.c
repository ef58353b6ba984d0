#include "base/uuid.h"

#include <string.h>
#include <uuid/uuid.h>

/* A random UUID made once for this project; changing it would change every reply id. */
static const char namespace_text[] = "5b0e7c1c-35d7-4b0e-9d0b-6f2b1f3f8a11";

void uuid_random(char text[UUID_TEXT_SIZE])
{
    uuid_t id;
    uuid_generate_random(id);
    uuid_unparse_lower(id, text);
}

bool uuid_valid(const char *text)
{
    uuid_t id;
    return text && strlen(text) == UUID_TEXT_SIZE - 1 && uuid_parse(text, id) == 0;
}

void uuid_of_name(const char *name, char text[UUID_TEXT_SIZE])
{
    uuid_t space, id;
    uuid_parse(namespace_text, space);
    uuid_generate_sha1(id, space, name, strlen(name));
    uuid_unparse_lower(id, text);
}
