#include "commands/local_state.h"

#include "base/buffer.h"
#include "base/memory.h"
#include "wire/platform.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_MAXIMUM (1024 * 1024)
#define TIMEOUT_S 10

/* $HOME, or where that says nothing of use, what the user database has. NULL: neither. */
static char *find_home(void)
{
    const char *home = getenv("HOME");
    struct passwd entry, *found = NULL;
    char text[4096];
    if (home && *home == '/')
        return memory_copy_text(home);
    if (getpwuid_r(geteuid(), &entry, text, sizeof text, &found) == 0 && found && found->pw_dir && *found->pw_dir == '/')
        return memory_copy_text(found->pw_dir);
    return NULL;
}

char *local_state_directory(const char *given)
{
    const char *systemd = getenv("STATE_DIRECTORY");
    if (given && *given)
        return memory_copy_text(given);
    if (systemd && *systemd)
        return memory_copy(systemd, strcspn(systemd, ":"));
    char *home = find_home(), *directory = home ? memory_format("%s/.config/molecule/state", home) : NULL;
    if (!home)
        fprintf(stderr, "molecule: HOME names no absolute path and user %ld has no home directory, so there is no place for the "
                        "state: say where with --state-dir DIR (MOLECULE_STATE_DIR)\n", (long)geteuid());
    free(home);
    return directory;
}

char *local_state_path(const char *directory, const char *workspace_id, const char *ending)
{
    char *id = memory_copy_text(workspace_id);
    platform_normalise_id(id);
    char *path = memory_format("%s/%s.%s", directory, id, ending);
    free(id);
    return path;
}

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval timeout = {.tv_sec = TIMEOUT_S};
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

/* One line there, one line back. */
static json_t *exchange(int fd, const char *line)
{
    struct buffer answer;
    char chunk[4096];
    buffer_init(&answer, ANSWER_MAXIMUM);
    if (send(fd, line, strlen(line), MSG_NOSIGNAL) != (ssize_t)strlen(line))
        return NULL;
    for (ssize_t got; (got = recv(fd, chunk, sizeof chunk, 0)) > 0;)
        if (!buffer_append(&answer, chunk, (size_t)got))
            break;
    json_t *object = answer.length > 0 ? json_loadb(answer.data, answer.length, 0, NULL) : NULL;
    buffer_free(&answer);
    return object;
}

json_t *local_state_ask(const char *directory, const char *workspace_id, json_t *request, bool *live, char *problem,
                        size_t problem_size)
{
    char *id = memory_copy_text(workspace_id);
    platform_normalise_id(id);
    json_object_set_new(request, "workspace", json_string(id)); /* a fleet's socket is shared */
    free(id);
    char *path = local_state_path(directory, workspace_id, "sock"), *text = json_dumps(request, JSON_COMPACT);
    char *line = memory_format("%s\n", text ? text : "{}");
    json_t *answer = NULL;
    int fd = connect_to(path);
    *live = fd >= 0;
    if (fd < 0) {
        snprintf(problem, problem_size, "no host answers at %s: %s", path, strerror(errno));
    } else {
        answer = exchange(fd, line);
        close(fd);
        if (!answer)
            snprintf(problem, problem_size, "the host at %s did not answer within %d s", path, TIMEOUT_S);
    }
    if (answer && !json_is_true(json_object_get(answer, "ok"))) {
        const char *error = json_string_value(json_object_get(answer, "error"));
        snprintf(problem, problem_size, "%s", error ? error : "the host's answer makes no sense");
        json_decref(answer);
        answer = NULL;
    }
    free(line);
    free(text);
    free(path);
    json_decref(request);
    return answer;
}
