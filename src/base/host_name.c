#include "base/host_name.h"

#include <ctype.h>
#include <string.h>

#define LABEL_MAXIMUM 63

static const char *label_problem(const char *text, size_t length)
{
    if (length == 0)
        return "has an empty part";
    if (length > LABEL_MAXIMUM)
        return "has a part of more than 63 characters";
    if (text[0] == '-' || text[length - 1] == '-')
        return "has a part that begins or ends with \"-\"";
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] >= 0x80)
            return "is not ASCII; write it as DNS has it (xn--…)";
        else if (!isalnum((unsigned char)text[i]) && text[i] != '-')
            return "is not a host name: letters, digits, \"-\" and \".\", without a port";
    return NULL;
}

static const char *find_problem(const char *text, size_t length)
{
    if (length > 0 && text[length - 1] == '.')
        length--;
    if (length == 0)
        return "is empty";
    if (length >= HOST_NAME_SIZE)
        return "has more than 253 characters";
    for (size_t from = 0; from <= length;) {
        const char *dot = memchr(text + from, '.', length - from);
        size_t end = dot ? (size_t)(dot - text) : length;
        const char *problem = label_problem(text + from, end - from);
        if (problem)
            return problem;
        from = end + 1;
    }
    return NULL;
}

const char *host_name_problem(const char *text)
{
    return find_problem(text, strlen(text));
}

bool host_name_take(const char *text, size_t length, char name[HOST_NAME_SIZE])
{
    const char *colon = memchr(text, ':', length);
    if (colon)
        length = (size_t)(colon - text);
    name[0] = '\0';
    if (find_problem(text, length))
        return false;
    length -= text[length - 1] == '.';
    for (size_t i = 0; i < length; i++)
        name[i] = (char)tolower((unsigned char)text[i]);
    name[length] = '\0';
    return true;
}
