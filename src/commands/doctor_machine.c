/* What this machine has of the workspace: its directory, the host that serves it, its files. */
#include "commands/doctor.h"

#include "base/memory.h"
#include "commands/local_state.h"
#include "state/cursor.h"
#include "state/file_system.h"
#include "state/ledger.h"
#include "state/lock.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB (1024 * 1024)
#define ROOM_LEAST (16LL * MIB) /* below it commits fail soon */
#define ROOM_LOW (256LL * MIB)
#define FILES_LOW 1000
#define WORKSPACES_MAXIMUM 100000
#define FILES_OF_PROCESS 64  /* loop, threads, connections */
#define FILES_OF_WORKSPACE 8 /* lock, ledger (4), stream, connections */

/* --- the directory --- */

/* The directory, or the nearest above it that exists. Yours to free. */
static char *find_existing(const char *directory)
{
    char *path = memory_copy_text(directory);
    struct stat status;
    while (lstat(path, &status) != 0 && errno == ENOENT) {
        char *slash = strrchr(path, '/');
        if (!slash) {
            free(path);
            return memory_copy_text(".");
        }
        slash[slash == path] = '\0';
        if (strcmp(path, "/") == 0)
            break;
    }
    return path;
}

/* `path`: it, or the nearest above it that exists. */
static void check_directory(struct doctor *doctor, const char *path)
{
    const char *directory = doctor->workspace.state_directory;
    bool there = strcmp(path, directory) == 0;
    struct stat status;
    char fix[PATH_MAX + 64];
    if (stat(path, &status) != 0) {
        doctor_tell(doctor, DOCTOR_STATE, DOCTOR_FAILED,
                    "--state-dir (MOLECULE_STATE_DIR) with a directory that this user may enter",
                    "%s: %s", path, strerror(errno));
    } else if (!S_ISDIR(status.st_mode)) {
        doctor_tell(doctor, DOCTOR_STATE, DOCTOR_FAILED, "--state-dir with a directory",
                    "%s is not a directory", path);
    } else if (there && status.st_uid != geteuid() && geteuid() != 0) {
        snprintf(fix, sizeof fix, "run as user %ld (sudo -u), or chown -R %ld %s",
                 (long)status.st_uid, (long)geteuid(), directory);
        doctor_tell(doctor, DOCTOR_STATE, DOCTOR_FAILED, fix, "%s belongs to user %ld, not to %ld",
                    path, (long)status.st_uid, (long)geteuid());
    } else if (access(path, R_OK | W_OK | X_OK) != 0) {
        snprintf(fix, sizeof fix, "chmod u+rwx %s, or another --state-dir", path);
        doctor_tell(doctor, DOCTOR_STATE, DOCTOR_FAILED, fix, "%s cannot be written: %s", path,
                    strerror(errno));
    } else if (there && (status.st_mode & 077)) {
        snprintf(fix, sizeof fix, "chmod 700 %s", directory);
        doctor_tell(doctor, DOCTOR_STATE, DOCTOR_WARNING, fix,
                    "%s is accessible to others (mode %03o); connect tightens that, or refuses it "
                    "if other files are there",
                    path, (unsigned)status.st_mode & 07777u);
    } else if (there) {
        doctor_tell(doctor, DOCTOR_STATE, DOCTOR_OK, NULL, "%s, mode %03o", path,
                    (unsigned)status.st_mode & 07777u);
    } else {
        doctor_tell(doctor, DOCTOR_STATE, DOCTOR_OK, NULL,
                    "%s does not exist yet; it will be made in %s", directory, path);
    }
}

/* "1.5 GiB", "12 MiB" */
static void format_bytes(int64_t bytes, char *text, size_t size)
{
    if (bytes >= 1024LL * MIB)
        snprintf(text, size, "%.1f GiB", (double)bytes / (1024.0 * MIB));
    else
        snprintf(text, size, "%.1f MiB", (double)bytes / MIB);
}

static void check_disk(struct doctor *doctor, const struct file_system *found)
{
    char room[32];
    format_bytes(found->free_bytes, room, sizeof room);
    const char *fix = "make room, or choose another --state-dir; while it is full nothing is "
                      "answered, and nothing is lost";
    bool full = found->free_bytes < ROOM_LEAST || found->free_files == 0,
         low = found->free_bytes < ROOM_LOW ||
               (found->free_files >= 0 && found->free_files < FILES_LOW);
    doctor_tell(doctor, DOCTOR_DISK,
                full  ? DOCTOR_FAILED
                : low ? DOCTOR_WARNING
                      : DOCTOR_OK,
                full || low ? fix : NULL, "%s free%s", room,
                found->free_files >= 0 && found->free_files < FILES_LOW
                    ? ", and room for few files (inodes)"
                    : "");
}

static void check_files(struct doctor *doctor, const char *path, const struct file_system *found)
{
    char problem[512];
    enum file_system_trial trial = file_system_try(path, problem, sizeof problem);
    const char *elsewhere = "choose a --state-dir on a local file system";
    if (trial == FILE_SYSTEM_FULL)
        doctor_tell(doctor, DOCTOR_FILES, DOCTOR_FAILED, "make room (df -h, df -i)", "%s: %s",
                    found->type, problem);
    else if (trial == FILE_SYSTEM_UNFIT)
        doctor_tell(doctor, DOCTOR_FILES, DOCTOR_FAILED, elsewhere, "%s: %s", found->type, problem);
    else if (found->network)
        doctor_tell(doctor, DOCTOR_FILES, DOCTOR_WARNING, elsewhere,
                    "%s is shared between machines: a lock may not hold on another one, and two "
                    "hosts would both answer",
                    found->type);
    else if (found->memory)
        doctor_tell(doctor, DOCTOR_FILES, DOCTOR_WARNING, "choose a --state-dir on a disk",
                    "%s is in memory: the state is gone when the machine restarts", found->type);
    else if (trial == FILE_SYSTEM_PLAIN)
        doctor_tell(doctor, DOCTOR_FILES, DOCTOR_WARNING,
                    "nothing has to be done; another file system makes commits faster",
                    "%s: %s, so the ledger keeps a rollback journal", found->type, problem);
    else
        doctor_tell(doctor, DOCTOR_FILES, DOCTOR_OK, NULL, "%s locks, syncs and renames",
                    found->type);
}

/* --- the workspace's files --- */

static void check_lock(struct doctor *doctor)
{
    bool live;
    char problem[1024];
    const char *directory = doctor->workspace.state_directory, *id = doctor->workspace.id;
    char *path = local_state_path(directory, id, "lock");
    long pid = lock_holder(path);
    json_t *answer = local_state_ask(directory, id, json_pack("{s:s}", "do", "status"), &live,
                                     problem, sizeof problem);
    const char *state = json_string_value(
        json_object_get(json_object_get(answer, "status"), "state"));
    if (access(path, F_OK) == 0 && access(path, R_OK) != 0) {
        doctor_tell(doctor, DOCTOR_LOCK, DOCTOR_FAILED, "run as the user whose state it is",
                    "%s cannot be read: %s", path, strerror(errno));
    } else if (pid > 0 && state) {
        doctor_tell(doctor, DOCTOR_LOCK, DOCTOR_OK, NULL, "process %ld serves it: %s", pid, state);
    } else if (pid > 0) {
        char *fix = memory_format("look at the log of process %ld (ps -fp %ld); if it hangs: kill "
                                  "%ld",
                                  pid, pid, pid);
        doctor_tell(doctor, DOCTOR_LOCK, DOCTOR_WARNING, fix,
                    "process %ld holds the lock and does not answer: %s", pid, problem);
        free(fix);
    } else {
        doctor_tell(doctor, DOCTOR_LOCK, DOCTOR_OK, NULL, "no process serves it now");
    }
    json_decref(answer);
    free(path);
}

static void check_cursor(struct doctor *doctor)
{
    char problem[1024], fix[256];
    struct cursor cursor;
    char *path = local_state_path(doctor->workspace.state_directory, doctor->workspace.id, "json");
    enum cursor_status read = cursor_load(&cursor, path, doctor->workspace.id, problem,
                                          sizeof problem);
    snprintf(fix, sizeof fix,
             "molecule connect restores it from the ledger's copy; without a ledger, move it away "
             "and start with --reset-state");
    if (read == CURSOR_DAMAGED)
        doctor_tell(doctor, DOCTOR_CURSOR, DOCTOR_FAILED, fix, "%s", problem);
    else
        doctor_tell(doctor, DOCTOR_CURSOR, DOCTOR_OK, NULL, "%s",
                    read == CURSOR_ABSENT  ? "none yet: the first start makes it"
                    : cursor.last_since_id ? cursor.last_since_id
                                           : "at the beginning");
    cursor_free(&cursor);
    free(path);
}

static const char *mend_ledger(enum ledger_status status)
{
    switch (status) {
    case LEDGER_OTHER_PLATFORM:
        return "another --state-dir for this platform, or the --api-url that the ledger names";
    case LEDGER_NEWER: return "install the newer molecule that made it";
    case LEDGER_DAMAGED:
        return "molecule connect moves it aside and fetches what is open again; or restore a "
               "backup (molecule restore)";
    default: return "look at its mode and owner, and at the disk (dmesg)";
    }
}

static void check_ledger(struct doctor *doctor)
{
    char problem[1024], size[32];
    struct ledger *ledger = NULL;
    char *path = local_state_path(doctor->workspace.state_directory, doctor->workspace.id, "db");
    enum ledger_status status = ledger_open(&ledger, path, doctor->platform.base_url, LEDGER_READ,
                                            problem, sizeof problem);
    if (status == LEDGER_OPENED && !ledger_check(ledger, problem, sizeof problem))
        status = LEDGER_DAMAGED;
    if (status == LEDGER_OPENED) {
        format_bytes(ledger_bytes(ledger), size, sizeof size);
        doctor_tell(doctor, DOCTOR_LEDGER, DOCTOR_OK, NULL, "sound, %s", size);
    } else if (status == LEDGER_ABSENT) {
        doctor_tell(doctor, DOCTOR_LEDGER, DOCTOR_OK, NULL, "none yet: the first message makes it");
    } else {
        doctor_tell(doctor, DOCTOR_LEDGER, DOCTOR_FAILED, mend_ledger(status), "%s: %s", path,
                    problem);
    }
    ledger_close(ledger);
    free(path);
}

static void check_descriptors(struct doctor *doctor)
{
    struct rlimit files;
    size_t count;
    char **ids = local_state_list(doctor->workspace.state_directory, WORKSPACES_MAXIMUM, &count);
    local_state_free_list(ids, ids ? count : 0);
    count = count > 0 ? count : 1;
    unsigned long wanted = FILES_OF_PROCESS + FILES_OF_WORKSPACE * count,
                  least = FILES_OF_PROCESS + count;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return;
    char *fix = memory_format("ulimit -n %lu, or LimitNOFILE=%lu in the systemd unit", wanted,
                              wanted);
    unsigned long limit = (unsigned long)files.rlim_cur;
    bool few = files.rlim_cur != RLIM_INFINITY && limit < wanted,
         too_few = files.rlim_cur != RLIM_INFINITY && limit < least;
    doctor_tell(doctor, DOCTOR_DESCRIPTORS,
                too_few ? DOCTOR_FAILED
                : few   ? DOCTOR_WARNING
                        : DOCTOR_OK,
                few ? fix : NULL,
                "%lu open files are allowed here; one process with the %zu workspace%s of this "
                "state directory wants %lu",
                limit, count, count == 1 ? "" : "s", wanted);
    free(fix);
}

void doctor_check_machine(struct doctor *doctor)
{
    struct file_system found;
    char *path = find_existing(doctor->workspace.state_directory);
    check_directory(doctor, path);
    if (doctor_may(doctor, DOCTOR_FILES, DOCTOR_STATE) && file_system_look(path, &found)) {
        check_files(doctor, path, &found);
        check_disk(doctor, &found);
    } else {
        doctor_may(doctor, DOCTOR_DISK, DOCTOR_STATE);
    }
    static const struct {
        enum doctor_check check;
        void (*make)(struct doctor *doctor);
    } of_workspace[] = {
        {DOCTOR_LOCK, check_lock}, {DOCTOR_CURSOR, check_cursor}, {DOCTOR_LEDGER, check_ledger}};
    for (size_t i = 0; i < sizeof of_workspace / sizeof *of_workspace; i++) {
        if (!doctor->workspace.id)
            doctor_tell(doctor, of_workspace[i].check, DOCTOR_SKIPPED, NULL,
                        "needs a workspace id");
        else if (doctor_may(doctor, of_workspace[i].check, DOCTOR_STATE))
            of_workspace[i].make(doctor);
    }
    check_descriptors(doctor);
    free(path);
}
