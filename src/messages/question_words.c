#include "messages/question_words.h"

#include "base/memory.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SHORT_BYTES 60 /* of another question's text */

void question_code(char code[QUESTION_CODE_LENGTH + 1], unsigned long long random)
{
    static const char letters[] = "ABCDEFGHJKMNPQRSTUVWXYZ23456789";
    const size_t count = sizeof letters - 1, digits = 8;
    for (size_t i = 0; i < QUESTION_CODE_LENGTH; i++) {
        /* a letter, a digit, and what comes: neither a word nor a number */
        size_t first = i == 1 ? count - digits : 0, last = i == 0 ? count - digits : count;
        code[i] = letters[first + random % (last - first)];
        random /= last - first;
    }
    code[QUESTION_CODE_LENGTH] = '\0';
}

static const char *skip_spaces(const char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    return text;
}

const char *question_after_code(const char *text, const char *code)
{
    size_t length = strlen(code);
    text = skip_spaces(text);
    if (strncasecmp(text, code, length) != 0)
        return NULL;
    const char *after = text + length;
    if (*after == ':')
        after++;
    else if (*after && !isspace((unsigned char)*after))
        return NULL;
    return skip_spaces(after);
}

/* The next byte that counts, in lower case; '\0': the end. */
static char next_counted(const char **at)
{
    const char *here = skip_spaces(*at);
    *at = *here ? here + 1 : here;
    return (char)tolower((unsigned char)*here);
}

/* 0: the choice does not begin with the text; 1: it does; 2: it is the text. */
static int compare(const char *choice, const char *text)
{
    for (;;) {
        char wanted = next_counted(&choice), given = next_counted(&text);
        if (!given)
            return wanted ? 1 : 2;
        if (given != wanted)
            return 0;
    }
}

const char *question_choice(const json_t *choices, const char *text)
{
    const char *found = NULL;
    size_t i, count = 0;
    json_t *choice;
    if (!*skip_spaces(text))
        return NULL;
    json_array_foreach (choices, i, choice) {
        int alike = compare(json_string_value(choice), text);
        if (alike == 2)
            return json_string_value(choice);
        if (alike == 1) {
            found = json_string_value(choice);
            count++;
        }
    }
    return count == 1 ? found : NULL;
}

/* Takes `text`. */
static char *add(char *text, const char *more)
{
    char *both = memory_join(text, "", more);
    free(text);
    return both;
}

static char *add_choices(char *text, const json_t *choices)
{
    size_t i, count = json_array_size(choices);
    json_t *choice;
    json_array_foreach (choices, i, choice) {
        text = add(text, i == 0 ? "" : i + 1 < count ? ", " : " or ");
        text = add(text, json_string_value(choice));
    }
    return text;
}

static char *add_open(char *text, const json_t *open)
{
    size_t i;
    json_t *each;
    json_array_foreach (open, i, each) {
        const char *words = json_string_value(json_object_get(each, "text"));
        size_t length = strcspn(words, "\n");
        bool cut = length > SHORT_BYTES || words[length];
        if (length > SHORT_BYTES)
            for (length = SHORT_BYTES; ((unsigned char)words[length] & 0xC0) == 0x80; length--) {}
        char *line = memory_format("\n%s: %.*s%s", json_string_value(json_object_get(each, "code")),
                                   (int)length, words, cut ? "…" : "");
        text = add(text, line);
        free(line);
    }
    return text;
}

char *question_announce(const char *text, const json_t *choices, const char *code,
                        const json_t *others)
{
    char *words = memory_copy_text(text);
    bool many = json_array_size(others) > 0;
    if (choices) {
        words = add_choices(add(words, "\n\nPlease answer "), choices);
        words = add(words, ".");
    }
    if (!code)
        return words;
    char *line = memory_format("%s(Question %s%s)", choices ? " " : "\n\n", code,
                               many ? ". Others are open too, so begin your answer with its code."
                                    : "");
    words = add(words, line);
    free(line);
    return many ? add_open(words, others) : words;
}

char *question_hint(const json_t *choices)
{
    return add(add_choices(memory_copy_text("Please answer "), choices), ".");
}

char *question_which(const json_t *open)
{
    return add_open(memory_copy_text("Several questions are open. Please begin your answer with "
                                     "the code of the one you mean:"),
                    open);
}
