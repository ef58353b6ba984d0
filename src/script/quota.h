/* In the sandbox: how much a script may use, per period, of what others pay for. All its states and
 * handlers share it. */
#ifndef MOLECULE_SCRIPT_QUOTA_H
#define MOLECULE_SCRIPT_QUOTA_H

#include "script/vm.h"

/* X(enumerator, what, times, bytes, minutes) */
#define SCRIPT_QUOTAS(X)                                                      \
    X(SCRIPT_QUOTA_NOTIFY, "molecule.notify", 120, (size_t)16 << 20, 1)       \
    X(SCRIPT_QUOTA_UPLOAD, "files for the canvas", 120, (size_t)256 << 20, 1) \
    X(SCRIPT_QUOTA_STORE, "molecule.store", 20000, (size_t)64 << 20, 10)
enum script_quota {
#define X(name, what, times, bytes, minutes) name,
    SCRIPT_QUOTAS(X)
#undef X
};
#define SCRIPT_QUOTA_COUNT 3

/* What was used of one. */
struct quota_use {
    int64_t since_ms;
    size_t times, bytes;
};

/* Uses it once more, for `bytes`. false: it is exceeded; `problem` says so. Always true
 * outside the sandbox. */
bool script_may(struct vm *vm, enum script_quota quota, size_t bytes, char *problem, size_t size);

#endif
