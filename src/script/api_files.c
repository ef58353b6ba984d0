/* What lua/molecule/files.lua is made of: the bytes of staged uploads, and uploads of our own. */
#include "base/memory.h"
#include "script/api.h"
#include "script/api_ask.h"
#include "script/api_errors.h"
#include "script/handler.h"
#include "script/quota.h"
#include "script/sandbox.h"
#include "script/vm.h"
#include "script/vm_await.h"
#include "script/vm_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIMITS_TIMEOUT_MS 15000
#define TRANSFER_TIMEOUT_MS 300000
#define BOUNDARY_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"
#define FETCH_MAXIMUM (100 * 1024 * 1024) /* the platform's own limit (contract §1.2) */

/* A file that was read is acknowledged once the handler's outcome is recorded. */
static int push_fetched(lua_State *L, const struct script_ask *ask)
{
    struct handler *handler = vm_of(L)->running;
    lua_pushlstring(L, ask->value ? ask->value : "", ask->value_length);
    changes_add_upload(&handler->store.changes, ask->key);
    return 1;
}

/* core.file_fetch(file_id) -> bytes */
static int file_fetch(lua_State *L)
{
    const char *id = luaL_checkstring(L, 1);
    vm_check_await(L, "file:read");
    struct script_ask *ask = ask_make(L, SCRIPT_ASK_FETCH, strlen(id));
    /* it exists twice for a moment: as received, and as a Lua string */
    size_t half = vm_room(vm_of(L)) / 2;
    ask->key = memory_copy_text(id);
    ask->most = half < FETCH_MAXIMUM ? (int64_t)half : FETCH_MAXIMUM;
    ask->timeout_ms = TRANSFER_TIMEOUT_MS;
    return ask_await(L, ask, push_fetched);
}

/* core.file_pushed(name) -> the bytes of a file that the platform handed over, which is kept beside
 * the ledger; nil, problem, CODE */
static int file_pushed(lua_State *L)
{
    const struct molecule_workspace_options *options = vm_of(L)->settings->options;
    const char *name = luaL_checkstring(L, 1);
    char path[PATH_MAX];
    struct stat about;
    luaL_argcheck(L, *name && *name != '.' && !strchr(name, '/'), 1, "not a name");
    snprintf(path, sizeof path, "%s/%s.files/%s", options->state_directory, options->id, name);
    if (lstat(path, &about) != 0 || !S_ISREG(about.st_mode)) {
        luaL_pushfail(L);
        lua_pushfstring(L, "file %s is not there any more", name);
        lua_pushliteral(L, "NOT_FOUND");
        return 3;
    }
    if ((size_t)about.st_size > vm_room(vm_of(L)) / 2) {
        luaL_pushfail(L);
        lua_pushfstring(L, "file %s is larger than the memory that is left", name);
        lua_pushliteral(L, "TOO_LARGE");
        return 3;
    }
    luaL_Buffer bytes; /* may raise: nothing is open yet */
    char *room = luaL_buffinitsize(L, &bytes, (size_t)about.st_size);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t length = fd >= 0 ? read(fd, room, (size_t)about.st_size) : 0;
    if (fd >= 0)
        close(fd);
    luaL_pushresultsize(&bytes, length > 0 ? (size_t)length : 0);
    return 1;
}

/* core.file_upload(multipart body, boundary) -> list of {uri, name, mimeType, size} */
static int file_upload(lua_State *L)
{
    size_t length;
    const char *body = luaL_checklstring(L, 1, &length);
    const char *boundary = luaL_checkstring(L, 2);
    /* it becomes part of a header */
    luaL_argcheck(L, strspn(boundary, BOUNDARY_LETTERS) == strlen(boundary), 2,
                  "a boundary consists of letters, digits and \"-\"");
    vm_check_await(L, "molecule.files");
    char problem[256];
    if (!script_may(vm_of(L), SCRIPT_QUOTA_UPLOAD, length, problem, sizeof problem))
        return api_refuse_quota(L, problem);
    struct script_ask *ask = ask_make(L, SCRIPT_ASK_UPLOAD, length);
    ask->text = memory_copy(body, length);
    ask->text_length = length;
    ask->key = memory_copy_text(boundary);
    ask->timeout_ms = TRANSFER_TIMEOUT_MS;
    return ask_await(L, ask, ask_push_json);
}

/* core.file_limits() -> {per_file_bytes?, per_request_bytes?, max_attachments_per_message?,
 * message_bytes} */
static int file_limits(lua_State *L)
{
    vm_check_await(L, "molecule.files");
    struct script_ask *ask = ask_make(L, SCRIPT_ASK_LIMITS, 0);
    ask->timeout_ms = LIMITS_TIMEOUT_MS;
    return ask_await(L, ask, ask_push_json);
}

static bool write_all(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t wrote = write(fd, bytes, length);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return false;
        bytes += wrote;
        length -= (size_t)wrote;
    }
    return true;
}

/* core.file_write(path, bytes) -> true; the file is there whole or not at all. */
static int file_write(lua_State *L)
{
    size_t length;
    const char *path = luaL_checkstring(L, 1);
    const char *bytes = luaL_checklstring(L, 2, &length);
    if (sandbox_is_on(vm_of(L)))
        return api_misuse(L, "file:save is not in the sandbox (--sandbox)");
    const char *temporary = lua_pushfstring(L, "%s.XXXXXX", path);
    char name[4096];
    if (strlen(temporary) >= sizeof name)
        return api_misuse(L, "file:save: the path is too long");
    memcpy(name, temporary, strlen(temporary) + 1);
    int fd = mkostemp(name, O_CLOEXEC);
    int error = fd < 0 || !write_all(fd, bytes, length) || fchmod(fd, 0644) != 0 ? errno : 0;
    if (fd >= 0 && close(fd) != 0 && !error)
        error = errno;
    if (!error && rename(name, path) != 0)
        error = errno;
    if (!error) {
        lua_pushboolean(L, true);
        return 1;
    }
    if (fd >= 0)
        unlink(name);
    luaL_pushfail(L);
    lua_pushfstring(L, "file:save: %s: %s", path, strerror(error));
    lua_pushliteral(L, "FILE");
    return 3;
}

void api_files_install(lua_State *L)
{
    static const luaL_Reg functions[] = {{"file_fetch", file_fetch},   {"file_pushed", file_pushed},
                                         {"file_upload", file_upload}, {"file_limits", file_limits},
                                         {"file_write", file_write},   {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
