#include "commands/dev_clients.h"

#include "base/memory.h"
#include "base/terminal.h"

#include <stdio.h>
#include <string.h>

#define UNIX "unix:"

static bool is_local(const char *place)
{
    return strncmp(place, "127.", 4) == 0 || strncmp(place, "[::1]", 5) == 0 ||
           strncmp(place, UNIX, strlen(UNIX)) == 0;
}

char *dev_clients_problem(const struct dev_clients *clients)
{
    if (clients->token_file && clients->listen_count == 0)
        return memory_copy_text("--auth-token-file says which A2A clients may ask; give --listen, "
                                "too, which says where");
    for (size_t i = 0; !clients->token_file && i < clients->listen_count; i++)
        if (!is_local(clients->listens[i]))
            return memory_format("--listen %s is neither a loopback address nor a unix socket, so "
                                 "others could ask; take 127.0.0.1:PORT, or give "
                                 "--auth-token-file",
                                 clients->listens[i]);
    return NULL;
}

bool dev_clients_listen(struct molecule *molecule, const struct dev_clients *clients,
                        struct molecule_serve_options *listener, char *problem, size_t problem_size)
{
    molecule_serve_defaults(listener);
    listener->listens = clients->listens;
    listener->listen_count = clients->listen_count;
    listener->auth_token_file = clients->token_file;
    listener->no_auth = !clients->token_file;
    return molecule_serve(molecule, listener, false, problem, problem_size);
}

void dev_clients_say(const struct molecule *molecule, const struct dev_clients *clients, bool again)
{
    const char *url = molecule_serve_url(molecule), *place = clients->listens[0];
    bool is_socket = strncmp(place, UNIX, strlen(UNIX)) == 0;
    terminal_print(stdout, "A2A clients: %s%s%s\n", url, is_socket ? " at " : "",
                   is_socket ? place : "");
    if (again)
        return;
    terminal_print(
        stdout,
        "  curl -s%s%s -H 'A2A-Version: 1.0'%s --json '{\"message\":{\"messageId\":\"'$(date "
        "+%%s%%N)'\",\"role\":\"ROLE_USER\",\"parts\":[{\"text\":\"hello\"}]}}' "
        "%s/message:send\n",
        is_socket ? " --unix-socket " : "", is_socket ? place + strlen(UNIX) : "",
        clients->token_file ? " -H 'Authorization: Bearer TOKEN'" : "", url);
}
