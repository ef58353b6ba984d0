/* molecule backup, restore and compact: a workspace's state as a whole. */
#include "commands/commands.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/terminal.h"
#include "commands/local_state.h"
#include "state/atomic_file.h"
#include "state/cursor.h"
#include "state/ledger.h"
#include "state/lock.h"
#include "wire/platform.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORKSPACES_MAXIMUM 100000
#define POSITIONALS_MAXIMUM 256
#define SMALL_MAXIMUM (1024 * 1024)
#define PROBLEM 1024

#define CARE_OPTIONS(X)                                                        \
    X(PATH, state_directory, "state-dir", "as for connect", .argument = "DIR", \
      .environment = "MOLECULE_STATE_DIR")                                     \
    X(FLAG, replace, "replace", "set state that is there aside, as <file>.replaced-<time>")

struct care_options {
    CARE_OPTIONS(MOLECULE_MEMBER)
};

static const struct option_note of_restore[] = {
    {.name = "replace", .text = "it is for molecule restore, where state is there already"},
    {0},
};

static const struct option options[] = {
#define X(...) OPTION_ROW(struct care_options, __VA_ARGS__),
    CARE_OPTIONS(X)
#undef X
};

struct care {
    const char *state, *backup; /* directories; backup NULL: compact */
    bool replace;
};

/* One workspace. false: `problem` says why. */
typedef bool care_of_one(const struct care *care, const char *id, char *problem);

/* --- files --- */

/* token, inbound: what the platform has told once. */
static bool copy_small(const char *from, const char *to, const char *id, const char *ending,
                       char *problem)
{
    size_t length;
    int error = 0;
    char *source = local_state_path(from, id, ending), *target = local_state_path(to, id, ending);
    char *bytes = atomic_file_read_own(source, SMALL_MAXIMUM, &length, &error);
    bool fine = bytes ? atomic_file_write(target, bytes, length, problem, PROBLEM)
                      : error == ENOENT;
    if (!bytes && !fine)
        snprintf(problem, PROBLEM, "%s cannot be read: %s", source, strerror(error));
    memory_wipe(bytes);
    free(source);
    free(target);
    return fine;
}

/* A fleet closes ledgers that are idle and opens them again: that one is at rest says nothing.
 * Also fine: there is none, `*cursor` NULL. The cursor of the copy is yours. */
static bool copy_ledger(const char *from, enum ledger_mode mode, const char *to, const char *id,
                        char **cursor, char *problem)
{
    char *source = local_state_path(from, id, "db"), *target = local_state_path(to, id, "db"),
         *part = memory_format("%s.tmp-copy", target);
    struct ledger *ledger = NULL, *copy = NULL;
    enum ledger_status status = ledger_open(&ledger, source, NULL, mode, problem, PROBLEM);
    bool fine = status == LEDGER_ABSENT;
    *cursor = NULL;
    if (status == LEDGER_OPENED) {
        unlink(part); /* of an attempt that was killed */
        fine = ledger_copy(ledger, part, problem, PROBLEM) &&
               ledger_open(&copy, part, NULL, LEDGER_READ, problem, PROBLEM) == LEDGER_OPENED &&
               ledger_check(copy, problem, PROBLEM);
        if (fine)
            *cursor = ledger_cursor(copy);
        if (fine && rename(part, target) != 0) {
            snprintf(problem, PROBLEM, "%s cannot be made: %s", target, strerror(errno));
            fine = false;
        }
    }
    ledger_close(copy);
    ledger_close(ledger);
    if (!fine)
        unlink(part);
    free(part);
    free(target);
    free(source);
    return fine;
}

/* --- backup --- */

/* The cursor file is made to fit the ledger's copy: the cursor that was committed with what the
 * copy holds. Its other members are from before the copy. */
static bool back_up(const struct care *care, const char *id, char *problem)
{
    char *source = local_state_path(care->state, id, "json"),
         *target = local_state_path(care->backup, id, "json"), *committed = NULL;
    struct cursor cursor;
    enum cursor_status read = cursor_load(&cursor, source, id, problem, PROBLEM);
    bool fine = read != CURSOR_DAMAGED &&
                copy_ledger(care->state, LEDGER_READ_SHARED, care->backup, id, &committed,
                            problem) &&
                copy_small(care->state, care->backup, id, "token", problem) &&
                copy_small(care->state, care->backup, id, "inbound", problem);
    if (fine && (read == CURSOR_LOADED || committed)) {
        char *last = memory_copy_text(committed ? committed : cursor.last_since_id);
        free(cursor.path);
        cursor.path = memory_copy_text(target);
        fine = cursor_save(&cursor, last, problem, PROBLEM);
        free(last);
    }
    cursor_free(&cursor);
    free(committed);
    free(source);
    free(target);
    return fine;
}

/* --- restore --- */

static const char *const endings[] = {"json", "db", "db-wal", "db-shm", "runs", "token", "inbound"};

static bool has_state(const struct care *care, const char *id)
{
    struct stat status;
    bool found = false;
    for (size_t i = 0; i < 2; i++) {
        char *path = local_state_path(care->state, id, endings[i]);
        found = found || lstat(path, &status) == 0;
        free(path);
    }
    return found;
}

static bool set_aside(const struct care *care, const char *id, char *problem)
{
    char now[CLOCK_TEXT_SIZE];
    bool fine = true;
    clock_format(clock_wall_ms(), now);
    for (size_t i = 0; fine && i < sizeof endings / sizeof *endings; i++) {
        char *from = local_state_path(care->state, id, endings[i]),
             *to = memory_format("%s.replaced-%s", from, now);
        fine = rename(from, to) == 0 || errno == ENOENT;
        if (!fine)
            snprintf(problem, PROBLEM, "%s cannot be moved: %s", from, strerror(errno));
        free(from);
        free(to);
    }
    return fine;
}

/* The ledger before the cursor: a crash between the two leaves a ledger whose own copy of the
 * cursor is used. */
static bool put_back(const struct care *care, const char *id, char *problem)
{
    char *committed = NULL;
    bool fine = copy_ledger(care->backup, LEDGER_READ, care->state, id, &committed, problem) &&
                copy_small(care->backup, care->state, id, "token", problem) &&
                copy_small(care->backup, care->state, id, "inbound", problem) &&
                copy_small(care->backup, care->state, id, "json", problem);
    free(committed);
    return fine;
}

/* Before anything is moved. */
static bool is_sound(const struct care *care, const char *id, char *problem)
{
    char *db = local_state_path(care->backup, id, "db"),
         *json = local_state_path(care->backup, id, "json");
    struct ledger *ledger = NULL;
    struct cursor cursor;
    enum ledger_status status = ledger_open(&ledger, db, NULL, LEDGER_READ, problem, PROBLEM);
    bool sound = status == LEDGER_ABSENT ||
                 (status == LEDGER_OPENED && ledger_check(ledger, problem, PROBLEM));
    sound = cursor_load(&cursor, json, id, sound ? problem : (char[PROBLEM]){0}, PROBLEM) !=
                CURSOR_DAMAGED &&
            sound;
    cursor_free(&cursor);
    ledger_close(ledger);
    free(json);
    free(db);
    return sound;
}

static bool restore(const struct care *care, const char *id, char *problem)
{
    if (!is_sound(care, id, problem))
        return false;
    if (has_state(care, id) && !care->replace) {
        snprintf(problem, PROBLEM, "%s has state of it already; --replace sets that aside",
                 care->state);
        return false;
    }
    char *path = local_state_path(care->state, id, "lock");
    int lock = lock_take(path, problem, PROBLEM);
    bool fine = lock >= 0 && set_aside(care, id, problem) && put_back(care, id, problem);
    if (lock >= 0)
        close(lock);
    free(path);
    return fine;
}

/* --- compact --- */

static bool compact(const struct care *care, const char *id, char *problem)
{
    char *path = local_state_path(care->state, id, "lock"),
         *db = local_state_path(care->state, id, "db");
    int lock = lock_take(path, problem, PROBLEM);
    struct ledger *ledger = NULL;
    enum ledger_status status = lock < 0 ? LEDGER_FAILED
                                         : ledger_open(&ledger, db, NULL, LEDGER_WRITE_EXISTING,
                                                       problem, PROBLEM);
    int64_t before = status == LEDGER_OPENED ? ledger_bytes(ledger) : 0;
    bool fine = status == LEDGER_ABSENT ||
                (status == LEDGER_OPENED && ledger_compact(ledger, problem, PROBLEM));
    ledger_close(ledger);
    struct stat after;
    if (fine && status == LEDGER_OPENED && stat(db, &after) == 0)
        printf("%s: %lld bytes, before %lld\n", id, (long long)after.st_size, (long long)before);
    if (lock >= 0)
        close(lock);
    free(path);
    free(db);
    return fine;
}

/* --- the commands --- */

/* The exit code. */
static int each(const struct command *command, const struct care *care, const char *from,
                char *const *ids, size_t count, care_of_one *one, const char *done)
{
    char problem[PROBLEM];
    size_t failed = 0;
    for (size_t i = 0; i < count; i++) {
        *problem = '\0';
        if (one(care, ids[i], problem)) {
            if (done)
                terminal_print(stdout, "%s %s\n", ids[i], done);
        } else {
            terminal_print(stderr, "molecule %s: workspace %s: %s\n", command->name, ids[i],
                           problem);
            failed++;
        }
    }
    if (count == 0)
        terminal_print(stderr, "molecule %s: there is no state of a workspace in %s\n",
                       command->name, from);
    return failed > 0 || count == 0 ? 1 : 0;
}

/* Those that were named, or all in the directory. false after saying what is wrong. */
static bool choose(const struct command *command, const char *directory, const char **named,
                   size_t named_count, char ***ids, size_t *count)
{
    char problem[4096];
    if (named_count == 0) {
        *ids = local_state_list(directory, WORKSPACES_MAXIMUM, count);
        if (!*ids)
            terminal_print(stderr, "molecule %s: the directory %s cannot be read: %s\n",
                           command->name, directory, strerror(errno));
        return *ids != NULL;
    }
    *ids = memory_allocate(named_count * sizeof **ids);
    *count = 0;
    for (size_t i = 0; i < named_count; i++) {
        if (!platform_valid_id(named[i]) ||
            !local_state_exists(directory, named[i], problem, sizeof problem)) {
            terminal_print(stderr, "molecule %s: %s\n", command->name,
                           platform_valid_id(named[i]) ? problem : "that cannot be a workspace id");
            local_state_free_list(*ids, *count);
            return false;
        }
        (*ids)[*count] = memory_copy_text(named[i]);
        platform_normalise_id((*ids)[(*count)++]);
    }
    return true;
}

static int run_backup(const struct command *command, const struct care *care, const char **named,
                      size_t count)
{
    char **ids;
    size_t id_count;
    if (!choose(command, care->state, named, count, &ids, &id_count))
        return 1;
    int code = 1;
    if (mkdir(care->backup, 0700) != 0)
        terminal_print(stderr, "molecule backup: the directory %s cannot be made: %s%s\n",
                       care->backup, strerror(errno),
                       errno == EEXIST ? "; name one that is not there yet" : "");
    else
        code = each(command, care, care->state, ids, id_count, back_up, "saved");
    local_state_free_list(ids, id_count);
    return code;
}

static int run_restore(const struct command *command, const struct care *care, const char **named,
                       size_t count)
{
    char **ids, problem[PROBLEM];
    size_t id_count;
    if (!choose(command, care->backup, named, count, &ids, &id_count))
        return 1;
    int code = 1;
    if (!atomic_file_make_directory(care->state, problem, sizeof problem))
        terminal_print(stderr, "molecule restore: %s\n", problem);
    else
        code = each(command, care, care->backup, ids, id_count, restore, "restored");
    local_state_free_list(ids, id_count);
    return code;
}

static int run_compact(const struct command *command, const struct care *care, const char **named,
                       size_t count)
{
    char **ids;
    size_t id_count;
    if (!choose(command, care->state, named, count, &ids, &id_count))
        return 1;
    int code = each(command, care, care->state, ids, id_count, compact, NULL);
    local_state_free_list(ids, id_count);
    return code;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct care_options given = {0};
    const char *words[POSITIONALS_MAXIMUM];
    size_t count;
    bool compacts = command == &command_compact;
    enum options_result parsed = options_parse(command, argc, argv, &given, words, &count);
    if (parsed != OPTIONS_PARSED)
        return parsed == OPTIONS_HELP ? 0 : 2;
    if (!compacts && count == 0)
        return options_complain(command, "missing directory: molecule %s DIR", command->name);
    char *directory = local_state_directory(given.state_directory);
    if (!directory)
        return 2;
    struct care care = {directory, compacts ? NULL : words[0], given.replace};
    int code = compacts                     ? run_compact(command, &care, words, count)
               : command == &command_backup ? run_backup(command, &care, words + 1, count - 1)
                                            : run_restore(command, &care, words + 1, count - 1);
    free(directory);
    return code;
}

const struct command command_backup = {
    .name = "backup",
    .group = COMMAND_LOOK,
    .usage = "DIR [workspace-id…] [options]",
    .summary = "copy the state of workspaces, also while they are served",
    .description =
        "Makes the directory and copies into it, for each workspace of the state directory (or "
        "those that are named),\n"
        "its ledger as of one commit, the cursor that belongs to it, and its kept token. Hosts "
        "continue meanwhile.\n"
        "The copy is a state directory; it holds tokens, and its mode is 0700.\n\n"
        "Exit codes: 0 copied, 1 something was not, 2 wrong usage.",
    .examples = "  molecule backup /var/backups/molecule-monday --state-dir /var/lib/molecule",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .elsewhere = of_restore,
    .positional_maximum = POSITIONALS_MAXIMUM,
    .run = run,
};

const struct command command_restore = {
    .name = "restore",
    .group = COMMAND_LOOK,
    .usage = "DIR [workspace-id…] [options]",
    .summary = "put back what molecule backup has copied",
    .description =
        "Copies the workspaces of the backup (or those that are named) into the state directory. A "
        "workspace that is\n"
        "served is refused, and so is one that has state there, unless --replace sets that "
        "aside.\n\n"
        "What came after the backup is fetched from the platform again, and may be answered "
        "again.\n\n"
        "Exit codes: 0 restored, 1 something was not, 2 wrong usage.",
    .examples = "  molecule restore /var/backups/molecule-monday --state-dir /var/lib/molecule",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .positional_maximum = POSITIONALS_MAXIMUM,
    .run = run,
};

const struct command command_compact = {
    .name = "compact",
    .group = COMMAND_LOOK,
    .usage = "[workspace-id…] [options]",
    .summary = "shrink the ledgers of stopped workspaces",
    .description =
        "Writes each ledger again (VACUUM), without the room of what it holds no longer. A "
        "workspace that is served\n"
        "is refused. Needs as much free disk as the ledger takes; nothing is changed if that "
        "fails.\n\n"
        "Exit codes: 0 done, 1 something was not, 2 wrong usage.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .elsewhere = of_restore,
    .positional_maximum = POSITIONALS_MAXIMUM,
    .run = run,
};
