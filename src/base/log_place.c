/* Where the log goes: standard error, a file, or the journal. */
#include "base/log_private.h"

#include "base/output.h"
#include "base/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define JOURNAL "/run/systemd/journal/socket"

static const char *const levels[] = {"error", "warn", "info", "debug"}; /* as enum log_level */

static atomic_int current_form = LOG_FORM_TEXT;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* of what follows */
static char *file_path;                                   /* absolute; NULL: standard error */
static char *next_path;                                   /* of log_move, until it is open */
static int file = -1, journal = -1; /* once they are open, their numbers stay */

const char *log_level_name(enum log_level level)
{
    return levels[level];
}

enum log_form log_form(void)
{
    return (enum log_form)current_form;
}

void log_put(enum log_form form, const char *bytes, size_t length)
{
    if (form == LOG_FORM_JOURNAL)
        output_write_record(bytes, length);
    else
        output_write_log(bytes, length);
}

static void say_lost(unsigned long lines)
{
    log_warn(LOG_LOG_LOST, NULL, "%lu log lines dropped: they could not be written fast enough",
             lines);
}

/* systemd sets it to the device and inode of what it connected standard error to. */
static bool is_journal(int fd)
{
    unsigned long long device, inode;
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat about;
    return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(fd, &about) == 0 &&
           about.st_dev == device && about.st_ino == inode;
}

/* -1: there is no journal. */
static int connect_journal(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = JOURNAL};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    int error = errno;
    if (fd >= 0)
        close(fd);
    errno = error;
    return -1;
}

/* A pipe that nobody reads is an error: opening it would wait for a reader. */
static int open_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
    if (fd >= 0)
        fcntl(fd, F_SETFL, O_APPEND); /* the log's own thread may wait */
    return fd;
}

/* A word among some; -1: none. */
static int find_word(const char *word, const char *const words[], int count)
{
    int i = 0;
    while (i < count && strcmp(word, words[i]) != 0)
        i++;
    return i < count ? i : -1;
}

static const char *const formats[] = {"text", "logfmt", "json", "journal", "auto"};

/* `fd`: a file, or standard error. */
static enum log_form choose_form(const struct log_settings *settings, int fd)
{
    const char *format = settings->format ? settings->format : "text";
    bool is_auto = strcmp(format, "auto") == 0;
    if (strcmp(format, "json") == 0)
        return LOG_FORM_JSON;
    if (strcmp(format, "journal") == 0 || (is_auto && is_journal(fd)))
        return LOG_FORM_JOURNAL;
    if (strcmp(format, "logfmt") == 0 || (is_auto && !isatty(fd)))
        return LOG_FORM_LOGFMT;
    if (!isatty(fd))
        return LOG_FORM_TEXT;
    return terminal_colors(fd, settings->color) ? LOG_FORM_TERMINAL_COLORED : LOG_FORM_TERMINAL;
}

bool log_find_level(const char *word, enum log_level *level)
{
    int found = find_word(word, levels, 4);
    if (found >= 0)
        *level = (enum log_level)found;
    return found >= 0;
}

/* false: a word is not one of those there are. */
static bool check_words(const struct log_settings *settings, char *problem, size_t problem_size)
{
    static const char *const colors[] = {"auto", "always", "never"};
    if (settings->level && find_word(settings->level, levels, 4) < 0)
        snprintf(problem, problem_size, "--log-level is error, warn, info or debug; got \"%s\"",
                 settings->level);
    else if (settings->format && find_word(settings->format, formats, 5) < 0)
        snprintf(problem, problem_size,
                 "--log-format is auto, text, logfmt, json or journal; got \"%s\"",
                 settings->format);
    else if (settings->color && find_word(settings->color, colors, 3) < 0)
        snprintf(problem, problem_size, "--color is auto, always or never; got \"%s\"",
                 settings->color);
    else if (settings->file && settings->format && strcmp(settings->format, "journal") == 0)
        snprintf(problem, problem_size, "--log-file and --log-format journal exclude each other");
    else
        return true;
    return false;
}

/* The name that SIGHUP opens again, whatever the current directory is then. */
static char *absolute(const char *path)
{
    char *directory = *path == '/' ? NULL : getcwd(NULL, 0), *whole = NULL;
    if (!directory)
        return strdup(path);
    if (asprintf(&whole, "%s/%s", directory, path) < 0)
        whole = NULL;
    free(directory);
    return whole;
}

/* What was opened takes the place of `*old`. */
static void replace(int *old, int fd)
{
    if (*old < 0) {
        *old = fd;
        return;
    }
    dup3(fd, *old, O_CLOEXEC); /* at once: no line is lost between the two */
    close(fd);
}

bool log_open(const struct log_settings *settings, char *problem, size_t problem_size)
{
    if (!check_words(settings, problem, problem_size))
        return false;
    int fd = settings->file ? open_file(settings->file) : -1, entries = -1;
    if (settings->file && fd < 0) {
        snprintf(problem, problem_size, "--log-file %s: %s", settings->file, strerror(errno));
        return false;
    }
    enum log_form form = choose_form(settings, fd >= 0 ? fd : STDERR_FILENO);
    if (form == LOG_FORM_JOURNAL && (entries = connect_journal()) < 0) {
        snprintf(problem, problem_size, "--log-format journal: %s: %s", JOURNAL, strerror(errno));
        if (settings->format && strcmp(settings->format, "journal") == 0)
            return false;
        form = LOG_FORM_TEXT; /* it is the journal that reads standard error */
    }
    pthread_mutex_lock(&mutex);
    if (fd >= 0)
        replace(&file, fd);
    if (entries >= 0)
        replace(&journal, entries);
    free(file_path);
    file_path = settings->file ? absolute(settings->file) : NULL;
    output_set_log(settings->file ? file : STDERR_FILENO, journal,
                   form == LOG_FORM_TEXT && !settings->file ? NULL : say_lost);
    current_form = (int)form;
    pthread_mutex_unlock(&mutex);
    log_set_level((enum log_level)find_word(settings->level ? settings->level : "info", levels, 4));
    return true;
}

static void keep_path(const char *path)
{
    pthread_mutex_lock(&mutex);
    char *kept = strdup(path);
    if (kept) {
        free(file_path);
        file_path = kept;
    }
    pthread_mutex_unlock(&mutex);
}

/* On the thread that writes the file: the file system may hang. */
static void reopen(void)
{
    pthread_mutex_lock(&mutex);
    char *path = next_path ? next_path : file_path ? strdup(file_path) : NULL;
    next_path = NULL;
    pthread_mutex_unlock(&mutex);
    int fd = path ? open_file(path) : -1, error = errno;
    if (fd >= 0) {
        replace(&file, fd);
        keep_path(path);
    }
    if (path && fd >= 0)
        log_debug(LOG_LOG_REOPENED, NULL, "%s is opened again", path);
    else if (path)
        log_error(LOG_LOG_FAILING, NULL, "--log-file %s: %s; the file that was open is kept", path,
                  strerror(error));
    free(path);
}

void log_reopen(void)
{
    pthread_mutex_lock(&mutex);
    bool has_file = file_path;
    pthread_mutex_unlock(&mutex);
    if (has_file)
        output_turn_log(reopen);
}

bool log_move(const char *path)
{
    char *wanted = absolute(path);
    pthread_mutex_lock(&mutex);
    bool has_file = file_path, moves = has_file && wanted && strcmp(wanted, file_path) != 0;
    free(next_path);
    next_path = moves ? wanted : NULL;
    pthread_mutex_unlock(&mutex);
    if (!moves) {
        free(wanted);
        return has_file;
    }
    log_info(LOG_LOG_MOVED, NULL, "the log continues in %s", path);
    output_turn_log(reopen);
    return true;
}
