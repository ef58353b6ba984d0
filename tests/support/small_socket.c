#define _GNU_SOURCE
/* Datagrams of unix sockets have at most a few KiB, the kernel's least, as where
 * net.core.wmem_default is small. */
#include <dlfcn.h>
#include <sys/socket.h>

int socket(int domain, int type, int protocol)
{
    int (*real)(int, int, int) = (int (*)(int, int, int))dlsym(RTLD_NEXT, "socket");
    int fd = real(domain, type, protocol), least = 1;
    if (fd >= 0 && domain == AF_UNIX && (type & SOCK_DGRAM))
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof least);
    return fd;
}
