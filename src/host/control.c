#include "host/control_private.h"

#include "base/buffer.h"
#include "base/log.h"
#include "base/memory.h"
#include "wire/jsontext.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define REQUEST_MAXIMUM (8 * 1024 * 1024) /* a value of the store, as a JSON string */
#define CLIENTS_MAXIMUM 16

static void free_client(uv_handle_t *handle)
{
    struct control_client *client = (struct control_client *)handle;
    buffer_free(&client->request);
    free(client->answer);
    free(client);
}

static void enlist(struct control_client *client, struct control *control)
{
    client->control = control;
    client->next = control->clients;
    control->clients = client;
    control->client_count++;
}

static void strike(struct control_client *client)
{
    struct control_client **link = &client->control->clients;
    while (*link != client)
        link = &(*link)->next;
    *link = client->next;
    client->control->client_count--;
    client->control = NULL;
}

static void end_client(struct control_client *client)
{
    if (client->closing)
        return;
    client->closing = true;
    if (client->control)
        strike(client);
    if (!client->waiting)
        uv_close((uv_handle_t *)&client->pipe, free_client);
}

static void on_written(uv_write_t *write, int status)
{
    (void)status;
    end_client(write->data);
}

void control_answer(struct control_client *client, json_t *object)
{
    char *text = object ? jsontext_print(object) : NULL;
    json_decref(object);
    client->answer = memory_format("%s\n",
                                   text ? text : "{\"ok\":false,\"error\":\"out of memory\"}");
    free(text);
    client->write.data = client;
    uv_buf_t bytes = uv_buf_init(client->answer, (unsigned)strlen(client->answer));
    if (uv_write(&client->write, (uv_stream_t *)&client->pipe, &bytes, 1, on_written) < 0)
        end_client(client);
}

/* The disk thread has answered; the client or the workspace may be gone. */
bool control_still_there(struct control_client *client)
{
    client->waiting = false;
    if (!client->closing)
        return true;
    uv_close((uv_handle_t *)&client->pipe, free_client);
    return false;
}

bool control_hand_on(struct control_client *client, const char *id)
{
    struct control *control = client->control->controls->workspaces;
    while (control && (!id || strcmp(control->env.options->id, id) != 0))
        control = control->next;
    if (!control)
        return false;
    strike(client);
    enlist(client, control);
    return true;
}

static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *bytes)
{
    (void)handle;
    (void)suggested;
    *bytes = uv_buf_init(memory_allocate(4096), 4096);
}

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *bytes)
{
    struct control_client *client = (struct control_client *)stream;
    bool whole = length > 0 && memchr(bytes->base, '\n', (size_t)length);
    bool fits = length <= 0 || buffer_append(&client->request, bytes->base, (size_t)length);
    free(bytes->base);
    if (length < 0 || !fits) {
        end_client(client);
        return;
    }
    if (!whole)
        return;
    uv_read_stop(stream);
    json_t *request = json_loads(client->request.data, JSON_DISABLE_EOF_CHECK, NULL);
    control_serve(client, request);
    json_decref(request);
}

static void on_connection(uv_stream_t *stream, int status)
{
    struct control *control = (struct control *)stream;
    if (status < 0)
        return;
    struct control_client *client = memory_allocate(sizeof *client);
    buffer_init(&client->request, REQUEST_MAXIMUM);
    uv_pipe_init(stream->loop, &client->pipe, 0);
    if (uv_accept(stream, (uv_stream_t *)&client->pipe) < 0 ||
        control->client_count >= CLIENTS_MAXIMUM) {
        uv_close((uv_handle_t *)&client->pipe, free_client);
        return;
    }
    enlist(client, control);
    uv_read_start((uv_stream_t *)&client->pipe, on_allocate, on_read);
}

static void free_control(struct control *control)
{
    free(control->path);
    free(control->directory);
    free(control);
}

static void on_closed(uv_handle_t *handle)
{
    free_control((struct control *)handle);
}

/* If this fails, the caller closes the pipe. */
static int listen_at(struct control *control)
{
    uv_pipe_init(&control->controls->network->loop, &control->pipe, 0);
    unlink(control->path); /* left by a killed process: we hold the lock, or have its pid */
    int result = strlen(control->path) < sizeof((struct sockaddr_un *)NULL)->sun_path
                     ? 0
                     : UV_ENAMETOOLONG;
    if (result == 0)
        /* until the chmod, the directory's 0700 protects it */
        result = uv_pipe_bind(&control->pipe, control->path);
    if (result == 0)
        chmod(control->path, 0600);
    if (result == 0)
        result = uv_listen((uv_stream_t *)&control->pipe, CLIENTS_MAXIMUM, on_connection);
    return result;
}

/* Removes the sockets of fleets that were killed. */
static void sweep(const char *directory)
{
    DIR *stream = opendir(directory);
    for (struct dirent *entry; stream && (entry = readdir(stream));) {
        int pid, end = 0;
        if (sscanf(entry->d_name, "fleet-%d.sock%n", &pid, &end) == 1 && end > 0 &&
            !entry->d_name[end] && kill(pid, 0) != 0 && errno == ESRCH)
            unlinkat(dirfd(stream), entry->d_name, 0);
    }
    if (stream)
        closedir(stream);
}

/* The fleet's socket in this directory; NULL: none, and the log says why. */
static struct control *get_shared(struct controls *controls, const char *directory)
{
    struct control *control = controls->shared;
    while (control && strcmp(control->directory, directory) != 0)
        control = control->next;
    if (control)
        return control;
    sweep(directory);
    control = memory_allocate(sizeof *control);
    control->controls = controls;
    control->directory = memory_copy_text(directory);
    control->path = memory_format("%s/fleet-%d.sock", directory, (int)getpid());
    int result = listen_at(control);
    if (result < 0) {
        log_warn(LOG_CONTROL_MISSING, NULL,
                 "no control socket %s: %s; `molecule status` will read the ledgers instead",
                 control->path, uv_strerror(result));
        uv_close((uv_handle_t *)&control->pipe, on_closed);
        return NULL;
    }
    control->next = controls->shared;
    controls->shared = control;
    return control;
}

static bool borrow_shared(struct control *control)
{
    const struct control *shared = get_shared(control->controls,
                                              control->env.options->state_directory);
    control->borrows = true;
    unlink(control->path);
    return shared && symlink(strrchr(shared->path, '/') + 1, control->path) == 0;
}

static bool listen_alone(struct control *control)
{
    int result = listen_at(control);
    if (result < 0)
        log_warn(LOG_CONTROL_MISSING, control->env.options->id,
                 "no control socket %s: %s; `molecule status` will read the ledger instead",
                 control->path, uv_strerror(result));
    return result >= 0;
}

struct control *control_open(struct controls *controls, const struct control_env *env)
{
    struct control *control = memory_allocate(sizeof *control);
    control->controls = controls;
    control->env = *env;
    control->path = memory_format("%s/%s.sock", env->options->state_directory, env->options->id);
    if (controls->fleet ? borrow_shared(control) : listen_alone(control)) {
        control->next = controls->workspaces;
        controls->workspaces = control;
        return control;
    }
    if (control->borrows)
        free_control(control);
    else
        uv_close((uv_handle_t *)&control->pipe, on_closed);
    return NULL;
}

static void end(struct control *control)
{
    while (control->clients)
        end_client(control->clients);
    unlink(control->path);
    if (control->borrows)
        free_control(control);
    else
        uv_close((uv_handle_t *)&control->pipe, on_closed);
}

void control_close(struct control *control)
{
    if (!control)
        return;
    struct control **place = &control->controls->workspaces;
    while (*place != control)
        place = &(*place)->next;
    *place = control->next;
    end(control);
}

void control_close_shared(struct controls *controls)
{
    while (controls->shared) {
        struct control *control = controls->shared;
        controls->shared = control->next;
        end(control);
    }
}
