/* The cursor file: what is read, and the crash model of a save. The calls of a real save are
 * recorded (the linker wraps them); then every prefix of them, with every legal loss of what was
 * not synced yet, is laid out on disk and read. */
#include "unit.h"

#include "base/memory.h"
#include "state/atomic_file.h"
#include "state/cursor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ID "7f1d0c9e-0000-4000-8000-000000000001"
#define OLD "11111111-0000-4000-8000-000000000001"
#define NEW "22222222-0000-4000-8000-000000000002"

enum call { CALL_CREATE, CALL_WRITE, CALL_FSYNC, CALL_RENAME, CALL_FSYNC_DIRECTORY, CALL_UNLINK };

struct recorded {
    enum call call;
    char bytes[512];
    size_t length;
};

static struct recorded calls[32];
static size_t call_count;
static bool recording;
static int fail_at = -1; /* the call that fails, counted from 0 */
static int temporary_fd = -1, directory_fd = -1;

static bool note(enum call call, const void *bytes, size_t length)
{
    if (!recording)
        return true;
    if ((int)call_count == fail_at) {
        fail_at = -1;
        errno = ENOSPC;
        return false;
    }
    assert_true(call_count < sizeof calls / sizeof *calls && length < sizeof calls->bytes);
    calls[call_count].call = call;
    if (bytes)
        memcpy(calls[call_count].bytes, bytes, length);
    calls[call_count++].length = length;
    return true;
}

int __real_open(const char *path, int flags, ...);
ssize_t __real_write(int fd, const void *bytes, size_t length);
int __real_fsync(int fd);
int __real_rename(const char *from, const char *to);
int __real_unlink(const char *path);

int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    if (recording && (flags & O_CREAT)) {
        assert_true(flags & O_EXCL);
        assert_int_equal(mode, 0600);
        if (!note(CALL_CREATE, NULL, 0))
            return -1;
    }
    int fd = __real_open(path, flags, mode);
    if (recording && (flags & O_CREAT))
        temporary_fd = fd;
    if (recording && (flags & O_DIRECTORY))
        directory_fd = fd;
    return fd;
}

ssize_t __wrap_write(int fd, const void *bytes, size_t length);
ssize_t __wrap_write(int fd, const void *bytes, size_t length)
{
    if (recording && fd == temporary_fd && !note(CALL_WRITE, bytes, length))
        return -1;
    return __real_write(fd, bytes, length);
}

int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
    if (recording && !note(fd == directory_fd ? CALL_FSYNC_DIRECTORY : CALL_FSYNC, NULL, 0))
        return -1;
    return __real_fsync(fd);
}

int __wrap_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to)
{
    if (!note(CALL_RENAME, NULL, 0))
        return -1;
    return __real_rename(from, to);
}

int __wrap_unlink(const char *path);
int __wrap_unlink(const char *path)
{
    if (recording)
        note(CALL_UNLINK, NULL, 0);
    return __real_unlink(path);
}

static void begin_recording(void)
{
    recording = true;
    call_count = 0;
    temporary_fd = directory_fd = -1; /* numbers are used again */
}

static char directory[64], path[160];

static int make_directory(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/molecule-cursor-XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    snprintf(path, sizeof path, "%s/" ID ".json", directory);
    return 0;
}

static int remove_directory(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command);
}

static void put(const char *name, const char *bytes, size_t length)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, length), length);
    close(fd);
}

static enum cursor_status load(struct cursor *cursor)
{
    char problem[512];
    return cursor_load(cursor, path, ID, problem, sizeof problem);
}

static void save(const char *row_id)
{
    struct cursor cursor;
    char problem[512] = "";
    load(&cursor);
    if (!cursor_save(&cursor, row_id, problem, sizeof problem))
        fail_msg("%s", problem);
    cursor_free(&cursor);
}

static void the_go_clients_file_is_read_and_its_unknown_keys_stay(void **state)
{
    (void)state;
    static const char go[] = "{\n  \"workspace_id\": \"" ID "\",\n  \"last_since_id\": \"" OLD
                             "\",\n  \"later\": [1, 2]\n}\n";
    struct cursor cursor;
    put(path, go, sizeof go - 1);
    assert_int_equal(load(&cursor), CURSOR_LOADED);
    assert_string_equal(cursor.last_since_id, OLD);
    cursor_free(&cursor);
    save(NEW);
    assert_int_equal(load(&cursor), CURSOR_LOADED);
    assert_string_equal(cursor.last_since_id, NEW);
    assert_int_equal(json_array_size(json_object_get(cursor.members, "later")), 2);
    cursor_free(&cursor);
}

static void a_file_that_is_not_ours_is_told_apart(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        "{",
                                        "[]",
                                        "null",
                                        "{\"last_since_id\": 5}",
                                        "{\"workspace_id\": \"other\", \"last_since_id\": \"x\"}",
                                        "\xff\xfe"};
    struct cursor cursor;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        put(path, wrong[i], strlen(wrong[i]));
        assert_int_equal(load(&cursor), CURSOR_DAMAGED);
        cursor_free(&cursor);
    }
    unlink(path);
    assert_int_equal(load(&cursor), CURSOR_ABSENT);
    cursor_free(&cursor);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(load(&cursor), CURSOR_DAMAGED);
    cursor_free(&cursor);
    assert_int_equal(rmdir(path), 0);
}

static void a_save_that_fails_at_any_call_leaves_the_old_cursor_and_no_temporary(void **state)
{
    (void)state;
    struct cursor cursor;
    char problem[512], command[128];
    for (int i = 0; i < 5; i++) {
        save(OLD);
        load(&cursor);
        begin_recording();
        fail_at = i;
        bool saved = cursor_save(&cursor, NEW, problem, sizeof problem);
        recording = false;
        cursor_free(&cursor);
        assert_false(saved);
        assert_non_null(strstr(problem, "No space left"));
        assert_int_equal(load(&cursor), CURSOR_LOADED);
        /* behind the rename only the directory's fsync can fail: the new cursor stands, and that is
         * no lie */
        assert_string_equal(cursor.last_since_id, i < 4 ? OLD : NEW);
        cursor_free(&cursor);
        snprintf(command, sizeof command, "ls %s | grep -q tmp", directory);
        assert_int_not_equal(system(command), 0);
    }
}

/* One legal state of the disk after a crash. */
struct outcome {
    size_t temporary_length; /* how much of the temporary's data survived */
    bool created, renamed;   /* which changes of the directory survived */
};

static const char *new_bytes;
static size_t new_length;

static void lay_out(const char *old, struct outcome outcome)
{
    char temporary[200];
    snprintf(temporary, sizeof temporary, "%s.tmp-x", path);
    unlink(temporary);
    unlink(path);
    if (outcome.renamed) {
        put(path, new_bytes, outcome.temporary_length);
        return;
    }
    if (old)
        put(path, old, strlen(old));
    if (outcome.created)
        put(temporary, new_bytes, outcome.temporary_length);
}

static void check(const char *old, struct outcome outcome, bool complete)
{
    struct cursor cursor;
    lay_out(old, outcome);
    enum cursor_status status = load(&cursor);
    if (status == CURSOR_ABSENT)
        assert_true(!old && !complete);
    else
        assert_int_equal(status, CURSOR_LOADED);
    if (status == CURSOR_LOADED) {
        bool is_new = strcmp(cursor.last_since_id, NEW) == 0;
        assert_true(is_new || (old && strcmp(cursor.last_since_id, OLD) == 0));
        assert_true(is_new || !complete);
    }
    cursor_free(&cursor);
    atomic_file_sweep(path);
    char command[128];
    snprintf(command, sizeof command, "ls %s | grep -q tmp", directory);
    assert_int_not_equal(system(command), 0);
}

static int after_every_prefix(const char *old)
{
    int states = 0;
    for (size_t prefix = 0; prefix <= call_count; prefix++) {
        bool created = false, renamed = false, data_synced = false, directory_synced = false;
        size_t written = 0;
        for (size_t i = 0; i < prefix; i++) {
            created = created || calls[i].call == CALL_CREATE;
            renamed = renamed || calls[i].call == CALL_RENAME;
            data_synced = calls[i].call == CALL_FSYNC ||
                          (data_synced && calls[i].call != CALL_WRITE);
            directory_synced = directory_synced ||
                               (renamed && calls[i].call == CALL_FSYNC_DIRECTORY);
            if (calls[i].call == CALL_WRITE)
                written += calls[i].length;
        }
        /* what was not synced may be there in part; changes of the directory, in order, too */
        for (size_t length = data_synced ? written : 0; length <= written; length++)
            for (int kept = directory_synced ? 2 : 0; kept <= (renamed   ? 2
                                                               : created ? 1
                                                                         : 0);
                 kept++) {
                struct outcome outcome = {
                    .temporary_length = length, .created = kept >= 1, .renamed = kept == 2};
                check(old, outcome, directory_synced);
                states++;
            }
    }
    return states;
}

static void after_a_crash_at_any_instant_the_cursor_is_the_old_or_the_new_one(void **state)
{
    (void)state;
    struct cursor cursor;
    char problem[512];
    size_t length;
    int error;
    for (int first = 0; first < 2; first++) {
        unlink(path);
        if (!first)
            save(OLD);
        char *old = first ? NULL : atomic_file_read(path, 4096, &length, &error);
        load(&cursor);
        begin_recording();
        assert_true(cursor_save(&cursor, NEW, problem, sizeof problem));
        recording = false;
        cursor_free(&cursor);
        new_bytes = NULL;
        for (size_t i = 0; i < call_count; i++)
            if (calls[i].call == CALL_WRITE) {
                assert_null(new_bytes); /* one write, so that the model is whole */
                new_bytes = calls[i].bytes;
                new_length = calls[i].length;
            }
        assert_non_null(new_bytes);
        int states = after_every_prefix(old);
        print_message("%d states of the disk after a crash of a save %s\n", states,
                      first ? "of the first cursor" : "");
        assert_true(states > 100);
        free(old);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_directory, remove_directory)
    const struct CMUnitTest tests[] = {
        TEST(the_go_clients_file_is_read_and_its_unknown_keys_stay),
        TEST(a_file_that_is_not_ours_is_told_apart),
        TEST(a_save_that_fails_at_any_call_leaves_the_old_cursor_and_no_temporary),
        TEST(after_a_crash_at_any_instant_the_cursor_is_the_old_or_the_new_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
