#include "base/nearest.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#define WORD_MAXIMUM 64  /* bytes; a longer word is close to none */
#define PREFIX_MINIMUM 3 /* bytes that must be typed of a longer word */

static bool same(char a, char b)
{
    if (a == '-' || a == '_')
        return b == '-' || b == '_';
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Letters that are missing, too many, wrong, or swapped with the next one. */
static size_t distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
    size_t rows[3][WORD_MAXIMUM + 1];
    for (size_t j = 0; j <= b_length; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        size_t *row = rows[i % 3], *before = rows[(i + 2) % 3], *two_before = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            row[j] = least(least(before[j], row[j - 1]) + 1,
                           before[j - 1] + !same(a[i - 1], b[j - 1]));
            if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
                row[j] = least(row[j], two_before[j - 2] + 1);
        }
    }
    return rows[a_length % 3][b_length];
}

void nearest_offer(struct nearest *nearest, const char *candidate)
{
    size_t length = strlen(nearest->word), other = strlen(candidate);
    if (length == 0 || length > WORD_MAXIMUM || other > WORD_MAXIMUM)
        return;
    size_t found = distance(nearest->word, length, candidate, other),
           most = length < 3 ? 1 : (length + 1) / 3;
    bool begins = length >= PREFIX_MINIMUM && other > length &&
                  distance(nearest->word, length, candidate, length) == 0;
    if (found > most && begins)
        found = most; /* a prefix of a long word */
    if (found > most || found >= least(length, other) ||
        (nearest->best && found >= nearest->distance))
        return;
    nearest->best = candidate;
    nearest->distance = found;
}
