#include "commands/dev_listen.h"

#include "base/memory.h"

#include <string.h>

char *dev_listen(struct molecule *molecule, struct molecule_serve_options *listener, char *problem,
                 size_t problem_size)
{
    static const char *const places[] = {"127.0.0.1:0"};
    molecule_serve_defaults(listener);
    listener->listens = places;
    listener->listen_count = 1;
    if (!molecule_serve(molecule, listener, true, problem, problem_size))
        return NULL;
    /* a platform refuses this address, but not the name */
    return memory_join("http://localhost", strrchr(molecule_serve_url(molecule), ':'));
}
