/* molecule status --watch: drawn each second on the terminal's other screen. */
#include "commands/status_list.h"

#include "base/clock.h"
#include "base/plural.h"
#include "base/terminal.h"
#include "commands/workspace_status.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define EVERY_MS 1000
#define SLOW_SHOWN 8
#define FAILURES_SHOWN 5
#define ROWS 24 /* of a terminal that does not say */

static volatile sig_atomic_t ended;

static void on_end(int number)
{
    (void)number;
    ended = 1;
}

/* --- the terminal --- */

struct screen {
    struct termios before;
    bool raw; /* keys come one by one */
};

static void enter(struct screen *screen)
{
    struct sigaction action = {.sa_handler = on_end};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    screen->raw = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &screen->before) == 0;
    if (screen->raw) {
        struct termios keys = screen->before;
        keys.c_lflag &= (tcflag_t) ~(ICANON | ECHO); /* Ctrl-C stays a signal */
        tcsetattr(STDIN_FILENO, TCSANOW, &keys);
    }
    printf("\33[?1049h\33[?25l\33[?7l"); /* other screen, no cursor, no line breaks */
}

static void leave(const struct screen *screen)
{
    printf("\33[?7h\33[?25h\33[?1049l");
    fflush(stdout);
    if (screen->raw)
        tcsetattr(STDIN_FILENO, TCSANOW, &screen->before);
}

/* Each line in place of the one that stood there; as many as there is room for. */
static void draw(const char *text)
{
    struct winsize size = {0};
    int rows = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 ? size.ws_row : ROWS;
    printf("\33[H");
    for (int row = 1; *text && row <= rows; row++) {
        size_t length = strcspn(text, "\n");
        printf("%.*s\33[K%s", (int)length, text, row < rows ? "\r\n" : "");
        text += length + (text[length] == '\n');
    }
    printf("\33[J");
    fflush(stdout);
}

/* Waits for the next turn. false: it is over. */
static bool wait_turn(const struct screen *screen)
{
    int64_t until = clock_monotonic_ms() + EVERY_MS;
    for (int64_t left; !ended && (left = until - clock_monotonic_ms()) > 0;) {
        struct pollfd keys = {.fd = screen->raw ? STDIN_FILENO : -1, .events = POLLIN};
        char key;
        if (poll(&keys, 1, (int)left) > 0 && (read(STDIN_FILENO, &key, 1) != 1 || key == 'q'))
            return false;
    }
    return !ended;
}

/* --- what it shows --- */

static void print_escaped(FILE *out, const char *text)
{
    char *shown = terminal_copy(text ? text : "?", TERMINAL_WORD);
    fputs(shown, out);
    free(shown);
}

static void print_slow(FILE *out, const struct status_list *list)
{
    size_t i, j, count = 0;
    json_t *status, *handler;
    json_array_foreach (list->statuses, i, status)
        json_array_foreach (json_object_get(status, "running"), j, handler) {
            if (count++ == 0)
                fprintf(out, "\nRUNNING\n");
            if (count > SLOW_SHOWN)
                return;
            fprintf(out, "%6lld s  ",
                    (long long)json_integer_value(json_object_get(handler, "seconds")));
            print_escaped(out, json_string_value(json_object_get(handler, "row")));
            fprintf(out, " from ");
            print_escaped(out, json_string_value(json_object_get(handler, "from")));
            fputc('\n', out);
        }
}

static void print_failures(FILE *out, const struct status_list *list)
{
    size_t i, count = 0;
    json_t *status;
    json_array_foreach (list->statuses, i, status) {
        const json_t *failure = json_object_get(status, "last_failure");
        if (!json_is_object(failure))
            continue;
        if (count++ == 0)
            fprintf(out, "\nLAST FAILURES\n");
        if (count > FAILURES_SHOWN)
            return;
        print_escaped(out, json_string_value(json_object_get(failure, "at")));
        fprintf(out, "  ");
        print_escaped(out, json_string_value(json_object_get(failure, "row")));
        fprintf(out, "  ");
        print_escaped(out, json_string_value(json_object_get(failure, "reason")));
        fputc('\n', out);
    }
}

static json_int_t finished_of(const struct status_list *list)
{
    json_int_t all = 0;
    size_t i;
    json_t *status;
    json_array_foreach (list->statuses, i, status)
        all += json_integer_value(json_object_get(status, "finished"));
    return all;
}

/* Messages per second since the last turn; a host that was restarted counts from 0 again. */
struct rate {
    json_int_t finished;
    int64_t at_ms;
};

static void print_head(FILE *out, const struct status_list *list, struct rate *rate)
{
    char now[CLOCK_TEXT_SIZE];
    int64_t at_ms = clock_monotonic_ms(), passed_ms = at_ms - rate->at_ms;
    json_int_t finished = finished_of(list), more = finished - rate->finished;
    clock_format(clock_wall_ms(), now);
    fprintf(out, "molecule status  %.19sZ  %zu workspace%s", now, json_array_size(list->statuses),
            plural(json_array_size(list->statuses)));
    if (rate->at_ms > 0 && passed_ms > 0)
        fprintf(out, "  %.1f messages/s", more > 0 ? (double)more * 1000 / (double)passed_ms : 0.0);
    fprintf(out, "  q: quit\n\n");
    *rate = (struct rate){finished, at_ms};
}

static bool turn(const char *directory, const char *id, bool colors, struct rate *rate)
{
    struct status_list list;
    char *text = NULL;
    size_t length;
    if (!status_list_read(&list, directory, id))
        return false;
    FILE *out = open_memstream(&text, &length);
    if (out) {
        print_head(out, &list, rate);
        status_list_print(&list, out, colors);
        print_slow(out, &list);
        print_failures(out, &list);
        fclose(out);
        draw(text);
        free(text);
    }
    status_list_free(&list);
    return true;
}

int status_watch(const char *directory, const char *id, bool colors)
{
    struct screen screen;
    struct rate rate = {0};
    bool readable;
    enter(&screen);
    do
        readable = turn(directory, id, colors, &rate);
    while (readable && wait_turn(&screen));
    int error = errno;
    leave(&screen);
    if (!readable)
        terminal_print(stderr, "molecule status: the state directory %s cannot be read: %s\n",
                       directory, strerror(error));
    return readable ? WORKSPACE_WELL : WORKSPACE_UNKNOWN;
}
