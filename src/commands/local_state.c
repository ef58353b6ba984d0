#include "commands/local_state.h"

#include "base/buffer.h"
#include "base/memory.h"
#include "wire/jsontext.h"
#include "wire/platform.h"

#include <dirent.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_MAXIMUM (1024 * 1024)
#define TIMEOUT_S 10
#define OTHERS_MAXIMUM 5 /* how many other workspaces a complaint lists */
#define OTHERS_SIZE 2048

/* $HOME, or if that is unusable, the home directory in the user database. NULL: neither. */
static char *find_home(void)
{
    const char *home = getenv("HOME");
    struct passwd entry, *found = NULL;
    char text[4096];
    if (home && *home == '/')
        return memory_copy_text(home);
    if (getpwuid_r(geteuid(), &entry, text, sizeof text, &found) == 0 && found && found->pw_dir &&
        *found->pw_dir == '/')
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
    char *home = find_home(),
         *directory = home ? memory_format("%s/.config/molecule/state", home) : NULL;
    if (!home)
        fprintf(stderr,
                "molecule: HOME is not an absolute path and user %ld has no home directory: choose "
                "a state directory with --state-dir DIR (MOLECULE_STATE_DIR)\n",
                (long)geteuid());
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

/* The id of the workspace whose file this is, or NULL. Yours to free. */
static char *id_of_file(const char *name)
{
    static const char *const endings[] = {".db", ".json", ".lock"};
    size_t length = strlen(name);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t ending = strlen(endings[i]);
        if (length > ending && strcmp(name + length - ending, endings[i]) == 0)
            return memory_copy(name, length - ending);
    }
    return NULL;
}

static int compare_ids(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

void local_state_each(const char *directory, void (*each)(const char *id, void *context),
                      void *context)
{
    char **ids = NULL;
    size_t count = 0;
    DIR *stream = opendir(directory);
    for (struct dirent *entry; stream && (entry = readdir(stream));) {
        char *id = id_of_file(entry->d_name);
        if (!id || !platform_valid_id(id)) {
            free(id);
            continue;
        }
        ids = memory_resize(ids, (count + 1) * sizeof *ids);
        ids[count++] = id;
    }
    if (stream)
        closedir(stream);
    if (count > 0)
        qsort(ids, count, sizeof *ids, compare_ids);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || strcmp(ids[i - 1], ids[i]) != 0)
            each(ids[i], context);
    for (size_t i = 0; i < count; i++)
        free(ids[i]);
    free(ids);
}

static bool is_listed(const struct buffer *list, const char *id)
{
    return list->length > 0 && strstr(list->data, id);
}

/* ", but of A, B and others"; "" where there are none. */
static void list_others(DIR *stream, struct buffer *list)
{
    size_t count = 0;
    bool more = false;
    for (struct dirent *entry; !more && (entry = readdir(stream));) {
        char *id = id_of_file(entry->d_name);
        if (id && platform_valid_id(id) && !is_listed(list, id)) {
            more = count == OTHERS_MAXIMUM;
            buffer_printf(list, "%s%s",
                          count == 0 ? ", but of "
                          : more     ? " and others"
                                     : ", ",
                          more ? "" : id);
            count++;
        }
        free(id);
    }
}

bool local_state_exists(const char *directory, const char *workspace_id, char *problem,
                        size_t problem_size)
{
    static const char *const endings[] = {"db", "json", "sock", "lock"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        struct stat status;
        char *path = local_state_path(directory, workspace_id, endings[i]);
        bool there = lstat(path, &status) == 0;
        free(path);
        if (there)
            return true;
    }
    struct buffer others;
    buffer_init(&others, OTHERS_SIZE);
    DIR *stream = opendir(directory);
    if (stream) {
        list_others(stream, &others);
        closedir(stream);
        snprintf(problem, problem_size,
                 "there is no state of workspace %s in %s%s: give the id and the --state-dir "
                 "(MOLECULE_STATE_DIR) that its host uses",
                 workspace_id, directory, others.length ? others.data : "");
    } else if (errno == ENOENT) {
        snprintf(problem, problem_size,
                 "there is no state directory %s: give the --state-dir (MOLECULE_STATE_DIR) that "
                 "the host of workspace %s uses",
                 directory, workspace_id);
    } else {
        snprintf(problem, problem_size, "the state directory %s cannot be opened: %s", directory,
                 strerror(errno));
    }
    buffer_free(&others);
    return false;
}

static int compare(const void *one, const void *other)
{
    return strcmp(*(char *const *)one, *(char *const *)other);
}

static bool is_known(char *const *ids, size_t count, const char *id)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(ids[i], id) == 0)
            return true;
    return false;
}

char **local_state_list(const char *directory, size_t maximum, size_t *count)
{
    DIR *stream = opendir(directory);
    *count = 0;
    if (!stream)
        return NULL;
    char **ids = memory_allocate((maximum + 1) * sizeof *ids);
    for (struct dirent *entry; *count < maximum && (entry = readdir(stream));) {
        char *id = id_of_file(entry->d_name);
        if (id && platform_valid_id(id) && !is_known(ids, *count, id))
            ids[(*count)++] = id;
        else
            free(id);
    }
    closedir(stream);
    qsort(ids, *count, sizeof *ids, compare);
    return ids;
}

void local_state_free_list(char **ids, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(ids[i]);
    free(ids);
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

json_t *local_state_ask(const char *directory, const char *workspace_id, json_t *request,
                        bool *live, char *problem, size_t problem_size)
{
    char *id = memory_copy_text(workspace_id);
    platform_normalise_id(id);
    json_object_set_new(request, "workspace", json_string(id)); /* a fleet's socket is shared */
    free(id);
    char *path = local_state_path(directory, workspace_id, "sock"), *text = jsontext_print(request);
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
            snprintf(problem, problem_size, "the host at %s did not answer within %d s", path,
                     TIMEOUT_S);
    }
    if (answer && !json_is_true(json_object_get(answer, "ok"))) {
        const char *error = json_string_value(json_object_get(answer, "error"));
        snprintf(problem, problem_size, "%s",
                 error ? error : "the host's answer cannot be understood");
        json_decref(answer);
        answer = NULL;
    }
    free(line);
    free(text);
    free(path);
    json_decref(request);
    return answer;
}
