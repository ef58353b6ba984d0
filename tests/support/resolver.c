/* Preloaded by tests/e2e/liveness_spec.lua and others: a resolver that knows platform.test (libcurl
 * answers for localhost itself), at the address that the file $RESOLVER_ADDRESS holds, else at
 * 127.0.0.1. It hangs while the file $RESOLVER_HANGS exists, ten minutes at most, and says so by
 * making $RESOLVER_HANGS.asked. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **result)
{
    static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    const char *flag = getenv("RESOLVER_HANGS");
    char asked[4096];
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    for (int i = 0; flag && i < 12000 && access(flag, F_OK) == 0; i++) {
        snprintf(asked, sizeof asked, "%s.asked", flag);
        close(open(asked, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
        usleep(50000);
    }
    char address[64] = "127.0.0.1";
    const char *source = getenv("RESOLVER_ADDRESS");
    FILE *file = source ? fopen(source, "re") : NULL;
    if (file) {
        if (fscanf(file, "%63s", address) != 1)
            strcpy(address, "127.0.0.1");
        fclose(file);
    }
    if (node && strcmp(node, "platform.test") == 0)
        node = address;
    return real(node, service, hints, result);
}
