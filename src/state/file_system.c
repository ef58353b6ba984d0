#include "state/file_system.h"

#include "base/memory.h"
#include "state/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#define TRIAL_BYTES 65536 /* what a first message takes, and more than an inode holds */

bool file_system_look(const char *directory, struct file_system *found)
{
    static const struct {
        unsigned long magic;
        const char *type;
        bool network, memory;
    } known[] = {
        {EXT4_SUPER_MAGIC, "ext4", false, false},
        {XFS_SUPER_MAGIC, "xfs", false, false},
        {BTRFS_SUPER_MAGIC, "btrfs", false, false},
        {0x2fc12fc1, "zfs", false, false},
        {F2FS_SUPER_MAGIC, "f2fs", false, false},
        {OVERLAYFS_SUPER_MAGIC, "overlay", false, false},
        {FUSE_SUPER_MAGIC, "fuse", false, false},
        {TMPFS_MAGIC, "tmpfs", false, true},
        {RAMFS_MAGIC, "ramfs", false, true},
        {NFS_SUPER_MAGIC, "nfs", true, false},
        {CIFS_SUPER_MAGIC, "cifs", true, false},
        {SMB2_SUPER_MAGIC, "smb2", true, false},
        {CEPH_SUPER_MAGIC, "ceph", true, false},
        {AFS_SUPER_MAGIC, "afs", true, false},
        {V9FS_MAGIC, "9p", true, false},
        {OCFS2_SUPER_MAGIC, "ocfs2", true, false},
        {0x01161970, "gfs2", true, false},
        {0x0bd00bd0, "lustre", true, false},
    };
    struct statfs status;
    struct statvfs room;
    *found = (struct file_system){.free_files = -1};
    if (statfs(directory, &status) != 0 || statvfs(directory, &room) != 0)
        return false;
    unsigned long magic = (unsigned long)status.f_type & 0xfffffffful;
    snprintf(found->type, sizeof found->type, "type 0x%lx", magic);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].magic == magic) {
            snprintf(found->type, sizeof found->type, "%s", known[i].type);
            found->network = known[i].network;
            found->memory = known[i].memory;
        }
    found->free_bytes = (int64_t)room.f_bavail * (int64_t)room.f_frsize;
    if (room.f_files > 0)
        found->free_files = (int64_t)room.f_favail;
    return true;
}

static bool fail(char *problem, size_t size, const char *what)
{
    snprintf(problem, size, "%s: %s", what, strerror(errno));
    return false;
}

static bool write_all(int fd, char *problem, size_t size)
{
    char *bytes = memory_allocate(TRIAL_BYTES);
    ssize_t wrote = write(fd, bytes, TRIAL_BYTES);
    free(bytes);
    if (wrote >= 0 && wrote < TRIAL_BYTES)
        errno = ENOSPC;
    if (wrote != TRIAL_BYTES)
        return fail(problem, size, "a file cannot be written");
    return fsync(fd) == 0 || fail(problem, size, "a file cannot be synced (fsync)");
}

static bool has_shared_maps(int fd)
{
    void *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return false;
    munmap(map, 4096);
    return true;
}

static bool move(const char *from, const char *to, char *problem, size_t size)
{
    return rename(from, to) == 0 || fail(problem, size, "a file cannot be renamed");
}

/* What a fsync of a directory answers on file systems without it is not taken for an error. */
static bool sync_directory(const char *directory, char *problem, size_t size)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool synced = fd >= 0 && (fsync(fd) == 0 || errno == EINVAL || errno == ENOTSUP);
    if (!synced)
        fail(problem, size, "the directory cannot be synced (fsync)");
    if (fd >= 0)
        close(fd);
    return synced;
}

enum file_system_trial file_system_try(const char *directory, char *problem, size_t problem_size)
{
    char *path = memory_format("%s/trial.tmp-XXXXXX", directory), *other = NULL;
    enum file_system_trial result = FILE_SYSTEM_UNFIT;
    *problem = '\0';
    errno = 0;
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0) {
        fail(problem, problem_size, "no file can be made");
        result = errno == ENOSPC || errno == EDQUOT ? FILE_SYSTEM_FULL : FILE_SYSTEM_UNFIT;
        free(path);
        return result;
    }
    other = memory_format("%s-2", path);
    bool written = write_all(fd, problem, problem_size);
    if (!written && (errno == ENOSPC || errno == EDQUOT)) {
        result = FILE_SYSTEM_FULL;
    } else if (written && lock_possible(fd, problem, problem_size) &&
               move(path, other, problem, problem_size) &&
               sync_directory(directory, problem, problem_size)) {
        result = has_shared_maps(fd) ? FILE_SYSTEM_FIT : FILE_SYSTEM_PLAIN;
        if (result == FILE_SYSTEM_PLAIN)
            snprintf(problem, problem_size, "it has no shared memory maps");
    }
    unlink(path);
    unlink(other);
    close(fd);
    free(path);
    free(other);
    return result;
}
