/* One option as data: what it takes, and how a text becomes the member of a structure. Tables of
 * these come from lines like those of include/molecule/options.def. */
#ifndef MOLECULE_BASE_OPTION_H
#define MOLECULE_BASE_OPTION_H

#include "molecule/options.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* options.def says what each takes and which member it fills. */
enum option_type {
    OPTION_FLAG,
    OPTION_TEXT, /* borrowed */
    OPTION_PATH, /* borrowed */
    OPTION_EITHER,
    OPTION_CHOICE, /* borrowed */
    OPTION_NUMBER,
    OPTION_DURATION,
    OPTION_MILLISECONDS,
    OPTION_SECONDS,
    OPTION_SIZE,
    OPTION_PAIRS, /* copied */
    OPTION_LIST   /* its texts are borrowed */
};

struct option {
    const char *name; /* without "--" */
    char letter;      /* 0: none */
    enum option_type type;
    const char *argument;    /* what --help calls its value; NULL for flags */
    const char *standard;    /* the default, as it would be typed; NULL: none */
    const char *environment; /* used when the flag is not given; NULL: none */
    const char *key;         /* in a fleet file; NULL: it has no place there */
    const char *help;
    size_t offset, size;      /* of the member; of the pointer to the first pair or item */
    size_t count_offset;      /* of the member with their number */
    int64_t minimum, maximum; /* maximum 0: none */
};

/* A line as a row of a table. `member` may lead into a structure within the structure. */
#define OPTION_ROW(structure, kind, member, flag, text, ...)                                       \
    {                                                                                              \
        .name = flag, .type = OPTION_##kind, .help = text, OPTION_PLACE_##kind(structure, member), \
        __VA_ARGS__                                                                                \
    }
#define OPTION_ONE(structure, member) \
    .offset = offsetof(structure, member), .size = sizeof(((structure *)NULL)->member)
#define OPTION_SEVERAL(structure, member) \
    .offset = offsetof(structure, member##s), .count_offset = offsetof(structure, member##_count)
#define OPTION_PLACE_FLAG OPTION_ONE
#define OPTION_PLACE_TEXT OPTION_ONE
#define OPTION_PLACE_PATH OPTION_ONE
#define OPTION_PLACE_EITHER OPTION_ONE
#define OPTION_PLACE_CHOICE OPTION_ONE
#define OPTION_PLACE_NUMBER(structure, member) OPTION_ONE(structure, member), .argument = "N"
#define OPTION_PLACE_DURATION(structure, member) OPTION_ONE(structure, member), .argument = "TIME"
#define OPTION_PLACE_MILLISECONDS OPTION_PLACE_DURATION
#define OPTION_PLACE_SECONDS OPTION_PLACE_DURATION
#define OPTION_PLACE_SIZE(structure, member) OPTION_ONE(structure, member), .argument = "SIZE"
#define OPTION_PLACE_PAIRS(structure, member) OPTION_SEVERAL(structure, member), .argument = "K=V"
#define OPTION_PLACE_LIST OPTION_SEVERAL

/* Why the option does not take this text, or NULL after storing it. */
const char *option_set(const struct option *option, const char *text, void *values);
/* Why the number that the structure holds is out of bounds, or NULL; always NULL for options that
 * are not numbers. */
const char *option_find_problem(const struct option *option, const void *values);
/* How many values the structure holds for it: of pairs and lists their number, else 1, or 0 where
 * the member says that nothing was given. */
size_t option_count(const struct option *option, const void *values);
/* One of them as it would be typed, "30s" or "64MiB"; yours to free. */
char *option_text(const struct option *option, const void *values, size_t index);
/* Frees pairs and lists; other members are left alone. */
void option_free(const struct option *option, void *values);

#endif
