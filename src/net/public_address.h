/* Which addresses belong to the public internet: not those of this machine, its network, or cloud
 * metadata services. */
#ifndef MOLECULE_NET_PUBLIC_ADDRESS_H
#define MOLECULE_NET_PUBLIC_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

/* IPv4 and IPv6; an IPv6 address that stands for an IPv4 one is judged as that. */
bool public_address(const struct sockaddr *address);
/* The same for its text; false also for what is not an address. */
bool public_address_text(const char *text);

#endif
