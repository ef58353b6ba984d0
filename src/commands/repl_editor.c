#include "commands/repl_editor.h"

#include "base/buffer.h"
#include "base/memory.h"
#include "base/output.h"
#include "commands/repl_history.h"

#include <dlfcn.h>
#include <errno.h>
#include <histedit.h>
#include <locale.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>

#define LIBRARY "libedit.so.2" /* the Debian package libedit2 */
#define HISTORY_LINES 1000
#define LIST_WIDTH 78

#define FUNCTIONS(X) \
    X(el_init)       \
    X(el_end)        \
    X(el_set)        \
    X(el_get)        \
    X(el_gets)       \
    X(el_line)       \
    X(el_insertstr)  \
    X(el_wset)       \
    X(el_resize)     \
    X(el_source)     \
    X(history_init)  \
    X(history_end)   \
    X(history)

struct library {
#define X(name) __typeof__(name) *name;
    FUNCTIONS(X)
#undef X
};

struct repl_editor {
    struct library edit;
    const struct repl_lines_options *options;
    EditLine *line;
    History *history;
    char *history_path; /* NULL: the history is not kept */
    FILE *out, *errors; /* libedit's: stdout may not be a file any more */
    locale_t locale;
    const char *prompt;
    char *text;            /* the line that was read last */
    enum repl_event event; /* why there is no line */
};

static bool load_library(struct library *library, char *problem, size_t size)
{
    void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        snprintf(problem, size, "%s; install libedit2", dlerror());
        return false;
    }
#define X(name)                                                  \
    if (!(*(void **)&library->name = dlsym(handle, #name))) {    \
        snprintf(problem, size, "%s has no %s", LIBRARY, #name); \
        return false;                                            \
    }
    FUNCTIONS(X)
#undef X
    return true;
}

/* The one that is open: what libedit calls gets a line of the library's, not an editor. */
static _Thread_local struct repl_editor *current;

/* --- libedit's callbacks --- */

static char *give_prompt(EditLine *line)
{
    (void)line;
    return (char *)current->prompt;
}

/* What another thread wants. false: there is no line any more. */
static bool obey(struct repl_editor *editor)
{
    editor->event = editor->options->look(editor->options->context);
    if (editor->event == REPL_REDRAW) {
        output_flush();
        fputc('\r', editor->out);
        editor->edit.el_set(editor->line, EL_PREP_TERM, 0); /* it may have been changed meanwhile */
        editor->edit.el_set(editor->line, EL_PREP_TERM, 1);
        editor->edit.el_resize(editor->line);
        editor->edit.el_set(editor->line, EL_REFRESH);
    }
    return editor->event != REPL_END && editor->event != REPL_INTERRUPTED;
}

/* 1: a byte; 0: the end; -1: there is no line any more. */
static int read_byte(struct repl_editor *editor, char *byte)
{
    for (;;) {
        struct pollfd waiting[] = {{.fd = editor->options->wake, .events = POLLIN},
                                   {.fd = STDIN_FILENO, .events = POLLIN}};
        if (poll(waiting, 2, -1) < 0 && errno != EINTR)
            return -1;
        if (waiting[0].revents && !obey(editor))
            return -1;
        if (!waiting[1].revents)
            continue;
        ssize_t got = read(STDIN_FILENO, byte, 1);
        if (got >= 0)
            return (int)got;
        if (errno != EINTR && errno != EAGAIN)
            return 0; /* the terminal is gone */
    }
}

static int read_character(EditLine *line, wchar_t *character)
{
    (void)line;
    mbstate_t state = {0};
    for (;;) {
        char byte;
        int got = read_byte(current, &byte);
        if (got <= 0)
            return got;
        size_t used = mbrtowc(character, &byte, 1, &state);
        if (used == 0 || used == 1)
            return 1;
        if (used == (size_t)-1) /* not UTF-8: left out */
            state = (mbstate_t){0};
    }
}

/* The names, in columns, below the line. */
static void list_names(struct repl_editor *editor, const char *names)
{
    int width = 0, column = 0;
    for (const char *name = names; *name; name += strcspn(name, "\n"), name += *name == '\n') {
        int length = (int)strcspn(name, "\n");
        width = length > width ? length : width;
    }
    fputc('\n', editor->out);
    for (const char *name = names; *name; name += strcspn(name, "\n"), name += *name == '\n') {
        if (column > 0 && column + width > LIST_WIDTH) {
            fputc('\n', editor->out);
            column = 0;
        }
        fprintf(editor->out, "%-*.*s", width + 2, (int)strcspn(name, "\n"), name);
        column += width + 2;
    }
    fputc('\n', editor->out);
    fflush(editor->out);
}

/* Tab: inserts what all names that are possible have in common, else lists them. */
static unsigned char complete(EditLine *line, int key)
{
    (void)key;
    struct repl_editor *editor = current;
    const LineInfo *info = editor->edit.el_line(line);
    char *text = memory_copy(info->buffer, (size_t)(info->cursor - info->buffer)),
         *found = editor->options->complete(editor->options->context, text);
    free(text);
    char *names = found ? strchr(found, '\n') : NULL;
    unsigned char answer = CC_REFRESH_BEEP;
    if (names && names != found) {
        *names = '\0';
        answer = editor->edit.el_insertstr(line, found) == 0 ? CC_REFRESH : CC_REFRESH_BEEP;
    } else if (names && strchr(names + 1, '\n')) {
        list_names(editor, names + 1);
        answer = CC_REDISPLAY;
    }
    free(found);
    return answer;
}

/* --- the history --- */

static void open_history(struct repl_editor *editor)
{
    HistEvent event;
    editor->history = editor->edit.history_init();
    if (!editor->history)
        return;
    editor->edit.history(editor->history, &event, H_SETSIZE, HISTORY_LINES);
    editor->edit.history(editor->history, &event, H_SETUNIQUE, 1);
    editor->edit.el_set(editor->line, EL_HIST, editor->edit.history, editor->history);
    editor->history_path = repl_history_path();
    if (editor->history_path)
        editor->edit.history(editor->history, &event, H_LOAD, editor->history_path);
}

/* Replaces the file, so that one that is there is never half written. */
static void save_history(struct repl_editor *editor)
{
    HistEvent event;
    if (!editor->history_path)
        return;
    char *name = memory_format("%s.%ld", editor->history_path, (long)getpid());
    if (editor->edit.history(editor->history, &event, H_SAVE, name) == -1 ||
        chmod(name, 0600) != 0 || rename(name, editor->history_path) != 0)
        unlink(name);
    free(name);
}

static void remember(struct repl_editor *editor)
{
    HistEvent event;
    if (!editor->history || !editor->text[strspn(editor->text, " \t")])
        return;
    editor->edit.history(editor->history, &event, H_ENTER, editor->text);
    save_history(editor);
}

/* --- its life --- */

static FILE *open_copy(int fd)
{
    int copy = dup(fd);
    FILE *file = copy < 0 ? NULL : fdopen(copy, "w");
    if (!file && copy >= 0)
        close(copy);
    return file;
}

static bool open_line(struct repl_editor *editor)
{
    editor->out = open_copy(STDOUT_FILENO);
    editor->errors = open_copy(STDERR_FILENO);
    if (!editor->out || !editor->errors)
        return false;
    editor->line = editor->edit.el_init("molecule", stdin, editor->out, editor->errors);
    if (!editor->line)
        return false;
    editor->edit.el_set(editor->line, EL_PROMPT, give_prompt);
    editor->edit.el_set(editor->line, EL_EDITOR, "emacs");
    editor->edit.el_set(editor->line, EL_GETCFN, read_character);
    open_history(editor);
    /* el_set would make copies of the two texts, and lose them */
    editor->edit.el_wset(editor->line, EL_ADDFN, L"molecule-complete", L"Complete a name",
                         complete);
    editor->edit.el_set(editor->line, EL_BIND, "\t", "molecule-complete", NULL);
    editor->edit.el_set(editor->line, EL_BIND, "^R", "em-inc-search-prev", NULL);
    editor->edit.el_source(editor->line, NULL); /* ~/.editrc */
    return true;
}

struct repl_editor *repl_editor_open(const struct repl_lines_options *options, char *problem,
                                     size_t problem_size)
{
    struct repl_editor *editor = memory_allocate(sizeof *editor);
    editor->options = options;
    editor->prompt = "";
    if (!load_library(&editor->edit, problem, problem_size)) {
        free(editor);
        return NULL;
    }
    editor->locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    if (editor->locale)
        uselocale(editor->locale); /* of this thread alone: what is typed is UTF-8 */
    current = editor;
    if (open_line(editor))
        return editor;
    snprintf(problem, problem_size, "libedit cannot use this terminal (TERM)");
    repl_editor_close(editor);
    return NULL;
}

enum repl_event repl_editor_read(struct repl_editor *editor, const char *prompt, const char **line)
{
    int length = 0;
    editor->prompt = prompt;
    editor->event = REPL_NOTHING;
    /* before the prompt: who sees it may type Ctrl-D */
    editor->edit.el_set(editor->line, EL_PREP_TERM, 1);
    const char *typed = editor->edit.el_gets(editor->line, &length);
    if (!typed || length <= 0) {
        bool interrupted = editor->event == REPL_INTERRUPTED;
        fputs(interrupted ? "^C\n" : "\n", editor->out); /* after the prompt */
        fflush(editor->out);
        return interrupted ? REPL_INTERRUPTED : REPL_END;
    }
    free(editor->text);
    editor->text = memory_copy(typed, (size_t)length - (typed[length - 1] == '\n'));
    remember(editor);
    *line = editor->text;
    return REPL_LINE;
}

void repl_editor_close(struct repl_editor *editor)
{
    if (editor->line)
        editor->edit.el_end(editor->line);
    if (editor->history)
        editor->edit.history_end(editor->history);
    if (editor->out)
        fclose(editor->out);
    if (editor->errors)
        fclose(editor->errors);
    if (editor->locale) {
        uselocale(LC_GLOBAL_LOCALE);
        freelocale(editor->locale);
    }
    current = NULL;
    free(editor->history_path);
    free(editor->text);
    free(editor);
}
