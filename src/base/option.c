#include "base/option.h"

#include "base/clock.h"
#include "base/memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNIT_EXPECTED_BELOW 4096 /* bytes */
#define PROBLEM_SIZE 160

/* --- numbers --- */

static bool parse_size(const char *text, int64_t *bytes)
{
    static const struct {
        const char *unit;
        int64_t scale;
    } units[] = {{"", 1},        {"B", 1},         {"K", 1024},    {"KiB", 1024},
                 {"M", 1 << 20}, {"MiB", 1 << 20}, {"G", 1 << 30}, {"GiB", 1 << 30}};
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (end == text || errno || number < 0)
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcmp(end, units[i].unit) == 0 && number <= INT64_MAX / units[i].scale) {
            *bytes = number * units[i].scale;
            return true;
        }
    return false;
}

static bool parse_number(const char *text, int64_t *number)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    *number = value;
    return end != text && !*end && !errno;
}

/* A plain number counts in `unit_ms`, a duration has units. In milliseconds. */
static bool parse_time(const char *text, int64_t unit_ms, int64_t *milliseconds)
{
    int64_t number;
    if (!parse_number(text, &number))
        return strpbrk(text, "dhms") && clock_parse_duration(text, milliseconds);
    if (number > INT64_MAX / unit_ms || number < INT64_MIN / unit_ms)
        return false;
    *milliseconds = number * unit_ms;
    return true;
}

static bool parse(enum option_type type, const char *text, int64_t *number)
{
    bool parsed = false;
    switch (type) {
    case OPTION_NUMBER: return parse_number(text, number);
    case OPTION_DURATION: return clock_parse_duration(text, number);
    case OPTION_MILLISECONDS: return parse_time(text, 1, number);
    case OPTION_SIZE: return parse_size(text, number);
    case OPTION_SECONDS:
        parsed = parse_time(text, 1000, number);
        *number = (*number + 999) / 1000;
        return parsed;
    default: return false;
    }
}

static const char *wanted(enum option_type type)
{
    switch (type) {
    case OPTION_DURATION:
        return "takes a duration like 250ms, 30s, 5m or 2h; a plain number means seconds";
    case OPTION_MILLISECONDS:
        return "takes a duration like 250ms, 30s or 5m; a plain number means milliseconds";
    case OPTION_SECONDS: return "takes a duration like 30s, 5m or 2h; a plain number means seconds";
    case OPTION_SIZE: return "takes a size like 64MiB";
    default: return "takes a whole number";
    }
}

static const char *unit_of(enum option_type type)
{
    return type == OPTION_DURATION || type == OPTION_MILLISECONDS ? " ms"
           : type == OPTION_SECONDS                               ? " s"
           : type == OPTION_SIZE                                  ? " bytes"
                                                                  : "";
}

static const char *check_bounds(const struct option *option, int64_t number)
{
    static char problem[PROBLEM_SIZE];
    const char *unit = unit_of(option->type);
    if (number >= option->minimum && (!option->maximum || number <= option->maximum))
        return NULL;
    if (option->maximum)
        snprintf(problem, sizeof problem, "must be between %lld and %lld%s",
                 (long long)option->minimum, (long long)option->maximum, unit);
    else
        snprintf(problem, sizeof problem, "must be at least %lld%s", (long long)option->minimum,
                 unit);
    return problem;
}

/* --- members --- */

static void *member_of(const struct option *option, void *values)
{
    return (char *)values + option->offset;
}

static size_t *count_of(const struct option *option, void *values)
{
    return (size_t *)(void *)((char *)values + option->count_offset);
}

/* As wide as the member. */
static void store_number(const struct option *option, int64_t number, void *values)
{
    void *member = member_of(option, values);
    if (option->size == sizeof(int32_t))
        *(int32_t *)member = (int32_t)number;
    else
        *(int64_t *)member = number;
}

static const char *set_flag(bool *member, const char *text)
{
    *member = *text == 't' || *text == '1';
    return strcmp(text, "true") == 0 || strcmp(text, "1") == 0 || strcmp(text, "false") == 0 ||
                   strcmp(text, "0") == 0
               ? NULL
               : "is true or false";
}

/* Whether `text` is one of the words of .argument, "a|b|c". */
static bool is_choice(const char *argument, const char *text)
{
    size_t length = strcspn(text, "|");
    while (strncmp(argument, text, length) != 0 || !strchr("|", argument[length])) {
        argument += strcspn(argument, "|");
        if (!*argument++)
            return false;
    }
    return length > 0 && !text[length];
}

/* "is a, b or c" */
static const char *name_choices(const char *argument)
{
    static char problem[PROBLEM_SIZE];
    size_t length = 0;
    const char *between = "is ";
    for (const char *word = argument; length < sizeof problem;) {
        int size = (int)strcspn(word, "|");
        length += (size_t)snprintf(problem + length, sizeof problem - length, "%s%.*s", between,
                                   size, word);
        if (!word[size])
            break;
        word += size + 1;
        between = strchr(word, '|') ? ", " : " or ";
    }
    return problem;
}

static const char *set_either(const struct option *option, bool *member, const char *text)
{
    size_t first = strcspn(option->argument, "|");
    *member = strlen(text) == first && strncmp(text, option->argument, first) == 0;
    return is_choice(option->argument, text) ? NULL : name_choices(option->argument);
}

static const char *set_choice(const struct option *option, const char **member, const char *text)
{
    *member = text;
    return is_choice(option->argument, text) ? NULL : name_choices(option->argument);
}

static const char *add_pair(const struct option *option, const char *text, void *values)
{
    struct molecule_option **pairs = member_of(option, values);
    size_t *count = count_of(option, values);
    const char *equals = strchr(text, '=');
    if (!equals || equals == text)
        return "takes NAME=VALUE";
    *pairs = memory_resize(*pairs, (*count + 1) * sizeof **pairs);
    (*pairs)[*count].name = memory_copy(text, (size_t)(equals - text));
    (*pairs)[*count].value = memory_copy_text(equals + 1);
    ++*count;
    return NULL;
}

static const char *add_item(const struct option *option, const char *text, void *values)
{
    const char ***items = member_of(option, values);
    size_t *count = count_of(option, values);
    *items = memory_resize(*items, (*count + 1) * sizeof **items);
    (*items)[(*count)++] = text;
    return *text ? NULL : "must not be empty";
}

/* A few bytes, without a unit, are no size of anything that has one. */
static const char *check_unit(const struct option *option, const char *text, int64_t number)
{
    static char problem[PROBLEM_SIZE];
    if (option->type != OPTION_SIZE || number == 0 || number >= UNIT_EXPECTED_BELOW ||
        text[strspn(text, "0123456789")])
        return NULL;
    snprintf(problem, sizeof problem, "would be %lld bytes; did you mean %lldMiB?",
             (long long)number, (long long)number);
    return problem;
}

const char *option_set(const struct option *option, const char *text, void *values)
{
    void *member = member_of(option, values);
    int64_t number = 0;
    switch (option->type) {
    case OPTION_FLAG: return set_flag(member, text);
    case OPTION_EITHER: return set_either(option, member, text);
    case OPTION_CHOICE: return set_choice(option, member, text);
    case OPTION_PAIRS: return add_pair(option, text, values);
    case OPTION_LIST: return add_item(option, text, values);
    case OPTION_TEXT:
    case OPTION_PATH: *(const char **)member = text; return *text ? NULL : "must not be empty";
    default: break;
    }
    if (!parse(option->type, text, &number))
        return wanted(option->type);
    const char *problem = check_bounds(option, number);
    if (!problem)
        problem = check_unit(option, text, number);
    if (!problem)
        store_number(option, number, values);
    return problem;
}

/* --- back to texts --- */

static bool is_number(const struct option *option)
{
    switch (option->type) {
    case OPTION_NUMBER:
    case OPTION_DURATION:
    case OPTION_MILLISECONDS:
    case OPTION_SECONDS:
    case OPTION_SIZE: return true;
    default: return false;
    }
}

static int64_t number_of(const struct option *option, const void *values)
{
    const void *member = (const char *)values + option->offset;
    return option->size == sizeof(int32_t) ? *(const int32_t *)member : *(const int64_t *)member;
}

const char *option_find_problem(const struct option *option, const void *values)
{
    int64_t number = is_number(option) ? number_of(option, values) : 0;
    bool given = is_number(option) && (number != 0 || option->standard);
    return given ? check_bounds(option, number) : NULL;
}

size_t option_count(const struct option *option, const void *values)
{
    const char *member = (const char *)values + option->offset;
    switch (option->type) {
    case OPTION_PAIRS:
    case OPTION_LIST:
        return *(const size_t *)(const void *)((const char *)values + option->count_offset);
    case OPTION_TEXT:
    case OPTION_PATH:
    case OPTION_CHOICE: return *(const char *const *)(const void *)member != NULL;
    default: return !is_number(option) || number_of(option, values) != 0 || option->standard;
    }
}

/* In the largest unit that leaves nothing over. */
static char *unit_text(int64_t number, const int64_t *scales, const char *const *units)
{
    while (*scales > 1 && (number == 0 || number % *scales != 0))
        scales++, units++;
    return memory_format("%lld%s", (long long)(number / *scales), *units);
}

static char *number_text(const struct option *option, int64_t number)
{
    static const int64_t times[] = {3600000, 60000, 1000, 1}, sizes[] = {1 << 30, 1 << 20, 1024, 1};
    static const char *const time_units[] = {"h", "m", "s", "ms"};
    static const char *const size_units[] = {"GiB", "MiB", "KiB", "B"};
    if (number == 0 || option->type == OPTION_NUMBER)
        return memory_format("%lld", (long long)number);
    if (option->type == OPTION_SIZE)
        return unit_text(number, sizes, size_units);
    return unit_text(option->type == OPTION_SECONDS ? number * 1000 : number, times, time_units);
}

char *option_text(const struct option *option, const void *values, size_t index)
{
    const char *member = (const char *)values + option->offset;
    const struct molecule_option *pair;
    bool is_true;
    switch (option->type) {
    case OPTION_FLAG: return memory_copy_text(*(const bool *)member ? "true" : "false");
    case OPTION_EITHER:
        is_true = *(const bool *)member;
        return is_true ? memory_copy(option->argument, strcspn(option->argument, "|"))
                       : memory_copy_text(strchr(option->argument, '|') + 1);
    case OPTION_PAIRS:
        pair = *(const struct molecule_option *const *)(const void *)member + index;
        return memory_join(pair->name, "=", pair->value);
    case OPTION_LIST:
        return memory_copy_text((*(const char *const *const *)(const void *)member)[index]);
    case OPTION_TEXT:
    case OPTION_PATH:
    case OPTION_CHOICE: return memory_copy_text(*(const char *const *)(const void *)member);
    default: return number_text(option, number_of(option, values));
    }
}

void option_free(const struct option *option, void *values)
{
    if (option->type != OPTION_PAIRS && option->type != OPTION_LIST)
        return;
    void **first = member_of(option, values);
    size_t *count = count_of(option, values);
    for (size_t i = 0; option->type == OPTION_PAIRS && i < *count; i++) {
        struct molecule_option *pair = (struct molecule_option *)*first + i;
        free((char *)pair->name);
        memory_wipe((char *)pair->value); /* it may be a key */
    }
    free(*first);
    *first = NULL;
    *count = 0;
}
