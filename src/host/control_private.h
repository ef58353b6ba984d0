/* What control.c (the sockets) and control_serve.c (what is asked) share. Only they include this.
 */
#ifndef MOLECULE_HOST_CONTROL_PRIVATE_H
#define MOLECULE_HOST_CONTROL_PRIVATE_H

#include "host/control.h"

#include "base/buffer.h"

#include <jansson.h>

struct control_client {
    uv_pipe_t pipe; /* first */
    struct control_client *next;
    struct control *control; /* NULL once the workspace has closed it */
    struct buffer request;
    uv_write_t write;
    char *answer;
    bool closing, waiting; /* for the disk thread */
};

/* A workspace's own socket, or a fleet's, which finds the workspace by its id in the request. */
struct control {
    uv_pipe_t pipe;       /* first; unused where a fleet's socket is shared */
    struct control *next; /* in the list of workspaces, or of shared sockets */
    struct controls *controls;
    struct control_env env; /* options NULL: a fleet's */
    struct control_client *clients;
    size_t client_count;
    char *path, *directory;
    bool borrows; /* its path leads to a fleet's socket */
};

/* Answers a request, once. */
void control_serve(struct control_client *client, json_t *request);
/* Takes the object. */
void control_answer(struct control_client *client, json_t *object);
/* The client waits no longer for a callback: it, or the workspace, may be gone. */
bool control_still_there(struct control_client *client);
/* From the fleet's socket to the workspace the request names; false: no such workspace. */
bool control_hand_on(struct control_client *client, const char *id);

#endif
